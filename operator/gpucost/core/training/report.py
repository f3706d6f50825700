"""What is told about a TrainingJob: conditions, status fields, Events, and when to look again.

Every decision tells the whole story from the same state that it was made of, so that the status never depends on which
steps were taken to get there. Events are news against the stored status; they carry a key, so that telling them again
after a crash posts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpucost.core.actions import Action, Condition, Decision, EventNote
from gpucost.core.clock import Instant
from gpucost.core.notices import Notice
from gpucost.core.training import doubts, duplicates, gang, observe, pins
from gpucost.core.training.auto import moves, shown
from gpucost.core.training.auto.view import LOOK_EVERY
from gpucost.core.training.case import Case
from gpucost.core.training.estimating.telling import foresee, kept_estimate
from gpucost.core.training.events import news
from gpucost.core.training.memory import moment
from gpucost.core.training.said import trainer_status
from gpucost.core.training.state import TrainingState
from gpucost.core.training.stopping import story
from gpucost.core.training.stopping.stop import Stop
from gpucost.core.training.validate import Problem
from gpucost.core.training.verdict import Verdict, ended, verdict_of, why_suspended
from gpucost.core.training.warned import news as warned_news
from gpucost.core.training.warned import warned, why_save
from gpucost.core.training.wish import PAUSED, name_of, upcoming

__all__ = ["Verdict", "invalid", "report"]

Status = dict[str, Any]


def report(
    case: Case, verdict: Verdict | None = None, actions: Sequence[Action] = (), *, foreign: bool = False
) -> Decision:
    """The decision for a case; without a verdict it follows from the state. `foreign`: the Job is not ours to show."""
    over = ended(case.state)
    foreseen = foresee(case, busy=foreign or over is not None or bool(actions))
    going = {} if foreign or over else warned(case.state.pods, case.context.nodes, case.context.notices)
    return Decision(
        target=case.state.key,
        actions=tuple(actions),
        conditions=conditions(case, verdict or verdict_of(case), foreign=foreign),
        status={**_status(case, foreign=foreign), **foreseen.status},
        events=()
        if foreign
        else (*news(case, over=over is not None), *_risk_news(case), *_going_news(case, going), *foreseen.events),
        records=duplicates.bookings(case.state, case.now),
        checkpoint_interval=case.interval,
        wake_at=None if over is not None else _wake_at(case),
        ask_checkpoint=over is None and not foreign and (case.course.ask or bool(why_save(going, case.state.progress))),
    )


def _risk_news(case: Case) -> Iterable[EventNote]:
    return shown.news(_risk(case), case.stored(shown.RISK))


def _going_news(case: Case, going: Mapping[str, Notice]) -> Iterable[EventNote]:
    return warned_news(going, case.context.nodes, case.state.progress, case.now)


def _risk(case: Case) -> Condition | None:
    over, job = ended(case.state), case.state.job
    done = job.completed if job is not None else None
    if over is not None and over.ready and done is None:  # its Job is cleaned away: what was told stays
        stored = case.stored(shown.RISK)
        words = {"True": True, "False": False}
        kept = Condition(
            shown.RISK, words.get(str(stored.get("status"))), str(stored.get("reason")), str(stored.get("message"))
        )
        return kept if stored else None
    return shown.risk(
        case.view,
        case.spec,
        case.now,
        completed=done if over is not None and over.ready else None,
        ended=over is not None,
    )


def invalid(state: TrainingState, found: Iterable[Problem], *, case: Case | None = None) -> Decision:
    """Nothing is done for a specification that is wrong; what runs goes on running."""
    text = "; ".join(map(str, found))[:8192]
    verdict = Verdict(False, "Invalid", text)
    over = ended(state)
    shown = over or verdict
    result = [
        Condition("Ready", shown.ready, shown.reason, shown.message),
        _suspended(state, None),
        *_end_conditions(over),
        Condition("Migrating", False, "NotMigrating"),
        Condition("Invalid", True, "Invalid", text),
    ]
    status = (
        _status(case)
        if case is not None
        else {
            **_job_status(state),
            **_kept(state),
            **_last_placement(state),
            **trainer_status(state),
            **_of_runs(state),
            **kept_estimate(state.status),
        }
    )
    return Decision(target=state.key, conditions=tuple(result), status=status)


# --- conditions -------------------------------------------------------------------------------------------------------


def conditions(case: Case, verdict: Verdict, *, foreign: bool = False) -> tuple[Condition, ...]:
    """All of them, whatever is the case; that of the metrics only where sources are named."""
    over = None if foreign else ended(case.state)
    moving = over is None and not foreign and case.is_migrating
    where = f"to {name_of(case.target.placement)} capacity" if moving else ""
    return (
        Condition("Ready", verdict.ready, verdict.reason, verdict.message),
        Condition("Suspended", False, "NotSuspended") if foreign else _suspended(case.state, case),
        *_end_conditions(over),
        Condition("Migrating", moving, "Moving" if moving else "NotMigrating", where),
        Condition("Invalid", False, "Valid"),
        *(() if foreign else duplicates.conditions(case.state)),
        *(() if foreign else story.conditions(case.spec.stopping, case.course, _stop(case), case.state.key)),
        *_metrics(case, over=over is not None),
        *(() if foreign or (at_risk := _risk(case)) is None else (at_risk,)),
    )


def _stop(case: Case) -> Stop | None:
    """A stop as it is told: also the one after which the run starts again at once."""
    remembered = case.remembered.stop
    return case.stop or (remembered if remembered is not None and remembered.restart else None)


def _metrics(case: Case, *, over: bool) -> tuple[Condition, ...]:
    """Only for a run that names sources of metrics, and while it is not over."""
    asked = case.spec.metrics.asks and not over
    return (doubts.condition(case.state.doubts, case.now),) if asked else ()


def _end_conditions(over: Verdict | None) -> tuple[Condition, Condition]:
    complete = Condition("Complete", False, "NotComplete")
    failed = Condition("Failed", False, "NotFailed")
    if over is not None and over.ready:
        complete = Condition("Complete", True, over.reason, over.message)
    elif over is not None:
        failed = Condition("Failed", True, over.reason, over.message)
    return complete, failed


def _suspended(state: TrainingState, case: Case | None) -> Condition:
    job = state.job
    if job is None or not job.suspend:
        return Condition("Suspended", False, "NotSuspended")
    if case is None:
        return Condition("Suspended", True, "Suspended")
    verdict = why_suspended(case, job)
    gone = observe.has_stopped(job, state.pods)
    note = verdict.message if gone else f"{verdict.message}; its pods are ending"
    return Condition("Suspended", True, verdict.reason, note.removeprefix("; "))


# --- status -----------------------------------------------------------------------------------------------------------


def _status(case: Case, *, foreign: bool = False) -> Status:
    state = case.state
    status = _kept(state) if foreign else {**_job_status(state), **_kept(state)}
    status |= trainer_status(state) | ({} if foreign else _of_runs(state))
    status |= _under_deadline(case, foreign=foreign)
    status |= {} if foreign else story.status(case.spec.stopping, case.course, _stop(case))
    if case.spec.template is not None:
        status["workers"] = case.spec.workers
    if (placement := _placement(case, foreign=foreign)) and ended(state) is None:
        status["placement"] = placement
    else:
        status |= _last_placement(state)
    return {key: value for key, value in status.items() if value not in ({}, None)}


def _of_runs(state: TrainingState) -> Status:
    """What tells this run from others, and what is known of the runs that it makes."""
    return {**duplicates.status(state), **{key: state.status[key] for key in ("runs",) if key in state.status}}


def _under_deadline(case: Case, *, foreign: bool) -> Status:
    """Deadline, changeover and checkpoints; what was stored of a run that has ended."""
    state = case.state
    if ended(state) is not None:
        return {key: state.status[key] for key in (*sorted(shown.FLOWING), "spot") if key in state.status}
    if foreign or state.job is None or not (case.spec.complete_by or state.stays or state.progress.reports):
        return {}
    return shown.status_of(case.view, case.spec, case.now)


def _job_status(state: TrainingState) -> Status:
    """The Job in Kubeflow's shape, and why it waits."""
    job = state.job
    if job is None:
        kept = {key: state.status[key] for key in ("jobsStatus", "workers") if key in state.status}
        return kept if ended(state) is not None else {}
    shown = {
        "name": job.name,
        "ready": job.ready,
        "active": job.active,
        "succeeded": job.succeeded,
        "failed": job.failed,
        "suspended": int(job.suspend),
    }
    result: Status = {"jobsStatus": [shown], "workers": job.parallelism}
    words = None if job.suspend or ended(state) is not None else observe.waiting(state.pods)
    if words is not None:
        result["waiting"] = {"reason": words.reason, "message": words.message, "since": moment(words.since)}
    return result


