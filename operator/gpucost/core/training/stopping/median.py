"""Median rule: the best value so far is worse than the median of the other runs' running means at the same step.

Vizier's rule, which Ray follows too. A mean in place of the median would let one bad run decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median as middle

from gpucost.core.clock import Instant
from gpucost.core.training.stopping.finding import FINE, Finding, unknown
from gpucost.core.training.stopping.series import Point
from gpucost.core.training.stopping.spec import Median, Rule
from gpucost.core.training.stopping.trials import Trial, comparable

LEAST_SAMPLES = 3
"""Own reports, from the last resumption on, before the run is compared."""


def median(rule: Rule, kind: Median, own: Sequence[Point], trials: Iterable[Trial], since: Instant) -> Finding:
    """Judged at the run's own newest step, against every other run that has come so far."""
    finite = [point for point in own if point.is_finite]
    if len([point for point in finite if point.at >= since]) < LEAST_SAMPLES:
        return FINE
    step = finite[-1].step or 0
    if step < kind.min_steps:
        return FINE
    means = [mean for one in comparable(trials, rule) if (mean := one.mean_at(step)) is not None]
    if len(means) < kind.min_trials:
        message = f"fewer than {kind.min_trials} other runs with its label {kind.group} have come to the same step"
        return unknown("TooFewTrials", message)
    best, limit = min(finite, key=lambda point: point.value), middle(means)
    if best.value <= limit:
        return FINE
    evidence = (
        f"best {rule.metric} up to step {step} is {rule.text(best.value)}, worse than {rule.text(limit)}, the median "
        f"of the running means of {len(means)} other runs"
    )
    return Finding(True, "Median", evidence)
