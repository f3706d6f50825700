"""What a run has cost for what: per step, per improvement of a metric, by place, and what bought nothing.

Money comes from the lines of the ledger's explanation, so every figure here is a part of the amount that is booked;
what the run has said of itself only decides where the parts begin and end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from gpucost.core.clock import MINUTE, SECOND, Instant, Micros
from gpucost.core.model import CapacityType, Gpus
from gpucost.core.money import Pico
from gpucost.core.report import Line
from gpucost.core.timeline import Interval
from gpucost.core.training.directions import Better, direction
from gpucost.core.training.progress import Progress, Report

_APART: Micros = 2 * MINUTE
"""Pods that come and go within this time are one stay: a gang does not start in the same second."""

Number = int | Fraction


@dataclass(frozen=True, slots=True)
class Placed:
    """A time on nodes of one capacity type without a pause."""

    span: Interval
    capacity_type: CapacityType
    nodes: tuple[str, ...]
    gpus: Gpus
    cost: Pico | None


@dataclass(frozen=True, slots=True)
class Steps:
    """How far the run came and what a step cost."""

    first: int | None
    last: int | None
    progress: float | None
    per_step: Fraction | None
    """Pico-units, between the first report and the last."""
    before_first: Pico | None
    last_at: Instant


@dataclass(frozen=True, slots=True)
class MetricCost:
    """What a metric's improvement has cost."""

    name: str
    better: Better | None
    """`lower`, `higher`, or None when its name does not tell."""
    first: float
    best: float
    last: float
    per_improvement: Fraction | None
    """Pico-units for each unit of the metric, from its first value to its best."""
    since_best: Pico | None

    @property
    def improvement(self) -> float | None:
        """From first to best."""
        return None if self.better is None else abs(self.best - self.first)


@dataclass(frozen=True, slots=True)
class Saves:
    """Checkpoints."""

    count: int
    last: Instant | None
    interval: Micros | None
    duration: Micros | None


@dataclass(frozen=True, slots=True)
class Ledgered:
    """Cost of a run as a function of time, from the lines of its explanation."""

    lines: tuple[Line, ...]

    def until(self, instant: Instant) -> Pico | None:
        """What was owed up to an instant; None when a part of that time has no price."""
        total = Fraction(0)
        for line in self.lines:
            part = max(0, min(line.span.end, instant) - line.span.start)
            if not part:
                continue
            if line.cost is None:
                return None
            total += Fraction(line.cost * part, line.span.length)
        return round(total)

    def between(self, start: Instant, end: Instant) -> Pico | None:
        """What was owed in a span."""
        before, after = self.until(start), self.until(end)
        return None if before is None or after is None else after - before

    @property
    def span(self) -> Interval | None:
        """From the first pod to the last."""
        if not self.lines:
            return None
        return Interval(min(line.span.start for line in self.lines), max(line.span.end for line in self.lines))


def placements(lines: Sequence[Line]) -> tuple[Placed, ...]:
    """Where a run was, in order of time."""
    found: list[list[Line]] = []
    here: dict[CapacityType, tuple[list[Line], Instant]] = {}
    for line in sorted(lines, key=lambda line: (line.span.start, line.span.end)):
        group, end = here.get(line.capacity_type, ([], 0))
        if not group or line.span.start > end + _APART:
            group, end = [], 0
            found.append(group)
        group.append(line)
        here[line.capacity_type] = group, max(end, line.span.end)
    return tuple(map(_placed, found))


def most_at_once(lines: Iterable[Line], amount: Callable[[Line], Number]) -> Number:
    """The largest sum of an amount over the lines that hold at one instant."""
    changes: dict[Instant, Number] = {}
    for line in lines:
        changes[line.span.start] = changes.get(line.span.start, 0) + amount(line)
        changes[line.span.end] = changes.get(line.span.end, 0) - amount(line)
    now: Number = 0
    most: Number = 0
    for instant in sorted(changes):
        now += changes[instant]
        most = max(most, now)
    return most


def _placed(group: Sequence[Line]) -> Placed:
    costs = [line.cost for line in group]
    priced = [cost for cost in costs if cost is not None]
    return Placed(
        span=Interval(min(one.span.start for one in group), max(one.span.end for one in group)),
        capacity_type=group[0].capacity_type,
        nodes=tuple(dict.fromkeys(line.node for line in group)),
        gpus=most_at_once(group, lambda line: line.gpus),
        cost=sum(priced) if len(priced) == len(costs) else None,
    )


def steps(money: Ledgered, progress: Progress) -> Steps | None:
    """How far the run came; None when it has said nothing."""
    if not progress.reports:
        return None
    counted = [one for one in progress.reports if one.step is not None]
    first, last = (counted[0], counted[-1]) if counted else (None, None)
    done = (last.step or 0) - (first.step or 0) if first is not None and last is not None else 0
    paid = money.between(first.at, last.at) if first is not None and last is not None and done > 0 else None
    return Steps(
        first=first.step if first is not None else None,
        last=last.step if last is not None else None,
        progress=next((one.progress for one in reversed(progress.reports) if one.progress is not None), None),
        per_step=None if paid is None else Fraction(paid, done),
        before_first=money.until(progress.reports[0].at),
        last_at=progress.reports[-1].at,
    )


def metric_costs(money: Ledgered, progress: Progress) -> tuple[MetricCost, ...]:
    """Every metric with a finite value, by name."""
    names = sorted({name for report in progress.reports for name in report.metrics})
    found = (_metric(name, money, progress.reports) for name in names)
    return tuple(one for one in found if one is not None)


def _metric(name: str, money: Ledgered, reports: Iterable[Report]) -> MetricCost | None:
    values = [(one.at, one.metrics[name]) for one in reports if math.isfinite(one.metrics.get(name, math.nan))]
    if not values:
        return None
    better = direction(name)
    best = values[-1]
    if better is not None:
        best = (min if better == "lower" else max)(values, key=lambda pair: pair[1])
    gained = abs(best[1] - values[0][1])
    paid = money.between(values[0][0], best[0]) if better is not None and gained else None
    return MetricCost(
        name=name,
        better=better,
        first=values[0][1],
        best=best[1],
        last=values[-1][1],
        per_improvement=None if paid is None else Fraction(paid) / Fraction(gained),
        since_best=money.between(best[0], values[-1][0]) if better is not None else None,
    )


def saves(progress: Progress) -> Saves:
    """What is known of the checkpoints."""
    found = progress.checkpoints
    gaps = [after.at - before.at for before, after in pairwise(found)]
    told = [one.duration for one in found if one.duration is not None]
    return Saves(
        count=len(found),
        last=found[-1].at if found else None,
        interval=sum(gaps) // len(gaps) if gaps else None,
        duration=sum(told) // len(told) if told else None,
    )


def seconds(duration: Micros | None) -> float | None:
    """As JSON numbers."""
    return None if duration is None else duration / SECOND
