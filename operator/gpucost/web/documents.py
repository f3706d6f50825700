"""From the records of the core to the documents of the API.

All rounding of a report happens here and together: rows, idle and stranded add up to the total, and what a row's cost
is made of adds up to that cost, to the last of six decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from gpucost.core.clock import SECOND, format_rfc3339
from gpucost.core.grouping import LABEL
from gpucost.core.model import Gpus, Workload
from gpucost.core.money import PICO_PER_MICRO, Micro, Pico, apportion, format_micro, format_pico, to_micro
from gpucost.core.report import Amounts, DataQuality, Explanation, Line, Report, Row
from gpucost.core.timeline import Interval
from gpucost.web import nodes, schema
from gpucost.web.rounding import hours, parts_of, ratio, read_micro, round_together


def allocation_list(report: Report, by: str) -> schema.AllocationList:
    """A report as the API writes it."""
    ordered = sorted(report.rows, key=_expensive_first)
    parts = (*ordered, report.idle, report.stranded)
    booked = sum(part.amounts.cost for part in parts)
    costs = round_together([part.amounts.cost for part in parts], booked)
    items = tuple(_allocation(row, cost, by) for row, cost in zip(ordered, costs, strict=False))
    return schema.AllocationList(
        currency=report.currency,
        window=_window(report.span),
        by=by,
        items=items,
        idle=_remainder(report.idle, costs[-2]),
        stranded=_remainder(report.stranded, costs[-1]),
        total=_total(report, to_micro(booked), items),
        difference=format_pico(report.difference + report.total.cost - booked),
        quality=quality(report.quality),
        nodes=nodes.splits(report),
        labels=report.labels,
    )


class Reported(NamedTuple):
    """What a list says about the subject of an explanation; None is not known."""

    cost: str | None
    hourly: str | None


def explanation(record: Explanation, reported: Reported | None = None) -> schema.Explanation:
    """An explanation as the API writes it; its lines' costs add up to the total's.

    `reported` is from a list of the same span: there the cost was rounded together with its neighbours, and the
    explanation must end in exactly that amount.
    """
    priced = [line.cost for line in record.lines if line.cost is not None]
    total = _target(sum(priced), reported)
    costs = iter(apportion([Fraction(part, PICO_PER_MICRO) for part in priced], total) if priced else [])
    return schema.Explanation(
        metadata=schema.Metadata(name=object_name(record.workload), namespace=record.namespace or None),
        currency=record.currency,
        window=_window(record.span),
        workload=f"{record.workload.kind}/{record.workload.name}",
        lines=tuple(_line(line, None if line.cost is None else next(costs)) for line in record.lines),
        total=_explained_total(record, total, reported),
        gaps=gaps(record),
        quality=quality(record.quality),
    )


def gaps(record: Explanation) -> tuple[schema.Gap, ...]:
    """Spans that nobody could observe."""
    return tuple(_gap(span, reason) for span, reason in record.gaps)


def _target(booked: Pico, reported: Reported | None) -> Micro:
    """What the lines add up to; a reported amount that is not this one, rounded, is a defect and is left to show."""
    if reported is not None and reported.cost is not None:
        amount = read_micro(reported.cost)
        if abs(Fraction(booked, PICO_PER_MICRO) - amount) < 1:
            return amount
    return to_micro(booked)


def _explained_total(record: Explanation, total: Micro, reported: Reported | None) -> schema.Costs:
    costs = _costs(record.total, total, hourly=0)
    return costs.model_copy(update={"hourly": reported.hourly if reported else format_micro(0)})


def quality(record: DataQuality) -> schema.Quality:
    """Where the numbers come from."""
    return schema.Quality(
        as_of=format_rfc3339(record.as_of),
        price_sources=record.price_sources,
        gpus_held=number(record.gpus_held),
        gpus_measured=number(record.gpus_measured),
        data_age_seconds=None if record.data_age is None else record.data_age / SECOND,
        unpriced_nodes=record.unpriced_nodes,
        gaps=record.gaps,
    )


def number(gpus: Gpus) -> int | float:
    """GPUs as a JSON number; parts of one to six places."""
    return gpus if isinstance(gpus, int) else round(float(gpus), 6)


def object_name(workload: Workload) -> str:
    """Name of a workload in a URL: `trainingjob.bert`."""
    return f"{workload.kind.lower()}.{workload.name}"


# --- rows -------------------------------------------------------------------------------------------------------------


def _expensive_first(row: Row) -> tuple[bool, int, str]:
    known = row.amounts.known_cost
    return known is None, -(known or 0), row.key


def _allocation(row: Row, cost: Micro, by: str) -> schema.Allocation:
    costs = _costs(row.amounts, cost, hourly=row.hourly)
    return schema.Allocation(
        metadata=schema.Metadata(name=_name(row, by), namespace=row.namespace or None),
        key=row.key,
        namespace=row.namespace or (row.key if by == "namespace" else None),
        workload=f"{row.workload.kind}/{row.workload.name}" if row.workload else None,
        category=row.category.value if row.category else None,
        pods=row.pods,
        node=row.name if by == "node" else None,
        **costs.model_dump(),
    )


def _name(row: Row, by: str) -> str:
    if by == "workload" and row.workload is not None:
        return object_name(row.workload)
    if by == "node":
        return row.name or row.key
    return row.key if by.startswith(LABEL) else row.key.rpartition("/")[2]


def _costs(amounts: Amounts, cost: Micro, *, hourly: Pico | None) -> schema.Costs:
    """Everything about amounts; `cost` is what they were rounded to together with their siblings."""
    kinds = parts_of([amounts.active, amounts.held, amounts.unknown_activity, amounts.non_gpu], cost)
    spot, on_demand = parts_of([amounts.spot, amounts.on_demand], cost)
    return schema.Costs(
        cost=None if amounts.known_cost is None else format_micro(cost),
        hourly=None if hourly is None else format_pico(hourly),
        gpu_hours=hours(amounts.gpu_time),
        gpu_hours_measured=hours(amounts.known_gpu_time),
        gpu_hours_active=hours(amounts.active_gpu_time),
        cpu_core_hours=hours(Fraction(amounts.cpu_time, 1000)),
        memory_gib_hours=hours(Fraction(amounts.memory_time, 1024)),
        active=format_micro(kinds[0]),
        held=format_micro(kinds[1]),
        unknown_activity=format_micro(kinds[2]),
        non_gpu=format_micro(kinds[3]),
        spot=format_micro(spot),
        on_demand=format_micro(on_demand),
        gpu_utilization=ratio(amounts.gpu_utilization),
        coverage=ratio(amounts.coverage),
    )


def _remainder(row: Row, cost: Micro) -> schema.Remainder:
    return schema.Remainder(
        cost=None if row.amounts.known_cost is None else format_micro(cost),
        hourly=None if row.hourly is None else format_pico(row.hourly),
        gpu_hours=hours(row.amounts.gpu_time),
    )


def _total(report: Report, cost: Micro, items: Sequence[schema.Allocation]) -> schema.Costs:
    """The total, with the kinds of cost as sums of the rows: idle and stranded are neither active nor held."""
    sums = {
        field: format_micro(sum(read_micro(getattr(item, field)) for item in items))
        for field in ("active", "held", "unknown_activity", "non_gpu")
    }
    hourly = _sum_known([row.hourly for row in (*report.rows, report.idle, report.stranded)])
    return _costs(report.total, cost, hourly=hourly).model_copy(update=sums)


def _sum_known(amounts: Sequence[Pico | None]) -> Pico | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


# --- lines ------------------------------------------------------------------------------------------------------------


def _line(line: Line, cost: Micro | None) -> schema.Line:
    return schema.Line(
        pod=line.pod,
        node=line.node,
        start=format_rfc3339(line.span.start),
        end=format_rfc3339(line.span.end),
        hours=hours(line.span.length),
        share=str(line.share),
        share_of=line.share_of,
        gpus=number(line.gpus),
        hourly=None if line.hourly is None else f"{line.hourly:f}",
        capacity_type=line.capacity_type.value,
        price_source=line.price_source,
        cost=None if cost is None else format_micro(cost),
        gpu_active=line.gpu_active,
    )


def _gap(span: Interval, reason: str) -> schema.Gap:
    return schema.Gap(start=format_rfc3339(span.start), end=format_rfc3339(span.end), reason=reason)


def _window(span: Interval) -> schema.Window:
    return schema.Window(start=format_rfc3339(span.start), end=format_rfc3339(span.end))
