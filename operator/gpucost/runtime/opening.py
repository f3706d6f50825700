"""Opening the ledger, for as long as it takes.

A ledger that cannot be opened (a server that is not up yet, a damaged file, a full disk) is a condition to be shown and
waited out, not a reason to crash over and over: whoever repairs it finds the operator ready to go on. Only what waiting
cannot mend ends the process: another writer, or settings that make no sense.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gpucost.ledger import Ledger, LedgerError, LedgerFenced
from gpucost.runtime.ledger_state import LedgerState
from gpucost.runtime.settings import Settings

_RETRY_SECONDS = 5.0


async def open_ledger(
    settings: Settings,
    state: LedgerState,
    *,
    may_write: Callable[[], bool],
    say: Callable[[str], None],
    retry_seconds: float = _RETRY_SECONDS,
) -> Ledger:
    """The opened ledger; `say` gets the reason why it takes so long, for /readyz."""
    say("opening the ledger")
    while True:
        try:
            opened = await asyncio.to_thread(  # takes a while, and the Lease has to be renewed meanwhile
                Ledger,
                settings.ledger_url,
                cluster=settings.cluster_name,
                currency=settings.currency,
                may_write=may_write,
            )
        except LedgerFenced:
            raise
        except LedgerError as error:
            await state.failed(error)
            say(f"waiting for the ledger: {error}")
            await asyncio.sleep(retry_seconds)
        else:
            await state.succeeded()
            return opened
