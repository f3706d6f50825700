"""What an endpoint's replicas have cost, and what they would have cost otherwise, hour by hour.

Four courses beside the real one: the number of before the operator took over; as many all the time as were ever needed
at once (the static peak, which is known only in the end); an HPA at its defaults (`shadow`); and, while nothing is
applied, what is recommended. All are integrated from the same looks at the same prices, only over time in which the
number and its price were known, and none of them is counted in which nobody looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from gpucost.core.clock import HOUR, MINUTE, Instant, Micros, floor_to
from gpucost.core.money import Pico

LONGEST: Micros = 2 * MINUTE
"""How long a look holds: what came after it when nobody looked again is not known."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is true of an endpoint from an instant on, until the next look."""

    at: Instant
    replicas: int
    """That exist, or will in a moment: `spec.replicas` of the workload."""
    hourly: Pico | None
    """What one replica costs per hour; None: nobody knows."""
    applied: bool
    """Whether the operator sets the number (mode Auto)."""
    before: int | None = None
    """How many there were when it took over."""
    wanted: int | None = None
    """How many would do; None: the load is not known."""
    hpa: int | None = None
    """How many an HPA would have; None: the load is not known."""


@dataclass(frozen=True, slots=True)
class Hour:
    """One endpoint in one UTC hour, in one mode; money in pico-units."""

    hour: Instant
    applied: bool
    known: Micros = 0
    """Time that is counted."""
    paid: Pico = 0
    """For the replicas that there were."""
    unit: Pico = 0
    """For one replica all that time."""
    before_paid: Pico = 0
    """What was paid in the time in which `before` is known."""
    before: Pico = 0
    wanted_time: Micros = 0
    wanted_paid: Pico = 0
    """What was paid in the time in which `wanted` is known."""
    wanted: Pico = 0
    hpa_paid: Pico = 0
    """What was paid in the time in which `hpa` is known."""
    hpa: Pico = 0
    most: int = 0
    """Most replicas that were wanted at once."""

    def __add__(self, other: Hour) -> Hour:
        """Both together, from the earlier one's hour on."""
        names = ("known", "paid", "unit", "before_paid", "before", "wanted_time", "wanted_paid", "wanted")
        sums = {name: getattr(self, name) + getattr(other, name) for name in (*names, "hpa_paid", "hpa")}
        return replace(self, hour=min(self.hour, other.hour), most=max(self.most, other.most), **sums)


@dataclass(frozen=True, slots=True)
class Compared:
    """What was saved in a window against each other course; None: nothing is known to compare with."""

    known: Micros
    paid: Pico
    against_before: Pico | None
    against_peak: Pico | None
    against_hpa: Pico | None
    possible: Pico | None
    """What following the recommendation would have saved, while nobody applied it."""
    possible_time: Micros


def stretches(look: Look, until: Instant) -> Iterator[Hour]:
    """What a look adds to the hours, up to the next one."""
    end, start = min(until, look.at + LONGEST), look.at
    while start < end and look.hourly is not None:
        hour = floor_to(start, HOUR)
        stop = min(end, hour + HOUR)
        unit = look.hourly * (stop - hour) // HOUR - look.hourly * (start - hour) // HOUR  # rounded once in an hour
        yield _stretch(look, hour, stop - start, unit)
        start = stop


def _stretch(look: Look, hour: Instant, length: Micros, unit: Pico) -> Hour:
    paid = look.replicas * unit
    found = Hour(hour, look.applied, known=length, paid=paid, unit=unit)
    if look.before is not None:
        found = replace(found, before=look.before * unit, before_paid=paid)
    if look.wanted is not None:
        most = max(look.wanted, look.replicas) if look.applied else look.wanted
        found = replace(found, wanted=look.wanted * unit, wanted_paid=paid, wanted_time=length, most=most)
    if look.hpa is not None:
        found = replace(found, hpa=look.hpa * unit, hpa_paid=paid)
    return found


def compared(hours: Iterable[Hour]) -> tuple[Compared | None, Compared | None]:
    """Hours of one endpoint: those in which the number was set by the operator, and the others."""
    applied, others = (
        [one for one in listed if one.applied is kind] for listed in [tuple(hours)] for kind in (True, False)
    )
    return _compared(applied), _compared(others)


def _compared(hours: list[Hour]) -> Compared | None:
    if not hours:
        return None
    whole = hours[0]
    for one in hours[1:]:
        whole += one
    applied = whole.applied
    return Compared(
        known=whole.known,
        paid=whole.paid,
        against_before=whole.before - whole.before_paid if applied and whole.before_paid + whole.before else None,
        against_peak=whole.most * whole.unit - whole.paid if applied and whole.most else None,
        against_hpa=whole.hpa - whole.hpa_paid if applied and whole.hpa else None,
        possible=whole.wanted_paid - whole.wanted if not applied and whole.wanted_time else None,
        possible_time=whole.wanted_time,
    )
