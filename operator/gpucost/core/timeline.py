"""Piecewise-constant timelines over half-open intervals: prices, usage, presence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from gpucost.core.clock import Instant, Micros

T = TypeVar("T")


class Interval(NamedTuple):
    """Half-open span `[start, end)`."""

    start: Instant
    end: Instant

    @property
    def length(self) -> Micros:
        """Duration; never negative for an interval made by `clip`."""
        return self.end - self.start

    def clip(self, start: Instant, end: Instant) -> Interval | None:
        """The part inside `[start, end)`, or `None` when nothing is left."""
        first, last = max(self.start, start), min(self.end, end)
        return Interval(first, last) if first < last else None


@dataclass(frozen=True, slots=True)
class Timeline(Generic[T]):
    """A value from each step's instant until the next step; before the first step there is none."""

    starts: tuple[Instant, ...]
    values: tuple[T, ...]

    @classmethod
    def of(cls, steps: Iterable[tuple[Instant, T]]) -> Timeline[T]:
        """Build from steps in any order; two steps at one instant are a `ValueError`."""
        ordered = sorted(steps, key=lambda step: step[0])
        starts = tuple(start for start, _ in ordered)
        if len(set(starts)) != len(starts):
            raise ValueError("two values from the same instant")
        return cls(starts, tuple(value for _, value in ordered))

    def with_steps(self, steps: Mapping[Instant, T]) -> Timeline[T]:
        """With other steps; one from the same instant is replaced. Takes time by the length, so add many at once."""
        return Timeline.of({**dict(zip(self.starts, self.values, strict=True)), **steps}.items())

    def since(self, instant: Instant) -> Timeline[T]:
        """Without what was over at an instant; the value in force then stays."""
        keep = max(0, bisect_right(self.starts, instant) - 1)
        return self if keep == 0 else Timeline(self.starts[keep:], self.values[keep:])

    def at(self, instant: Instant) -> T | None:
        """Value in force at an instant, `None` before the first step."""
        index = bisect_right(self.starts, instant) - 1
        return self.values[index] if index >= 0 else None

    def segments(self, start: Instant, end: Instant) -> Iterator[tuple[Interval, T | None]]:
        """Cut `[start, end)` where the value changes; adjacent equal values are not merged."""
        index = bisect_right(self.starts, start)
        while start < end:
            until = self.starts[index] if index < len(self.starts) else end
            stop = min(until, end)
            yield Interval(start, stop), self.values[index - 1] if index else None
            start, index = stop, index + 1
