"""Reports and explanations: settled hours from stored charges, everything else booked from facts.

A window is cut in three: whole settled hours (sums in the database), settled hours of which the window has only a part
(booked again from stored facts), and open hours (booked from the facts in memory). All three are booked by the same
code, so it does not show where one ends and the next begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, literal, select

from gpucost.core.booking import IDLE, STRANDED
from gpucost.core.clock import HOUR, floor_to
from gpucost.core.grouping import By, Group, Holder, dimensions
from gpucost.core.model import Category, NodeKind, Workload
from gpucost.core.money import Pico
from gpucost.core.report import Amounts, NodeUse, Report, Row
from gpucost.core.selector import Selector
from gpucost.core.timeline import Interval
from gpucost.ledger import charges as store
from gpucost.ledger import hour_sums, rolled
from gpucost.ledger.charges import Sum
from gpucost.ledger.desk import Desk, cut, until_now
from gpucost.ledger.quality import quality
from gpucost.ledger.rows import node_fact
from gpucost.ledger.schema import charges, nodes, pods, rolled_charges, rolled_keys
from gpucost.ledger.settled import NOTHING, added
from gpucost.ledger.tally import Tally, live_of, take_booked
from gpucost.ledger.totals import Live, Rates

# --- reports ----------------------------------------------------------------------------------------------------------


def report(desk: Desk, span: Interval, by: By, namespace: str | None, selector: Selector | None) -> Report:
    """Cost of a window by one grouping, of a namespace or of selected pods alone when asked so."""
    dimensions(by)  # refuses one that does not exist
    span = until_now(span, desk.now)
    tally = Tally(by, namespace, selector)
    pieces = cut(span, desk.watermark, desk.horizon)
    _take_rolled(desk, tally, pieces.rolled)
    _take_settled(desk, tally, pieces.settled)
    for edge in pieces.edges:
        stored = desk.shelf.edge(desk.db, floor_to(edge.start, HOUR))
        take_booked(tally, stored, edge)
    take_booked(tally, desk.books, pieces.open)
    return _finished(desk, tally, span)


_COLUMNS: dict[str, ColumnElement[Any]] = {
    "namespace": pods.c.namespace,
    "kind": pods.c.workload_kind,
    "workload": pods.c.workload_name,
    "category": pods.c.category,
    "pod": pods.c.name,
    "node": charges.c.node_uid,
    "labels": pods.c.labels,
    "asset": store.asset,
}
_SUMMED = frozenset({"namespace", "asset"})
"""What `hour_sums` tells apart."""


def _take_settled(desk: Desk, tally: Tally, span: Interval) -> None:
    if span.length <= 0:
        return
    needed = tally.needed
    if needed <= _SUMMED:
        _take_hours(desk, tally, span)
    else:
        _take_details(desk, tally, span, needed)
    if tally.whole:
        _take_unheld(desk, tally, span)


def _take_details(desk: Desk, tally: Tally, span: Interval, needed: frozenset[str]) -> None:
    shown = [c if name in needed else literal("").label(name) for name, c in _COLUMNS.items()]
    by = [_COLUMNS[name] for name in _COLUMNS if name in needed]
    names = _node_names(desk) if tally.by_node else {}
    where = [store.in_hours(span), ~store.nobody]
    if tally.namespace is not None:
        where.append(pods.c.namespace == tally.namespace)
    question = ("held", frozenset(needed), tally.namespace, span)
    for key, total in desk.shelf.answer(question, lambda: store.totals(desk.db, by, *where, shown=shown)):
        space, kind, workload, category, pod, node, labels, asset = key
        what = Category(category) if category else Category.OTHER
        selected = json.loads(labels) if labels else {}
        paid = NodeKind(asset) if asset else NodeKind.NODE
        who = Holder(space, Workload(kind, workload), what, pod, node, names.get(node, ""), selected, paid)
        tally.take(who, total)


def _take_hours(desk: Desk, tally: Tally, span: Interval) -> None:
    """What pods held by namespace and kind of asset: the questions that are asked most, of hours summed up before."""
    sums: dict[hour_sums.Name, list[Sum]] = {}
    for hour in desk.shelf.hours(desk.db, span):
        for name, total in hour.held.items():
            sums.setdefault(name, []).append(total)
    for (namespace, asset), totals in sums.items():
        who = Holder(namespace, Workload("", ""), Category.OTHER, "", "", "", asset=asset)
        tally.take(who, added(totals))


_ROLLED = {
    "namespace": rolled_keys.c.namespace,
    "kind": rolled_keys.c.workload_kind,
    "workload": rolled_keys.c.workload_name,
    "category": rolled_keys.c.category,
    "labels": rolled_keys.c.labels,
    "asset": rolled_keys.c.asset,
}


def _take_rolled(desk: Desk, tally: Tally, span: Interval) -> None:
    """As `_take_settled`, of hours of which only sums are left: they have no pods and no nodes."""
    if span.length <= 0:
        return
    needed = tally.needed
    shown = [c if name in needed else literal("").label(name) for name, c in _ROLLED.items()]
    where = [rolled.in_hours(span), rolled.held]
    if tally.namespace is not None:
        where.append(rolled_keys.c.namespace == tally.namespace)
    by = [_ROLLED[name] for name in _ROLLED if name in needed]
    for (space, kind, workload, category, labels, asset), total in rolled.totals(desk.db, by, *where, shown=shown):
        what = Category(category) if category else Category.OTHER
        selected = json.loads(labels) if labels else {}
        name = rolled.ROLLED
        paid = NodeKind(asset) if asset else NodeKind.NODE
        tally.take(Holder(space, Workload(kind, workload), what, name, name, name, selected, paid), total)
    if tally.whole:
        unheld = rolled.totals(desk.db, [rolled_charges.c.holder], rolled.in_hours(span), ~rolled.held)
        for (who,), total in unheld:
            tally.take_unheld(who, rolled.ROLLED, total)
        tally.nodes += rolled.node_cost(desk.db, span)


def _take_unheld(desk: Desk, tally: Tally, span: Interval) -> None:
    """What nobody held, and the nodes' own cost."""
    hours = desk.shelf.hours(desk.db, span)
    tally.nodes += sum(hour.cost for hour in hours)
    if not tally.by_node:
        for hour in hours:
            for who, total in hour.unheld.items():
                tally.take_unheld(who, "", total)
        return
    by = (charges.c.pod_uid, charges.c.node_uid)
    question = ("unheld", span)
    for (who, node), total in desk.shelf.answer(
        question, lambda: store.sums(desk.db, by, store.in_hours(span), store.nobody)
    ):
        tally.take_unheld(who, node, total)


