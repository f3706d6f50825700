"""One endpoint of the operator, put to the policies: the observation as columns of one row, the decision in words."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucost.core.clock import SECOND, Instant, format_duration
from gpucost.core.serving.replicas.habits import FIRST, exceeded
from gpucost.core.serving.replicas.outlook import STEP, Limits, Observation, Params, Reason, Recommendation
from gpucost.core.serving.replicas.own import FREE, Own
from gpucost.core.serving.replicas.policies import AXES, DEFAULTS, Times, columns
from gpucost.core.serving.replicas.seen import Policy, Seen

FORM = 1
"""Of stored states; another number is not read."""
_LADDER = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 240)
"""Ready times in steps for which habits are learned: the next larger one counts, so that a ready time that is learned a
little differently every time does not throw away what is known."""
_MOST_AGE = 40
_MAY_BE_ZERO = {"rate", "floor"}


class BadParams(Exception):
    """The parameters do not fit the policy; one line says why."""


@dataclass(slots=True)
class State:
    """What a policy knows of an endpoint. `decide` returns a new one and leaves the old as it was."""

    policy: Policy
    params: Params
    times: Times
    step: int = 0
    measured: Instant | None = None
    """When the metrics were from that were last taken in."""


def decide(
    state: State | None, seen: Observation, params: Params, *, in_place: bool = False
) -> tuple[State, Recommendation]:
    """The next state and the number of replicas. The same metrics are taken in once, however often they are shown."""
    times = _times(seen)
    if state is None or state.params != params or (isinstance(state.policy, Own) and state.times != times):
        state = _begun(params, times)
    if (missing := _missing(seen, state)) is not None:
        return state, _limited(params, seen.total, Reason.METRICS_MISSING, f"{missing}: the number of replicas stays")
    state = state if in_place else deepcopy(state)
    columns_ = _columns(seen, state)
    wanted = int(state.policy.decide(columns_)[0])
    state.step += 1
    state.measured = seen.measured
    return state, _told(state, seen, columns_, wanted)


def _missing(seen: Observation, state: State) -> str | None:
    """Why nothing can be decided from these metrics."""
    figures = {"arrived": seen.arrived, "served": seen.served, "queue": seen.queue, "throughput": seen.throughput}
    for name, value in figures.items():
        if value is None:
            return f"{name} is not known"
        if not math.isfinite(value) or value < 0 or (name == "throughput" and value == 0):
            return f"{name} of {value:g} is absurd"
    return "no newer metrics" if state.measured is not None and seen.measured <= state.measured else None


def _times(seen: Observation) -> Times:
    ready = -(-seen.ready_time // STEP)
    age = min(_MOST_AGE, max(1, round((seen.now - seen.measured) / STEP) + 1))
    return Times(next((rung for rung in _LADDER if rung >= ready), _LADDER[-1]), age)


def _begun(params: Params, times: Times) -> State:
    unknown = params.values.keys() - AXES.get(params.policy, {}).keys()
    if params.policy not in AXES:
        raise BadParams(f"policy: {params.policy!r} is none of {', '.join(AXES)}")
    if unknown:
        raise BadParams(f"values: {', '.join(sorted(unknown))}: {params.policy} has {', '.join(AXES[params.policy])}")
    values = {**DEFAULTS[params.policy], **params.values}
    if not all(math.isfinite(value) and value > 0 for name, value in values.items() if name not in _MAY_BE_ZERO):
        raise BadParams("values: every value is a number above 0")
    return State(columns(params.policy, [values], times), params, times)


# --- the observation in columns ---------------------------------------------------------------------------------------


def _columns(seen: Observation, state: State) -> Seen:
    unit = seen.throughput * STEP / SECOND
    assert seen.arrived is not None
    assert seen.served is not None
    assert seen.queue is not None
    return Seen(
        step=state.step,
        arrived=seen.arrived / seen.throughput,
        served=np.array([seen.served / seen.throughput]),
        queue=np.array([seen.queue / unit]),
        ready=np.array([seen.ready]),
        total=np.array([seen.total]),
        coming=np.array([_coming(seen, state.times.ready)]),
        pace=_pace(seen.served / seen.throughput, seen.queue / unit, seen.ready),
    )


def _pace(served: float, queue: float, ready: int) -> float:
    """Replicas that serve more than they should are late, but while nothing waits there will be no queue to empty."""
    return max(1.0, served / ready) if ready and queue <= FREE * ready else 1.0


def _coming(seen: Observation, ready_steps: int) -> float:
    """Replica-steps until a replica asked for now would be ready; those that are overdue come in the next step."""
    waits = [max(STEP, seen.ready_time - age) / STEP for age in seen.pending]
    return seen.ready * ready_steps + sum(max(0.0, ready_steps - wait) for wait in waits)


# --- the decision in words --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What a recommendation tells besides the number."""

    load: float | None = None
    chance: float | None = None
    backlog: float | None = None
    season: str = "none"


