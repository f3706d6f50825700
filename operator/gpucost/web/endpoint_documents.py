"""From what is known of endpoints' costs and work to the documents of the API.

The parts of a cost are rounded together, so that they add up to the six decimals that a list of workloads shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from gpucost.core.clock import SECOND, Micros, format_rfc3339
from gpucost.core.model import Workload
from gpucost.core.money import PICO, Micro, Pico, apportion, format_micro, format_pico, to_micro
from gpucost.core.report import DataQuality, Row
from gpucost.core.serving import cold_start as cold
from gpucost.core.serving.comparison import MILLION, Comparison
from gpucost.core.serving.ready_times import ReadyTimes
from gpucost.core.serving.tenants import NOBODY
from gpucost.core.serving.unit_cost import Split, UnitCost
from gpucost.core.serving.unit_lines import HourLine
from gpucost.core.timeline import Interval
from gpucost.web import documents
from gpucost.web import schema_endpoints as schema
from gpucost.web.rounding import hours, parts_of, ratio, round_together
from gpucost.web.run_documents import window
from gpucost.web.schema import Metadata

NONE = "(none)"
_PLACES = 9
"""Of the price of a single request: a thousandth of a micro-unit."""


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that is told of one endpoint."""

    namespace: str
    name: str
    workload: Workload
    currency: str
    span: Interval
    row: Row | None
    """What reports show of the workload."""
    costs: UnitCost
    quality: DataQuality
    marginal_request: Fraction | None = None
    marginal_token: Fraction | None = None
    """Of a token of any kind, at the present mix."""
    comparison: Comparison | None = None
    ready: ReadyTimes | None = None
    start_cost: Fraction | None = None
    lines: tuple[HourLine, ...] = ()
    """The hours, where somebody asks for them."""
    advice: cold.Advice = cold.Advice(cold.Choice.KEEP, "nothing is known yet")  # noqa: RUF009  (it is frozen)


def unit_cost(account: Account) -> schema.UnitCost:
    """One endpoint."""
    costs, row = account.costs, account.row
    parts = _amounts(costs.split)
    known = row.amounts.known_cost if row is not None else 0
    hourly = row.hourly if row is not None else 0
    return schema.UnitCost(
        metadata=Metadata(name=account.name, namespace=account.namespace),
        workload=f"{account.workload.kind}/{account.workload.name}",
        window=window(account.span),
        currency=account.currency,
        cost=None if known is None else format_pico(costs.split.total),
        hourly=None if hourly is None else format_pico(hourly),
        parts=_parts(costs.split, parts),
        units=_units(costs),
        average=_prices(costs.per_input_token, costs.per_output_token, costs.per_token, costs.per_request),
        serving=_prices(
            costs.serving_per_input_token,
            costs.serving_per_output_token,
            costs.serving_per_token,
            costs.serving_per_request,
        ),
        marginal=_prices(None, None, account.marginal_token, account.marginal_request),
        comparison=None if account.comparison is None else _compared(account.comparison),
        tenants=tuple(_tenants(costs, parts)),
        cold_start=_cold_start(account),
        hours=_hours(account.lines, parts),
        quality=documents.quality(account.quality),
    )


def listed(accounts: Sequence[Account], currency: str, span: Interval) -> schema.UnitCostList:
    """Several endpoints. Those that are about one workload, such as its models, each show what all of it costs."""
    items = [unit_cost(account) for account in accounts]
    paid = {(one.metadata.namespace, one.workload): Decimal(one.cost or 0) for one in items}
    items.sort(key=lambda one: (-Decimal(one.cost or 0), one.metadata.namespace or "", one.metadata.name))
    return schema.UnitCostList(
        currency=currency,
        window=window(span),
        items=tuple(items),
        total=f"{sum(paid.values(), Decimal(0)):.6f}",
    )


_SERVING = schema.PARTS[:3]


def _amounts(split: Split) -> dict[str, Micro]:
    """The parts of a cost as they are written."""
    return dict(zip(schema.PARTS, round_together(split, split.total), strict=True))


def _parts(split: Split, amounts: Mapping[str, Micro]) -> tuple[schema.CostPart, ...]:
    return tuple(
        schema.CostPart(part=name, cost=format_micro(amount), share=_share(part, split.total))
        for (name, amount), part in zip(amounts.items(), split, strict=True)
        if part or name not in {"serving", "unknown"}
    )


