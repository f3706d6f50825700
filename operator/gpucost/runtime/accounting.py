"""From facts to numbers, every second and every tick.

The ledger is synchronous and touched by one worker thread only. A fact counts as observed when its write has returned;
the marks (up to when we watched, and at which resourceVersion) go with the facts that they cover.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from gpucost.core.clock import SECOND, Instant, Micros
from gpucost.core.doubt import UNKNOWN
from gpucost.core.model import CapacityType, NodeKind, Workload
from gpucost.core.money import Pico
from gpucost.core.report import Amounts, DataQuality, Row
from gpucost.ledger import Ledger, LedgerError, LedgerFenced, NodeTotal
from gpucost.runtime.caches import Caches
from gpucost.runtime.ledger_state import LedgerOverflow, LedgerState
from gpucost.runtime.metrics import Figures
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.recovery import History, Past
from gpucost.runtime.sampling import Sampling

log = logging.getLogger(__name__)

T = TypeVar("T")

OBSERVED_UNTIL = "observed-until"
PODS_VERSION = "resource-version-pods"
NODES_VERSION = "resource-version-nodes"
_PROBE = "ledger-probed"

_QUIET_MARKS = 5 * SECOND
_KEPT_FACTS = 200_000
"""Facts that wait for a ledger that is away: some 200 MB, hours of a large cluster."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What everything costs as of an instant."""

    at: Instant = 0
    workloads: Mapping[tuple[str, Workload], Row] = field(default_factory=dict)
    namespaces: Mapping[str, Row] = field(default_factory=dict)
    """Since the start of the month."""
    nodes: Mapping[str, NodeTotal] = field(default_factory=dict)
    by_capacity: Mapping[tuple[tuple[str, Workload], CapacityType], Amounts] = field(default_factory=dict)
    difference: Pico = 0
    sums: Mapping[tuple[str, Workload], Row] = field(default_factory=dict)
    """What TrainingJobs cost that make runs: sums over rows that are in `workloads`, or were."""

    def of(self, namespace: str, workload: Workload) -> Row | None:
        """What a workload shows as its cost."""
        return self.sums.get((namespace, workload)) or self.workloads.get((namespace, workload))


