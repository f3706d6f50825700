"""What the GPUs of an endpoint were seen to need: the most memory of any, and how busy the busiest one was.

Kept by days and for eight of them, so that a peak of long ago does not count for ever and a week with its weekend is
always in it. A day is a histogram of five-minute-like means in steps of 5 %, weighted by time: small, and exact enough
for a percentile that gets a margin on top. Time in which nobody could tell is not part of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gpucost.core.clock import DAY, Instant, Micros, floor_to

BINS = 21
"""0, 5, … 100 %: each value counts for the next step above it, so that a percentile is never too low."""
KEPT = 8
"""Days."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of an endpoint in a stretch of time."""

    memory_mib: float | None
    """The most that any of its devices had in use; None: nobody can tell."""
    busy: float | None
    """Share of time (0..1) in which the busiest of its devices was at work."""


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day."""

    start: Instant
    memory_mib: float = 0.0
    memory_time: Micros = 0
    busy: tuple[Micros, ...] = (0,) * BINS

    def with_seen(self, seen: Seen, length: Micros) -> Day:
        """With a stretch more."""
        found = self
        if seen.memory_mib is not None:
            most = max(self.memory_mib, seen.memory_mib)
            found = replace(found, memory_mib=most, memory_time=self.memory_time + length)
        if seen.busy is not None:
            place = min(BINS - 1, math.ceil(seen.busy * (BINS - 1) - 1e-9))
            found = replace(found, busy=(*self.busy[:place], self.busy[place] + length, *self.busy[place + 1 :]))
        return found


@dataclass(frozen=True, slots=True)
class Footprint:
    """The last days of one endpoint, the oldest first."""

    model: str = ""
    """GPU model that it was measured on; on another one everything begins anew."""
    days: tuple[Day, ...] = ()

    @property
    def memory_mib(self) -> float | None:
        """The most memory of one device; None while nobody could tell."""
        known = [day.memory_mib for day in self.days if day.memory_time]
        return max(known, default=None)

    @property
    def measured(self) -> Micros:
        """For how long both figures were known."""
        memory = sum(day.memory_time for day in self.days)
        return min(memory, sum(sum(day.busy) for day in self.days))

    def busy(self, share: float) -> float | None:
        """What the busiest device did not exceed in such a share of the time, rounded up to 5 %."""
        totals = [sum(day.busy[place] for day in self.days) for place in range(BINS)]
        whole = sum(totals)
        if not whole:
            return None
        below = 0
        for place, total in enumerate(totals):
            below += total
            if below >= share * whole:
                return place / (BINS - 1)
        return 1.0


def add(footprint: Footprint, model: str, seen: Seen, since: Instant, until: Instant) -> Footprint:
    """With what was seen in `[since, until)`, counted for the day in which it ends."""
    if until <= since or (seen.memory_mib is None and seen.busy is None):
        return footprint
    days = list(footprint.days) if model == footprint.model else []
    start = floor_to(until, DAY)
    if not days or days[-1].start < start:
        days.append(Day(start))
    days[-1] = days[-1].with_seen(seen, until - since)
    return Footprint(model, tuple(day for day in days if day.start > start - KEPT * DAY))


def stored(footprint: Footprint) -> dict[str, Any]:
    """As JSON."""
    days = [
        {"start": d.start, "mib": d.memory_mib, "time": d.memory_time, "busy": list(d.busy)} for d in footprint.days
    ]
    return {"model": footprint.model, "days": days}


def restored(document: Mapping[str, Any]) -> Footprint:
    """From JSON; a `ValueError` for anything else."""
    try:
        days: Sequence[Mapping[str, Any]] = document["days"]
        found = tuple(
            Day(int(day["start"]), float(day["mib"]), int(day["time"]), tuple(map(int, day["busy"]))) for day in days
        )
        model = str(document["model"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"no footprint: {error!r}") from None
    if any(len(day.busy) != BINS for day in found):
        raise ValueError("no footprint: another number of steps")
    return Footprint(model, found)
