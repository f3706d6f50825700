"""What is shown of a deadline: the condition `DeadlineAtRisk`, status fields, Events.

Numbers that change with every minute stand in the status only, which is written along with other news; the words of
conditions change only when something has happened, because every change of them is a write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpucost.core.actions import Condition, EventNote
from gpucost.core.clock import MINUTE, SECOND, Instant, Micros, format_duration
from gpucost.core.training.auto.sightings import Spot
from gpucost.core.training.auto.view import View, expected_finish, is_known
from gpucost.core.training.deadline import Capacity
from gpucost.core.training.memory import moment
from gpucost.core.training.spec import TrainingSpec

RISK = "DeadlineAtRisk"
FLOWING = frozenset({"deadline", "changeover", "checkpointing"})
"""Fields that change all the time; see `is_news`."""
_STEP = 10 * MINUTE
_SHOW_AFTER = 5 * MINUTE


def risk(view: View, spec: TrainingSpec, now: Instant, *, completed: Instant | None, ended: bool) -> Condition | None:
    """The condition; None without a deadline."""
    if spec.complete_by is None:
        return None
    by = moment(spec.complete_by)
    if completed is not None or ended:
        return _of_the_past(spec.complete_by, by, completed)
    if now >= spec.complete_by:
        return Condition(RISK, True, "DeadlineMissed", f"not complete at {by}")
    finish = _at_best(view, now)
    if finish is None or not is_known(view):
        return Condition(RISK, None, "WorkUnknown", _UNKNOWN)
    if finish > spec.complete_by:
        late = -(-(finish - spec.complete_by) // _STEP) * _STEP
        return Condition(RISK, True, "DeadlineOutOfReach", f"complete at best about {format_duration(late)} after {by}")
    return Condition(RISK, False, "InTime", f"can be complete before {by}")


_UNKNOWN = (
    "nobody knows how much work is left: set spec.expectedDuration, or let the run report its progress; until then "
    "Auto stays on on-demand capacity"
)


def _of_the_past(deadline: Instant, by: str, completed: Instant | None) -> Condition:
    if completed is None:
        return Condition(RISK, True, "Failed", f"the run has failed and will not be complete at {by}")
    if completed > deadline:
        return Condition(RISK, True, "DeadlineMissed", f"completed {format_duration(completed - deadline)} after {by}")
    return Condition(RISK, False, "DeadlineMet", f"completed before {by}")


def _at_best(view: View, now: Instant) -> Instant | None:
    """When the run is complete if nothing happens any more."""
    if view.work.left is None:
        return None
    standing = view.standing
    start = standing.changeover_left if standing.running is not Capacity.NONE else view.changeover.start
    return now + start + view.work.left


# --- status -----------------------------------------------------------------------------------------------------------


def status_of(view: View, spec: TrainingSpec, now: Instant) -> dict[str, Any]:
    """The fields, without those of which nothing is known."""
    shown: dict[str, Any] = {}
    if spec.complete_by is not None:
        shown["deadline"] = _deadline(view, spec, now)
    if view.changeover.samples:
        shown["changeover"] = _changeover(view)
    shown["checkpointing"] = _checkpointing(view, spec)
    if view.spot is not None:
        shown["spot"] = _spot(view.spot)
    return shown


def _deadline(view: View, spec: TrainingSpec, now: Instant) -> dict[str, Any]:
    assert spec.complete_by is not None
    finish, choice = expected_finish(view, now), view.choice
    told = {
        "completeBy": moment(spec.complete_by),
        "expectedFinish": None if finish is None else moment(finish - finish % MINUTE),
        "workLeft": None if view.work.left is None else _span(view.work.left),
        "workLeftFrom": str(view.work.source),
        "atRisk": None if view.work.at_risk is None else _span(view.work.at_risk),
        "decision": None if choice is None else str(choice.reason),
        "message": None if choice is None else choice.message,
        "onDemandBy": None if choice is None or choice.on_demand_by is None else moment(choice.on_demand_by),
        "asOf": moment(now),
    }
    return {key: value for key, value in told.items() if value is not None}


def _changeover(view: View) -> dict[str, Any]:
    parts = view.changeover
    return {
        "total": _span(parts.total),
        "scheduling": _span(parts.scheduling),
        "starting": _span(parts.starting),
        "restoring": _span(parts.restoring),
        "lostWork": _span(parts.lost),
        "samples": parts.samples,
    }


def _checkpointing(view: View, spec: TrainingSpec) -> dict[str, Any]:
    advice = view.advice
    return {
        "interval": _span(spec.checkpoint_interval or advice.interval),
        "advised": _span(advice.interval),
        "saving": _span(advice.saving),
        "savingMeasured": advice.measured,
        "timeBetweenLosses": _span(advice.between_losses),
        "losses": advice.losses,
    }


def _spot(spot: Spot) -> dict[str, Any]:
    words = {True: "Available", False: "Unavailable", None: "Unknown"}
    told: dict[str, Any] = {
        "lastRefused": None if spot.last_refused is None else moment(spot.last_refused),
        "refusals": spot.refusals or None,
        "tryAgainAt": None if spot.try_at is None else moment(spot.try_at),
        "zones": [{"zone": zone, "seen": words[available], "at": moment(at)} for zone, at, available in spot.zones]
        or None,
    }
    return {key: value for key, value in told.items() if value is not None}


def _span(duration: Micros) -> str:
    """A duration as the fields of the spec take it."""
    seconds = round(max(0, duration) / SECOND)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    if minutes >= 10 or (minutes and not seconds):
        return f"{minutes}m"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def is_news(new: Mapping[str, Any], old: Mapping[str, Any], now: Instant, shown_at: Instant | None) -> bool:
    """Whether a deadline's status is worth a write of its own: what was decided has changed, or it is old and wrong."""
    if new.get("decision") != old.get("decision") or new.get("workLeftFrom") != old.get("workLeftFrom"):
        return True
    if shown_at is not None and now - shown_at < _SHOW_AFTER:
        return False
    return new.get("expectedFinish") != old.get("expectedFinish")


# --- Events -----------------------------------------------------------------------------------------------------------


def news(now_at_risk: Condition | None, stored: Mapping[str, object]) -> Iterator[EventNote]:
    """That the deadline has come into danger, once each time."""
    if now_at_risk is None or now_at_risk.status is not True or stored.get("status") == "True":
        return
    since = str(stored.get("lastTransitionTime") or "")
    yield EventNote(RISK, now_at_risk.message, f"{now_at_risk.reason}/{since}", warning=True)
