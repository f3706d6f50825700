"""Answers about runs, from the ledger, from what runs have said, and from the prices in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from gpucost.core.clock import Instant, Micros, format_rfc3339, parse_duration, parse_rfc3339
from gpucost.core.model import Key, NodeFact, PriceFact, Workload
from gpucost.core.money import format_pico
from gpucost.core.recommendations import Recommendation, monthly
from gpucost.core.report import Explanation, Report, Row
from gpucost.core.serving.counterfactual import Compared
from gpucost.core.timeline import Interval
from gpucost.core.training.accounts import Ledgered
from gpucost.core.training.auto.stays import Stay
from gpucost.core.training.avoided import Avoided, avoided
from gpucost.core.training.progress import Progress
from gpucost.core.training.replay import POLICIES, Course, replay
from gpucost.core.training.runs.child import where_it_costs
from gpucost.core.training.runs.run import Saving
from gpucost.core.training.spec import PlacementPolicy
from gpucost.core.training.state import Interruption
from gpucost.core.training.wasted import losses
from gpucost.core.training.whatif import Record, WhatIf, what_if
from gpucost.runtime.endpoints.unit_costs import UnitCosts
from gpucost.runtime.market import MarketView
from gpucost.runtime.recommending import Recommending
from gpucost.runtime.world import TRAINING_JOB, Custom, World
from gpucost.web import documents, recommendation_documents, run_documents, simulations
from gpucost.web import schema_runs as schema
from gpucost.web.insights import LONGEST, Terms
from gpucost.web.provider import CostProvider
from gpucost.web.schema import Metadata
from gpucost.web.schema_endpoints import UnitCost, UnitCostList
from gpucost.web.schema_estimates import OfferList
from gpucost.web.status import Refused

OTHER = "other spot capacity"


class RunCosts(CostProvider, Protocol):
    """What is asked of the ledger beside what the cost API asks."""

    async def lifetime(self, namespace: str, workload: Workload) -> Interval | None:
        """From a workload's first pod to its last, or to now."""
        ...

    async def nodes_like(self, span: Interval, names: Collection[str]) -> list[tuple[NodeFact, tuple[PriceFact, ...]]]:
        """Nodes in a span of the type of those that are named, with their prices over time."""
        ...

    def ready(self) -> None:
        """Raise `NotReady` while the operator is starting."""
        ...


