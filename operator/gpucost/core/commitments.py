"""Which nodes a commitment covers, and what of it goes unused.

A commitment with a `count` covers, at each instant, the oldest `count` of the nodes that match (by start, then UID);
the others pay the normal price. Spot nodes are never covered: no provider sells commitments for them. A node is covered
by one commitment at a time: the more specific one, then the one that began earlier, then by book and name.

What is covered depends on all nodes that live at the time, so it is computed for all of them at once. A commitment that
nobody uses is paid for all the same; that money belongs to no node, and is reported beside the costs of the nodes.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from gpucost.core.clock import Instant
from gpucost.core.model import CapacityType, NodeFact, NodeKind
from gpucost.core.money import exact
from gpucost.core.offers import Offer
from gpucost.core.pricing import priced_gpus, rank
from gpucost.core.tariff import Commitment
from gpucost.core.timeline import Interval

_FOREVER: Instant = 1 << 62
Coverage = Mapping[str, tuple[Offer, ...]]
"""Times in which a node is covered and at what price, by node UID; nodes that never are have no entry."""


@dataclass(frozen=True, slots=True)
class Use:
    """How far a commitment is used at an instant."""

    commitment: Commitment
    used: int
    """Nodes that it covers."""
    unused_hourly: Decimal | None
    """What is paid per hour and not used; None when it cannot be said (no count, or a price per GPU)."""


def coverage(commitments: Iterable[Commitment], nodes: Iterable[NodeFact]) -> Coverage:
    """What commitments cover of these nodes, which must be all that lived in the time of interest."""
    lives = sorted((node for node in nodes if _may_be_covered(node)), key=lambda node: (node.start, node.uid))
    free: dict[str, list[Interval]] = {node.uid: [Interval(node.start, _end(node.end))] for node in lives}
    found: dict[str, list[Offer]] = {}
    for commitment in sorted(commitments, key=_precedence):
        matching = [node for node in lives if rank(node, commitment) is not None]
        for node, span in _covered(commitment, matching, free):
            free[node.uid] = list(_without(free[node.uid], span))
            found.setdefault(node.uid, []).append(_offer(commitment, node, span))
    return {uid: tuple(sorted(offers, key=lambda offer: offer.start)) for uid, offers in found.items()}


def uses(commitments: Iterable[Commitment], covered: Coverage, at: Instant) -> list[Use]:
    """How far each commitment that runs at an instant is used."""
    counts: dict[str, int] = {}
    for offers in covered.values():
        for offer in offers:
            if offer.holds(at):
                counts[offer.source] = counts.get(offer.source, 0) + 1
    running = [one for one in commitments if one.effective_from <= at < _end(one.effective_until)]
    return [_use(one, counts.get(source_of(one), 0)) for one in running]


def source_of(commitment: Commitment) -> str:
    """How the price of a covered node names its origin."""
    return f"{commitment.source} commitment {commitment.name}"


def _use(commitment: Commitment, used: int) -> Use:
    if commitment.count is None or not commitment.instance_type:
        return Use(commitment, used, None)
    return Use(commitment, used, commitment.hourly * max(commitment.count - used, 0))


def _may_be_covered(node: NodeFact) -> bool:
    return node.kind is NodeKind.NODE and node.capacity_type is not CapacityType.SPOT


def _precedence(one: Commitment) -> tuple[object, ...]:
    return (not one.instance_type, not one.zone, not one.region, one.effective_from, one.source, one.name)


def _end(instant: Instant | None) -> Instant:
    return _FOREVER if instant is None else instant


def _offer(commitment: Commitment, node: NodeFact, span: Interval) -> Offer:
    hourly = commitment.hourly
    if not commitment.instance_type:
        hourly = exact(Fraction(hourly) * Fraction(priced_gpus(node)))
    end = None if span.end >= _FOREVER else span.end
    return Offer(hourly, source_of(commitment), span.start, end, final=True)


def _covered(
    commitment: Commitment, nodes: list[NodeFact], free: Mapping[str, list[Interval]]
) -> Iterator[tuple[NodeFact, Interval]]:
    """Spans in which a commitment covers each of the nodes that match; `nodes` in order of their age."""
    period = (commitment.effective_from, _end(commitment.effective_until))
    spans = [(i, span) for i, node in enumerate(nodes) for one in free[node.uid] if (span := one.clip(*period))]
    if commitment.count is None:
        yield from ((nodes[i], span) for i, span in spans)
        return
    since: dict[int, Instant] = {}
    for instant, chosen in _oldest(spans, commitment.count):
        for index in since.keys() - chosen:
            yield nodes[index], Interval(since.pop(index), instant)
        for index in chosen - since.keys():
            since[index] = instant


def _oldest(spans: list[tuple[int, Interval]], count: int) -> Iterator[tuple[Instant, set[int]]]:
    """At every instant where a span begins or ends: the `count` lowest numbers whose span holds. Ends with none."""
    events = sorted(
        event for index, span in spans for event in ((span.start, 1, index), (span.end, 0, index))
    )  # at one instant, ends before starts
    present: list[int] = []
    for position, (instant, begins, index) in enumerate(events):
        if begins:
            insort(present, index)
        else:
            present.remove(index)
        if position + 1 == len(events) or events[position + 1][0] != instant:
            yield instant, set(present[:count])


def _without(spans: Iterable[Interval], taken: Interval) -> Iterator[Interval]:
    for span in spans:
        for part in (span.clip(span.start, taken.start), span.clip(taken.end, span.end)):
            if part is not None:
                yield part