def _told(state: State, seen: Observation, row: Seen, wanted: int) -> Recommendation:
    reason = Reason.STEADY
    if wanted != seen.total:
        reason = Reason.RISING_LOAD if wanted > seen.total else Reason.FALLING_LOAD
    own = state.policy
    if not isinstance(own, Own) or own.expected is None:
        message = f"{state.params.policy} asks for {wanted} replicas"
        return _limited(state.params, wanted, reason, message, _Evidence(row.arrived))
    expected, backlog = own.expected, float(own.backlog[0])
    if wanted > seen.total and own.waits(row)[0]:
        reason = Reason.DRAINING_QUEUE
    units = math.log(max(wanted, 1) / max(expected.base, 1e-12)) / expected.scale
    chance = exceeded(expected.curves.near, max(units, FIRST))
    found = _Evidence(expected.level, chance, backlog * seen.throughput * STEP / SECOND, expected.season)
    return _limited(state.params, wanted, reason, _message(reason, seen, wanted, found), found)


def _message(reason: Reason, seen: Observation, wanted: int, found: _Evidence) -> str:
    load, chance, backlog = found.load or 0.0, found.chance or 0.0, found.backlog or 0.0
    arrives = f"{load * seen.throughput:,.3g} requests/s arrive, {load:.1f} replicas' worth"
    lead = format_duration(seen.ready_time)
    exceeds = f"more than {wanted} would be needed {chance:.1%} of the time in the {lead} that a replica takes to start"
    waits = f"{backlog:,.0f} requests would wait when a replica asked for now is ready in {lead}"
    return f"{arrives}; {waits if reason is Reason.DRAINING_QUEUE else exceeds}"


def _limited(
    params: Params,
    wanted: int,
    reason: Reason,
    message: str,
    found: _Evidence = _Evidence(),
) -> Recommendation:
    least, most = params.limits.least, params.limits.most
    given = wanted if reason is Reason.METRICS_MISSING else min(max(wanted, least), most)
    if given != wanted:
        bound = f"at least {least}" if given > wanted else f"at most {most}"
        reason, message = Reason.LIMITED, f"{message}; {bound} are allowed"
    return Recommendation(given, reason, message, wanted, found.load, found.chance, found.backlog, found.season)


# --- over a restart ---------------------------------------------------------------------------------------------------


def stored(state: State) -> dict[str, Any]:
    """The arguments to begin it with, and everything that was learned, as plain values."""
    return {
        "form": FORM,
        "policy": state.params.policy,
        "values": dict(state.params.values),
        "limits": [state.params.limits.least, state.params.limits.most],
        "times": [state.times.ready, state.times.age],
        "step": state.step,
        "measured": state.measured,
        "learned": _plain(state.policy.demand) if isinstance(state.policy, Own) else None,
    }


def restored(document: dict[str, Any]) -> State | None:
    """The same state again; windows of the published policies begin anew, as those programs' own do."""
    if document.get("form") != FORM:
        return None
    params = Params(document["policy"], document["values"], Limits(*document["limits"]))
    state = _begun(params, Times(*document["times"]))
    state.step, state.measured = document["step"], document["measured"]
    if isinstance(state.policy, Own) and document["learned"] is not None:
        _fill(state.policy.demand, document["learned"])
    return state


def _fields(thing: object) -> list[str]:
    names = getattr(type(thing), "__slots__", None) or vars(thing)
    return [name for name in names if not name.startswith("_") and name not in {"curves", "windows", "lag", "size"}]


def _plain(thing: object) -> Any:
    if isinstance(thing, np.ndarray):
        return thing.tolist()
    if thing is None or isinstance(thing, int | float | str):
        return thing
    return {name: _plain(getattr(thing, name)) for name in _fields(thing)}


def _fill(thing: object, values: dict[str, Any]) -> None:
    for name in _fields(thing):
        value, present = values[name], getattr(thing, name)
        if isinstance(value, dict):
            _fill(present, value)
        else:
            setattr(thing, name, np.array(value) if isinstance(value, list) else value)
    refresh = getattr(thing, "refresh", None)
    if refresh is not None:
        refresh()
