"""The prices that were in force in a span, by the tables: where `core.in_force` has no books of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Float, Select, and_, case, cast, func, or_, select

from gpucost.core.allocate import FOREVER
from gpucost.core.in_force import NONE, InForce
from gpucost.core.timeline import Interval
from gpucost.ledger.db import Db
from gpucost.ledger.schema import nodes, prices


def read(db: Db, span: Interval) -> InForce:
    """As `core.in_force.in_force`."""
    if span.length <= 0:
        return NONE
    sources: set[str] = set()
    unpriced: set[str] = set()
    for row in db.connection.execute(_in_force(db, span)):
        if row.known:
            sources.add(row.source)
        if row.late or not row.known:
            unpriced.add(row.name)
    unpriced.update(db.connection.execute(_without_price(db, span)).scalars())
    return InForce(frozenset(sources), frozenset(unpriced))


def _in_force(db: Db, span: Interval) -> Select[Any]:
    """Distinct names and sources of prices in force while their node lives in the window.

    `known` says whether the price is one (0 is not), `late` whether some of the node's time is before its first. A spot
    price an hour makes many prices, and few rows here.
    """
    following = func.lead(prices.c.start).over(partition_by=prices.c.node_uid, order_by=prices.c.start)
    first = func.min(prices.c.start).over(partition_by=prices.c.node_uid)
    columns = (*prices.c, func.coalesce(following, FOREVER).label("until"), first.label("first"))
    living = select(nodes.c.uid).where(nodes.c.cluster == db.cluster, *_alive(span))
    steps = select(*columns).where(prices.c.cluster == db.cluster, prices.c.node_uid.in_(living)).subquery()
    known = case((and_(steps.c.hourly.is_not(None), cast(steps.c.hourly, Float) != 0), 1), else_=0).label("known")
    late = case((and_(steps.c.first > nodes.c.start, steps.c.first > span.start), 1), else_=0).label("late")
    return (
        select(nodes.c.name, steps.c.source, known, late)
        .distinct()
        .join(nodes, and_(nodes.c.cluster == db.cluster, nodes.c.uid == steps.c.node_uid))
        .where(
            *_alive(span),
            steps.c.start < span.end,
            steps.c.until > span.start,
            steps.c.until > nodes.c.start,
            or_(nodes.c.ended.is_(None), steps.c.start < nodes.c.ended),
        )
    )


def _alive(span: Interval) -> tuple[ColumnElement[bool], ...]:
    lives_on = and_(nodes.c.ended > span.start, nodes.c.ended > nodes.c.start)
    return nodes.c.start < span.end, or_(nodes.c.ended.is_(None), lives_on)


def _without_price(db: Db, span: Interval) -> Select[Any]:
    """Nodes without a price before the window ends, or before they do."""
    until = case((nodes.c.ended < span.end, nodes.c.ended), else_=span.end)
    priced = select(prices.c.start).where(
        prices.c.cluster == db.cluster, prices.c.node_uid == nodes.c.uid, prices.c.start < until
    )
    return select(nodes.c.name).where(nodes.c.cluster == db.cluster, *_alive(span), ~priced.exists())
