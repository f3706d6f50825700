"""From exact shares to booked money: one node in one UTC hour is rounded once, and its parts together.

The sum of what the parts come to is rounded to pico-units and handed out by largest remainder, so the parts of a unit
add up without a rest. What the node itself cost is integrated from its prices alone (`allocate.node_cost`): the
difference between the two is a real check of the arithmetic, exported as `gpucost_conservation_difference`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from typing import NamedTuple

from gpucost.core.activity import PPM, Activity
from gpucost.core.allocate import Lane, Stay, Stretch, booked_cost
from gpucost.core.clock import HOUR, Instant, Micros, floor_to
from gpucost.core.model import CapacityType, Gpus, PriceFact
from gpucost.core.money import Pico, apportion_over, divide, half_even
from gpucost.core.report import Amounts
from gpucost.core.timeline import Interval, Timeline

FIELDS = Amounts._fields
"""Order of the numbers in `Charge.values`: that of `Amounts`."""

IDLE = ""
"""Pod UID of what nobody holds."""

STRANDED = "stranded"
"""Pod UID of what nobody can be given; Kubernetes makes no such UID."""

NOBODY = frozenset({IDLE, STRANDED})

_MIB = 1 << 20

_SPOT, _ON_DEMAND = CapacityType.SPOT, CapacityType.ON_DEMAND


class Charge(NamedTuple):
    """What one pod (or `NOBODY`: idling, stranded) owes for one node in (part of) one hour under one capacity type."""

    hour: Instant
    node_uid: str
    pod_uid: str
    capacity_type: CapacityType
    values: tuple[int, ...]

    @property
    def amounts(self) -> Amounts:
        """The numbers by name."""
        return Amounts._make(self.values)


@dataclass(frozen=True, slots=True)
class Booking:
    """One unit: a node in (part of) an hour."""

    node_uid: str
    hour: Instant
    cost: Pico
    """What the node cost, integrated from its prices alone."""
    charges: tuple[Charge, ...]

    @property
    def difference(self) -> Pico:
        """Cost of the node less the sum of the parts; not 0 is a defect."""
        return self.cost - sum(charge.values[0] for charge in self.charges)


def hours(span: Interval) -> Iterator[Interval]:
    """Cut a span at full UTC hours: the units in which cost is booked."""
    start = span.start
    while start < span.end:
        end = min(floor_to(start, HOUR) + HOUR, span.end)
        yield Interval(start, end)
        start = end


def book(lane: Lane, prices: Timeline[PriceFact], activities: Mapping[str, Activity], span: Interval) -> Booking:
    """Book one unit: `span` lies within one UTC hour and within the lane.

    Money is rounded half to even once for the unit; a pod's activity is counted in millionths.
    """
    tallies = [*_held(lane, activities, span), *unheld(lane, lane.over(*span))]
    parts = [tally.parts for tally in tallies]
    booked = iter(apportion_over(list(chain.from_iterable(parts)), lane.denominator * PPM))
    hour, uid, denominator = floor_to(span.start, HOUR), lane.node.uid, lane.denominator
    charges = tuple(
        Charge(hour, uid, tally.pod_uid, tally.capacity_type, tally.values(list(islice(booked, len(own))), denominator))
        for tally, own in zip(tallies, parts, strict=True)
    )
    return Booking(uid, hour, booked_cost(lane.node, prices, span), charges)


class _Tally:
    """Running sums of one charge before rounding; money as numerators over the lane's denominator."""

    __slots__ = (
        "active",
        "active_time",
        "capacity_type",
        "cpu",
        "gpu",
        "known",
        "known_time",
        "memory",
        "money",
        "pod_uid",
        "savings",
        "time",
        "unpriced",
    )

    def __init__(self, pod_uid: str, capacity_type: CapacityType) -> None:
        self.pod_uid, self.capacity_type = pod_uid, capacity_type
        self.money = self.known = self.active = 0
        self.time = self.unpriced = 0
        self.known_time: Gpus = 0
        self.active_time: Gpus = 0
        self.gpu: Gpus = 0
        self.cpu = self.memory = 0
        self.savings: dict[Fraction, int] = {}

    @property
    def parts(self) -> tuple[int, ...]:
        """Money by what it paid for: one part, or active, held and unknown for whoever holds GPUs."""
        if self.pod_uid in NOBODY or not self.gpu:
            return (self.money * PPM,)
        return (self.active, self.known * PPM - self.active, (self.money - self.known) * PPM)

    def saved(self, denominator: int) -> int:
        """What the same time on demand would have cost more."""
        return sum(divide(r.numerator * money, r.denominator * denominator) for r, money in self.savings.items())

    def values(self, money: list[int], denominator: int) -> tuple[int, ...]:
        """The numbers of the charge, in the order of `FIELDS`."""
        if len(money) == 3:
            active, held, unknown = money
            cost, other = active + held + unknown, 0
        else:
            cost, active, held, unknown = money[0], 0, 0, 0
            other = cost if self.pod_uid not in NOBODY else 0
        return (
            cost,
            active,
            held,
            unknown,
            other,
            cost if self.capacity_type is _SPOT else 0,
            cost if self.capacity_type is _ON_DEMAND else 0,
            _whole(self.gpu) if self.gpu else 0,
            _millionth(self.active_time) if self.active_time else 0,
            _whole(self.known_time) if self.known_time else 0,
            self.cpu,
            (self.memory + _MIB // 2) // _MIB,
            self.time,
            self.unpriced,
            self.saved(denominator) if self.savings else 0,
        )


def _whole(amount: Gpus) -> int:
    """GPU-microseconds are stored whole: parts of a GPU rarely come out even."""
    return amount if isinstance(amount, int) else half_even(Fraction(amount))


def _millionth(amount: Gpus) -> int:
    """A millionth, rounded half to even; without rational arithmetic where the amount is whole, as it mostly is."""
    if not isinstance(amount, int):
        return half_even(Fraction(amount, PPM))
    return divide(amount, PPM)


def _held(lane: Lane, activities: Mapping[str, Activity], span: Interval) -> Iterable[_Tally]:
    """What the pods hold: a pod whose needs change stays several times, and owes one sum."""
    parts = list(lane.over(*span))
    if len(parts) == 1:
        return _steady(lane, activities, *parts[0])
    tallies: dict[tuple[str, CapacityType], _Tally] = {}
    for stay in lane.stays:
        start, end = max(stay.start, span.start), min(stay.end, span.end)
        if start >= end:
            continue
        activity = activities.get(stay.pod.uid) if stay.needs.gpus else None
        for stretch, first, last in lane.over(start, end):
            kind = lane.capacity_type(stretch)
            tally = tallies.get((stay.pod.uid, kind))
            if tally is None:
                tally = tallies[stay.pod.uid, kind] = _Tally(stay.pod.uid, kind)
            _stay(tally, stay, stretch, last - first)
            if activity is not None:
                _activity(tally, stay, stretch, activity.integral(first, last))
    return tallies.values()


def _steady(
    lane: Lane, activities: Mapping[str, Activity], stretch: Stretch, first: Instant, last: Instant
) -> Iterable[_Tally]:
    """As `_held` within one stretch, as most nodes are most of the time: whoever is there stays for all of it, once."""
    kind, length, weight = lane.capacity_type(stretch), last - first, stretch.weight
    ratio = stretch.saving if kind is CapacityType.SPOT else None
    for stay in lane.stays:
        if stay.start > first or stay.end < last:
            continue
        uid, needs = stay.pod.uid, stay.needs
        tally = _Tally(uid, kind)
        money = weight * stay.units * length
        tally.time, tally.money = length, money
        tally.gpu = needs.gpus * length
        tally.cpu = needs.cpu_milli * length
        tally.memory = needs.memory * length
        tally.unpriced = 0 if weight else length
        if ratio:
            tally.savings[ratio] = money
        activity = activities.get(uid) if needs.gpus else None
        if activity is not None:
            _activity(tally, stay, stretch, activity.integral(first, last))
        yield tally


def _stay(tally: _Tally, stay: Stay, stretch: Stretch, length: Micros) -> None:
    needs, money = stay.needs, stretch.weight * stay.units * length
    tally.time += length
    tally.money += money
    tally.gpu += needs.gpus * length
    tally.cpu += needs.cpu_milli * length
    tally.memory += needs.memory * length
    if not stretch.weight:
        tally.unpriced += length
    if tally.capacity_type is _SPOT and (ratio := stretch.saving):
        tally.savings[ratio] = tally.savings.get(ratio, 0) + money


def _activity(tally: _Tally, stay: Stay, stretch: Stretch, measured: tuple[Micros, int]) -> None:
    (known, active), rate = measured, stretch.weight * stay.units
    tally.known += rate * known
    tally.active += rate * active
    tally.known_time += stay.needs.gpus * known
    tally.active_time += stay.needs.gpus * active


def unheld(lane: Lane, parts: Iterable[tuple[Stretch, Instant, Instant]]) -> Iterator[_Tally]:
    """What nobody holds, and what nobody can be given; time counts while there is some of it."""
    tallies: dict[tuple[str, CapacityType], _Tally] = {}
    for stretch, first, last in parts:
        kind, length = lane.capacity_type(stretch), last - first
        if stretch.demand < stretch.room:
            tally = tallies.setdefault((IDLE, kind), _Tally(IDLE, kind))
            tally.money += stretch.weight * (stretch.room - stretch.demand) * length
            _free(tally, stretch, length)
            _elapsed(tally, stretch, length)
        stranded = stretch.node.stranded_gpus
        if stranded or stretch.room < lane.unit:
            tally = tallies.setdefault((STRANDED, kind), _Tally(STRANDED, kind))
            tally.money += stretch.lost * length
            tally.gpu += stranded * length
            _elapsed(tally, stretch, length)
    yield from tallies.values()


def _elapsed(tally: _Tally, stretch: Stretch, length: Micros) -> None:
    tally.time += length
    tally.unpriced += 0 if stretch.weight else length


def _free(tally: _Tally, stretch: Stretch, length: Micros) -> None:
    node, used = stretch.node, stretch.used
    size = node.capacity
    gpus = (node.physical_gpus or size.gpus) - node.stranded_gpus
    tally.gpu += max(0, gpus - used.gpus) * length
    tally.cpu += max(0, size.cpu_milli - used.cpu_milli) * length
    tally.memory += max(0, size.memory - used.memory) * length


def hourly(lane: Lane, at: Instant) -> dict[str, Pico | None]:
    """What each pod on the node, idling and what is stranded cost per hour at an instant; None without a price.

    The rates add up to the node's price.
    """
    stretch = next((s for s, _, _ in lane.over(at, at + 1)), None)
    if stretch is None:
        return {}
    stays = [stay for stay in lane.stays if stay.start <= at < stay.end]
    uids = [*(stay.pod.uid for stay in stays), IDLE]
    parts = [stay.units * stretch.weight * HOUR for stay in stays]
    parts.append(max(0, stretch.room - stretch.demand) * stretch.weight * HOUR)
    if stretch.room < lane.unit:
        uids.append(STRANDED)
        parts.append(stretch.lost * HOUR)
    if not stretch.priced:
        return dict.fromkeys(uids)
    return dict(zip(uids, apportion_over(parts, lane.denominator), strict=True))
