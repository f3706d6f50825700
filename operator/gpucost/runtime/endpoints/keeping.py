"""What was learned of endpoints (what a replica serves, when requests come) outlives the process, in the ledger.

It is kept as marks of the ledger, packed: a policy's week of habits is some 40 KB as text and a tenth of it like this.
Losing the last minutes of learning does no harm, so it is written now and then, and only what has changed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import MINUTE, SECOND, Micros
from gpucost.ledger import LedgerError, LedgerFenced
from gpucost.runtime.accounting import Accounting
from gpucost.runtime.endpoints.advisor import Advisor
from gpucost.runtime.serving_feed import ServingFeed

log = logging.getLogger(__name__)

PREFIX = "endpoint-learned/"
_EVERY: Micros = 10 * MINUTE
_MOST_BYTES = 4 * 1024 * 1024
"""Of one unpacked document: more is none of ours."""

Documents = Mapping[str, Mapping[str, Any]]


@dataclass
class Kept:
    """Loads at the start, and writes from time to time."""

    feed: ServingFeed
    advisor: Advisor
    accounting: Accounting
    _written: dict[str, str] = field(default_factory=dict)

    async def load(self) -> None:
        """Begin with what the ledger knows."""
        self._written = await self.accounting.call(lambda: self.accounting.ledger.marks(PREFIX))
        take(self._written, self.feed, self.advisor)

    async def keep(self) -> None:
        """Write now and then, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY / SECOND)
            await self.flush()

    async def flush(self) -> bool:
        """Write what has changed; False when the ledger did not take it: it is tried again."""
        found = await asyncio.to_thread(_all_packed, self._documents())  # milliseconds each, of hundreds of endpoints
        new = {name: text for name, text in found.items() if self._written.get(name) != text}
        gone = {name: "" for name in self._written if name not in found or not self._is_living(name)}
        changes = {**new, **gone}
        if not changes:
            return True
        try:
            await self.accounting.call(lambda: self.accounting.ledger.record((), marks=changes))
        except LedgerFenced:
            raise
        except LedgerError as error:
            log.warning("what was learned of %d endpoints waits for the ledger: %s", len(changes), error)
            return False
        self._written = {name: text for name, text in {**self._written, **changes}.items() if text}
        return True

    def _documents(self) -> dict[str, dict[str, Any]]:
        parts: dict[str, dict[str, Any]] = {}
        sources: tuple[tuple[str, Callable[[], Documents]], ...] = (
            ("capacity", self.feed.learned),
            ("policy", self.advisor.learned),
        )
        for part, learned in sources:
            for uid, document in learned().items():
                parts.setdefault(uid, {})[part] = document
        return {f"{PREFIX}{uid}": document for uid, document in parts.items()}

    def _is_living(self, name: str) -> bool:
        return name.removeprefix(PREFIX) in self.advisor.endpoints.keys


def take(marks: Mapping[str, str], feed: ServingFeed, advisor: Advisor) -> None:
    """Hand marks of the ledger to those who learned what is in them."""
    found = {name.removeprefix(PREFIX): unpacked(text) for name, text in marks.items()}
    feed.load(_part(found, "capacity"))
    advisor.load(_part(found, "policy"))


def _all_packed(documents: Documents) -> dict[str, str]:
    return {name: packed(document) for name, document in documents.items()}


def packed(document: Mapping[str, Any]) -> str:
    """A document as short text."""
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    return base64.b85encode(zlib.compress(text.encode(), 6)).decode()


def unpacked(text: str) -> Mapping[str, Any]:
    """What `packed` made; empty where it is something else, so that learning begins anew."""
    try:
        document = json.loads(zlib.decompressobj().decompress(base64.b85decode(text), _MOST_BYTES))
    except (ValueError, zlib.error):
        return {}
    return document if isinstance(document, dict) else {}


def _part(documents: Documents, name: str) -> dict[str, Mapping[str, Any]]:
    return {uid: one[name] for uid, one in documents.items() if isinstance(one.get(name), dict)}
