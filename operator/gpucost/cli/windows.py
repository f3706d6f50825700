"""A window in the words of whoever typed it, and the window before it."""

from __future__ import annotations

from gpucost.core.clock import format_rfc3339, parse_rfc3339
from gpucost.web.schema import Window

_WORDS = {
    "today": "today",
    "yesterday": "yesterday",
    "week": "this week",
    "lastweek": "last week",
    "month": "this month",
    "lastmonth": "last month",
}
_UNITS = {"m": "minute", "h": "hour", "d": "day", "w": "week"}


def when(window: str) -> str:
    """Such as `in the last 7 days`, to end a sentence with."""
    words = window.strip().lower()
    if words in _WORDS:
        return _WORDS[words]
    if "," in words:
        return "in the window"
    number, unit = words[:-1], _UNITS.get(words[-1:], words[-1:])
    return f"in the last {unit}" if number == "1" else f"in the last {number} {unit}s"


def length(window: Window) -> int:
    """Length in microseconds."""
    return parse_rfc3339(window.end) - parse_rfc3339(window.start)


def before(window: Window) -> str:
    """The window of equal length that ends where this one begins, as `START,END`."""
    start = parse_rfc3339(window.start)
    return f"{format_rfc3339(max(0, start - length(window)))},{window.start}"
