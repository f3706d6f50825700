"""What the tokens of endpoints cost: the ledger's hours and the endpoints' own, for the API and for statuses.

Statuses show the last day. To bring one up to date is a question to the ledger, so a pass asks for some endpoints only,
those first whose figures are oldest.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros, floor_to
from gpucost.core.model import Key, Workload
from gpucost.core.money import PICO, Pico
from gpucost.core.report import Row
from gpucost.core.serving import cold_start as cold
from gpucost.core.serving.comparison import comparison, marginal_per_request
from gpucost.core.serving.ready_times import ready_times
from gpucost.core.serving.signals.model import ReplicaCapacity
from gpucost.core.serving.spec import EndpointSpec, Runtime
from gpucost.core.serving.unit_cost import UnitCost, unit_cost
from gpucost.core.serving.unit_lines import hour_lines
from gpucost.core.serving.work_hours import WorkHour
from gpucost.core.timeline import Interval
from gpucost.ledger import LedgerError
from gpucost.ledger.workload_hours import WorkloadHours
from gpucost.runtime.endpoints.past import EndpointsPast
from gpucost.runtime.world import Custom
from gpucost.web import endpoint_documents as documents
from gpucost.web.endpoint_documents import Account
from gpucost.web.provider import NotReady
from gpucost.web.schema_endpoints import UnitCost as UnitCostDocument
from gpucost.web.schema_endpoints import UnitCostList
from gpucost.web.status import Refused

log = logging.getLogger(__name__)

LATELY: Micros = DAY
"""What statuses show."""
_EVERY: Micros = 5 * MINUTE
_UNTIL_PRICED: Micros = 30 * SECOND
"""The first price of a request is news; later ones only change."""
_AT_ONCE = 20
"""Endpoints that are brought up to date in one pass."""

_PRICES = ("perMillionInputTokens", "perMillionOutputTokens", "perRequest", "idle")
"""Fields of `status.cost`."""
_DIME = Decimal("0.1")

Costs = Callable[[str, Workload, Interval], Awaitable[WorkloadHours]]
Hours = Callable[[str, Interval], Awaitable[Mapping[Instant, WorkHour]]]


async def _nothing(*_: Any) -> Any:
    raise NotReady("the operator is starting")


@dataclass(frozen=True, slots=True)
class _Lately:
    """The last day of an endpoint."""

    account: Account
    shown: Mapping[str, Any]
    """Fields of `status`."""


@dataclass
class UnitCosts:
    """Answers about endpoints, and what their statuses show."""

    now: Callable[[], Instant]
    past: EndpointsPast
    records: Mapping[Key, Custom]
    spec_of: Callable[[Key], EndpointSpec | None]
    capacity_of: Callable[[str], ReplicaCapacity] = lambda _uid: ReplicaCapacity()
    shares_gpu: Callable[[str, EndpointSpec], bool] = lambda _namespace, _spec: False
    """Whether the replicas of an endpoint share their GPUs with others."""
    size_of: Callable[[str, EndpointSpec], Fraction] = lambda _namespace, _spec: Fraction(1)
    """Pods of each replica."""
    costs: Costs = _nothing
    hours: Hours = _nothing
    currency: str = "USD"
    _lately: dict[str, _Lately] = field(default_factory=dict)
    _tried: dict[str, Instant] = field(default_factory=dict)
    """When an endpoint had its turn last."""

    # --- questions ----------------------------------------------------------------------------------------------------

    async def many(self, span: Interval, namespace: str | None) -> UnitCostList:
        """Unit costs of all endpoints, or of those of a namespace."""
        whole = self._whole_hours(span)
        keys = sorted(key for key in self.records if namespace in {None, key.namespace})
        accounts = [await self.account(key, spec, whole) for key in keys if (spec := self.spec_of(key)) is not None]
        return documents.listed(accounts, self.currency, whole)

    async def one(self, span: Interval, namespace: str, name: str) -> UnitCostDocument:
        """Unit costs of one endpoint."""
        key = Key(namespace, name)
        spec = self.spec_of(key) if key in self.records else None
        if spec is None:
            there = ", ".join(sorted(one.name for one in self.records if one.namespace == namespace)[:5])
            found = f"there is: {there}" if there else "there is none"
            words = f"no InferenceEndpoint {name} is known in namespace {namespace}; {found}"
            raise Refused(404, words, name=name, kind="unitcosts")
        return documents.unit_cost(await self.account(key, spec, self._whole_hours(span), by_hour=True))

    def _whole_hours(self, span: Interval) -> Interval:
        """Work is known by the hour: a window is widened to whole ones, as far as they have gone by.

        It ends at a whole second, as documents write it: whoever asks for another report of it gets the same sum.
        """
        end = min(-floor_to(-span.end, HOUR), max(span.end, self.now()))
        return Interval(floor_to(span.start, HOUR), floor_to(end, SECOND))

    async def account(self, key: Key, spec: EndpointSpec, span: Interval, *, by_hour: bool = False) -> Account:
        """Everything about one endpoint in a window of whole hours, with a line for each of them where asked for."""
        uid, workload = self.records[key].uid, spec.target.workload  # before others may forget the endpoint
        paid = await self.costs(key.namespace, workload, span)
        done = self.past.with_present(uid, await self.hours(uid, span))
        both = [(cost, done.get(cost.hour)) for cost in paid.hours]
        costs = unit_cost(both, paid.rest)
        hourly = replica_hourly(paid.row, self.size_of(key.namespace, spec))
        request, token = self._marginal(uid, hourly, costs)
        ready = ready_times(self.past.of(uid).starts)
        return Account(
            namespace=key.namespace,
            name=key.name,
            workload=workload,
            currency=paid.currency,
            span=paid.span,
            row=paid.row,
            costs=costs,
            quality=paid.quality,
            marginal_request=request,
            marginal_token=token,
            comparison=comparison(spec.compared_to, costs, request) if spec.compared_to is not None else None,
            ready=ready,
            lines=hour_lines(both, paid.rest) if by_hour else (),
            start_cost=cold.start_cost(hourly, ready) if hourly is not None and ready is not None else None,
            advice=self.advice(key.namespace, uid, spec, hourly),
        )

    def _marginal(self, uid: str, hourly: Pico | None, costs: UnitCost) -> tuple[Fraction | None, Fraction | None]:
        """Of a request and of a token."""
        request = marginal_per_request(hourly, self.capacity_of(uid))
        tokens, requests = costs.work.tokens, costs.work.requests
        return request, request * Fraction(requests) / tokens if request and tokens and requests else None

    def advice(self, namespace: str, uid: str, spec: EndpointSpec, hourly: Pico | None) -> cold.Advice:
        """Whether the last replica is worth keeping."""
        memory = self.past.of(uid)
        terms = cold.Terms(
            replica_hourly=hourly,
            ready=ready_times(memory.starts),
            late_allowed=spec.slo.late_allowed,
            idle_after=spec.zero.idle_after if spec.zero is not None else None,
            has_holder=spec.zero is not None,
            can_sleep=spec.runtime is Runtime.VLLM and self.shares_gpu(namespace, spec),
        )
        return cold.advise(memory.quiet.quiet, terms)

    # --- statuses -----------------------------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Bring some endpoints up to date; one that fails takes its turn like the others, and nobody else's."""
        now = self.now()
        living = {record.uid for record in self.records.values()}
        for kept in (self._lately, self._tried):
            for uid in kept.keys() - living:
                del kept[uid]
        looked = [
            (self._tried.get(record.uid, 0), key)
            for key, record in self.records.items()
            if self.spec_of(key) is not None
        ]
        due = [(at, key) for at, key in looked if now - at >= self._stays(key)]
        for _, key in sorted(due)[:_AT_ONCE]:
            spec, record = self.spec_of(key), self.records.get(key)
            if spec is None or record is None:  # it may have gone while another was asked about
                continue
            span = Interval(floor_to(now - LATELY, HOUR), now)
            try:
                account = await self.account(key, spec, span)
                self._lately[record.uid] = _Lately(account, _shown(account))
            except (LedgerError, NotReady):
                raise
            except Exception:  # what it lacks must not be lacking to all that come after it
                log.exception("%s: what its tokens cost is not known", key)
            self._tried[record.uid] = now

    def _stays(self, key: Key) -> Micros:
        """For how long what is known of an endpoint is new enough."""
        known = self._lately.get(self.records[key].uid)
        return _EVERY if known is not None and "perRequest" in known.shown.get("cost", {}) else _UNTIL_PRICED

    def lately(self, uid: str) -> Account | None:
        """What the last day was like."""
        found = self._lately.get(uid)
        return None if found is None else found.account

    def ready_time(self, uid: str) -> Micros | None:
        """Within this time 95 % of the replicas of an endpoint were ready."""
        found = ready_times(self.past.of(uid).starts)
        return None if found is None else found.p95

    def shown(self, record: Custom) -> Mapping[str, Any]:
        """Fields of `status`, of which `cost` is merged into what else is known of the cost."""
        found = self._lately.get(record.uid)
        return _told_before(record.status) if found is None else found.shown


