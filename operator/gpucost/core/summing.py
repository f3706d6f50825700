"""What one node's bookings come to for groups of pods, without a charge for every pod.

A report of a moving window books two partial hours of every node anew, only to add the charges up. Here the numbers of
`booking.book` go straight to the sums of those they are for. The rounding is the same, of every pod on its own and of a
node's parts together, so it makes no difference which of the two a number came from; it is only several times as fast
where a node's hour is of one piece, as most are. `tests/property/test_summing.py` holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gpucost.core.activity import PPM, Activity
from gpucost.core.allocate import Lane, Stretch, booked_cost
from gpucost.core.booking import FIELDS, NOBODY, Booking, book, unheld
from gpucost.core.clock import Instant, Micros
from gpucost.core.model import CapacityType, PodFact, PriceFact
from gpucost.core.money import Pico, divide
from gpucost.core.timeline import Interval, Timeline

Sum = list[int]
"""Running totals in the order of `booking.FIELDS`."""


class Sink(NamedTuple):
    """Where charges are added up."""

    whose: Callable[[PodFact], Sum]
    """The sum that a pod's charges belong to."""
    nobody: Mapping[str, Sum]
    """The sums of what idled (`IDLE`) and of what was stranded (`STRANDED`)."""


_COST, _ACTIVE, _HELD, _UNKNOWN, _OTHER, _SPOT, _ON_DEMAND = range(7)
_GPU, _ACTIVE_GPU, _KNOWN_GPU, _CPU, _MEMORY, _TIME, _UNPRICED, _SAVED = range(7, len(FIELDS))
_PAID = {CapacityType.SPOT: _SPOT, CapacityType.ON_DEMAND: _ON_DEMAND}
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
        total = sink.nobody[uid] if uid in NOBODY else sink.whose(pods[uid])
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

    __slots__ = ("denominator", "first", "lane", "last", "length", "paid", "places", "remainders", "stretch")

    def __init__(self, lane: Lane, stretch: Stretch, first: Instant, last: Instant) -> None:
        self.lane, self.stretch, self.first, self.last = lane, stretch, first, last
        self.length: Micros = last - first
        self.denominator = lane.denominator * PPM
        self.paid = _PAID.get(lane.capacity_type(stretch), _COST)
        self.remainders: list[int] = []
        self.places: list[tuple[Sum, int]] = []
        """Where a part of the money went: a sum, and the field next to its cost (the cost itself if there is none)."""

    def add_up(self, activities: Mapping[str, Activity], sink: Sink) -> None:
        """Add everything to the sums."""
        booked = self._pods(activities, sink.whose) + self._unheld(sink.nobody)
        self._hand_out(booked)

    def _pods(self, activities: Mapping[str, Activity], whose: Callable[[PodFact], Sum]) -> Pico:
        """Add all of the pods but the rest of the rounding; what their money comes to, rounded down.

        Ten thousand times in a report: nothing is called that need not be.
        """
        first, last, length, paid, denominator = self.first, self.last, self.length, self.paid, self.denominator
        weight, saving = self.stretch.weight, self.stretch.saving if self.paid == _SPOT else None
        unpriced = 0 if weight else length
        booked = 0
        for stay in self.lane.stays:
            if stay.start > first or stay.end < last:
                continue
            needs, rate, total = stay.needs, weight * stay.units, whose(stay.pod)
            total[_TIME] += length
            total[_CPU] += needs.cpu_milli * length
            total[_MEMORY] += (needs.memory * length + _HALF_MIB) >> 20
            if unpriced:
                total[_UNPRICED] += unpriced
            if saving:
                total[_SAVED] += divide(saving.numerator * rate * length, saving.denominator * self.lane.denominator)
            gpus: int = needs.gpus  # type: ignore[assignment]
            known = active = 0
            if gpus:
                total[_GPU] += gpus * length
                activity = activities.get(stay.pod.uid)
                if activity is not None:
                    known, active = activity.integral(first, last)
            if not known:
                money = self._part(total, _UNKNOWN if gpus else _OTHER, rate * length * PPM)
            else:
                total[_KNOWN_GPU] += gpus * known
                total[_ACTIVE_GPU] += divide(gpus * active, PPM)
                computed = rate * active
                money, rest = divmod(computed, denominator)
                total[_ACTIVE] += money
                held, other = divmod(rate * known * PPM - computed, denominator)
                total[_HELD] += held
                money += held
                self.remainders += (rest, other)
                self.places += ((total, _ACTIVE), (total, _HELD))
                if known != length:
                    money += self._part(total, _UNKNOWN, rate * (length - known) * PPM)
            total[_COST] += money
            if paid:
                total[paid] += money
            booked += money
        return booked

    def _unheld(self, nobody: Mapping[str, Sum]) -> Pico:
        """As `_pods`, of what idles and what is stranded."""
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
        self.places.append((total, field))
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
        for index in order[:missing]:
            total, field = self.places[index]
            for place in {_COST, field, self.paid}:
                total[place] += 1
