"""The stays of training runs on nodes, one row for each run: a restart must not forget how long a changeover takes,
how often nodes are lost, and what the work lost with them has cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, select

from gpucost.core.clock import Instant
from gpucost.core.training.auto.stays import Stay
from gpucost.core.training.auto.stays_json import from_json, to_json
from gpucost.ledger import bulk
from gpucost.ledger.db import Db, Transaction
from gpucost.ledger.facts import chunks
from gpucost.ledger.schema import run_stays


@dataclass(frozen=True, slots=True)
class RunStays:
    """Reading and writing them; each call is one transaction and raises `LedgerError` when the database fails."""

    read: Transaction
    write: Transaction

    def record(self, changes: Mapping[str, tuple[Stay, ...]]) -> None:
        """Write the whole histories of some runs, by UID of the TrainingJob."""
        self.write(lambda db: _record(db, changes))

    def all(self) -> dict[str, tuple[Stay, ...]]:
        """Every run's: those that are gone still tell where spot was to be had."""
        return self.read(_all)

    def forget(self, living: Iterable[str], horizon: Instant) -> int:
        """Delete runs that do not exist any more and have begun nothing since `horizon`; how many there were."""
        alive = frozenset(living)
        return self.write(lambda db: _forget(db, alive, horizon))


def _record(db: Db, changes: Mapping[str, tuple[Stay, ...]]) -> None:
    rows = [
        {"cluster": db.cluster, "run": uid, "last": stays[-1].start, "stays": to_json(stays)}
        for uid, stays in changes.items()
        if stays
    ]
    bulk.insert(db.connection, run_stays, rows, bulk.upsert(["cluster", "run"], ["last", "stays"]))


def _all(db: Db) -> dict[str, tuple[Stay, ...]]:
    rows = db.connection.execute(select(run_stays).where(run_stays.c.cluster == db.cluster))
    return {row.run: from_json(row.stays) for row in rows}


def _forget(db: Db, living: frozenset[str], horizon: Instant) -> int:
    query = select(run_stays.c.run).where(run_stays.c.cluster == db.cluster, run_stays.c.last < horizon)
    doomed = sorted({row.run for row in db.connection.execute(query)} - living)
    for part in chunks(doomed):
        db.connection.execute(delete(run_stays).where(run_stays.c.cluster == db.cluster, run_stays.c.run.in_(part)))
    return len(doomed)
