"""The one error of the ledger: what happened to which file, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError


class LedgerError(Exception):
    """The ledger could not be read or written. Nothing that was recorded is lost; facts may be recorded again."""


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
)


def explain(place: str, error: Exception) -> LedgerError:
    """Put an error of the database into one line with its remedy."""
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    remedy = next(
        (remedy for sign, remedy in _REMEDIES if sign in cause.lower()), "check that its volume is healthy and writable"
    )
    return LedgerError(f"ledger {place}: {cause}; {remedy}")


@contextmanager
def guard(place: str) -> Iterator[None]:
    """Turn errors of the database and of the file system into `LedgerError`."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise explain(place, error) from error