@dataclass
class RunInsights:
    """An `InsightProvider` over the operator's parts."""

    costs: RunCosts
    world: World
    market: Callable[[], MarketView]
    progress_of: Callable[[Key], Progress]
    interruptions_of: Callable[[str, Workload], tuple[Interruption, ...]]
    stays_of: Callable[[str], tuple[Stay, ...]] = lambda _uid: ()
    """Stays of a run on nodes, by UID of the TrainingJob."""
    not_made: Callable[[], Sequence[Saving]] = tuple
    """Runs that were not made, and what that saved."""
    recommending: Recommending | None = None
    """What could be saved, and what right-sizing has saved; None: neither is asked for."""
    units: UnitCosts | None = None
    """Of endpoints."""
    _simulating: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One at a time: each keeps a core busy for a second or two."""

    def now(self) -> Instant:
        """See `InsightProvider`."""
        return self.costs.now()

    # --- prices -------------------------------------------------------------------------------------------------------

    async def offers(self) -> OfferList:
        """See `InsightProvider`."""
        self.costs.ready()
        view = self.market()
        return OfferList(
            currency=view.currency,
            as_of=format_rfc3339(self.now()),
            gpu_models=tuple(sorted(view.gpu_models)),
            items=tuple(run_documents.offer(quote) for quote in view.quotes or ()),
        )

    # --- one run ------------------------------------------------------------------------------------------------------

    async def run(self, namespace: str, name: str) -> schema.RunReport:
        """See `InsightProvider`."""
        record, explained = await self._explained(namespace, name)
        progress = self.progress_of(Key(namespace, name)) if record is not None else Progress()
        gone = self._interruptions(record, namespace, name)
        lost = losses(Ledgered(explained.lines), progress, gone, explained.total, self._stays(record))
        return run_documents.report(
            Metadata(name=name, namespace=namespace),
            explained,
            progress,
            lost,
            interruptions=len(gone),
            status=None if record is None else record.status,
        )

    def _stays(self, record: Custom | None) -> tuple[Stay, ...]:
        return self.stays_of(record.uid) if record is not None else ()

    async def _explained(self, namespace: str, name: str) -> tuple[Custom | None, Explanation]:
        """The TrainingJob, where it exists, and the arithmetic of its cost."""
        workload = Workload(TRAINING_JOB, name)
        record = self.world.trainingjobs.get(Key(namespace, name))
        life = await self.costs.lifetime(namespace, workload)
        if life is None:
            if record is not None and (runs := sorted(one.name for one in self.world.children_of(record.uid))):
                words = f"TrainingJob {name} {where_it_costs(name, namespace, runs[-1])}"
                raise Refused(404, words, name=name, kind="runreports")
            known = "" if record is not None else "; see `kubectl cost workload`"
            words = (
                "has not held anything yet" if record is not None else f"is not known in namespace {namespace}{known}"
            )
            raise Refused(404, f"TrainingJob {name} {words}", name=name, kind="runreports")
        start = max(life.start, record.created) if record is not None else life.start
        return record, await self.costs.explain(namespace, workload, Interval(start, max(start, life.end)))

    def _interruptions(self, record: Custom | None, namespace: str, name: str) -> tuple[Interruption, ...]:
        born = record.created if record is not None else 0
        found = self.interruptions_of(namespace, Workload(TRAINING_JOB, name))
        return tuple(one for one in found if one.at >= born)

    async def simulation(self, namespace: str, name: str, terms: Terms) -> schema.RunSimulation:
        """See `InsightProvider`."""
        record, explained = await self._explained(namespace, name)
        span = Interval(explained.lines[0].span.start, explained.span.end) if explained.lines else None
        if span is None:
            raise Refused(404, f"only sums are left of TrainingJob {name} (GPUCOST_RETENTION)", kind="runreports")
        deadline = _deadline(record, terms, span.start)
        names = {line.node for line in explained.lines}
        known = Record(
            lines=explained.lines,
            progress=self.progress_of(Key(namespace, name)) if record is not None else Progress(),
            interruptions=self._interruptions(record, namespace, name),
            alike=await self.costs.nodes_like(span, names),
            quotes=self.market().quotes or (),
            stays=self._stays(record),
            is_over=record is None or _is_over(record.status),
        )
        found = what_if(known, deadline, terms.changeover or _measured(record))
        async with self._simulating:
            courses = await asyncio.to_thread(_courses, found)
        return simulations.document(Metadata(name=name, namespace=namespace), explained, known, found, courses)

    # --- endpoints ----------------------------------------------------------------------------------------------------

    async def unit_costs(self, span: Interval, namespace: str | None) -> UnitCostList:
        """See `UnitCostProvider`."""
        return await self._units().many(span, namespace)

    async def unit_cost(self, span: Interval, namespace: str, name: str) -> UnitCost:
        """See `UnitCostProvider`."""
        return await self._units().one(span, namespace, name)

    def _units(self) -> UnitCosts:
        self.costs.ready()
        if self.units is None:
            raise Refused(404, "this operator does not look after endpoints", kind="unitcosts")
        return self.units

    # --- savings ------------------------------------------------------------------------------------------------------

    async def savings(self, span: Interval, namespace: str | None) -> schema.SavingList:
        """See `InsightProvider`."""
        report = await self.costs.report(span, by="workload", namespace=namespace)
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in report.rows:
            if row.amounts.spot or row.amounts.saved:
                groups.setdefault((row.namespace, self._policy(row)), []).append(row)
        items = [run_documents.saving(*key, rows) for key, rows in groups.items()]
        items += run_documents.not_made([one for one in self.not_made() if _is_in(one, span, namespace)])
        items += run_documents.stopped(self._stopped(span, namespace))
        applied, wishes = await self._recommended(report, namespace)
        items += applied
        items.sort(key=lambda one: (-Decimal(one.saved), one.namespace, one.policy))
        return schema.SavingList(
            currency=report.currency,
            window=run_documents.window(report.span),
            items=tuple(items),
            total=f"{sum((Decimal(one.saved) for one in items), Decimal(0)):.6f}",
            recommendations=tuple(map(recommendation_documents.recommended, wishes)),
            recommended_monthly=format_pico(monthly(wishes)),
            quality=documents.quality(report.quality),
        )

    async def _recommended(
        self, report: Report, namespace: str | None
    ) -> tuple[list[schema.Saving], tuple[Recommendation, ...]]:
        if self.recommending is None:
            return [], ()
        done, wishes = await self.recommending.look(report, namespace)
        groups: dict[str, list[Compared]] = {}
        for one in done:
            groups.setdefault(one.namespace, []).append(one.seen)
        return [recommendation_documents.right_sized(*group) for group in groups.items()], wishes

    def _stopped(self, span: Interval, namespace: str | None) -> list[tuple[str, Avoided]]:
        """Runs that a rule keeps stopped, each with its namespace."""
        until = Interval(span.start, min(span.end, self.now()))
        records = [one for one in self.world.trainingjobs.values() if namespace in {None, one.namespace}]
        found = [(one.namespace, avoided(one.status, until)) for one in records]
        return [(where, one) for where, one in found if one is not None]

    def _policy(self, row: Row) -> str:
        """What put a workload on spot capacity: the policy of its TrainingJob; of others nobody knows."""
        if row.workload is None or row.workload.kind != TRAINING_JOB:
            return OTHER
        record = self.world.trainingjobs.get(Key(row.namespace, row.workload.name))
        if record is None:
            return "a TrainingJob that is gone"
        placement = record.part("placement")
        windows = record.part("schedule").get("windows")
        scheduled = PlacementPolicy.SCHEDULED if windows else PlacementPolicy.ON_DEMAND
        return f"placement {placement.get('policy') or scheduled}"


def _is_in(one: Saving, span: Interval, namespace: str | None) -> bool:
    return span.start <= one.due < span.end and namespace in {None, one.namespace}


def _measured(record: Custom | None) -> Micros | None:
    """What one change of nodes has cost the run, as its status has it."""
    text = ((record.status if record is not None else {}).get("changeover") or {}).get("total")
    try:
        return parse_duration(text) if text else None
    except ValueError:
        return None


def _deadline(record: Custom | None, terms: Terms, start: Instant) -> Instant:
    """As asked for, else as the TrainingJob has it."""
    found = terms.complete_by
    if terms.deadline is not None:
        found = start + terms.deadline
    text = (record.spec if record is not None else {}).get("completeBy")
    if found is None and text is not None:
        found = parse_rfc3339(text)
    if found is None:
        raise Refused(400, "say by when: --deadline 36h or --complete-by TIME; the run has no completeBy")
    if found <= start:
        raise Refused(
            400, f"the deadline {run_documents.moment(found)} is before the run began ({run_documents.moment(start)})"
        )
    if found - start > LONGEST:
        raise Refused(400, f"the deadline {run_documents.moment(found)} is more than a year after the run began")
    return found


def _is_over(status: Mapping[str, Any]) -> bool:
    ended = [one for one in status.get("conditions") or () if one.get("type") in {"Complete", "Failed"}]
    return any(one.get("status") == "True" for one in ended)


def _courses(found: WhatIf) -> list[tuple[Course, Course]]:
    """Each policy with spot capacity there and not there while nobody knows."""
    return [
        (replay(found.conditions, policy, when_unknown=True), replay(found.conditions, policy, when_unknown=False))
        for policy in POLICIES
    ]
