"""What a node costs over time, from everything that says so, with the more specific word first.

Precedence at every instant: the node's own annotation; a PriceBook's price for the instance type; a PriceBook's price
for the GPU model times the GPUs; the built-in list in the same order. Within one of these a price for the node's region
comes before one for any region, a narrower GPU model before a wider one, and the latest `effectiveFrom` wins. A price
of 0 says that nobody knows, and hides what is below it: it is how one says "do not guess".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

from gpucost.core.clock import Instant
from gpucost.core.model import CapacityType, NodeFact, PriceEntry, PriceFact
from gpucost.core.money import parse_amount
from gpucost.core.pricelist import BUILT_IN
from gpucost.core.timeline import Timeline

ANNOTATION = "gpucost.dev/hourly-price"
ANNOTATION_SOURCE = "annotation"

_Rank = tuple[bool, bool, int, Instant]


def node_prices(
    node: NodeFact,
    entries: Iterable[PriceEntry] = (),
    *,
    annotation: str | None = None,
    built_in: Iterable[PriceEntry] = BUILT_IN,
) -> list[PriceFact]:
    """Timeline of a whole node's price from its start on, at least one step; `hourly` None where nobody knows it.

    `entries` are those of all PriceBooks, each with its `source` (`PriceBook/NAME`); where two books give one thing two
    prices from one date, the book whose name sorts first wins. A malformed annotation leaves the node unpriced and says
    so in `source`: falling back to a list would hide the mistake.
    """
    lists = [tuple(entries), tuple(built_in)]
    own = [_annotated(node, annotation)] if annotation is not None else _timeline(node, lists)
    if node.capacity_type is not CapacityType.SPOT:
        return own
    return _compared(own, _timeline(replace(node, capacity_type=CapacityType.ON_DEMAND), lists))


def _compared(own: list[PriceFact], on_demand: list[PriceFact]) -> list[PriceFact]:
    """A spot node's timeline with what it would have cost on demand beside it."""
    prices, references = Timeline.of((p.start, p) for p in own), Timeline.of((p.start, p) for p in on_demand)
    steps: list[PriceFact] = []
    for instant in sorted({p.start for p in (*own, *on_demand)}):
        price, reference = prices.at(instant), references.at(instant)
        if price is not None:
            steps.append(replace(price, start=instant, on_demand=reference.hourly if reference is not None else None))
    return steps


def _timeline(node: NodeFact, lists: list[tuple[PriceEntry, ...]]) -> list[PriceFact]:
    """Prices of a node for its capacity type, from PriceBooks and the built-in list."""
    ranked = [_fitting(node, entries) for entries in lists]
    cuts = {node.start} | {entry.effective_from for fitting in ranked for _, entry in fitting}
    steps: list[PriceFact] = []
    for instant in sorted(cut for cut in cuts if cut >= node.start and (node.end is None or cut < node.end)):
        step = _price_at(node, ranked, instant)
        if not steps or (steps[-1].hourly, steps[-1].source) != (step.hourly, step.source):
            steps.append(step)
    return steps or [_unpriced(node, node.start)]


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


def _unpriced(node: NodeFact, start: Instant) -> PriceFact:
    return PriceFact(node.uid, start, None, node.capacity_type, "")


_Fitting = list[tuple[_Rank, PriceEntry]]


def _fitting(node: NodeFact, entries: Iterable[PriceEntry]) -> _Fitting:
    """Entries that speak of this node, the best first."""
    found = [(rank, entry) for entry in entries if (rank := _rank(node, entry)) is not None]
    found.sort(key=lambda pair: pair[1].source)
    found.sort(key=lambda pair: pair[0], reverse=True)  # stable: equal ranks stay in order of their source
    return found


def _rank(node: NodeFact, entry: PriceEntry) -> _Rank | None:
    if entry.capacity_type is not node.capacity_type or entry.region not in {"", node.region}:
        return None
    by_instance, tokens = bool(entry.instance_type), gpu_tokens(entry.gpu_model)
    if by_instance:
        fits = entry.instance_type == node.instance_type
    else:
        fits = node.capacity.gpus > 0 and bool(tokens) and tokens <= gpu_tokens(node.gpu_model)
    return (by_instance, bool(entry.region), len(tokens), entry.effective_from) if fits else None


def _price_at(node: NodeFact, ranked: Iterable[_Fitting], instant: Instant) -> PriceFact:
    for fitting in ranked:
        for _, entry in fitting:
            if entry.effective_from <= instant:
                count = 1 if entry.instance_type else node.physical_gpus or node.capacity.gpus
                hourly = entry.hourly * count.numerator / count.denominator
                return PriceFact(node.uid, instant, hourly or None, node.capacity_type, entry.source)
    return _unpriced(node, instant)


@lru_cache(maxsize=1024)
def gpu_tokens(model: str) -> frozenset[str]:
    """Words of a GPU model: a list says `A100 80GB` where a node's label says `NVIDIA-A100-SXM4-80GB`.

    An entry fits when all its words stand in the node's; brand words are ignored.
    """
    words = frozenset(re.split(r"[^A-Z0-9]+", re.sub(r"(\d+)\s*GI?B\b", r" \1GB ", model.upper())))
    return words - {"", "NVIDIA", "TESLA"}
