"""The condition `Ready`: whether the world is as the specification asks right now, and if not, why and what helps."""

from __future__ import annotations

from typing import NamedTuple

from gpucost.core.actions import stored_condition
from gpucost.core.clock import format_duration
from gpucost.core.model import Job
from gpucost.core.training import gang, memory, observe, queueing
from gpucost.core.training.case import Case
from gpucost.core.training.duplicates import AVOIDED, avoided
from gpucost.core.training.manifest import template_hash
from gpucost.core.training.memory import moment
from gpucost.core.training.state import TrainingState
from gpucost.core.training.stopping.spec import BUDGET
from gpucost.core.training.stopping.story import summary
from gpucost.core.training.wish import name_of

_EXIT_ZERO = "InterruptedWithExitZero"
_TERMINATIONS = "TooManyTerminations"
_GANG_WORDS = "some workers could not start in time and the others were released; tried again"


class Verdict(NamedTuple):
    """Status, reason and message of the condition `Ready`."""

    ready: bool
    reason: str
    message: str = ""


def ended(state: TrainingState) -> Verdict | None:
    """How the run has ended, for good; None while it has not. Stays when the Job is cleaned away."""
    job = state.job
    if job is None:
        never_began = avoided(state)
        return Verdict(*never_began) if never_began is not None else _ended_before(state)
    if (failed := job.condition("Failed")) is not None:
        return Verdict(False, failed.reason or "Failed", failed.message)
    if job.condition("Complete") is not None:
        return _not_really(state, job) or Verdict(True, "Complete", "the training run is complete")
    return _ran_away(job)


def _ended_before(state: TrainingState) -> Verdict | None:
    for kind in ("Complete", "Failed"):
        before = stored_condition(state.status, kind)
        if before.get("status") == "True" and before.get("reason") not in {_EXIT_ZERO, _TERMINATIONS, *AVOIDED}:
            return Verdict(kind == "Complete", str(before.get("reason")), str(before.get("message") or ""))
    return None


def _not_really(state: TrainingState, job: Job) -> Verdict | None:
    """A Job that Kubernetes counts as complete though a worker was only interrupted, and ended with exit code 0.

    The pod that proves it may be cleaned away later; what was stored about the same Job then still holds.
    """
    stored = stored_condition(state.status, "Failed")
    if stored.get("status") == "True" and stored.get("reason") == _EXIT_ZERO:
        return Verdict(False, _EXIT_ZERO, str(stored.get("message") or ""))
    pod = observe.interrupted_success(job, state.pods)
    if pod is None:
        return None
    message = (
        f"pod {pod.name} was interrupted ({pod.disruption or 'evicted'}) and ended with exit code 0, which Kubernetes "
        f"takes for complete; end with 143 on SIGTERM, then delete {job.kind} {job.name} "
        "to go on from the last checkpoint"
    )
    return Verdict(False, _EXIT_ZERO, message)


def _ran_away(job: Job) -> Verdict | None:
    if not job.suspend or job.annotations.get(memory.SUSPEND_REASON) != memory.EXIT_CAP:
        return None
    if not memory.recall(job).suspended:
        return None
    message = (
        "workers ended with exit code 143 again and again though nobody interrupted them; correct the program, then "
        f"delete Job {job.name} to start again"
    )
    return Verdict(False, _TERMINATIONS, message)


def verdict_of(case: Case) -> Verdict:
    """What the condition says of a Job that is ours."""
    over = ended(case.state)
    job = case.state.job
    if over is not None or job is None:
        return over or Verdict(False, "Creating", "the Job does not exist yet")
    if case.spec.template is not None and case.memory.template_hash not in {"", template_hash(case.spec)}:
        return _template_changed(job)
    return why_suspended(case, job) if job.suspend else _running(case, job)


def _template_changed(job: Job) -> Verdict:
    message = (
        f"a Job cannot take over a changed template; delete Job {job.name} to start again with it, "
        "or set the template back to go on"
    )
    return Verdict(False, "TemplateChanged", message)


def why_suspended(case: Case, job: Job) -> Verdict:
    """Who or what keeps a suspended Job from running."""
    if (over := ended(case.state)) is not None:
        return over
    if case.is_hands_off:
        return _held_by_queue(case, job)
    if not case.memory.suspended:
        words = f"somebody else suspended the {job.kind} and only they resume it: "
        command = f"""kubectl patch {job.kind.lower()} {job.name} --type=merge -p '{{"spec":{{"suspend":false}}}}'"""
        return Verdict(False, "SuspendedByOther", words + command)
    if case.target.holds:
        return _pool_unknown(case)
    return _suspended_by_us(case)


