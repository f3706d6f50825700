"""`status.trainerStatus`: what the run said last, in Kubeflow's shape, with its newest checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpucost.core.clock import SECOND
from gpucost.core.training.memory import moment
from gpucost.core.training.progress import Checkpoint, Progress, Report
from gpucost.core.training.state import TrainingState

MOST_SHOWN = 32


def trainer_status(state: TrainingState) -> dict[str, Any]:
    """The field with its name; what is stored while nothing else is known, such as for a run that has ended."""
    shown = _said(state.progress) or state.status.get("trainerStatus")
    return {"trainerStatus": shown} if shown else {}


def _said(progress: Progress) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if progress.latest is not None:
        result |= _report(progress.latest)
    if progress.saved is not None:
        result["lastCheckpoint"] = _checkpoint(progress.saved)
    return result


def _report(report: Report) -> dict[str, Any]:
    told = {
        "progressPercentage": None if report.progress is None else int(100 * report.progress),
        "estimatedRemainingSeconds": None if report.remaining is None else report.remaining // SECOND,
        "step": report.step,
        "metrics": _metrics(report.metrics) or None,
        "lastUpdatedTime": moment(report.at),
    }
    return {key: value for key, value in told.items() if value is not None}


def _metrics(values: Mapping[str, float]) -> list[dict[str, str]]:
    """Values as text, as Kubeflow has them, because JSON has no word for what is not a number."""
    return [{"name": name, "value": f"{values[name]:g}"} for name in sorted(values)[:MOST_SHOWN]]


def _checkpoint(saved: Checkpoint) -> dict[str, Any]:
    seconds = None if saved.duration is None else f"{saved.duration / SECOND:.1f}"
    told = {"time": moment(saved.at), "step": saved.step, "durationSeconds": seconds}
    return {key: value for key, value in told.items() if value is not None}
