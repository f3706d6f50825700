"""Runs that are compared with each other, brought to the same step.

A run that reported a value which is not finite is left out of every comparison: whatever it is compared by would be not
finite too, and would stop the others or never stop one. Every run of a group is compared with every other one, so what
is asked of a run is worked out once for what it has said.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gpucost.core.training.progress import Progress
from gpucost.core.training.stopping.series import Point, by_step
from gpucost.core.training.stopping.spec import Rule


@dataclass(frozen=True, slots=True)
class Curve:
    """A run's values of one metric by step, and their running means."""

    ats: array[int]
    steps: array[int]
    values: array[float]
    means: array[float]
    is_sound: bool
    """Whether there is any value, and each is finite."""

    def mean_at(self, step: int) -> float | None:
        """Mean over the steps up to one; None for a run that has not come so far."""
        if not self.steps or self.steps[-1] < step:
            return None
        index = bisect_right(self.steps, step) - 1
        return self.means[index] if index >= 0 else None

    def first_from(self, step: int) -> Point | None:
        """The first value at a step or after it."""
        index = bisect_left(self.steps, step)
        return Point(self.ats[index], self.steps[index], self.values[index]) if index < len(self.steps) else None


def curve_of(found: Sequence[Point]) -> Curve:
    """Points with steps as a curve.

    In a running mean each value stands for the steps since the one before it, so that a history from which old reports
    were dropped has the mean that the whole one had.
    """
    means = array("d")
    last, total, weight = 0, 0.0, 0
    for point in found:
        step = point.step or 0
        steps = max(1, step - last)
        total, weight, last = total + point.value * steps, weight + steps, step
        means.append(total / weight)
    return Curve(
        ats=array("q", (point.at for point in found)),
        steps=array("q", (point.step or 0 for point in found)),
        values=array("d", (point.value for point in found)),
        means=means,
        is_sound=bool(found) and all(point.is_finite for point in found),
    )


@dataclass(frozen=True, slots=True)
class Trial:
    """Another run of the group."""

    name: str
    progress: Progress
    _curves: dict[tuple[str, int], Curve] = field(default_factory=dict, compare=False, repr=False)

    def curve(self, rule: Rule) -> Curve:
        """What it has reported of a rule's metric."""
        key = (rule.metric, rule.sign)
        found = self._curves.get(key)
        if found is None:
            found = self._curves[key] = curve_of(by_step(self.progress, *key))
        return found


def comparable(trials: Iterable[Trial], rule: Rule) -> list[Curve]:
    """The other runs' curves, of those that are sound."""
    return [curve for trial in trials if (curve := trial.curve(rule)).is_sound]