def replica_hourly(row: Row | None, size: Fraction = Fraction(1)) -> Pico | None:
    """What one replica of some pods costs per hour: now, or while nobody holds anything, on average so far.

    None: nobody knows.
    """
    if row is None:
        return None
    if row.pods:
        return int(row.hourly * size / row.pods) if row.hourly else None
    amounts = row.amounts
    if amounts.unpriced_time or not amounts.held_time:
        return None
    return int(amounts.cost * HOUR * size / amounts.held_time)


def _told_before(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """After a start it takes some passes until all endpoints are looked at: until then what is stored stays."""
    cost, cold_start = status.get("cost") or {}, status.get("coldStart") or {}
    found = {
        "coldStart": {name: value for name, value in cold_start.items() if name != "kept"},  # others' word, of now
        "cost": {name: cost[name] for name in _PRICES if name in cost},
        "readyTimeP95Seconds": status.get("readyTimeP95Seconds"),
    }
    return {name: value for name, value in found.items() if value}


def _shown(account: Account) -> Mapping[str, Any]:
    document = documents.unit_cost(account)
    found: dict[str, Any] = {"coldStart": _cold_start(document), "cost": _prices(account, document)}
    if account.ready is not None:
        found["readyTimeP95Seconds"] = -(-account.ready.p95 // SECOND)
    return {name: value for name, value in found.items() if value}


def _prices(account: Account, document: UnitCostDocument) -> dict[str, Any]:
    average, idle = document.average, None
    if account.costs.split.known and account.costs.covered:
        idle = Decimal(account.costs.split.idle) * HOUR / PICO / account.costs.covered
    values = (
        _readable(average.per_million_input_tokens),
        _readable(average.per_million_output_tokens),
        average.per_request,
        None if idle is None else f"{idle:.2f}",
    )
    return {name: value for name, value in zip(_PRICES, values, strict=True) if value is not None}


def _readable(price: str | None) -> str | None:
    """For a column: cents, or three digits that count where these say less."""
    if price is None:
        return None
    amount = Decimal(price)
    places = 2 if not amount or amount >= _DIME else min(6, 2 - amount.adjusted())
    return f"{amount:.{places}f}"


def _cold_start(document: UnitCostDocument) -> dict[str, Any]:
    found = document.cold_start
    shown = {
        "choice": found.choice,
        "message": found.message[:1024],
        "cost": found.cost,
        "breakEvenSeconds": None if found.break_even_seconds is None else round(found.break_even_seconds),
        "savingMonthly": found.saving_monthly,
    }
    return {name: value for name, value in shown.items() if value is not None}
