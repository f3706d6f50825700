"""From what was measured of an endpoint to the number of replicas that the policy asks for.

The policy advances once for each look at the metrics, never for a pod that came or went in between: it counts steps.
What it has learned is kept in memory and handed to the ledger from time to time; without it, it begins anew and is
careful.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gpucost.core.clock import MINUTE, SECOND, Instant, Micros
from gpucost.core.model import Key, Pod
from gpucost.core.serving import replicas
from gpucost.core.serving.replicas.outlook import STEP
from gpucost.core.serving.signals.counting import STALE
from gpucost.core.serving.signals.model import Asked, Availability, Evidence, PodRef, Signals, value_of
from gpucost.core.serving.spec import EndpointSpec, Mode, Runtime
from gpucost.core.serving.state import Measured, Wish
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.endpoints.turning import Turns

log = logging.getLogger(__name__)

_LEAST_STEP: Micros = STEP - SECOND
"""Where metrics are looked at more often than the policy's steps are long, it takes in some of the looks only."""
_LATER_OFTEN = 20
"""So many looks in a row are no accident."""
_NEAR = 0.6
UNTOLD_READY_TIME: Micros = 3 * MINUTE
"""Until the ready time of an endpoint's own pods was measured."""
_HIGH, _MEDIUM = 0.7, 0.3
_UNASKED = Measured(known=False, reason=str(Availability.LEARNING))
_NO_CAPACITY = "what one replica can serve is not known yet; give spec.capacity.requestsPerSecond, or wait for traffic"


