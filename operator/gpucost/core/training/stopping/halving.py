"""Asynchronous successive halving (ASHA): at rungs r, r x eta, r x eta^2, ... only the top 1/eta of the runs go on.

Nobody waits for anybody: a run is judged when it comes to a rung, by the runs that came there before it. Whoever came
first is never judged again by those who come later, so a decision does not depend on when it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpucost.core.clock import Instant
from gpucost.core.training.stopping.finding import FINE, Finding, unknown
from gpucost.core.training.stopping.series import Point
from gpucost.core.training.stopping.spec import Halving, Rule
from gpucost.core.training.stopping.trials import Curve, Trial, comparable, curve_of

_MOST_RUNGS = 64


def halving(rule: Rule, kind: Halving, own: Sequence[Point], trials: Iterable[Trial], since: Instant) -> Finding:
    """Judged at the highest rung that the run has come to since `since`."""
    curve = curve_of(own)
    reached = [(rung, point) for rung in rungs(kind) if (point := at_rung(curve, rung, kind.reduction)) is not None]
    if not reached or reached[-1][1].at < since:
        return FINE
    rung, mine = reached[-1]
    if not mine.is_finite:
        return Finding(True, "SuccessiveHalving", f"{rule.metric} is {mine.value:g} at the rung of step {rung}")
    arrived = [point for one in comparable(trials, rule) if (point := at_rung(one, rung, kind.reduction)) is not None]
    competing = [mine.value, *(point.value for point in arrived if point.at <= mine.at)]
    if len(competing) < kind.reduction:
        message = f"fewer than {kind.reduction} runs with its label {kind.group} had come to step {rung}"
        return unknown("TooFewTrials", message)
    go_on = len(competing) // kind.reduction
    rank = sum(value < mine.value for value in competing)
    if rank < go_on:
        return FINE
    limit = sorted(competing)[go_on - 1]
    evidence = (
        f"{rule.metric} was {rule.text(mine.value)} at step {mine.step}: number {rank + 1} of {len(competing)} runs at "
        f"the rung of step {rung}, where the best {go_on} go on (at {rule.text(limit)} or better)"
    )
    return Finding(True, "SuccessiveHalving", evidence)


def rungs(kind: Halving) -> list[int]:
    """Steps at which runs are judged; the last step of all is no rung, because nothing is left to save there."""
    result: list[int] = []
    rung = kind.min_steps
    while len(result) < _MOST_RUNGS and (kind.max_steps is None or rung < kind.max_steps):
        result.append(rung)
        rung *= kind.reduction
    return result


def at_rung(curve: Curve, rung: int, reduction: int) -> Point | None:
    """The first report at a rung or after it; None when there is none before the next rung."""
    point = curve.first_from(rung)
    return point if point is not None and (point.step or 0) < rung * reduction else None
