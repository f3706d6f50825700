"""Which runs of the cluster are the same as one that is to be applied, for `kubectl cost estimate`.

Only TrainingJobs that exist are looked at; the operator knows deleted ones too and tells of them after the apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from gpucost.cli.failures import Failure
from gpucost.cli.options import Options
from gpucost.cli.questions import TRAININGJOBS, open_door
from gpucost.core.training.fingerprint import fingerprint
from gpucost.core.training.runs.run import REUSED, Result, outcome
from gpucost.core.training.runs.spec import Deduplication
from gpucost.core.training.spec import TrainingSpec

Item = Mapping[str, Any]


@dataclass
class KnownRuns:
    """TrainingJobs by namespace, asked for once and only when a run can be compared; nothing when nobody answers."""

    options: Options
    offline: bool = False
    _listed: dict[str, list[Item]] = field(default_factory=dict)

    def notes(self, spec: TrainingSpec, name: str, namespace: str | None) -> tuple[str, ...]:
        """What there is to say about a run that is to be applied."""
        found = fingerprint(spec)
        if found is None or spec.runs is not None or spec.deduplication is Deduplication.OFF:
            return ()
        if not found.is_exact:
            if spec.deduplication is not Deduplication.REUSE:
                return ()
            return ("deduplication Reuse cannot compare this run: " + "; ".join(found.missing),)
        return said_of(self._items(namespace), spec, found.digest, name)

    def _items(self, namespace: str | None) -> list[Item]:
        if self.offline or self.options.api_url:
            return []
        try:
            door = open_door(self.options)
            within = namespace or door.namespace or "default"
            if within not in self._listed:
                answer = door.get(f"{TRAININGJOBS}/namespaces/{quote(within)}/trainingjobs", {})
                self._listed[within] = list(answer.get("items") or ())
        except Failure:
            return []
        return self._listed[within]


def said_of(items: Iterable[Item], spec: TrainingSpec, digest: str, name: str) -> tuple[str, ...]:
    """Whether the same run is complete, goes on, or has failed twice, in that order; of a namesake nothing is said."""
    same: dict[Result, list[Item]] = {}
    for item in items:
        status = item.get("status") or {}
        known = status.get("fingerprint") or {}
        result, reason, _ = outcome(status)
        if known.get("digest") != digest or not known.get("exact") or reason == REUSED:
            continue
        if item["metadata"]["name"] != name:
            same.setdefault(result, []).append(item)
    reuse = spec.deduplication is Deduplication.REUSE
    if complete := same.get(Result.COMPLETE):
        then = "this one would not start (deduplication: Reuse)" if reuse else "deduplication: Reuse uses its result"
        return (f"the same run was made before: {_named(complete[-1])}; {then}",)
    if failed := same.get(Result.FAILED, [])[1:]:
        then = "it would not start (deduplication: Reuse)" if reuse else "change what is run"
        return (f"this exact run has failed twice, last as {_named(failed[-1])}; {then}",)
    if running := same.get(Result.RUNNING):
        then = "its result would be waited for (deduplication: Reuse)" if reuse else "both would be paid for"
        return (f"the same run goes on right now: {_named(running[0])}; {then}",)
    return ()


def _named(item: Item) -> str:
    cost = (item.get("status") or {}).get("cost") or {}
    paid = f" (cost {cost['total']} {cost.get('currency', '')})".replace(" )", ")") if cost.get("total") else ""
    return f"{item['metadata']['name']}{paid}"
