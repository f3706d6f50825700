"""What is told about stopping: conditions, `status.earlyStopping`, and Events, which are news against that status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpucost.core.actions import Condition, EventNote
from gpucost.core.model import Key
from gpucost.core.training.memory import moment
from gpucost.core.training.stopping.course import (
    CHECKPOINT,
    RECOMMENDED,
    SKIPPED,
    UNKNOWN,
    WARNED,
    WATCHING,
    Course,
    Standing,
    standings_of,
    stored,
)
from gpucost.core.training.stopping.spec import BUDGET, IDLE, Stopping
from gpucost.core.training.stopping.stop import Stop

_ACTING = frozenset({WARNED, CHECKPOINT})
_LOUDEST = (WARNED, CHECKPOINT, UNKNOWN, SKIPPED, RECOMMENDED)
_WARNINGS = frozenset({"BudgetThresholdReached", "EarlyStopSkipped"})
_REASONS = {WARNED: "Warned", CHECKPOINT: "WaitingForCheckpoint", SKIPPED: "Skipped", RECOMMENDED: "Recommended"}


def summary(stop: Stop, key: Key) -> str:
    """A stop in one line: what was seen, what is saved, how it goes on."""
    if stop.restart:
        return f"{stop.evidence}; starts again once from the checkpoint of step {stop.checkpoint_step}"
    how = f"resume: kubectl cost resume {key.name} -n {key.namespace}"
    if stop.rule == BUDGET:
        how = f"raise the limit: kubectl cost resume {key.name} -n {key.namespace} --budget AMOUNT"
    return "; ".join(part for part in (stop.evidence, stop.saved, how) if part)


# --- conditions -------------------------------------------------------------------------------------------------------


def conditions(what: Stopping, course: Course, stop: Stop | None, key: Key) -> Iterator[Condition]:
    """`EarlyStopped` and `BudgetExceeded`, where the specification (or a stop) speaks of them."""
    if what.rules or what.idle is not None or (stop is not None and stop.rule != BUDGET):
        yield _early_stopped([one for one in course.standings if one.name != BUDGET], what, stop, key)
    if what.budget is not None or (stop is not None and stop.rule == BUDGET):
        yield _budget_exceeded(next((one for one in course.standings if one.name == BUDGET), None), course, stop, key)


def _early_stopped(standings: Sequence[Standing], what: Stopping, stop: Stop | None, key: Key) -> Condition:
    if stop is not None and stop.rule != BUDGET:
        return Condition("EarlyStopped", True, stop.reason, summary(stop, key))
    ranked = sorted((one for one in standings if one.state in _LOUDEST), key=lambda one: _LOUDEST.index(one.state))
    if not ranked:
        return Condition("EarlyStopped", False, WATCHING)
    message = "; ".join(_in_short(one, what) for one in ranked)[:8192]
    if ranked[0].state == UNKNOWN:
        return Condition("EarlyStopped", None, ranked[0].reason, message)
    return Condition("EarlyStopped", False, _REASONS[ranked[0].state], message)


def _in_short(one: Standing, what: Stopping) -> str:
    text = f"{one.name}: {one.message}"
    return f"{text}; {_what_follows(one, what)}" if one.state == WARNED else text


def _budget_exceeded(standing: Standing | None, course: Course, stop: Stop | None, key: Key) -> Condition:
    if stop is not None and stop.rule == BUDGET:
        return Condition("BudgetExceeded", True, stop.reason, summary(stop, key))
    if course.over_budget:
        return Condition("BudgetExceeded", True, "LimitCrossed", course.over_budget)
    if standing is None or standing.state == WATCHING:
        return Condition("BudgetExceeded", False, "WithinBudget")
    known = None if standing.state == UNKNOWN else False
    reason = _REASONS[standing.state] if standing.state in {CHECKPOINT, RECOMMENDED} else standing.reason
    return Condition("BudgetExceeded", known, reason, standing.message)


# --- status -----------------------------------------------------------------------------------------------------------


def status(what: Stopping, course: Course, stop: Stop | None) -> dict[str, Any]:
    """`earlyStopping` with its name."""
    if not what and stop is None:
        return {}
    shown: dict[str, Any] = {"rules": [stored(one) for one in course.standings]}
    if stop is not None:
        shown["stop"] = _stop(stop)
    return {"earlyStopping": {name: value for name, value in shown.items() if value}}


def _stop(stop: Stop) -> dict[str, Any]:
    shown = {
        "id": stop.id,
        "rule": stop.rule,
        "reason": stop.reason,
        "evidence": stop.evidence,
        "saved": stop.saved,
        "savedHourly": stop.hourly,
        "currency": stop.currency,
        "checkpointTime": stop.checkpoint_at,
        "checkpointStep": stop.checkpoint_step,
        "restarts": stop.restart,
    }
    return {key: value for key, value in shown.items() if value not in {"", None}}


# --- Events -----------------------------------------------------------------------------------------------------------


def events(what: Stopping, course: Course, stop: Stop | None, old: Mapping[str, Any], key: Key) -> Iterator[EventNote]:
    """Everything that the stored status does not know of yet."""
    known = ((old.get("earlyStopping") or {}).get("stop") or {}).get("id")
    if stop is not None and stop.id != known:
        kind = "BudgetExceeded" if stop.rule == BUDGET else "EarlyStopped"
        yield EventNote(kind, summary(stop, key), f"{stop.rule}/{stop.id}", warning=stop.rule == BUDGET)
    before = standings_of(old)
    for one in course.standings:
        note = _change(one, before.get(one.name), what)
        if note is not None:
            yield note
    conditions_before = {one.get("type"): one.get("status") for one in old.get("conditions") or ()}
    if course.over_budget and stop is None and conditions_before.get("BudgetExceeded") != "True":
        yield EventNote("BudgetExceeded", course.over_budget, "crossed", warning=True)


def _change(one: Standing, before: Standing | None, what: Stopping) -> EventNote | None:
    state = before.state if before is not None else WATCHING
    if before is not None and (one.state, one.reason) == (before.state, before.reason):
        return None
    if one.state == WATCHING:
        return _came_back(one, before) if state in _ACTING else None
    since = moment(one.since) if one.since is not None else ""
    kind, text = _told(one, what)
    dedupe = f"{one.name}/{one.state}/{one.reason}/{since}"
    return EventNote(kind, text, dedupe, warning=kind in _WARNINGS) if kind else None


def _told(one: Standing, what: Stopping) -> tuple[str, str]:
    """Reason and message of the Event for a new standing; no reason where there is none."""
    text = f"{one.name}: {one.message}"
    if one.state == WARNED and one.name == BUDGET:
        return "BudgetThresholdReached", one.message
    if one.state in {WARNED, RECOMMENDED}:
        return "GPUIdleDetected" if one.name == IDLE else "ActionRecommended", f"{text}; {_what_follows(one, what)}"
    if one.state == UNKNOWN and one.reason != "NotYet":
        return "EarlyStopSkipped", f"cannot be judged: {text}"
    if one.state == SKIPPED:
        return "EarlyStopSkipped", f"{text}; {_why_skipped(one)}"
    return "", ""


def _came_back(one: Standing, before: Standing | None) -> EventNote | None:
    if one.name == BUDGET or before is None or before.since is None:
        return None
    message = f"{one.name} does not hold any more: the run goes on"
    return EventNote("EarlyStopSkipped", message, f"{one.name}/back/{moment(before.since)}")


def _what_follows(one: Standing, what: Stopping) -> str:
    if one.state == RECOMMENDED:
        return "nothing is done about it in mode Recommend; suspend the run with spec.suspend, or set mode: Enforce"
    waits = {rule.name: rule.warning for rule in what.rules} | ({IDLE: what.idle.warning} if what.idle else {})
    return f"it is suspended after {moment((one.since or 0) + waits.get(one.name, 0))} if that stays so"


def _why_skipped(one: Standing) -> str:
    if one.reason == "Overridden":
        return "left alone"
    if one.asked is None:
        return "not suspended: a queue or another controller decides when the Job runs"
    return (
        "not suspended: the run has never told of a checkpoint, so its work would be lost; report checkpoints "
        "(gpucost.sdk does), or set checkpoint: Optional"
    )
