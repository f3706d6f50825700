"""Histories of runs from plain numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from gpucost.core.clock import MINUTE, Instant, parse_rfc3339
from gpucost.core.training.curve import with_report
from gpucost.core.training.progress import Checkpoint, Progress, Report

BEGIN = parse_rfc3339("2026-11-24T12:00:00Z")
NAN = math.nan


def at(index: int) -> Instant:
    """When evaluation number `index` came in: one a minute."""
    return BEGIN + index * MINUTE


def history(
    values: Sequence[float | None],
    metric: str = "loss",
    *,
    steps: Sequence[int | None] | None = None,
    begin: Instant = BEGIN,
    saved: Iterable[int] = (),
) -> Progress:
    """A run with one report a minute, step 100 at the first one and 100 more at each; None: a report without it.

    `saved`: numbers of the reports after which a checkpoint was written.
    """
    given = steps if steps is not None else [100 * (index + 1) for index in range(len(values))]
    found = Progress()
    for index, value in enumerate(values):
        metrics = {} if value is None else {metric: value}
        found = with_report(found, Report(begin + index * MINUTE, given[index], metrics=metrics))
    checkpoints = tuple(Checkpoint(begin + index * MINUTE + 1, given[index]) for index in saved)
    return Progress(found.reports, checkpoints)
