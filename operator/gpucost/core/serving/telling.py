"""What is told about an InferenceEndpoint: conditions, status fields and Events, from the state that was decided on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from gpucost.core.actions import Condition, EventNote, stored_condition
from gpucost.core.clock import HOUR, SECOND, Instant, format_rfc3339, parse_rfc3339
from gpucost.core.serving.behavior import Limit, Past
from gpucost.core.serving.schedules import Open
from gpucost.core.serving.signals.model import Availability
from gpucost.core.serving.spec import Mode
from gpucost.core.serving.state import (
    LOOK_EVERY,
    EndpointDecision,
    EndpointState,
    ScaleTarget,
    Target,
    Wish,
)

HISTORY = 5
_LEARNING = str(Availability.LEARNING)
_CENT = Decimal("0.01")
_LIMITED = {
    Limit.MIN: "more would not be needed, but minReplicas asks for them",
    Limit.MAX: "more would be needed, but maxReplicas allows no more",
    Limit.TOLERANCE: "the change would be within the tolerance",
    Limit.UP_STABILIZED: "spec.behavior.scaleUp waits for the recommendation to last",
    Limit.DOWN_STABILIZED: "fewer would do, but not for long enough yet",
    Limit.UP_RATE: "spec.behavior.scaleUp allows no faster change",
    Limit.DOWN_RATE: "spec.behavior.scaleDown allows no faster change",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A verdict with everything that goes into the status."""

    ready: bool
    reason: str
    message: str
    active: bool | None = False
    desired: int | None = None
    limit: Limit = Limit.NONE
    window: Open | None = None
    wake_at: Instant | None = None
    missing_since: Instant | None = None
    action: ScaleTarget | None = None
    past: Past = field(default_factory=Past)


def tell(state: EndpointState, now: Instant, told: Told) -> EndpointDecision:
    """The decision with its story."""
    wishes = [at for at in (told.wake_at, now + LOOK_EVERY) if at is not None]
    return EndpointDecision(
        target=state.key,
        past=told.past,
        action=told.action,
        conditions=_conditions(state, told),
        status=_status(state, told, now),
        events=tuple(_news(state, told, now)),
        success=_done(state, told.action) if told.action is not None else None,
        wake_at=min(wishes),
    )


# --- conditions -------------------------------------------------------------------------------------------------------


def _conditions(state: EndpointState, told: Told) -> tuple[Condition, ...]:
    return (
        Condition("Ready", told.ready, told.reason, told.message[:2048]),
        _resolved(state),
        _available(state),
        Condition("ScalingActive", told.active, told.reason, told.message[:2048]),
        _limited(told),
    )


def _resolved(state: EndpointState) -> Condition:
    if isinstance(state.target, Target):
        return Condition("TargetResolved", True, "Found", f"{state.spec.target if state.spec else 'it'} can be scaled")
    if state.target is None:
        return Condition("TargetResolved", None, "Unknown", "it has not been looked at yet")
    unknown = state.target.reason == "Unreachable"
    return Condition("TargetResolved", None if unknown else False, state.target.reason, state.target.message)


def _available(state: EndpointState) -> Condition:
    if state.spec is not None and state.spec.mode is Mode.OFF:
        return Condition("MetricsAvailable", None, "Off", "spec.mode is Off: nobody asks")
    measured = state.measured
    return Condition("MetricsAvailable", measured.known, measured.reason, measured.message[:2048])


def _limited(told: Told) -> Condition:
    message = _LIMITED.get(told.limit, "the number is within its limits")
    return Condition("ScalingLimited", told.limit is not Limit.NONE, str(told.limit), message)


# --- status -----------------------------------------------------------------------------------------------------------


def _status(state: EndpointState, told: Told, now: Instant) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if state.spec is not None:
        found["target"] = str(state.spec.target)
    if isinstance(state.target, Target):
        found |= {"currentReplicas": state.target.replicas, "readyReplicas": state.ready}
        if state.target.selector:
            found["selector"] = state.target.selector
    if told.desired is not None:
        found["desiredReplicas"] = told.desired
    if history := _history(state):
        found |= {"lastScaleTime": history[0]["at"], "scalingHistory": history}
    if told.window is not None:
        found["schedule"] = {"index": told.window.index, "until": format_rfc3339(told.window.until)}
    if told.missing_since is not None:
        found["missingSince"] = format_rfc3339(told.missing_since - told.missing_since % SECOND)
    if (recommendation := _recommendation(state, told, now)) is not None:
        found["recommendation"] = recommendation
    return found


def _history(state: EndpointState) -> list[Mapping[str, Any]]:
    """The last changes, the newest first: those that the status tells, and those that it does not show yet."""
    made = [_step(step.at, step.before, step.after, step.reason) for step in state.past.steps]
    told = [one for one in state.status.get("scalingHistory") or () if one not in made]
    oldest_first = sorted([*reversed(told), *made], key=lambda one: str(one["at"]))
    return oldest_first[::-1][:HISTORY]


def _step(at: Instant, before: int, after: int, reason: str) -> dict[str, Any]:
    return {"at": format_rfc3339(at - at % SECOND), "before": before, "after": after, "reason": reason}


