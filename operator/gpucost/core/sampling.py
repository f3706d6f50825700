"""Condense samples of activity, so that what is kept grows with the hours and not with the ticks.

A pod's samples of one span of five minutes become one value: their mean, weighted by the time that each stands for. It
is written again under the same start while the span lasts, so the newest tick counts at once and nothing is added.
Known and unknown time never share a value: where one turns into the other, a new one begins.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpucost.core.clock import MINUTE, SECOND, Instant, Micros, floor_to

SPAN: Micros = 5 * MINUTE
"""Divides an hour, so that a settled hour is never touched again by a later sample."""

_SAME = 0.005
"""A mean that moved by less is not worth a write."""


_DRIFT: Micros = 5 * SECOND
"""The wall clock may run differently from the monotonic one by so much between two samples, and is set otherwise."""


@dataclass(frozen=True, slots=True)
class Mark:
    """When a sample was taken, by both clocks; `monotonic` has an arbitrary beginning."""

    at: Instant
    monotonic: Micros


@dataclass(frozen=True, slots=True)
class Window:
    """What a sample stands for, `[since, until)`, and why it cannot be used, if so."""

    since: Instant
    until: Instant
    fault: str = ""

    @property
    def goes_back(self) -> bool:
        """Whether this time has been sampled before: nothing is said of it again."""
        return self.until <= self.since


def window(last: Mark, now: Mark, longest: Micros) -> Window:
    """The window between two samples; one that a clock's jump made, or longer than `longest`, has a fault."""
    elapsed, passed = now.at - last.at, now.monotonic - last.monotonic
    if elapsed <= 0:
        return Window(last.at, now.at, "the clock went back")
    if abs(elapsed - passed) > max(_DRIFT, passed // 10):
        return Window(last.at, now.at, "the clock jumped")
    return Window(last.at, now.at, "nobody measured for too long" if elapsed > longest else "")


@dataclass(slots=True)
class Condensed:
    """The value that grows for one pod: `mean` None is unknown time."""

    start: Instant
    mean: float | None
    weight: Micros = 0
    written: float | None = None


def condense(
    state: Condensed | None, value: float | None, since: Instant, until: Instant
) -> tuple[Condensed, tuple[Instant, float | None] | None]:
    """Take in a sample that stands for `[since, until)`: the new state, and what to write, if anything.

    What is written holds from its start until the next start of the pod.
    """
    weight = max(until - since, 1)
    if value is None:
        if state is None or state.mean is None:  # unknown from the beginning, or still: nothing new
            return state or Condensed(since, None), None
        return Condensed(since, None), (since, None)
    if state is None or state.mean is None:
        return Condensed(since, value, weight, value), (since, value)
    mean, start = value, since
    if floor_to(state.start, SPAN) == floor_to(since, SPAN):
        mean = (state.mean * state.weight + value * weight) / (state.weight + weight)
        start, weight = state.start, state.weight + weight
    if state.written is not None and abs(mean - state.written) < _SAME:
        return Condensed(start, mean, weight, state.written), None
    return Condensed(start, mean, weight, mean), (start, mean)
