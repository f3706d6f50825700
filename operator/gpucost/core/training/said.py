"""`status.trainerStatus`: what the run said last, in Kubeflow's shape, with its newest checkpoint.

A report holds only what was measured anew, and several sources may speak in turn; so what is shown is the newest value
of each metric, with the source where that is not the one of the newest report.
"""

from __future__ import annotations

from typing import Any

from gpucost.core.clock import SECOND
from gpucost.core.training.memory import moment
from gpucost.core.training.progress import Checkpoint, Progress, Report
from gpucost.core.training.state import TrainingState

MOST_SHOWN = 32
_ROUNDING = 1e-9
"""29 percent, told as such, is a little less than 29 times a hundredth in binary."""


def trainer_status(state: TrainingState) -> dict[str, Any]:
    """The field with its name; what is stored while nothing else is known, such as for a run that has ended."""
    shown = _said(state.progress) or state.status.get("trainerStatus")
    return {"trainerStatus": shown} if shown else {}


def _said(progress: Progress) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if progress.latest is not None:
        result |= _report(progress.latest, progress)
    if progress.saved is not None:
        result["lastCheckpoint"] = _checkpoint(progress.saved)
    return result


def _report(report: Report, progress: Progress) -> dict[str, Any]:
    how_far = next((one for one in reversed(progress.reports) if one.progress is not None), report)
    counted = next((one for one in reversed(progress.reports) if one.step is not None), report)
    told = {
        "progressPercentage": None if how_far.progress is None else int(100 * how_far.progress + _ROUNDING),
        "estimatedRemainingSeconds": None if report.remaining is None else report.remaining // SECOND,
        "step": counted.step,
        "metrics": _metrics(progress, report.source) or None,
        "lastUpdatedTime": moment(report.at),
        "source": report.source,
    }
    return {key: value for key, value in told.items() if value is not None}


def _metrics(progress: Progress, source: str) -> list[dict[str, str]]:
    """Values as text, as Kubeflow has them, because JSON has no word for what is not a number."""
    newest: dict[str, tuple[float, str]] = {}
    for one in reversed(progress.reports):
        for name in one.metrics:
            if name not in newest:  # nearly all reports tell of the same metrics
                newest[name] = one.metrics[name], one.source
    return [_metric(name, *newest[name], source) for name in sorted(newest)[:MOST_SHOWN]]


def _metric(name: str, value: float, source: str, usual: str) -> dict[str, str]:
    return {"name": name, "value": f"{value:g}", **({"source": source} if source != usual else {})}


def _checkpoint(saved: Checkpoint) -> dict[str, Any]:
    seconds = None if saved.duration is None else f"{saved.duration / SECOND:.1f}"
    told = {"time": moment(saved.at), "step": saved.step, "durationSeconds": seconds}
    return {key: value for key, value in told.items() if value is not None}
