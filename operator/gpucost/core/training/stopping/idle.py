"""Idle GPUs: every GPU of the run quiet by several signals, measured nearly all the time, and no word of progress.

What was not measured counts as nothing: neither as idle nor as busy. One moment of work is enough for the run to be
busy, and one worker of which too little is known is enough for nobody to be able to tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpucost.core.clock import MINUTE, Instant, Micros, format_duration
from gpucost.core.training.progress import Checkpoint, Progress, Report
from gpucost.core.training.stopping.finding import FINE, Finding, unknown
from gpucost.core.training.stopping.spec import Idle

COVERAGE = 0.9
"""Part of the window that has to be measured."""
AGE: Micros = 2 * MINUTE
"""The window ends with the newest measurement, which may be so old: it comes once a tick."""


@dataclass(frozen=True, slots=True)
class Span:
    """Time in which all GPUs of a pod were quiet, or in which they were not."""

    since: Instant
    until: Instant
    quiet: bool


@dataclass(frozen=True, slots=True)
class Worker:
    """One pod of the run that holds GPUs."""

    name: str
    gpus: float
    started: Instant | None
    """When its containers started; None: they have not."""
    spans: Sequence[Span] = ()
    """What was measured, oldest first, without overlap; the rest is unknown."""


@dataclass(frozen=True, slots=True)
class Times:
    """Instants that a window depends on."""

    now: Instant
    since: Instant = 0
    """The last resumption by the user."""
    measured_since: Instant = 0
    """Since when this operator has measured."""


def idle(kind: Idle, workers: Sequence[Worker], progress: Progress, times: Times) -> Finding:
    """Holds when all workers were quiet for the whole window."""
    now, since = times.now, times.since
    end = min((one.spans[-1].until for one in workers if one.spans), default=now)
    end = end if now - AGE <= end < now else now
    begin = end - kind.after
    if not workers or since > begin or any(one.started is None or one.started > begin for one in workers):
        return FINE
    if _progress_since(progress, begin):
        return FINE
    coverage = 1.0
    for worker in workers:
        quiet, busy = _measured(worker.spans, begin, end)
        if busy:
            return FINE
        coverage = min(coverage, quiet / kind.after)
    if coverage < COVERAGE:
        message = f"less than {COVERAGE:.0%} of the last {format_duration(kind.after)} was measured for every GPU"
        return unknown("NotMeasured", message, loud=times.measured_since <= begin)
    gpus = sum(worker.gpus for worker in workers)
    told = progress.latest
    word = "no progress was reported" if told is None else "no progress was reported in that time"
    evidence = (
        f"{gpus:g} GPUs did nothing for {format_duration(kind.after)}: engine, utilisation and power low, "
        f"{100 * coverage:.0f} % of the time measured; {word}"
    )
    return Finding(True, "GPUsIdle", evidence)


def _progress_since(progress: Progress, begin: Instant) -> bool:
    """Whether the run has said anything new: a message that repeats the one before is no progress, nor is a
    checkpoint of a step that was known already, such as the last one that we ask for ourselves."""
    told: list[Report | Checkpoint] = [*progress.reports, *progress.checkpoints]
    known = max((one.step for one in told if one.step is not None and one.at < begin), default=-1)
    if any(one.at >= begin and (one.step or 0) > known for one in progress.checkpoints if one.step is not None):
        return True
    before: dict[str, object] = {}
    for report in progress.reports:
        said = (report.step, report.progress, {name: repr(value) for name, value in report.metrics.items()})
        if report.at >= begin and said != before.get(report.source):
            return True
        before[report.source] = said
    return False


def _measured(spans: Sequence[Span], begin: Instant, end: Instant) -> tuple[Micros, Micros]:
    """Quiet and busy time in `[begin, end)`."""
    total = {True: 0, False: 0}
    for span in spans:
        total[span.quiet] += max(0, min(span.until, end) - max(span.since, begin))
    return total[True], total[False]


def running_since(workers: Mapping[str, Worker]) -> Instant | None:
    """Since when all of them run; None while one does not, or there is none."""
    starts = [worker.started for worker in workers.values()]
    return None if not starts or None in starts else max(start for start in starts if start is not None)
