"""What a node costs over time, from everything that says so, with the more specific word first.

Precedence at every instant:

1. the node's own annotation `gpucost.dev/hourly-price`;
2. a commitment of a PriceBook that covers the node (see `commitments`);
3. a PriceBook's price for the instance type, then for the GPU model times the GPUs, then, for a node without GPUs, its
   cores and memory times the base prices;
4. Karpenter's price: the node's label, then the exported price of its offering;
5. the price that OpenCost exports for the node;
6. the built-in list, in the same order as a PriceBook.

Within one of these a price for the node's zone comes before one for its region and that before one for any, a narrower
GPU model before a wider one, and the latest `effectiveFrom` wins among those whose period has not ended. A price of 0
in a PriceBook or an annotation says that nobody knows, and hides what is below it: it is how one says "do not guess".
A discount takes its percentage off whatever is found in 3 to 6; of several that fit, the most specific one counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from gpucost.core.capacity import gpus_of
from gpucost.core.clock import Instant
from gpucost.core.model import CapacityType, Gpus, NodeFact, PriceEntry, PriceFact
from gpucost.core.money import exact, parse_amount
from gpucost.core.offers import Exported, Layer, Offer, Ranked, cuts_in
from gpucost.core.pricelist import BUILT_IN
from gpucost.core.tariff import NOTHING, BasePrice, Discount, Tariff, Term
from gpucost.core.timeline import Timeline

ANNOTATION = "gpucost.dev/hourly-price"
ANNOTATION_SOURCE = "annotation"

Rank = tuple[int, bool, bool, int, Instant]
_GIB = 1 << 30


def node_prices(
    node: NodeFact,
    entries: Iterable[PriceEntry] = (),
    *,
    annotation: str | None = None,
    built_in: Iterable[PriceEntry] = BUILT_IN,
    terms: Tariff = NOTHING,
    covered: Iterable[Offer] = (),
    exported: Iterable[Exported] = (),
) -> list[PriceFact]:
    """Timeline of a whole node's price from its start on, at least one step; `hourly` None where nobody knows it.

    `entries` are those of all PriceBooks, each with its `source` (`PriceBook/NAME`); where two books give one thing two
    prices from one date, the book whose name sorts first wins. Of `terms` the base prices and discounts are used;
    `covered` are the times in which a commitment covers this node; `exported` are in order of precedence. A malformed
    annotation leaves the node unpriced and says so in `source`: falling back to a list would hide the mistake.
    """
    booked, listed, seen = tuple(entries), tuple(built_in), tuple(exported)

    def timeline(kind: CapacityType, first: Iterable[Offer] = ()) -> list[PriceFact]:
        like = node if kind is node.capacity_type else replace(node, capacity_type=kind)
        layers: list[Layer] = [Ranked(tuple(first)), Ranked(_offers(like, booked, terms.base))]
        layers += [one for one in seen if one.capacity_type is kind]
        layers.append(Ranked(_offers(like, listed)))
        return _timeline(like, layers, _discounts(like, terms.discounts))

    own = [_annotated(node, annotation)] if annotation is not None else timeline(node.capacity_type, covered)
    return _compared(own, timeline(CapacityType.ON_DEMAND)) if node.capacity_type is CapacityType.SPOT else own


def _compared(own: list[PriceFact], on_demand: list[PriceFact]) -> list[PriceFact]:
    """A spot node's timeline with what it would have cost on demand beside it."""
    prices, references = Timeline.of((p.start, p) for p in own), Timeline.of((p.start, p) for p in on_demand)
    steps: list[PriceFact] = []
    for instant in sorted({p.start for p in (*own, *on_demand)}):
        price, reference = prices.at(instant), references.at(instant)
        if price is not None:
            steps.append(replace(price, start=instant, on_demand=reference.hourly if reference is not None else None))
    return steps


def _timeline(node: NodeFact, layers: Sequence[Layer], discounts: Sequence[Discount]) -> list[PriceFact]:
    """Prices of a node for its capacity type; steps that say the same are one."""
    periods = Ranked(tuple(Offer(one.percent, "", one.effective_from, one.effective_until) for one in discounts))
    steps: list[PriceFact] = []
    for instant in cuts_in([*layers, periods], node.start, node.end):
        step = _price_at(node, layers, discounts, instant)
        if not steps or (steps[-1].hourly, steps[-1].source) != (step.hourly, step.source):
            steps.append(step)
    return steps or [_unpriced(node, node.start)]


def _price_at(node: NodeFact, layers: Iterable[Layer], discounts: Iterable[Discount], instant: Instant) -> PriceFact:
    offer = next((found for layer in layers if (found := layer.at(instant)) is not None), None)
    if offer is None:
        return _unpriced(node, instant)
    discount = None if offer.final else next((one for one in discounts if _in_force(one, instant)), None)
    hourly, source = offer.hourly, offer.source
    if discount is not None and hourly:
        hourly = exact(Fraction(hourly) * (100 - Fraction(discount.percent)) / 100)
        source = f"{source}, {discount.percent:f}% off by {discount.source}"
    return PriceFact(node.uid, instant, hourly or None, node.capacity_type, source)


