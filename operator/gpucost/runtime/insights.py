"""Answers about runs, from the ledger, from what runs have said, and from the prices in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

from gpucost.core.clock import SECOND, Instant, format_rfc3339, parse_rfc3339
from gpucost.core.model import Key, NodeFact, PriceFact, Workload
from gpucost.core.money import Pico, exact, format_pico
from gpucost.core.report import Explanation, Row
from gpucost.core.timeline import Interval
from gpucost.core.training import accounts
from gpucost.core.training.accounts import Ledgered
from gpucost.core.training.estimating.market import Quote
from gpucost.core.training.progress import Progress
from gpucost.core.training.replay import POLICIES, Course, replay
from gpucost.core.training.runs.run import Saving
from gpucost.core.training.spec import PlacementPolicy
from gpucost.core.training.state import Interruption
from gpucost.core.training.wasted import Loss, losses
from gpucost.core.training.whatif import Record, WhatIf, what_if
from gpucost.runtime.market import MarketView
from gpucost.runtime.runs.avoided import savings
from gpucost.runtime.world import TRAINING_JOB, Custom, World
from gpucost.web import documents, simulations
from gpucost.web import schema_runs as schema
from gpucost.web.insights import Terms
from gpucost.web.provider import CostProvider
from gpucost.web.rounding import hours, ratio
from gpucost.web.schema import Metadata, Window
from gpucost.web.schema_estimates import Offer, OfferList
from gpucost.web.status import Refused

OTHER = "other spot capacity"
AGAINST = "the same time on demand, at the prices of then"


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

    avoided_in: Callable[[Interval, str | None], list[Saving]] = lambda _span, _namespace: []
    """Runs that were not made in a window, of a namespace or of all."""

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
            items=tuple(_offer(quote) for quote in view.quotes or ()),
        )

    # --- one run ------------------------------------------------------------------------------------------------------

    async def run(self, namespace: str, name: str) -> schema.RunReport:
        """See `InsightProvider`."""
        record, explained = await self._explained(namespace, name)
        key = Key(namespace, name)
        progress = self.progress_of(key) if record is not None else Progress()
        money = Ledgered(explained.lines)
        lost = losses(money, progress, self._interruptions(record, namespace, name), explained.total)
        status: Mapping[str, Any] = record.status if record is not None else {}
        return schema.RunReport(
            metadata=Metadata(name=name, namespace=namespace),
            currency=explained.currency,
            window=_window(money.span or explained.span),
            state=_state(status) if record is not None else "Gone",
            total=_total(explained),
            waste=tuple(map(_waste, lost)),
            progress=_progress(money, progress),
            metrics=tuple(map(_metric, accounts.metric_costs(money, progress))),
            checkpoints=_checkpoints(progress),
            placements=tuple(map(_placed, accounts.placements(explained.lines))),
            interruptions=len(self._interruptions(record, namespace, name)),
            estimate=_foreseen(status.get("estimate")),
            gaps=documents.gaps(explained),
            quality=documents.quality(explained.quality),
        )

    async def _explained(self, namespace: str, name: str) -> tuple[Custom | None, Explanation]:
        """The TrainingJob, where it exists, and the arithmetic of its cost."""
        workload = Workload(TRAINING_JOB, name)
        record = self.world.trainingjobs.get(Key(namespace, name))
        life = await self.costs.lifetime(namespace, workload)
        if life is None:
            known = "" if record is not None else "; see `kubectl cost workload`"
            words = (
                "has not held anything yet" if record is not None else f"is not known in namespace {namespace}{known}"
            )
            raise Refused(404, f"TrainingJob {name} {words}", name=name, kind="runreports")
        start = max(life.start, _born(record)) if record is not None else life.start
        return record, await self.costs.explain(namespace, workload, Interval(start, max(start, life.end)))

    def _interruptions(self, record: Custom | None, namespace: str, name: str) -> tuple[Interruption, ...]:
        born = _born(record) if record is not None else 0
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
            is_over=record is None or _is_over(record.status),
        )
        found = what_if(known, deadline, terms.changeover)
        courses = await asyncio.to_thread(_courses, found)
        return simulations.document(Metadata(name=name, namespace=namespace), explained, known, found, courses)

    # --- savings ------------------------------------------------------------------------------------------------------

    async def savings(self, span: Interval, namespace: str | None) -> schema.SavingList:
        """See `InsightProvider`."""
        report = await self.costs.report(span, by="workload", namespace=namespace)
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in report.rows:
            if row.amounts.spot or row.amounts.saved:
                groups.setdefault((row.namespace, self._policy(row)), []).append(row)
        ordered = sorted(groups.items(), key=lambda one: (-sum(row.amounts.saved for row in one[1]), one[0]))
        avoided = savings(self.avoided_in(report.span, namespace))
        items = (*(_saving(*key, rows) for key, rows in ordered), *avoided)
        return schema.SavingList(
            currency=report.currency,
            window=_window(report.span),
            items=tuple(sorted(items, key=lambda one: -Decimal(one.saved))),
            total=f"{sum((Decimal(one.saved) for one in items), Decimal(0)):.6f}",
            quality=documents.quality(report.quality),
        )

    def _policy(self, row: Row) -> str:
        """What put a workload on spot capacity: the policy of its TrainingJob; of others nobody knows."""
        if row.workload is None or row.workload.kind != TRAINING_JOB:
            return OTHER
        record = self.world.trainingjobs.get(Key(row.namespace, row.workload.name))
        if record is None:
            return "a TrainingJob that is gone"
        placement = record.spec.get("placement") or {}
        windows = (record.spec.get("schedule") or {}).get("windows")
        scheduled = PlacementPolicy.SCHEDULED if windows else PlacementPolicy.ON_DEMAND
        return f"placement {placement.get('policy') or scheduled}"


# --- documents --------------------------------------------------------------------------------------------------------


def _offer(quote: Quote) -> Offer:
    low, typical, high = (f"{exact(part):f}" for part in quote.hourly)
    kind = str(quote.capacity_type)
    name = "-".join(part for part in (quote.instance_type or quote.gpu_model, kind) if part)
    return Offer(
        metadata=Metadata(name=name.lower().replace(" ", "-")),
        gpu_model=quote.gpu_model,
        capacity_type=kind,
        instance_type=quote.instance_type,
        gpus=quote.gpus,
        nodes=quote.nodes,
        low=low,
        typical=typical,
        high=high,
        source=quote.source,
    )


def _total(explained: Explanation) -> schema.RunCost:
    total = explained.total
    cost = total.known_cost
    return schema.RunCost(
        cost=None if cost is None else format_pico(cost),
        spot=format_pico(total.spot),
        on_demand=format_pico(total.on_demand),
        saved=format_pico(total.saved),
        all_on_demand=None if cost is None else format_pico(cost + total.saved),
        gpu_hours=hours(total.gpu_time),
        gpu_utilization=ratio(total.gpu_utilization),
        coverage=ratio(total.coverage),
    )


def _waste(loss: Loss) -> schema.Waste:
    return schema.Waste(
        cause=loss.cause,
        about=loss.about,
        cost=None if loss.cost is None else format_pico(loss.cost),
        count=loss.count,
        gpu_hours=None if loss.gpu_time is None else hours(loss.gpu_time),
    )


def _progress(money: Ledgered, progress: Progress) -> schema.RunProgress | None:
    found = accounts.steps(money, progress)
    if found is None:
        return None
    return schema.RunProgress(
        first_step=found.first,
        last_step=found.last,
        progress=found.progress,
        cost_per_step=_rational(found.per_step),
        cost_before_first=_pico(found.before_first),
        last_report=_moment(found.last_at),
    )


def _metric(one: accounts.MetricCost) -> schema.MetricCost:
    return schema.MetricCost(
        name=one.name,
        better=one.better,
        first=one.first,
        best=one.best,
        last=one.last,
        improvement=one.improvement,
        cost_per_improvement=_rational(one.per_improvement),
        cost_since_best=_pico(one.since_best),
    )


def _checkpoints(progress: Progress) -> schema.Checkpoints:
    found = accounts.saves(progress)
    return schema.Checkpoints(
        count=found.count,
        last=None if found.last is None else _moment(found.last),
        mean_interval_seconds=accounts.seconds(found.interval),
        mean_duration_seconds=accounts.seconds(found.duration),
    )


def _placed(one: accounts.Placed) -> schema.Placed:
    return schema.Placed(
        start=_moment(one.span.start),
        end=_moment(one.span.end),
        capacity_type=str(one.capacity_type),
        nodes=one.nodes,
        gpus=documents.number(one.gpus),
        cost=_pico(one.cost),
    )


def _foreseen(stored: Mapping[str, Any] | None) -> schema.Foreseen | None:
    if not stored or "cost" not in stored:
        return None
    return schema.Foreseen(
        cost=stored.get("cost"),
        cost_low=stored.get("costLow"),
        cost_high=stored.get("costHigh"),
        hours=stored.get("hours"),
    )


def _saving(namespace: str, policy: str, rows: Sequence[Row]) -> schema.Saving:
    spot, saved = (sum(getattr(row.amounts, part) for row in rows) for part in ("spot", "saved"))
    name = f"{namespace}.{policy.rsplit(maxsplit=1)[-1].lower()}"
    return schema.Saving(
        metadata=Metadata(name=name, namespace=namespace),
        namespace=namespace,
        policy=policy,
        workloads=len(rows),
        cost=format_pico(spot),
        otherwise=format_pico(spot + saved),
        saved=format_pico(saved),
        against=AGAINST,
    )


def _window(span: Interval) -> Window:
    return Window(start=_moment(span.start), end=_moment(span.end))


def _moment(instant: Instant) -> str:
    return format_rfc3339(instant - instant % SECOND)


def _pico(amount: Pico | None) -> str | None:
    return None if amount is None else format_pico(amount)


def _rational(amount: Fraction | None) -> str | None:
    return None if amount is None else format_pico(round(amount))


def _state(status: Mapping[str, Any]) -> str:
    reasons = (one.get("reason") for one in status.get("conditions") or () if one.get("type") == "Ready")
    return str(next(reasons, None) or "Unknown")


def _born(record: Custom) -> Instant:
    text = record.body.get("metadata", {}).get("creationTimestamp")
    return parse_rfc3339(text) if text else 0


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
        raise Refused(400, f"the deadline {_moment(found)} is before the run began ({_moment(start)})")
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
