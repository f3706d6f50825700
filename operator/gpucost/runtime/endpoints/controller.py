"""Look at one InferenceEndpoint: gather its state, decide, apply, report.

The thin shell around `core.serving.plan`. What is carried from pass to pass (`Past`) is a memory that a restart may
lose without harm: the present number counts as recommended then, and changes of before are read back from the status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar

from gpucost.core.actions import EventNote
from gpucost.core.clock import SECOND, Instant
from gpucost.core.model import Key, Pod
from gpucost.core.serving.behavior import Past, Step
from gpucost.core.serving.pausing import pause_of
from gpucost.core.serving.plan import plan
from gpucost.core.serving.spec import INFERENCE_ENDPOINT, EndpointSpec, Mode, TargetRef
from gpucost.core.serving.state import Demand, EndpointDecision, EndpointState, Measured, ScaleTarget, Target, Wish
from gpucost.core.serving.telling import refused, scaled, steps_of
from gpucost.effects import events
from gpucost.effects.apply import Result
from gpucost.effects.scaling import scale
from gpucost.kube.client import KubeClient
from gpucost.runtime.endpoints.least_used import Postponed
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.endpoints.reporting import StatusWriter
from gpucost.runtime.endpoints.targets import Targets
from gpucost.runtime.endpoints.turning import Turns
from gpucost.runtime.metrics import Figures
from gpucost.runtime.queue import DirtyKeys
from gpucost.runtime.world import Custom

log = logging.getLogger(__name__)

_RETRY = 5 * SECOND
_AFTER_A_FAULT = 30 * SECOND
_TOLD_AT_MOST = 256
_DECIDE_AGAIN = {Result.CONFLICT: SECOND, Result.ENDING: _AFTER_A_FAULT}
"""After these the decision is void, and so is its story; and when it is made anew."""
_POLICY = "serving"
UNMEASURED = Measured(known=False)

T = TypeVar("T")
Load = tuple[Measured, Wish | None]


async def _nothing_unseen(*_: object) -> str:
    return ""


@dataclass
class EndpointController:
    """Works on the dirty keys of InferenceEndpoints."""

    endpoints: Endpoints
    client: KubeClient
    queue: DirtyKeys
    figures: Figures
    now: Callable[[], Instant]
    targets: Targets
    writer: StatusWriter
    currency: str = "USD"
    instance: str = "gpucost"
    unseen: Callable[[str, str, TargetRef, Target], Awaitable[str]] = _nothing_unseen
    """Looks at who owns a workload (its path, namespace, reference and scale); why that is not known, or nothing."""
    sees_rivals: Callable[[], bool] = lambda: True
    """Whether it is known who else sets replicas."""
    load_of: Callable[[str], Load] = lambda _uid: (UNMEASURED, None)
    """Whether the load of an endpoint is known, and how many replicas the policy asks for; by UID."""
    hourly_of: Callable[[str, EndpointSpec], Decimal | None] = lambda _namespace, _spec: None
    """What one replica costs per hour: by namespace and specification."""
    demand_of: Callable[[EndpointState, Custom], Demand | None] = lambda _state, _record: None
    """A number that goes before every recommendation: to sleep, to wake up."""
    before_scaling: list[Callable[[Custom, ScaleTarget], Awaitable[None]]] = field(default_factory=list)
    """What is done just before a change, such as to mark the pods that shall go."""
    free_of: Callable[[Custom, EndpointSpec, Sequence[Pod]], int | None] = lambda _record, _spec, _pods: None
    """How many replicas may go now without cutting off an answer; None: that is nobody's wish."""
    after_scaling: list[Callable[[Custom, ScaleTarget], None]] = field(default_factory=list)
    """Who is told of a change that was made."""
    news: list[Callable[[Custom], Iterable[EventNote]]] = field(default_factory=list)
    """Further Events, from whoever has something to say about an endpoint."""
    watchers: list[Callable[[Custom, EndpointState, EndpointDecision], None]] = field(default_factory=list)
    """Who is told of every look, with the decision as it is told."""
    pasts: dict[str, Past] = field(default_factory=dict)
    """By UID."""
    turns: Turns = field(default_factory=Turns)
    told: dict[Key, set[tuple[str, str, str]]] = field(default_factory=dict)
    """Events posted since the start."""

    async def work(self) -> None:
        """Take keys until cancelled."""
        while True:
            key = await self.queue.take()
            try:
                await self.process(key)
            except Exception:  # one endpoint must not keep the others from being looked at, and is looked at again
                log.exception("%s: the pass over an endpoint failed", key)
                self.figures.errors["serving"] += 1
                self.queue.wake_at(key, self.now() + _AFTER_A_FAULT)
            finally:
                self.queue.done(key)

    async def run(self, count: int = 8) -> None:
        """Work with a bounded number of keys at the same time."""
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self.work())

    async def process(self, key: Key) -> None:
        """One pass over one InferenceEndpoint."""
        record = self.endpoints.records.get(key)
        if record is None or record.deleting:
            self._forget(key)
            return
        state = await self.gather(record)
        decision = plan(state, self.now())
        if decision.action is not None and self._has_changed(record):
            self.queue.mark(key)  # what it asks for now is looked at instead
            return
        self.pasts[record.uid] = decision.past
        result, told = await self._act(record, decision)
        if result in _DECIDE_AGAIN:
            self.queue.wake_at(key, self.now() + _DECIDE_AGAIN[result])
            return
        for watch in self.watchers:
            self._aside(record, watch, record, state, told)
        await self._tell(record, told, done=result is Result.APPLIED)
        await self.writer.write(record, told.status, told.conditions)
        self.queue.wake_at(key, told.wake_at if result in {None, Result.APPLIED} else self.now() + _RETRY)

    def _has_changed(self, record: Custom) -> bool:
        """Whether somebody has changed or deleted an endpoint while its workload was looked at."""
        new = self.endpoints.records.get(record.key)
        if new is None or new.deleting:
            return True
        # Of its annotations only pauses: a gateway may write the one that wakes it up many times in a second.
        mine, theirs = ((one.uid, one.spec, pause_of(one.annotations)) for one in (record, new))
        return mine != theirs

    # --- state --------------------------------------------------------------------------------------------------------

    async def gather(self, record: Custom) -> EndpointState:
        """Everything that is known of one endpoint now."""
        read = self.endpoints.specs[record.key]
        spec = read.value
        state = EndpointState(
            key=record.key,
            uid=record.uid,
            generation=record.generation,
            spec=spec,
            problems=read.problems,
            annotations=record.annotations,
            status=record.status,
            currency=self.currency,
            past=self._past(record, spec),
        )
        if spec is None or spec.mode is Mode.OFF:
            return state
        target = await self.targets.look(spec.target, record.namespace)
        pods: tuple[Pod, ...] = ()
        unseen = ""
        if isinstance(target, Target):
            path = self.targets.path(spec.target, record.namespace)
            unseen = await self.unseen(path, record.namespace, spec.target, target)
            pods = await self.pods(record, spec, target.selector)
        measured, wish = self.load_of(record.uid)
        ready = [pod.serving_since for pod in pods if pod.serving_since is not None]
        state = replace(
            state,
            target=target,
            rivals=self.endpoints.rivals(record, spec) if self.sees_rivals() and not unseen else None,
            unseen=unseen,
            free=self.free_of(record, spec, pods),
            ready=len(ready),
            ready_since=min(ready, default=None),
            measured=measured,
            wish=wish,
            replica_hourly=self.hourly_of(record.namespace, spec),
        )
        return replace(state, demand=self._demand(state, record))

    def _demand(self, state: EndpointState, record: Custom) -> Demand | None:
        """The number that goes before every recommendation; where that fails, a replica that may be waited for."""
        try:
            return self.demand_of(state, record)
        except Exception:  # an endpoint must be scaled up, or woken up, all the same
            log.exception("%s: whether it may sleep, or has to wake up, is not known", record.key)
            self.figures.errors["serving"] += 1
        sleeps = isinstance(state.target, Target) and not state.target.replicas
        if not sleeps or state.spec is None or state.spec.zero is None:
            return None
        return Demand(1, "Woken", "nobody knows whether requests are held; the operator's log has the reason")

    async def pods(self, record: Custom, spec: EndpointSpec, selector: str) -> tuple[Pod, ...]:
        """Pods that stand for replicas: by who owns them, else those that the selector of the workload finds."""
        namespace, target = record.namespace, spec.target
        if selector and target.group != "apps" and not self.endpoints.is_owned(namespace, target):
            selected = await self.targets.pods(namespace, selector, self.endpoints.world.pods)
            self.endpoints.adopt(namespace, target, selected)
        return self.endpoints.replicas_of(namespace, target)

    def _past(self, record: Custom, spec: EndpointSpec | None) -> Past:
        if spec is not None and self.turns.is_new(record.uid, spec.target):
            self.pasts[record.uid] = Past()  # what was recommended and done was about another workload
        known = self.pasts.get(record.uid)
        if known is not None:
            return known
        steps = tuple(Step(*one) for one in steps_of(record.status))
        return Past(steps=steps)

    # --- acting and telling -------------------------------------------------------------------------------------------

    async def _act(self, record: Custom, decision: EndpointDecision) -> tuple[Result | None, EndpointDecision]:
        """Carry out the change, if there is one: how it ended, and the decision as it is to be told."""
        action = decision.action
        if action is None:
            return None, decision
        try:
            for prepare in self.before_scaling:
                await prepare(record, action)
        except Postponed as why:
            return Result.REJECTED, refused(decision, action, str(why))
        result, said = await scale(self.client, self.targets.path(action.ref, record.namespace), action)
        self.figures.actions[_POLICY, "Auto", result.value] += 1
        words = f"{action.ref} {action.before} -> {action.replicas}: {action.reason}: {action.message}"
        if result is not Result.APPLIED:
            level = logging.INFO if result in _DECIDE_AGAIN else logging.WARNING
            log.log(level, "%s: not scaled (%s): %s: %s", record.key, result.value, words, said)
            return result, refused(decision, action, said)
        log.info("%s: scaled %s", record.key, words)
        now = self.now()
        self.pasts[record.uid] = decision.past.with_step(Step(now, action.before, action.replicas, action.reason))
        for hear in self.after_scaling:
            self._aside(record, hear, record, action)
        return result, replace(decision, status=scaled(decision.status, action, now))

    async def _tell(self, record: Custom, decision: EndpointDecision, *, done: bool) -> None:
        notes: tuple[EventNote, ...] = decision.events
        for say in self.news:
            notes += tuple(self._aside(record, say, record) or ())
        if done and decision.success is not None:
            notes += (decision.success,)
        regarding = events.Regarding(INFERENCE_ENDPOINT, record.namespace, record.name, record.uid)
        told = self.told.setdefault(record.key, set())
        if len(told) > _TOLD_AT_MOST:
            told.clear()
        for note in notes:
            occurrence = (record.uid, note.reason, note.dedupe)
            if occurrence not in told:
                await events.post(self.client, regarding, note, now=self.now(), instance=self.instance)
                told.add(occurrence)

    def _aside(self, record: Custom, what: Callable[..., T], *args: Any) -> T | None:
        """Call somebody who only listens, or has something to add: its failure must not void what was done."""
        try:
            return what(*args)
        except Exception:
            log.exception("%s: a part that goes along with the pass failed", record.key)
            self.figures.errors["serving"] += 1
            return None

    def _forget(self, key: Key) -> None:
        self.told.pop(key, None)
        self.queue.forget(key)
        self.writer.forget(key)
        self.pasts = {uid: past for uid, past in self.pasts.items() if uid in self.endpoints.keys}
        self.turns.forget(self.endpoints.keys)