@dataclass
class Advisor:
    """Asks the policy, and remembers its answers by UID of the endpoint."""

    endpoints: Endpoints
    now: Callable[[], Instant]
    mark: Callable[[Key], None]
    ready_time_of: Callable[[str], Micros | None] = lambda _uid: None
    """How long pods of an endpoint take from creation to ready, as measured; by UID."""
    states: dict[str, Any] = field(default_factory=dict)
    """What the policy has learned."""
    stepped: dict[str, Instant] = field(default_factory=dict)
    """When the policy took metrics in last."""
    later: dict[str, int] = field(default_factory=dict)
    """Looks in a row at metrics that were older than the policy reckons with."""
    answers: dict[str, tuple[Measured, Wish | None]] = field(default_factory=dict)
    heard_at: dict[str, Instant] = field(default_factory=dict)
    """When an endpoint was looked at last."""
    stale_after: Micros = STALE
    """How old a look may be before nothing follows from it any more."""
    turns: Turns = field(default_factory=Turns)

    def asked(self) -> Sequence[Asked]:
        """Endpoints whose load is to be measured, with the pods that are expected to speak."""
        found = []
        for key, record in self.endpoints.records.items():
            spec = self.endpoints.specs[key].value
            if spec is not None and spec.mode is not Mode.OFF and not record.deleting:
                pods = self.endpoints.replicas_of(record.namespace, spec.target)
                found.append(Asked(record.uid, record.namespace, spec, tuple(map(_reference, pods))))
        self._forget({one.uid for one in found})
        return found

    def _forget(self, asked: set[str]) -> None:
        """What was learned goes with the endpoint, and not while its mode is Off for a while."""
        for kept, alive in (
            (self.states, self.endpoints.keys.keys()),
            *((one, asked) for one in (self.answers, self.stepped, self.later, self.heard_at)),
        ):
            for uid in kept.keys() - alive:
                del kept[uid]
        self.turns.forget(self.endpoints.keys)

    def heard(self, asked: Asked, signals: Signals) -> None:
        """Take one look at an endpoint in, and have it looked at."""
        if self.turns.is_new(asked.uid, asked.spec.target):
            for kept in (self.states, self.answers, self.stepped, self.later):
                kept.pop(asked.uid, None)
        self.answers[asked.uid] = self._answer(asked, signals)
        self.heard_at[asked.uid] = self.now()
        if (key := self.endpoints.keys.get(asked.uid)) is not None:
            self.mark(key)

    def of(self, uid: str) -> tuple[Measured, Wish | None]:
        """Whether the load of an endpoint is known, and what the policy asks for; an answer does not hold for ever."""
        key = self.endpoints.keys.get(uid)
        spec = self.endpoints.spec_of(key) if key is not None else None
        if spec is not None and not self.turns.is_about(uid, spec.target):
            return _UNASKED, None  # the last look was at another workload
        measured, wish = self.answers.get(uid, (_UNASKED, None))
        at = self.heard_at.get(uid, 0)
        if not measured.known or self.now() - at <= self.stale_after:
            return measured, wish
        message = f"the load was looked at last {(self.now() - at) // SECOND} s ago"
        return Measured(False, str(Availability.STALE), message, frozen=message, since=at), None

    def _answer(self, asked: Asked, signals: Signals) -> tuple[Measured, Wish | None]:
        measured = Measured(
            known=signals.availability.available,
            reason=str(signals.availability),
            message=signals.message,
            frozen=signals.frozen,
            since=signals.unknown_since,
        )
        if not measured.known or signals.measured is None:
            return measured, None
        throughput = _throughput(asked.spec, signals)
        pods = self.endpoints.replicas_of(asked.namespace, asked.spec.target)
        if throughput is None:
            return replace(measured, lacking=_NO_CAPACITY), _one_more(signals, pods)
        now = self.now()
        served, queue = _flow(asked.spec, signals)
        untold = [name for name, value in (("are served", served), ("wait", queue)) if value is None]
        if untold:  # what was asked for before does not hold on without them
            return replace(measured, lacking=f"how many requests {' and '.join(untold)} is not known"), None
        age, ready_time = self._pace(asked.uid, now - signals.measured)
        observation = replicas.Observation(
            now=signals.measured + (age - 1) * STEP,
            measured=signals.measured,
            arrived=value_of(signals.arrived),
            served=served,
            queue=queue,
            ready=sum(pod.serving_since is not None for pod in pods),
            pending=tuple(max(0, now - pod.created) for pod in pods if pod.ready_since is None and not pod.deleting),
            throughput=throughput,
            ready_time=ready_time,
        )
        return measured, self._wish(asked.uid, observation, signals)

    def _wish(self, uid: str, observation: replicas.Observation, signals: Signals) -> Wish | None:
        """The policy's answer; the one of before when these metrics are not newer than what it has seen."""
        last = self.answers[uid][1] if uid in self.answers else None
        now = self.now()
        if last is not None and now - self.stepped.get(uid, 0) < _LEAST_STEP:
            return last
        state = self.states.pop(uid, None)  # half a step must not be gone on from: if it fails, it begins anew
        self.states[uid], found = replicas.decide(state, observation, in_place=True)
        if found.reason is replicas.Reason.METRICS_MISSING:
            return last
        self.stepped[uid] = now
        return Wish(found.wanted, str(found.reason), found.message, _confidence(signals))

    def _pace(self, uid: str, behind: Micros) -> tuple[int, Micros]:
        """How many steps old metrics are when they are seen, and how long a replica takes to be ready.

        The policy learns for one pair of them and begins anew with another, so a scrape that comes early or late, and
        a ready time that is measured a little differently, are no other pair.
        """
        age, ready = max(1, round(behind / STEP) + 1), self.ready_time_of(uid) or UNTOLD_READY_TIME
        times = getattr(self.states.get(uid), "times", None)
        if times is None:
            return age, ready
        self.later[uid] = self.later.get(uid, 0) + 1 if age > times.age else 0
        if age < times.age or self.later[uid] < _LATER_OFTEN:
            age = times.age
        known = times.ready * STEP
        return age, known if _NEAR * known <= ready <= known else ready

    # --- over a restart -----------------------------------------------------------------------------------------------

    def load(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Begin with what was learned before, by UID."""
        for uid, document in documents.items():
            try:
                state = replicas.restored(dict(document))
            except Exception:  # what one endpoint has taught must not keep the operator from starting
                log.exception("%s: what its policy had learned cannot be read; it begins anew", uid)
                continue
            if uid not in self.states and state is not None:
                self.states[uid] = state

    def learned(self) -> dict[str, dict[str, Any]]:
        """What has been learned, to be kept."""
        return {uid: replicas.stored(state) for uid, state in self.states.items() if state is not None}


def _reference(pod: Pod) -> PodRef:
    return PodRef(pod.uid, pod.name, None if pod.deleting else pod.ready_since, pod.running)


def _flow(spec: EndpointSpec, signals: Signals) -> tuple[float | None, float | None]:
    """Requests a second that are served, and requests that wait.

    Who names own queries, and none for these, says that everything is served at once: only arrivals are required.
    """
    served, queue = value_of(signals.served), value_of(signals.waiting)
    if spec.runtime is Runtime.CUSTOM:
        served = value_of(signals.arrived) if "servedPerSecond" not in spec.metrics.queries else served
        queue = 0.0 if "waiting" not in spec.metrics.queries else queue
    return served, queue


def _one_more(signals: Signals, pods: Sequence[Pod]) -> Wish | None:
    """Before it is known what a replica serves: one more where all of them are full and none is on its way."""
    living = [pod for pod in pods if pod.deleting is None]
    ready = [pod for pod in living if pod.ready_since is not None]
    if not ready or len(ready) < len(living) or not {pod.name for pod in ready} <= set(signals.saturated):
        return None
    message = f"all of {len(ready)} replicas are full, and what one of them serves is not known yet"
    return Wish(len(ready) + 1, "AllReplicasFull", message, "Low")


def _throughput(spec: EndpointSpec, signals: Signals) -> float | None:
    """Requests a second that one replica serves within the SLO: as the specification says, else as learned."""
    given = spec.capacity.requests_per_second
    return float(given) if given is not None else signals.capacity.requests_per_second


def _confidence(signals: Signals) -> str:
    capacity = signals.capacity
    if capacity.evidence is Evidence.GIVEN or capacity.confidence >= _HIGH:
        return "High"
    return "Medium" if capacity.confidence >= _MEDIUM else "Low"
