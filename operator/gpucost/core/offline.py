"""The arithmetic of `gpucost allocate`: exact shares of nodes over a window, fast enough for 200,000 pods and more.

It is the ledger's arithmetic (see `core.allocate`) in another shape. The ledger keeps stretches, because it explains
and corrects them; here nobody asks twice, so a node is swept once. Let `W(t)` be what one unit of share has cost up to
`t`: a pod that holds `u` units over `[a, b)` owes `u * (W(b) - W(a))`, however many prices and neighbours came and went
in between. So a node with `n` cuts and `p` pods takes `O((n + p) log n)`.

All numbers are integers. The money of a node is counted over one denominator, that of its shares and prices; nodes with
the same one share a `Purse`, and rows are brought to a common denominator only at the end (`core.offline_report`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import gcd, lcm

from gpucost.core.clock import HOUR, Instant, Micros
from gpucost.core.shares import Scale

PRICE_UNIT = 10**9
"""Prices per hour are integers of this part of the currency unit, or of a finer one (`Ground.price_unit`)."""

ACTIVE = 10**9
"""Activity is an integer of this: a GPU that computed all the time has as much."""

UNKNOWN = -1
"""Activity that nobody measured."""

_EXACT_BITS = 4096
_FINE = 1 << 256
"""Where common denominators would grow beyond `_EXACT_BITS`, this one is used: off by less than 10^-60."""

Hold = tuple[Instant, Instant, int, int, int, int, int, int]
"""One pod's unchanging hold on a node: start, end, units of share, GPUs (in 1/grain), CPU, memory, activity, row."""


def common_denominator(denominators: Sequence[int]) -> int:
    """Least common multiple, or a very fine denominator where that is unwieldy."""
    common = 1
    for denominator in denominators:
        common = lcm(common, denominator)
        if common.bit_length() > _EXACT_BITS:
            return _FINE
    return common


@dataclass(slots=True)
class Ground:
    """One node over its life within the window."""

    start: Instant
    end: Instant
    scale: Scale
    prices: list[tuple[Instant, int]]
    """From when, and how much per hour in 1/price_unit; in order; 0 is unpriced."""
    price_unit: int
    physical: int
    """GPUs, as all that follow in 1/grain."""
    holdable: int
    """GPUs that count as idle when nobody holds them."""
    stranded: int
    capacity: int


@dataclass(slots=True)
class Purse:
    """Money over one denominator."""

    rows: dict[int, list[int]] = field(default_factory=dict)
    """By row: cost of measured GPUs, of that the active part (times `ACTIVE`), of unmeasured GPUs, of no GPUs."""
    idle: int = 0
    stranded: int = 0
    total: int = 0
    """Integrated from the nodes' prices alone."""
    difference: int = 0


@dataclass(slots=True)
class Row:
    """What a row held; times are microseconds."""

    gpu: int = 0
    cpu: int = 0
    memory: int = 0
    held: Micros = 0
    unpriced: Micros = 0
    measured: int = 0
    """GPU time whose activity is known."""
    active: int = 0
    """Of that the active part, times `ACTIVE`."""


