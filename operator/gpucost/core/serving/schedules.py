"""Which of an endpoint's schedules holds: windows by cron expressions, each in its own time zone.

The first one listed of those that are open counts. Walking a calendar costs a hundred times more than everything else
in a pass, so an answer is kept until the instant at which another one holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from gpucost.core.clock import Instant
from gpucost.core.serving.spec import ReplicaWindow
from gpucost.core.training.windows import last_firing, next_edge


@dataclass(frozen=True, slots=True)
class Open:
    """A window that is open and counts."""

    index: int
    until: Instant


@dataclass(slots=True)
class _Answer:
    since: Instant = 1
    until: Instant | None = 0
    """When another answer may hold; None is never."""
    value: Open | None = None


@lru_cache(maxsize=4096)
def _answer(windows: tuple[ReplicaWindow, ...]) -> _Answer:
    del windows
    return _Answer()


def open_window(windows: tuple[ReplicaWindow, ...], now: Instant) -> tuple[Open | None, Instant | None]:
    """The window that counts, None outside of all; and the instant until which that holds for certain."""
    if not windows:
        return None, None
    answer = _answer(windows)
    if not (answer.since <= now and (answer.until is None or now < answer.until)):
        edges = ((window.start, window.time_zone, window.duration) for window in windows)
        answer.since, answer.value, answer.until = now, _open(windows, now), next_edge(edges, now)
    return answer.value, answer.until


def _open(windows: tuple[ReplicaWindow, ...], now: Instant) -> Open | None:
    for index, window in enumerate(windows):
        start = last_firing(window.start, window.time_zone, now)
        if start is not None and now < start + window.duration:
            return Open(index, start + window.duration)
    return None