@dataclass
class Accounting:
    """Writes facts, settles hours."""

    ledger: Ledger
    recorder: Recorder
    caches: Caches
    figures: Figures
    now: Callable[[], Instant]
    sampling: Sampling | None = None
    keep: Micros | None = None
    """How long details are kept; None for ever."""
    state: LedgerState | None = None
    """Where trouble with the ledger is told."""
    caught_up: bool = False
    """Whether the past is filled in. Before it is, nothing is written: marks that ran ahead would hide the past."""
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "ledger"))
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _marked: Instant = 0
    _totals: Totals = field(default_factory=Totals)
    _overflowed: bool = False
    """Facts were let go: marks must not move any more, so that a new start fills in what is missing."""

    async def call(self, function: Callable[[], T]) -> T:
        """Run a function of the ledger in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def close(self) -> None:
        """Write what is left and close the ledger; whoever may not write any more only closes."""
        try:
            await self.flush()
        except (LedgerFenced, LedgerOverflow) as error:
            log.warning("the last facts were left to the next start: %s", error)
        await self.call(self.ledger.close)
        self._thread.shutdown()

    # --- facts --------------------------------------------------------------------------------------------------------

    async def past(self, node_history: History, pod_history: History) -> Past:
        """What the ledger knows of the time before this start."""
        observed_until = await self.call(lambda: self.ledger.marked(OBSERVED_UNTIL))
        things = await self.call(self.ledger.open_nodes)
        pods = {pod.uid: pod for pod in await self.call(self.ledger.open_pods)}
        assets = {thing.uid: thing for thing in things if thing.kind is not NodeKind.NODE}
        return Past(
            observed_until=int(observed_until or 0),
            open_nodes={thing.uid: thing for thing in things if thing.kind is NodeKind.NODE},
            open_pods={uid: pod for uid, pod in pods.items() if pod.node_uid not in assets},
            open_assets=assets,
            open_holders={uid: pod for uid, pod in pods.items() if pod.node_uid in assets},
            needs=await self.call(lambda: self.ledger.last_needs(pods)),
            doubted=await self.call(lambda: self.ledger.noted(UNKNOWN)),
            former_balancers=await self.call(self.ledger.ended_balancers),
            node_history=node_history,
            pod_history=pod_history,
        )

    async def versions(self) -> tuple[str, str]:
        """ResourceVersions of nodes and pods up to which everything is recorded; empty when unknown."""
        nodes = await self.call(lambda: self.ledger.marked(NODES_VERSION))
        return nodes or "", await self.call(lambda: self.ledger.marked(PODS_VERSION)) or ""

    async def flush(self) -> bool:
        """Write what has come in; False when the ledger did not take it (it is kept and tried again)."""
        if not self.caught_up:
            return True
        async with self._writing:  # one at a time: marks must not overtake facts that a failed write put back
            return await self._flush()

    async def _flush(self) -> bool:
        if self._overflowed:
            return await self._probe()
        marks = self._marks()
        facts, prices, complete = self.recorder.drain()
        measured = self.sampling.drain() if self.sampling is not None else []
        if not complete or not (facts or prices or measured or self.now() - self._marked >= _QUIET_MARKS):
            marks = {}
        if not (facts or prices or measured or marks):
            return True
        try:
            await self.call(lambda: self.ledger.record([*facts, *measured], prices=prices, marks=marks))
        except BaseException as error:  # also when cancelled: it may not have begun, and twice is as good as once
            self.recorder.put_back(facts, prices)
            if self.sampling is not None:
                self.sampling.put_back(measured)
            if isinstance(error, LedgerFenced) or not isinstance(error, LedgerError):
                raise
            await self._complain(error)
            self._limit(len(facts) + len(measured))
            return False
        self.figures.ledger_waiting = 0
        self._marked = self.now() if marks else self._marked
        await self._is_well()
        return True

    def _limit(self, waiting: int) -> None:
        """Too much has piled up: let it go, marks and all. Up to the marks everything is written, and no further."""
        self.figures.ledger_waiting = waiting
        if waiting > _KEPT_FACTS:
            log.error("%d facts wait for the ledger: they are let go, a new start will fill them in", waiting)
            self._overflowed = True

    async def _probe(self) -> bool:
        """After an overflow: throw away what comes in until the ledger is back, then start anew."""
        self.recorder.drain()
        if self.sampling is not None:
            self.sampling.drain()
        try:
            await self.call(lambda: self.ledger.mark(_PROBE, str(self.now())))
        except LedgerFenced:
            raise
        except LedgerError as error:
            await self._complain(error)
            return False
        raise LedgerOverflow("the ledger is back after an outage longer than memory lasts: starting anew to fill it in")

    def _marks(self) -> dict[str, str]:
        """Taken before the recorder is drained, so that they never promise more than is written.

        They stand still while a watch is broken: what happens meanwhile is not observed.
        """
        nodes, pods = self.caches.nodes, self.caches.pods
        if not (nodes.following and pods.following):
            return {}
        return {
            OBSERVED_UNTIL: str(self.now()),
            NODES_VERSION: nodes.resource_version,
            PODS_VERSION: pods.resource_version,
        }

    async def _complain(self, error: LedgerError) -> None:
        self.figures.errors["ledger"] += 1
        self.figures.ledger_up = False
        if self.state is not None:
            await self.state.failed(error)

    async def _is_well(self) -> None:
        self.figures.ledger_up = True
        self.figures.data_times["ledger"] = self.now()
        if self.state is not None:
            await self.state.succeeded()

    # --- totals -------------------------------------------------------------------------------------------------------

    async def totals(self, workloads: Iterable[tuple[str, Workload]]) -> Totals:
        """Settle what is over and compute what everything costs up to now.

        With a ledger that cannot be written, hours are settled later; with one that cannot be read, the totals of
        before are all there is.
        """
        now, asked = self.now(), list(workloads)
        for part in (partial(self.ledger.settle, now), partial(self._retire, now), partial(self._compute, now, asked)):
            try:
                found = await self.call(part)
            except LedgerFenced:
                raise
            except LedgerError as error:
                await self._complain(error)
            else:
                self._totals = found if isinstance(found, Totals) else self._totals
        return self._totals

    def _retire(self, now: Instant) -> None:
        """Old hours become sums, a few at a pass."""
        if self.keep is not None:
            self.ledger.retire(now, self.keep)
        self.figures.errors["facts about rolled-up time"] = self.ledger.refused

    def _compute(self, now: Instant, asked: list[tuple[str, Workload]]) -> Totals:
        return Totals(
            at=now,
            workloads=self.ledger.workload_totals(now, asked),
            namespaces=self.ledger.namespace_totals(now),
            nodes=self.ledger.node_totals(now),
            by_capacity=self.ledger.capacity_totals(now, asked),
            difference=self.ledger.conservation(now),
        )

    def aged(self, found: DataQuality) -> DataQuality:
        """With the age of the newest measurement: the ledger only knows when a value that lasts began."""
        newest = self.sampling.last_success if self.sampling is not None else None
        return replace(found, data_age=self.now() - newest if newest is not None else None)

    async def sample(self) -> None:
        """Measure once."""
        if self.sampling is not None:
            await self.sampling.sample()
