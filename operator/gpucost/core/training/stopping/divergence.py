"""Divergence: values that are no numbers, or far worse than the run has been already.

"Far" is measured by the run's own noise: the best value plus six times the median absolute deviation of the values
before the suspicious ones, the newest 32 of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from gpucost.core.clock import Instant
from gpucost.core.training.stopping.finding import FINE, Finding
from gpucost.core.training.stopping.series import Point
from gpucost.core.training.stopping.spec import Divergence, Rule

NOT_FINITE = 2
"""Evaluations in a row that are not finite; a single one may be a batch that overflowed and was left out."""
WIDTH = 6.0
LEAST = 8
"""Values that a deviation needs."""
_WINDOW = 32
_FLOOR = 1e-2
"""A run that repeats itself exactly has no noise of its own; a hundredth of its best value is taken."""


def divergence(rule: Rule, kind: Divergence, found: Sequence[Point], since: Instant) -> Finding:
    """Holds for the newest evaluations, all from `since` on: when the run has come back, it does not."""
    recent = [point for point in found if point.at >= since]
    return _not_finite(rule, recent) or _far(rule, kind, recent) or FINE


def _not_finite(rule: Rule, recent: Sequence[Point]) -> Finding | None:
    tail = recent[-NOT_FINITE:]
    if len(tail) < NOT_FINITE or any(point.is_finite for point in tail):
        return None
    first = len(recent)
    while first and not recent[first - 1].is_finite:
        first -= 1
    at = f" (step {recent[first].step})" if recent[first].step is not None else ""
    evidence = f"{rule.metric} has not been finite for {len(recent) - first} evaluations{at}: {tail[-1].value:g}"
    return Finding(True, "NonFinite", evidence, bad_since=recent[first].at)


def _far(rule: Rule, kind: Divergence, recent: Sequence[Point]) -> Finding | None:
    finite = [point for point in recent if point.is_finite]
    before, tail = finite[: -kind.patience], finite[-kind.patience :]
    if len(before) < LEAST:
        return None
    best = min(before, key=lambda point: point.value)
    spread = deviation([point.value for point in before[-_WINDOW:]])
    limit = best.value + WIDTH * max(spread, _FLOOR * abs(best.value))
    if not all(point.value > limit for point in tail):
        return None
    evidence = (
        f"{rule.metric} is {rule.text(tail[-1].value)} and was beyond {rule.text(limit)} for {len(tail)} evaluations: "
        f"best {rule.text(best.value)}, median absolute deviation {spread:.3g}"
    )
    return Finding(True, "Diverged", evidence, bad_since=tail[0].at)


def deviation(values: Sequence[float]) -> float:
    """Median absolute deviation."""
    middle = median(values)
    return float(median(abs(value - middle) for value in values))
