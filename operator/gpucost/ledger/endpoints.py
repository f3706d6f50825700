"""What inference endpoints did, hour by hour, and what is remembered of their starts and their quiet times.

An hour is written whole each time: what is known of it only grows, and the process that writes it is the only one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, select

from gpucost.core.allocate import FOREVER
from gpucost.core.clock import Instant
from gpucost.core.serving.work_hours import WorkHour
from gpucost.core.serving.work_json import Memory, hour_from_json, hour_to_json, memory_from_json, memory_to_json
from gpucost.core.timeline import Interval
from gpucost.ledger import bulk
from gpucost.ledger.db import Db, Transaction
from gpucost.ledger.facts import chunks
from gpucost.ledger.schema import endpoint_hours, endpoint_memory

HourKey = tuple[str, Instant]
"""UID of the endpoint and beginning of the hour."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Reading and writing it; each call is one transaction and raises `LedgerError` when the database fails."""

    read: Transaction
    write: Transaction

    def record(self, hours: Mapping[HourKey, WorkHour], memories: Mapping[str, Memory]) -> None:
        """Write some hours, and what is remembered of some endpoints."""
        self.write(lambda db: _record(db, hours, memories))

    def hours(self, uid: str, span: Interval) -> dict[Instant, WorkHour]:
        """Hours of one endpoint that begin in a span."""
        return self.read(lambda db: _hours(db, span, endpoint_hours.c.endpoint == uid).get(uid, {}))

    def since(self, hour: Instant) -> dict[str, dict[Instant, WorkHour]]:
        """Hours of all endpoints from one on, by UID: what is not over goes on after a start."""
        return self.read(lambda db: _hours(db, Interval(hour, FOREVER)))

    def memories(self) -> dict[str, Memory]:
        """What is remembered of every endpoint."""
        return self.read(memories)

    def forget(self, living: Iterable[str], horizon: Instant) -> int:
        """Delete hours before `horizon`, and endpoints that do not exist any more and did nothing since."""
        alive = frozenset(living)
        return self.write(lambda db: _forget(db, alive, horizon))


def _record(db: Db, hours: Mapping[HourKey, WorkHour], memories: Mapping[str, Memory]) -> None:
    lines = [
        {"cluster": db.cluster, "endpoint": uid, "hour": hour, "done": hour_to_json(done)}
        for (uid, hour), done in hours.items()
    ]
    known = [
        {"cluster": db.cluster, "endpoint": uid, "last": memory.last, "known": memory_to_json(memory)}
        for uid, memory in memories.items()
    ]
    bulk.insert(db.connection, endpoint_hours, lines, bulk.upsert(["cluster", "endpoint", "hour"], ["done"]))
    bulk.insert(db.connection, endpoint_memory, known, bulk.upsert(["cluster", "endpoint"], ["last", "known"]))


def _hours(db: Db, span: Interval, *which: ColumnElement[bool]) -> dict[str, dict[Instant, WorkHour]]:
    of = endpoint_hours.c
    query = select(endpoint_hours).where(of.cluster == db.cluster, *which, of.hour >= span.start, of.hour < span.end)
    found: dict[str, dict[Instant, WorkHour]] = {}
    for row in db.connection.execute(query.order_by(of.hour)):
        found.setdefault(row.endpoint, {})[int(row.hour)] = hour_from_json(row.done)
    return found


def memories(db: Db) -> dict[str, Memory]:
    """What is remembered of every endpoint, by UID."""
    rows = db.connection.execute(select(endpoint_memory).where(endpoint_memory.c.cluster == db.cluster))
    return {row.endpoint: memory_from_json(row.known) for row in rows}


def _forget(db: Db, living: frozenset[str], horizon: Instant) -> int:
    hours, known = endpoint_hours.c, endpoint_memory.c
    old = delete(endpoint_hours).where(hours.cluster == db.cluster, hours.hour < horizon)
    query = select(known.endpoint).where(known.cluster == db.cluster, known.last < horizon)
    doomed = sorted({row.endpoint for row in db.connection.execute(query)} - living)
    for part in chunks(doomed):
        gone = known.endpoint.in_(part)
        db.connection.execute(delete(endpoint_memory).where(known.cluster == db.cluster, gone))
    return int(db.connection.execute(old).rowcount) + len(doomed)
