"""What to do about a TrainingJob that makes runs: the next run, those that are too old, and what is told.

At most one run is started by a pass, and none while one of its runs has not ended. Whatever is concluded about a due
time is an action with a name that follows from it, or a record that carries it, so a pass that is cut off anywhere and
repeated comes to the same end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gpucost.core.actions import Action, CreateTrainingJob, Decision, DeleteTrainingJob, EventNote
from gpucost.core.clock import SECOND, Instant, Micros, format_duration, format_rfc3339
from gpucost.core.model import Key
from gpucost.core.training.case import Case
from gpucost.core.training.runs.calendar import Calendar, Due, due, run_key, upcoming
from gpucost.core.training.runs.child import child_manifest
from gpucost.core.training.runs.report import told
from gpucost.core.training.runs.run import MISSED, NOTHING_NEW, TRAINED, WORTH_UNKNOWN, Result, Run, Saving
from gpucost.core.training.runs.spec import Runs
from gpucost.core.training.runs.worth import Answers, Worth, worth
from gpucost.core.training.spec import Schedule, TrainingSpec
from gpucost.core.training.verdict import Verdict

ASK_AGAIN: Micros = 30 * SECOND
"""How soon a question is put again that had no answer."""


@dataclass(frozen=True)
class Turn:
    """What one pass concludes."""

    verdict: Verdict
    actions: tuple[Action, ...] = ()
    records: tuple[Saving, ...] = ()
    events: tuple[EventNote, ...] = ()
    decided: Instant | None = None
    """Everything due until then is decided on, though no record says so."""
    pending: Instant | None = None
    wake_at: Instant | None = None


@dataclass(frozen=True)
class Desk:
    """The case of a schedule, with what it is about at hand."""

    case: Case
    schedule: Schedule
    runs: Runs
    calendar: Calendar

    @property
    def now(self) -> Instant:
        """The instant of the pass."""
        return self.case.now

    @property
    def key(self) -> Key:
        """The TrainingJob."""
        return self.case.state.key

    @property
    def uid(self) -> str:
        """Its UID."""
        return self.case.state.uid

    def saving(self, at: Instant, kind: str, message: str, times: int = 1) -> Saving:
        """A record about a due time."""
        saved = self.calendar.usual_cost if kind == NOTHING_NEW else None
        return Saving(self.uid, self.key.namespace, at, kind, message[:1024], times, saved)


def plan_runs(case: Case) -> Decision | None:
    """Decide for a TrainingJob that makes runs; None for any other."""
    schedule, calendar = case.spec.schedule, case.state.calendar
    if schedule is None or schedule.runs is None or calendar is None:
        return None
    desk = Desk(case, schedule, schedule.runs, calendar)
    turn = _turn(desk)
    deletions = tuple(_surplus(desk))
    following = upcoming(schedule, schedule.runs, case.now)
    wishes = [at for at in (following, turn.wake_at) if at is not None]
    story = told(case, calendar, turn.verdict, records=turn.records, decided=turn.decided, pending=turn.pending)
    return Decision(
        target=desk.key,
        actions=(*turn.actions, *deletions),
        conditions=story.conditions,
        status=story.status,
        events=(*turn.events, *story.events),
        records=turn.records,
        wake_at=min(wishes, default=None),
    )


def open_question(spec: TrainingSpec, calendar: Calendar, now: Instant) -> Due | None:
    """The due time for which the world has to be asked whether a run is worthwhile; None when there is none."""
    schedule = spec.schedule
    if schedule is None or schedule.runs is None or spec.suspend:
        return None
    found = due(schedule, schedule.runs, calendar.decided, now)
    late = found is not None and now > found.at + schedule.runs.starting_deadline
    return None if late or calendar.active is not None else found


def _turn(desk: Desk) -> Turn:
    if desk.case.context.rejection:
        text = "the run was refused: " + "; ".join(desk.case.context.rejection)
        return Turn(Verdict(False, "RunRefused", text[:8192]))
    found = due(desk.schedule, desk.runs, desk.calendar.decided, desk.now)
    if desk.case.spec.suspend:
        return _suspended(desk)
    if found is None:
        return Turn(_at_rest(desk))
    earlier = tuple(_missed_before(desk, found))
    if desk.now > found.at + desk.runs.starting_deadline:
        return _too_late(desk, found, earlier)
    if (active := desk.calendar.active) is not None:
        text = f"the run that was due at {format_rfc3339(found.at)} waits for {active.name} to end"
        ends = found.at + desk.runs.starting_deadline + 1
        return Turn(Verdict(True, "RunActive", text), pending=found.at, wake_at=ends)
    return _judged(desk, found, earlier)


def _suspended(desk: Desk) -> Turn:
    """No run is made, and what passes is not called missed: somebody wants it so."""
    passed = due(desk.schedule, desk.runs, desk.calendar.decided, desk.now - desk.runs.starting_deadline)
    verdict = Verdict(True, "Suspended", "spec.suspend is true: no run is made; one that has begun goes on")
    return Turn(verdict, decided=passed.at if passed is not None else None)


def _at_rest(desk: Desk) -> Verdict:
    if (active := desk.calendar.active) is not None:
        return Verdict(True, "RunActive", f"run {active.name}")
    following = upcoming(desk.schedule, desk.runs, desk.now)
    when = f"the next run is due at {format_rfc3339(following)}" if following is not None else "no run is due any more"
    last = desk.calendar.last
    if last is not None and last.result is Result.FAILED:
        return Verdict(True, "Scheduled", f"{when}; the last one, {last.name}, failed: {last.reason}")
    return Verdict(True, "Scheduled", when)


# --- one due time -----------------------------------------------------------------------------------------------------


def _missed_before(desk: Desk, found: Due) -> Iterator[Saving]:
    """Due times before the last one: of several that were missed none but the last may start."""
    if found.missed:
        yield desk.saving(found.missed_last, MISSED, "a later run was due already", found.missed)


def _too_late(desk: Desk, found: Due, earlier: tuple[Saving, ...]) -> Turn:
    when, limit = format_rfc3339(found.at), format_duration(desk.runs.starting_deadline)
    if (active := desk.calendar.active) is not None:
        kind, why = MISSED, f"{active.name} was running"
    elif _was_unknown(desk, found.at):
        kind, why = WORTH_UNKNOWN, "nobody knew whether it was worthwhile"
    else:
        kind, why = MISSED, "nothing started it"
    text = f"the run that was due at {when} did not start within {limit}: {why}"
    note = EventNote("RunMissed", text, format_rfc3339(found.at), warning=True)
    return Turn(_at_rest(desk), records=(*earlier, desk.saving(found.at, kind, text)), events=(note,))


def _was_unknown(desk: Desk, at: Instant) -> bool:
    ready = desk.case.stored("Ready")
    return ready.get("reason") == WORTH_UNKNOWN and desk.calendar.status.get("pending") == format_rfc3339(at)


def _judged(desk: Desk, found: Due, earlier: tuple[Saving, ...]) -> Turn:
    if desk.calendar.answers is None:
        text = f"asking whether the run that was due at {format_rfc3339(found.at)} is worthwhile"
        return Turn(Verdict(True, "Scheduled", text), pending=found.at, wake_at=desk.now + ASK_AGAIN)
    answers, calendar = desk.calendar.answers, desk.calendar
    judged = worth(desk.runs, desk.case.spec.dataset, answers, calendar.trained, since=calendar.created, now=desk.now)
    if judged.value is None:
        return _undecided(desk, found, judged)
    if judged.value:
        return _started(desk, found, earlier, judged, answers)
    return _skipped(desk, found, earlier, judged)


def _undecided(desk: Desk, found: Due, judged: Worth) -> Turn:
    ends = found.at + desk.runs.starting_deadline
    when = format_rfc3339(found.at)
    text = f"the run that was due at {when} waits until {format_rfc3339(ends)} for an answer: {judged.message}"
    note = EventNote(WORTH_UNKNOWN, text, when, warning=True)
    again = min(desk.now + ASK_AGAIN, ends + 1)
    return Turn(Verdict(False, WORTH_UNKNOWN, text), events=(note,), pending=found.at, wake_at=again)


def _started(desk: Desk, found: Due, earlier: tuple[Saving, ...], judged: Worth, answers: Answers) -> Turn:
    version = answers.version if isinstance(answers.version, str) else ""
    name = run_key(desk.key, found.at).name
    manifest = child_manifest(desk.case.owner, desk.calendar.body, due=found.at, version=version, because=judged.reason)
    text = f"run {name}: {judged.message}"
    return Turn(
        Verdict(True, "RunActive", text),
        actions=(CreateTrainingJob(desk.key, manifest, judged.reason, text),),
        records=earlier,
        events=(EventNote("RunStarted", text, format_rfc3339(found.at)),),
        pending=found.at,
    )


def _skipped(desk: Desk, found: Due, earlier: tuple[Saving, ...], judged: Worth) -> Turn:
    when = format_rfc3339(found.at)
    text = f"the run that was due at {when} is skipped: {judged.message}"
    record = desk.saving(found.at, NOTHING_NEW, text)
    return Turn(_at_rest(desk), records=(*earlier, record), events=(EventNote("RunSkipped", text, when),))


# --- history ----------------------------------------------------------------------------------------------------------


def _surplus(desk: Desk) -> Iterator[DeleteTrainingJob]:
    """Runs beyond the limits, the oldest first; what they cost stays in the ledger."""
    over = [run for run in desk.calendar.runs if run.uid in desk.calendar.living and run.is_over]
    over.sort(key=lambda run: (run.due or 0, run.name), reverse=True)
    good = [run for run in over if run.result in TRAINED][desk.runs.keep_complete :]
    bad = [run for run in over if run.result not in TRAINED][desk.runs.keep_failed :]
    for run in sorted((*good, *bad), key=lambda run: (run.due or 0, run.name)):
        yield _deletion(desk, run)


def _deletion(desk: Desk, run: Run) -> DeleteTrainingJob:
    text = f"run {run.name} is older than the history that is kept"
    return DeleteTrainingJob(desk.key, Key(run.namespace, run.name), run.uid, "HistoryLimit", text)
