"""Opening the database: pragmas of SQLite, and transactions that begin when we say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import StaticPool

from gpucost.ledger.errors import LedgerError

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    # Every commit reaches the disk, not only the kernel: a spot machine under the operator may vanish with its memory.
    # One commit a tick makes this free.
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=5000",
    "PRAGMA cache_size=-8192",
    "PRAGMA foreign_keys=ON",
)


def place_of(url: str) -> str:
    """How messages call the ledger: the path of a file, or the URL without its password."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise LedgerError(
            f"ledger {url!r}: not a database URL; want for example sqlite:////var/lib/gpucost/ledger.db"
        ) from error
    return parsed.database or ":memory:" if _is_sqlite(parsed) else parsed.render_as_string(hide_password=True)


def open_engine(url: str) -> Engine:
    """An engine with one connection that threads take turns on; the directory of a SQLite file is made."""
    parsed = make_url(url)
    if not _is_sqlite(parsed):
        return create_engine(parsed, pool_pre_ping=True)
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