def _recommendation(state: EndpointState, told: Told, now: Instant) -> Mapping[str, Any] | None:
    recommended = _recommended(state, told)
    if recommended is None or told.desired is None or not state.measured.known:
        return None
    result: dict[str, Any] = {
        "replicas": told.desired,
        "reason": str(told.limit) if told.limit in {Limit.MIN, Limit.MAX} else recommended.reason,
        "message": recommended.message[:1024],
        "asOf": format_rfc3339(now - now % SECOND),
    }
    if (saving := _saving(state, told.desired)) is not None:
        result["savingPerHour"] = f"{saving:.2f}"
    if recommended.confidence is not None:
        result["confidence"] = recommended.confidence
    return result


def _recommended(state: EndpointState, told: Told) -> Wish | None:
    """Who says what the number should be, with the reason: a demand, where it is the one that is followed."""
    demand = state.demand
    if demand is not None and told.desired == demand.replicas and told.reason in {demand.reason, "Recommending"}:
        return Wish(demand.replicas, demand.reason, demand.message)
    return state.wish


def _saving(state: EndpointState, replicas: int) -> Decimal | None:
    """What another number saves per hour; negative when it costs more."""
    if state.replica_hourly is None or not isinstance(state.target, Target):
        return None
    return ((state.target.replicas - replicas) * state.replica_hourly).quantize(_CENT)


def scaled(status: Mapping[str, Any], action: ScaleTarget, now: Instant) -> dict[str, Any]:
    """Status fields after a change was made: the number, when, and the last changes."""
    step = _step(now, action.before, action.replicas, action.reason)
    earlier = tuple(status.get("scalingHistory") or ())
    return {
        **status,
        "currentReplicas": action.replicas,
        "lastScaleTime": step["at"],
        "scalingHistory": [step, *earlier][:HISTORY],
    }


def refused(decision: EndpointDecision, action: ScaleTarget, said: str) -> EndpointDecision:
    """The decision as it is told when the API server did not let the number be set."""
    message = f"{action.ref} was not set to {action.replicas} replicas: {said}"[:2048]
    conditions = tuple(
        Condition(one.type, False, "ScaleRefused", message) if one.type in {"Ready", "ScalingActive"} else one
        for one in decision.conditions
    )
    return replace(decision, conditions=conditions, success=None)


def steps_of(status: Mapping[str, Any]) -> Iterator[tuple[Instant, int, int, str]]:
    """Changes that a stored status tells of, the oldest first: when, before, after, why."""
    for one in reversed(status.get("scalingHistory") or ()):
        yield parse_rfc3339(one["at"]), int(one["before"]), int(one["after"]), str(one["reason"])


# --- Events -----------------------------------------------------------------------------------------------------------


def _money(state: EndpointState, replicas: int) -> str:
    saving = _saving(state, replicas)
    if saving is None:
        return "; what it costs is not known"
    if not saving:
        return ""
    words = "saves" if saving > 0 else "costs"
    return f"; {words} {abs(saving):.2f} {state.currency} an hour{'' if saving > 0 else ' more'}"


def _done(state: EndpointState, action: ScaleTarget) -> EventNote:
    message = f"{action.ref} {action.before} -> {action.replicas} replicas: {action.reason}: {action.message}"
    dedupe = f"{action.uid}/{action.resource_version}/{action.before}-{action.replicas}"
    return EventNote("ReplicasRightSized", message + _money(state, action.replicas), dedupe)


def _news(state: EndpointState, told: Told, now: Instant) -> Iterator[EventNote]:
    """News against the stored status; the keys keep a repeated pass from telling them again."""
    spec, recommended = state.spec, _recommended(state, told)
    if told.reason == "Conflict" and stored_condition(state.status, "Ready").get("reason") != "Conflict":
        yield EventNote("Conflict", told.message, f"{state.generation}/{told.message}", warning=True)
    stored = stored_condition(state.status, "MetricsAvailable")
    # After a start two looks are needed for a rate: that is no news, and what comes after it may be.
    was_known = stored.get("status") == "True" or stored.get("reason") == _LEARNING
    if told.missing_since is not None and was_known and state.measured.reason != _LEARNING:
        message = f"{state.measured.reason}: {state.measured.message}; the replicas are not lowered"
        yield EventNote("UtilizationUnknown", message, str(told.missing_since), warning=True)
    if spec is None or recommended is None or told.desired is None or told.action is not None:
        return
    if spec.mode is Mode.AUTO and told.reason != "Recommending":
        return
    if not isinstance(state.target, Target) or told.desired == state.target.replicas or not state.measured.known:
        return
    shown = state.status.get("recommendation")
    if isinstance(shown, Mapping) and shown.get("replicas") == told.desired:
        return
    current, desired = state.target.replicas, told.desired
    message = f"{spec.target} {current} -> {desired} replicas: {recommended.reason}: {recommended.message}"
    yield EventNote("ActionRecommended", message + _money(state, desired), f"{current}-{desired}/{now // HOUR}")
