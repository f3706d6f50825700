"""Windows against a plain enumeration of their openings."""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND, from_datetime, parse_rfc3339, to_datetime
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


def enumerated(schedule: Schedule, now: int) -> Occurrence | None:
    """Walk forward from days before, on the wall clock, and keep the last opening: slow and plain."""
    zone = ZoneInfo(schedule.time_zone)
    for index, window in enumerate(schedule.windows):
        walk = CronSim(window.start, to_datetime(now).astimezone(zone) - timedelta(days=3))
        until = now + 6 * HOUR  # the wall clock may run twice through an hour
        starts = [start for start in takewhile(until.__ge__, map(from_datetime, walk)) if start <= now]
        if starts and now < max(starts) + window.duration:
            return Occurrence(max(starts), max(starts) + window.duration, window.placement, index)
    return None


@settings(max_examples=200, deadline=None)
@given(SCHEDULES, NOW)
def test_what_applies_is_what_an_enumeration_finds(schedule: Schedule, now: int) -> None:
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