def _suspended_by_us(case: Case) -> Verdict:
    if case.stop is not None:
        reason = "BudgetExceeded" if case.stop.rule == BUDGET else "EarlyStopped"
        return Verdict(True, reason, summary(case.stop, case.state.key))
    if case.target.placement is not None and (stop := case.remembered.stop) is not None:
        message = summary(stop, case.state.key) if stop.restart else "resuming: the stop was taken back"
        return Verdict(False, "Restarting" if stop.restart else "Resuming", message)
    if case.target.placement is not None:
        where = f"{name_of(case.target.placement)} capacity"
        if case.memory.placement is case.target.placement:
            return Verdict(False, "Resuming", f"resuming on {where}")
        return Verdict(False, "Moving", f"moving to {where}")
    if (again := gang.retry_at(case.memory)) is not None and not case.spec.suspend:
        return Verdict(False, "GangReleased", f"{_GANG_WORDS} at {moment(again)}")
    return held(case)


def held(case: Case) -> Verdict:
    """What keeps a run from running that should not run now."""
    if case.spec.suspend:
        return Verdict(True, "Suspended", "spec.suspend is true")
    until = f" before {moment(case.wish.until)}" if case.wish.until is not None else ""
    return Verdict(True, "OutsideWindow", f"paused: no window opens{until}")


def _held_by_queue(case: Case, job: Job) -> Verdict:
    if not job.queue:
        return Verdict(False, "Queued", f"controller {job.managed_by} decides when the {job.kind} runs")
    if case.memory.suspended and case.target.placement is None and not case.target.holds:
        return _suspended_by_us(case)
    if case.memory.suspended:
        return Verdict(False, "Queued", f"goes back into queue {job.queue} (Kueue)")
    return Verdict(*queueing.waiting(case.state.entry, job.queue))


def _pool_unknown(case: Case) -> Verdict:
    if case.target.obstacle:
        return Verdict(False, "PlacementNotPossible", case.target.obstacle)
    wished = name_of(case.wish.placement)
    field = {"Spot": "spot", "OnDemand": "onDemand"}.get(wished, "spot")
    message = (
        f"nobody knows how {wished} nodes are selected: no node carries a capacity-type label of Karpenter, EKS, GKE "
        f"or AKS; set spec.placement.{field}.nodeSelector"
    )
    return Verdict(False, "PoolUnknown", message)


def _against_the_wish(case: Case, job: Job) -> Verdict | None:
    """It runs, should not, and somebody else holds the switch."""
    if not case.is_hands_off or case.target.placement is not None or case.target.holds:
        return None
    if case.switch is job:
        holder = f"queue {job.queue}" if job.queue else f"controller {job.managed_by}"
        seen = "; its Workload cannot be seen, so it cannot be taken out" if job.queue else ""
        return Verdict(False, "NotStopped", f"it should not run now, but only {holder} stops the {job.kind}{seen}")
    if case.is_overridden:
        return Verdict(False, "Overridden", f"somebody else put it back into queue {job.queue}; it is left alone")
    return Verdict(False, "Stopping", f"it is being taken out of queue {job.queue} (Kueue)")


def _running(case: Case, job: Job) -> Verdict:
    if (against := _against_the_wish(case, job)) is not None:
        return against
    if case.is_overridden and not case.is_hands_off:
        until = f" until {moment(case.wish.until)}" if case.wish.until is not None else " until the spec changes"
        return Verdict(False, "Overridden", f"somebody else resumed the {job.kind}; it is left alone{until}")
    if case.target.pool_missing and not case.is_hands_off:
        return _pool_unknown(case)
    if observe.is_running(job):
        return Verdict(True, "Running", _refusal_note(case) or _queue_note(case, job))
    words = observe.waiting(case.state.pods)
    if words is not None:
        return Verdict(False, "Waiting", _joined(f"{words.reason}: {words.message}", _waiting_note(case)))
    return Verdict(False, "Starting", "the workers are starting")


def _queue_note(case: Case, job: Job) -> str:
    """Said where it matters: the queue has chosen another place than the specification."""
    wished = case.wish.placement
    if not job.queue or wished is None or case.placement in {None, wished}:
        return ""
    return queueing.placed_by(case.state.entry, job.queue)


def _refusal_note(case: Case) -> str:
    if not case.is_refused or case.is_hands_off:
        return ""
    here, timeout = name_of(case.target.placement), format_duration(case.spec.placement.scheduling_timeout)
    again = case.wish.until or case.refusal_expires
    when = f" before {moment(again)}" if again is not None else ""
    return f"on {here}: no {name_of(case.wish.placement)} node within {timeout}; not tried again{when}"


def _waiting_note(case: Case) -> str:
    since, limit = case.unscheduled_since, case.spec.placement.scheduling_timeout
    if since is None or case.is_hands_off:
        return ""
    if case.fallback is not None:
        return f"back to {name_of(case.fallback)} at {moment(since + limit)}"
    if case.is_auto:
        by = case.view.choice.on_demand_by if case.view.choice is not None else None
        return f"on-demand capacity from {moment(by)} at the latest" if by is not None else ""
    return _refusal_note(case) or f"stays on {name_of(case.target.placement)}: the spec names no other capacity"


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)[:8192]
