"""Runs that are compared with each other, brought to the same step.

A run that reported a value which is not finite is left out of every comparison: whatever it is compared by would be not
finite too, and would stop the others or never stop one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpucost.core.training.progress import Progress
from gpucost.core.training.stopping.series import Point, by_step
from gpucost.core.training.stopping.spec import Rule


@dataclass(frozen=True, slots=True)
class Trial:
    """Another run of the group."""

    name: str
    progress: Progress


def comparable(trials: Iterable[Trial], rule: Rule) -> list[tuple[Point, ...]]:
    """The other runs' values by step, of those that are sound."""
    found = (by_step(trial.progress, rule.metric, rule.sign) for trial in trials)
    return [one for one in found if one and all(point.is_finite for point in one)]


def up_to(found: Sequence[Point], step: int) -> Sequence[Point]:
    """The part up to and including a step."""
    return found[: bisect_right(found, step, key=lambda point: point.step or 0)]


def running_mean(found: Sequence[Point], step: int) -> float | None:
    """Mean over the steps up to one; None for a run that has not come so far.

    Each value stands for the steps since the one before it, so that a history from which old reports were dropped has
    the mean that the whole one had.
    """
    if not found or (found[-1].step or 0) < step:
        return None
    part = up_to(found, step)
    if not part:
        return None
    last, total, weight = 0, 0.0, 0
    for point in part:
        steps = max(1, (point.step or 0) - last)
        total, weight, last = total + point.value * steps, weight + steps, point.step or 0
    return total / weight
