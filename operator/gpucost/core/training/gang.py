"""A gang of which some workers cannot start is let go: the others would hold their GPUs and wait for them.

This is for runs that have no other place to go to; the others go back, or elsewhere, by their own rules. They are
suspended with a reason and tried again, each time after a longer pause. Workers that all wait for nodes hold nothing
and are left to wait.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpucost.core.clock import HOUR, MINUTE, Instant, Micros
from gpucost.core.model import CapacityType, Job, Pod
from gpucost.core.training import memory, observe
from gpucost.core.training.memory import Memory

_FIRST_PAUSE, _LONGEST_PAUSE = 5 * MINUTE, 2 * HOUR
_BROKEN = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImagePull",
        "ErrImageNeverPull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Reasons for which a worker that has a node will not start by itself."""


def stuck_since(job: Job, pods: Sequence[Pod]) -> Instant | None:
    """Since when some workers have held nodes while another could not start; None when that is not so."""
    if job.suspend or job.parallelism < 2:
        return None
    there = [pod for pod in observe.alive(pods) if pod.deleting is None]
    stuck = [pod for pod in there if _cannot_start(pod)]
    holding = [pod for pod in there if pod.node_name is not None and not _cannot_start(pod)]
    if not stuck or not holding:
        return None
    return max(min(pod.bound or pod.created for pod in stuck), min(pod.bound or pod.created for pod in holding))


def _cannot_start(pod: Pod) -> bool:
    if pod.node_name is None:
        return True
    return pod.waiting is not None and pod.waiting.reason in _BROKEN


def pause_after(releases: int) -> Micros:
    """How long a gang stays released after so many times in a row."""
    return min(_FIRST_PAUSE << min(max(releases, 1) - 1, 10), _LONGEST_PAUSE)


def retry_at(mine: Memory) -> Instant | None:
    """When a released gang is tried again; None when it is not released."""
    if not mine.suspended or mine.reason != memory.GANG:
        return None
    return (mine.suspended_at or 0) + pause_after(mine.gang_releases)


def is_held(mine: Memory, wished: CapacityType, now: Instant) -> bool:
    """Whether it stays released for now; another place than where it could not start may be tried at once."""
    at = retry_at(mine)
    return at is not None and now < at and mine.placement in {None, wished}


def releases(mine: Memory, since: Instant, timeout: Micros) -> int:
    """How many releases in a row the next one makes; a gang that had started in between begins anew."""
    from_the_start = mine.resumed_at is None or since < mine.resumed_at + timeout
    return mine.gang_releases + 1 if from_the_start else 1


def described(job: Job, pods: Sequence[Pod]) -> str:
    """How many workers can start, and the words of whoever holds the others up."""
    there = [pod for pod in observe.alive(pods) if pod.deleting is None]
    started = sum(not _cannot_start(pod) for pod in there)
    words = observe.waiting(there)
    why = f" ({words.reason}: {words.message[:200]})" if words is not None else ""
    return f"{started} of {job.parallelism} workers could start{why}"
