"""From exact shares to booked money: one node in one UTC hour is rounded once, and its parts together.

The sum of what the parts come to is rounded to pico-units and handed out by largest remainder, so the parts of a unit
add up without a rest. What the node itself cost is integrated from its prices alone (`allocate.node_cost`): the
difference between the two is a real check of the arithmetic, exported as `gpucost_conservation_difference`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import NamedTuple

from gpucost.core.activity import PPM, Activity
from gpucost.core.allocate import Lane, Stay, node_cost
from gpucost.core.clock import HOUR, Instant, floor_to
from gpucost.core.model import CapacityType, PriceFact
from gpucost.core.money import Pico, apportion_over, half_even
from gpucost.core.report import Amounts
from gpucost.core.timeline import Interval, Timeline

FIELDS = tuple(field.name for field in fields(Amounts))
"""Order of the numbers in `Charge.values`: that of `Amounts`."""

IDLE = ""
"""Pod UID of what nobody holds."""

_MIB = 1 << 20


class Charge(NamedTuple):
    """What one pod (or idling, `IDLE`) owes for one node in (part of) one hour under one capacity type."""

    hour: Instant
    node_uid: str
    pod_uid: str
    capacity_type: CapacityType
    values: tuple[int, ...]

    @property
    def amounts(self) -> Amounts:
        """The numbers by name."""
        return Amounts(*self.values)


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
    tallies = [tally for stay in lane.stays for tally in _stay(lane, stay, activities, span)]
    tallies += _idle(lane, span)
    numerators = [part for tally in tallies for part in tally.parts]
    booked = iter(apportion_over(numerators, lane.denominator * PPM))
    hour, uid = floor_to(span.start, HOUR), lane.node.uid
    charges = tuple(
        Charge(
            hour,
            uid,
            tally.pod_uid,
            tally.capacity_type,
            tally.values([next(booked) for _ in tally.parts], lane.denominator),
        )
        for tally in tallies
    )
    return Booking(uid, hour, half_even(node_cost(lane.node, prices, span)), charges)


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
        self.time = self.unpriced = self.known_time = self.active_time = 0
        self.gpu = self.cpu = self.memory = 0
        self.savings: dict[Fraction, int] = {}

    @property
    def parts(self) -> tuple[int, ...]:
        """Money by what it paid for: one part, or active, held and unknown for whoever holds GPUs."""
        if self.pod_uid == IDLE or not self.gpu:
            return (self.money * PPM,)
        return (self.active, self.known * PPM - self.active, (self.money - self.known) * PPM)

    def saved(self, denominator: int) -> int:
        """What the same time on demand would have cost more."""
        return sum(half_even(ratio * Fraction(money, denominator)) for ratio, money in self.savings.items())

    def values(self, money: list[int], denominator: int) -> tuple[int, ...]:
        """The numbers of the charge, in the order of `FIELDS`."""
        cost = sum(money)
        active, held, unknown = money if len(money) == 3 else (0, 0, 0)
        return (
            cost,
            active,
            held,
            unknown,
            cost if len(money) == 1 and self.pod_uid != IDLE else 0,
            cost if self.capacity_type is CapacityType.SPOT else 0,
            cost if self.capacity_type is CapacityType.ON_DEMAND else 0,
            self.gpu,
            (self.active_time + PPM // 2) // PPM,
            self.known_time,
            self.cpu,
            (self.memory + _MIB // 2) // _MIB,
            self.time,
            self.unpriced,
            self.saved(denominator) if self.savings else 0,
        )


def _stay(lane: Lane, stay: Stay, activities: Mapping[str, Activity], span: Interval) -> list[_Tally]:
    start, end = max(stay.start, span.start), min(stay.end, span.end)
    if start >= end:
        return []
    needs = stay.pod.requests
    activity = activities.get(stay.pod.uid) if needs.gpus else None
    tallies: dict[CapacityType, _Tally] = {}
    for stretch, first, last in lane.over(start, end):
        kind = lane.capacity_type(stretch)
        tally = tallies.get(kind)
        if tally is None:
            tally = tallies[kind] = _Tally(stay.pod.uid, kind)
        length, rate = last - first, stretch.weight * stay.units
        tally.time += length
        tally.money += rate * length
        if not stretch.weight:
            tally.unpriced += length
        if kind is CapacityType.SPOT and (ratio := stretch.saving):
            tally.savings[ratio] = tally.savings.get(ratio, 0) + rate * length
        if activity is not None:
            known, active = activity.integral(first, last)
            tally.known += rate * known
            tally.active += rate * active
            tally.known_time += needs.gpus * known
            tally.active_time += needs.gpus * active
    for tally in tallies.values():
        tally.gpu, tally.cpu, tally.memory = (
            needs.gpus * tally.time,
            needs.cpu_milli * tally.time,
            needs.memory * tally.time,
        )
    return list(tallies.values())


def _idle(lane: Lane, span: Interval) -> list[_Tally]:
    """What nobody holds; time counts while there is some of it."""
    size = lane.node.capacity
    tallies: dict[CapacityType, _Tally] = {}
    for stretch, first, last in lane.over(*span):
        free = lane.unit - stretch.demand
        if free <= 0:
            continue
        kind = lane.capacity_type(stretch)
        tally = tallies.setdefault(kind, _Tally(IDLE, kind))
        length = last - first
        tally.money += stretch.weight * free * length
        tally.time += length
        tally.unpriced += 0 if stretch.weight else length
        tally.gpu += max(0, size.gpus - stretch.used.gpus) * length
        tally.cpu += max(0, size.cpu_milli - stretch.used.cpu_milli) * length
        tally.memory += max(0, size.memory - stretch.used.memory) * length
    return list(tallies.values())


def hourly(lane: Lane, at: Instant) -> dict[str, Pico | None]:
    """What each pod on the node, and idling (`IDLE`), costs per hour at an instant; None without a price.

    The rates add up to the node's price.
    """
    stretch = next((s for s, _, _ in lane.over(at, at + 1)), None)
    if stretch is None:
        return {}
    stays = [stay for stay in lane.stays if stay.start <= at < stay.end]
    uids = [*(stay.pod.uid for stay in stays), IDLE]
    if not stretch.priced:
        return dict.fromkeys(uids)
    free = max(0, lane.unit - stretch.demand)
    parts = [units * stretch.weight * HOUR for units in (*(stay.units for stay in stays), free)]
    return dict(zip(uids, apportion_over(parts, lane.denominator), strict=True))