def _kept(state: TrainingState) -> Status:
    """The count of interruptions, which never falls."""
    stored = state.status.get("interruptions") or {}
    count = len(state.interruptions)
    if count <= int(stored.get("count") or 0):
        return {"interruptions": stored} if stored else {}
    last = max(one.at for one in state.interruptions)
    return {"interruptions": {"count": count, "last": moment(last)}}


def _last_placement(state: TrainingState) -> Status:
    """Where it was last, for one that has ended or cannot be read."""
    last = state.status.get("placement") or {}
    return {"placement": {key: last[key] for key in ("current", "since") if key in last}}


def _placement(case: Case, *, foreign: bool) -> Status:
    job, mine, window = case.state.job, case.memory, case.wish.window
    result: Status = {}
    if job is not None and not foreign:
        paused = job.suspend and mine.suspended and case.target.placement is None
        current = PAUSED if paused else name_of(case.placement) if case.placement else None
        since = mine.suspended_at if paused else mine.resumed_at
        result |= {"current": current, "since": moment(since or job.created) if current else None}
    if case.state.pin is not None and pins.matters(case.spec) and not foreign:
        result["zonePin"] = pins.status_of(case.state.pin)
    if window is not None:
        result["window"] = {"start": moment(window.start), "end": moment(window.end)}
    if (change := upcoming(case.spec, case.now)) is not None:
        result["next"] = {"at": moment(change[0]), "placement": change[1]}
    return {key: value for key, value in result.items() if value is not None}


