"""The one place where people's words for a span of time become an interval.

The API and every command take the same words, so that `--window week` means the same everywhere: half-open, in UTC, and
never beyond now, because what has not happened has no cost yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from gpucost.core.clock import DAY, HOUR, MINUTE, Instant, Micros, from_datetime, parse_rfc3339, to_datetime
from gpucost.core.timeline import Interval

DEFAULT_WINDOW = "7d"

_BACK = re.compile(r"([1-9]\d{0,5})(m|h|d|w)")
_UNITS: dict[str, Micros] = {"m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_WANTED = (
    "want a span such as 24h or 7d, one of today, yesterday, week, lastweek, month, lastmonth, "
    "or START,END such as 2026-11-01T00:00:00Z,2026-11-02T00:00:00Z (UTC)"
)


class WindowError(ValueError):
    """Words that do not name a span of time; the message says what would."""


def parse_window(text: str, now: Instant) -> Interval:
    """Turn `24h`, `7d`, `today`, `yesterday`, `week`, `lastweek`, `month`, `lastmonth` or `START,END` into a span.

    A span that began in the past and is not over ends `now`. `START` and `END` are RFC 3339 times, or dates meaning
    midnight UTC; an empty `END` is now. Raises `WindowError` for anything else, for an empty span and for one that
    lies wholly in the future.
    """
    words = text.strip()
    match = _BACK.fullmatch(words)
    if match:
        return _since_epoch(now - int(match[1]) * _UNITS[match[2]], now)
    if words.lower() in _CALENDAR:
        return _not_empty(_CALENDAR[words.lower()](now), text)
    if "," in words:
        return _between(words, now)
    raise WindowError(f"not a window: {text!r}; {_WANTED}")


def _since_epoch(start: Instant, now: Instant) -> Interval:
    return Interval(max(0, start), now)


def _not_empty(span: Interval, text: str) -> Interval:
    if span.start >= span.end:
        raise WindowError(f"window {text!r} is empty: it starts right now; try again in a moment")
    return span


def _between(text: str, now: Instant) -> Interval:
    first, _, last = text.partition(",")
    start = _moment(first.strip(), text)
    end = _moment(last.strip(), text) if last.strip() else now
    if start >= end:
        raise WindowError(f"window {text!r} ends before it has started; the first time must be the earlier one")
    if start >= now:
        raise WindowError(f"window {text!r} lies in the future; costs are known up to now")
    return Interval(start, min(end, now))


def _moment(text: str, window: str) -> Instant:
    try:
        return parse_rfc3339(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
    except ValueError as error:
        raise WindowError(f"window {window!r}: {error}") from None


# --- calendar ---------------------------------------------------------------------------------------------------------


def _midnight(now: Instant, days: int = 0) -> Instant:
    return now - now % DAY + days * DAY


def _monday(now: Instant) -> Instant:
    return _midnight(now, -to_datetime(now).weekday())


def _first(now: Instant) -> Instant:
    return _midnight(now, 1 - to_datetime(now).day)


def _last_month(now: Instant) -> Interval:
    end = _first(now)
    return Interval(_first(from_datetime(to_datetime(end) - timedelta(days=1))), end)


_CALENDAR: dict[str, Callable[[Instant], Interval]] = {
    "today": lambda now: Interval(_midnight(now), now),
    "yesterday": lambda now: Interval(_midnight(now, -1), _midnight(now)),
    "week": lambda now: Interval(_monday(now), now),
    "lastweek": lambda now: Interval(_monday(now) - 7 * DAY, _monday(now)),
    "month": lambda now: Interval(_first(now), now),
    "lastmonth": _last_month,
}
