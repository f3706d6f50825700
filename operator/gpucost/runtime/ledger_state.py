"""Whether the ledger takes what is written: told by /readyz, by metrics, by the log, and by an Event on the Lease.

The operator goes on without a ledger (decisions need none), and keeps what it would have written. This is the one place
that remembers since when, and that tells people once at the beginning and once at the end.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gpucost.core.actions import EventNote
from gpucost.core.clock import Instant, to_datetime
from gpucost.ledger import LedgerError

log = logging.getLogger(__name__)

Post = Callable[[EventNote], Awaitable[object]]


class LedgerOverflow(LedgerError):
    """The ledger was away for longer than memory lasts; a new start fills in what was let go."""


@dataclass
class LedgerState:
    """`problem` is None while everything is written. `post` sends an Event about it, if anybody is to hear one."""

    now: Callable[[], Instant]
    post: Post | None = None
    problem: str | None = None
    since: Instant | None = None
    """When the present trouble began."""
    written: Instant | None = None
    """When something was written last."""

    @property
    def condition(self) -> str | None:
        """In words, for people: what is wrong since when."""
        if self.problem is None or self.since is None:
            return None
        moment = to_datetime(self.written or self.since).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"the ledger has not been written since {moment}: {self.problem}"

    async def failed(self, error: LedgerError) -> None:
        """A write or the opening has failed."""
        problem, begins = str(error), self.problem is None
        if self.problem != problem:
            log.error("%s; nothing is lost, writing goes on when it is back", problem)
        self.problem = problem
        if begins:
            self.since = self.now()
            await self._tell("LedgerUnavailable", problem, warning=True)

    async def succeeded(self) -> None:
        """Something was written."""
        self.written = self.now()
        if self.problem is None or self.since is None:
            return
        seconds = (self.written - self.since) // 1_000_000
        message = f"the ledger is written again after {seconds} s"
        log.info("%s", message)
        self.problem = None
        await self._tell("LedgerBack", message, warning=False)
        self.since = None

    async def _tell(self, reason: str, message: str, *, warning: bool) -> None:
        if self.post is not None:
            await self.post(EventNote(reason=reason, message=message, warning=warning, dedupe=str(self.since)))
