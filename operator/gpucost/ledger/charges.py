"""Charges of settled hours in the database.

SQLite forms sums in two halves, millions and the rest, because a sum of pico-units or of byte-like amounts over a large
cluster does not fit in the 64 bits in which it adds. PostgreSQL adds in decimals of any length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, ColumnElement, and_, case, delete, func, literal_column, select

from gpucost.core.booking import FIELDS, NOBODY, Booking
from gpucost.core.clock import Instant
from gpucost.core.model import NodeKind
from gpucost.core.money import Pico
from gpucost.core.timeline import Interval
from gpucost.ledger import bulk
from gpucost.ledger.db import Db
from gpucost.ledger.facts import chunks
from gpucost.ledger.schema import charges, node_hours, pods

_HALF = 1_000_000
_NODES_AT_ONCE = 500

Sum = list[int]
"""Amounts in the order of `FIELDS`, mutable."""


def zero() -> Sum:
    """Nothing."""
    return [0] * len(FIELDS)


class Total(NamedTuple):
    """One group: the values that it was grouped by, and its sum."""

    key: tuple[Any, ...]
    sum: Sum


def write(db: Db, bookings: Sequence[Booking]) -> None:
    """Insert the charges of node-hours that have none yet."""
    costs = [{"cluster": db.cluster, "node_uid": b.node_uid, "hour": b.hour, "cost": b.cost} for b in bookings]
    lines = [
        {
            "cluster": db.cluster,
            "node_uid": charge.node_uid,
            "hour": charge.hour,
            "pod_uid": charge.pod_uid,
            "capacity_type": charge.capacity_type.value,
            **dict(zip(FIELDS, charge.values, strict=True)),
        }
        for booking in bookings
        for charge in booking.charges
    ]
    bulk.insert(db.connection, node_hours, costs)
    bulk.insert(db.connection, charges, lines)


def remove(db: Db, node_uid: str, span: Interval) -> None:
    """Delete what is booked for a node in whole hours."""
    for table in (charges, node_hours):
        db.connection.execute(
            delete(table).where(
                table.c.cluster == db.cluster,
                table.c.node_uid == node_uid,
                table.c.hour >= span.start,
                table.c.hour < span.end,
            )
        )


def totals(
    db: Db,
    by: Sequence[ColumnElement[Any]],
    *where: ColumnElement[bool],
    shown: Sequence[ColumnElement[Any]] | None = None,
) -> list[Total]:
    """Sums of charges, grouped; `by` and `where` may use columns of `charges` and of its pod.

    The key of a group is `shown` (grouped columns and constants), by default the values of `by`.
    """
    keys = by if shown is None else shown
    amounts = exact_sums(db, *(charges.c[name] for name in FIELDS))
    joined = charges.outerjoin(pods, and_(pods.c.cluster == charges.c.cluster, pods.c.uid == charges.c.pod_uid))
    query = select(*keys, *amounts).select_from(joined).where(charges.c.cluster == db.cluster, *where).group_by(*by)
    width = len(keys)
    return [Total(tuple(row[:width]), whole(db, row[width:])) for row in db.connection.execute(query)]


def sums(db: Db, by: Sequence[ColumnElement[Any]], *where: ColumnElement[bool]) -> list[Total]:
    """Sums of charges, grouped by columns of `charges` alone: as `totals`, without looking up every pod."""
    amounts = exact_sums(db, *(charges.c[name] for name in FIELDS))
    query = select(*by, *amounts).where(charges.c.cluster == db.cluster, *where).group_by(*by)
    width = len(by)
    return [Total(tuple(row[:width]), whole(db, row[width:])) for row in db.connection.execute(query)]


HELD = "held"
"""Value of `holder` for charges of pods."""

# Constants and no parameters: PostgreSQL takes two parameters of one query for two different things.
nobody: ColumnElement[bool] = charges.c.pod_uid.in_([literal_column(f"'{uid}'") for uid in sorted(NOBODY)])
holder: ColumnElement[str] = case((nobody, charges.c.pod_uid), else_=literal_column(f"'{HELD}'")).label("holder")
"""`IDLE`, `STRANDED`, or `HELD` for every pod."""


asset: ColumnElement[str] = case(
    (pods.c.uid == charges.c.node_uid, literal_column(f"'{NodeKind.LOAD_BALANCER.value}'")),
    (pods.c.storage > literal_column("0"), literal_column(f"'{NodeKind.VOLUME.value}'")),
    else_=literal_column(f"'{NodeKind.NODE.value}'"),
).label("asset")
"""What is paid for: a volume is held by its claim, which has a size; a load balancer by its Service, which goes by the
same UID."""


def in_hours(span: Interval) -> ColumnElement[bool]:
    """Charges of the whole hours in a span."""
    return and_(charges.c.hour >= span.start, charges.c.hour < span.end)


def node_cost(db: Db, span: Interval | None = None) -> Pico:
    """What the nodes cost in settled hours, by their own integration."""
    query = select(*exact_sums(db, node_hours.c.cost)).where(node_hours.c.cluster == db.cluster)
    if span is not None:
        query = query.where(node_hours.c.hour >= span.start, node_hours.c.hour < span.end)
    return whole(db, tuple(db.connection.execute(query).one()))[0]


def node_costs(db: Db, span: Interval) -> list[tuple[Instant, Pico]]:
    """`node_cost` of each hour of a span in which there were nodes."""
    amounts = exact_sums(db, node_hours.c.cost)
    query = select(node_hours.c.hour, *amounts).where(node_hours.c.cluster == db.cluster).group_by(node_hours.c.hour)
    query = query.where(node_hours.c.hour >= span.start, node_hours.c.hour < span.end)
    return [(row[0], whole(db, row[1:])[0]) for row in db.connection.execute(query)]


def pods_of_hours(db: Db, node_uids: Iterable[str], since: Instant) -> set[str]:
    """UIDs of the pods that are charged on some nodes from an hour on."""
    found: set[str] = set()
    for part in chunks(sorted(node_uids), _NODES_AT_ONCE):
        query = (
            select(charges.c.pod_uid)
            .distinct()
            .where(charges.c.cluster == db.cluster, charges.c.node_uid.in_(part), charges.c.hour >= since)
        )
        found.update(row.pod_uid for row in db.connection.execute(query))
    return found


def exact_sums(db: Db, *columns: Column[Any]) -> list[ColumnElement[Any]]:
    """What to select for exact sums of columns; `whole` reads the result."""
    if _adds_exactly(db):
        return [func.coalesce(func.sum(column), 0) for column in columns]
    half = literal_column(str(_HALF), BigInteger)
    parts = (part for column in columns for part in (column // half, column % half))
    return [func.coalesce(func.sum(part), 0) for part in parts]


def whole(db: Db, found: Sequence[Any]) -> Sum:
    """Sums from what was selected by `exact_sums`."""
    if _adds_exactly(db):
        return list(map(int, found))
    return [found[i] * _HALF + found[i + 1] for i in range(0, len(found), 2)]


def _adds_exactly(db: Db) -> bool:
    return db.connection.dialect.name == "postgresql"
