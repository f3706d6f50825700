"""How long a replica takes from its creation until it serves, learned from the pods themselves.

A pod's `Ready` condition says since when it is ready *now*. Only for a pod that was seen before it was ready is that
the end of its start; for others it is the latest it can have been, and the smallest of such times is what comes
nearest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from gpucost.core.clock import Instant, Micros

MOST_KEPT = 200
"""Starts that are remembered of an endpoint: the newest ones."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a replica."""

    pod: str
    """UID."""
    created: Instant
    bound: Instant | None
    """Since when it held resources."""
    ready: Instant
    seen: bool
    """Whether it was seen before it was ready."""

    @property
    def length(self) -> Micros:
        """From its creation until it served."""
        return max(0, self.ready - self.created)

    @property
    def paid(self) -> Micros:
        """The part of it in which it held resources."""
        return max(0, self.ready - (self.created if self.bound is None else self.bound))


@dataclass(frozen=True, slots=True)
class ReadyTimes:
    """What the starts of an endpoint say."""

    count: int
    """Starts that it rests on."""
    p50: Micros
    p95: Micros
    paid: Micros
    """Mean time for which a starting replica is paid."""
    is_bound: bool = False
    """Nobody saw these pods start: it may have been quicker."""


def ready_times(starts: Iterable[Start]) -> ReadyTimes | None:
    """Quantiles of the starts that were seen; without any, the quickest of the others; None without those too."""
    known = list(starts)
    seen = [start for start in known if start.seen]
    if seen:
        lengths = sorted(start.length for start in seen)
        paid = sum(start.paid for start in seen) // len(seen)
        return ReadyTimes(len(seen), _rank(lengths, 50), _rank(lengths, 95), paid)
    if not known:
        return None
    quickest = min(known, key=lambda start: start.length)
    return ReadyTimes(len(known), quickest.length, quickest.length, quickest.paid, is_bound=True)


def _rank(ordered: Sequence[Micros], percent: int) -> Micros:
    """Nearest rank: a value that was measured, and never a smaller one than the quantile."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def with_start(starts: tuple[Start, ...], new: Start) -> tuple[Start, ...]:
    """With another start; a pod that is known stays as it was seen first."""
    if any(start.pod == new.pod for start in starts):
        return starts
    return tuple(sorted((*starts, new), key=lambda start: (start.ready, start.pod)))[-MOST_KEPT:]
