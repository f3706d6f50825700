"""From what is known of an endpoint's load to the number of replicas that the policy asks for.

The policy counts in requests a second and in replicas' worth, so it needs to know what a replica serves. Before that is
learned nothing is asked for but one more replica where every one of them is full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.serving.replicas import Limits, Observation, Params, Reason, decide
from gpucost.core.serving.signals.model import Asked, Availability, Evidence, Known, Signals, value_of
from gpucost.core.serving.spec import Runtime
from gpucost.core.serving.state import Measured, Wish

READY_TIME: Micros = 3 * MINUTE
"""From a replica's creation until it serves, before any start was measured."""
_PARAMS = Params(limits=Limits(0, 1_000_000))
"""No limits: those of the specification, its schedules and its behaviour come after the wish."""
LEARNING, FULL = "CapacityUnknown", "AllReplicasFull"


@dataclass(frozen=True, slots=True)
class Replicas:
    """The replicas that exist."""

    ready: int
    pending: tuple[Micros, ...] = ()
    """For each that is not ready yet: for how long it has existed."""
    ready_time: Micros = READY_TIME


def measured(signals: Signals) -> Measured:
    """Whether the load is known, for the plan and the condition."""
    known = signals.availability.available
    message, frozen = signals.message, signals.frozen if known else ""
    return Measured(known, signals.availability.value, message, frozen, signals.unknown_since)


def want(state: Any, asked: Asked, signals: Signals, replicas: Replicas, now: Instant) -> tuple[Any, Wish | None]:
    """The policy's next state, and what it asks for; None while the load is unknown."""
    if signals.availability is not Availability.FOUND or not isinstance(signals.arrived, Known):
        return state, None
    total = replicas.ready + len(replicas.pending)
    capacity = signals.capacity
    if not capacity.requests_per_second:
        return state, _without_capacity(signals, total, is_starting=bool(replicas.pending))
    seen = _observation(asked, signals, replicas, now)
    if seen is None:
        return state, None
    state, found = decide(state, seen, _PARAMS)
    if found.reason is Reason.METRICS_MISSING:  # these metrics were looked at before: what was wished then holds
        return state, None
    message = f"{found.message}; a replica serves {_served(signals)}"
    return state, Wish(found.replicas, found.reason.value, message, _confidence(capacity.confidence))


def renewed(before: Wish | None, after: Wish | None, *, known: bool) -> Wish | None:
    """The wish that holds: between two scrapes the one before."""
    return after if after is not None or not known else before


def _without_capacity(signals: Signals, total: int, *, is_starting: bool) -> Wish:
    speaking = len(signals.pods) - len(signals.silent)
    if signals.saturated and len(signals.saturated) >= speaking and not is_starting:
        message = f"all of {speaking} replicas are full, and what one of them serves is not known yet"
        return Wish(total + 1, FULL, message, "Low")
    message = "what a replica serves within the objective is not known yet: it is learned from minutes with requests"
    return Wish(total, LEARNING, message, "Low")


def _observation(asked: Asked, signals: Signals, replicas: Replicas, now: Instant) -> Observation | None:
    arrived, served, waiting = value_of(signals.arrived), value_of(signals.served), value_of(signals.waiting)
    if asked.spec.runtime is Runtime.CUSTOM:  # who gives no query for a figure says that there is nothing to see
        queries = asked.spec.metrics.queries
        served = arrived if "servedPerSecond" not in queries else served
        waiting = 0.0 if "waiting" not in queries else waiting
    assert isinstance(signals.arrived, Known)
    return Observation(
        now=now,
        measured=signals.arrived.at,
        arrived=arrived,
        served=served,
        queue=waiting,
        ready=replicas.ready,
        pending=replicas.pending,
        throughput=signals.capacity.requests_per_second or 0.0,
        ready_time=replicas.ready_time,
    )


def _served(signals: Signals) -> str:
    found = signals.capacity
    tokens = f", {found.tokens_per_second:,.0f} tokens/s" if found.tokens_per_second is not None else ""
    how = {
        Evidence.GIVEN: "as spec.capacity says",
        Evidence.EXPLORED: "as far as was seen and a step beyond, since no limit was met",
        Evidence.SATURATED: "where it met its limit",
    }
    return f"{found.requests_per_second:,.3g} requests/s{tokens}, {how.get(found.evidence, '')}"


def _confidence(share: float) -> str:
    return "High" if share >= 0.8 else "Medium" if share >= 0.4 else "Low"
