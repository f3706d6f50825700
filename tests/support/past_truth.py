"""Compare a past that was filled in with the past as it was: never more than the truth, and no unknown unmarked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from gpucost.core.backfill.evidence import Event
from gpucost.core.category import category_of
from gpucost.core.clock import HOUR, SECOND, Instant
from gpucost.core.model import CapacityType, Node, NodeFact, PodFact, PriceFact, Resources, Workload
from gpucost.core.money import PICO
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger
from gpucost.runtime.backfill import Backfill
from support.past_world import GIB, Past, TrueNode, TruePod

EDGE = 3 * SECOND  # scrapes are not instants, and the API server's times are whole seconds
SIZE = Resources(192_000, 2048 * GIB, 8)


def prices(fact: NodeFact, node: Node) -> list[PriceFact]:
    """The price that stands on the node."""
    assert node.price_annotation is not None
    return [PriceFact(fact.uid, fact.start, Decimal(node.price_annotation), CapacityType.ON_DEMAND, "annotation")]


def real_uid(node: TrueNode) -> str:
    """What the API server calls a node that still exists."""
    return f"real-{node.name}"


def record_present(ledger: Ledger, past: Past, until: Instant) -> frozenset[str]:
    """Write what the API server shows when somebody watches again; the UIDs of it."""
    living = [node for node in past.nodes if node.shown(until)]
    nodes = {node: NodeFact(real_uid(node), node.name, node.created, None, SIZE) for node in living}
    shown = [pod for pod in past.pods if pod.shown(until)]
    facts: list[Any] = [*nodes.values(), *(present(pod, nodes[pod.node]) for pod in shown)]
    timelines = {
        fact.uid: [PriceFact(fact.uid, fact.start, Decimal(node.price), CapacityType.ON_DEMAND, "annotation")]
        for node, fact in nodes.items()
    }
    ledger.record(facts, prices=timelines)
    return frozenset({fact.uid for fact in facts})


def present(pod: TruePod, node: NodeFact) -> PodFact:
    """A pod as the recorder knows it."""
    workload = Workload(*pod.owner)
    category = category_of(namespace=pod.namespace, workload=workload, labels={}, gpus=pod.gpus)
    request = Resources(4000, GIB, pod.gpus)
    return PodFact(
        pod.uid, pod.namespace, pod.shown_name, workload, category, node.uid, pod.bound, pod.ended, request
    )  # fmt: skip


def backfill(ledger: Ledger, source: Any, alive: frozenset[str], *, days: float = 30) -> Backfill:
    """A backfill over a source."""

    async def call(function: Any) -> Any:
        return function()

    async def no_events() -> Sequence[Event]:
        return ()

    return Backfill(ledger, call, source, prices, lambda: alive, no_events, days=days)


def fill_in(ledger: Ledger, source: Any, past: Past, span: Interval, alive: frozenset[str]) -> Backfill:
    """Fill in a span as after a first start at its end."""
    filling = backfill(ledger, source, alive, days=span.length / (24 * HOUR))

    async def run() -> None:
        await filling.plan(0, span.end, ledger.recorded(span, ()).nodes, watched=False)
        ledger.settle(span.end)
        await filling.fill_in()

    asyncio.run(run())
    return filling


# --- the comparison --------------------------------------------------------------------------------------------------


def compare(ledger: Ledger, past: Past, span: Interval) -> dict[str, int]:
    """Assert that the ledger agrees with the past in a span; how many pods were exact, bounded and never seen."""
    known = ledger.recorded(span, [pod.uid for pod in past.pods])
    counts = {"exact": 0, "bounded": 0, "unseen": 0}
    for node in past.nodes:
        _compare_node(node, known, past, span)
    for pod in past.pods:
        if pod.bound < span.end and (pod.ended is None or pod.ended > span.start):
            counts[_compare_pod(pod, known, past, span)] += 1
    assert ledger.conservation(span.end) == 0
    _compare_money(ledger, past, span, known)
    return counts


def _gaps(known: Any, *uids: str) -> list[Interval]:
    return [gap.span for uid in uids for gap in known.gaps.get(uid, ())]


def covered(span: Interval, gaps: Sequence[Interval]) -> bool:
    """Whether every instant of a span is marked, but for the edges."""
    at = span.start
    for gap in sorted(gaps):
        if gap.start <= at + EDGE:
            at = max(at, gap.end)
    return at >= span.end - EDGE


def life(node: TrueNode, known: Any) -> NodeFact | None:
    """The recorded life of a node."""
    return next((f for f in known.nodes if f.name == node.name and abs(f.start - node.created) < 2 * SECOND), None)


def _compare_node(node: TrueNode, known: Any, past: Past, span: Interval) -> None:
    seen = [at for at in past.scrapes if node.shown(at) and span.start < at <= span.end]
    fact = life(node, known)
    if fact is None:
        assert not seen, f"{node} was scraped and is not recorded"
        return
    assert fact.start == node.created
    if node.gone is not None and node.gone <= span.end:
        assert fact.end is not None
        assert fact.end <= node.gone
        assert covered(Interval(fact.end, node.gone), _gaps(known, fact.uid)), (node, fact)


def _compare_pod(pod: TruePod, known: Any, past: Past, span: Interval) -> str:
    seen = [at for at in past.scrapes if pod.shown(at) and span.start < at <= span.end]
    fact = known.pods.get(pod.uid)
    if fact is None:
        assert not seen or life(pod.node, known) is None, f"{pod} was scraped and is not recorded"
        return _unseen(pod, known, past, span)
    assert fact.start == pod.bound, (pod, fact)
    assert fact.requests.gpus == pod.gpus
    node = life(pod.node, known)
    assert node is not None
    assert fact.node_uid == node.uid
    if pod.ended is None or pod.ended > span.end or fact.end == pod.ended:
        return "exact"
    assert fact.end is not None
    assert fact.end <= pod.ended
    assert covered(Interval(fact.end, pod.ended), _gaps(known, pod.uid)), (pod, fact, known.gaps.get(pod.uid))
    return "bounded"


def _unseen(pod: TruePod, known: Any, past: Past, span: Interval) -> str:
    """A pod that no scrape showed lived shorter than the time between two, or in time that is marked as unwatched."""
    node = life(pod.node, known)
    assert pod.ended is not None
    part = Interval(pod.bound, pod.ended).clip(*span)
    if part is not None and part.length > past.interval and node is not None:
        assert covered(part, _gaps(known, node.uid)), (pod, node, known.gaps.get(node.uid))
    return "unseen"


def _compare_money(ledger: Ledger, past: Past, span: Interval, known: Any) -> None:
    """What every pod is charged is price x share x recorded time, to the micro-unit."""
    report = ledger.report(span, now=span.end, by="pod")
    charged = {row.name: row.amounts.cost for row in report.rows}
    for pod in past.pods:
        fact = known.pods.get(pod.uid)
        if fact is None or life(pod.node, known) is None:
            continue
        node = life(pod.node, known)
        ends = [end for end in (fact.end, node.end, span.end) if end is not None]
        held = Interval(fact.start, min(ends)).clip(*span)
        due = Fraction(0 if held is None else held.length, HOUR) * Fraction(pod.node.price) * Fraction(pod.gpus, 8)
        assert abs(Fraction(charged.get(pod.shown_name, 0), PICO) - due) < Fraction(1, 10**6), (pod, fact)
