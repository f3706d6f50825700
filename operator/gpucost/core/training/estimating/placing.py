"""How a run's time falls on spot and on-demand capacity, hour by hour of its schedule."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from gpucost.core.clock import HOUR, Instant, parse_rfc3339
from gpucost.core.model import CapacityType
from gpucost.core.training.spec import Outside, Schedule, Window
from gpucost.core.training.windows import placement_at, placement_until

_MOST_CHANGES = 120
"""Placements in a row that are looked at one by one, two months of nights; what is left goes on in the same way."""
_LATEST: Instant = parse_rfc3339("9999-12-31T23:59:59Z")


@dataclass(frozen=True, slots=True)
class Stay:
    """Running time by capacity type, and when the run is done."""

    spot: Fraction
    """Hours."""
    on_demand: Fraction
    end: Instant

    @property
    def hours(self) -> Fraction:
        """Running time."""
        return self.spot + self.on_demand


def on_one(kind: CapacityType, hours: Fraction, start: Instant, stretch: Fraction) -> Stay:
    """All of it on one capacity type; on spot, interruptions make it longer by a factor."""
    if kind is CapacityType.SPOT:
        hours *= stretch
        return Stay(hours, Fraction(0), _end(start, hours * HOUR))
    return Stay(Fraction(0), hours, _end(start, hours * HOUR))


def _end(moment: Instant, span: Fraction) -> Instant:
    return min(moment + int(span), _LATEST)


def on_schedule(schedule: Schedule, hours: Fraction, start: Instant, stretch: Fraction) -> Stay | None:
    """By the windows of a schedule from an instant on; None when it is never done.

    Every change of placement costs time too; that is part of what `stretch` stands for.
    """
    left, moment = hours * HOUR, start
    spot = on_demand = Fraction(0)
    for _ in range(_MOST_CHANGES):
        placement, change = placement_at(schedule, moment), placement_until(schedule, moment)
        factor = stretch if placement is CapacityType.SPOT else Fraction(1)
        span = left * factor if change is None else min(left * factor, Fraction(change[0] - moment))
        if placement is CapacityType.SPOT:
            spot += span
        elif placement is not None:
            on_demand += span
        if placement is not None:
            left -= span / factor
            if left <= 0:
                return Stay(spot / HOUR, on_demand / HOUR, _end(moment, span))
        if change is None:
            return None
        moment = change[0]
    return _going_on(Stay(spot / HOUR, on_demand / HOUR, moment), hours, left / HOUR, start)


def _going_on(so_far: Stay, hours: Fraction, left: Fraction, start: Instant) -> Stay | None:
    """The rest of a very long run, with capacity and pauses in the proportions of its first months."""
    if left >= hours:
        return None
    times = hours / (hours - left)
    return Stay(so_far.spot * times, so_far.on_demand * times, _end(start, (so_far.end - start) * times))


def nightly(time_zone: str, outside: Outside) -> Schedule:
    """Spot capacity from 20:00 to 06:00, when it is cheapest to be had and nobody waits."""
    return Schedule(time_zone, (Window("0 20 * * *", 10 * HOUR),), outside)