# --- when to look again -----------------------------------------------------------------------------------------------


def _wake_at(case: Case) -> Instant | None:
    """The next window edge, the end of a wait, or the next try of a refused move; None when only events matter."""
    change = upcoming(case.spec, case.now)
    moments = [
        case.course.wake_at,
        case.wish.until,
        change[0] if change else None,
        _timeout(case),
        case.refusal_expires,
        *_soon(case),
    ]
    return min((at for at in moments if at is not None and at > case.now), default=None)


def _soon(case: Case) -> Iterable[Instant | None]:
    """Instants that only some runs wait for: a deadline, a checkpoint before a move, a gang that cannot start."""
    job, timeout = case.state.job, case.spec.placement.scheduling_timeout
    yield gang.retry_at(case.memory)
    if case.spec.complete_by is not None:
        yield case.spec.complete_by
        yield case.now + LOOK_EVERY
    if case.is_auto and case.view.choice is not None:
        yield case.view.choice.look_again
    if job is not None and case.target.placement is not None:
        yield moves.save_first(case.state, case.memory, job, case.now)
        stuck = gang.stuck_since(job, case.state.pods)
        yield None if stuck is None else stuck + timeout


def _timeout(case: Case) -> Instant | None:
    job, since = case.state.job, case.unscheduled_since
    if job is None or job.suspend or since is None or case.fallback is None:
        return None
    return since + case.spec.placement.scheduling_timeout
