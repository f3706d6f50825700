"""Instants, amounts, quantities and timelines are exact."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import (
    HOUR,
    MINUTE,
    SECOND,
    format_duration,
    format_rfc3339,
    parse_duration,
    parse_rfc3339,
)  # fmt: skip
from gpucost.core.money import apportion, format_micro, format_pico, parse_amount
from gpucost.core.quantity import milli, parse_quantity, whole
from gpucost.core.timeline import Interval, Timeline


def test_times_of_the_api_server_are_read_and_written_back():
    assert format_rfc3339(parse_rfc3339("2026-11-01T00:00:00Z")) == "2026-11-01T00:00:00Z"
    assert format_rfc3339(parse_rfc3339("2026-11-01T02:00:00.5+02:00")) == "2026-11-01T00:00:00.5Z"


@pytest.mark.parametrize(
    "text", ["2026-11-01T00:00:00", "tomorrow", "", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_a_time_without_a_zone_or_sense_is_refused(text):
    with pytest.raises(ValueError, match="time"):
        parse_rfc3339(text)


@pytest.mark.parametrize(
    ("text", "micros"), [("90s", 90 * SECOND), ("1h30m", HOUR + 30 * MINUTE), ("1.5h", 90 * MINUTE), ("2d", 48 * HOUR)]
)
def test_durations_are_read(text, micros):
    assert parse_duration(text) == micros


@pytest.mark.parametrize("text", ["", "5", "-5m", "5 m", "h"])
def test_malformed_durations_are_refused(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_ages_have_two_units():
    assert [format_duration(s * SECOND) for s in (45, 330, 3900, 100_000)] == ["45s", "5m30s", "1h5m", "1d3h"]


@given(st.integers(min_value=0, max_value=4_102_444_800_000_000))
def test_formatting_a_time_loses_nothing(instant):
    assert parse_rfc3339(format_rfc3339(instant)) == instant


@given(st.lists(st.fractions(min_value=0, max_value=10**6), min_size=1, max_size=30))
def test_apportioned_parts_add_up_and_are_off_by_less_than_one(parts):
    total = round(sum(parts, Fraction(0)))
    result = apportion(parts, total)
    assert sum(result) == total
    assert all(abs(got - part) < 1 for got, part in zip(result, parts, strict=True))


def test_a_third_each_gives_the_odd_unit_to_the_first():
    assert apportion([Fraction(100, 3)] * 3, 100) == [34, 33, 33]


@pytest.mark.parametrize("text", ["-1", "NaN", "1e3", "", "1.", "Infinity"])
def test_amounts_that_are_no_plain_decimal_are_refused(text):
    with pytest.raises(ValueError, match=r"amount|negative"):
        parse_amount(text)


def test_amounts_are_written_with_six_places():
    assert parse_amount("55.04") == Decimal("55.04")
    assert format_micro(-1_500_000) == "-1.500000"
    assert format_pico(1_234_567_890_123) == "1.234568"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", Fraction(1, 2)),
        ("128Gi", Fraction(128 * 2**30)),
        ("1e3", Fraction(1000)),
        ("1E", Fraction(10**18)),
        ("2Ei", Fraction(2**61)),
        ("5E-3", Fraction(5, 1000)),
    ],
)
def test_quantities_are_read_exactly(text, value):
    assert parse_quantity(text) == value


def test_quantities_are_rounded_up_as_the_scheduler_does():
    assert milli("0.1m") == 1
    assert whole("1500m") == 2


@pytest.mark.parametrize("text", ["12 GB", "1e999999999", "1E-99999999", "1e65", "9" * 5000, "Ei"])
def test_a_malformed_quantity_is_refused_and_so_is_one_without_measure(text):
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(text)


def test_a_timeline_is_cut_where_its_value_changes():
    line = Timeline.of([(10, "b"), (0, "a")])
    assert list(line.segments(-5, 15)) == [
        (Interval(-5, 0), None),
        (Interval(0, 10), "a"),
        (Interval(10, 15), "b"),
    ]
    assert line.at(9) == "a"
    assert line.at(-1) is None


def test_two_values_from_one_instant_are_refused():
    with pytest.raises(ValueError, match="same instant"):
        Timeline.of([(0, 1), (0, 2)])
