"""Where a report's numbers come from and how far they can be trusted."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Float, Select, and_, case, cast, func, or_, select

from gpucost.core.allocate import FOREVER
from gpucost.core.books import Books
from gpucost.core.clock import Instant, Micros
from gpucost.core.model import Gpus
from gpucost.core.report import DataQuality
from gpucost.core.timeline import Interval
from gpucost.ledger import facts
from gpucost.ledger.db import Db
from gpucost.ledger.gaps import in_window
from gpucost.ledger.schema import nodes, prices

USAGE_MARK = "usage-observed"
"""Mark under which whoever measures may leave the instant of the newest sample, in microseconds."""


def quality(db: Db, books: Books, span: Interval, now: Instant, namespace: str | None = None) -> DataQuality:
    """Quality of a window; what is measured is told as of now."""
    held, measured, newest = _measured(books, now, namespace)
    sources, unpriced = _prices(db, span)
    marked = facts.read_marks(db).get(USAGE_MARK)
    newest = int(marked) if marked else newest
    return DataQuality(
        as_of=now,
        price_sources=sources,
        gpus_held=held,
        gpus_measured=measured,
        data_age=_age(newest, now),
        unpriced_nodes=unpriced,
        gaps=len(in_window(db, span, namespace)),
    )


def _age(newest: Instant | None, now: Instant) -> Micros | None:
    return None if newest is None else max(0, now - newest)


def _measured(books: Books, now: Instant, namespace: str | None) -> tuple[Gpus, Gpus, Instant | None]:
    """GPUs held at an instant, how many are measured, and when the newest value in force began."""
    held: Gpus = 0
    measured: Gpus = 0
    newest: Instant | None = None
    for pod in books.pods.values():
        gpus = pod.requests.gpus
        if not gpus or not pod.start <= now < (FOREVER if pod.end is None else pod.end):
            continue
        if namespace is not None and pod.namespace != namespace:
            continue
        held += gpus
        activity = books.activities.get(pod.uid)
        known = activity.known_since(now) if activity is not None else None
        if known is not None:
            measured += gpus
            newest = known if newest is None else max(newest, known)
    return held, measured, newest


def _prices(db: Db, span: Interval) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sources of the prices in force in a window, and names of the nodes that had none for some of it."""
    sources: set[str] = set()
    unpriced: set[str] = set()
    for row in db.connection.execute(_in_force(db, span)):
        if row.known:
            sources.add(row.source)
        if row.late or not row.known:
            unpriced.add(row.name)
    unpriced.update(db.connection.execute(_without_price(db, span)).scalars())
    return tuple(sorted(sources)), tuple(sorted(unpriced))


def _in_force(db: Db, span: Interval) -> Select[Any]:
    """Distinct names and sources of prices in force while their node lives in the window.

    `known` says whether the price is one (0 is not), `late` whether some of the node's time is before its first. A spot
    price an hour makes many prices, and few rows here.
    """
    following = func.lead(prices.c.start).over(partition_by=prices.c.node_uid, order_by=prices.c.start)
    first = func.min(prices.c.start).over(partition_by=prices.c.node_uid)
    columns = (*prices.c, func.coalesce(following, FOREVER).label("until"), first.label("first"))
    steps = select(*columns).where(prices.c.cluster == db.cluster).subquery()
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
    return nodes.c.start < span.end, or_(nodes.c.ended.is_(None), nodes.c.ended > span.start)


def _without_price(db: Db, span: Interval) -> Select[Any]:
    any_price = select(prices.c.start).where(prices.c.cluster == db.cluster, prices.c.node_uid == nodes.c.uid).exists()
    return select(nodes.c.name).where(nodes.c.cluster == db.cluster, *_alive(span), ~any_price)
