"""A price on offer and the layers that offers come in; the highest layer that has one for an instant decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from gpucost.core.clock import Instant
from gpucost.core.model import CapacityType
from gpucost.core.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Offer:
    """Price of a whole node per hour in `[start, end)`; 0 says that nobody knows."""

    hourly: Decimal
    source: str
    start: Instant = 0
    end: Instant | None = None
    final: bool = False
    """No discount applies to it."""

    def holds(self, instant: Instant) -> bool:
        """Whether it is on offer at an instant."""
        return self.start <= instant and (self.end is None or instant < self.end)


class Layer(Protocol):
    """Offers of one kind of source."""

    def at(self, instant: Instant) -> Offer | None:
        """The offer that counts at an instant, if there is one."""

    def cuts(self) -> Iterator[Instant]:
        """Instants at which that may change."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Offers that may overlap, the best first."""

    offers: tuple[Offer, ...]

    def at(self, instant: Instant) -> Offer | None:
        """The best one that holds."""
        return next((offer for offer in self.offers if offer.holds(instant)), None)

    def cuts(self) -> Iterator[Instant]:
        """Where one begins or ends."""
        for offer in self.offers:
            yield offer.start
            if offer.end is not None:
                yield offer.end


@dataclass(frozen=True, slots=True)
class Exported:
    """A price that somebody exports for a node or its like; each value holds until the next one."""

    source: str
    capacity_type: CapacityType
    steps: Timeline[Decimal]

    def at(self, instant: Instant) -> Offer | None:
        """The last price seen."""
        hourly = self.steps.at(instant)
        return None if hourly is None else Offer(hourly, self.source, instant)

    def cuts(self) -> Iterator[Instant]:
        """Where a new price was seen."""
        yield from self.steps.starts


def cuts_in(layers: Iterable[Layer], start: Instant, end: Instant | None) -> list[Instant]:
    """`start` and every instant in `[start, end)` at which a layer may change, in order."""
    found = {start, *(cut for layer in layers for cut in layer.cuts())}
    return sorted(cut for cut in found if cut >= start and (end is None or cut < end))
