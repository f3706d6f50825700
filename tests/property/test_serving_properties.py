"""Whatever arrives: work is conserved, bills are those of what exists, and the same question has the same answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpucost.core.clock import SECOND
from gpucost.core.serving.replicas import Limits, Observation, Params, decide
from gpucost.core.serving.replicas.policies import AXES, DEFAULTS, Times, columns
from gpucost.core.serving.replicas.seen import Counts, Floats
from gpucost.simulate.fleet import AGE, Fleet
from gpucost.simulate.tuning import for_target, frontier

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
UNIT = 150.0
RATES = st.lists(st.floats(0, 2000, allow_nan=False), min_size=8, max_size=60)
POLICIES = st.sampled_from(["gpucost", "hpa", "kpa", "keda"])


class Book:
    """Everything that happened in one column."""

    def __init__(self) -> None:
        self.arrived, self.served, self.late = [], [], []  # type: ignore[var-annotated]
        self.ready, self.billed = [], []  # type: ignore[var-annotated]

    def __call__(self, _step: int, arrived: float, served: Floats, late: Floats, ready: Counts, billed: Counts) -> None:
        for kept, value in ((self.arrived, arrived), (self.served, served[0]), (self.late, late[0])):
            kept.append(float(value))
        self.ready.append(int(ready[0]))
        self.billed.append(int(billed[0]))


def play(policy: str, rates: list[float], ready: int, most: int = 30) -> tuple[Fleet, Book, float, float]:
    fleet = Fleet(np.array(rates) * 15.0 + 1e-9, UNIT / 15, ready, 1, most)
    book = Book()
    span = fleet.play(columns(policy, [DEFAULTS[policy]], Times(ready, AGE)), len(rates), book)
    return fleet, book, float(span.hours[0]), float(span.late[0])


def fifo_late(book: Book, tail: int) -> float:
    """Late requests counted apart: of each step, what is left of it after the next one, first in first out."""
    served, done, late = [*book.served, tail * UNIT], 0.0, 0.0
    total = np.cumsum([0.0, *book.arrived])
    for step in range(len(book.arrived)):
        done = sum(served[: step + 2])
        late += min(max(total[step + 1] - done, 0.0), book.arrived[step])
    return late


@QUICK
@given(POLICIES, RATES, st.integers(0, 12))
def test_work_and_bills_are_conserved(policy: str, rates: list[float], ready: int) -> None:
    fleet, book, hours, late = play(policy, rates, ready)
    assert sum(book.served) + float(fleet.queue[0]) * UNIT == pytest.approx(sum(book.arrived), rel=1e-9, abs=1e-6)
    assert hours == pytest.approx(sum(book.billed) * 15 / 3600)
    assert all(1 <= some <= 30 for some in book.billed)
    assert all(0 <= some <= paid for some, paid in zip(book.ready, book.billed, strict=True))
    assert all(got <= some * UNIT + 1e-6 for got, some in zip(book.served, book.ready, strict=True))
    counted = fifo_late(book, int(fleet._course()[0][0]))
    assert late * sum(book.arrived) == pytest.approx(counted, rel=1e-6, abs=1e-4)


@QUICK
@given(POLICIES, RATES, st.integers(0, 6))
def test_the_same_world_has_the_same_course(policy: str, rates: list[float], ready: int) -> None:
    first, again = play(policy, rates, ready), play(policy, rates, ready)
    assert (first[1].billed, first[2:]) == (again[1].billed, again[2:])


@QUICK
@given(st.lists(st.integers(1, 20), min_size=5, max_size=60), RATES, st.integers(0, 8), st.integers(1, 8))
def test_longer_ready_times_never_help(totals: list[int], rates: list[float], ready: int, longer: int) -> None:
    class Fixed:
        foresees = False

        def decide(self, seen: object) -> Counts:
            return np.array([totals[seen.step % len(totals)]])  # type: ignore[attr-defined]

        def take(self, columns: object) -> None: ...

    lates = []
    for steps in (ready, ready + longer):
        fleet = Fleet(np.array(rates) * 15.0 + 1e-9, UNIT / 15, steps, 1, 30)
        lates.append(float(fleet.play(Fixed(), len(rates)).late[0]))
    assert lates[0] <= lates[1] + 1e-9


@QUICK
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(1, 1e4)), min_size=1, max_size=60))
def test_a_setting_is_the_cheapest_that_keeps_its_target(points: list[tuple[float, float]]) -> None:
    class Span:
        late = np.array([late for late, _ in points])
        exposed, hours = late, np.array([hours for _, hours in points])

    for target in (0.0, 0.01, 0.5):
        chosen = for_target(Span, target)  # type: ignore[arg-type]
        kept = [hours for late, hours in points if late <= target]
        assert points[chosen][1] == min(kept) if kept else points[chosen][0] == min(late for late, _ in points)
    rows = frontier(Span)  # type: ignore[arg-type]
    assert len(rows) == len(set(rows))
    assert len(rows) >= min(8, len(points))
    assert [points[row][1] for row in rows] == sorted(points[row][1] for row in rows)


@QUICK
@given(
    st.sampled_from(list(AXES)),
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 40), st.integers(0, 9)), max_size=30),
    st.integers(1, 9),
    st.integers(0, 40),
)
def test_recommendations_are_within_their_limits(
    policy: str, moments: list[tuple[float, float, int, int]], least: int, more: int
) -> None:
    params, state = Params(policy, limits=Limits(least, least + more)), None
    for step, (arrived, queue, ready, pending) in enumerate(moments):
        now = step * 15 * SECOND
        ages = tuple(range(0, pending * 10 * SECOND, 10 * SECOND))
        seen = Observation(now, now - 30 * SECOND, arrived, arrived / 2, queue, ready, ages, 7.5, 95 * SECOND)
        state, answer = decide(state, seen, params)
        assert least <= answer.replicas <= least + more
        assert answer.message
