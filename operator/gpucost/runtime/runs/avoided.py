"""What was saved by runs that were not made, as `kubectl cost savings` lists it."""

from __future__ import annotations

from collections.abc import Iterable

from gpucost.core.money import format_pico
from gpucost.core.training.runs.run import REUSED, Saving
from gpucost.web import schema_runs as schema
from gpucost.web.schema import Metadata

_WORDS = {
    True: ("results used again", "reused", "what the earlier run has cost, whose result was used"),
    False: ("runs that were skipped", "skipped", "the mean cost of the runs before"),
}


def savings(records: Iterable[Saving]) -> list[schema.Saving]:
    """One line for each namespace and means; what nobody knows the price of is in none."""
    groups: dict[tuple[str, bool], list[Saving]] = {}
    for one in records:
        if one.saved is not None and (one.is_skip or one.kind == REUSED):
            groups.setdefault((one.namespace, one.kind == REUSED), []).append(one)
    return [_line(namespace, group, reused=reused) for (namespace, reused), group in sorted(groups.items())]


def _line(namespace: str, group: list[Saving], *, reused: bool) -> schema.Saving:
    policy, word, against = _WORDS[reused]
    saved = format_pico(sum(one.saved or 0 for one in group))
    return schema.Saving(
        metadata=Metadata(name=f"{namespace}.{word}", namespace=namespace),
        namespace=namespace,
        policy=policy,
        workloads=len({one.uid for one in group}),
        cost=format_pico(0),
        otherwise=saved,
        saved=saved,
        against=against,
    )
