"""What one node's bookings come to for groups of pods, without a charge for every pod.

A report of a moving window books two partial hours of every node anew, only to add the charges up. Here the numbers of
`booking.book` go straight to the sums of those they are for. The rounding is the same, of every pod on its own and of a
node's parts together, so it makes no difference which of the two a number came from; it is only several times as fast
where a node's hour is of one piece, as most are. `tests/property/test_quick_ways.py` holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from gpucost.core.activity import PPM, Activity
from gpucost.core.allocate import Lane, Look, Stretch, Tenant, booked_cost
from gpucost.core.booking import FIELDS, NOBODY, Booking, book, unheld
from gpucost.core.clock import Instant, Micros
from gpucost.core.model import CapacityType, PodFact, PriceFact
from gpucost.core.money import Pico, divide
from gpucost.core.timeline import Interval, Timeline

Sum = list[int]
"""Running totals in the order of `booking.FIELDS`."""


class Sink(NamedTuple):
    """Where charges are added up."""

    sums: Mapping[Any, Sum]
    """Sums of pods that are alike; one that is missing is made, as by a `defaultdict`."""
    look: Look
    """What makes pods alike."""
    nobody: Mapping[str, Sum]
    """The sums of what idled (`IDLE`) and of what was stranded (`STRANDED`)."""


_COST, _ACTIVE, _HELD, _UNKNOWN, _OTHER, _SPOT, _ON_DEMAND = range(7)
_GPU, _ACTIVE_GPU, _KNOWN_GPU, _CPU, _MEMORY, _TIME, _UNPRICED, _SAVED = range(7, len(FIELDS))
_PAID = {CapacityType.SPOT: _SPOT, CapacityType.ON_DEMAND: _ON_DEMAND}
_MEASURED = (_ACTIVE, _HELD)
_HALF_MIB = 1 << 19


def add_up(
    lane: Lane,
    prices: Timeline[PriceFact],
    activities: Mapping[str, Activity],
    span: Interval,
    sink: Sink,
) -> Pico:
    """Add what `book` would charge to the sums of those it is for; returns what the node cost by its prices alone."""
    steady = _only_stretch(lane, span)
    if steady is None:
        booking = book(lane, prices, activities, span)
        take(booking, {stay.pod.uid: stay.pod for stay in lane.stays}, sink)
        return booking.cost
    _Steady(lane, *steady).add_up(activities, sink)
    return booked_cost(lane.node, prices, span)


def take(booking: Booking, pods: Mapping[str, PodFact], sink: Sink) -> None:
    """Add charges that have been worked out to the sums of those they are for."""
    for _, _, uid, _, values in booking.charges:
        total = sink.nobody[uid] if uid in NOBODY else sink.sums[sink.look(pods[uid])]
        for index, value in enumerate(values):
            total[index] += value


def _only_stretch(lane: Lane, span: Interval) -> tuple[Stretch, Instant, Instant] | None:
    """The stretch that a span lies in, if it is one, and only whole GPUs are held in it."""
    parts = list(lane.over(*span))
    if len(parts) != 1 or not isinstance(parts[0][0].used.gpus, int):
        return None
    return parts[0]


class _Steady:
    """One node in a time in which nobody comes or goes; money as numerators over `denominator`."""

    __slots__ = ("denominator", "fields", "first", "lane", "last", "length", "owners", "paid", "remainders", "stretch")

    def __init__(self, lane: Lane, stretch: Stretch, first: Instant, last: Instant) -> None:
        self.lane, self.stretch, self.first, self.last = lane, stretch, first, last
        self.length: Micros = last - first
        self.denominator = lane.denominator * PPM
        self.paid = _PAID.get(lane.capacity_type(stretch), _COST)
        self.remainders: list[int] = []
        self.owners: list[Sum] = []
        self.fields: list[int] = []
        """Where the part of the money went that a remainder is of: a sum, and the field next to its cost."""

    def add_up(self, activities: Mapping[str, Activity], sink: Sink) -> None:
        """Add everything to the sums."""
        tenants = self.lane.tenants(self.stretch)
        totals = list(map(sink.sums.__getitem__, self.lane.owners(self.stretch, sink.look)))
        self._hold(tenants, totals)
        booked = self._pay(tenants, totals, activities) + self._unheld(sink.nobody)
        self._hand_out(booked)

    def _hold(self, tenants: Sequence[Tenant], totals: Sequence[Sum]) -> None:
        """Add what the pods hold of everything."""
        length, priced = self.length, self.stretch.weight > 0
        for (_, _, cpu, memory, gpus), total in zip(tenants, totals, strict=True):
            total[_TIME] += length
            total[_CPU] += cpu * length
            total[_MEMORY] += (memory * length + _HALF_MIB) >> 20
            if gpus:
                total[_GPU] += gpus * length
            if not priced:
                total[_UNPRICED] += length

    def _pay(self, tenants: Sequence[Tenant], totals: Sequence[Sum], activities: Mapping[str, Activity]) -> Pico:
        """Add the pods' money but the rest of the rounding, and whether GPUs computed; what it is, rounded down.

        Ten thousand times in a report: nothing is called or divided that need not be.
        """
        first, last, length, denominator = self.first, self.last, self.length, self.denominator
        paid, weight, saving = self.paid, self.stretch.weight, self._saving
        remainders, owners, fields = self.remainders, self.owners, self.fields
        booked, shared, rate, whole, rest = 0, -1, 0, 0, 0
        for (uid, units, _, _, gpus), total in zip(tenants, totals, strict=True):
            if units != shared:  # pods of a node often have the same share
                shared, rate = units, weight * units
                whole, rest = divmod(rate * length * PPM, denominator)
            if saving:
                total[_SAVED] += divide(saving.numerator * rate * length, saving.denominator * self.lane.denominator)
            activity = activities.get(uid) if gpus else None
            known, active = activity.integral(first, last) if activity is not None else (0, 0)
            if known:
                total[_KNOWN_GPU] += gpus * known
                total[_ACTIVE_GPU] += divide(gpus * active, PPM)
            if known == length:
                money, cut = divmod(rate * active, denominator)
                held, other = whole - money, rest - cut  # what is left of `whole` and `rest`, without a division
                if other < 0:
                    held, other = held - 1, other + denominator
                total[_ACTIVE] += money
                total[_HELD] += held
                remainders += (cut, other)
                owners += (total, total)
                fields += _MEASURED
                money += held
            elif known:
                money = self._measured(total, rate, known, active)
            else:
                money, field = whole, _UNKNOWN if gpus else _OTHER
                total[field] += money
                remainders.append(rest)
                owners.append(total)
                fields.append(field)
            total[_COST] += money
            if paid:
                total[paid] += money
            booked += money
        return booked

    @property
    def _saving(self) -> Fraction | None:
        return self.stretch.saving if self.paid == _SPOT else None

    def _measured(self, total: Sum, rate: int, known: Micros, active: int) -> Pico:
        """Add the money of GPUs of which it is known for a part of the time whether they computed."""
        return (
            self._part(total, _ACTIVE, rate * active)
            + self._part(total, _HELD, rate * (known * PPM - active))
            + self._part(total, _UNKNOWN, rate * (self.length - known) * PPM)
        )

    def _unheld(self, nobody: Mapping[str, Sum]) -> Pico:
        """As `_pay`, of what idles and what is stranded."""
        booked = 0
        for tally in unheld(self.lane, [(self.stretch, self.first, self.last)]):
            total = nobody[tally.pod_uid]
            money = self._part(total, _COST, tally.money * PPM)
            if self.paid:
                total[self.paid] += money
            for index, value in enumerate(tally.values([0], self.lane.denominator)):
                total[index] += value
            booked += money
        return booked

    def _part(self, total: Sum, field: int, numerator: int) -> Pico:
        """Add a part of the money, rounded down, and remember what was cut off."""
        whole, rest = divmod(numerator, self.denominator)
        total[field] += whole
        self.remainders.append(rest)
        self.owners.append(total)
        self.fields.append(field)
        return whole

    def _hand_out(self, booked: Pico) -> None:
        """Hand out what was cut off by largest remainder, as `money.apportion_over` does.

        A part without a remainder need not be among them: there are never more units than parts that have one.
        """
        missing, rest = divmod(sum(self.remainders), self.denominator)
        if 2 * rest > self.denominator or (2 * rest == self.denominator and (booked + missing) % 2):
            missing += 1
        if not missing:
            return
        order = sorted(range(len(self.remainders)), key=self.remainders.__getitem__, reverse=True)  # ties: the earlier
        paid = self.paid
        for index in order[:missing]:
            total, field = self.owners[index], self.fields[index]
            total[_COST] += 1
            if field != _COST:
                total[field] += 1
            if paid:
                total[paid] += 1
