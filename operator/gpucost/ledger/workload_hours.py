"""What a workload's pods cost in each hour: what unit costs are made of.

The same charges that reports add up, so the hours add up to the report of the window. Of time that is rolled up only
the sum is left, which is the part of the report that no hour has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from gpucost.core.booking import hours as hours_of
from gpucost.core.books import Books
from gpucost.core.clock import HOUR, Instant, floor_to
from gpucost.core.model import Workload
from gpucost.core.money import Pico
from gpucost.core.report import Amounts, DataQuality, Row
from gpucost.core.serving.unit_cost import HourCost
from gpucost.core.timeline import Interval
from gpucost.ledger import charges as store
from gpucost.ledger.desk import Desk, cut, until_now
from gpucost.ledger.reports import report
from gpucost.ledger.schema import charges, pods


@dataclass(frozen=True, slots=True)
class WorkloadHours:
    """Costs of a window, hour by hour; `sum(hours) + rest == row.amounts.cost`."""

    currency: str
    span: Interval
    row: Row | None
    """What a report shows of the workload; None: it held nothing."""
    hours: tuple[HourCost, ...]
    rest: Pico
    """Of time of which no hours are left."""
    quality: DataQuality


def workload_hours(desk: Desk, namespace: str, what: Workload, span: Interval) -> WorkloadHours:
    """Costs of one workload in a window, up to now."""
    span = until_now(span, desk.now)
    found = report(desk, span, "workload", namespace, None)
    row = next((row for row in found.rows if row.workload == what), None)
    pieces = cut(span, desk.watermark, desk.horizon)
    sums: dict[Instant, Amounts] = defaultdict(Amounts)
    _take_settled(desk, namespace, what, pieces.settled, sums)
    for edge in pieces.edges:
        _take_booked(desk.shelf.edge(desk.db, floor_to(edge.start, HOUR)), (namespace, what), [edge], sums)
    _take_booked(desk.books, (namespace, what), hours_of(pieces.open), sums)
    costs = tuple(_cost(hour, sums[hour]) for hour in sorted(sums))
    rest = (row.amounts.cost if row is not None else 0) - sum(cost.cost for cost in costs)
    return WorkloadHours(found.currency, span, row, costs, rest, found.quality)


def _cost(hour: Instant, amounts: Amounts) -> HourCost:
    return HourCost(hour, amounts.cost, amounts.held_time, amounts.unpriced_time)


def _take_settled(desk: Desk, namespace: str, what: Workload, span: Interval, sums: dict[Instant, Amounts]) -> None:
    if span.length <= 0:
        return
    mine = (pods.c.namespace == namespace, pods.c.workload_kind == what.kind, pods.c.workload_name == what.name)
    for (hour,), total in store.totals(desk.db, [charges.c.hour], store.in_hours(span), ~store.nobody, *mine):
        sums[int(hour)] += Amounts(*total)


def _take_booked(
    books: Books, whose: tuple[str, Workload], parts: Iterable[Interval], sums: dict[Instant, Amounts]
) -> None:
    """Book the nodes on which the workload has pods."""
    mine = {pod.uid: pod.node_uid for pod in books.pods.values() if (pod.namespace, pod.workload) == whose}
    homes = set(mine.values())
    for part in parts:
        for node in books.alive(part):
            if node.uid in homes:
                for charge in books.book(node.uid, part).charges:
                    if charge.pod_uid in mine:
                        sums[floor_to(part.start, HOUR)] += charge.amounts