@dataclass(slots=True)
class Books:
    """Sums over all nodes; `rows` is indexed as in `Hold`."""

    rows: list[Row]
    purses: dict[int, Purse] = field(default_factory=dict)
    total_gpu: int = 0
    idle_gpu: int = 0
    stranded_gpu: int = 0

    def book(self, ground: Ground, holds: Sequence[Hold]) -> None:
        """Add a node and everything that was held on it (clipped to the node's life and the window)."""
        cuts, demand = _running(ground, holds, 2)
        paid = _integral(cuts, ground.prices)
        unit, room = ground.scale.unit, ground.scale.unit - ground.scale.stranded
        worth, scale = _worth(demand, paid, room)
        purse = self._purse(unit * scale * ground.price_unit * HOUR)
        priced = _priced_time(cuts, ground.prices)
        spent = self._spend(purse, holds, dict(zip(cuts, worth, strict=True)), priced)
        idle = _idle(demand, paid, room) * scale
        stranded = ground.scale.stranded * (paid[-1] - paid[0]) * scale
        total = node_cost(ground) * unit * scale
        purse.idle += idle
        purse.stranded += stranded
        purse.total += total
        purse.difference += total - spent - idle - stranded
        self._gpus(ground, holds)

    def _purse(self, denominator: int) -> Purse:
        purse = self.purses.get(denominator)
        if purse is None:
            purse = self.purses[denominator] = Purse()
        return purse

    def _spend(
        self, purse: Purse, holds: Sequence[Hold], at: dict[Instant, int], priced: dict[Instant, int] | None
    ) -> int:
        """Charge what is held; returns the sum."""
        rows, sums, spent = self.rows, purse.rows, 0
        for start, end, units, gpus, cpu, memory, activity, number in holds:
            cost = units * (at[end] - at[start])
            spent += cost
            length = end - start
            row = rows[number]
            row.held += length
            if priced is not None:
                row.unpriced += length - (priced[end] - priced[start])
            row.cpu += cpu * length
            row.memory += memory * length
            money = sums.get(number)
            if money is None:
                money = sums[number] = [0, 0, 0, 0]
            if not gpus:
                money[3] += cost
                continue
            time = gpus * length
            row.gpu += time
            if activity == UNKNOWN:
                money[2] += cost
                continue
            money[0] += cost
            money[1] += cost * activity
            row.measured += time
            row.active += time * activity
        return spent

    def _gpus(self, ground: Ground, holds: Sequence[Hold]) -> None:
        """GPU time of the node, and of it what nobody held or could hold."""
        length = ground.end - ground.start
        self.total_gpu += ground.physical * length
        self.stranded_gpu += ground.stranded * length
        if ground.capacity <= ground.holdable:  # then what is held is never more than what counts
            self.idle_gpu += ground.holdable * length - sum(hold[3] * (hold[1] - hold[0]) for hold in holds)
            return
        cuts, held = _running(ground, holds, 3)
        self.idle_gpu += sum(
            max(0, ground.holdable - amount) * (cuts[i + 1] - cuts[i]) for i, amount in enumerate(held[:-1])
        )


def node_cost(ground: Ground) -> int:
    """Cost of a whole node from its prices alone, in 1/price_unit per hour times microseconds: the yardstick."""
    total, until = 0, ground.end
    for start, hourly in reversed(ground.prices):
        if start < until:
            since = start if start > ground.start else ground.start
            total += hourly * (until - since)
            until = since
    return total


def _running(ground: Ground, holds: Sequence[Hold], what: int) -> tuple[list[Instant], list[int]]:
    """When the sum of one amount of the holds changes, and what it is from then on."""
    changes = {ground.start: 0, ground.end: 0}
    known = changes.get
    for hold in holds:
        start, end, amount = hold[0], hold[1], hold[what]
        changes[start] = known(start, 0) + amount
        changes[end] = known(end, 0) - amount
    cuts = sorted(changes)
    return cuts, list(accumulate(map(changes.__getitem__, cuts)))


def _integral(cuts: Sequence[Instant], steps: Sequence[tuple[Instant, int]]) -> list[int]:
    """What a stepwise value adds up to from before all cuts until each of them; before its first step it is 0."""
    total, value, at, number = 0, 0, cuts[0], 0
    sums: list[int] = []
    for cut in cuts:
        while number < len(steps) and steps[number][0] < cut:
            since = steps[number][0]
            if since > at:
                total += value * (since - at)
                at = since
            value = steps[number][1]
            number += 1
        total += value * (cut - at)
        at = cut
        sums.append(total)
    return sums


def _worth(demand: Sequence[int], paid: Sequence[int], room: int) -> tuple[list[int], int]:
    """What a unit of share has cost up to each cut, times a scale that makes it whole, and that scale."""
    if max(demand) <= room:
        return list(paid), 1
    scale = common_denominator([units // gcd(units, room) for units in set(demand) if units > room])
    total, before, sums = 0, 0, []
    each = scale
    for units, cost in zip(demand, paid, strict=True):
        total += each * (cost - before)
        sums.append(total)
        each, before = (scale if units <= room else room * scale // units), cost
    return sums, scale


def _idle(demand: Sequence[int], paid: Sequence[int], room: int) -> int:
    """Cost of the units that nobody asks for."""
    spans = zip(demand, paid, paid[1:], strict=False)
    return sum([(room - units) * (after - before) for units, before, after in spans if units < room])


def _priced_time(cuts: Sequence[Instant], prices: Sequence[tuple[Instant, int]]) -> dict[Instant, int] | None:
    """How much of the time up to each cut had a price; None when all of it had."""
    if prices and prices[0][0] <= cuts[0] and all(hourly for _, hourly in prices):
        return None
    sums = _integral(cuts, [(start, 1 if hourly else 0) for start, hourly in prices])
    return dict(zip(cuts, sums, strict=True))
