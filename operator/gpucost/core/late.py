"""Which time a new fact changes the cost of: what must be booked again when it comes after its hours were settled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from gpucost.core.allocate import FOREVER
from gpucost.core.clock import Instant
from gpucost.core.model import NodeFact, PodFact, PriceFact
from gpucost.core.timeline import Interval

_NOTHING: list[Interval] = []


def _life(fact: PodFact | NodeFact) -> Interval:
    return Interval(fact.start, FOREVER if fact.end is None else fact.end)


def pod_change(old: PodFact | None, new: PodFact) -> list[Interval]:
    """Spans in which a pod's cost differs between two facts about it; the node must be the same."""
    if old is None:
        return [_life(new)]
    same = old.requests == new.requests
    return _life_change(_life(old), _life(new), same=same)


def node_change(old: NodeFact | None, new: NodeFact) -> list[Interval]:
    """Spans in which the cost of a node or of its parts differs."""
    if old is None:
        return [_life(new)]
    before, after, same = _life(old), _life(new), (old.capacity_type, old.kind) == (new.capacity_type, new.kind)
    changes = _life_change(before, after, same=same)
    both = before.clip(*after)
    return changes if both is None or not same else [*changes, *_resized(old, new, both)]


def _resized(old: NodeFact, new: NodeFact, span: Interval) -> Iterator[Interval]:
    """Spans in which two facts say that a node has different sizes."""
    cuts = sorted(
        {span.start, *(size.until for fact in (old, new) for size in fact.earlier if size.until > span.start)}
    )
    for start, end in pairwise([*(cut for cut in cuts if cut < span.end), span.end]):
        if _size_at(old, start) != _size_at(new, start):
            yield Interval(start, end)


def _size_at(fact: NodeFact, instant: Instant) -> tuple[object, ...]:
    (_, sized), *_ = fact.sizes(instant, instant + 1)
    return sized.capacity, sized.physical_gpus, sized.stranded_gpus


def _life_change(old: Interval, new: Interval, *, same: bool) -> list[Interval]:
    if not same:
        return [Interval(min(old.start, new.start), max(old.end, new.end))]
    edges = ((old.start, new.start), (old.end, new.end))
    return [Interval(min(edge), max(edge)) for edge in edges if edge[0] != edge[1]]


def price_change(old: Iterable[PriceFact], new: Iterable[PriceFact]) -> list[Interval]:
    """Span from the first instant at which two timelines of one node differ; empty when they never do."""
    before, after = {price.start: price for price in old}, {price.start: price for price in new}
    differing: list[Instant] = [
        start for start in before.keys() | after.keys() if before.get(start) != after.get(start)
    ]
    return [Interval(min(differing), FOREVER)] if differing else _NOTHING
