"""Stays as text, for the ledger: one list for each run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gpucost.core.model import CapacityType
from gpucost.core.training.auto.stays import Cause, Stay

_PLAIN = ("start", "zone", "bound", "running", "reported", "ended", "wants", "lost_since", "lost_cost", "booked")


def to_json(stays: Sequence[Stay]) -> str:
    """As text; what is empty is left out."""
    return json.dumps([_written(stay) for stay in stays], separators=(",", ":"))


def from_json(text: str) -> tuple[Stay, ...]:
    """Read; a stay that cannot be read, such as one of a newer version, is left out."""
    found = []
    for raw in json.loads(text):
        try:
            found.append(_read(raw))
        except (KeyError, TypeError, ValueError):
            continue
    return tuple(found)


def _written(stay: Stay) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(stay, name) for name in _PLAIN}
    told |= {"capacity": str(stay.capacity), "cause": None if stay.cause is None else str(stay.cause)}
    return {key: value for key, value in told.items() if value is not None and value is not False and value != ""}


def _read(raw: dict[str, Any]) -> Stay:
    cause = raw.get("cause")
    return Stay(
        **{name: raw[name] for name in _PLAIN if name in raw},
        capacity=CapacityType(raw["capacity"]),
        cause=None if cause is None else Cause(cause),
    )
