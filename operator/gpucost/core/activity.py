"""How long a pod's GPUs computed, from facts that may come late and in any order.

Utilisation arrives every few seconds for every pod, while cost is asked for whole stretches. Prefix sums answer a
stretch with two binary searches, and integers (millionths) keep the answer the same in whatever pieces one asks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise

from gpucost.core.clock import Instant, Micros

PPM = 1_000_000
_UNKNOWN = -1


def to_ppm(gpu_active: float | None) -> int | None:
    """Activity 0..1 in millionths; anything that is no share of time (NaN, negative, above 1) is unknown."""
    if gpu_active is None or not 0.0 <= gpu_active <= 1.0:
        return None
    return round(gpu_active * PPM)


class Activity:
    """Timeline of one pod's GPU activity: each value holds until the next, before the first it is unknown."""

    __slots__ = ("_active", "_known", "_starts", "_values")

    def __init__(self) -> None:
        self._starts: list[Instant] = []
        self._values: list[int] = []
        self._known: list[Micros] = []  # known time before each start, since the first one
        self._active: list[int] = []  # active time before each start, in millionths of a microsecond

    def put(self, start: Instant, ppm: int | None) -> None:
        """Set the value from an instant on; a second value for one instant replaces the first."""
        index = bisect_left(self._starts, start)
        value = _UNKNOWN if ppm is None else ppm
        if index < len(self._starts) and self._starts[index] == start:
            self._values[index] = value
            self._sum_from(index + 1)
            return
        self._starts.insert(index, start)
        self._values.insert(index, value)
        self._known.insert(index, 0)
        self._active.insert(index, 0)
        self._sum_from(index)

    def _sum_from(self, index: int) -> None:
        for i in range(index, len(self._starts)):
            self._known[i], self._active[i] = self._before(i - 1, self._starts[i]) if i else (0, 0)

    def _before(self, index: int, instant: Instant) -> tuple[Micros, int]:
        """Sums up to an instant that lies in the step with this index."""
        value = self._values[index]
        if value == _UNKNOWN:
            return self._known[index], self._active[index]
        length = instant - self._starts[index]
        return self._known[index] + length, self._active[index] + length * value

    def _until(self, instant: Instant) -> tuple[Micros, int]:
        index = bisect_right(self._starts, instant) - 1
        return self._before(index, instant) if index >= 0 else (0, 0)

    def integral(self, start: Instant, end: Instant) -> tuple[Micros, int]:
        """Known time in `[start, end)`, and active time within it in millionths of a microsecond."""
        known, active = self._until(end)
        known_before, active_before = self._until(start)
        return known - known_before, active - active_before

    def at(self, instant: Instant) -> int | None:
        """Value in force, in millionths; None when it is unknown."""
        index = bisect_right(self._starts, instant) - 1
        return None if index < 0 or self._values[index] == _UNKNOWN else self._values[index]

    def next_start(self, instant: Instant) -> Instant | None:
        """When the value after the one in force begins."""
        index = bisect_right(self._starts, instant)
        return self._starts[index] if index < len(self._starts) else None

    def last_start(self) -> Instant | None:
        """When the newest value began."""
        return self._starts[-1] if self._starts else None

    def last_known(self) -> Instant | None:
        """When the newest known value began."""
        for start, value in zip(reversed(self._starts), reversed(self._values), strict=True):
            if value != _UNKNOWN:
                return start
        return None

    def forget(self, before: Instant) -> None:
        """Drop what is over at an instant; the value in force then stays."""
        keep = bisect_right(self._starts, before) - 1
        if keep > 0:
            for column in (self._starts, self._values, self._known, self._active):
                del column[:keep]
            known, active = self._known[0], self._active[0]
            self._known = [value - known for value in self._known]
            self._active = [value - active for value in self._active]

    def segments(self, start: Instant, end: Instant) -> list[tuple[Instant, Instant, int | None]]:
        """Cut `[start, end)` where the value changes."""
        first, last = bisect_right(self._starts, start), bisect_left(self._starts, end)
        cuts = [start, *self._starts[first:last], end]
        return [(a, b, self.at(a)) for a, b in pairwise(cuts) if a < b]
