"""PostgreSQL as the ledger's database: how one gets in, and which of its failures pass by themselves.

The URL is what every PostgreSQL client takes (`postgresql://user@host:5432/name?sslmode=verify-full`), so that what
stands in a Secret for other programs works here too. The driver is pg8000; its URLs and those of other drivers differ
only in the name before the colon.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext

from gpucost.ledger.errors import LedgerError

DRIVER = "postgresql+pg8000"
PASSWORD = "GPUCOST_LEDGER_PASSWORD"
PASSWORD_FILE = "GPUCOST_LEDGER_PASSWORD_FILE"

STATEMENT_SECONDS = 60
"""Longest a statement may run; what takes longer (migrations, roll-ups) lifts the limit for its transaction."""
_LOCK_SECONDS = 10
_CONNECT_SECONDS = 10
_SILENCE_SECONDS = STATEMENT_SECONDS + 15  # without an answer; after that the network swallowed it
_ON_CONNECT = (
    f"SET statement_timeout = '{STATEMENT_SECONDS}s'; SET lock_timeout = '{_LOCK_SECONDS}s'; "
    f"SET idle_in_transaction_session_timeout = '{STATEMENT_SECONDS}s'; SET timezone = 'UTC'"
)
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TRANSIENT = frozenset({"40001", "40P01", "57P01", "57P02", "57P03", "08000", "08003", "08006"})
"""Serialisation, deadlock, shutdown, crash, starting up, connection: trying again is the remedy."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is and who we are to it."""

    user: str
    password: str | None
    host: str
    port: int
    database: str
    tls: bool | ssl.SSLContext | None
    """As pg8000 wants it: False never, None if offered, True always without a check, or a context that checks."""
    connect_seconds: float = _CONNECT_SECONDS
    application: str = "gpucost"

    @property
    def on_socket(self) -> bool:
        """Whether the host is the folder of a Unix socket."""
        return self.host.startswith("/")


def is_postgres(url: URL) -> bool:
    """Whether a URL is of PostgreSQL, by whatever driver; `postgres:` is an old name of it."""
    return url.drivername.partition("+")[0] in {"postgresql", "postgres"}


def address(url: URL, place: str) -> Address:
    """Read a URL; a parameter that is not understood is an error, because it may be about security."""
    query = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    host = query.pop("host", None) or url.host or "localhost"
    connect = query.pop("connect_timeout", str(_CONNECT_SECONDS))
    application = query.pop("application_name", "gpucost")
    if not (url.database and connect.isdigit()):
        what = "names no database" if not url.database else f"connect_timeout={connect}: want whole seconds"
        raise LedgerError(f"ledger {place}: {what}; want for example postgresql://gpucost@db:5432/gpucost")
    tls = None if host.startswith("/") else _tls(query, place)
    if query:
        raise LedgerError(
            f"ledger {place}: unknown parameter {sorted(query)[0]!r}; want sslmode, sslrootcert, sslcert, sslkey, "
            "host, connect_timeout or application_name"
        )
    return Address(
        user=url.username or os.environ.get("PGUSER") or "gpucost",
        password=url.password,
        host=host,
        port=url.port or 5432,
        database=url.database,
        tls=False if host.startswith("/") else tls,
        connect_seconds=float(connect) or _CONNECT_SECONDS,
        application=application,
    )


def _tls(query: dict[str, str], place: str) -> bool | ssl.SSLContext | None:
    """The meaning of `sslmode` and its files, as libpq defines it: a root certificate makes `require` check."""
    mode, root = query.pop("sslmode", "prefer"), query.pop("sslrootcert", "")
    certificate, key = query.pop("sslcert", ""), query.pop("sslkey", "")
    if mode not in _MODES:
        raise LedgerError(f"ledger {place}: sslmode={mode}; want one of {', '.join(_MODES)}")
    if mode == "disable":
        return False
    checks = mode.startswith("verify") or (mode == "require" and bool(root))
    if not (checks or certificate):
        return True if mode == "require" else None
    return _context(place, full=mode == "verify-full", checks=checks, root=root, certificate=(certificate, key))


def _context(place: str, *, full: bool, checks: bool, root: str, certificate: tuple[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=root if root not in {"", "system"} else None)
        context.check_hostname = full
        context.verify_mode = ssl.CERT_REQUIRED if checks else ssl.CERT_NONE
        if certificate[0]:
            context.load_cert_chain(certificate[0], certificate[1] or None)
    except (OSError, ssl.SSLError) as error:
        raise LedgerError(f"ledger {place}: the TLS files of its URL cannot be read: {error}") from error
    return context


def password_of(found: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The password: of the URL, else of a file (read at every connection, for it may change), else of a variable."""
    if found is not None:
        return found
    if file := environment.get(PASSWORD_FILE):
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    return environment.get(PASSWORD) or environment.get("PGPASSWORD") or None


def open_postgres(url: URL, place: str) -> Engine:
    """An engine with one connection, renewed when the server has gone away; no connection is made yet."""
    where = address(url, place)
    engine = create_engine(
        f"{DRIVER}://",
        creator=lambda: connect(where),
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        pool_recycle=1800,
        # One snapshot for all queries of an answer; a writer that was overtaken fails and tries again.
        isolation_level="REPEATABLE READ",
        hide_parameters=True,
    )
    event.listen(engine, "handle_error", _note_disconnect)
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # it would tell at length of every lost connection
    return engine


def connect(where: Address) -> Any:
    """A connection of the driver, with limits on how long anything may take."""
    import pg8000.legacy  # noqa: PLC0415 - an installation with SQLite need not load it

    opened = _socket(where)
    try:
        connection = pg8000.legacy.Connection(
            user=where.user,
            password=password_of(where.password),
            host=where.host,
            database=where.database,
            sock=opened,
            ssl_context=where.tls,
            application_name=where.application,
        )
    except BaseException as error:
        opened.close()
        if isinstance(error, OSError):
            raise pg8000.InterfaceError(f"{where.host}:{where.port} does not let us in: {error}") from error
        raise
    cursor = connection.cursor()
    for statement in _ON_CONNECT.split("; "):
        cursor.execute(statement)
    connection.commit()
    cursor.close()
    return connection


def _socket(where: Address) -> socket.socket:
    import pg8000  # noqa: PLC0415

    try:
        if where.on_socket:
            opened = socket.socket(socket.AF_UNIX)
            opened.settimeout(where.connect_seconds)
            opened.connect(f"{where.host}/.s.PGSQL.{where.port}")
        else:
            opened = socket.create_connection((where.host, where.port), where.connect_seconds)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError as error:
        raise pg8000.InterfaceError(f"cannot connect to {where.host}:{where.port}: {error}") from error
    opened.settimeout(_SILENCE_SECONDS)
    return opened


def code_of(error: BaseException) -> str:
    """SQLSTATE of an error of the driver; empty when the server had no part in it."""
    told = getattr(error, "args", ())
    return str(told[0].get("C", "")) if told and isinstance(told[0], dict) else ""


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may well succeed if it is tried again at once."""
    cause = getattr(error, "orig", None) or error
    lost = bool(getattr(error, "connection_invalidated", False)) or isinstance(cause, OSError)
    return lost or code_of(cause) in _TRANSIENT


def _note_disconnect(context: ExceptionContext) -> None:
    """The driver lets errors of the socket through, and the server ends sessions: both mean a new connection."""
    cause = context.original_exception
    if isinstance(cause, OSError) or code_of(cause).startswith(("57P0", "08")):
        context.is_disconnect = True
