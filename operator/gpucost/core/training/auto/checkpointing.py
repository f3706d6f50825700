"""How often a run should save: Daly's interval from what saving costs it and how often it loses its nodes.

J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps" (2006), which refines Young's
first-order sqrt(2 delta M). The rate of interruptions is a Gamma posterior: a run that was never interrupted has not
proved that it never will be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros
from gpucost.core.model import CapacityType
from gpucost.core.training.auto.stays import Stay
from gpucost.core.training.progress import Progress

SAVING = 30 * SECOND
"""What saving is taken to cost before it was measured."""
_PRIOR_EVENTS = 1
_PRIOR_EXPOSURE = {CapacityType.SPOT: 12 * HOUR}
_RARE = 14 * DAY
"""One loss in so long is the prior on capacity that is not spot."""
_SHORTEST, _LONGEST = MINUTE, 6 * HOUR
_RECENT = 16


@dataclass(frozen=True, slots=True)
class Advice:
    """The interval, and what it was computed from."""

    interval: Micros
    saving: Micros
    """What one checkpoint costs."""
    between_losses: Micros
    """Mean time between two losses of nodes."""
    losses: int
    exposure: Micros
    """Time on nodes in which they happened."""
    measured: bool
    """Whether saving was measured."""


def daly(saving: Micros, between: Micros) -> Micros:
    """Optimum time between the end of a checkpoint and the next one."""
    if saving >= 2 * between:
        return between
    ratio = saving / (2 * between)
    return round(sqrt(2 * saving * between) * (1 + sqrt(ratio) / 3 + ratio / 9) - saving)


def advised(progress: Progress, stays: Sequence[Stay], capacity: CapacityType, now: Instant) -> Advice:
    """The advice for a run that is, or will be, on a capacity type."""
    known = [one.duration for one in progress.checkpoints[-_RECENT:] if one.duration]
    saving = round(median(known)) if known else SAVING
    here = [stay for stay in stays if stay.capacity is capacity]
    losses = sum(stay.is_loss for stay in here)
    exposure = sum(stay.time_held(now) for stay in here)
    prior = _PRIOR_EXPOSURE.get(capacity, _RARE)
    between = (prior + exposure) // (_PRIOR_EVENTS + losses)
    interval = min(max(daly(saving, between), _SHORTEST), _LONGEST)
    return Advice(interval, saving, between, losses, exposure, bool(known))
