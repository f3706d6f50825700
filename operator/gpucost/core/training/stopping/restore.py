"""Which checkpoint a run that has diverged goes on from, said to its pods in the only way that Kubernetes leaves.

The environment of a Job's template cannot change, but annotations of the template may while the Job is suspended, and
the downward API makes an environment variable of one. A checkpoint counts as spoilt when it was written between the
last good one and the restart; what the run saves after the restart is good again, also for a pod that comes much later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpucost.core.clock import Instant
from gpucost.core.training.memory import moment
from gpucost.core.training.progress import Checkpoint, Progress
from gpucost.core.training.torchrun import with_environment

STEP, TIME = "GPUCOST_RESTORE_STEP", "GPUCOST_RESTORE_TIME"
STEP_NOTE, TIME_NOTE = "progress.gpucost.dev/restore-step", "progress.gpucost.dev/restore-time"


def with_restore(container: Mapping[str, Any]) -> dict[str, Any]:
    """A container that is told, as soon as there is something to tell."""
    return with_environment(container, [_variable(STEP, STEP_NOTE), _variable(TIME, TIME_NOTE)])


def _variable(name: str, note: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{note}']"}}}


def last_good(progress: Progress, bad_since: Instant) -> Checkpoint | None:
    """The newest checkpoint with a step that was written before the run went wrong."""
    return next((one for one in reversed(progress.checkpoints) if one.at < bad_since and one.step is not None), None)


def template_patch(step: int, now: Instant) -> dict[str, Any]:
    """The part of a Job's patch that tells its next pods."""
    return {"metadata": {"annotations": {STEP_NOTE: str(step), TIME_NOTE: moment(now)}}}
