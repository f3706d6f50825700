"""A run's history in bounded space: the newest reports whole, older ones thinner and thinner, extremes kept.

Every rule that judges a run looks at the newest reports closely, at the rest for its shape, and at the best and worst
that was ever seen. So when a history is full, every second report of its older part is dropped, except the first one
and those that hold a metric's smallest or largest value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gpucost.core.training.progress import Checkpoint, Progress, Report

MOST_REPORTS = 128
MOST_CHECKPOINTS = 128
WHOLE = 48
"""Newest reports, which are never dropped."""
_MOST_VALUES = 4096
"""Metric values of one history: a run with many metrics keeps fewer reports."""
_LEAST_REPORTS = 16


def with_report(progress: Progress, report: Report) -> Progress:
    """A history with one more report; an instant that is not after the last one is moved behind it."""
    last = progress.latest
    if last is not None and report.at <= last.at:
        report = replace(report, at=last.at + 1)
    return replace(progress, reports=thinned((*progress.reports, report)))


def with_checkpoint(progress: Progress, checkpoint: Checkpoint) -> Progress:
    """A history with one more checkpoint, in the order of their instants; the oldest one leaves when it is full."""
    others = (known for known in progress.checkpoints if known.at != checkpoint.at)
    ordered = sorted((*others, checkpoint), key=lambda one: one.at)
    return replace(progress, checkpoints=tuple(ordered[-MOST_CHECKPOINTS:]))


def thinned(reports: Sequence[Report]) -> tuple[Report, ...]:
    """At most as many reports as a history may hold."""
    most = _most(reports)
    while len(reports) > most:
        whole = min(WHOLE, most // 2)
        old, new = reports[:-whole], reports[-whole:]
        kept = _every_second(old, _extremes(reports) if len(old) > 4 else set())
        reports = (*(kept if len(kept) < len(old) else old[::2]), *new)
    return tuple(reports)


def _most(reports: Sequence[Report]) -> int:
    width = max((len(report.metrics) for report in reports[-4:]), default=0)
    return max(_LEAST_REPORTS, min(MOST_REPORTS, _MOST_VALUES // max(1, width)))


def _every_second(old: Sequence[Report], keep: set[int]) -> tuple[Report, ...]:
    return tuple(report for index, report in enumerate(old) if index % 2 == 0 or report.at in keep)


def _extremes(reports: Sequence[Report]) -> set[int]:
    """Instants of the reports that hold the smallest or largest finite value of a metric; none when too many do."""
    names = {name for report in reports for name in report.metrics}
    found = {at for name in names for at in _range(name, reports)}
    return found if len(found) <= MOST_REPORTS // 4 else set()


def _range(name: str, reports: Iterable[Report]) -> set[int]:
    values = [(value, report.at) for report in reports if math.isfinite(value := report.metrics.get(name, math.nan))]
    return {min(values)[1], max(values)[1]} if values else set()
