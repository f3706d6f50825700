"""Where the prices of a time came from, and which nodes had none for some of it.

A report says so next to its sums. It holds for a window if it holds for some part of it, so parts are simply united.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from gpucost.core.allocate import life
from gpucost.core.books import Books
from gpucost.core.timeline import Interval


class InForce(NamedTuple):
    """Sources of the prices that held while their node lived, and names of the nodes that had none for some of it."""

    sources: frozenset[str] = frozenset()
    unpriced: frozenset[str] = frozenset()


NONE = InForce()

_MOST = 253


def _kept(source: str) -> str:
    """A source as every ledger can store it, so that it is told alike before and after it was."""
    return source.replace("\0", "")[:_MOST]


def united(parts: Iterable[InForce]) -> InForce:
    """What holds for any of the parts."""
    sources, unpriced = set[str](), set[str]()
    for part in parts:
        sources |= part.sources
        unpriced |= part.unpriced
    return InForce(frozenset(sources), frozenset(unpriced))


def in_force(books: Books, span: Interval) -> InForce:
    """Of a span, by the books of it; a price of zero is none."""
    sources, unpriced = set[str](), set[str]()
    if span.length <= 0:
        return NONE
    for node in books.alive(span):
        alive = life(node, span)
        if alive is None:
            continue
        timeline = books.timeline(node.uid)
        if timeline.starts and timeline.starts[-1] <= alive.start and (price := timeline.values[-1]).hourly:
            sources.add(price.source)  # as it mostly is
            continue
        first = bisect_right(timeline.starts, alive.start) - 1
        if first < 0:
            unpriced.add(node.name)
        for price in timeline.values[max(0, first) : bisect_left(timeline.starts, alive.end)]:
            if price.hourly:
                sources.add(price.source)
            else:
                unpriced.add(node.name)
    return InForce(frozenset(map(_kept, sources)), frozenset(unpriced))
