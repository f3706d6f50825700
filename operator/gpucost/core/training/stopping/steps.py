"""The steps of a plan that stop a run, and that give a stop back to the user."""

from __future__ import annotations

from gpucost.core.actions import Decision
from gpucost.core.training import memory
from gpucost.core.training.case import Case
from gpucost.core.training.patches import patch_of, suspension
from gpucost.core.training.report import report
from gpucost.core.training.stopping import stop as stops


def early_stop(case: Case) -> Decision | None:
    """A rule holds, was told for as long as it has to be, and a last checkpoint was waited for."""
    stop = case.course.stop
    job = case.state.job
    if stop is None or job is None or job.suspend or case.unstopped.placement is None:
        return None
    notes = {
        **memory.suspending(stops.RESTART if stop.restart else stops.STOP, case.now),
        **stops.remembered(stop),
    }
    return report(case, None, (suspension(case, notes, "EarlyStopped", f"{stop.rule}: {stop.evidence}"),))


def taken_over(case: Case) -> Decision | None:
    """The user suspends what a rule has stopped: from now on it is their suspension, and ends with it."""
    stop = case.stop
    if stop is None or not case.spec.suspend:
        return None
    notes = {**stops.over(stop, case.now), memory.SUSPEND_REASON: memory.USER_SPEC}
    return report(case, None, (patch_of(case, notes, reason="Suspended", message="the specification says suspend"),))
