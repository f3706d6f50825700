"""From reports to evaluations of one metric: what is only repeated, or trained a second time, is no new evidence.

A message of a run carries the newest value of every metric, also of one that is evaluated once an epoch. So a value
counts when it differs from the one before it, or when so much time has passed that it must have been evaluated again.
Steps that were done before an interruption, and are done again after it, do not count twice either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from gpucost.core.clock import Instant, Micros
from gpucost.core.training.progress import Progress

_GAPS = 16


@dataclass(frozen=True, slots=True)
class Point:
    """One evaluation; `value` is multiplied by the rule's sign, so that smaller is better."""

    at: Instant
    step: int | None
    value: float

    @property
    def is_finite(self) -> bool:
        """Whether it is a number at all."""
        return math.isfinite(self.value)


def points(progress: Progress, metric: str, sign: int = 1) -> tuple[Point, ...]:
    """Every report of a metric, repetitions among them. One without a step, such as the answer to a query, belongs to
    the step that the run was at."""
    found: list[Point] = []
    step: int | None = None
    for report in progress.reports:
        step = report.step if report.step is not None else step
        if metric in report.metrics:
            found.append(Point(report.at, step, sign * report.metrics[metric]))
    return tuple(found)


def evaluations(progress: Progress, metric: str, sign: int, *, period: Micros) -> tuple[Point, ...]:
    """The evaluations of a metric, oldest first; `period`: when an unchanged value counts again while nothing is known
    of how often it changes."""
    found = points(progress, metric, sign)
    return tuple(_first_time(_without_repetitions(found, _period(found, period))))


def by_step(progress: Progress, metric: str, sign: int) -> tuple[Point, ...]:
    """Reports of a metric with a step, each step once: what several runs are compared by."""
    result: list[Point] = []
    for point in points(progress, metric, sign):
        if point.step is not None and (not result or point.step > (result[-1].step or 0)):
            result.append(point)
    return tuple(result)


def _without_repetitions(found: Sequence[Point], period: Micros) -> Iterable[Point]:
    last: Point | None = None
    for point in found:
        if last is None or not _same(point.value, last.value) or point.at - last.at >= period:
            last = point
            yield point


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _period(found: Sequence[Point], default: Micros) -> Micros:
    """Twice the usual time between two values that differ."""
    changes = [b.at for a, b in pairwise(found) if not _same(a.value, b.value)][-_GAPS - 1 :]
    gaps = [b - a for a, b in pairwise(changes)]
    return 2 * int(median(gaps)) if len(gaps) >= 2 else default


def _first_time(found: Iterable[Point]) -> Iterable[Point]:
    """Without steps that are not beyond the furthest one so far; the same step may be evaluated several times."""
    furthest = -1
    for point in found:
        if point.step is None or point.step >= furthest:
            furthest = max(furthest, point.step if point.step is not None else furthest)
            yield point
