"""What GPUs cost in this cluster now, for estimates: worked out when somebody asks, and again after a minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gpucost.core import exported as seen
from gpucost.core.clock import MINUTE, Instant
from gpucost.core.model import Node, NodeFact
from gpucost.core.offers import Exported
from gpucost.core.pricelist import BUILT_IN, CURRENCY
from gpucost.core.pricing import priced_gpus
from gpucost.core.timeline import Timeline
from gpucost.core.training.estimating.market import KINDS, Market, Offering, Quote
from gpucost.runtime.prices import Prices


@dataclass(frozen=True, slots=True)
class MarketView:
    """Prices of GPUs at an instant; `quotes` None while nothing is known."""

    quotes: tuple[Quote, ...] | None = None
    gpu_models: frozenset[str] = frozenset()
    """Those of the nodes that live."""
    currency: str = "USD"


@dataclass
class GpuMarket:
    """The market as the operator sees it."""

    prices: Prices
    now: Callable[[], Instant]
    _view: MarketView = field(default_factory=MarketView)
    _made: Instant = 0

    def view(self) -> MarketView:
        """What is known, at most a minute old."""
        if self._view.quotes is None or self.now() - self._made >= MINUTE:
            self._made = self.now()
            self._view = self._look()
        return self._view

    def _look(self) -> MarketView:
        prices = self.prices
        offerings = tuple(self._offerings())
        market = Market(
            now=self.now(),
            entries=prices.entries,
            terms=prices.tariff,
            built_in=BUILT_IN if prices.currency == CURRENCY else (),
            offerings=offerings,
        )
        models = frozenset(one.fact.gpu_model for one in offerings if one.fact.gpu_model)
        return MarketView(market.quotes(), models, prices.currency)

    def _offerings(self) -> Iterator[Offering]:
        """Nodes with GPUs that live; of those that are alike in all that a price depends on, one."""
        alike: set[tuple[object, ...]] = set()
        for fact in self.prices.living():
            node = self.prices.world.nodes[fact.uid]
            if not priced_gpus(fact):
                continue
            annotation = self._annotation(node)
            kind = (fact.gpu_model, fact.instance_type, fact.region, fact.zone, fact.capacity_type, annotation)
            if kind not in alike:
                alike.add(kind)
                yield Offering(fact, annotation, tuple(self._exported(fact, node)))

    def _annotation(self, node: Node) -> str | None:
        """What is written on a node, as far as it is in force: a price that jumped is held back."""
        held = self.prices.memory.own.get(node.uid)
        return node.price_annotation if held is None or node.price_annotation is None else f"{held:f}"

    def _exported(self, fact: NodeFact, node: Node) -> Iterator[Exported]:
        """What Karpenter says of the offering; what OpenCost says is of one node and not of another to come."""
        if self.prices.currency != CURRENCY:
            return
        label = seen.labelled(node.labels.get(seen.KARPENTER_LABEL), Counter())
        if label is not None:
            yield Exported(f"{seen.KARPENTER_SOURCE} (node label)", fact.capacity_type, Timeline.of([(0, label)]))
        for kind in KINDS:
            if steps := seen.of_offering(fact, kind, self.prices.memory.karpenter):
                yield seen.exported(seen.KARPENTER_SOURCE, kind, steps)
