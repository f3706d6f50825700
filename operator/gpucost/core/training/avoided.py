"""What a run that was stopped would have gone on to cost, by now or in a window: what stopping it has saved.

The rate is that of the moment of the stop, and it is never taken for longer than the run was expected to last: by its
own words, else by the estimate that was made before it ran. Where neither is known, nobody knows what was saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from gpucost.core.clock import HOUR
from gpucost.core.money import PICO, Pico
from gpucost.core.timeline import Interval
from gpucost.core.training import notes


@dataclass(frozen=True, slots=True)
class Avoided:
    """What a stop has saved in a window; None is unknown."""

    rule: str
    saved: Pico | None


def avoided(status: Mapping[str, Any], span: Interval) -> Avoided | None:
    """From the status of a TrainingJob; None for one that no rule keeps stopped, or that stops after the window."""
    stop = (status.get("earlyStopping") or {}).get("stop") or {}
    if not stop.get("id") or stop.get("restarts"):
        return None
    at = notes.instant(str(stop["id"]))
    if at is None or at >= span.end:  # None where somebody has edited the status: others' sums must not fail over it
        return None
    rule, hourly = str(stop.get("rule") or ""), _decimal(stop.get("savedHourly"))
    rest = _rest(status, hourly) if hourly is not None else None
    if hourly is None or rest is None:
        return Avoided(rule, None)
    before, until = (min(hourly * (end - at) / HOUR, rest) for end in (max(at, span.start), span.end))
    return Avoided(rule, int((until - before) * PICO))


def _rest(status: Mapping[str, Any], hourly: Decimal) -> Decimal | None:
    """What the rest of the run was expected to cost when it was stopped."""
    told = (status.get("trainerStatus") or {}).get("estimatedRemainingSeconds")
    if isinstance(told, int) and told >= 0:
        return hourly * told / 3600
    expected = _decimal((status.get("estimate") or {}).get("cost"))
    paid = _decimal((status.get("cost") or {}).get("total"))
    return max(Decimal(0), expected - paid) if expected is not None and paid is not None else None


def _decimal(text: object) -> Decimal | None:
    try:
        found = Decimal(str(text))
    except InvalidOperation:
        return None
    return found if found.is_finite() and found >= 0 else None
