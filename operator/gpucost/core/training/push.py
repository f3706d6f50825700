"""What a training run may send: Kubeflow Trainer's progress message, read without trusting any of it.

The message is the one of Kubeflow Trainer's runtime status protocol, which Hugging Face Transformers sends by itself
since 5.4.0: `{"trainerStatus": {"progressPercentage", "estimatedRemainingSeconds", "metrics": [{"name", "value"}],
"lastUpdatedTime"}}`. Beside it stand two fields of our own, `step` and `checkpoint`. A value of a metric that is not a
number or infinite is a finding, not an error: divergence shows so. Anywhere else it is refused.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import DAY, SECOND, Instant, Micros, parse_rfc3339

MOST_BYTES = 32 * 1024
MOST_METRICS = 128
LONGEST_NAME = 128
LONGEST_TIME = 3650 * DAY
_MOST_STEPS = 1 << 53
_NUMBER = re.compile(
    r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,4})?|[+-]?(nan|inf|infinity)", re.IGNORECASE
)


class PushError(ValueError):
    """The message cannot be used; one line that names the place and what is right."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint as a run tells of it."""

    step: int | None = None
    duration: Micros | None = None
    at: Instant | None = None
    """When it was complete by the run's own clock; None: now."""


@dataclass(frozen=True, slots=True)
class Push:
    """One message, read."""

    told_at: Instant | None = None
    """`lastUpdatedTime`, by the clock of the run's machine."""
    step: int | None = None
    progress: float | None = None
    remaining: Micros | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    saved: Saved | None = None
    ignored: tuple[str, ...] = ()
    """What was left out, each with its place and why; the rest counts."""

    @property
    def is_report(self) -> bool:
        """Whether it says anything but a checkpoint."""
        return bool(self.metrics) or any(one is not None for one in (self.step, self.progress, self.remaining))


def parse_push(body: bytes) -> Push:
    """Read a message. Raises `PushError`."""
    document = _document(body)
    status = document.get("trainerStatus")
    if status is None and document.get("checkpoint") is None:
        raise PushError('trainerStatus: missing; send {"trainerStatus": {"progressPercentage": 42}}')
    told = _object(status if status is not None else {}, "trainerStatus")
    metrics, ignored = _metrics(told.get("metrics"))
    step = _step(document.get("step"), "step")
    return Push(
        told_at=_time(told.get("lastUpdatedTime"), "trainerStatus.lastUpdatedTime"),
        step=step if step is not None else _step_among(metrics),
        progress=_progress(told.get("progressPercentage")),
        remaining=_seconds(told.get("estimatedRemainingSeconds"), "trainerStatus.estimatedRemainingSeconds"),
        metrics=metrics,
        saved=_saved(document.get("checkpoint")),
        ignored=ignored,
    )


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise PushError(f"body: not JSON ({why[:120]}); send an object with trainerStatus") from None
    return _object(found, "body")


def _object(found: object, place: str) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise PushError(f"{place}: must be a JSON object, not {_kind(found)}")
    return found


def _kind(found: object) -> str:
    names: dict[type, str] = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(found), "a number")


# --- numbers and times ------------------------------------------------------------------------------------------------


def _finite(found: object, place: str) -> float | None:
    """A number, or text of one as Kubeflow's clients write them."""
    if found is None:
        return None
    value = number(found)
    if value is None:
        raise PushError(f"{place}: must be a number, not {_kind(found)}")
    if not math.isfinite(value):
        raise PushError(f"{place}: must be finite, not {value}; leave it out when it is unknown")
    return value


def number(found: object) -> float | None:
    """A number from JSON or from text, not-a-number and infinity among them; None when it is none."""
    if isinstance(found, str):
        text = found.strip()
        return float(text) if len(text) <= 100 and _NUMBER.fullmatch(text) else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        return float(found)
    except OverflowError:
        return math.inf if found > 0 else -math.inf


def _progress(found: object) -> float | None:
    place = "trainerStatus.progressPercentage"
    value = _finite(found, place)
    if value is not None and not 0 <= value <= 100:
        raise PushError(f"{place}: must be from 0 to 100, not {value:g}")
    return None if value is None else value / 100


def _seconds(found: object, place: str) -> Micros | None:
    value = _finite(found, place)
    if value is not None and not 0 <= value <= LONGEST_TIME / SECOND:
        raise PushError(f"{place}: must be from 0 to {LONGEST_TIME // SECOND} seconds, not {value:g}")
    return None if value is None else round(value * SECOND)


def _step(found: object, place: str) -> int | None:
    value = _finite(found, place)
    if value is not None and (not 0 <= value < _MOST_STEPS or value != int(value)):
        raise PushError(f"{place}: must be a whole number from 0 on, not {value:g}")
    return None if value is None else int(value)


def _step_among(metrics: Mapping[str, float]) -> int | None:
    """Hugging Face sends the step as a metric."""
    value = metrics.get("current_step")
    return int(value) if value is not None and math.isfinite(value) and 0 <= value < _MOST_STEPS else None


def _time(found: object, place: str) -> Instant | None:
    if found is None:
        return None
    if not isinstance(found, str):
        raise PushError(f"{place}: must be a time such as 2026-11-01T00:00:00Z, not {_kind(found)}")
    try:
        return parse_rfc3339(found[:64])
    except (ValueError, OverflowError):
        raise PushError(f"{place}: must be a time such as 2026-11-01T00:00:00Z, not {found[:64]!r}") from None


# --- metrics and checkpoints ------------------------------------------------------------------------------------------


def _metrics(found: object) -> tuple[dict[str, float], tuple[str, ...]]:
    """Values by name, the last one of each, and what was left out."""
    if found is None:
        return {}, ()
    if not isinstance(found, list):
        raise PushError(f'trainerStatus.metrics: must be a list of {{"name", "value"}}, not {_kind(found)}')
    if len(found) > MOST_METRICS:
        raise PushError(f"trainerStatus.metrics: at most {MOST_METRICS}, not {len(found)}; send what is judged by")
    values: dict[str, float] = {}
    ignored: list[str] = []
    for index, one in enumerate(found):
        place = f"trainerStatus.metrics[{index}]"
        name = _name(_object(one, place).get("name"), place)
        value = number(one.get("value"))
        if value is None:
            ignored.append(f"{place}.value: {name} is no number")
        else:
            values[name] = value
    return values, tuple(ignored)


def _name(found: object, place: str) -> str:
    if not isinstance(found, str) or not 0 < len(found) <= LONGEST_NAME or not found.isprintable():
        raise PushError(f"{place}.name: must be printable text of 1 to {LONGEST_NAME} characters")
    return sys.intern(found)


def _saved(found: object) -> Saved | None:
    """`{"step", "durationSeconds", "time"}`, each optional."""
    if found is None:
        return None
    told = _object(found, "checkpoint")
    return Saved(
        step=_step(told.get("step"), "checkpoint.step"),
        duration=_seconds(told.get("durationSeconds"), "checkpoint.durationSeconds"),
        at=_time(told.get("time"), "checkpoint.time"),
    )
