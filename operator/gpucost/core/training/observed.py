"""What was seen of a run from outside (a line of its log, the answer to a query, its last words), as if it had said it.

A message of the run itself, a matching line and a query all end as one `Push`, so that everything that judges a run is
fed by one way. The names `step` and `progress` say how far the run is; every other one is a metric. Where two sources
speak of the same thing, the more trustworthy one counts, for as long as it goes on speaking.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import takewhile

from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.training.progress import SOURCES, Progress, Report
from gpucost.core.training.push import LONGEST_NAME, MOST_METRICS, Push, PushError, number, parse_push

STEP, PROGRESS = "step", "progress"
LATELY: Micros = 5 * MINUTE
"""A better source that was silent for so long is not waited for any more."""
LONGEST_ENDING = 4096
"""Bytes of a termination message, by the kubelet's own limit."""
_MOST_STEPS = 1 << 53
_LONGEST_VALUE = 100
_PERCENT = 100.0


def push_of(values: Mapping[str, object], told_at: Instant | None = None) -> Push:
    """Values by name; what is no number is left out and named. Progress may end with a percent sign."""
    metrics: dict[str, float] = {}
    ignored: list[str] = []
    step: int | None = None
    progress: float | None = None
    for name, found in values.items():
        value = _progress(found) if name == PROGRESS else number(found)
        if value is None:
            ignored.append(f"{name}: {str(found)[:_LONGEST_VALUE]!r} is no number")
        elif name == STEP:
            step = _whole(value)
            ignored += [] if step is not None else [f"step: {value:g} is no whole number from 0 on"]
        elif name == PROGRESS:
            progress = value if 0 <= value <= 1 else None
            ignored += [] if progress is not None else [f"progress: {value:g} is not from 0 to 1"]
        else:
            metrics[name] = value
    return Push(told_at=told_at, step=step, progress=progress, metrics=metrics, ignored=tuple(ignored))


def _whole(value: float) -> int | None:
    return int(value) if math.isfinite(value) and 0 <= value < _MOST_STEPS and value == int(value) else None


def _progress(found: object) -> float | None:
    if isinstance(found, str) and found.rstrip().endswith("%"):
        value = number(found.rstrip()[:-1])
        return None if value is None else value / _PERCENT
    return number(found)


def merged(first: Push, then: Push) -> Push:
    """Two messages as one: what the later one says counts."""
    return replace(
        then,
        step=then.step if then.step is not None else first.step,
        progress=then.progress if then.progress is not None else first.progress,
        metrics={**first.metrics, **then.metrics},
    )


def news(push: Push, source: str, progress: Progress) -> Push:
    """A message less what this source said last in the same words: a query gives the same value again and again."""
    last = _last_said(source, progress, {STEP, PROGRESS, *push.metrics})
    return replace(
        push,
        step=None if push.step == last.get(STEP) else push.step,
        progress=None if push.progress == last.get(PROGRESS) else push.progress,
        metrics={name: value for name, value in push.metrics.items() if last.get(name) != value},
    )


def _last_said(source: str, progress: Progress, names: set[str]) -> dict[str, float]:
    """What a source said last under some names."""
    found: dict[str, float] = {}
    for report in reversed(progress.reports):
        if report.source == source:
            found = {**{name: value for name, value in _said(report) if name in names}, **found}
            if len(found) == len(names):
                break
    return found


def _said(report: Report) -> Iterator[tuple[str, float]]:
    yield from report.metrics.items()
    for name, value in ((STEP, report.step), (PROGRESS, report.progress)):
        if value is not None:
            yield name, value


def less_than_better(push: Push, source: str, progress: Progress, now: Instant) -> Push:
    """A message less what a more trustworthy source had said lately when it was said, or has said since.

    What is told late, such as lines of a log that are read again after a restart, must not end up as the newest.
    """
    better = frozenset(SOURCES[: SOURCES.index(source)])
    said_at = now if push.told_at is None else min(push.told_at, now)
    lately = takewhile(lambda one: one.at > said_at - LATELY, reversed(progress.reports))
    told = {name for one in lately if one.source in better for name, _ in _said(one)}
    return replace(
        push,
        step=None if STEP in told else push.step,
        progress=None if PROGRESS in told else push.progress,
        metrics={name: value for name, value in push.metrics.items() if name not in told},
    )


# --- last words -------------------------------------------------------------------------------------------------------


def ending_of(message: str) -> tuple[Push | None, str]:
    """The JSON object in a termination message, or why there is none; both empty for a message that is no JSON at all.

    Either the object that a run would push, or plain values by name.
    """
    text = message.strip()
    if not text.startswith("{"):
        return None, ""
    if len(message.encode(errors="replace")) > LONGEST_ENDING:
        return None, f"longer than {LONGEST_ENDING} bytes"
    try:
        found = json.loads(text)
        if "trainerStatus" in found:
            return parse_push(text.encode()), ""
    except PushError as error:
        return None, str(error)
    except (ValueError, RecursionError) as error:
        return None, f"no JSON ({str(error)[:120]}); the kubelet cuts it off after {LONGEST_ENDING} bytes"
    values = {name: value for name, value in found.items() if 0 < len(name) <= LONGEST_NAME and name.isprintable()}
    return push_of(dict(list(values.items())[:MOST_METRICS])), ""
