"""Windows against the calendar: clocks that change, short months, overlaps. All instants worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gpucost.core.clock import DAY, HOUR, MINUTE, format_rfc3339, parse_rfc3339
from gpucost.core.model import CapacityType
from gpucost.core.training.estimating.placing import on_schedule
from gpucost.core.training.spec import Outside, PlacementPolicy, PlacementSpec, Schedule, TrainingSpec, Window
from gpucost.core.training.windows import (
    cron_problem,
    next_change,
    next_placement,
    occurrence_at,
    placement_until,
    shortest_period,
)
from gpucost.core.training.wish import upcoming

SPOT, ON_DEMAND = CapacityType.SPOT, CapacityType.ON_DEMAND


def schedule(zone: str, *windows: Window, outside: Outside = Outside.ON_DEMAND) -> Schedule:
    return Schedule(zone, windows, outside)


def span(plan: Schedule, at: str) -> tuple[str, str] | None:
    found = occurrence_at(plan, parse_rfc3339(at))
    return found and (format_rfc3339(found.start), format_rfc3339(found.end))


def change(plan: Schedule, at: str) -> str | None:
    found = next_change(plan, parse_rfc3339(at))
    return None if found is None else format_rfc3339(found)


NIGHT = Window("0 20 * * *", 10 * HOUR)


@pytest.mark.parametrize(
    ("zone", "at", "start", "end"),
    [
        # Berlin goes from UTC+1 to UTC+2 on 29 March 2026 at 01:00Z, back on 25 October at 01:00Z.
        ("Europe/Berlin", "2026-03-28T20:00:00Z", "2026-03-28T19:00:00Z", "2026-03-29T05:00:00Z"),
        ("Europe/Berlin", "2026-03-29T20:00:00Z", "2026-03-29T18:00:00Z", "2026-03-30T04:00:00Z"),
        ("Europe/Berlin", "2026-10-25T03:59:59Z", "2026-10-24T18:00:00Z", "2026-10-25T04:00:00Z"),
        ("Europe/Berlin", "2026-10-25T19:00:00Z", "2026-10-25T19:00:00Z", "2026-10-26T05:00:00Z"),
        # New York goes from UTC-5 to UTC-4 on 8 March 2026 at 07:00Z, back on 1 November at 06:00Z.
        ("America/New_York", "2026-03-08T10:00:00Z", "2026-03-08T01:00:00Z", "2026-03-08T11:00:00Z"),
        ("America/New_York", "2026-11-01T09:59:59Z", "2026-11-01T00:00:00Z", "2026-11-01T10:00:00Z"),
    ],
)
def test_a_night_across_a_change_of_the_clocks_lasts_its_duration(zone: str, at: str, start: str, end: str) -> None:
    assert span(schedule(zone, NIGHT), at) == (start, end)


def test_a_start_that_the_clocks_skip_opens_right_after_the_gap() -> None:
    plan = schedule("Europe/Berlin", Window("30 2 * * *", HOUR))
    assert span(plan, "2026-03-29T00:59:59Z") is None
    assert span(plan, "2026-03-29T01:00:00Z") == ("2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z")
    assert change(plan, "2026-03-29T00:00:00Z") == "2026-03-29T01:00:00Z"


def test_a_start_that_comes_twice_opens_once_and_stays_open_through_the_second_pass() -> None:
    plan = schedule("Europe/Berlin", Window("30 2 * * *", HOUR))  # 02:30 is 00:30Z and again 01:30Z
    for at in ("2026-10-25T00:30:00Z", "2026-10-25T01:10:00Z", "2026-10-25T01:29:59Z"):
        assert span(plan, at) == ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z")
    assert span(plan, "2026-10-25T01:30:00Z") is None
    assert change(plan, "2026-10-25T01:30:00Z") == "2026-10-26T01:30:00Z"


def test_months_without_a_31st_have_no_window() -> None:
    plan = schedule("UTC", Window("0 20 31 * *", 8 * HOUR))
    assert change(plan, "2026-04-01T05:00:00Z") == "2026-05-31T20:00:00Z"
    assert span(plan, "2026-06-01T03:59:59Z") == ("2026-05-31T20:00:00Z", "2026-06-01T04:00:00Z")
    assert span(plan, "2026-06-30T21:00:00Z") is None


def test_a_window_on_29_february_waits_for_a_leap_year() -> None:
    plan = schedule("UTC", Window("0 0 29 2 *", DAY))
    assert change(plan, "2026-03-01T00:00:00Z") == "2028-02-29T00:00:00Z"
    assert span(plan, "2028-02-29T23:59:59Z") == ("2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z")


def test_a_window_is_open_from_its_start_and_closed_at_its_end() -> None:
    plan = schedule("UTC", Window("0 20 * * *", HOUR))
    assert span(plan, "2026-11-24T19:59:59.999999Z") is None
    assert span(plan, "2026-11-24T20:00:00Z") is not None
    assert span(plan, "2026-11-24T20:59:59.999999Z") is not None
    assert span(plan, "2026-11-24T21:00:00Z") is None


def test_of_two_open_windows_the_first_listed_applies_and_hands_over_at_its_end() -> None:
    plan = schedule("UTC", Window("0 22 * * *", HOUR, ON_DEMAND), Window("0 20 * * *", 6 * HOUR, SPOT))
    at = [parse_rfc3339(f"2026-11-24T{hour}:30:00Z") for hour in (21, 22, 23)]
    assert [found.placement for moment in at if (found := occurrence_at(plan, moment))] == [SPOT, ON_DEMAND, SPOT]
    assert change(plan, "2026-11-24T21:30:00Z") == "2026-11-24T22:00:00Z"
    assert change(plan, "2026-11-24T22:30:00Z") == "2026-11-24T23:00:00Z"


def test_a_lower_window_that_opens_within_a_higher_one_changes_nothing() -> None:
    plan = schedule("UTC", Window("0 20 * * *", 6 * HOUR), Window("0 21 * * *", HOUR))
    assert change(plan, "2026-11-24T20:30:00Z") == "2026-11-25T02:00:00Z"


def test_windows_that_touch_are_one_placement() -> None:
    plan = schedule("UTC", Window("0 0 * * *", 12 * HOUR), Window("0 12 * * 1-5", 12 * HOUR))
    found = next_placement(plan, parse_rfc3339("2026-11-24T06:00:00Z"))  # a Tuesday; Saturday noon is the first gap
    assert found == (parse_rfc3339("2026-11-28T12:00:00Z"), ON_DEMAND)


def test_outside_a_pausing_schedule_there_is_no_placement() -> None:
    plan = schedule("UTC", Window("0 20 * * *", HOUR), outside=Outside.PAUSE)
    assert next_placement(plan, parse_rfc3339("2026-11-24T20:00:00Z")) == (parse_rfc3339("2026-11-24T21:00:00Z"), None)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 20 30 2 *", "never fires: no month 2 has a day 30"),
        ("61 * * * *", "minute"),
        ("0 20 * *", "4 fields"),
        ("0 0 20 * * *", "6 fields"),
        ("@daily", "1 fields"),
        ("0 20 * * FOO", "day-of-week"),
    ],
)
def test_a_malformed_expression_is_explained(expression: str, words: str) -> None:
    problem = cron_problem(expression)
    assert problem is not None
    assert words in problem


def test_good_expressions_are_accepted() -> None:
    assert [cron_problem(text) for text in ("0 20 * * 1-5", "0 0 29 2 *", "*/15 8-18 * * mon", "0 0 L * *")] == [
        None
    ] * 4


@pytest.mark.parametrize(
    ("expression", "period"),
    [
        ("0 20 * * *", DAY),
        ("0 20 * * 1-5", DAY),
        ("0 6 * * SAT", 7 * DAY),
        ("0 0 1,3 * *", 2 * DAY),
        ("*/5 8 * * *", 5 * MINUTE),
        ("0 0 1 1 *", 365 * DAY),
        ("0 0 29 2 *", 1461 * DAY),
    ],
)
def test_the_shortest_period_is_found(expression: str, period: int) -> None:
    assert shortest_period(expression) == period


WEEKDAYS = Schedule("UTC", (Window("0 * * * 1-5", HOUR),))
MONDAY = parse_rfc3339("2026-11-23T00:10:00Z")


def test_a_change_after_many_windows_in_a_row_is_found_in_time() -> None:
    """120 windows of an hour each follow on each other; asking early must not hide the end of the last one."""
    job = TrainingSpec(placement=PlacementSpec(PlacementPolicy.SCHEDULED), schedule=WEEKDAYS)
    assert upcoming(job, MONDAY) is None
    assert placement_until(WEEKDAYS, MONDAY) == (parse_rfc3339("2026-11-25T16:00:00Z"), SPOT)
    saturday = parse_rfc3339("2026-11-28T00:00:00Z")
    assert next_placement(WEEKDAYS, saturday - HOUR - 1) == (saturday, CapacityType.ON_DEMAND)
    assert upcoming(job, saturday - HOUR - 1) == (saturday, "OnDemand")


def test_an_estimate_goes_on_behind_many_windows_in_a_row() -> None:
    found = on_schedule(WEEKDAYS, Fraction(150), MONDAY, Fraction(1))
    assert found is not None
    assert found.spot == Fraction(120) - Fraction(1, 6)
    assert found.on_demand == Fraction(30) + Fraction(1, 6)
    assert found.end == MONDAY + 150 * HOUR
