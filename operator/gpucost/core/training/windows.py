"""When a window of a schedule is open: cron expressions in a time zone, with durations in elapsed time.

A window opens when its cron expression fires on the wall clock of its zone, as Debian's cron does on the two days when
clocks change. A time that is skipped fires right after the gap and one that comes twice fires the first time, unless
minute or hour begin with a star: such an expression follows the clock and fires in every hour that there is. A window
then stays open for its duration in elapsed time. Where windows overlap, the one listed first counts.

cronsim walks the naive wall clock here; what the clocks do is worked out beside it. Its own handling of time zones goes
by whole hours, which Lord Howe Island's half hour defeats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise, takewhile
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
    before: CapacityType | None = None
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
    """When the placement changes next and to what; None when it never does, or not within the next 64 edges."""
    found = placement_until(schedule, now)
    return found if found is not None and found[1] is not _answers(schedule)[1].before else None


def placement_until(schedule: Schedule, now: Instant) -> tuple[Instant, CapacityType | None] | None:
    """Until when the placement holds for certain, and what holds from then on; None when it never changes.

    After 64 edges that change nothing the answer is the last of them, with the placement that goes on there.
    """
    answer = _answers(schedule)[1]
    if not answer.holds_at(now):
        answer.before = placement_at(schedule, now)
        found = _find_placement(schedule, now, answer.before)
        answer.since, answer.until, answer.value = now, found and found[0], found and found[1]
    return None if answer.until is None else (answer.until, answer.value)


def _find_placement(
    schedule: Schedule, now: Instant, current: CapacityType | None
) -> tuple[Instant, CapacityType | None] | None:
    moment = now
    for _ in range(_SAME_EDGES):
        edge = _find_change(schedule, moment)
        if edge is None:
            return None
        placement = placement_at(schedule, edge)
        if placement != current:
            return edge, placement
        moment = edge
    return moment, current


def _next_edge(schedule: Schedule, now: Instant) -> Instant | None:
    return next_edge(((window.start, schedule.time_zone, window.duration) for window in schedule.windows), now)


def next_edge(windows: Iterable[tuple[str, str, Micros]], now: Instant) -> Instant | None:
    """The next start or end, after an instant, of any window: its cron expression, time zone and duration."""
    edges: list[Instant] = []
    for start, time_zone, duration in windows:
        upcoming, last = next_firing(start, time_zone, now), last_firing(start, time_zone, now)
        edges += [upcoming] if upcoming is not None else []
        edges += [last + duration] if last is not None and last + duration > now else []
    return min(edges, default=None)


def last_start(window: Window, time_zone: str, now: Instant) -> Instant | None:
    """Latest opening that is not after an instant."""
    return last_firing(window.start, time_zone, now)


def next_start(window: Window, time_zone: str, now: Instant) -> Instant | None:
    """First opening after an instant."""
    return next_firing(window.start, time_zone, now)


def last_firing(expression: str, time_zone: str, now: Instant) -> Instant | None:
    """Latest instant, not after the given one, at which a cron expression fires."""
    return _last_start(expression, time_zone, now - now % SECOND)


def next_firing(expression: str, time_zone: str, now: Instant) -> Instant | None:
    """First instant after the given one at which a cron expression fires."""
    return _next_start(expression, time_zone, now - now % SECOND)


@lru_cache(maxsize=4096)
def _last_start(expression: str, time_zone: str, now: Instant) -> Instant | None:
    best: Instant | None = None
    for moments in _walk(expression, time_zone, now + _FOLD, reverse=True):
        best = max((moment for moment in (*moments, best) if moment is not None and moment <= now), default=None)
        if best is not None and max(moments, default=now) <= best:
            break
    return best


@lru_cache(maxsize=4096)
def _next_start(expression: str, time_zone: str, now: Instant) -> Instant | None:
    best: Instant | None = None
    for moments in _walk(expression, time_zone, now - _FOLD):
        best = min((moment for moment in (*moments, best) if moment is not None and moment > now), default=None)
        if best is not None and min(moments, default=now) >= best:
            break
    return best


def _walk(expression: str, time_zone: str, start: Instant, *, reverse: bool = False) -> Iterator[tuple[Instant, ...]]:
    """Instants of one wall clock time after another: none where it is skipped, two where it comes twice."""
    zone = ZoneInfo(time_zone)
    follows = any(part.startswith("*") for part in expression.split()[:2])
    begin = to_datetime(start).astimezone(zone).replace(tzinfo=None)
    for wall in CronSim(expression, begin, reverse=reverse):
        yield _instants(wall.replace(tzinfo=zone), follows=follows)


def _instants(wall: datetime, *, follows: bool) -> tuple[Instant, ...]:
    """When a wall clock has shown a time; `follows` as in a star expression."""
    if _is_skipped(wall):
        return () if follows else (_after_gap(wall),)
    first, second = from_datetime(wall.replace(fold=0)), from_datetime(wall.replace(fold=1))
    return (first, second) if follows and first != second else (first,)


def _is_skipped(wall: datetime) -> bool:
    return wall.astimezone(UTC).astimezone(wall.tzinfo) != wall


def _after_gap(wall: datetime) -> Instant:
    while _is_skipped(wall):
        wall += timedelta(minutes=1)
    return from_datetime(wall)


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
        if _has_no_such_day(fields):
            return f"{expression!r} never fires: no month {fields[3]} has a day {fields[2]}"
        return f"{expression!r} is not a cron expression: {str(error).lower()}"
    if next(walker, None) is None:
        return f"{expression!r} never fires"
    return None


def _has_no_such_day(fields: list[str]) -> bool:
    """Whether an expression is refused only because its months are too short for its days, such as 30 February."""
    with suppress(CronSimError):
        CronSim(" ".join((*fields[:3], "*", fields[4])), to_datetime(0))
        CronSim(" ".join((*fields[:2], "*", *fields[3:])), to_datetime(0))
        return True
    return False


@lru_cache(maxsize=1024)
def shortest_period(expression: str, *, since: Instant = 0) -> Micros | None:
    """Smallest time between two openings in the nine years after an instant (two leap years), of 1,500 at most.

    On UTC, so that the two days a year with 23 and 25 hours do not count. None when there are not two.
    """
    horizon = since + 9 * 366 * DAY
    walk = islice(CronSim(expression, to_datetime(since)), 1_500)
    starts = list(takewhile(horizon.__ge__, map(from_datetime, walk)))
    return min((after - before for before, after in pairwise(starts)), default=None)
