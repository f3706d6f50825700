"""The arithmetic behind an endpoint's unit costs, hour by hour: what was paid, for which times, and what became of it.

The lines are the very terms that `unit_cost` adds up, so they end in its sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gpucost.core.clock import Instant, Micros
from gpucost.core.money import Pico
from gpucost.core.serving.unit_cost import HourCost, Split, split_hours
from gpucost.core.serving.work_hours import WorkHour

NOTHING_DONE = WorkHour()


@dataclass(frozen=True, slots=True)
class HourLine:
    """One hour."""

    hour: Instant | None
    """None: time of which no hours are left."""
    held: Micros
    """Pod-microseconds that were paid for."""
    done: WorkHour
    """What the pods did in them, as far as it is known."""
    split: Split
    """The cost, in its parts."""


def hour_lines(hours: Iterable[tuple[HourCost, WorkHour | None]], rest: Pico = 0) -> tuple[HourLine, ...]:
    """A line for each hour that cost something, the oldest first; `rest` as in `unit_cost`."""
    old = (HourLine(None, 0, NOTHING_DONE, Split(unknown=rest)),) if rest else ()
    lines = (HourLine(cost.hour, cost.held, done or NOTHING_DONE, part) for cost, done, part in split_hours(hours))
    return (*old, *(line for line in lines if line.held or line.split.total))
