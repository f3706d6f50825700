"""Windows against a plain enumeration of their openings."""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND, parse_rfc3339, to_datetime
from gpucost.core.model import CapacityType
from gpucost.core.training.spec import Outside, Schedule, Window
from gpucost.core.training.windows import Occurrence, next_change, next_placement, occurrence_at, placement_at

WINDOWS = st.builds(
    Window,
    start=st.sampled_from(
        [
            "0 20 * * *",
            "30 2 * * *",
            "*/20 * * * *",
            "15 */5 * * *",
            "0 0 * * 1-5",
            "0 6 * * SAT",
            "0 20 31 * *",
            "0 0 L * *",
        ]
    ),
    duration=st.sampled_from([10 * MINUTE, HOUR, 9 * HOUR, DAY]),
    placement=st.sampled_from([CapacityType.SPOT, CapacityType.ON_DEMAND]),
)
SCHEDULES = st.builds(
    Schedule,
    time_zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    windows=st.lists(WINDOWS, min_size=1, max_size=3).map(tuple),
    outside=st.sampled_from(list(Outside)),
)
CHANGES = [
    "2026-03-29T01:00:00Z",
    "2026-10-25T01:00:00Z",
    "2026-03-08T07:00:00Z",
    "2026-11-01T06:00:00Z",
    "2026-04-04T15:00:00Z",
]
NOW = st.one_of(
    st.builds(
        lambda text, offset: parse_rfc3339(text) + offset * SECOND,
        st.sampled_from(CHANGES),
        st.integers(-30 * 3600, 30 * 3600),
    ),
    st.integers(parse_rfc3339("2026-01-01T00:00:00Z"), parse_rfc3339("2029-01-01T00:00:00Z")),
)


def openings(window: Window, zone: ZoneInfo, now: int) -> list[int]:
    """Look at the clock in every minute of the last day: slow and plain."""
    begin = to_datetime(now - DAY).astimezone(zone).replace(tzinfo=None) - timedelta(hours=3)
    walk = CronSim(window.start, begin)
    fires = set(takewhile(lambda wall: wall <= begin + timedelta(hours=33), walk))
    follows = window.start.split()[0].startswith("*") or window.start.split()[1].startswith("*")
    found, before = [], None
    first = (now - DAY) // MINUTE * MINUTE
    for minute in range(first, now + 1, MINUTE):
        clock = to_datetime(minute).astimezone(zone)
        wall = clock.replace(tzinfo=None, fold=0)
        skipped = {time for time in fires if before is not None and before < time < wall} if not follows else set()
        if skipped or (wall in fires and (clock.fold == 0 or follows)):
            found.append(minute)
        before = wall
    return found


def enumerated(schedule: Schedule, now: int) -> Occurrence | None:
    for index, window in enumerate(schedule.windows):
        starts = openings(window, ZoneInfo(schedule.time_zone), now)
        if starts and now < max(starts) + window.duration:
            return Occurrence(max(starts), max(starts) + window.duration, window.placement, index)
    return None


@settings(max_examples=100, deadline=None)
@given(SCHEDULES, NOW)
def test_what_applies_is_what_somebody_who_watches_the_clock_finds(schedule: Schedule, now: int) -> None:
    assert occurrence_at(schedule, now) == enumerated(schedule, now)


@settings(max_examples=150, deadline=None)
@given(SCHEDULES, NOW, st.floats(0, 1, exclude_max=True))
def test_nothing_changes_before_the_next_change_and_something_does_at_it(
    schedule: Schedule, now: int, share: float
) -> None:
    change = next_change(schedule, now)
    assert change is not None
    assert change > now
    between = now + int((change - now) * share)
    assert occurrence_at(schedule, between) == occurrence_at(schedule, now)
    assert occurrence_at(schedule, change - 1) == occurrence_at(schedule, now)
    assert occurrence_at(schedule, change) != occurrence_at(schedule, now)
    assert next_change(schedule, between) == change


@settings(max_examples=150, deadline=None)
@given(SCHEDULES, NOW)
def test_the_next_placement_is_another_one(schedule: Schedule, now: int) -> None:
    found = next_placement(schedule, now)
    if found is None:
        return
    at, placement = found
    assert placement_at(schedule, at) == placement != placement_at(schedule, now)
    assert placement_at(schedule, at - 1) == placement_at(schedule, now)
