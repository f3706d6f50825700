"""Keeps what is learned of endpoints in the ledger, a few at a time: it changes slowly and is large.

What was learned since the last write is lost when the process is killed: half an hour of a memory of weeks.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gpucost.core.clock import DAY, MINUTE, Instant, Micros
from gpucost.ledger import Ledger, LedgerError, LedgerFenced
from gpucost.ledger.learned import LearnedKey
from gpucost.runtime.accounting import Accounting
from gpucost.runtime.endpoints.advisor import Advisor
from gpucost.runtime.serving_feed import ServingFeed

log = logging.getLogger(__name__)

POLICY, SIGNALS = "policy", "signals"
EVERY: Micros = 30 * MINUTE
AT_ONCE = 20
"""Endpoints in one write."""
_KEPT: Micros = 30 * DAY
"""What was learned of an endpoint that is gone; an object that is made anew has another UID."""

Documents = Mapping[LearnedKey, Mapping[str, Any]]


@dataclass
class Keeping:
    """Writes what the advisor and the feed have learned."""

    advisor: Advisor
    feed: ServingFeed
    now: Callable[[], Instant]
    record: Callable[[Documents, Instant], Awaitable[None]]
    forget: Callable[[set[str], Instant], Awaitable[int]]
    written: dict[str, Instant] = field(default_factory=dict)
    """When an endpoint was written last, by UID."""

    async def flush(self, *, everything: bool = False) -> int:
        """Write those that are due, the longest unwritten first; how many there were."""
        now = self.now()
        living = set(self.advisor.endpoints.keys)
        self.written = {uid: at for uid, at in self.written.items() if uid in living}
        for uid in living - self.written.keys():
            self.written[uid] = now  # nothing worth keeping is known in the first half hour
        due = sorted(uid for uid in living if everything or now - self.written[uid] >= EVERY)
        due.sort(key=lambda uid: self.written[uid])
        some = due if everything else due[:AT_ONCE]
        documents = self._documents(set(some))
        try:
            if documents:
                await self.record(documents, now)
        except LedgerFenced:
            raise
        except LedgerError as error:
            log.warning("what was learned of %d endpoints is not kept yet: %s", len(some), error)
            some = []
        self.written |= dict.fromkeys(some, now)
        return len(documents)

    def _documents(self, uids: set[str]) -> dict[LearnedKey, Mapping[str, Any]]:
        if not uids:
            return {}
        found: dict[LearnedKey, Mapping[str, Any]] = {}
        for subject, learned in ((POLICY, self.advisor.learned(uids)), (SIGNALS, self.feed.learned())):
            found |= {(uid, subject): document for uid, document in learned.items() if uid in uids}
        return found

    async def tidy(self) -> None:
        """Forget endpoints that have been gone for long."""
        await self.forget(set(self.advisor.endpoints.keys), self.now() - _KEPT)


async def keeping_of(advisor: Advisor, feed: ServingFeed, accounting: Accounting, ledger: Ledger) -> Keeping:
    """Begin with what the ledger knows, and write there from now on. Without it, learning begins anew."""
    learned = ledger.learned
    try:
        advisor.load(await accounting.call(partial(learned.all, POLICY)))
        feed.load(await accounting.call(partial(learned.all, SIGNALS)))
    except LedgerError:
        accounting.figures.errors["ledger"] += 1

    async def record(documents: Documents, at: Instant) -> None:
        await accounting.call(partial(learned.record, documents, at))

    async def forget(living: set[str], horizon: Instant) -> int:
        return await accounting.call(partial(learned.forget, living, horizon))

    return Keeping(advisor, feed, advisor.now, record, forget)
