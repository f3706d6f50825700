"""Brings the database to the schema that this version knows, and refuses one that it does not.

Alembic is imported only when there is something to do: opening an up-to-date ledger needs one SELECT.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, inspect, text
from sqlalchemy.engine import Connection

from gpucost.ledger.errors import LedgerError

HEAD = "0010"
"""Newest revision under `migrations/versions`; a test holds the two together."""

_LOCK = 0x67707563  # of PostgreSQL's advisory locks, which belong to one database

MIGRATIONS = Path(__file__).parent / "migrations"


def current(connection: Connection) -> str | None:
    """Revision of the schema in the database; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(engine: Engine, place: str) -> None:
    """Run the migrations that are missing, all in one transaction; of several operators one does, the others wait."""
    with _alone(engine) as connection:
        found = current(connection)
        if found == HEAD:
            return
        if found is not None and found not in _known():
            raise LedgerError(
                f"ledger {place}: its schema {found} is newer than {HEAD}, the newest that this gpucost knows; "
                "run the gpucost that wrote it or a later one"
            )
        _run(connection)


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction in which nobody else migrates. SQLite's own lock does that; PostgreSQL needs one of ours."""
    if engine.dialect.name != "postgresql":
        with engine.begin() as connection:
            yield connection
        return
    # Not a snapshot of before the lock: whoever waited has to see what the other did.
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection, connection.begin():
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        yield connection


def _known() -> set[str]:
    return {path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}


def _run(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - costly, and seldom needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
