"""When a window of a schedule is open: cron expressions in a time zone, with durations in elapsed time.

A window opens when its cron expression fires on the wall clock of its zone, as Debian's cron does on the two days when
clocks change: a time that is skipped fires right after the gap, a time that comes twice fires the first time. It then
stays open for its duration in elapsed time. Where windows overlap, the one listed first counts.

cronsim walks on the naive wall clock, which runs twice through the hour after the clocks go back. A search therefore
begins beyond any such fold and filters by the instant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from gpucost.core.clock import DAY, HOUR, SECOND, Instant, Micros, from_datetime, to_datetime
from gpucost.core.model import CapacityType
from gpucost.core.training.spec import Outside, Schedule, Window

_FOLD: Micros = 3 * HOUR
_STEPS = 1_000
_SAME_EDGES = 64


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One opening of a window, `[start, end)`."""

    start: Instant
    end: Instant
    placement: CapacityType
    window: int
    """Index in `Schedule.windows`."""


def occurrence_at(schedule: Schedule, now: Instant) -> Occurrence | None:
    """The occurrence that applies at an instant, None outside every window.

    Raises `CronSimError` for a malformed expression and `ZoneInfoNotFoundError` for an unknown zone; see `validate`.
    """
    for index, window in enumerate(schedule.windows):
        start = last_start(window, schedule.time_zone, now)
        if start is not None and now < start + window.duration:
            return Occurrence(start, start + window.duration, window.placement, index)
    return None


@dataclass(slots=True)
class _Answer:
    """The last answer to a question about a schedule, which holds until the instant that it names."""

    since: Instant = 1
    until: Instant | None = 0
    value: CapacityType | None = None

    def holds_at(self, now: Instant) -> bool:
        return self.since <= now and (self.until is None or now < self.until)


@lru_cache(maxsize=8192)
def _answers(schedule: Schedule) -> tuple[_Answer, _Answer]:
    """Walking a calendar costs a hundred times more than everything else in a pass, and its answers last for hours."""
    del schedule
    return _Answer(), _Answer()


def next_change(schedule: Schedule, now: Instant) -> Instant | None:
    """The next instant at which another occurrence applies, or none; None when that never happens.

    A schedule in which very many starts change nothing may be answered with an earlier instant, at which nothing
    changes: looking again there is harmless.
    """
    answer = _answers(schedule)[0]
    if not answer.holds_at(now):
        answer.since, answer.until = now, _find_change(schedule, now)
    return answer.until


def _find_change(schedule: Schedule, now: Instant) -> Instant | None:
    current, moment = occurrence_at(schedule, now), now
    for _ in range(_STEPS):
        edge = _next_edge(schedule, moment)
        if edge is None:
            return None
        moment = edge
        if occurrence_at(schedule, moment) != current:
            return moment
    return moment


def placement_at(schedule: Schedule, now: Instant) -> CapacityType | None:
    """What a schedule asks for at an instant, inside and outside its windows; None is a pause."""
    applies = occurrence_at(schedule, now)
    if applies is not None:
        return applies.placement
    return CapacityType.ON_DEMAND if schedule.outside is Outside.ON_DEMAND else None


def next_placement(schedule: Schedule, now: Instant) -> tuple[Instant, CapacityType | None] | None:
    """When the placement changes next and to what; edges that change nothing are skipped, 64 at most."""
    answer = _answers(schedule)[1]
    if not answer.holds_at(now):
        found = _find_placement(schedule, now)
        answer.since, answer.until, answer.value = now, found and found[0], found and found[1]
    return None if answer.until is None else (answer.until, answer.value)


def _find_placement(schedule: Schedule, now: Instant) -> tuple[Instant, CapacityType | None] | None:
    current, moment = placement_at(schedule, now), now
    for _ in range(_SAME_EDGES):
        edge = next_change(schedule, moment)
        if edge is None:
            return None
        placement = placement_at(schedule, edge)
        if placement != current:
            return edge, placement
        moment = edge
    return None


def _next_edge(schedule: Schedule, now: Instant) -> Instant | None:
    """The next start or end of any window after an instant."""
    edges: list[Instant] = []
    for window in schedule.windows:
        upcoming = next_start(window, schedule.time_zone, now)
        last = last_start(window, schedule.time_zone, now)
        edges += [upcoming] if upcoming is not None else []
        edges += [last + window.duration] if last is not None and last + window.duration > now else []
    return min(edges, default=None)


def last_start(window: Window, time_zone: str, now: Instant) -> Instant | None:
    """Latest opening that is not after an instant."""
    return _last_start(window.start, time_zone, now - now % SECOND)


def next_start(window: Window, time_zone: str, now: Instant) -> Instant | None:
    """First opening after an instant."""
    return _next_start(window.start, time_zone, now - now % SECOND)


@lru_cache(maxsize=4096)
def _last_start(expression: str, time_zone: str, now: Instant) -> Instant | None:
    moments = _walk(expression, _local(now + _FOLD, time_zone), reverse=True)
    return next((start for start in moments if start <= now), None)


@lru_cache(maxsize=4096)
def _next_start(expression: str, time_zone: str, now: Instant) -> Instant | None:
    moments = _walk(expression, _local(now - _FOLD, time_zone))
    return next((start for start in moments if start > now), None)


def _local(instant: Instant, time_zone: str) -> datetime:
    return to_datetime(instant).astimezone(ZoneInfo(time_zone))


def _walk(expression: str, start: datetime, *, reverse: bool = False) -> Iterator[Instant]:
    yield from (from_datetime(moment) for moment in CronSim(expression, start, reverse=reverse))


# --- checks ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def cron_problem(expression: str) -> str | None:
    """What is wrong with a cron expression of five fields; None when it fires some day."""
    fields = expression.split()
    if len(fields) != 5:
        return (
            f"{expression!r} has {len(fields)} fields, a cron expression has 5: minute hour day-of-month month weekday"
        )
    try:
        walker = CronSim(expression, to_datetime(0))
    except CronSimError as error:
        return f"{expression!r} is not a cron expression: {str(error).lower()}"
    if next(walker, None) is None:
        return f"{expression!r} never fires"
    return None


@lru_cache(maxsize=1024)
def shortest_period(expression: str, *, since: Instant = 0) -> Micros | None:
    """Smallest time between two openings in the nine years after an instant (two leap years), of 1,500 at most.

    On UTC, so that the two days a year with 23 and 25 hours do not count. None when there are not two.
    """
    horizon = since + 9 * 366 * DAY
    starts = [start for start in islice(_walk(expression, to_datetime(since)), 1_500) if start <= horizon]
    return min((after - before for before, after in pairwise(starts)), default=None)