def _unpriced(node: NodeFact, start: Instant) -> PriceFact:
    return PriceFact(node.uid, start, None, node.capacity_type, "")


# --- the annotation ---------------------------------------------------------------------------------------------------


def parse_annotation(text: str) -> Decimal:
    """Read the annotation's price; a `ValueError` names the annotation and what is right."""
    try:
        return parse_amount(text.strip())
    except ValueError as error:
        raise ValueError(f"annotation {ANNOTATION}: {error}") from None


def _annotated(node: NodeFact, text: str) -> PriceFact:
    try:
        hourly = parse_annotation(text)
    except ValueError:
        return PriceFact(node.uid, node.start, None, node.capacity_type, f"{ANNOTATION_SOURCE} (malformed)")
    return PriceFact(node.uid, node.start, hourly or None, node.capacity_type, ANNOTATION_SOURCE)


# --- what fits a node -------------------------------------------------------------------------------------------------


def priced_gpus(node: NodeFact) -> Gpus:
    """GPUs of a node as far as its price goes: those in the machine, however they are cut up and handed out."""
    return gpus_of(node.instance_type, node.physical_gpus or node.capacity.gpus)


def rank(node: NodeFact, term: Term) -> Rank | None:
    """How specifically a term speaks of a node, whatever its capacity type; None when it does not."""
    if term.region not in {"", node.region} or term.zone not in {"", node.zone}:
        return None
    tokens = gpu_tokens(term.gpu_model)
    if term.instance_type and term.instance_type != node.instance_type:
        return None
    if tokens and not (tokens <= gpu_tokens(node.gpu_model) and priced_gpus(node)):
        return None
    if term.gpu_model and not tokens:
        return None
    what = 2 if term.instance_type else 1 if tokens else 0
    return (what, bool(term.zone), bool(term.region), len(tokens), term.effective_from)


def _offers(node: NodeFact, entries: Iterable[PriceEntry], base: Iterable[BasePrice] = ()) -> tuple[Offer, ...]:
    """What lists offer for this node and its capacity type, the best first."""
    found: list[tuple[Rank, Offer]] = [*_priced(node, entries), *(() if priced_gpus(node) else _based(node, base))]
    found.sort(key=lambda pair: pair[1].source)
    found.sort(key=lambda pair: pair[0], reverse=True)  # stable: equal ranks stay in order of their source
    return tuple(offer for _, offer in found)


def _priced(node: NodeFact, entries: Iterable[PriceEntry]) -> Iterator[tuple[Rank, Offer]]:
    gpus = Fraction(priced_gpus(node))
    for entry in entries:
        if entry.capacity_type is not node.capacity_type or not (entry.instance_type or entry.gpu_model):
            continue
        if (found := rank(node, entry)) is not None:
            hourly = entry.hourly if entry.instance_type else exact(Fraction(entry.hourly) * gpus)
            yield found, Offer(hourly, entry.source, entry.effective_from, entry.effective_until)


def _based(node: NodeFact, base: Iterable[BasePrice]) -> Iterator[tuple[Rank, Offer]]:
    cores, gib = Fraction(node.capacity.cpu_milli, 1000), Fraction(node.capacity.memory, _GIB)
    for one in base:
        if one.capacity_type is node.capacity_type and (found := rank(node, one)) is not None:
            hourly = exact(cores * Fraction(one.cpu_hourly) + gib * Fraction(one.memory_gib_hourly))
            yield found, Offer(hourly, one.source, one.effective_from, one.effective_until)


def _discounts(node: NodeFact, discounts: Iterable[Discount]) -> list[Discount]:
    """Those that fit, the best first."""
    fitting = [
        (found, one)
        for one in discounts
        if one.capacity_type is node.capacity_type and (found := rank(node, one)) is not None
    ]
    fitting.sort(key=lambda pair: (pair[1].source, -pair[1].percent))
    fitting.sort(key=lambda pair: pair[0], reverse=True)
    return [one for _, one in fitting]


def _in_force(term: Term, instant: Instant) -> bool:
    return term.effective_from <= instant and (term.effective_until is None or instant < term.effective_until)


@lru_cache(maxsize=1024)
def gpu_tokens(model: str) -> frozenset[str]:
    """Words of a GPU model: a list says `A100 80GB` where a node's label says `NVIDIA-A100-SXM4-80GB`.

    An entry fits when all its words stand in the node's; brand words are ignored.
    """
    words = frozenset(re.split(r"[^A-Z0-9]+", re.sub(r"(\d+)\s*GI?B\b", r" \1GB ", model.upper())))
    return words - {"", "NVIDIA", "TESLA"}
