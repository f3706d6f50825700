"""How settings are chosen on the training days, and what is kept for the worst that was seen, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gpucost.core.serving.replicas.habits import Habits, Windows, exceeded, needed
from gpucost.core.serving.replicas.peaks import HOUR, WEEKS, Peaks
from gpucost.simulate.fleet import Span
from gpucost.simulate.tuning import for_target, frontier


def span(*points: tuple[float, float, float]) -> Span:
    """Settings by late fraction, exposure and GPU-hours."""
    late, exposed, hours = (np.array(column) for column in zip(*points, strict=True))
    return Span(late, exposed, hours, np.zeros(len(points), dtype=np.int64))


def test_the_cheapest_that_keeps_the_target_and_the_least_exposed_of_equals() -> None:
    seen = span((0.02, 0.1, 90), (0.009, 0.3, 100), (0.008, 0.2, 100), (0.0, 0.1, 150))
    assert for_target(seen, 0.01) == 2
    assert for_target(seen, 0.001) == 3
    assert for_target(span((0.03, 0.1, 50), (0.02, 0.1, 90)), 0.001) == 1


def test_a_frontier_has_the_corners_of_the_hull_and_then_what_is_least_exposed() -> None:
    corners = [(0.10, 0.5, 100.0), (0.04, 0.5, 112.0), (0.01, 0.5, 130.0), (0.0, 0.5, 160.0)]
    lucky = (0.039, 0.5, 124.0)  # under 4 % at hardly any less than the line between its neighbours costs
    safer = [(0.0, 0.2, 170.0), (0.0, 0.4, 169.0), (0.0, 0.1, 240.0), (0.0, 0.05, 400.0)]
    found = frontier(span(*corners, lucky, *safer))
    assert [index for index in found if index < 4] == [0, 1, 2, 3]
    assert {5, 7} <= set(found)  # within 1.06 and 1.55 times 160
    assert len(found) == 8  # filled up, so that there are eight


def test_peaks_are_those_of_whole_hours_and_forgotten_after_four_weeks() -> None:
    peaks = Peaks()
    told = [peaks.update(7.0 if step == 10 else 2.0) for step in range(HOUR + 1)]
    assert told[HOUR - 2] == 0.0
    assert told[HOUR] == 7.0
    for _ in range(WEEKS * HOUR):
        last = peaks.update(2.0)
    assert last == 2.0


def test_a_curve_and_its_inverse_agree() -> None:
    habits = Habits(Windows(4, 20))
    for step in range(6000):
        level = 200.0 if step % 249 >= 241 else 100.0
        habits.update(level, level, level)
    units = needed(habits.curves.near, np.log(np.array([0.5, 0.01, 1e-6])))
    assert list(units) == sorted(units)
    assert exceeded(habits.curves.near, float(units[1])) == pytest.approx(0.01, rel=0.2)
