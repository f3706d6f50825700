"""Prices that Karpenter and OpenCost export, from series to timelines.

An exported price is an observation: it holds from when it was seen until another one is. Exporters and nodes start at
about the same time, so the first price seen reaches back by `REACH`, and not further. What is no price (`NaN`,
infinity, a negative number, 0) is dropped and counted; a hundredfold jump is held back as in a book (`quarantine`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from gpucost.core.capacity import CAPACITY_LABELS, KARPENTER
from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.model import CapacityType, NodeFact
from gpucost.core.offers import Exported
from gpucost.core.pricing import priced_gpus
from gpucost.core.quarantine import Jump, is_jump
from gpucost.core.timeline import Timeline

KARPENTER_PRICE = "karpenter_cloudprovider_instance_type_offering_price_estimate"
OPENCOST_TOTAL = "node_total_hourly_cost"
OPENCOST_CPU = "node_cpu_hourly_cost"
OPENCOST_MEMORY = "node_ram_hourly_cost"
OPENCOST_GPU = "node_gpu_hourly_cost"
OPENCOST_PRICES = (OPENCOST_TOTAL, OPENCOST_CPU, OPENCOST_MEMORY, OPENCOST_GPU)
KARPENTER_LABEL = "eks-node-viewer/instance-price"

KARPENTER_SOURCE = "Karpenter"
OPENCOST_SOURCE = "OpenCost"

REACH: Micros = 15 * MINUTE
_PLACES = Decimal("0.000000001")
_LARGEST = Decimal(10**9)
_NODE_LABELS = ("node", "exported_node", "exported_instance", "instance", "Hostname", "hostname")

Labels = Mapping[str, str]
Sampled = tuple[Labels, float]
Recorded = tuple[Labels, Iterable[tuple[Instant, float]]]
"""A series over a range, with its labels."""
Steps = tuple[tuple[Instant, Decimal], ...]
"""Prices by when they were first seen, the oldest first; equal neighbours are one."""


@dataclass(frozen=True, slots=True, order=True)
class Offering:
    """What Karpenter's prices are for; `zone` is empty where it names none."""

    instance_type: str
    capacity_type: CapacityType
    zone: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.instance_type, self.capacity_type.value, self.zone) if part)


def usable(value: float, dropped: Counter[str]) -> Decimal | None:
    """A sample as a price with nine places; what is none is counted by reason."""
    if not math.isfinite(value):
        dropped["price that is not a number"] += 1
    elif value < 0:
        dropped["price below zero"] += 1
    elif Decimal(value) >= _LARGEST:
        dropped["price out of range"] += 1
    elif not (price := Decimal(repr(value)).quantize(_PLACES)):
        dropped["price of zero"] += 1
    else:
        return price.normalize() if price != price.to_integral() else Decimal(int(price))
    return None


# --- one answer -------------------------------------------------------------------------------------------------------


def karpenter_prices(series: Iterable[Sampled], dropped: Counter[str]) -> dict[Offering, Decimal]:
    """Prices by offering; where two exporters tell different ones, the lower counts, in whatever order they come."""
    found: dict[Offering, Decimal] = {}
    for labels, value in series:
        kind = CAPACITY_LABELS[KARPENTER].get(labels.get("capacity_type", ""))
        instance = labels.get("instance_type", "")
        if not instance or kind is None:
            dropped["price of an unknown offering"] += 1
        elif (price := usable(value, dropped)) is not None:
            offering = Offering(instance, kind, labels.get("zone", ""))
            found[offering] = min(price, found.get(offering, price))
    return found


def opencost_prices(
    series: Mapping[str, Iterable[Sampled]], nodes: Iterable[NodeFact], dropped: Counter[str]
) -> dict[str, Decimal]:
    """Prices of whole nodes by UID, from metrics of `OPENCOST_PRICES`; `nodes` are those that live now.

    Where the total is missing it is put together: cores x CPU + GiB x memory + GPUs x GPU. A node with GPUs needs the
    price of its GPUs, or it would look cheap.
    """
    by_name = {node.name: node for node in nodes}
    parts: dict[str, dict[str, Decimal]] = {}
    for metric, samples in series.items():
        for labels, value in samples:
            node = _named(labels, by_name)
            if node is not None and (price := usable(value, dropped)) is not None:
                parts.setdefault(node.name, {})[metric] = min(price, parts.get(node.name, {}).get(metric, price))
    totals = {by_name[name].uid: _total(by_name[name], found) for name, found in parts.items()}
    return {uid: total for uid, total in totals.items() if total is not None}


