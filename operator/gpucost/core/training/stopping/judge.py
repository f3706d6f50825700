"""Ask every rule of a run what it finds, each at its time: not before the grace period, and aloud when it is blind."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gpucost.core.clock import HOUR, MINUTE, Instant, Micros, format_duration
from gpucost.core.training.progress import Progress
from gpucost.core.training.stopping import divergence, halving, idle, learning_curve, median, plateau, target
from gpucost.core.training.stopping.budget import Spending
from gpucost.core.training.stopping.finding import FINE, Finding, unknown
from gpucost.core.training.stopping.series import by_step, evaluations
from gpucost.core.training.stopping.spec import (
    GROUPED,
    IDLE,
    Divergence,
    Halving,
    LearningCurve,
    Median,
    Mode,
    Plateau,
    Rule,
    Stopping,
    Target,
)
from gpucost.core.training.stopping.trials import Trial

Groups = Mapping[str, Sequence[Trial] | None]
"""The other runs of a group by its label; None: the run itself has no such label."""
_REMAINING = 365 * 24 * HOUR
_REPEATED: Micros = 10 * MINUTE
"""An unchanged value may be a new evaluation after so long at the earliest, while nobody knows how often it changes."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that rules look at."""

    progress: Progress = field(default_factory=Progress)
    groups: Groups = field(default_factory=dict)
    workers: Sequence[idle.Worker] = ()
    running_since: Instant | None = None
    """Since when all workers run; None while one does not."""
    spending: Spending | None = None
    measured_since: Instant = 0
    """Since when this operator has measured what GPUs do."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One rule and what it found."""

    name: str
    mode: Mode
    warning: Micros
    needs_checkpoint: bool
    finding: Finding
    restarts: int = 0
    """How often the run is started again from its last good checkpoint before it is stopped."""


def judge(what: Stopping, seen: Evidence, *, since: Instant, now: Instant) -> tuple[Judged, ...]:
    """All rules but the budget, in the order of the specification; `since`: the last resumption after a stop."""
    result = []
    for rule in what.rules:
        restarts = rule.kind.restarts if isinstance(rule.kind, Divergence) else 0
        needs = rule.needs_checkpoint and not isinstance(rule.kind, Divergence)
        found = _find(rule, seen, since, now)
        result.append(Judged(rule.name, rule.mode, rule.warning, needs, found, restarts))
    if what.idle is not None:
        found = idle.idle(what.idle, seen.workers, seen.progress, idle.Times(now, since, seen.measured_since))
        result.append(Judged(IDLE, what.idle.mode, what.idle.warning, what.idle.needs_checkpoint, found))
    return tuple(result)


def _find(rule: Rule, seen: Evidence, since: Instant, now: Instant) -> Finding:
    if (blind := _blind(rule, seen, now)) is not None:
        return blind
    first = seen.progress.reports[0].at if seen.progress.reports else now
    if seen.progress.latest is None or seen.progress.latest.at - max(first, since) < rule.grace:
        return FINE
    return _apply(rule, seen, since)


def _blind(rule: Rule, seen: Evidence, now: Instant) -> Finding | None:
    """A rule that has nothing to look at says so when the grace period is over."""
    if any(rule.metric in report.metrics for report in seen.progress.reports):
        if isinstance(rule.kind, GROUPED) and all(report.step is None for report in seen.progress.reports):
            message = "reports have no step, by which runs could be compared: report it (gpucost.sdk does)"
            return unknown("NoSteps", message, loud=True)
        if isinstance(rule.kind, GROUPED) and seen.groups.get(rule.kind.group) is None:
            message = f"the TrainingJob has no label {rule.kind.group}, whose value names the runs to compare with"
            return unknown("NoGroup", message, loud=True)
        return None
    if seen.running_since is None or now - seen.running_since < rule.grace:
        return unknown("NoReports", f"{rule.metric} was not reported yet")
    names = sorted({name for report in seen.progress.reports for name in report.metrics})
    message = (
        f"no report has named {rule.metric} in {format_duration(rule.grace)} of training; {_reported(rule, names)}"
    )
    return unknown("MetricMissing", message, loud=True)


def _reported(rule: Rule, names: Sequence[str]) -> str:
    if not names:
        return "the run reports no metrics at all: see spec.metrics"
    near = difflib.get_close_matches(rule.metric, names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"{hint}It reports {shown}"


def _apply(rule: Rule, seen: Evidence, since: Instant) -> Finding:
    if isinstance(rule.kind, GROUPED):
        return _compared(rule, rule.kind, seen, since)
    begins = since if isinstance(rule.kind, Divergence) else 0  # what is trained again may go wrong again
    found = evaluations(seen.progress.since(begins), rule.metric, rule.sign, period=max(rule.grace, _REPEATED))
    match rule.kind:
        case Plateau() as kind:
            return plateau.plateau(rule, kind, found, since)
        case Target() as kind:
            return target.target(rule, kind, found, since)
        case Divergence() as kind:
            return divergence.divergence(rule, kind, found, since)
        case LearningCurve() as kind:
            cost = remaining_cost(seen.progress, seen.spending)
            return learning_curve.learning_curve(rule, kind, found, seen.progress, since, remaining_cost=cost)
    return FINE


def _compared(rule: Rule, kind: Median | Halving, seen: Evidence, since: Instant) -> Finding:
    own, trials = by_step(seen.progress, rule.metric, rule.sign), seen.groups.get(kind.group) or ()
    if isinstance(kind, Median):
        return median.median(rule, kind, own, trials, since)
    return halving.halving(rule, kind, own, trials, since)


def remaining_cost(progress: Progress, spending: Spending | None) -> float | None:
    """What the run will cost until its end by its own word; None when it gives none, or has no price."""
    left = next((one.remaining for one in reversed(progress.reports) if one.remaining is not None), None)
    if left is None or spending is None or spending.hourly is None:
        return None
    return float(spending.hourly) * min(left, _REMAINING) / HOUR