def _node_names(desk: Desk) -> dict[str, str]:
    query = select(nodes.c.uid, nodes.c.name).where(nodes.c.cluster == desk.db.cluster)
    return {row.uid: row.name for row in desk.db.connection.execute(query)}


def _finished(desk: Desk, tally: Tally, span: Interval) -> Report:
    rates = desk.standing.rates(desk.books, desk.now)
    question = (tally.by, tally.namespace, tally.selector)
    live = desk.standing.live(question, lambda rates: live_of(desk.books, rates, tally))
    made = [_row(tally.groups[key], total, live.get(key, Live())) for key, total in tally.sums.items()]
    whole = tally.whole
    idle, stranded = (tally.nobody(who) if whole else Amounts() for who in (IDLE, STRANDED))
    total = sum((row.amounts for row in made), idle + stranded)
    return Report(
        currency=desk.currency,
        span=span,
        rows=tuple(sorted(made, key=_by_cost)),
        idle=Row("idle", idle, hourly=rates.idle if whole else 0),
        stranded=Row("stranded", stranded, hourly=rates.stranded if whole else 0),
        total=total,
        difference=tally.nodes - total.cost if whole else 0,
        quality=quality(desk, span, tally.namespace),
        nodes=tuple(_node_uses(desk, tally, rates)) if whole and tally.by_node else (),
        labels=tuple(sorted(tally.labels)),
    )


def _node_uses(desk: Desk, tally: Tally, rates: Rates) -> Iterator[NodeUse]:
    """Every node that cost something, or could not be priced, in the window."""
    known = {row.uid: node_fact(row) for row in desk.db.connection.execute(_nodes_of(desk))}
    idle, stranded = tally.unheld[IDLE], tally.unheld[STRANDED]
    for uid in sorted((idle.keys() | stranded.keys() | tally.used.keys()) & known.keys()):  # not what is rolled up
        yield NodeUse(
            known[uid],
            used=Amounts(*tally.used.get(uid, NOTHING)),
            idle=Amounts(*idle.get(uid, NOTHING)),
            stranded=Amounts(*stranded.get(uid, NOTHING)),
            hourly=rates.nodes.get(uid, 0),
            idle_hourly=rates.idle_of.get(uid, 0),
        )


def _nodes_of(desk: Desk) -> Select[Any]:
    return select(nodes).where(nodes.c.cluster == desk.db.cluster)


def _by_cost(row: Row) -> tuple[bool, Pico, str]:
    """Dearest first, what nobody can price last."""
    return (row.amounts.known_cost is None, -row.amounts.cost, row.key)


def _row(group: Group, total: Sum, live: Live) -> Row:
    return Row(
        key=group.key,
        amounts=Amounts(*total),
        hourly=live.hourly,
        namespace=group.namespace,
        workload=group.workload,
        category=group.category,
        pods=live.pods,
        name=group.name,
        parts=group.parts,
    )
