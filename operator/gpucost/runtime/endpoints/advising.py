"""What is advised about endpoints and what came of it, put together: needs of GPUs, the books of replicas."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from gpucost.core.clock import HOUR, MINUTE, Instant, Micros, floor_to
from gpucost.core.model import NodeFact, Unknown
from gpucost.core.money import Pico
from gpucost.core.sampling import Window
from gpucost.core.serving.signals.model import Signals
from gpucost.core.timeline import Interval
from gpucost.core.usage import Held, PodName, Sample
from gpucost.ledger import Ledger, LedgerError
from gpucost.ledger.replicas import SAVED
from gpucost.runtime.accounting import Accounting
from gpucost.runtime.endpoints.footprints import FOOTPRINT, Footprints
from gpucost.runtime.endpoints.otherwise import BEFORE, HPA, ReplicaBook
from gpucost.runtime.endpoints.serving import Serving
from gpucost.runtime.market import MarketView
from gpucost.runtime.recommending import Recommending

log = logging.getLogger(__name__)

Samples = Mapping[str, Iterable[Sample]]
POLICY = "replicas"
"""Of the metric `gpucost_saved`."""
EVERY: Micros = 5 * MINUTE


class Advising:
    """The parts that watch endpoints without touching them."""

    def __init__(
        self,
        serving: Serving,
        nodes: Callable[[], Mapping[str, NodeFact]],
        market: Callable[[], MarketView],
        now: Callable[[], Instant],
        signals_of: Callable[[str], Signals | None],
    ) -> None:
        """`signals_of` gives the last look at an endpoint by its UID."""
        self.endpoints, self.now, self.figures = serving.endpoints, now, serving.figures
        self.book = ReplicaBook(now, signals_of)
        self.footprints = Footprints(self.endpoints, nodes, market, now, signals_of)
        self.recommending = Recommending(serving.world, self.endpoints, self.book, self.footprints)
        self._flushed: Instant = 0
        serving.writer.parts.append(self.footprints.shown)
        serving.controller.news.append(self.footprints.news)
        serving.controller.watchers.append(self.book.look)
        serving.least_used.signals_of = signals_of

    async def begin(self, accounting: Accounting, ledger: Ledger) -> None:
        """Begin with what the ledger knows, and write there from now on."""
        hour = floor_to(self.now(), HOUR)
        book, call = ledger.replicas, accounting.call
        hours = await call(partial(book.hours, Interval(hour - HOUR, hour + HOUR)))
        before, shadows, saved, seen = [
            await call(partial(book.notes, kind)) for kind in (BEFORE, HPA, SAVED, FOOTPRINT)
        ]
        self.book.load(hours, before, shadows, saved)
        self.footprints.load(seen)
        self.book.write = lambda hours, notes: call(partial(book.record, list(hours), list(notes)))
        self.book.read = lambda span, namespace: call(partial(book.hours, span, namespace))
        self.book.tidy = lambda living, before: call(partial(book.tidy, list(living), before))

    def take(
        self,
        series: Samples,
        held: Mapping[PodName, Held],
        active: Mapping[str, float | Unknown],
        span: Window,
    ) -> None:
        """What a pass over all exporters has brought; who is advised must not keep costs from being booked."""
        try:
            self.footprints.take(series, held, active, span)
        except Exception:
            log.exception("what the GPUs of endpoints need is not noted")
            self.figures.errors["endpoint advice"] += 1

    async def tick(self) -> None:
        """Write now and then: a restart loses some minutes of looks, which are then on no side."""
        if self.book.is_pressing or self.now() - self._flushed >= EVERY:
            self._flushed = self.now()
            await self.flush()

    async def close(self) -> None:
        """Write what is left, as far as the ledger takes it: that is no reason to end badly."""
        try:
            await self.flush(at_once=True)
        except LedgerError as error:
            log.warning("the last looks at replicas were not written: %s", error)

    async def flush(self, *, at_once: bool = False) -> None:
        """Write what is new, and once a day tidy up."""
        await self.book.flush()
        notes = self.footprints.notes(at_once=at_once)
        if notes and self.book.write is not None:
            await self.book.write((), notes)
        await self.book.forget(self.endpoints.keys)

    def saved(self) -> dict[str, Pico]:
        """For the metric."""
        return {POLICY: self.book.saved()}
