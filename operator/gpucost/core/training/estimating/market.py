"""What an hour of a GPU costs here, by model and capacity type: from the nodes that are there and from price lists.

The same rules that price a node (`core.pricing`) price one that does not exist yet, so an estimate and the bill that
follows it rest on the same books. Where nodes of a kind cost differently (zones, instance types, what somebody wrote on
a node) the quote is a range. Commitments are left out: what they cover is paid for whether this run comes or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import median

from gpucost.core.clock import Instant
from gpucost.core.model import CapacityType, NodeFact, PriceEntry, Resources
from gpucost.core.offers import Exported
from gpucost.core.pricelist import BUILT_IN, SOURCE, SPOT_RANGES
from gpucost.core.pricing import gpu_tokens, node_prices, priced_gpus
from gpucost.core.tariff import NOTHING, Tariff
from gpucost.core.training.estimating.chips import INSTANCES, chip_of
from gpucost.core.training.estimating.ranges import Range

KINDS = (CapacityType.ON_DEMAND, CapacityType.SPOT)
Place = tuple[str, str]
"""Region and zone; empty for any."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Price of one GPU per hour."""

    gpu_model: str
    capacity_type: CapacityType
    hourly: Range
    source: str
    instance_type: str = ""
    """Empty for any machine with such GPUs."""
    gpus: int = 0
    """GPUs of such a machine; 0 where any number is priced alike."""
    nodes: int = 0
    """Living nodes that it is taken from; 0 when it is from a list alone."""


@dataclass(frozen=True, slots=True)
class Offering:
    """A node that is there, or could be, with what others export of its price."""

    fact: NodeFact
    annotation: str | None = None
    exported: tuple[Exported, ...] = ()
    lives: bool = True


@dataclass(frozen=True, slots=True)
class Market:
    """Everything that sets prices."""

    now: Instant = 0
    entries: tuple[PriceEntry, ...] = ()
    """Those of PriceBooks."""
    terms: Tariff = NOTHING
    built_in: tuple[PriceEntry, ...] = BUILT_IN
    offerings: tuple[Offering, ...] = ()

    def quotes(self) -> tuple[Quote, ...]:
        """All quotes, by model, instance type and capacity type."""
        found: dict[tuple[str, str, CapacityType], list[tuple[Offering, Range, str]]] = {}
        for one in (*self.offerings, *self._listed()):
            for kind in KINDS:
                if (price := self._price(one, kind)) is not None:
                    key = (one.fact.gpu_model, one.fact.instance_type, kind)
                    found.setdefault(key, []).append((one, *price))
        return tuple(_quote(*key, priced) for key, priced in sorted(found.items()))

    def _price(self, one: Offering, kind: CapacityType) -> tuple[Range, str] | None:
        """Of one GPU of a node, were it of a capacity type; what is written on a node holds for its own type only."""
        own = kind is one.fact.capacity_type
        node = replace(one.fact, capacity_type=kind, start=self.now, end=None, earlier=())
        prices = node_prices(
            node,
            self.entries,
            annotation=one.annotation if own and one.lives else None,
            built_in=self.built_in,
            terms=self.terms,
            exported=one.exported,
        )
        hourly, gpus = prices[0].hourly, Fraction(priced_gpus(node))
        if hourly is None or not gpus:
            return None
        return _with_range(Fraction(hourly) / gpus, prices[0].source, node), prices[0].source

    def _listed(self) -> Iterator[Offering]:
        """One machine for whatever a list has a price of, in every place in which there are nodes."""
        places: set[Place] = {("", ""), *((one.fact.region, one.fact.zone) for one in self.offerings)}
        lived = {(one.fact.gpu_model, one.fact.instance_type) for one in self.offerings}
        listed = (*self.entries, *self.built_in)
        models = {entry.gpu_model for entry in listed if entry.gpu_model}
        types = {entry.instance_type for entry in listed if entry.instance_type in INSTANCES}
        for place in sorted(places):
            for model in sorted(models - {model for model, kind in lived if not kind}):
                yield _machine(model, 1, "", place)
            for kind in sorted(types - {kind for _, kind in lived}):
                yield _machine(*INSTANCES[kind], kind, place)


def _machine(model: str, gpus: int, instance_type: str, place: Place) -> Offering:
    fact = NodeFact(
        uid=f"listed/{instance_type or model}",
        name="",
        start=0,
        end=None,
        capacity=Resources(gpus=gpus),
        instance_type=instance_type,
        gpu_model=model,
        region=place[0],
        zone=place[1],
        physical_gpus=gpus,
    )
    return Offering(fact, lives=False)


def _with_range(hourly: Fraction, source: str, node: NodeFact) -> Range:
    """The built-in list knows a range for spot capacity; what else there is has one price at a time."""
    if source == SOURCE and node.capacity_type is CapacityType.SPOT:
        words = gpu_tokens(node.gpu_model)
        for model, (low, high) in SPOT_RANGES.items():
            if gpu_tokens(model) <= words and Fraction(low) <= hourly <= Fraction(high):
                return Range.of(low, hourly, high)
    return Range.of(hourly)


def _quote(model: str, instance_type: str, kind: CapacityType, priced: Sequence[tuple[Offering, Range, str]]) -> Quote:
    ranges = [one for _, one, _ in priced]
    sources = sorted({source for _, _, source in priced})
    machine = priced[0][0].fact
    return Quote(
        gpu_model=model,
        capacity_type=kind,
        hourly=_together(ranges),
        source=", ".join(sources[:2]) + (f" and {len(sources) - 2} more" if len(sources) > 2 else ""),
        instance_type=instance_type,
        gpus=int(priced_gpus(machine)) if instance_type else 0,
        nodes=sum(one.lives for one, _, _ in priced),
    )


def _together(ranges: Sequence[Range]) -> Range:
    middle = median(one.typical for one in ranges)
    return Range(min(one.low for one in ranges), Fraction(middle), max(one.high for one in ranges))


def choose(quotes: Iterable[Quote], model: str, kind: CapacityType, *, instance_type: str = "") -> Quote | None:
    """The price of a GPU for a job: of its instance type when it names one, else of the model, however it is named.

    Machines that live come before lists. None when nothing fits, and when a name means several models of different size
    (`A100`): which of them is meant is not guessed.
    """
    mine = [quote for quote in quotes if quote.capacity_type is kind]
    if instance_type:
        return next((quote for quote in mine if quote.instance_type == instance_type), None)
    words = gpu_tokens(model)
    if not words:
        return None
    narrower = [quote for quote in mine if words <= gpu_tokens(quote.gpu_model)]
    fitting = narrower or _most_specific([quote for quote in mine if gpu_tokens(quote.gpu_model) <= words])
    if len({_chip_name(quote) for quote in fitting}) > 1:
        return None
    for group in ([q for q in fitting if q.nodes], [q for q in fitting if not q.instance_type], fitting):
        if group:
            return replace(max(group, key=lambda q: q.nodes), hourly=_together([q.hourly for q in group]))
    return None


def _most_specific(quotes: Sequence[Quote]) -> list[Quote]:
    most = max((len(gpu_tokens(quote.gpu_model)) for quote in quotes), default=0)
    return [quote for quote in quotes if len(gpu_tokens(quote.gpu_model)) == most]


def _chip_name(quote: Quote) -> str:
    chip = chip_of(quote.gpu_model)
    return chip.name if chip is not None else quote.gpu_model


def without_cluster() -> tuple[Quote, ...]:
    """What the built-in list alone says."""
    return Market().quotes()
