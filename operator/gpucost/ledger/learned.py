"""What was learned of inference endpoints: how their load moves, and what a replica serves.

One row for each endpoint and subject, so that a restart neither learns anew nor is careless because it knows nothing.
"""

from __future__ import annotations

import json
import zlib
from base64 import b85decode, b85encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import delete, select

from gpucost.core.clock import Instant
from gpucost.ledger import bulk
from gpucost.ledger.db import Db
from gpucost.ledger.facts import chunks
from gpucost.ledger.schema import endpoint_learned

T = TypeVar("T")

LearnedKey = tuple[str, str]
"""UID of the endpoint and subject, such as `policy`."""


class _Transaction(Protocol):
    def __call__(self, work: Callable[[Db], T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class Learned:
    """Reading and writing it; each call is one transaction and raises `LedgerError` when the database fails."""

    read: _Transaction
    write: _Transaction

    def record(self, documents: Mapping[LearnedKey, Mapping[str, Any]], at: Instant) -> None:
        """Write some documents whole, as of an instant."""
        self.write(lambda db: _record(db, documents, at))

    def all(self, subject: str) -> dict[str, dict[str, Any]]:
        """Every endpoint's document of one subject, by UID; one that cannot be read any more is left out."""
        return self.read(lambda db: _all(db, subject))

    def forget(self, living: Iterable[str], horizon: Instant) -> int:
        """Delete what was learned of endpoints that are gone and were not heard of since `horizon`."""
        alive = frozenset(living)
        return self.write(lambda db: _forget(db, alive, horizon))


def _record(db: Db, documents: Mapping[LearnedKey, Mapping[str, Any]], at: Instant) -> None:
    rows = [
        {"cluster": db.cluster, "endpoint": uid, "subject": subject, "at": at, "document": _packed(document)}
        for (uid, subject), document in documents.items()
    ]

    def finish(insert: Any) -> Any:
        changed = {name: insert.excluded[name] for name in ("at", "document")}
        return insert.on_conflict_do_update(index_elements=["cluster", "endpoint", "subject"], set_=changed)

    bulk.insert(db.connection, endpoint_learned, rows, finish)


def _all(db: Db, subject: str) -> dict[str, dict[str, Any]]:
    of = endpoint_learned.c
    rows = db.connection.execute(select(endpoint_learned).where(of.cluster == db.cluster, of.subject == subject))
    found = ((row.endpoint, _unpacked(row.document)) for row in rows)
    return {uid: document for uid, document in found if document is not None}


def _forget(db: Db, living: frozenset[str], horizon: Instant) -> int:
    of = endpoint_learned.c
    query = select(of.endpoint).where(of.cluster == db.cluster, of.at < horizon).distinct()
    doomed = sorted({row.endpoint for row in db.connection.execute(query)} - living)
    for part in chunks(doomed):
        db.connection.execute(delete(endpoint_learned).where(of.cluster == db.cluster, of.endpoint.in_(part)))
    return len(doomed)


def _packed(document: Mapping[str, Any]) -> str:
    """Thousands of numbers of which most repeat; compressed, a document is a tenth of its text."""
    return b85encode(zlib.compress(json.dumps(document, separators=(",", ":")).encode())).decode()


def _unpacked(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(zlib.decompress(b85decode(text)))
    except (ValueError, zlib.error):
        return None
    return document if isinstance(document, dict) else None
