"""At which price a node stood in a period: what a row of the FOCUS export tells as unit prices.

One price of a period is told as it was written. Where it changed, the mean over the priced time is told, because a unit
price has to be the same in every row of an origin, and price x quantity has to give the cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from gpucost.core.clock import Instant, Micros
from gpucost.core.focus_columns import PLACES
from gpucost.core.model import CapacityType, PriceFact
from gpucost.core.money import PICO, half_even
from gpucost.core.timeline import Interval, Timeline

_ZERO = Decimal(0)
_QUANTUM = Decimal(1).scaleb(-PLACES)


@dataclass(frozen=True, slots=True)
class Terms:
    """Time with and without a price, and prices of the whole node per hour."""

    priced: Micros = 0
    unpriced: Micros = 0
    contracted: Decimal = _ZERO
    """Price before any commitment: what was paid, but of reserved nodes the on-demand price where it is known."""
    listed: Decimal = _ZERO
    """On-demand price where it is known, else what was paid."""


@dataclass
class _Mean:
    """A price over time."""

    total: Fraction = Fraction(0)
    time: Micros = 0
    values: set[Decimal] = field(default_factory=set)

    def take(self, price: Decimal, time: Micros) -> None:
        self.total += Fraction(price) * time
        self.time += time
        self.values.add(price)

    @property
    def value(self) -> Decimal:
        if len(self.values) == 1:
            return next(iter(self.values)).quantize(_QUANTUM, ROUND_HALF_EVEN)
        return Decimal(half_even(self.total / self.time * PICO)).scaleb(-PLACES) if self.time else _ZERO


@dataclass
class _Draft:
    unpriced: Micros = 0
    paid: _Mean = field(default_factory=_Mean)
    listed: _Mean = field(default_factory=_Mean)


def terms(
    start: Instant, end: Instant | None, own: CapacityType, prices: Timeline[PriceFact], period: Interval
) -> dict[CapacityType, Terms]:
    """Terms of a thing that lived in `[start, end)`, by how it was paid for in a period.

    `own` is how it is paid for while nobody knows a price.
    """
    drafts: dict[CapacityType, _Draft] = {}
    for part, price in _stretches(start, end, prices, period):
        draft = drafts.setdefault(own if price is None else price.capacity_type, _Draft())
        if price is None or not price.hourly:
            draft.unpriced += part.length
        else:
            draft.paid.take(price.hourly, part.length)
            draft.listed.take(price.on_demand or price.hourly, part.length)
    return {kind: _finished(kind, draft) for kind, draft in drafts.items()}


def _stretches(
    start: Instant, end: Instant | None, prices: Timeline[PriceFact], period: Interval
) -> Iterator[tuple[Interval, PriceFact | None]]:
    alive = period.clip(start, period.end if end is None else end)
    return iter(()) if alive is None else prices.segments(*alive)


def _finished(kind: CapacityType, draft: _Draft) -> Terms:
    paid, listed = draft.paid.value, draft.listed.value
    return Terms(
        priced=draft.paid.time,
        unpriced=draft.unpriced,
        contracted=listed if kind is CapacityType.RESERVED else paid,
        listed=listed,
    )
