"""What training runs have said of themselves, kept so that a restart of the operator loses none of it.

Only the histories that the core keeps (`core.training.curve`) are stored: a report that is thinned out there is deleted
here in the same transaction, so the tables are as bounded as the histories are. No cost depends on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, Table, delete, func, select

from gpucost.core.clock import Instant
from gpucost.core.training.progress import PUSH, Checkpoint, Progress, Report
from gpucost.ledger import bulk
from gpucost.ledger.db import Db, Transaction
from gpucost.ledger.facts import chunks
from gpucost.ledger.schema import run_checkpoints, run_reports

_TABLES = (run_reports, run_checkpoints)


@dataclass
class RunChange:
    """What is new of one run, and the instants of what is not kept any more."""

    reports: list[Report] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    dropped_reports: set[Instant] = field(default_factory=set)
    dropped_checkpoints: set[Instant] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Sayings:
    """Reading and writing them; each call is one transaction and raises `LedgerError` when the database fails."""

    read: Transaction
    write: Transaction

    def record(self, changes: Mapping[str, RunChange]) -> None:
        """Write changes by UID of the TrainingJob; writing them again changes nothing."""
        self.write(lambda db: _record(db, changes))

    def progress(self, uids: Iterable[str] | None = None) -> dict[str, Progress]:
        """Histories by UID of the TrainingJob: of those that are asked for, or of all."""
        wanted = None if uids is None else list(uids)
        return self.read(lambda db: histories(db, wanted))

    def forget(self, living: Iterable[str], horizon: Instant) -> int:
        """Delete runs that do not exist any more and have said nothing since `horizon`; how many there were."""
        alive = frozenset(living)
        return self.write(lambda db: _forget(db, alive, horizon))


def _record(db: Db, changes: Mapping[str, RunChange]) -> None:
    reports = [_report_row(db, uid, one) for uid, change in changes.items() for one in change.reports]
    saved = [_checkpoint_row(db, uid, one) for uid, change in changes.items() for one in change.checkpoints]
    _put(db, run_reports, reports)
    _put(db, run_checkpoints, saved)
    for uid, change in changes.items():
        _drop(db, run_reports, uid, change.dropped_reports)
        _drop(db, run_checkpoints, uid, change.dropped_checkpoints)


def _put(db: Db, table: Table, rows: Sequence[bulk.Row]) -> None:
    keys = ["cluster", "run", "at"]
    others = [column.name for column in table.columns if column.name not in keys]
    bulk.insert(db.connection, table, bulk.last_of(rows, keys), bulk.upsert(keys, others))


def _drop(db: Db, table: Table, uid: str, instants: Iterable[Instant]) -> None:
    for part in chunks(sorted(instants)):
        where = table.c.cluster == db.cluster, table.c.run == uid, table.c.at.in_(part)
        db.connection.execute(delete(table).where(*where))


def _report_row(db: Db, uid: str, report: Report) -> bulk.Row:
    said = {
        "step": report.step,
        "progress": report.progress,
        "remaining": report.remaining,
        "metrics": dict(report.metrics),
        **({"source": report.source} if report.source != PUSH else {}),
    }
    return {"cluster": db.cluster, "run": uid, "at": report.at, "said": json.dumps(said, separators=(",", ":"))}


def _checkpoint_row(db: Db, uid: str, saved: Checkpoint) -> bulk.Row:
    return {"cluster": db.cluster, "run": uid, "at": saved.at, "step": saved.step, "duration": saved.duration}


def histories(db: Db, wanted: Sequence[str] | None) -> dict[str, Progress]:
    """Histories by UID of the TrainingJob, in one transaction of the caller's."""
    reports: dict[str, list[Report]] = {}
    for row in _rows(db, run_reports, wanted):
        reports.setdefault(row.run, []).append(Report(at=row.at, **json.loads(row.said)))
    saved: dict[str, list[Checkpoint]] = {}
    for row in _rows(db, run_checkpoints, wanted):
        saved.setdefault(row.run, []).append(Checkpoint(row.at, row.step, row.duration))
    uids = reports.keys() | saved.keys()
    return {uid: Progress(tuple(reports.get(uid, ())), tuple(saved.get(uid, ()))) for uid in uids}


def _rows(db: Db, table: Table, wanted: Sequence[str] | None) -> Iterable[Any]:
    """In the order of their instants."""
    for part in [None] if wanted is None else chunks(wanted):
        query: Select[Any] = select(table).where(table.c.cluster == db.cluster).order_by(table.c.run, table.c.at)
        yield from db.connection.execute(query if part is None else query.where(table.c.run.in_(part)))


def _forget(db: Db, living: frozenset[str], horizon: Instant) -> int:
    gone: set[str] = set()
    silent: set[str] = set()
    for table in _TABLES:
        query = select(table.c.run, func.max(table.c.at)).where(table.c.cluster == db.cluster).group_by(table.c.run)
        for uid, last in db.connection.execute(query):
            (gone if last < horizon and uid not in living else silent).add(uid)
    doomed = gone - silent
    for part in chunks(sorted(doomed)):
        for table in _TABLES:
            db.connection.execute(delete(table).where(table.c.cluster == db.cluster, table.c.run.in_(part)))
    return len(doomed)
