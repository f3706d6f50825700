"""Who holds which part of a node, and at which price, exactly.

A node's time is cut into *stretches* in which neither its price, its size nor who holds what changes. Within one, a
pod's part of the price is its share of the node, scaled down when the shares add up to more than the node; the rest is
idle. Shares are integers over one denominator per node (`Lane.unit`) and prices integers over another
(`Lane.denominator`), so that the sums below are exact without the cost of rational arithmetic for every pod.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import Any, NamedTuple

from gpucost.core.clock import HOUR, Instant
from gpucost.core.model import CapacityType, Gpus, NodeFact, PodFact, PriceFact, Resources
from gpucost.core.money import PICO, Pico, divide, half_even
from gpucost.core.shares import DOMINANT, Scale, Split
from gpucost.core.timeline import Interval, Timeline

FOREVER: Instant = 1 << 62
"""Later than anything: the end of what has not ended."""

_RATE = Fraction(PICO, HOUR)  # pico-units per microsecond at one unit per hour

_NOTHING = Fraction(0)

Needs = Mapping[str, Timeline[Resources]]
"""What pods count for over time, by UID; a pod counts for its requests before the first value and without any."""

NO_NEEDS: Needs = {}

Look = Callable[[PodFact], Any]
"""What somebody wants to know of a pod; the same question is the same object."""


@dataclass(frozen=True, slots=True)
class Stay:
    """Part of a pod's time on the node in which its needs do not change, and its share before scaling."""

    pod: PodFact
    start: Instant
    end: Instant
    needs: Resources
    units: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time in which neither the price, nor the node's size, nor who holds what changes."""

    start: Instant
    end: Instant
    price: PriceFact | None
    """None before the node's first price."""
    demand: int
    """Sum of the shares, in the lane's units; more than `room` when the node is overcommitted."""
    used: Resources
    """Sum of what the pods hold."""
    weight: int
    """Cost of one share unit for one microsecond, over `Lane.denominator`, in pico-units; 0 without a price."""
    lost: int
    """Cost of the stranded share for one microsecond, over `Lane.denominator`, in pico-units."""
    node: NodeFact
    """The node as it was then."""
    room: int
    """Units that can be held: the rest of the lane's is stranded."""

    @property
    def saving(self) -> Fraction:
        """What on-demand capacity would have cost more, as a part of what was paid; 0 where nobody knows."""
        price = self.price
        if price is None or not price.hourly or price.on_demand is None or price.on_demand == price.hourly:
            return _NOTHING
        return Fraction(price.on_demand) / Fraction(price.hourly) - 1

    @property
    def priced(self) -> bool:
        """Whether somebody knows what this time costs; a price of zero is not known."""
        return self.weight > 0


class Tenant(NamedTuple):
    """Somebody who stays for all of a stretch, with what is asked of a stay again and again."""

    uid: str
    units: int
    cpu_milli: int
    memory: int
    gpus: int
    """Whole ones: not for stretches in which parts of GPUs are held."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One node over a span: its stretches, and the stays of pods on it in a fixed order."""

    node: NodeFact
    unit: int
    """Units of share that the whole node has."""
    denominator: int
    stays: tuple[Stay, ...]
    stretches: tuple[Stretch, ...]
    starts: tuple[Instant, ...]
    _tenants: dict[Instant, list[Tenant]] = field(default_factory=dict, compare=False, repr=False)
    """Of the stretches that somebody asked about, by their starts."""
    _owners: dict[Instant, tuple[Look, list[Any]]] = field(default_factory=dict, compare=False, repr=False)
    """Whose the tenants are, by the question that was asked last."""

    def tenants(self, stretch: Stretch) -> list[Tenant]:
        """Who stays for a stretch: there is nobody who comes or goes within it."""
        found = self._tenants.get(stretch.start)
        if found is None:
            found = self._tenants[stretch.start] = [
                Tenant(stay.pod.uid, stay.units, stay.needs.cpu_milli, stay.needs.memory, int(stay.needs.gpus))
                for stay in self._during(stretch)
            ]
        return found

    def owners(self, stretch: Stretch, look: Look) -> list[Any]:
        """What `look` says of each tenant's pod."""
        known = self._owners.get(stretch.start)
        if known is None or known[0] is not look:
            known = self._owners[stretch.start] = look, [look(stay.pod) for stay in self._during(stretch)]
        return known[1]

    def _during(self, stretch: Stretch) -> Iterator[Stay]:
        return (stay for stay in self.stays if stay.start <= stretch.start and stay.end >= stretch.end)

    def capacity_type(self, stretch: Stretch) -> CapacityType:
        """How the stretch is paid for; the node's own type while nobody knows a price."""
        return stretch.price.capacity_type if stretch.price is not None else self.node.capacity_type

    def over(self, start: Instant, end: Instant) -> Iterator[tuple[Stretch, Instant, Instant]]:
        """The stretches of `[start, end)`, each with the part of it inside."""
        for index in range(max(0, bisect_right(self.starts, start) - 1), len(self.stretches)):
            stretch = self.stretches[index]
            if stretch.start >= end:
                return
            first, last = max(start, stretch.start), min(end, stretch.end)
            if first < last:
                yield stretch, first, last

    def share(self, units: int, stretch: Stretch) -> Fraction:
        """A share as it is charged: scaled down when the stretch is overcommitted."""
        share = Fraction(units, self.unit)
        return share if stretch.demand <= stretch.room else share * Fraction(stretch.room, stretch.demand)


