"""The stays of every run on nodes, kept in memory and in the ledger, and what of spot they let others know.

Fed by the recorder with every pod that it writes down, so that what is true of the facts is true here: after a restart
the pods of the ledger come by again, and seeing one twice changes nothing.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from gpucost.core.clock import HOUR, SECOND, Instant, Micros
from gpucost.core.model import CapacityType, Key, NodeFact, Pod, PodFact, Workload
from gpucost.core.money import Pico
from gpucost.core.notices import Why
from gpucost.core.timeline import Interval
from gpucost.core.training import memory
from gpucost.core.training.auto.sightings import HORIZON, Market, pool_keys, rooms_of, wants_of
from gpucost.core.training.auto.stays import (
    MOST_KEPT,
    Cause,
    PodSeen,
    Stay,
    cause_of,
    current,
    last_held,
    with_pod,
    with_report,
)
from gpucost.core.training.auto.work import lost_span
from gpucost.core.training.progress import Progress
from gpucost.core.training.waste import lost_by_cause
from gpucost.ledger import LedgerError, LedgerFenced
from gpucost.runtime.going import NodesGoing
from gpucost.runtime.world import TRAINING_JOB, Custom, World

log = logging.getLogger(__name__)

_MARKET_AGE = 5 * SECOND
_BOOKED_AFTER = 20 * SECOND
"""How long after the end of a stay its lost work is priced: the facts about it are written by then."""
_MOST_BOOKED = 32
"""Lost work that is priced in one pass."""
_TIDY_EVERY = HOUR

Write = Callable[[Mapping[str, tuple[Stay, ...]]], Awaitable[None]]
Cost = Callable[[str, str, Interval], Awaitable[Pico | None]]
"""Cost of the work of a TrainingJob (namespace, name) in a span."""


@dataclass
class RunStays:
    """Histories by UID of the TrainingJob."""

    world: World
    now: Callable[[], Instant]
    going: NodesGoing
    progress_of: Callable[[Key], Progress]
    saves_every: Callable[[Custom], Micros | None] = lambda _record: None
    write: Write | None = None
    cost: Cost | None = None
    forget: Callable[[Instant], Awaitable[int]] | None = None
    keep: Micros | None = None
    _known: dict[str, tuple[Stay, ...]] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)
    _market: tuple[Instant, Market] | None = None
    _tidied: Instant = 0

    # --- what others ask ----------------------------------------------------------------------------------------------

    def of(self, uid: str) -> tuple[Stay, ...]:
        """The stays of a run, oldest first."""
        return self._known.get(uid, ())

    def lost(self, uid: str) -> dict[str, Pico]:
        """What its lost work has cost, by cause."""
        return lost_by_cause(self.of(uid))

    def lost_by(self, namespace: str, workload: Workload) -> Pico:
        """What the lost work of a workload has cost in all; 0 for one that is no TrainingJob."""
        record = self.world.trainingjobs.get(Key(namespace, workload.name))
        return sum(self.lost(record.uid).values()) if record is not None and workload.kind == TRAINING_JOB else 0

    def market(self) -> Market:
        """What is known of spot capacity, gathered once for all runs that ask within some seconds."""
        now = self.now()
        if self._market is None or now - self._market[0] >= _MARKET_AGE:
            self._market = now, self._gathered(now)
        return self._market[1]

    def _gathered(self, now: Instant) -> Market:
        by_wants: dict[str, list[Stay]] = {}
        for stays in self._known.values():
            for stay in stays:
                if stay.capacity is CapacityType.SPOT and (stay.ended or now) > now - HORIZON:
                    by_wants.setdefault(stay.wants, []).append(stay)
        kinds = {fact.name: fact.capacity_type for fact in self.going.facts.values() if fact.end is None}
        return Market(rooms_of(self.world.nodes.values(), self.world.pods.values(), kinds), by_wants)

    # --- what is seen -------------------------------------------------------------------------------------------------

    def pod_seen(self, pod: Pod, fact: PodFact, node: NodeFact) -> None:
        """A pod of a TrainingJob, as the recorder writes it down."""
        record = self._record(fact)
        if record is None or pod.bound is None:
            return
        seen = PodSeen(
            created=pod.created,
            bound=fact.start,
            capacity=node.capacity_type,
            zone=node.zone,
            running=pod.running,
            ended=fact.end,
            cause=self._cause(record, pod, fact, node) if fact.end is not None else None,
        )
        self._take(record.uid, seen, self._wants(record, pod))

    def pod_vanished(self, fact: PodFact, end: Instant) -> None:
        """A pod of the ledger went while nobody watched."""
        record = self._record(fact)
        here = last_held(self.of(record.uid)) if record is not None else None
        if record is None or here is None or here.ended is not None:
            return
        cause = cause_of("vanished", capacity=here.capacity, suspended=self._suspended(record, fact.start))
        seen = PodSeen(max(here.start, min(fact.start, end)), fact.start, here.capacity, "", None, end, cause)
        self._take(record.uid, seen, here.wants)

    def reported(self, uid: str, progress: Progress) -> None:
        """Note when a run first reported from its present nodes: its early reports are thinned out later."""
        here = current(self.of(uid))
        if here is None or here.reported is not None or here.running is None or not progress.reports:
            return
        index = bisect_left(progress.reports, here.running, key=lambda one: one.at)
        if index < len(progress.reports):
            self._put(uid, with_report(self.of(uid), progress.reports[index].at))

    def refused(self, record: Custom, since: Instant, wants: str) -> None:
        """A run has asked for spot capacity since an instant and found none."""
        stay = Stay(since, CapacityType.SPOT, ended=self.now(), cause=Cause.UNAVAILABLE, wants=wants, booked=True)
        self._put(record.uid, (*self.of(record.uid), stay)[-MOST_KEPT:])

    def _take(self, uid: str, seen: PodSeen, wants: str) -> None:
        before = self.of(uid)
        after = with_pod(before, seen, wants)
        if after != before:
            self._put(uid, after)

    def _put(self, uid: str, stays: tuple[Stay, ...]) -> None:
        self._known[uid] = stays
        self._changed.add(uid)

    def _record(self, fact: PodFact) -> Custom | None:
        """The TrainingJob of a pod, and not a namesake that was made after it."""
        record = self.world.trainingjobs.get(Key(fact.namespace, fact.workload.name))
        if record is None or fact.workload.kind != TRAINING_JOB:
            return None
        return None if record.created > fact.start and not record.spec.get("workloadRef") else record

    def _wants(self, record: Custom, pod: Pod) -> str:
        job = self.world.job_of(record)
        return wants_of(job.node_selector if job is not None else {}, pod.requests, pools_of(record))

    def _cause(self, record: Custom, pod: Pod, fact: PodFact, node: NodeFact) -> Cause | None:
        why = self.going.why(node.name)
        return cause_of(
            fact.end_reason,
            capacity=node.capacity_type,
            suspended=self._suspended(record, pod.created),
            consolidated=why is Why.CONSOLIDATION,
        )

    def _suspended(self, record: Custom, created: Instant) -> Cause | None:
        """Whether the Job was suspended under a pod: it is now, or it was resumed after the pod was made."""
        job = self.world.job_of(record)
        if job is None:
            return None
        mine = memory.recall(job)
        if job.suspend:
            moving = mine.suspended and mine.reason in {memory.MOVE, memory.GANG}
            return Cause.MOVE if moving else Cause.PAUSE
        if mine.resumed_at is not None and created < mine.resumed_at - SECOND:
            return Cause.MOVE if mine.moved_at == mine.resumed_at else Cause.PAUSE
        return None

    # --- the ledger ---------------------------------------------------------------------------------------------------

    def load(self, known: Mapping[str, tuple[Stay, ...]]) -> None:
        """Begin with what the ledger knows."""
        self._known.update(known)
        self._market = None

    async def flush(self) -> None:
        """Write what is new; what the ledger does not take is tried again."""
        if not self._changed or self.write is None:
            return
        changed, self._changed = self._changed, set()
        try:
            await self.write({uid: self._known[uid] for uid in changed if uid in self._known})
        except BaseException as error:
            self._changed |= changed
            if isinstance(error, LedgerFenced) or not isinstance(error, LedgerError):
                raise
            log.warning("stays of %d runs wait for the ledger: %s", len(changed), error)

    async def book(self) -> None:
        """Price the work that was lost with stays that have ended, some in each pass: each is a question to the ledger,
        and a zone that is taken back ends hundreds at once.
        """
        if self.cost is None:
            return
        left = _MOST_BOOKED
        for record in tuple(self.world.trainingjobs.values()):
            stays = self.of(record.uid)
            due = [stay for stay in stays if not stay.booked and stay.ended is not None and stay.cause is not None]
            for stay in due:
                if left and stay.ended is not None and self.now() - stay.ended >= _BOOKED_AFTER:
                    left -= 1
                    await self._book(record, stay)

    async def _book(self, record: Custom, stay: Stay) -> None:
        assert self.cost is not None
        span = lost_span(stay, self.progress_of(record.key), self.saves_every(record))
        cost = None if span is None else await self.cost(record.namespace, record.name, Interval(*span))
        booked = replace(stay, booked=True, lost_since=None if span is None else span[0], lost_cost=cost)
        self._put(record.uid, tuple(booked if one is stay else one for one in self.of(record.uid)))

    async def tidy(self) -> None:
        """Forget runs that do not exist any more, once nobody learns anything from them."""
        horizon, living = self.now() - HORIZON, self.world.trainingjob_uids
        for uid in [uid for uid, stays in self._known.items() if uid not in living and _is_old(stays, horizon)]:
            del self._known[uid]
        if self.forget is not None and self.keep is not None and self.now() - self._tidied >= _TIDY_EVERY:
            self._tidied = self.now()
            await self.forget(self.now() - self.keep)


def _is_old(stays: Iterable[Stay], horizon: Instant) -> bool:
    return all((stay.ended or stay.start) < horizon for stay in stays)


def pools_of(record: Custom) -> tuple[str, ...]:
    """Label keys of the user's own pools, which only choose a capacity type."""
    return pool_keys(record.part("placement", name, "nodeSelector") for name in ("spot", "onDemand"))
