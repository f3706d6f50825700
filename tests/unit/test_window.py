"""Words for spans of time, at a known instant: Tuesday 24 November 2026, 02:30:00 UTC."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import DAY, format_rfc3339, parse_rfc3339
from gpucost.core.window import WindowError, parse_window

NOW = parse_rfc3339("2026-11-24T02:30:00Z")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("90m", "2026-11-24T01:00:00Z", "2026-11-24T02:30:00Z"),
        ("24h", "2026-11-23T02:30:00Z", "2026-11-24T02:30:00Z"),
        ("7d", "2026-11-17T02:30:00Z", "2026-11-24T02:30:00Z"),
        ("2w", "2026-11-10T02:30:00Z", "2026-11-24T02:30:00Z"),
        ("today", "2026-11-24T00:00:00Z", "2026-11-24T02:30:00Z"),
        ("yesterday", "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"),
        ("week", "2026-11-23T00:00:00Z", "2026-11-24T02:30:00Z"),
        ("lastweek", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("Month", "2026-11-01T00:00:00Z", "2026-11-24T02:30:00Z"),
        ("lastmonth", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        ("2026-11-01T00:00:00Z,2026-11-02T00:00:00Z", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
        ("2026-11-01T02:00:00+02:00, 2026-11-02", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
        ("2026-11-20,", "2026-11-20T00:00:00Z", "2026-11-24T02:30:00Z"),
        ("2026-11-20,2027-01-01", "2026-11-20T00:00:00Z", "2026-11-24T02:30:00Z"),
    ],
)
def test_words_mean_this_span(text: str, start: str, end: str) -> None:
    span = parse_window(text, NOW)
    assert (format_rfc3339(span.start), format_rfc3339(span.end)) == (start, end)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "7d"),
        ("fortnight", "7d"),
        ("-3d", "7d"),
        ("1.5h", "7d"),
        ("2026-11-02,2026-11-01", "earlier"),
        ("2026-11-01,2026-11-01", "earlier"),
        ("2026-11-25,2026-11-26", "future"),
        ("2026-11-01T00:00:00,2026-11-02", "append Z"),
        ("2026-13-01,2026-11-02", "RFC 3339"),
        (",", "RFC 3339"),
    ],
)
def test_anything_else_is_refused_with_what_is_right(text: str, remedy: str) -> None:
    with pytest.raises(WindowError, match=remedy):
        parse_window(text, NOW)


def test_today_is_empty_at_midnight_and_says_so() -> None:
    with pytest.raises(WindowError, match="starts right now"):
        parse_window("today", parse_rfc3339("2026-11-24T00:00:00Z"))


@given(st.integers(0, 40_000 * DAY), st.sampled_from(["1m", "7d", "yesterday", "lastweek", "lastmonth"]))
def test_a_span_is_never_empty_and_never_beyond_now(now: int, text: str) -> None:
    now += 60 * DAY
    span = parse_window(text, now)
    assert 0 <= span.start < span.end <= now


@given(st.integers(62 * DAY, 40_000 * DAY))
def test_last_month_and_this_month_touch(now: int) -> None:
    assert parse_window("lastmonth", now).end == parse_window("month", now + 1).start