def _hours(lines: Sequence[HourLine], amounts: Mapping[str, Micro]) -> tuple[schema.HourPart, ...]:
    """Each part of all hours is rounded so that it adds up to what is told of the part."""
    if not lines:
        return ()
    columns = [parts_of([line.split[index] for line in lines], total) for index, total in enumerate(amounts.values())]
    return tuple(_hour(line, parts) for line, parts in zip(lines, zip(*columns, strict=True), strict=True))


def _hour(line: HourLine, parts: Sequence[Micro]) -> schema.HourPart:
    done, work = line.done, line.done.work
    return schema.HourPart(
        start=None if line.hour is None else format_rfc3339(line.hour),
        cost=format_micro(sum(parts)),
        pod_hours=hours(line.held),
        busy_hours=hours(done.busy),
        idle_hours=hours(done.idle),
        starting_hours=hours(done.starting),
        prefill_seconds=_count(work.prefill_seconds),
        decode_seconds=_count(work.decode_seconds),
        **dict(zip(schema.PARTS, map(format_micro, parts), strict=True)),
    )


def _share(part: Pico, total: Pico) -> float | None:
    return ratio(Fraction(part, total)) if total else None


def _units(costs: UnitCost) -> schema.Units:
    work = costs.work
    return schema.Units(
        requests=_count(work.requests),
        input_tokens=_count(work.prompt_tokens),
        output_tokens=_count(work.generation_tokens),
        cache_hits=ratio(costs.cache_hits),
        complete=not costs.uncertain,
    )


def _count(units: float | None) -> float | None:
    return None if units is None else round(units, 3)


def _prices(
    reading: Fraction | None, writing: Fraction | None, token: Fraction | None, request: Fraction | None
) -> schema.UnitPrices:
    return schema.UnitPrices(
        per_million_input_tokens=_per_million(reading),
        per_million_output_tokens=_per_million(writing),
        per_million_tokens=_per_million(token),
        per_request=small(request),
    )


def _per_million(price: Fraction | None) -> str | None:
    return None if price is None else format_micro(_micro(price * MILLION))


def _micro(amount: Fraction) -> Micro:
    return to_micro(round(amount))


def small(amount: Fraction | None) -> str | None:
    """A price that may be far below a micro-unit."""
    if amount is None:
        return None
    return f"{Decimal(round(amount / PICO * 10**_PLACES)).scaleb(-_PLACES):.{_PLACES}f}"


def _compared(found: Comparison) -> schema.ComparedCost:
    own, theirs = to_micro(found.own), _micro(found.theirs)
    return schema.ComparedCost(
        name=found.name,
        own=format_micro(own),
        theirs=format_micro(theirs),
        saved=format_micro(theirs - own),
        even_requests_per_hour=None if found.even_at is None else round(float(found.even_at), 3),
        cheaper_when_full=found.even_at_capacity,
    )


def _tenants(costs: UnitCost, parts: Mapping[str, Micro]) -> list[schema.TenantCost]:
    """They add up to the parts of serving as these are written."""
    if not costs.tenants.keys() - {NOBODY}:
        return []
    named = sorted(costs.tenants.items(), key=lambda one: (-one[1][0].total, one[0]))
    serving, whole = sum(parts[name] for name in _SERVING), max(1, costs.split.serving)
    amounts = apportion([Fraction(share.total * serving, whole) for _, (share, _) in named], serving)
    return [
        schema.TenantCost(
            tenant=name or NONE,
            cost=format_micro(amount),
            requests=_count(work.requests),
            input_tokens=_count(work.prompt_tokens),
            output_tokens=_count(work.generation_tokens),
        )
        for (name, (_, work)), amount in zip(named, amounts, strict=True)
    ]


def _cold_start(account: Account) -> schema.ColdStart:
    ready, advice = account.ready, account.advice
    return schema.ColdStart(
        starts=ready.count if ready is not None else 0,
        ready_seconds_p50=_seconds(ready.p50 if ready is not None else None),
        ready_seconds_p95=_seconds(ready.p95 if ready is not None else None),
        upper_limit=ready is not None and ready.is_bound,
        cost=None if account.start_cost is None else format_micro(_micro(account.start_cost)),
        break_even_seconds=_seconds(advice.break_even),
        choice=advice.choice.value,
        message=advice.message,
        idle_after_seconds=_seconds(advice.idle_after),
        saving_monthly=None if advice.saving_monthly is None else format_micro(_micro(advice.saving_monthly)),
        wakes_monthly=None if advice.wakes_monthly is None else round(advice.wakes_monthly, 3),
        late=None if advice.late is None else round(float(advice.late), 6),
    )


def _seconds(time: Micros | None) -> float | None:
    return None if time is None else time / SECOND
