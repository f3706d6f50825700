"""Learning curve: a power law through the tail of the curve says whether the target can still be reached.

The model is y = a + b t^-c with b >= 0. How sure it is comes from a bootstrap of its residuals: each resampled curve is
fitted again, with its own exponent, and has its own value at the last step, noise included. The resampling is the same
at every call, because a decision must not depend on who looks at it, or how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import mul
from statistics import median

from gpucost.core.clock import Instant
from gpucost.core.training.progress import Progress
from gpucost.core.training.stopping.finding import FINE, Finding, unknown
from gpucost.core.training.stopping.series import Point
from gpucost.core.training.stopping.spec import LearningCurve, Rule

PROBABILITY = 0.05
"""Below this the target counts as out of reach."""
LEAST = 12
"""Evaluations that a fit needs."""
LEAST_PART = 4
"""One part in so many of the run has to be over: before that, recorded curves are seldom power laws yet."""
_TAIL = 32
_SAMPLES = 200
_EXPONENTS, _LEAST_EXPONENT, _LARGEST_EXPONENT = 16, 0.05, 3.0
_SEED = 20_261_101


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the last step will bring."""

    probability: float
    """That the value then is at the limit or below."""
    expected: float


def learning_curve(
    rule: Rule,
    kind: LearningCurve,
    found: Sequence[Point],
    progress: Progress,
    since: Instant,
    *,
    remaining_cost: float | None,
) -> Finding:
    """Holds when the last step will most likely not beat the target, and what is still gained is not worth its price.

    `remaining_cost`: what the run will cost until its end; None when nobody knows.
    """
    finite = [point for point in found if point.is_finite and point.step]
    if len(finite) < LEAST or len([point for point in finite if point.at >= since]) < LEAST // 2:
        return FINE
    last = kind.max_steps or _last_step(progress)
    if last is None:
        message = "the run tells no progress from which its last step would follow: set maxSteps"
        return unknown("LastStepUnknown", message, loud=True)
    limit = rule.sign * kind.target - kind.min_delta
    done = finite[-1].step or 0
    if not last <= LEAST_PART * done < LEAST_PART * last or min(point.value for point in finite) <= limit:
        return FINE
    seen = forecast([(point.step or 0, point.value) for point in finite], last, limit)
    if seen.probability >= PROBABILITY:
        return FINE
    evidence = (
        f"{rule.metric} will be about {rule.text(seen.expected)} at step {last}; that it beats {kind.target:g} has a "
        f"probability of {100 * seen.probability:.1f} % (power law through {len(finite)} evaluations)"
    )
    gain = max(0.0, min(point.value for point in finite) - seen.expected)
    return _worth(kind, gain, remaining_cost, evidence)


def _worth(kind: LearningCurve, gain: float, cost: float | None, evidence: str) -> Finding:
    if kind.min_gain_per_cost is None:
        return Finding(True, "LearningCurve", evidence)
    if not cost:
        return unknown("CostUnknown", "what the run will still cost is not known, so neither is what a gain is worth")
    if gain / cost >= kind.min_gain_per_cost:
        return FINE
    return Finding(True, "LearningCurve", f"{evidence}; expected gain per unit of money {gain / cost:.3g}")


def _last_step(progress: Progress) -> int | None:
    """The last step, by the newest report that tells both a step and how much of the work that is."""
    for report in reversed(progress.reports):
        if report.step and report.progress:
            return round(report.step / report.progress)
    return None


def forecast(curve: Sequence[tuple[int, float]], last: int, limit: float) -> Forecast:
    """Value at step `last` of a curve of (step, value), smaller being better."""
    tail = curve[-min(_TAIL, max(LEAST, 3 * len(curve) // 4)) :]
    laws = _laws([step for step, _ in tail], last)
    fitted, _ = _fit(laws, [value for _, value in tail])
    residuals = [value - fit for (_, value), fit in zip(tail, fitted, strict=True)]
    finals = []
    for *drawn, noise in _draws(len(tail)):
        sample = [fit + residuals[index] for fit, index in zip(fitted, drawn, strict=True)]
        finals.append(_fit(laws, sample)[1] + residuals[noise])
    return Forecast(sum(final <= limit for final in finals) / len(finals), median(finals))


@dataclass(frozen=True, slots=True)
class _Law:
    """t^-c for one exponent, at the steps of the tail, without its mean."""

    centred: Sequence[float]
    mean: float
    square: float
    at_last: float


def _laws(steps: Sequence[int], last: int) -> list[_Law]:
    laws = []
    for index in range(_EXPONENTS):
        exponent = _LEAST_EXPONENT * (_LARGEST_EXPONENT / _LEAST_EXPONENT) ** (index / (_EXPONENTS - 1))
        powers = [(step / steps[-1]) ** -exponent for step in steps]
        mean = sum(powers) / len(powers)
        centred = [power - mean for power in powers]
        square = sum(map(mul, centred, centred))
        laws.append(_Law(centred, mean, square, (last / steps[-1]) ** -exponent))
    return laws


def _fit(laws: Sequence[_Law], values: Sequence[float]) -> tuple[list[float], float]:
    """Least squares over all exponents: the fitted values, and the one at the last step. A slope that would make the
    curve worse with time is none."""
    mean = sum(values) / len(values)
    best, slope, gain = laws[0], 0.0, 0.0
    for law in laws:
        product = sum(map(mul, law.centred, values))
        if product > 0 and law.square > 0 and product * product / law.square > gain:
            best, slope, gain = law, product / law.square, product * product / law.square
    fitted = [mean + slope * power for power in best.centred]
    return fitted, mean + slope * (best.at_last - best.mean)


@lru_cache(maxsize=64)
def _draws(count: int) -> tuple[tuple[int, ...], ...]:
    """Indices that resample `count` residuals, and one more for the noise of the last value; the same every time."""
    state, rows = _SEED, []
    for _ in range(_SAMPLES):
        row = []
        for _ in range(count + 1):
            state = (6364136223846793005 * state + 1442695040888963407) % 2**64  # Knuth's MMIX generator
            row.append((state >> 33) % count)
        rows.append(tuple(row))
    return tuple(rows)
