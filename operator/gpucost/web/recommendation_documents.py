"""From what was recommended, and what came of it, to the documents of the API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpucost.core.money import Pico, format_pico
from gpucost.core.recommendations import Recommendation
from gpucost.core.serving.counterfactual import Compared
from gpucost.web.schema import Metadata
from gpucost.web.schema_runs import Comparison, Recommended, Saving

POLICY = "right-sized replicas"
AGAINST = "the replicas of before the operator set them, at the prices of then"
PEAK = "as many replicas all the time as were ever needed at once"
HPA = "a HorizontalPodAutoscaler at its defaults"


def right_sized(namespace: str, each: Sequence[Compared]) -> Saving:
    """What right-sizing has saved the endpoints of a namespace."""
    known = [one for one in each if one.against_before is not None]
    saved, paid = sum(one.against_before or 0 for one in known), sum(one.paid for one in known)
    return Saving(
        metadata=Metadata(name=f"{namespace}.replicas", namespace=namespace),
        namespace=namespace,
        policy=POLICY,
        workloads=len(each),
        unknown=len(each) - len(known),
        cost=format_pico(paid),
        otherwise=format_pico(paid + saved),
        saved=format_pico(saved),
        against=AGAINST,
        also=(
            *_also(PEAK, [one.against_peak for one in each]),
            *_also(HPA, [one.against_hpa for one in each]),
        ),
    )


def _also(against: str, saved: Sequence[Pico | None]) -> Iterable[Comparison]:
    known = [one for one in saved if one is not None]
    if known:
        yield Comparison(against=against, saved=format_pico(sum(known)))


def recommended(one: Recommendation) -> Recommended:
    """One recommendation."""
    return Recommended(
        namespace=one.namespace,
        subject=one.subject,
        action=one.kind.value,
        change=one.change,
        saves=None if one.saves is None else format_pico(one.saves),
        per=one.per.value,
        confidence=one.confidence.value,
        why=one.why,
        command=one.command,
        notes=one.notes,
    )
