"""What is told about a TrainingJob that makes runs: its conditions, `status.runs`, and what became of the last run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpucost.core.actions import Condition, EventNote
from gpucost.core.clock import Instant, format_rfc3339
from gpucost.core.money import format_pico
from gpucost.core.training.case import Case
from gpucost.core.training.runs.calendar import Calendar, upcoming
from gpucost.core.training.runs.run import Result, Run, Saving
from gpucost.core.training.verdict import Verdict

Status = dict[str, Any]


@dataclass(frozen=True)
class Story:
    """The part of a decision that is for people."""

    conditions: tuple[Condition, ...]
    status: Status
    events: tuple[EventNote, ...]


def told(
    case: Case,
    calendar: Calendar,
    verdict: Verdict,
    *,
    records: Sequence[Saving],
    decided: Instant | None,
    pending: Instant | None,
) -> Story:
    """Everything that is told at the end of a pass; `records` are those that this pass books."""
    suspended = case.spec.suspend
    text = "spec.suspend is true" if suspended else ""
    conditions = (
        Condition("Ready", verdict.ready, verdict.reason, verdict.message),
        Condition("Suspended", suspended, "Suspended" if suspended else "NotSuspended", text),
        Condition("Complete", False, "NotComplete"),
        Condition("Failed", False, "NotFailed"),
        Condition("Migrating", False, "NotMigrating"),
        Condition("Invalid", False, "Valid"),
    )
    status: Status = {"runs": _runs(case, calendar, records, decided, pending)}
    if case.spec.template is not None:
        status["workers"] = case.spec.workers
    return Story(conditions, status, (*_begun(calendar), *_ended(calendar)))


def _runs(
    case: Case, calendar: Calendar, records: Sequence[Saving], decided: Instant | None, pending: Instant | None
) -> Status:
    schedule, stored = case.spec.schedule, calendar.status
    assert schedule is not None
    assert schedule.runs is not None
    known = {(one.due, one.kind) for one in calendar.savings}
    new = [one for one in records if (one.due, one.kind) not in known]
    skips = [one for one in new if one.is_skip]
    following = upcoming(schedule, schedule.runs, case.now)
    border = max((calendar.decided, decided or 0, *(one.due for one in records)))
    saved = calendar.saved + sum(one.saved or 0 for one in skips)
    skipped = calendar.skipped + sum(one.times for one in skips)
    unpriced = calendar.unpriced + sum(one.times for one in skips if one.saved is None)
    status: Status = {
        "last": _last(calendar),
        "next": format_rfc3339(following) if following is not None else None,
        "pending": format_rfc3339(pending) if pending is not None else None,
        "decided": format_rfc3339(border) if border > calendar.created else None,
        "trainedVersion": calendar.trained.version or None,
        "skipped": skipped,
        "missed": calendar.missed + sum(one.times for one in new if not one.is_skip),
        "savedBySkipping": format_pico(saved) if skipped > unpriced else None,
        "skippedWithoutPrice": unpriced or None,
        "lastSkip": _last_skip([*calendar.savings, *records]) or stored.get("lastSkip"),
    }
    return {key: value for key, value in status.items() if value is not None}


def _last(calendar: Calendar) -> Status | None:
    """The run that was made last; what is stored when nothing else is left of it."""
    run, stored = calendar.last, calendar.status.get("last")
    if run is None or run.due is None:
        return dict(stored) if stored else None
    shown = {"name": run.name, "due": format_rfc3339(run.due), "result": str(_result(run, calendar))}
    before = stored if isinstance(stored, dict) and stored.get("name") == run.name else {}
    reason = calendar.because(run) or before.get("reason")
    more = {"reason": reason, "datasetVersion": run.version}
    return {**shown, **{key: value for key, value in more.items() if value}}


def _result(run: Run, calendar: Calendar) -> Result:
    return Result.GONE if not run.is_over and run.uid not in calendar.living else run.result


def _last_skip(records: Sequence[Saving]) -> Status | None:
    last = max(records, key=lambda one: one.due, default=None)
    if last is None:
        return None
    shown = {"due": format_rfc3339(last.due), "reason": last.kind, "message": last.message}
    return {key: value for key, value in shown.items() if value}


def _begun(calendar: Calendar) -> tuple[EventNote, ...]:
    """A run that the status does not show yet: whoever made it may have been killed before telling."""
    run, stored = calendar.last, calendar.status.get("last") or {}
    if run is None or run.due is None or run.uid not in calendar.living or stored.get("name") == run.name:
        return ()
    because = calendar.because(run)
    text = f"run {run.name}: {because}" if because else f"run {run.name}"
    return (EventNote("RunStarted", text, format_rfc3339(run.due)),)


def _ended(calendar: Calendar) -> tuple[EventNote, ...]:
    """A run that failed, once: the run has Events of its own, but whoever watches the schedule sees them not."""
    run, stored = calendar.last, calendar.status.get("last") or {}
    if run is None or run.result is not Result.FAILED:
        return ()
    if stored.get("name") == run.name and stored.get("result") == Result.FAILED:
        return ()
    return (
        EventNote("RunFailed", f"run {run.name} failed: {run.reason} {run.message}".strip(), run.uid, warning=True),
    )
