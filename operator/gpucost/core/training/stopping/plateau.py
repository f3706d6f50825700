"""Plateau: a metric that has stopped getting better.

Values that are not finite say nothing about getting better, so they use up no patience.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpucost.core.clock import Instant
from gpucost.core.training.stopping.finding import FINE, Finding
from gpucost.core.training.stopping.series import Point
from gpucost.core.training.stopping.spec import Plateau, Rule


def plateau(rule: Rule, kind: Plateau, found: Sequence[Point], since: Instant) -> Finding:
    """Holds when the last `patience` finite evaluations, all from `since` on, brought no improvement."""
    finite = [point for point in found if point.is_finite]
    if not finite:
        return FINE
    best = finite[0]
    stale: list[Point] = []
    for point in finite[1:]:
        if point.value < best.value - kind.min_delta:
            best, stale = point, []
        elif point.at >= since:
            stale.append(point)
    if len(stale) < kind.patience:
        return FINE
    delta = f" by more than {kind.min_delta:g}" if kind.min_delta else ""
    evidence = (
        f"{rule.metric} has not improved{delta} in {len(stale)} evaluations: best {rule.text(best.value)}{_at(best)}, "
        f"now {rule.text(finite[-1].value)}{_at(finite[-1])}"
    )
    return Finding(True, "Plateau", evidence)


def _at(point: Point) -> str:
    return f" at step {point.step}" if point.step is not None else ""