def price_timeline(prices: Iterable[PriceFact]) -> Timeline[PriceFact]:
    """A node's prices in order; two from one instant are a `ValueError`."""
    return Timeline.of((price.start, price) for price in prices)


def known_hourly(price: PriceFact | None) -> Fraction | None:
    """Price of a whole node per hour; None when nobody knows it (a price of 0 is not known)."""
    return _exactly(price.hourly) if price is not None and price.hourly else None


@lru_cache(maxsize=4096)
def _exactly(amount: Decimal) -> Fraction:
    """Prices are few, and every node has one that is asked for at every pass."""
    return Fraction(amount)


def life(node: NodeFact, span: Interval) -> Interval | None:
    """The part of a span in which the node exists."""
    if node.start <= span.start and (node.end is None or node.end >= span.end):
        return span if span.start < span.end else None
    return Interval(node.start, FOREVER if node.end is None else node.end).clip(*span)


def node_cost(node: NodeFact, prices: Timeline[PriceFact], span: Interval) -> Fraction:
    """Exact cost of a whole node over a span in pico-units, from its prices alone: the yardstick of the parts."""
    alive = life(node, span)
    if alive is None:
        return _NOTHING
    lengths: dict[Fraction, int] = {}
    for part, price in prices.segments(*alive):
        hourly = known_hourly(price) or _NOTHING
        lengths[hourly] = lengths.get(hourly, 0) + part.length
    return sum((hourly * _RATE * length for hourly, length in lengths.items()), _NOTHING)


def booked_cost(node: NodeFact, prices: Timeline[PriceFact], span: Interval) -> Pico:
    """As `node_cost`, rounded half to even; without rational arithmetic where there is one price, as mostly."""
    alive = life(node, span)
    if alive is None:
        return 0
    index = bisect_right(prices.starts, alive.start)
    if index < len(prices.starts) and prices.starts[index] < alive.end:
        return half_even(node_cost(node, prices, span))
    hourly = known_hourly(prices.values[index - 1]) if index else None
    if hourly is None:
        return 0
    return divide(hourly.numerator * _RATE.numerator * alive.length, hourly.denominator * _RATE.denominator)


def lane(
    node: NodeFact,
    prices: Timeline[PriceFact],
    pods: Iterable[PodFact],
    span: Interval,
    *,
    needs: Needs = NO_NEEDS,
    split: Split = DOMINANT,
) -> Lane:
    """Cut a node's time in a span into stretches.

    `pods` are those on this node, in any order; one without an end is taken to stay until the span is over. Their time
    is clipped to the node's life.
    """
    alive = life(node, span)
    if alive is None:
        return Lane(node, 1, 1, (), (), ())
    holds = list(_holds(pods, needs, alive))
    phases = _phases(node, alive, lcm(*(what.gpus.denominator for _, _, what in holds)), split)
    unit = lcm(*(phase.scale.unit for phase in phases))
    stays = tuple(stay for phase in phases for stay in phase.stays(holds, unit))
    drafts = [draft for phase in phases for draft in _sweep(phase, _cuts(stays, phase.span), prices, unit)]
    scale = lcm(*(_divisor(draft, unit) for draft in drafts))
    stretches = tuple(
        Stretch(
            *draft.span, draft.price, draft.demand, draft.used, *_weights(draft, unit, scale), draft.node, draft.room
        )
        for draft in drafts
    )
    return Lane(node, unit, scale * _RATE.denominator, stays, stretches, tuple(s.start for s in stretches))


