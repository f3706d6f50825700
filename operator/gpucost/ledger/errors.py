"""The one error of the ledger: what happened to which file, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError


class LedgerError(Exception):
    """The ledger could not be read or written. Nothing that was recorded is lost; facts may be recorded again."""


class LedgerFenced(LedgerError):
    """Somebody else writes this ledger now: whoever gets this has to stop, trying again is wrong."""


_WRITABLE = "make sure that its directory is one, and writable for the operator's user"
_REMEDIES = (
    ("disk is full", "free space on its volume or enlarge it"),
    ("full", "free space on its volume or enlarge it"),
    ("malformed", "the file is damaged: restore it from a backup, or move it away to begin a new one"),
    ("not a database", "this is another kind of file: set the ledger's URL to a path of its own"),
    ("readonly", "make the file and its directory writable for the operator's user"),
    ("read-only", "make the file and its directory writable for the operator's user"),
    ("unable to open", _WRITABLE),
    ("not a directory", _WRITABLE),
    ("file exists", _WRITABLE),
    ("permission denied", _WRITABLE),
    ("locked", "another process holds it: run one operator for each ledger"),
    ("disk i/o error", "check the volume that it is on"),
    ("no space left", "free space on the database server's disk"),
    (
        "password authentication",
        "check the user and the password (GPUCOST_LEDGER_PASSWORD_FILE, ledger.passwordSecret)",
    ),
    ("no password", "give one by GPUCOST_LEDGER_PASSWORD_FILE or in the URL's Secret"),
    ("pg_hba.conf", "let the operator's address and user in, with TLS if the server insists (sslmode=require)"),
    ("does not exist", "create it: CREATE DATABASE gpucost OWNER gpucost"),
    ("permission denied for", "make the operator's user the owner of the database"),
    ("read-only transaction", "this server is a standby: give the address of the primary"),
    ("too many clients", "raise max_connections; an operator needs one connection"),
    ("remaining connection slots", "raise max_connections; an operator needs one connection"),
    ("statement timeout", "the server is too slow or too busy: look at its load"),
    ("lock timeout", "something holds a lock on the ledger's tables: look at pg_stat_activity"),
    ("certificate", "give the server's root certificate by sslrootcert, and a host name that it is for"),
    ("refuses ssl", "the server offers no TLS: turn it on there, or give sslmode=disable"),
    ("cannot connect", "start the server, or correct host and port"),
    ("network error", "the connection was lost; it is made again by itself"),
    ("terminating connection", "the server was stopped; the connection is made again by itself"),
    ("starting up", "wait for the server"),
    ("shutting down", "wait for the server"),
)


def explain(place: str, error: Exception) -> LedgerError:
    """Put an error of the database into one line with its remedy."""
    cause = _cause(error)
    remedy = next(
        (remedy for sign, remedy in _REMEDIES if sign in cause.lower()), "check that its volume is healthy and writable"
    )
    return LedgerError(f"ledger {place}: {cause}; {remedy}")


def _cause(error: Exception) -> str:
    """What went wrong in one line. PostgreSQL's driver tells a dictionary: message, SQLSTATE and more."""
    told = getattr(error, "orig", None) or error
    if told.args and isinstance(told.args[0], dict):
        return f"{told.args[0].get('M', '')} (SQLSTATE {told.args[0].get('C', '')})"
    return (str(told).strip() or type(told).__name__).splitlines()[0]


@contextmanager
def guard(place: str) -> Iterator[None]:
    """Turn errors of the database and of the file system into `LedgerError`."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise explain(place, error) from error
