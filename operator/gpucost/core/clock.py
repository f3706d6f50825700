"""Instants and durations as integers, so that arithmetic on time is exact.

An `Instant` counts microseconds since 1970-01-01T00:00:00Z; intervals are half-open `[start, end)`. `datetime` is left
at the borders: it is slow in inner loops and carries time zones that arithmetic must not see.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

Instant = int
"""Microseconds since the Unix epoch, UTC."""

Micros = int
"""A duration in microseconds."""

SECOND: Micros = 1_000_000
MINUTE: Micros = 60 * SECOND
HOUR: Micros = 60 * MINUTE
DAY: Micros = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE = timedelta(microseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _ONE
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _ONE
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|h|m|s|d)")
_UNITS: dict[str, Micros] = {"us": 1, "ms": 1_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}


def from_datetime(moment: datetime) -> Instant:
    """Convert an aware datetime; a naive one is a `ValueError`, because its zone would be a guess."""
    if moment.tzinfo is None:
        raise ValueError(f"time without a zone: {moment.isoformat()}")
    return (moment - _EPOCH) // _ONE


def to_datetime(instant: Instant) -> datetime:
    """Convert to an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=instant)


def parse_rfc3339(text: str) -> Instant:
    """Parse an RFC 3339 time such as `2026-11-01T00:00:00Z`; fractions beyond microseconds are cut off.

    What would be before the year 1 or after 9999 in UTC is a `ValueError` too: it could not be written again.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"not an RFC 3339 time: {text!r} (want 2026-11-01T00:00:00Z)") from None
    if moment.tzinfo is None:
        raise ValueError(f"time without a zone: {text!r} (append Z for UTC)")
    found = from_datetime(moment)
    if not _FIRST <= found <= _LAST:
        raise ValueError(f"not a time of the years 1 to 9999 in UTC: {text!r}")
    return found


def format_rfc3339(instant: Instant) -> str:
    """Format in UTC with `Z`, with a fraction only when there is one."""
    text = to_datetime(instant).isoformat().replace("+00:00", "")
    return (text.rstrip("0") if "." in text else text) + "Z"


def parse_duration(text: str) -> Micros:
    """Parse a Kubernetes (Go) duration such as `90s`, `1h30m` or `2d`; a negative or empty one is a `ValueError`."""
    parts = list(_DURATION.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        raise ValueError(f"not a duration: {text!r} (want for example 90s, 10m or 1h30m)")
    return sum(int(float(part[1]) * _UNITS[part[2]]) for part in parts)


def format_duration(duration: Micros) -> str:
    """Format a duration with its two largest units, as kubectl does for ages: `45s`, `12m30s`, `3h5m`, `2d4h`."""
    seconds = duration // SECOND
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}m{seconds}s" if seconds and minutes < 10 else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours}h" if hours else f"{days}d"


def floor_to(instant: Instant, step: Micros) -> Instant:
    """Largest multiple of a step that is not after an instant."""
    return instant - instant % step
