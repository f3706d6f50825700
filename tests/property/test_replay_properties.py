"""A run done once more: time and money are those of what it was on, and the operator's policy keeps its promises."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import HOUR, MINUTE
from gpucost.core.timeline import Timeline
from gpucost.core.training.deadline import Span
from gpucost.core.training.replay import POLICIES, Conditions, Course, replay

START = 1_790_000_000_000_000
ON_DEMAND = Decimal(40)


@st.composite
def worlds(draw: st.DrawFn) -> Conditions:
    work = draw(st.integers(1, 10)) * HOUR
    changeover = draw(st.integers(1, 20)) * MINUTE
    slack = draw(st.integers(2, 12)) * HOUR
    edges = sorted(draw(st.sets(st.integers(0, 24 * 60), max_size=8)))
    spans = [
        Span(START + a * MINUTE, START + b * MINUTE, draw(st.booleans()))
        for a, b in pairwise(edges)
        if draw(st.booleans())
    ]
    return Conditions(
        start=START,
        deadline=START + work + changeover + slack,
        work=work,
        changeover=changeover,
        spot=Timeline.of([(START, draw(st.sampled_from([Decimal(8), Decimal(16), Decimal(30)])))]),
        on_demand=Timeline.of([(START, ON_DEMAND)]),
        seen=tuple(spans),
    )


def owed(course: Course, conditions: Conditions) -> Fraction:
    spot = conditions.spot.at(START)
    assert spot is not None
    return (Fraction(spot) * course.spot + Fraction(ON_DEMAND) * course.on_demand) / HOUR


@settings(max_examples=40, deadline=None)
@given(worlds(), st.sampled_from(POLICIES), st.booleans())
def test_money_is_time_on_capacity_and_work_is_done(conditions: Conditions, policy: str, known: bool) -> None:
    course = replay(conditions, policy, when_unknown=known)
    assert course.cost is not None
    assert abs(Fraction(course.cost) - owed(course, conditions)) <= Fraction(1, 10**6)
    if course.end is not None:
        assert course.spot + course.on_demand >= conditions.work + conditions.changeover
        assert course.end - conditions.start >= course.spot + course.on_demand
    assert course.missed == (course.end is None or course.end > conditions.deadline)


@settings(max_examples=25, deadline=None)
@given(worlds(), st.booleans())
def test_auto_meets_what_can_be_met_and_costs_little_more_than_on_demand(conditions: Conditions, known: bool) -> None:
    auto = replay(conditions, "auto", when_unknown=known)
    dear = replay(conditions, "onDemand", when_unknown=known)
    assert not auto.missed
    assert auto.cost is not None
    assert dear.cost is not None
    assert auto.cost <= dear.cost * Decimal("1.05") + Decimal("0.01")
    assert dear.on_demand == conditions.work + conditions.changeover


@settings(max_examples=25, deadline=None)
@given(worlds())
def test_spot_alone_never_runs_without_it(conditions: Conditions) -> None:
    never = Conditions(**{**{f: getattr(conditions, f) for f in Conditions.__slots__}, "seen": ()})
    course = replay(never, "spotOnly", when_unknown=False)
    assert (course.end, course.spot, course.on_demand, course.cost) == (None, 0, 0, Decimal(0))
