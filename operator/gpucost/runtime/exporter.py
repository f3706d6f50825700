"""Keeps a place up to date with the ledger: every day goes out once it is settled, and again when it is corrected.

Level-triggered, as everything here: what is left to do follows from the ledger and from the manifests that are there.
One day at a time, the newest first; afterwards each is looked at again now and then, because the past can change. It
reads the ledger through a connection of its own and works in a thread of its own, so a slow store holds nothing up.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TypeVar

from gpucost.core.clock import DAY, Instant
from gpucost.core.focus import Issuer
from gpucost.core.timeline import Interval
from gpucost.export.days import Action, Exporter, Job, Outcome
from gpucost.export.place import Place
from gpucost.ledger.reader import Reader
from gpucost.runtime.metrics import Figures
from gpucost.runtime.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_BACK = 62 * DAY
"""How far back corrections are looked for: this billing period and the last. Older days are looked at once a start."""
_LOOK_AGAIN_SECONDS = 6 * 3600.0
_PAUSE_SECONDS = 10.0
_IDLE_SECONDS = 60.0


def exporter_of(settings: Settings) -> Exporter:
    """What the settings ask for. Raises `ExportError` where it cannot be done here."""
    issuer = Issuer(
        cluster=settings.cluster_name,
        currency=settings.currency,
        account=settings.export_account,
        provider=settings.export_provider,
        host=settings.export_host_provider,
    )
    job = Job(issuer, f"gpucost {version('gpucost')}", settings.export_format, settings.export_granularity)
    return Exporter(Reader(settings.ledger_url), Place(settings.export_url), job)


@dataclass
class DailyExport:
    """Exports days as they come; `run` never ends by itself, whatever fails."""

    make: Callable[[], Exporter]
    """Makes the exporter; what it needs may come later than we (credentials, a mount)."""
    figures: Figures
    now: Callable[[], Instant]
    clock: Callable[[], float] = time.monotonic
    problem: str | None = None
    """Why the last attempt failed."""
    _exporter: Exporter | None = None
    _looked: dict[Instant, float] = field(default_factory=dict)
    """When each day was last found to be right."""

    async def run(self) -> None:
        """Bring one day after the other up to date."""
        while True:
            busy = await self.attempt()
            await asyncio.sleep(_PAUSE_SECONDS if busy else _IDLE_SECONDS)

    async def attempt(self) -> bool:
        """Bring one day up to date; False when there was none, or when it failed."""
        try:
            outcome = await _in_thread(self.step)
        except Exception as error:  # noqa: BLE001 - whatever it is, costs are booked all the same
            self._complain(error)
            return False
        if self.problem is not None:
            log.info("exporting goes on")
            self.problem = None
        return outcome is not None

    def step(self) -> Outcome | None:
        """Bring the day up to date that needs it most; None when none does."""
        if self._exporter is None:
            self._exporter = self.make()
        day = self.due(self._exporter.days())
        if day is None:
            return None
        outcome = self._exporter.day(day)
        self._looked[day] = self.clock()
        self.figures.data_times["export"] = max(self.figures.data_times.get("export") or 0, day + DAY)
        if outcome.action is not Action.UNCHANGED:
            self.figures.exported[str(outcome.action)] += 1
        return outcome

    def due(self, days: list[Instant]) -> Instant | None:
        """The newest day that was not looked at yet, else the one that was longest ago."""
        fresh = [day for day in days if day not in self._looked]
        if fresh:
            return fresh[-1]
        recent = Interval(self.now() - LOOK_BACK, self.now())
        old = [day for day in days if recent.start <= day and self.clock() - self._looked[day] >= _LOOK_AGAIN_SECONDS]
        return min(old, key=self._looked.__getitem__, default=None)

    def _complain(self, error: Exception) -> None:
        self.figures.errors["export"] += 1
        if self.problem != str(error):
            log.error("%s; what is exported stays as it is, and it is tried again", error)
        self.problem = str(error)


async def _in_thread(function: Callable[[], T]) -> T:
    """Run in a thread that does not outlive the process: a store that hangs must not hold up its end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            failure = error
            _tell(loop, future, lambda: future.set_exception(failure))
        else:
            _tell(loop, future, lambda: future.set_result(result))

    threading.Thread(target=work, name="export", daemon=True).start()
    return await future


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], put: Callable[[], None]) -> None:
    """Hand over, unless nobody waits any more."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(lambda: None if future.done() else put())
