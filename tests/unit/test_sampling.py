"""Samples are condensed without losing what they say."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.sampling import Mark, condense, window

T0 = 1_793_491_200 * SECOND  # a full hour
TICK = 30 * SECOND


def feed(values, start=T0, tick=TICK):
    """Write samples one after another; what the ledger holds afterwards, by start."""
    state, rows, writes = None, {}, 0
    for number, value in enumerate(values):
        since = start + number * tick
        state, news = condense(state, value, since, since + tick)
        if news is not None:
            rows[news[0]] = news[1]
            writes += 1
    return rows, writes


def integral(rows, start, end):
    """Known time and active time of a timeline."""
    known = active = 0.0
    cuts = [*sorted(rows), end]
    for since, until in pairwise(cuts):
        if rows[since] is not None and until > start:
            known += until - since
            active += (until - since) * rows[since]
    return known, active


def test_a_constant_value_is_one_row():
    assert feed([0.5] * 20) == ({T0: 0.5}, 1)


def test_samples_of_one_span_become_their_mean_under_one_start():
    rows, _ = feed([0.2, 0.4, 0.6])
    assert rows == {T0: pytest.approx(0.4)}


def test_a_new_span_begins_a_new_row():
    rows, _ = feed([0.1] * 10 + [0.9] * 10)
    assert rows == {T0: 0.1, T0 + 5 * MINUTE: 0.9}


def test_unknown_time_is_kept_apart_from_known_time_in_the_same_span():
    rows, _ = feed([0.5, None, None, 0.7])
    assert rows == {T0: 0.5, T0 + TICK: None, T0 + 3 * TICK: 0.7}


def test_unknown_from_the_beginning_needs_no_row():
    assert feed([None] * 5) == ({}, 0)


def test_noise_adds_at_most_a_row_every_five_minutes():
    noise = [0.5 + 0.2 * (-1) ** n for n in range(120)]
    rows, _ = feed(noise)
    assert len(rows) <= HOUR // (5 * MINUTE)


@given(st.lists(st.none() | st.floats(min_value=0, max_value=1), min_size=1, max_size=60))
def test_known_time_is_exact_and_active_time_is_right_within_the_deadband(values):
    rows, _ = feed(values)
    end = T0 + len(values) * TICK
    known, active = integral(rows, T0, end)
    assert known == sum(v is not None for v in values) * TICK
    assert abs(active - sum(v or 0 for v in values) * TICK) <= 0.011 * known + 1


# --- what a sample stands for ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wall", "monotonic", "fault"),
    [
        (30, 30, ""),
        (33, 30, ""),
        (-1, 30, "the clock went back"),
        (0, 0, "the clock went back"),
        (3600, 30, "the clock jumped"),
        (30, 3600, "the clock jumped"),
        (599, 600, ""),
        (700, 700, "nobody measured for too long"),
    ],
)
def test_a_window_that_no_clock_can_vouch_for_has_a_fault(wall, monotonic, fault):
    last, now = Mark(T0, 5 * SECOND), Mark(T0 + wall * SECOND, (5 + monotonic) * SECOND)
    found = window(last, now, 10 * MINUTE)
    assert (found.since, found.until, found.fault) == (last.at, now.at, fault)
    assert found.goes_back == (wall <= 0)
