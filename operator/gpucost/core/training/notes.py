"""Annotations read as what was once written into them: what somebody has made unreadable counts as never written."""

from __future__ import annotations

import json
from typing import Any

from gpucost.core.clock import Instant, parse_rfc3339


def instant(text: str | None) -> Instant | None:
    """A time."""
    try:
        return parse_rfc3339(text) if text else None
    except ValueError:
        return None


def count(text: str | None) -> int:
    """How many times; 0 for none."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0


def json_object(text: str | None) -> dict[str, Any] | None:
    """A JSON object."""
    try:
        found = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
