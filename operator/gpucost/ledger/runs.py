"""Which training runs there were, and which were not made: kept beyond the life of the objects they were.

A run is asked for again by its fingerprint after it was deleted, and a schedule must not count a skipped run twice
after a restart, so both are here. Writing a record again changes nothing. No cost of anything else depends on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table, delete, select

from gpucost.core.clock import Instant
from gpucost.core.report import Amounts
from gpucost.core.training.runs.run import Result, Run, Saving
from gpucost.ledger import bulk
from gpucost.ledger.db import Db, Transaction
from gpucost.ledger.facts import chunks
from gpucost.ledger.schema import run_savings
from gpucost.ledger.schema import runs as run_table

_SAID = ("exact", "version", "result", "reason", "message", "cost", "said", "checkpoint", "outputs")


@dataclass
class Books:
    """Everything that is known of runs, or what is new of it."""

    runs: dict[str, Run] = field(default_factory=dict)
    """By UID."""
    savings: dict[tuple[str, Instant, str], Saving] = field(default_factory=dict)
    """By UID, due time and kind."""
    amounts: dict[str, Amounts] = field(default_factory=dict)
    """What deleted runs of schedules have cost, by UID."""
    dropped: set[tuple[str, Instant, str]] = field(default_factory=set)
    """Savings that are in the sum of another one now."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing."""
        return not (self.runs or self.savings or self.amounts or self.dropped)


@dataclass(frozen=True, slots=True)
class Runs:
    """Reading and writing them; each call is one transaction and raises `LedgerError` when the database fails."""

    read: Transaction
    write: Transaction

    def record(self, new: Books) -> None:
        """Write what is new; writing it again changes nothing."""
        self.write(lambda db: _record(db, new))

    def load(self) -> Books:
        """Everything."""
        return self.read(_load)

    def forget(self, uids: Iterable[str]) -> None:
        """Delete everything about some runs."""
        wanted = sorted(set(uids))
        self.write(lambda db: _forget(db, wanted))


def _record(db: Db, new: Books) -> None:
    rows = [_run_row(db, run, new.amounts.get(uid)) for uid, run in new.runs.items()]
    _put(db, run_table, rows, ["cluster", "run"])
    _put(db, run_savings, [_saving_row(db, one) for one in new.savings.values()], ["cluster", "run", "due", "kind"])
    for uid, due, kind in sorted(new.dropped):
        table = run_savings.c
        found = table.cluster == db.cluster, table.run == uid, table.due == due, table.kind == kind
        db.connection.execute(delete(run_savings).where(*found))


def _put(db: Db, table: Table, rows: Sequence[bulk.Row], keys: Sequence[str]) -> None:
    others = [column.name for column in table.columns if column.name not in keys]
    bulk.insert(db.connection, table, bulk.last_of(rows, keys), bulk.upsert(keys, others))


def _run_row(db: Db, run: Run, amounts: Amounts | None) -> bulk.Row:
    known = {name: getattr(run, name) for name in _SAID}
    return {
        "cluster": db.cluster,
        "run": run.uid,
        "namespace": run.namespace,
        "name": run.name,
        "parent": run.parent,
        "digest": run.digest,
        "created": run.created,
        "ended": run.ended,
        "due": run.due,
        "known": json.dumps(known, separators=(",", ":")),
        "amounts": None if amounts is None else json.dumps(list(amounts)),
    }


def _saving_row(db: Db, one: Saving) -> bulk.Row:
    return {
        "cluster": db.cluster,
        "run": one.uid,
        "due": one.due,
        "kind": one.kind,
        "namespace": one.namespace,
        "message": one.message,
        "times": one.times,
        "saved": None if one.saved is None else str(one.saved),
    }


def _load(db: Db) -> Books:
    found = Books()
    for row in db.connection.execute(select(run_table).where(run_table.c.cluster == db.cluster)):
        found.runs[row.run] = _run(row)
        if row.amounts is not None:
            found.amounts[row.run] = Amounts(*json.loads(row.amounts))
    for row in db.connection.execute(select(run_savings).where(run_savings.c.cluster == db.cluster)):
        saved = None if row.saved is None else int(row.saved)
        one = Saving(row.run, row.namespace, row.due, row.kind, row.message, row.times, saved)
        found.savings[one.uid, one.due, one.kind] = one
    return found


def _run(row: Any) -> Run:
    known: Mapping[str, Any] = json.loads(row.known)
    return Run(
        uid=row.run,
        namespace=row.namespace,
        name=row.name,
        parent=row.parent,
        digest=row.digest,
        created=row.created,
        ended=row.ended,
        due=row.due,
        **{**known, "result": Result(known["result"]), "outputs": tuple(known["outputs"])},
    )


def _forget(db: Db, uids: Sequence[str]) -> None:
    for part in chunks(uids):
        for table in (run_table, run_savings):
            db.connection.execute(delete(table).where(table.c.cluster == db.cluster, table.c.run.in_(part)))