def karpenter_history(
    series: Iterable[Recorded], dropped: Counter[str]
) -> dict[Offering, list[tuple[Instant, Decimal]]]:
    """Prices by offering over a range."""
    found: dict[Offering, dict[Instant, Decimal]] = {}
    for labels, samples in series:
        for at, value in samples:
            for offering, price in karpenter_prices([(labels, value)], dropped).items():
                prices = found.setdefault(offering, {})
                prices[at] = min(price, prices.get(at, price))
    return {offering: sorted(prices.items()) for offering, prices in found.items()}


def opencost_history(
    series: Mapping[str, Iterable[Recorded]], nodes: Iterable[NodeFact], dropped: Counter[str]
) -> dict[str, list[tuple[Instant, Decimal]]]:
    """Prices by node UID over a range; what was seen before a node's time is of an earlier node of the same name."""
    by_name = {node.name: node for node in nodes}
    parts: dict[str, dict[Instant, dict[str, Decimal]]] = {}
    for metric, each in series.items():
        for labels, samples in each:
            node = _named(labels, by_name)
            for at, value in samples if node is not None else ():
                if node is not None and at >= node.start and (price := usable(value, dropped)) is not None:
                    found = parts.setdefault(node.name, {}).setdefault(at, {})
                    found[metric] = min(price, found.get(metric, price))
    result = {}
    for name, by_time in parts.items():
        totals = ((at, _total(by_name[name], found)) for at, found in sorted(by_time.items()))
        result[by_name[name].uid] = [(at, total) for at, total in totals if total is not None]
    return result


def _named(labels: Labels, by_name: Mapping[str, NodeFact]) -> NodeFact | None:
    """The node that a series is about, in whichever label Prometheus has left its name."""
    return next((by_name[labels[key]] for key in _NODE_LABELS if labels.get(key) in by_name), None)


def _total(node: NodeFact, prices: Mapping[str, Decimal]) -> Decimal | None:
    if OPENCOST_TOTAL in prices:
        return prices[OPENCOST_TOTAL]
    gpus = Fraction(priced_gpus(node))
    needed = {
        OPENCOST_CPU: Fraction(node.capacity.cpu_milli, 1000),
        OPENCOST_MEMORY: Fraction(node.capacity.memory, 1 << 30),
        OPENCOST_GPU: gpus,
    }
    if any(amount and metric not in prices for metric, amount in needed.items()) or not any(needed.values()):
        return None
    total = sum((amount * Fraction(prices[metric]) for metric, amount in needed.items() if amount), Fraction(0))
    return Decimal(f"{float(total):.9f}").normalize() or None


# --- over time --------------------------------------------------------------------------------------------------------


def observed(
    steps: Steps,
    samples: Iterable[tuple[Instant, Decimal]],
    *,
    thing: str,
    source: str,
    confirmed: frozenset[Decimal] = frozenset(),
) -> tuple[Steps, Jump | None]:
    """Take in prices that were seen, in any order: the steps with them, and what is held back of the newest.

    A price seen before the newest step changes nothing: the past is as it was observed then.
    """
    jump = None
    for at, price in sorted(samples):
        last = steps[-1] if steps else None
        jump = None
        if last is not None and is_jump(last[1], price) and price not in confirmed:
            jump = Jump(thing, source, last[1], price)
        elif last is None or (price != last[1] and at > last[0]):
            steps = (*steps, (at, price))
    return steps, jump


def forgotten(steps: Steps, before: Instant) -> Steps:
    """Without the steps that were over before an instant."""
    over = sum(1 for start, _ in steps[1:] if start <= before)
    return steps[over:]


def exported(source: str, kind: CapacityType, steps: Steps) -> Exported:
    """Steps as prices of a node; the first one reaches back."""
    first = [(at - REACH, price) for at, price in steps[:1]]
    return Exported(source, kind, Timeline.of([*first, *steps[1:]]))


def of_offering(node: NodeFact, kind: CapacityType, seen: Mapping[Offering, Steps]) -> Steps:
    """What was seen of a node's offering: that of its zone, else that which names no zone."""
    for zone in dict.fromkeys((node.zone, "")):
        if steps := seen.get(Offering(node.instance_type, kind, zone)):
            return steps
    return ()


def labelled(text: str | None, dropped: Counter[str]) -> Decimal | None:
    """The price in Karpenter's node label; None when there is none or it is no price."""
    if not text:
        return None
    try:
        return usable(float(text), dropped)
    except ValueError:
        dropped["price that is not a number"] += 1
        return None


def instance_types(nodes: Iterable[NodeFact]) -> Sequence[str]:
    """Instance types whose offerings are worth asking for, in order."""
    return sorted({node.instance_type for node in nodes if node.instance_type})
