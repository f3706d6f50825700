"""The tasks of one process: they run beside each other, and the end of any of them is the end of the process.

A part that has died must not leave the others looking alive: whoever restarts the process restarts all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tasks:
    """Tasks that share one fate; `stop` is set when they are to end."""

    stop: asyncio.Event
    _running: list[asyncio.Task[Any]] = field(default_factory=list)

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Run beside the others; a task that ends, in whatever way, stops the rest."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(lambda _: self.stop.set())
        self._running.append(task)

    async def unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that takes its time, but not longer than the process may run."""
        doing, stopping = asyncio.create_task(work), asyncio.create_task(self.stop.wait())
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        doing.cancel()
        await asyncio.wait({doing})
        self.raise_ended()
        if not doing.cancelled():
            doing.result()

    def raise_ended(self) -> None:
        """Raise what made a task end, if one did."""
        for task in self._running:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise _cause(error)

    async def end(self, within: float) -> None:
        """Cancel everything; a write under way is finished by the server, and decided again at the next start."""
        self.stop.set()
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=within)


def _cause(error: BaseException) -> BaseException:
    """The first error inside groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
