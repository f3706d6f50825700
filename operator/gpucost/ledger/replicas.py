"""What the replicas of endpoints have cost and would have cost otherwise, by hours, and notes that outlive a restart.

Hours that are longer ago than a month are added up to days: a saving stays known for as long as the ledger does, and
five hundred endpoints do not make it grow by the hour.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import delete, select

from gpucost.core.clock import DAY, Instant, floor_to
from gpucost.core.serving.counterfactual import Hour
from gpucost.core.timeline import Interval
from gpucost.ledger import bulk
from gpucost.ledger.db import Db, Transaction
from gpucost.ledger.facts import chunks
from gpucost.ledger.schema import replica_hours, replica_notes

SAVED = "saved"
"""Kind of the note that outlives its endpoint: what has been saved by it, in pico-units."""
GONE = "(gone)"
"""In place of a UID: what all endpoints have saved that do not exist any more."""
_KEYS = ["cluster", "endpoint", "hour", "applied"]


class Booked(NamedTuple):
    """An hour (or a day of long ago) of an endpoint."""

    uid: str
    namespace: str
    name: str
    hour: Hour


class Note(NamedTuple):
    """Something remembered of an endpoint."""

    uid: str
    kind: str
    said: str


@dataclass(frozen=True, slots=True)
class ReplicaBooks:
    """Reading and writing them; each call is one transaction and raises `LedgerError` when the database fails."""

    read: Transaction
    write: Transaction

    def record(self, hours: Iterable[Booked], notes: Iterable[Note]) -> None:
        """Write hours and notes as they are now; writing them again changes nothing."""
        rows, said = [_hour_row(one) for one in hours], list(notes)
        self.write(lambda db: _record(db, rows, said))

    def hours(self, span: Interval, namespace: str | None = None) -> list[Booked]:
        """Hours that begin in a span, of all endpoints or those of a namespace."""
        return self.read(lambda db: _hours(db, span, namespace))

    def notes(self, kind: str) -> dict[str, str]:
        """Everything of a kind, by UID."""
        return self.read(lambda db: _notes(db, kind))

    def tidy(self, living: Iterable[str], before: Instant) -> None:
        """Add hours before an instant up to days, and forget notes about endpoints that do not exist any more.

        What these have saved becomes one sum.
        """
        alive, border = frozenset(living), floor_to(before, DAY)
        self.write(lambda db: _tidy(db, alive, border))


def _hour_row(one: Booked) -> bulk.Row:
    sums = asdict(one.hour)
    hour, applied = sums.pop("hour"), sums.pop("applied")
    return {
        "endpoint": one.uid,
        "hour": hour,
        "applied": int(applied),
        "namespace": one.namespace,
        "name": one.name,
        "sums": json.dumps(sums, separators=(",", ":")),
    }


def _record(db: Db, rows: list[bulk.Row], notes: list[Note]) -> None:
    hours = bulk.last_of([{"cluster": db.cluster, **row} for row in rows], _KEYS)
    bulk.insert(db.connection, replica_hours, hours, bulk.upsert(_KEYS, ("namespace", "name", "sums")))
    keys = ["cluster", "endpoint", "kind"]
    said = [{"cluster": db.cluster, "endpoint": one.uid, "kind": one.kind, "said": one.said} for one in notes]
    bulk.insert(db.connection, replica_notes, bulk.last_of(said, keys), bulk.upsert(keys, ("said",)))


def _hours(db: Db, span: Interval, namespace: str | None) -> list[Booked]:
    table = replica_hours.c
    query = select(replica_hours).where(table.cluster == db.cluster, table.hour >= span.start, table.hour < span.end)
    if namespace is not None:
        query = query.where(table.namespace == namespace)
    return [_booked(row) for row in db.connection.execute(query)]


def _booked(row: Any) -> Booked:
    sums: Mapping[str, int] = json.loads(row.sums)
    return Booked(row.endpoint, row.namespace, row.name, Hour(hour=row.hour, applied=bool(row.applied), **sums))


def _notes(db: Db, kind: str) -> dict[str, str]:
    table = replica_notes.c
    query = select(table.endpoint, table.said).where(table.cluster == db.cluster, table.kind == kind)
    return {row.endpoint: row.said for row in db.connection.execute(query)}


def _tidy(db: Db, living: frozenset[str], before: Instant) -> None:
    days: dict[tuple[str, bool, Instant], Booked] = {}
    old = _hours(db, Interval(0, before), None)
    for one in old:
        day = floor_to(one.hour.hour, DAY)
        key = one.uid, one.hour.applied, day
        moved = replace(one.hour, hour=day)
        days[key] = one._replace(hour=days[key].hour + moved if key in days else moved)
    if len(days) < len(old):
        table = replica_hours.c
        db.connection.execute(delete(replica_hours).where(table.cluster == db.cluster, table.hour < before))
        _record(db, [_hour_row(one) for one in days.values()], [])
    gone = {row[0] for row in db.connection.execute(_noted(db))} - living
    for part in chunks(sorted(gone)):
        notes = replica_notes.c
        where = notes.cluster == db.cluster, notes.endpoint.in_(part), notes.kind != SAVED
        db.connection.execute(delete(replica_notes).where(*where))
    _add_up_gone(db, living)


def _add_up_gone(db: Db, living: frozenset[str]) -> None:
    saved = _notes(db, SAVED)
    gone = sorted(saved.keys() - living - {GONE})
    if not gone:
        return
    whole = sum(int(saved[uid]) for uid in (*gone, GONE) if uid in saved)
    notes = replica_notes.c
    for part in chunks(gone):
        where = notes.cluster == db.cluster, notes.endpoint.in_(part), notes.kind == SAVED
        db.connection.execute(delete(replica_notes).where(*where))
    _record(db, [], [Note(GONE, SAVED, str(whole))])


def _noted(db: Db) -> Any:
    return (
        select(replica_notes.c.endpoint)
        .where(replica_notes.c.cluster == db.cluster)
        .where(replica_notes.c.kind != SAVED)
        .distinct()
    )
