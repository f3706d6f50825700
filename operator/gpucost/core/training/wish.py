"""What a TrainingJob's specification asks for at an instant, before anything is known of the world."""

from __future__ import annotations

from dataclasses import dataclass

from gpucost.core.clock import Instant, format_rfc3339
from gpucost.core.model import CapacityType
from gpucost.core.training.spec import Outside, PlacementPolicy, Schedule, TrainingSpec
from gpucost.core.training.windows import Occurrence, next_change, next_placement, occurrence_at

PAUSED = "Paused"
NAMES = {CapacityType.SPOT: "Spot", CapacityType.ON_DEMAND: "OnDemand", CapacityType.RESERVED: "Reserved"}


@dataclass(frozen=True, slots=True)
class Wish:
    """Where the job should run now."""

    placement: CapacityType | None
    """None: it should not run."""
    key: str
    """Names this wish: the same as long as the same window (or the same specification) asks for it."""
    reason: str
    """`Suspended` (spec.suspend), `OutsideWindow`, `Window` or `Policy`."""
    window: Occurrence | None = None
    until: Instant | None = None
    """Next instant at which the schedule asks for something else."""


def wanted(spec: TrainingSpec, *, now: Instant, generation: int) -> Wish:
    """The wish at an instant; `spec` must be free of problems (`validate`)."""
    schedule = _followed(spec)
    window = occurrence_at(schedule, now) if schedule else None
    until = next_change(schedule, now) if schedule else None
    if spec.suspend:
        return Wish(None, f"suspended/g{generation}", "Suspended", window, until)
    if schedule is None:
        placement = CapacityType.SPOT if spec.placement.policy is PlacementPolicy.SPOT else CapacityType.ON_DEMAND
        return Wish(placement, f"{placement}/g{generation}", "Policy")
    if window is not None:
        key = f"{window.placement}/{format_rfc3339(window.start)}"
        return Wish(window.placement, key, "Window", window, until)
    outside = f"outside/{format_rfc3339(until) if until is not None else 'forever'}"
    if schedule.outside is Outside.PAUSE:
        return Wish(None, f"paused/{outside}", "OutsideWindow", None, until)
    return Wish(CapacityType.ON_DEMAND, f"{CapacityType.ON_DEMAND}/{outside}", "OutsideWindow", None, until)


def _followed(spec: TrainingSpec) -> Schedule | None:
    return spec.schedule if spec.placement.policy is PlacementPolicy.SCHEDULED else None


def upcoming(spec: TrainingSpec, now: Instant) -> tuple[Instant, str] | None:
    """When the schedule changes the placement next, and the name of the placement from then on."""
    schedule = _followed(spec)
    change = next_placement(schedule, now) if schedule else None
    return change and (change[0], name_of(change[1]))


def name_of(placement: CapacityType | None) -> str:
    """How a placement is written in the status."""
    return NAMES[placement] if placement else PAUSED


def may_fall_back(spec: TrainingSpec) -> bool:
    """Whether the specification itself allows on-demand capacity in place of spot."""
    if spec.placement.policy is PlacementPolicy.AUTO:
        return True
    schedule = _followed(spec)
    return schedule is not None and schedule.outside is Outside.ON_DEMAND
