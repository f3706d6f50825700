"""How long a pod's GPUs computed, from facts that may come late and in any order.

Thousands of pods get a new value every few minutes and are asked for an hour at a time: two flat arrays for each are
small, and integers (millionths) keep the answer the same in whatever pieces one asks.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from gpucost.core.clock import Instant, Micros

PPM = 1_000_000
_UNKNOWN = -1
_NOTHING_READ = (0, 0, 0, 0)


def to_ppm(gpu_active: float | None) -> int | None:
    """Activity 0..1 in millionths; anything that is no share of time (NaN, negative, above 1) is unknown."""
    if gpu_active is None or not 0.0 <= gpu_active <= 1.0:
        return None
    return round(gpu_active * PPM)


class Activity:
    """Timeline of one pod's GPU activity: each value holds until the next, before the first it is unknown."""

    __slots__ = ("_read", "_starts", "_values")

    def __init__(self) -> None:
        self._starts = array("q")
        self._values = array("i")
        self._read = _NOTHING_READ
        """The integral that was asked for last: `start`, `end`, known and active time."""

    @classmethod
    def of(cls, starts: Iterable[Instant], ppms: Iterable[int | None]) -> Activity:
        """A whole timeline at once, in order and without two values for one instant."""
        made = cls()
        made._starts.extend(starts)
        made._values.extend(_UNKNOWN if ppm is None else ppm for ppm in ppms)
        return made

    def put(self, start: Instant, ppm: int | None) -> None:
        """Set the value from an instant on; a second value for one instant replaces the first."""
        value = _UNKNOWN if ppm is None else ppm
        if start < self._read[1]:
            self._read = _NOTHING_READ
        index = bisect_left(self._starts, start)
        if index < len(self._starts) and self._starts[index] == start:
            self._values[index] = value
            return
        self._starts.insert(index, start)
        self._values.insert(index, value)

    def integral(self, start: Instant, end: Instant) -> tuple[Micros, int]:
        """Known time in `[start, end)`, and active time within it in millionths of a microsecond.

        The open hour is asked for at every pass, each time up to a later end, and the hour in which a day's window
        begins from a later start: what was added up before is not again.
        """
        if start >= end:
            return 0, 0
        first, last, known, active = self._read
        since, until, sign = start, end, 1
        if first == start and last <= end:
            since = last
        elif last == end and first <= start:
            since, until, sign = first, start, -1
        else:
            known = active = 0
        starts, values, index = self._starts, self._values, bisect_right(self._starts, since)
        count = len(starts)
        while since < until:
            stop = starts[index] if index < count and starts[index] < until else until
            if index and (value := values[index - 1]) != _UNKNOWN:
                known += sign * (stop - since)
                active += sign * (stop - since) * value
            index, since = index + 1, stop
        self._read = (start, end, known, active)
        return known, active

    def at(self, instant: Instant) -> int | None:
        """Value in force, in millionths; None when it is unknown."""
        index = bisect_right(self._starts, instant) - 1
        return None if index < 0 or self._values[index] == _UNKNOWN else self._values[index]

    def last_start(self) -> Instant | None:
        """When the newest value began."""
        return self._starts[-1] if self._starts else None

    def known_since(self, instant: Instant) -> Instant | None:
        """When the value in force began; None when it is unknown."""
        starts = self._starts
        index = len(starts) if starts and starts[-1] <= instant else bisect_right(starts, instant)
        return starts[index - 1] if index and self._values[index - 1] != _UNKNOWN else None

    def forget(self, before: Instant) -> None:
        """Drop what is over at an instant; the value in force then stays."""
        keep = bisect_right(self._starts, before) - 1
        if keep > 0:
            self._read = _NOTHING_READ
            del self._starts[:keep], self._values[:keep]
