"""Opening the database: pragmas of SQLite, and transactions that begin when we say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import StaticPool

from gpucost.ledger.errors import LedgerError
from gpucost.ledger.postgres import address, is_postgres, open_postgres

EXAMPLES = "sqlite:////var/lib/gpucost/ledger.db or postgresql://gpucost@db:5432/gpucost"

_PRAGMAS = (
    # Has an effect on a new file only: what retention deletes can be given back to the file system bit by bit.
    "PRAGMA auto_vacuum=INCREMENTAL",
    "PRAGMA journal_mode=WAL",
    # Every commit reaches the disk, not only the kernel: a spot machine under the operator may vanish with its memory.
    # One commit a tick makes this free.
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=5000",
    "PRAGMA cache_size=-8192",
    "PRAGMA foreign_keys=ON",
)


def parse_url(text: str) -> URL:
    """A URL of SQLite or PostgreSQL; a `LedgerError` for anything else does not repeat a password in it."""
    try:
        parsed = make_url(text)
    except ArgumentError:
        shown = repr(text) if "@" not in text else "given"
        raise LedgerError(f"ledger {shown}: not a database URL; want for example {EXAMPLES}") from None
    if not (_is_sqlite(parsed) or is_postgres(parsed)):
        raise LedgerError(
            f"ledger {_hidden(parsed)}: a {parsed.drivername} cannot hold it; want for example {EXAMPLES}"
        )
    return parsed


def place_of(url: str) -> str:
    """How messages call the ledger: the path of a file, or the URL without its password."""
    parsed = parse_url(url)
    return parsed.database or ":memory:" if _is_sqlite(parsed) else _hidden(parsed)


def check_url(text: str) -> None:
    """Raise `LedgerError` for a URL that makes no sense; nothing is opened."""
    parsed = parse_url(text)
    if is_postgres(parsed):
        address(parsed, place_of(text))


def _hidden(url: URL) -> str:
    """The URL as it may be shown: neither the password nor parameters, among which somebody may have put one."""
    return url.set(query={}).render_as_string(hide_password=True)


def open_engine(url: str) -> Engine:
    """An engine with one connection that threads take turns on; the directory of a SQLite file is made."""
    parsed = parse_url(url)
    if is_postgres(parsed):
        return open_postgres(parsed, place_of(url))
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own idea of transactions would leave DDL outside
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
