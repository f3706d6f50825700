"""Target: the run is as good as it has to be; going on would only cost."""

from __future__ import annotations

from collections.abc import Sequence

from gpucost.core.clock import Instant
from gpucost.core.training.stopping.finding import FINE, Finding
from gpucost.core.training.stopping.series import Point
from gpucost.core.training.stopping.spec import Rule, Target


def target(rule: Rule, kind: Target, found: Sequence[Point], since: Instant) -> Finding:
    """Holds when `patience` evaluations one after the other, up to the newest, are at the target or better.

    A target that was reached before `since` has done its part: whoever resumed the run knows that it is reached.
    """
    goal = rule.sign * kind.target
    row: list[Point] = []
    for point in found:
        row = [*row, point] if point.is_finite and point.value <= goal else []
        if len(row) >= kind.patience and point.at < since:
            return FINE
    if len(row) < kind.patience:
        return FINE
    times = f" in {len(row)} evaluations" if len(row) > 1 else ""
    at = f" at step {row[-1].step}" if row[-1].step is not None else ""
    evidence = f"{rule.metric} is {rule.text(row[-1].value)}{at}, as good as the target {kind.target:g}{times}"
    return Finding(True, "TargetReached", evidence)
