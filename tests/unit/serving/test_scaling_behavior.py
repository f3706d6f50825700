"""`behavior` as autoscaling/v2 documents it: known answers by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.serving.behavior import Allowed, Limit, Past, Step, allowed
from gpucost.core.serving.spec import HPA_DOWN, HPA_UP, Behavior, Direction, RatePolicy, SelectPolicy

NOW = 1_000_000 * SECOND
FREE = Behavior(Direction(), Direction())
HPA = Behavior(HPA_UP, HPA_DOWN)
PODS_4 = RatePolicy(is_percent=False, value=4, period=60 * SECOND)
PERCENT_10 = RatePolicy(is_percent=True, value=10, period=60 * SECOND)


def ask(
    wanted: int,
    current: int,
    behavior: Behavior = FREE,
    past: Past = Past(begun=1),  # noqa: B008
    *,
    least: int = 1,
    most: int = 100,
    now: int = NOW,
) -> Allowed:
    return allowed(wanted, current, least=least, most=most, behavior=behavior, past=past, now=now)


@pytest.mark.parametrize(
    ("wanted", "current", "replicas", "limit"),
    [
        (5, 3, 5, Limit.NONE),
        (3, 5, 3, Limit.NONE),
        (3, 3, 3, Limit.NONE),
        (1, 3, 2, Limit.MIN),
        (30, 3, 20, Limit.MAX),
        (3, 25, 20, Limit.MAX),
        (9, 1, 2, Limit.MIN),
    ],
)
def test_the_number_stays_within_its_limits(wanted: int, current: int, replicas: int, limit: Limit) -> None:
    found = ask(wanted, current, least=2, most=20)
    assert (found.replicas, found.limit) == (replicas, limit)


def test_the_largest_recommendation_of_the_window_counts_on_the_way_down() -> None:
    past = Past(1, ((NOW - 200 * SECOND, 8), (NOW - 100 * SECOND, 6)))
    assert ask(4, 10, HPA, past).replicas == 8
    assert ask(4, 10, HPA, past, now=NOW + 150 * SECOND).replicas == 6
    assert ask(4, 10, HPA, past, now=NOW + 250 * SECOND).replicas == 4
    assert ask(4, 10, HPA, past).limit is Limit.DOWN_STABILIZED


def test_the_smallest_recommendation_of_the_window_counts_on_the_way_up() -> None:
    behavior = Behavior(Direction(stabilization=60 * SECOND), Direction())
    past = Past(1, ((NOW - 30 * SECOND, 5),))
    assert ask(9, 4, behavior, past).replicas == 5
    assert ask(9, 4, behavior, past, now=NOW + 40 * SECOND).replicas == 9


def test_after_a_restart_the_present_number_counts_as_recommended() -> None:
    first = ask(2, 10, HPA, Past())
    assert (first.replicas, first.limit) == (10, Limit.DOWN_STABILIZED)
    later = ask(2, 10, HPA, first.past, now=NOW + 299 * SECOND)
    assert later.replicas == 10
    assert ask(2, 10, HPA, later.past, now=NOW + 301 * SECOND).replicas == 2


def test_a_default_behaviour_looks_for_five_minutes_before_it_takes_anything_away() -> None:
    first = ask(2, 10, Behavior(), Past())
    assert first.replicas == 10
    assert ask(2, 10, Behavior(), first.past, now=NOW + 5 * MINUTE).replicas == 2
    assert ask(12, 10, Behavior(), Past()).replicas == 12


def test_the_documented_rates_of_four_pods_and_ten_percent() -> None:
    """The example of the documentation: 80 replicas, at most 4 pods or 10 % a minute, whichever is more."""
    down = Direction(policies=(PODS_4, PERCENT_10))
    behavior = Behavior(Direction(), down)
    assert ask(10, 80, behavior).replicas == 72
    assert ask(10, 72, behavior, Past(1, (), (Step(NOW - 61 * SECOND, 80, 72),))).replicas == 64
    assert ask(10, 30, behavior).replicas == 26
    assert ask(10, 80, Behavior(Direction(), replace(down, select=SelectPolicy.MIN))).replicas == 76
    assert ask(10, 80, Behavior(Direction(), replace(down, select=SelectPolicy.DISABLED))).replicas == 80
    assert ask(10, 80, behavior).limit is Limit.DOWN_RATE


def test_what_was_changed_within_the_period_counts() -> None:
    behavior = Behavior(Direction(policies=(PODS_4,)), Direction())
    just_now = Past(1, (), (Step(NOW - 30 * SECOND, 3, 6),))
    assert ask(20, 6, behavior, just_now).replicas == 7
    assert ask(20, 6, behavior, replace(just_now, steps=(Step(NOW - 60 * SECOND, 3, 6),))).replicas == 10
    back_and_forth = Past(1, (), (Step(NOW - 50 * SECOND, 3, 7), Step(NOW - 20 * SECOND, 7, 5)))
    assert ask(20, 5, behavior, back_and_forth).replicas == 7


def test_an_empty_scale_up_of_an_autoscaler_doubles_or_adds_four() -> None:
    assert ask(50, 1, HPA).replicas == 5
    assert ask(50, 10, HPA).replicas == 20
    assert ask(50, 10, HPA).limit is Limit.UP_RATE


def test_a_change_within_the_tolerance_is_not_made() -> None:
    behavior = Behavior(Direction(tolerance=Decimal("0.1")), Direction(tolerance=Decimal("0.05")))
    assert (ask(11, 10, behavior).replicas, ask(11, 10, behavior).limit) == (10, Limit.TOLERANCE)
    assert ask(12, 10, behavior).replicas == 12
    assert ask(9, 10, behavior).replicas == 9
    assert ask(19, 20, behavior).replicas == 20


def test_a_clock_that_was_set_back_forgets_what_is_to_come() -> None:
    past = Past(1, ((NOW + MINUTE, 3),))
    assert ask(2, 10, HPA, past).replicas == 10


def test_a_long_window_is_as_long_as_it_says_however_often_it_is_looked() -> None:
    hour = Behavior(Direction(), Direction(stabilization=3600 * SECOND))
    past = ask(9, 9, hour, Past()).past
    for tick in range(1, 3600):
        found = ask(2 + tick % 2, 9, hour, past, now=NOW + tick * SECOND)
        past = found.past
        assert found.replicas == 9
    assert ask(2, 9, hour, past, now=NOW + 3600 * SECOND).replicas == 3
    assert len(past.recommendations) <= 3


def test_what_is_remembered_is_bounded() -> None:
    past = Past()
    for tick in range(500):
        past = ask(5, 5, HPA, past, now=NOW + tick * SECOND).past
    assert len(past.recommendations) <= 301
    for tick in range(200):
        past = past.with_step(Step(NOW + tick * MINUTE, 5, 6))
    assert len(past.steps) == 30
