"""What a move under a deadline adds to any other: a checkpoint first, and a memory of what was tried."""

from __future__ import annotations

from gpucost.core.clock import MINUTE, SECOND, Instant, Micros
from gpucost.core.model import CapacityType, Job
from gpucost.core.training import memory, observe
from gpucost.core.training.auto.stays import current
from gpucost.core.training.auto.view import View
from gpucost.core.training.memory import Annotations, Memory
from gpucost.core.training.progress import Progress
from gpucost.core.training.state import TrainingState

_LEAST_PATIENCE, _MOST_PATIENCE = MINUTE, 5 * MINUTE
_FRESH = 15 * SECOND
_TRIED = MINUTE
"""A try that was broken off earlier says nothing of whether there is spot."""


def may_save(state: TrainingState) -> bool:
    """Whether the run can be asked for a checkpoint: it reports from its present nodes, and has told of one before."""
    here, latest = current(state.stays), state.progress.latest
    if here is None or here.running is None or not state.progress.checkpoints:
        return False
    spoken = [one.at for one in (latest, state.progress.saved) if one is not None]
    return max(spoken) >= here.running


def patience(progress: Progress) -> Micros:
    """How long a checkpoint that was asked for may take before the move goes on without it."""
    saved = progress.saved
    took = saved.duration if saved is not None and saved.duration is not None else 0
    return min(max(3 * took, _LEAST_PATIENCE), _MOST_PATIENCE)


def save_first(state: TrainingState, mine: Memory, job: Job, now: Instant) -> Instant | None:
    """Until when the move waits for a checkpoint; None: it need not, or not any more."""
    if not observe.is_settled(job, state.pods) or not may_save(state):
        return None
    saved, asked = state.progress.saved, asked_at(mine)
    if saved is not None and saved.at >= (asked if asked is not None else now - _FRESH):
        return None
    until = (asked if asked is not None else now) + patience(state.progress)
    return until if now < until else None


def asked_at(mine: Memory) -> Instant | None:
    """When a checkpoint was asked for before the move that is about to begin, and not before an earlier one."""
    at = mine.checkpoint_asked_at
    return at if at is not None and at >= (mine.resumed_at or 0) else None


def departure(state: TrainingState, mine: Memory, view: View, to: CapacityType, now: Instant) -> Annotations:
    """What is remembered when a run under a deadline leaves where it is."""
    patient = 0 if view.standing.unmet else _TRIED
    reason = str(view.choice.reason) if view.choice is not None else "WorkUnknown"
    notes = memory.going_to(to, reason)
    if to is not CapacityType.SPOT and mine.placement is CapacityType.SPOT and _found_nothing(state, now - patient):
        notes |= memory.refused_spot(refusals(state, mine), now)
    return notes


def _found_nothing(state: TrainingState, before: Instant) -> bool:
    """Whether a worker has waited for a node since before an instant."""
    since = observe.unscheduled_since(state.pods)
    return since is not None and since <= before


def refusals(state: TrainingState, mine: Memory) -> int:
    """How many tries of spot in a row have failed, with the one that ends now."""
    before = mine.spot_refused_at
    held = any(
        stay.capacity is CapacityType.SPOT and stay.bound is not None and before is not None and stay.bound > before
        for stay in state.stays
    )
    return 1 if before is None or held else mine.spot_refusals + 1
