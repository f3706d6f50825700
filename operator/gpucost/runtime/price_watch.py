"""The part of a pass that keeps prices current: books, exported prices, commitments, and what must be remembered.

What is remembered is written before the nodes are priced anew (see `price_memory`). Exported prices are asked for every
few minutes: they change by the hour at most, and a Prometheus keeps what was missed meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gpucost.core import exported as seen
from gpucost.core.allocate import FOREVER
from gpucost.core.clock import DAY, MINUTE, Instant
from gpucost.core.model import NodeFact, PriceFact
from gpucost.core.tariff import Commitment
from gpucost.core.timeline import Interval
from gpucost.runtime.accounting import Accounting
from gpucost.runtime.assets import Assets
from gpucost.runtime.metrics import Figures
from gpucost.runtime.price_memory import MARK
from gpucost.runtime.prices import Prices
from gpucost.runtime.recorder import Recorder
from gpucost.sources.exported_prices import ExportedPrices
from gpucost.sources.promql import PrometheusError, RangeSeries

log = logging.getLogger(__name__)

PERIOD = 5 * MINUTE
_FURTHEST = 30 * DAY
_STEPS, _FEWEST = 2_000, 50
_SAMPLES = 200_000
"""Of one metric of the past, of all nodes together: an answer that a small Prometheus gives without trouble."""
_SOURCE = "exported prices"


@dataclass
class PriceWatch:
    """Brings prices up to date once in each pass; `source` None: nobody exports any."""

    prices: Prices
    recorder: Recorder
    assets: Assets
    figures: Figures
    now: Callable[[], Instant]
    source: ExportedPrices | None = None
    dirty: bool = False
    """Whether a book has changed since the last pass."""
    _changed: bool = False
    """Whether prices have changed since nodes were priced last."""
    _recovered: dict[str, list[PriceFact]] = field(default_factory=dict)
    """Timelines of nodes that are covered in another way since then."""
    _asked: Instant = 0
    _filled: bool = False
    _saved: str = ""
    _recalled: tuple[Commitment, ...] = ()

    async def tick(self, accounting: Accounting) -> None:
        """One pass; nodes whose prices change by it are priced anew.

        Not before what is in force is in the ledger; while that is away, what has changed is kept for a later pass.
        """
        if self.dirty:
            self.dirty = False
            self._changed |= self.prices.reload()
        self._changed |= await self._exported()
        await self._recall(accounting)
        self._recovered |= self.prices.cover(self.recorder.nodes.values())
        self.prices.tidy()
        await self._save(accounting)
        self.recorder.repriced(self._recovered)
        if self._changed:
            self.recorder.reprice()
            self.assets.reprice()
        self._changed, self._recovered = False, {}
        self._report()

    async def _recall(self, accounting: Accounting) -> None:
        """Nodes that have ended and that commitments covered instead of the living: after a start, or a new commitment.

        Without them the living would look as if they had been the oldest all the time, and their past would change.
        """
        commitments = self.prices.tariff.commitments
        if commitments == self._recalled:
            return
        oldest = min((fact.start for fact in self.recorder.nodes.values() if fact.end is None), default=None)
        if oldest is not None and any(one.count is not None for one in commitments):
            ledger, span = accounting.ledger, Interval(oldest, FOREVER)
            for fact in await accounting.call(lambda: ledger.nodes_in(span)):
                self.prices.lives.setdefault(fact.uid, (fact, None))
        self._recalled = commitments

    async def _exported(self) -> bool:
        now = self.now()
        if self.source is None or now - self._asked < PERIOD:
            return False
        living = [fact for fact in self.recorder.nodes.values() if fact.end is None]
        for fact in living:
            self.prices.lives.setdefault(fact.uid, (fact, None))
        try:
            changed = False if self._filled else await self._fill(self.source, living, now)
            answer = await self.source.read(seen.instance_types(living))
        except PrometheusError as error:
            self.figures.errors[_SOURCE] += 1
            log.warning("exported prices stay as they were: %s", error)
            return False
        self._asked, self._filled = now, True
        if answer:
            self.figures.data_times[_SOURCE] = now
        return self.prices.observe(answer, now) or changed

    async def _fill(self, source: ExportedPrices, living: Iterable[NodeFact], now: Instant) -> bool:
        """What was exported while nobody asked, since the oldest living node or the last price seen."""
        nodes = list(living)
        memory = self.prices.memory
        newest = max((steps[-1][0] for steps in (*memory.karpenter.values(), *memory.opencost.values())), default=0)
        start = max(min((node.start for node in nodes), default=now), newest, now - _FURTHEST)
        if now - start < PERIOD:
            return False
        step = max(MINUTE, (now - start) // max(_FEWEST, min(_STEPS, _SAMPLES // max(len(nodes), 1))))
        karpenter, opencost = await source.history(seen.instance_types(nodes), start, now, step)
        dropped = self.prices.dropped
        places = {(node.instance_type, zone) for node in nodes for zone in ("", node.zone)}
        offerings = seen.karpenter_history(_recorded(karpenter), dropped)
        by_metric = {metric: _recorded(series) for metric, series in opencost.items()}
        return self.prices.take_in(
            {one: prices for one, prices in offerings.items() if (one.instance_type, one.zone) in places},
            seen.opencost_history(by_metric, nodes, dropped),
        )

    async def _save(self, accounting: Accounting) -> None:
        text = self.prices.memory.encode()
        if text != self._saved:
            await accounting.call(lambda: accounting.ledger.mark(MARK, text))
            self._saved = text

    def _report(self) -> None:
        self.figures.quarantined = self.prices.quarantined()
        self.figures.dropped.update({("prices", "", reason): count for reason, count in self.prices.dropped.items()})
        self.prices.dropped.clear()


def _recorded(series: Iterable[RangeSeries]) -> list[seen.Recorded]:
    return [(one.labels, one.samples) for one in series]
