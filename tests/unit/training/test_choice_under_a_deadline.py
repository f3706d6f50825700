"""What the operator is told about a run with a deadline: known answers, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from gpucost.core.clock import DAY, HOUR, MINUTE, parse_rfc3339
from gpucost.core.training.deadline import Capacity, Choice, Outlook, Reason, Span, Zone, choose
from gpucost.core.training.deadline.rounding import reach, shape_for
from gpucost.core.training.deadline.runs import Terms
from gpucost.core.training.deadline.table import shape_of

NOW = parse_rfc3339("2026-11-01T00:00:00Z")
CALM = Outlook(
    now=NOW,
    work_left=10 * HOUR,
    deadline=NOW + 20 * HOUR,
    total_work=10 * HOUR,
    total_time=20 * HOUR,
    changeover=12 * MINUTE,
    spot_price=Decimal("0.9731"),
    on_demand_price=Decimal("3.06"),
    zones=(Zone("a", available=True),),
)
DRY = (Zone("a", available=False),)


def asked(**changes: object) -> Choice:
    return choose(replace(CALM, **changes))  # type: ignore[arg-type]


def test_spot_that_is_there_is_taken_when_there_is_time() -> None:
    choice = asked()
    assert (choice.capacity, choice.zone, choice.reason) == (Capacity.SPOT, "a", Reason.SPOT_AVAILABLE)
    assert "10h of work in 20h until 2026-11-01T20:00:00Z" in choice.message


def test_a_run_without_spot_waits_and_says_until_when_it_can() -> None:
    choice = asked(zones=DRY)
    assert (choice.capacity, choice.reason) == (Capacity.NONE, Reason.WAITING_FOR_SPOT)
    assert choice.on_demand_by == NOW + 10 * HOUR - 12 * MINUTE
    assert choice.look_again == NOW + 5 * MINUTE


@pytest.mark.parametrize("spare", [12 * MINUTE, 16 * MINUTE, 23 * MINUTE])
def test_spot_is_not_tried_when_losing_it_would_miss_the_deadline(spare: int) -> None:
    choice = asked(deadline=NOW + 10 * HOUR + spare)
    assert (choice.capacity, choice.reason, choice.deadline_at_risk) == (
        Capacity.ON_DEMAND,
        Reason.DEADLINE_NEAR,
        False,
    )


def test_a_wait_ends_before_it_is_too_late_for_on_demand() -> None:
    least = 17 * MINUTE  # a look every 5 minutes, and the changeover
    assert asked(zones=DRY, deadline=NOW + 10 * HOUR + least - 1).capacity is Capacity.ON_DEMAND


def test_spot_that_it_has_is_kept_however_near_the_deadline() -> None:
    choice = asked(running=Capacity.SPOT, zone="a", deadline=NOW + 10 * HOUR + MINUTE)
    assert (choice.capacity, choice.zone, choice.reason) == (Capacity.SPOT, "a", Reason.KEEPING_SPOT)


def test_a_deadline_out_of_reach_is_said_with_how_late_it_will_be() -> None:
    choice = asked(deadline=NOW + 9 * HOUR)
    assert (choice.capacity, choice.reason, choice.deadline_at_risk) == (
        Capacity.ON_DEMAND,
        Reason.DEADLINE_OUT_OF_REACH,
        True,
    )
    assert "at best it will be 1h12m late" in choice.message
    running = asked(deadline=NOW + 9 * HOUR, running=Capacity.ON_DEMAND)
    assert "at best it will be 1h late" in running.message


def test_a_run_without_work_needs_nothing() -> None:
    assert asked(work_left=0).reason is Reason.FINISHED


def test_where_nobody_knows_of_spot_the_last_that_was_seen_holds() -> None:
    seen = (Span(NOW - 2 * HOUR, NOW - HOUR, True), Span(NOW - HOUR, NOW - MINUTE, False))
    assert asked(zones=(Zone("a", None, seen),)).capacity is Capacity.NONE
    assert asked(zones=(Zone("a"),)).capacity is Capacity.SPOT


def test_the_words_of_a_wait_say_what_was_watched() -> None:
    seen = (Span(NOW - 4 * HOUR, NOW - HOUR, True), Span(NOW - HOUR, NOW, False))
    assert "spot was there 75% of the 4h watched" in asked(zones=(Zone("a", False, seen),)).message


FAR = [365 * DAY, 900 * 365 * DAY]


@pytest.mark.parametrize("ahead", FAR)
@pytest.mark.parametrize(
    ("work", "changeover"),
    [(2 * HOUR, 12 * MINUTE), (5 * MINUTE, 15 * MINUTE), (HOUR, 9 * HOUR), (1, 900 * HOUR), (5000 * HOUR, 0)],
)
def test_a_deadline_that_is_far_away_makes_no_large_table(ahead: int, work: int, changeover: int) -> None:
    shape = shape_of(Terms(work, ahead, changeover, 0.3, MINUTE))
    assert shape.rows * shape.cells <= 50_000


@pytest.mark.parametrize("ahead", FAR)
def test_a_run_with_a_deadline_that_is_far_away_waits_for_spot(ahead: int) -> None:
    choice = asked(deadline=NOW + ahead, zones=DRY, total_time=ahead)
    assert (choice.capacity, choice.reason) == (Capacity.NONE, Reason.WAITING_FOR_SPOT)


@pytest.mark.parametrize(("ratio", "minutes"), [(0.7, 12), (0.8, 6), (0.92, 3), (0.95, 24)])
def test_tables_of_usual_runs_reach_from_now_to_the_deadline(ratio: float, minutes: int) -> None:
    terms = Terms(48 * HOUR, round(48 * HOUR / ratio), minutes * MINUTE, 0.32, 10 * MINUTE)
    shape = shape_of(terms)
    assert shape.rows * shape.step >= terms.time
    assert shape.cells * shape.cell >= terms.slack


def test_slack_for_hundreds_of_changeovers_does_not_make_steps_long() -> None:
    """Spot comes and goes within half an hour: with steps of 34 minutes `auto` cost more than uniformProgress."""
    shape = shape_of(Terms(48 * HOUR, round(48 * HOUR / 0.7), 3 * MINUTE, 0.32, 10 * MINUTE))
    assert shape.step <= 18 * MINUTE
    assert shape.cells * shape.cell == 200 * 3 * MINUTE


@pytest.mark.parametrize("ahead", FAR)
def test_a_far_deadline_makes_no_large_question_either(ahead: int) -> None:
    terms = Terms(2 * HOUR, ahead, 5 * MINUTE, 0.3, MINUTE)
    shape = shape_for(reach(ahead, 2 * HOUR, terms), terms)
    assert shape.rows * shape.cells <= 50_000
    assert shape.rows * shape.per_step <= 10_000
