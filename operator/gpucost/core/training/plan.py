"""What to do about one TrainingJob: the steps, in order, each a function of what is there now.

Nothing is remembered between passes except in the Job's own annotations (`memory`), so a step may be cut off by a crash
before or after any write and the next pass goes on from what it finds. The protocol of a move and what was decided
against is told in `docs/decisions/moves.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gpucost.core.actions import Action, CreateJob, CreateService, Decision
from gpucost.core.clock import format_duration
from gpucost.core.model import CapacityType, Job
from gpucost.core.training import gang, memory, observe, queueing
from gpucost.core.training.auto import moves
from gpucost.core.training.case import Case
from gpucost.core.training.duplicates import awaited
from gpucost.core.training.manifest import job_manifest, service_manifest, template_hash
from gpucost.core.training.memory import Annotations, moment
from gpucost.core.training.patches import patch_of, resumption, suspension
from gpucost.core.training.report import Verdict, invalid, report
from gpucost.core.training.runs.plan import plan_runs
from gpucost.core.training.state import Interruption, TrainingContext, TrainingState
from gpucost.core.training.stopping import stop as stops
from gpucost.core.training.stopping.spec import Divergence
from gpucost.core.training.stopping.steps import early_stop, taken_over
from gpucost.core.training.validate import Problem, problems, too_late
from gpucost.core.training.verdict import ended, held
from gpucost.core.training.wish import name_of

__all__ = ["Interruption", "TrainingContext", "TrainingState", "plan"]

_LEAST_CAP = 3
Step = Callable[[Case], Decision | None]


def plan(state: TrainingState, context: TrainingContext) -> Decision:
    """Decide what follows for one TrainingJob. Total: bad input becomes the condition `Invalid`, never an exception."""
    found = [Problem(*one) for one in state.problems]
    if state.spec is not None:
        found += problems(state.spec, name=state.key.name)
    if state.spec is not None and state.job is None and ended(state) is None:
        found += too_late(state.spec, context.now)
    if state.spec is None or found:
        return invalid(state, found or [Problem("spec", "could not be read")])
    case = Case(state, context, state.spec)
    return next(decision for step in _STEPS if (decision := step(case)) is not None)


# --- who owns what ----------------------------------------------------------------------------------------------------


def _ended_before(case: Case) -> Decision | None:
    """A run that has ended stays ended when its Job is cleaned away; one that is known already never begins."""
    return report(case) if case.state.job is None and ended(case.state) is not None else None


def _same_run_goes_on(case: Case) -> Decision | None:
    """With Reuse the result of the same run is waited for."""
    run = awaited(case.state)
    if run is None:
        return None
    return report(case, Verdict(False, "SameRunGoesOn", f"waits for the result of {run.name}, which is the same run"))


def _rejected(case: Case) -> Decision | None:
    """The API server refused what this specification leads to; only another specification helps."""
    if not case.context.rejection:
        return None
    return invalid(case.state, [_refusal(line) for line in case.context.rejection], case=case)


def _refusal(line: str) -> Problem:
    field, found, message = line.partition(": ")
    return Problem(field, message) if found and " " not in field else Problem("spec", line)


def _not_there(case: Case) -> Decision | None:
    ref = case.spec.workload_ref
    if case.state.job is not None or ref is None:
        return None
    if ref.kind in case.context.absent_kinds:
        message = (
            f"{ref.kind}s ({ref.api_version}) cannot be seen in this cluster: install their controller, or let the "
            "operator's role list and watch them"
        )
        return report(case, Verdict(False, "KindNotInstalled", message))
    where = f"in namespace {case.state.key.namespace}"
    message = f"there is no {ref.kind} {ref.name} {where}; create it or correct workloadRef"
    return report(case, Verdict(False, f"{ref.kind}NotFound", message))


def _somebody_elses(case: Case) -> Decision | None:
    """A Job that another controller answers for is left alone."""
    job = case.state.job
    if job is None or (job.owner is not None and job.owner.uid == case.state.uid):
        return None
    if case.spec.workload_ref is None:
        owner = f"{job.owner.kind} {job.owner.name}" if job.owner else "nobody"
        message = f"a Job {job.name} that belongs to {owner} is there; delete it or rename the TrainingJob"
        return report(case, Verdict(False, "NameTaken", message), foreign=True)
    if job.owner is not None and job.owner.kind != "CronJob":
        message = f"{job.kind} {job.name} belongs to {job.owner.kind} {job.owner.name}, which would undo every change"
        return report(case, Verdict(False, "Conflict", message), foreign=True)
    return _claimed_twice(case, job)


def _claimed_twice(case: Case, job: Job) -> Decision | None:
    other, living = case.memory.adopted_by, case.context.living
    if not other or other == case.state.uid or (living is not None and other not in living):
        return None
    message = (
        f"{job.kind} {job.name} is taken over by another TrainingJob (UID {other}); "
        f"delete that one, or the annotation {memory.ADOPTED_BY} if it is gone"
    )
    return report(case, Verdict(False, "Conflict", message), foreign=True)


# --- making and adopting ----------------------------------------------------------------------------------------------


def _create(case: Case) -> Decision | None:
    if case.state.job is not None:
        return None
    if case.is_queued and case.target.placement is None and not case.target.holds:
        return report(case, held(case))  # a queue would start it at once
    actions = (*_service(case), _creation(case))
    return report(case, Verdict(False, "Creating", f"creating Job {case.state.key.name}"), actions)


def _service(case: Case) -> tuple[Action, ...]:
    """The Service, whenever it is not there: a worker that starts alone waits for it."""
    if case.spec.template is None or case.spec.workers == 1 or case.state.service_exists:
        return ()
    message = f"headless Service {case.state.key.name} for {case.spec.workers} workers"
    return (CreateService(case.state.key, service_manifest(case.owner), "Creating", message),)


def _creation(case: Case) -> CreateJob:
    """The Job in its right place from the start; suspended when it must not run now, or when a queue decides."""
    target, queued = case.target, case.is_queued
    stopped = target.placement is None
    notes: Annotations = {memory.TEMPLATE_HASH: template_hash(case.spec)}
    if stopped and not queued:
        notes |= memory.suspending(_why_stopped(case), case.now)
    pool = None if stopped or queued else target.pool
    manifest, bound = job_manifest(
        case.owner,
        case.spec,
        pool=pool,
        annotations={},
        suspend=stopped or queued,
        reporting=case.reporting,
        keep=target.placement is CapacityType.ON_DEMAND,
    )
    if any(isinstance(rule.kind, Divergence) for rule in case.spec.stopping.rules):
        notes |= {stops.RESTORABLE: "true"}
    if target.placement is not None and not queued:
        notes |= memory.placed(target.placement, bound, case.now)
    manifest["metadata"]["annotations"] = memory.present(notes)
    where = "suspended" if stopped or queued else f"on {name_of(target.placement)} capacity"
    return CreateJob(case.state.key, manifest, "Creating", f"Job {case.state.key.name} {where}")


def _why_stopped(case: Case) -> str:
    if case.target.holds:
        return memory.NO_POOL
    return memory.USER_SPEC if case.spec.suspend else memory.WINDOW


def _finished(case: Case) -> Decision | None:
    job = _job(case)
    return report(case) if job.condition("Complete") or job.condition("Failed") else None


def _adopt(case: Case) -> Decision | None:
    """Say first whose Job it is, so that two TrainingJobs never work on one."""
    if case.spec.workload_ref is None or case.memory.adopted_by == case.state.uid:
        return None
    job = _job(case)
    message = f"taking over {job.kind} {job.name}"
    change = patch_of(case, {memory.ADOPTED_BY: case.state.uid}, reason="Adopting", message=message)
    return report(case, Verdict(False, "Adopting", message), (change,))


# --- other people's decisions -----------------------------------------------------------------------------------------


def _hands_off(case: Case) -> Decision | None:
    """A queue decides when and where; whether at all is said to the queue, never to the Job."""
    if not case.is_hands_off:
        return None
    change = queueing.change(case, _why_stopped(case))
    return report(case, actions=(*_service(case), *((change,) if change is not None else ())))


def _suspended_by_other(case: Case) -> Decision | None:
    """Whoever suspended it had a reason that we do not know: only they resume it."""
    return report(case) if _job(case).suspend and not case.memory.suspended else None


def _resumed_by_other(case: Case) -> Decision | None:
    """Our mark on a Job that runs: somebody resumed it. They win until the specification asks for something else."""
    job = _job(case)
    if job.suspend or not case.memory.suspended:
        return None
    stop, notes = case.remembered.stop, memory.unmarked()
    if stop is not None:
        notes |= stops.overridden(stop, case.now)
    elif case.target.placement is None or case.is_in_place(job) is not True:
        notes |= {memory.OVERRIDDEN: case.wish.key}
    return report(case, None, (patch_of(case, notes, reason="Overridden", message="somebody else resumed the Job"),))


def _overridden(case: Case) -> Decision | None:
    return report(case, actions=_service(case)) if case.is_overridden and not _job(case).suspend else None


# --- stop, move, go ---------------------------------------------------------------------------------------------------


def _runs_away(case: Case) -> Decision | None:
    """A program that always ends with exit code 143 is ignored by the failure policy for ever; this is the cap."""
    job, limit = _job(case), max(case.spec.backoff_limit, _LEAST_CAP) * case.spec.workers
    if job.suspend or case.spec.template is None or observe.unasked_terminations(job, case.state.pods) <= limit:
        return None
    message = f"more than {limit} workers ended with exit code 143 though nobody interrupted them"
    stop = suspension(case, memory.suspending(memory.EXIT_CAP, case.now), "TooManyTerminations", message)
    return report(case, Verdict(False, "TooManyTerminations", message), (stop,))


def _stop(case: Case) -> Decision | None:
    if case.target.placement is not None:
        return None
    if _job(case).suspend or case.target.holds:
        return report(case)
    why = "the specification says suspend" if case.spec.suspend else "no window is open"
    notes = memory.suspending(_why_stopped(case), case.now)
    return report(case, None, (suspension(case, notes, case.wish.reason, f"suspending: {why}"),))


def _leave(case: Case) -> Decision | None:
    """Suspend what runs in the wrong place; nothing is done while nobody can tell where it runs."""
    job = _job(case)
    if job.suspend or case.is_in_place(job) is not False:
        return None
    until = moves.save_first(case.state, case.memory, job, case.now)
    if until is not None:
        return _save_first(case)
    here, there = name_of(case.placement) if case.placement else "unknown capacity", name_of(case.target.placement)
    notes = memory.suspending(memory.MOVE, case.now)
    if case.is_auto and case.target.placement is not None:
        notes |= moves.departure(case.state, case.memory, case.view, case.target.placement, case.now)
    return report(case, None, (suspension(case, notes, "Moving", f"moving from {here} to {there}"),))


def _save_first(case: Case) -> Decision:
    """Wait for a checkpoint before a move, and remember since when, so that a restart does not begin the wait anew."""
    asked: tuple[Action, ...] = ()
    if moves.asked_at(case.memory) is None:
        notes: Annotations = {memory.CHECKPOINT_ASKED_AT: moment(case.now)}
        asked = (patch_of(case, notes, reason="CheckpointAsked", message="asking for a checkpoint before the move"),)
    told = report(case, None, asked)
    return replace(told, ask_checkpoint=True)


def _release(case: Case) -> Decision | None:
    """Some workers hold nodes and wait for one that cannot start, and there is nowhere else to go: let them go."""
    job, timeout = _job(case), case.spec.placement.scheduling_timeout
    since = gang.stuck_since(job, case.state.pods)
    if since is None or case.fallback is not None or case.now < since + timeout:
        return None
    count = gang.releases(case.memory, since, timeout)
    notes: Annotations = {**memory.suspending(memory.GANG, case.now), memory.GANG_RELEASES: str(count)}
    if case.memory.placement is None and case.target.placement is not None:
        notes[memory.PLACEMENT] = str(case.target.placement)
    if case.is_auto and case.memory.placement is CapacityType.SPOT:
        notes |= memory.refused_spot(moves.refusals(case.state, case.memory), case.now)
    message = f"{gang.described(job, case.state.pods)} within {format_duration(timeout)}: releasing the others"
    return report(case, None, (suspension(case, notes, "GangReleased", message),))


def _give_up(case: Case) -> Decision | None:
    """Nothing was found in time: back to where it came from, and not again before the wish is another one."""
    since, fallback = case.unscheduled_since, case.fallback
    timeout = case.spec.placement.scheduling_timeout
    if _job(case).suspend or since is None or fallback is None or case.now < since + timeout:
        return None
    notes = {
        **memory.suspending(memory.MOVE, case.now),
        **memory.refusing(case.wish.key, fallback, case.now),
    }
    message = (
        f"no node on {name_of(case.wish.placement)} capacity within {format_duration(timeout)}; "
        f"back to {name_of(fallback)}"
    )
    return report(case, None, (suspension(case, notes, "MoveReverted", message),))


def _go(case: Case) -> Decision | None:
    """Resume what we suspended, in its place, once everything of it has ended."""
    job = _job(case)
    if not job.suspend or not observe.has_stopped(job, case.state.pods):
        return None
    return report(case, None, (*_service(case), resumption(case, job)))


def _stay(case: Case) -> Decision:
    return report(case, actions=_service(case))


_STEPS: tuple[Step, ...] = (
    plan_runs,
    _ended_before,
    _rejected,
    _not_there,
    _somebody_elses,
    _same_run_goes_on,
    _create,
    _finished,
    _adopt,
    _hands_off,
    _suspended_by_other,
    _resumed_by_other,
    early_stop,
    _overridden,
    _runs_away,
    taken_over,
    _stop,
    _leave,
    _give_up,
    _release,
    _go,
    _stay,
)


def _job(case: Case) -> Job:
    assert case.state.job is not None
    return case.state.job
