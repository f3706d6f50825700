"""The database and how one works with it: whole transactions, tried again where that helps, by one writer at a time.

Whoever opens a ledger to write becomes its writer: a number in the database goes up, and each transaction that writes
looks at it first. A former leader that wakes up late finds a higher number there and stops, whatever it still believes
of its Lease. With a file on a volume of its own that could hardly happen; with a shared PostgreSQL it can.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from sqlalchemy import Engine, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from gpucost.ledger import facts
from gpucost.ledger.db import Db
from gpucost.ledger.errors import LedgerFenced, guard
from gpucost.ledger.migrate import upgrade
from gpucost.ledger.postgres import is_transient
from gpucost.ledger.schema import marks

T = TypeVar("T")

WRITER = "ledger/writer"
"""Mark with the number of the present writer."""
_ATTEMPTS = 4
_PAUSE_SECONDS = 0.05


class Database:
    """One cluster's part of an open database. `in_doubt` is set when a write may or may not have been committed."""

    def __init__(self, engine: Engine, place: str, cluster: str, may_write: Callable[[], bool]) -> None:
        """Bring the schema up to date and become the writer; `may_write()` is asked before each commit."""
        self._engine, self.place, self.cluster, self._may_write = engine, place, cluster, may_write
        self._number = 0
        self.in_doubt = False
        try:
            with guard(place):
                self._again(lambda: upgrade(engine, place))
                self._number = self._again(self._become_writer)
        except BaseException:
            engine.dispose()
            raise

    def shrink(self, pages: int = 2000) -> None:
        """Give some of the space that deleted rows leave back to the file system (PostgreSQL sees to that itself)."""
        if not self._is_remote:
            with guard(self.place), closing(self._engine.raw_connection()) as raw:
                # Only a script is stepped to its end, which takes a step for each page.
                raw.cursor().executescript(f"PRAGMA incremental_vacuum({pages})")

    def close(self) -> None:
        """Give the connection back."""
        self._engine.dispose()

    def read(self, work: Callable[[Db], T]) -> T:
        """Do something in a transaction that changes nothing; it may be done more than once."""
        with guard(self.place):
            return self._again(lambda: self._once(work))

    def write(self, work: Callable[[Db], T]) -> T:
        """Do something in a transaction as the writer; it has to be such that doing it twice changes nothing."""

        def fenced(db: Db) -> T:
            self._check(db)
            done = work(db)
            self._check_lease()
            return done

        with guard(self.place):
            return self._again(lambda: self._once(fenced), writing=True)

    def _once(self, work: Callable[[Db], T]) -> T:
        with self._engine.begin() as connection:
            return work(Db(connection, self.cluster))

    def _again(self, attempt: Callable[[], T], *, writing: bool = False) -> T:
        for left in reversed(range(_ATTEMPTS)):
            try:
                return attempt()
            except (SQLAlchemyError, OSError) as error:
                # The answer to a COMMIT may be what got lost: what memory says of the database is doubtful then.
                self.in_doubt = self.in_doubt or (writing and self._is_remote)
                if not (left and self._is_remote and is_transient(error)):
                    raise
                time.sleep(_PAUSE_SECONDS * 4 ** (_ATTEMPTS - 1 - left) * random.uniform(0.5, 1.0))
        raise AssertionError("unreachable")

    @property
    def _is_remote(self) -> bool:
        return self._engine.dialect.name != "sqlite"

    # --- the writer ---------------------------------------------------------------------------------------------------

    def _become_writer(self) -> int:
        def work(db: Db) -> int:
            number = int(_writer(db.connection, db.cluster) or 0) + 1
            facts.write_marks(db, {WRITER: str(number)})
            self._check_lease()
            return number

        return self._once(work)

    def _check(self, db: Db) -> None:
        found = int(_writer(db.connection, db.cluster) or 0)
        if found != self._number:
            raise LedgerFenced(
                f"ledger {self.place}: another operator has taken over the cluster {self.cluster!r} (writer {found}, "
                f"we are {self._number}), so this one stops; two clusters need two names (GPUCOST_CLUSTER_NAME)"
            )

    def _check_lease(self) -> None:
        if not self._may_write():
            raise LedgerFenced(
                f"ledger {self.place}: the Lease was not renewed in time, another operator may write by now; "
                "nothing was written"
            )


def _writer(connection: Connection, cluster: str) -> str | None:
    """The present writer; its row stays locked until the end of the transaction (SQLite locks everything anyway)."""
    query = select(marks.c.value).where(marks.c.cluster == cluster, marks.c.name == WRITER).with_for_update()
    return connection.execute(query).scalar()
