"""GPU-hours at equal late fraction, and the page of results made of them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bench.frontier import envelope, hours_at
from bench.serving_report import Row, pictures, report

LINE = [(0.01, 100.0), (0.02, 105.0), (0.001, 200.0), (0.0, 400.0)]


def test_what_another_beats_in_both_is_left_out() -> None:
    assert envelope(LINE) == [(0.01, 100.0), (0.001, 200.0), (0.0, 400.0)]


@pytest.mark.parametrize(
    ("late", "hours"),
    [(0.05, 100), (0.01, 100), (0.001, 200), (10**-2.5, 150), (1e-4, 300), (0.0, 400)],
)
def test_hours_are_linear_in_the_logarithm_of_what_is_late(late: float, hours: float) -> None:
    assert hours_at(LINE, late) == pytest.approx(hours)


def test_a_frontier_that_does_not_get_there_has_no_hours() -> None:
    assert hours_at([(0.01, 100.0)], 0.001) is None
    assert hours_at([], 0.001) is None


def row(ready: float, own: float, rival: float, static: float) -> Row:
    def line(hours: float, safe: float = 0.0) -> list[list[float]]:
        return [[0.05, hours, 9], [safe, hours, 9]]

    points = {
        "gpucost": line(own), "hpa": line(rival), "kpa": line(rival + 5, safe=0.006), "keda": line(rival + 9),
        "static": line(static),
    }  # fmt: skip
    return Row("week.csv", 5.0, ready, 0, points, 12.5)


def test_the_page_says_what_was_kept_and_what_was_missed() -> None:
    good = report([row(60, 90, 100, 150), row(180, 91, 100, 150)], "a machine")
    assert "| 5 | 9.5% over 6 of 6 points, 6 of which an autoscaler reaches | kept |" in good
    assert good.count("| kept |") == 3
    assert "| 60 | 0.1% | 90 | 100 | - | 109 | 150 | -10.0% (hpa) |" in good
    bad = report([row(60, 102, 100, 150)], "a machine")
    assert "| 5 | +2.0% at the worst | **missed** |" in bad


def test_static_stands_in_where_no_autoscaler_gets_there() -> None:
    poor = Row(
        "week.csv",
        5.0,
        600,
        0,
        {name: [[0.05, 80, 1]] for name in ("hpa", "kpa", "keda")} | {"gpucost": [[0, 90, 1]], "static": [[0, 120, 0]]},
        1.0,
    )
    assert poor.best(0.001) == ("static", 120)
    assert poor.saved(0.001) == pytest.approx(0.25)


def test_pictures_are_well_formed() -> None:
    found = pictures([row(60, 90, 100, 150), row(180, 91, 100, 150)])
    assert list(found) == ["serving-week-5.svg"]
    drawing = ElementTree.fromstring(found["serving-week-5.svg"])
    assert len(drawing.findall(".//{http://www.w3.org/2000/svg}polyline")) == 10
