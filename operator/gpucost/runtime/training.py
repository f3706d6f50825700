"""Look at one TrainingJob: gather its state, decide, apply, report.

The thin shell around `core.training.plan`. Nothing is remembered here that a restart could lose, except what the API
server said to the last try (a rejection belongs to one generation of one object and would only be asked for again).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from gpucost.api.convert import Converted, training_spec
from gpucost.core.actions import Action, Condition, CreateService, Decision
from gpucost.core.capacity import Provider
from gpucost.core.clock import SECOND, Instant, Micros, parse_rfc3339
from gpucost.core.model import Key, Workload
from gpucost.core.training.auto import shown
from gpucost.core.training.deadline import Choice, Outlook, PutOff, choose
from gpucost.core.training.doubts import Doubt
from gpucost.core.training.plan import plan
from gpucost.core.training.progress import Progress
from gpucost.core.training.reporting import Reporting
from gpucost.core.training.runs.twins import Twins
from gpucost.core.training.spec import TrainingSpec
from gpucost.core.training.state import Interruption, TrainingContext, TrainingState
from gpucost.effects import events
from gpucost.effects.apply import Outcome, Result, apply
from gpucost.effects.status import conditions_json, write_status
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime import mishaps
from gpucost.runtime.market import MarketView
from gpucost.runtime.metrics import Figures
from gpucost.runtime.queue import DirtyKeys
from gpucost.runtime.rejections import Rejection
from gpucost.runtime.runs.keeper import RunKeeper
from gpucost.runtime.stopping import StoppingSources
from gpucost.runtime.surroundings import Surroundings
from gpucost.runtime.world import TRAINING_JOB, Custom, World

log = logging.getLogger(__name__)

_RETRY = 5 * SECOND
_PROGRESS_EVERY = 30 * SECOND
_FLOWING = frozenset({"cost", "trainerStatus"}) | shown.FLOWING
_POLICY = "training"
_TOLD_AT_MOST = 1_000
_DECIDE_AGAIN = frozenset({Result.CONFLICT, Result.REJECTED, Result.ENDING})
"""After these the decision is void, and so is its story."""


@dataclass
class TrainingController:
    """Works on the dirty keys of TrainingJobs."""

    world: World
    client: KubeClient
    queue: DirtyKeys
    figures: Figures
    now: Callable[[], Instant]
    provider: Callable[[], Provider | None]
    cost_of: Callable[[Custom], Mapping[str, Any] | None]
    """`status.cost` of a TrainingJob as of now, None when nothing is known yet."""
    interruptions_of: Callable[[str, Workload], tuple[Interruption, ...]]
    progress_of: Callable[[Key], Progress] = lambda _key: Progress()
    """What the run of a TrainingJob has said of itself."""
    ask_checkpoint: Callable[[Key], None] = lambda _key: None
    """Asks the run of a TrainingJob for a checkpoint."""
    stopping: StoppingSources | None = None
    """What rules of early stopping look at; None: nothing is stopped."""
    doubts_of: Callable[[Key], Sequence[Doubt] | None] = lambda _key: None
    """Metrics of a TrainingJob that are unknown; None when nobody asked."""
    may_write: Callable[[Instant], bool] = lambda _now: True
    """Whether the budget allows one more write that only shows progress."""
    runs: RunKeeper | None = None
    """What is known of runs; None when nobody remembers them."""
    reporting: Reporting | None = None
    """Where the runs of new Jobs report."""
    market: Callable[[], MarketView] = MarketView
    """What GPUs cost here."""
    surroundings: Surroundings | None = None
    """What is known of a run's nodes, stays and prices."""
    choose: Callable[[Outlook], Choice] = choose
    """What decides under a deadline."""
    converted: dict[Key, tuple[Mapping[str, Any], Converted[TrainingSpec]]] = field(default_factory=dict)
    """Specifications as they were read last, each with what it was read from."""
    intervals: dict[Key, Micros] = field(default_factory=dict)
    """Recommended time between two checkpoints."""
    instance: str = "gpucost"
    rejections: dict[Key, Rejection] = field(default_factory=dict)
    told: dict[Key, set[tuple[str, str, str]]] = field(default_factory=dict)
    """Events posted since the start; the API server refuses what was posted before it."""
    costs_due: set[Key] = field(default_factory=set)
    """TrainingJobs whose cost is worth a write of the status."""
    services: set[tuple[Key, str]] = field(default_factory=set)
    ending: set[str] = field(default_factory=set)
    """UIDs of TrainingJobs whose namespace is being deleted: nothing can be made there any more."""

    async def work(self) -> None:
        """Take keys until cancelled."""
        while True:
            key = await self.queue.take()
            try:
                await self.process(key)
            except Exception as error:
                log.exception("%s: the pass failed", key)
                self.figures.errors["training"] += 1
                self.queue.wake_at(key, self.now() + 6 * _RETRY)
                if (record := self._living(key)) is not None:
                    await self._tell(record, mishaps.told(record, error))
            finally:
                self.queue.done(key)

    async def process(self, key: Key) -> None:
        """One pass over one TrainingJob."""
        record = self._living(key)
        if record is None:
            return
        await self.prepare(record)
        record = self._living(key)  # it may be another one by now: asking takes its time
        if record is None:
            return
        try:
            decision = self.decide(record)
        except PutOff as later:  # nothing is done, and nothing said, before its turn
            self.queue.wake_at(record.key, later.until)
            return
        if decision.ask_checkpoint:
            self.ask_checkpoint(record.key)
        outcomes = await self._act(record, decision)
        await self._book(record, decision, outcomes)
        if not all(outcome.ok for outcome in outcomes):
            self._after_failure(record, outcomes)
        if not {outcome.result for outcome in outcomes} & _DECIDE_AGAIN:
            await self._say(record, _with_refusal(decision, outcomes))
        self._wake(record, decision, outcomes)

    def _living(self, key: Key) -> Custom | None:
        """The TrainingJob as it was watched last; None when there is nothing to do for it any more."""
        record = self.world.trainingjobs.get(key)
        if record is None or record.deleting:
            self._forget(key)
            return None
        return None if record.uid in self.ending else record

    async def publish_cost(self, record: Custom) -> bool:
        """Have the status written with the cost as of now, by the worker that takes the key next.

        Whoever decides about a run writes its status, and nobody else: of two writers the slower one would put back
        what the other had decided meanwhile. A decision that acts is carried out before the status tells of it.
        """
        self.costs_due.add(record.key)
        self.queue.mark(record.key)
        return True

    async def _say(self, record: Custom, decision: Decision) -> None:
        """Events first: they are news against the stored status, so one that the status overtakes is never told."""
        await self._tell(record, decision)
        if await self.report(record, decision, cost_is_news=record.key in self.costs_due):
            self.costs_due.discard(record.key)

    async def prepare(self, record: Custom) -> None:
        """Ask the world what the next decision has to know and no watch tells."""
        if self.runs is not None:
            await self.runs.prepare(record)

    async def _book(self, record: Custom, decision: Decision, outcomes: list[Outcome]) -> None:
        """Take down what was made and what was not, before anything is told of it."""
        if self.runs is None:
            return
        for outcome in outcomes:
            if outcome.ok:
                self.runs.begin(record, outcome.action, outcome.made)
        if all(outcome.ok for outcome in outcomes):
            await self.runs.settle(decision)

    def survey(self) -> None:
        """Look at everything before anything is decided: whether a run is known already depends on all others."""
        for record in list(self.world.trainingjobs.values()):
            try:
                with suppress(PutOff):
                    self.decide(record)
            except Exception:
                log.exception("%s: could not be looked at", record.key)

    def decide(self, record: Custom) -> Decision:
        """What follows for one TrainingJob from what is known now."""
        job = self.world.job_of(record)
        read = self._read(record)
        calendar, twins = None, Twins()
        if self.runs is not None:
            twins = self.runs.twins(record, read.value, job)
            self.runs.observe(record, read.value, job, twins)
            calendar = self.runs.calendar(record, read.value)
        pods = self.world.pods_of(job) if job else ()
        about_stopping = self.stopping.of(record, read.value, pods) if self.stopping is not None else {}
        asked = self.surroundings if read.value is not None else None
        around = asked.of(record, job) if asked is not None else {}
        state = TrainingState(
            key=record.key,
            uid=record.uid,
            generation=record.generation,
            labels=record.labels,
            spec=read.value,
            problems=read.problems,
            job=job,
            entry=self.world.entry_of(job) if job else None,
            pods=pods,
            service_exists=(record.key, record.uid) in self.services,
            status=record.status,
            interruptions=self._interruptions(record),
            progress=self.progress_of(record.key),
            calendar=calendar,
            twins=twins,
            **about_stopping,
            doubts=self.doubts_of(record.key),
            **around,
        )
        decision = plan(state, self._context(record))
        if decision.checkpoint_interval is not None:
            self.intervals[record.key] = decision.checkpoint_interval
        return decision

    def _read(self, record: Custom) -> Converted[TrainingSpec]:
        """The specification in the terms of the core, converted once for each state that was watched."""
        known = self.converted.get(record.key)
        if known is None or known[0] is not record.spec:
            known = self.converted[record.key] = record.spec, training_spec(record.body)
        return known[1]

    def _interruptions(self, record: Custom) -> tuple[Interruption, ...]:
        """Those of this TrainingJob, and not of a namesake that was deleted before it was made."""
        found = self.interruptions_of(record.namespace, Workload(TRAINING_JOB, record.name))
        return tuple(one for one in found if one.at >= record.created)

    def _context(self, record: Custom) -> TrainingContext:
        rejection = self.rejections.get(record.key)
        current = rejection is not None and rejection.concerns(record, self.now())
        return TrainingContext(
            now=self.now(),
            provider=self.provider(),
            nodes=self.world.node_by_name,
            measured_since=self.stopping.measured_since if self.stopping is not None else 0,
            rejection=rejection.problems if rejection is not None and current else (),
            reporting=self.reporting,
            choose=self.choose,
            living=self.world.trainingjob_uids,
            absent_kinds=self.world.absent_kinds,
            quotes=(market := self.market()).quotes,
            gpu_models=market.gpu_models,
            currency=market.currency,
            **(self.surroundings.around() if self.surroundings is not None else {}),
        )

    async def _act(self, record: Custom, decision: Decision) -> list[Outcome]:
        """Apply the actions in order and stop at the first that did not work."""
        outcomes: list[Outcome] = []
        for action in decision.actions:
            outcome = await apply(self.client, action)
            outcomes.append(outcome)
            self._count(record, action, outcome)
            if not outcome.ok:
                break
        return outcomes

    def _count(self, record: Custom, action: Action, outcome: Outcome) -> None:
        policy = "earlyStopping" if action.reason == "EarlyStopped" else _POLICY
        self.figures.actions[policy, "Enforce", outcome.result.value] += 1
        quiet = outcome.ok or outcome.result in {Result.CONFLICT, Result.ENDING}
        level = logging.INFO if quiet else logging.WARNING
        note = f" ({'; '.join(outcome.problems)})" if outcome.problems and not outcome.ok else ""
        log.log(level, "%s: %s %s: %s%s", record.key, outcome.result.value, action.reason, action.message, note)
        if outcome.ok and isinstance(action, CreateService):
            self.services.add((record.key, record.uid))
        if outcome.ok and self.surroundings is not None:
            self.surroundings.done(record, action)

    async def _tell(self, record: Custom, decision: Decision) -> None:
        regarding = events.Regarding(TRAINING_JOB, record.namespace, record.name, record.uid)
        told = self.told.setdefault(record.key, set())
        if len(told) > _TOLD_AT_MOST:  # a schedule has news every day: what is old is no news by its status either
            told.clear()
        for note in decision.events:
            occurrence = (record.uid, note.reason, note.dedupe)
            if occurrence not in told:
                await events.post(self.client, regarding, note, now=self.now(), instance=self.instance)
                told.add(occurrence)

    def _after_failure(self, record: Custom, outcomes: list[Outcome]) -> None:
        last = outcomes[-1]
        if last.result is Result.ENDING:
            self.ending.add(record.uid)
        if last.result is Result.REJECTED:
            self.rejections[record.key] = Rejection(record.uid, record.generation, last.problems, self.now())
            self.queue.mark(record.key)

    def _wake(self, record: Custom, decision: Decision, outcomes: list[Outcome]) -> None:
        retry = any(outcome.result in {Result.CONFLICT, Result.FAILED} for outcome in outcomes)
        rejection = self.rejections.get(record.key)
        if rejection is not None and not rejection.concerns(record, self.now()):
            del self.rejections[record.key]
            rejection = None
        again = rejection.expires if rejection is not None else None
        wishes = [at for at in (decision.wake_at, again, self.now() + _RETRY if retry else None) if at is not None]
        self.queue.wake_at(record.key, min(wishes, default=None))

    def _forget(self, key: Key) -> None:
        self.rejections.pop(key, None)
        self.told.pop(key, None)
        self.intervals.pop(key, None)
        self.converted.pop(key, None)
        self.costs_due.discard(key)
        self.services = {(k, uid) for k, uid in self.services if k != key}
        self.ending &= {record.uid for record in self.world.trainingjobs.values()}
        self.queue.forget(key)

    # --- status -------------------------------------------------------------------------------------------------------

    def status_of(self, record: Custom, decision: Decision) -> dict[str, Any]:
        """The whole status as it should be stored."""
        stored = record.status.get("conditions") or ()
        conditions = conditions_json(decision.conditions, stored, generation=record.generation, now=self.now())
        status = {"observedGeneration": record.generation, **decision.status, "conditions": conditions}
        cost = self.cost_of(record)
        if cost is not None:
            status["cost"] = dict(cost)
        return status

    def _progress_is_news(self, status: Mapping[str, Any], record: Custom) -> bool:
        """Whether what the run has said is worth a write: not often, and within the budget that costs have too."""
        if self._deadline_is_news(status, record):
            return True
        new, old = status.get("trainerStatus"), record.status.get("trainerStatus") or {}
        if new in (None, old):
            return False
        shown = parse_rfc3339(old["lastUpdatedTime"]) if "lastUpdatedTime" in old else 0
        return self.now() - shown >= _PROGRESS_EVERY and self.may_write(self.now())

    def _deadline_is_news(self, status: Mapping[str, Any], record: Custom) -> bool:
        new, old = status.get("deadline"), record.status.get("deadline") or {}
        shown_at = parse_rfc3339(old["asOf"]) if "asOf" in old else None
        return new is not None and shown.is_news(new, old, self.now(), shown_at) and self.may_write(self.now())

    async def report(self, record: Custom, decision: Decision, *, cost_is_news: bool = False) -> bool:
        """Write the status when it says something new; the cost alone is news only when the caller says so."""
        status = self.status_of(record, decision)
        if _same(status, record.status) and not (cost_is_news or self._progress_is_news(status, record)):
            return False
        metadata = {"name": record.name, "namespace": record.namespace, "uid": record.uid}
        path = paths.trainingjob(record.namespace, record.name)
        try:
            await write_status(self.client, path=path, kind=TRAINING_JOB, metadata=metadata, status=status)
        except ApiError as error:
            if error.status not in {404, 409}:
                log.warning("%s: status not written: %s", record.key, error)
                self.figures.errors["status"] += 1
                self.queue.wake_at(record.key, self.now() + _RETRY)
            return False
        except Unreachable as error:
            log.warning("%s: status not written: %s", record.key, error)
            self.queue.wake_at(record.key, self.now() + _RETRY)
            return False
        return True


def _with_refusal(decision: Decision, outcomes: list[Outcome]) -> Decision:
    """Say it in the Ready condition when RBAC kept us from acting: the remedy is the administrator's."""
    refused = next((o for o in outcomes if o.result is Result.FORBIDDEN), None)
    if refused is None:
        return decision
    ready = Condition("Ready", False, "Forbidden", "; ".join(refused.problems)[:1024])
    return replace(decision, conditions=(*(c for c in decision.conditions if c.type != "Ready"), ready))


def _same(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether two statuses say the same, apart from what changes all the time."""
    return {k: v for k, v in new.items() if k not in _FLOWING} == {k: v for k, v in old.items() if k not in _FLOWING}


async def run_workers(controller: TrainingController, *, count: int = 24) -> None:
    """Work with a bounded number of keys at the same time; a key is never worked on twice at once."""
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(controller.work())