_Hold = tuple[PodFact, Interval, Resources]


class _Phase(NamedTuple):
    """Time in which the node's size does not change."""

    span: Interval
    node: NodeFact
    scale: Scale

    def stays(self, holds: Iterable[_Hold], unit: int) -> Iterator[Stay]:
        """What is held in this time, in units of the lane."""
        scale, each = self.scale, unit // self.scale.unit
        for pod, span, what in holds:
            if (part := span.clip(*self.span)) is not None:
                units = scale.units(what.cpu_milli, what.memory, int(what.gpus * scale.grain))
                yield Stay(pod, part.start, part.end, what, units * each)


def _phases(node: NodeFact, alive: Interval, grain: int, split: Split) -> list[_Phase]:
    return [_Phase(span, sized, split.scale(sized, grain)) for span, sized in node.sizes(*alive)]


def _holds(pods: Iterable[PodFact], needs: Needs, alive: Interval) -> Iterator[_Hold]:
    """Who holds how much when, in a fixed order."""
    for pod in sorted(pods, key=lambda p: (p.start, p.uid)):
        part = Interval(pod.start, FOREVER if pod.end is None else pod.end).clip(*alive)
        if part is None:
            continue
        timeline = needs.get(pod.uid)
        if timeline is None:
            yield pod, part, pod.requests
            continue
        for piece, value in timeline.segments(*part):
            yield pod, piece, pod.requests if value is None else value


_Change = tuple[int, Gpus, int, int]  # share units, GPUs, millicores, bytes


def _cuts(stays: Iterable[Stay], span: Interval) -> dict[Instant, _Change]:
    """Where the sum over the pods changes in a phase, and by how much; no stay goes beyond its phase."""
    cuts: dict[Instant, _Change] = {}
    for stay in stays:
        if not span.start <= stay.start < span.end:
            continue
        needs = stay.needs
        for at, sign in ((stay.start, 1), (stay.end, -1)):
            units, gpus, cpu, memory = cuts.get(at, (0, 0, 0, 0))
            cuts[at] = (
                units + sign * stay.units,
                gpus + sign * needs.gpus,
                cpu + sign * needs.cpu_milli,
                memory + sign * needs.memory,
            )
    return cuts


class _Draft(NamedTuple):
    """A stretch before its money is known."""

    span: Interval
    price: PriceFact | None
    demand: int
    used: Resources
    node: NodeFact
    room: int


def _sweep(phase: _Phase, cuts: dict[Instant, _Change], prices: Timeline[PriceFact], unit: int) -> Iterator[_Draft]:
    room = unit - phase.scale.stranded * (unit // phase.scale.unit)
    instants = sorted({phase.span.start, *cuts} - {phase.span.end})
    units = cpu = memory = 0
    gpus: Gpus = 0
    for index, instant in enumerate(instants):
        change = cuts.get(instant, (0, 0, 0, 0))
        units, gpus, cpu, memory = units + change[0], gpus + change[1], cpu + change[2], memory + change[3]
        until = instants[index + 1] if index + 1 < len(instants) else phase.span.end
        for part, price in prices.segments(instant, until):
            used = Resources(cpu_milli=cpu, memory=memory, gpus=gpus)
            yield _Draft(part, price, units, used, phase.node, room)


def _divisor(draft: _Draft, unit: int) -> int:
    """Denominator of what one unit costs: the node's units, or those asked for where they are more than there are."""
    hourly, room, demand = known_hourly(draft.price), draft.room, draft.demand
    if hourly is None:
        return 1
    if demand <= room:
        return hourly.denominator * unit
    return hourly.denominator * (demand if room == unit else unit * demand)


def _weights(draft: _Draft, unit: int, scale: int) -> tuple[int, int]:
    """Cost of a unit that somebody holds, and of everything stranded; see `Stretch`."""
    hourly, room, demand = known_hourly(draft.price), draft.room, draft.demand
    if hourly is None:
        return 0, 0
    rate = hourly.numerator * _RATE.numerator * (scale // _divisor(draft, unit))
    if demand <= room:
        return rate, rate * (unit - room)
    return (rate, 0) if room == unit else (rate * room, rate * demand * (unit - room))
