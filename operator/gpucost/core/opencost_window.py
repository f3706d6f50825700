"""Windows in the words of OpenCost, which means other spans by some of them than we do.

A client of OpenCost draws one bar for each day, so there `7d` is today and the six days before, from midnight to
midnight (UTC), `24h` are whole hours, and a week begins on Sunday. Windows may end in the future; costs do not.
Source: the documentation of OpenCost's allocation API and what its server answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros, floor_to, from_datetime, to_datetime
from gpucost.core.clock import parse_rfc3339 as rfc3339
from gpucost.core.timeline import Interval
from gpucost.core.window import WindowError

WEEK = 7 * DAY
MOST_STEPS = 1000
_UNITS: dict[str, Micros] = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
_BACK = re.compile(r"([1-9]\d{0,5})([mhdw])(?:\s+offset\s+([1-9]\d{0,5})([mhdw]))?")
_SECONDS = re.compile(r"(\d{1,11})[,-](\d{1,11})")
_STEP = re.compile(r"([1-9]\d{0,5})([smhdw])")
_WANTED = (
    "want today, yesterday, week, month, lastweek, lastmonth, a span such as 24h or 7d, "
    "START,END as RFC 3339 times, or two Unix times in seconds"
)


def parse_window(text: str, now: Instant) -> Interval:
    """A window; it may reach into the future. Raises `WindowError` for other words and for one that is empty."""
    words = text.strip()
    if words.lower() in _CALENDAR:
        return _CALENDAR[words.lower()](now)
    if match := _BACK.fullmatch(words):
        return _back(int(match[1]), match[2], match, now)
    if match := _SECONDS.fullmatch(words):
        return _between(int(match[1]) * SECOND, int(match[2]) * SECOND, text)
    if "," in words:
        try:
            first, last = map(rfc3339, map(str.strip, words.split(",")))
        except ValueError as error:
            raise WindowError(f"{text!r}: {error}") from None
        return _between(first, last, text)
    raise WindowError(f"{text!r} is not a window; {_WANTED}")


def _between(start: Instant, end: Instant, text: str) -> Interval:
    if start >= end:
        raise WindowError(f"{text!r} ends before it has started")
    return Interval(start, end)


def _back(number: int, unit: str, match: re.Match[str], now: Instant) -> Interval:
    length = number * _UNITS[unit]
    if match[3]:
        end = now - int(match[3]) * _UNITS[match[4]]
    else:
        grain = DAY if unit == "w" else _UNITS[unit]
        end = floor_to(now, grain) + grain
    return Interval(max(0, end - length), end)


def parse_step(text: str) -> Micros:
    """Length of a step such as `1d` or `6h`; anything else is a `ValueError`."""
    match = _STEP.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a length such as 1h or 1d")
    return int(match[1]) * _UNITS[match[2]]


def steps(window: Interval, step: Micros) -> list[Interval]:
    """Cut a window at equal steps from its start; more than `MOST_STEPS` are a `ValueError`."""
    if -(-window.length // step) > MOST_STEPS:
        raise ValueError(f"the window has more than {MOST_STEPS} steps; use longer ones")
    starts = range(window.start, window.end, step)
    return [Interval(start, min(start + step, window.end)) for start in starts]


def calendar(window: Interval, unit: str) -> list[Interval]:
    """Cut a window at full hours, days, weeks (Sunday) or months, UTC; too many are a `ValueError`."""
    found: list[Interval] = []
    start = window.start
    while start < window.end:
        if len(found) == MOST_STEPS:
            raise ValueError(f"the window has more than {MOST_STEPS} of {unit}")
        end = min(_NEXT[unit](start), window.end)
        found.append(Interval(start, end))
        start = end
    return found


def _sunday(instant: Instant) -> Instant:
    midnight = floor_to(instant, DAY)
    return midnight - (to_datetime(midnight).weekday() + 1) % 7 * DAY


def _first(instant: Instant) -> Instant:
    return floor_to(instant, DAY) - (to_datetime(instant).day - 1) * DAY


def _next_month(instant: Instant) -> Instant:
    return _first(_first(instant) + 32 * DAY)


def _last_month(now: Instant) -> Interval:
    end = _first(now)
    return Interval(_first(from_datetime(to_datetime(end) - timedelta(days=1))), end)


_NEXT: dict[str, Callable[[Instant], Instant]] = {
    "hour": lambda instant: floor_to(instant, HOUR) + HOUR,
    "day": lambda instant: floor_to(instant, DAY) + DAY,
    "week": lambda instant: _sunday(instant) + WEEK,
    "month": _next_month,
}
CALENDAR_STEPS = tuple(_NEXT)

_CALENDAR: dict[str, Callable[[Instant], Interval]] = {
    "today": lambda now: Interval(floor_to(now, DAY), floor_to(now, DAY) + DAY),
    "yesterday": lambda now: Interval(floor_to(now, DAY) - DAY, floor_to(now, DAY)),
    "week": lambda now: Interval(_sunday(now), max(now, _sunday(now) + 1)),
    "lastweek": lambda now: Interval(_sunday(now) - WEEK, _sunday(now)),
    "month": lambda now: Interval(_first(now), max(now, _first(now) + 1)),
    "lastmonth": _last_month,
}


def happened(spans: list[Interval], now: Instant) -> Iterator[Interval | None]:
    """The part of each span that has happened; None for one that has not begun."""
    for span in spans:
        yield Interval(span.start, min(span.end, now)) if span.start < now else None
