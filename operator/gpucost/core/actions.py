"""What a decision may ask the world for.

An action names its object by UID and resourceVersion, so that whoever applies it can see that the world has not moved
since the decision: a conflict means *decide again*, never *force*. Patches are complete JSON merge patches; applying
one needs no further thought.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import Instant, Micros
from gpucost.core.model import Key
from gpucost.core.training.runs.run import Saving


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create the batch/v1 Job of a TrainingJob; `manifest` is complete. An existing one of the same owner is fine."""

    target: Key
    manifest: Mapping[str, object]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CreateService:
    """Create the headless Service through which the workers of a TrainingJob find each other."""

    target: Key
    manifest: Mapping[str, object]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PartChange:
    """New directives for one of the templates of a workload, whole."""

    index: int
    name: str
    """The part that must be at that place, or nothing is changed."""
    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, object], ...]


@dataclass(frozen=True, slots=True)
class PatchJob:
    """Merge-patch a Job, or another workload of `kind`, under the precondition that it is unchanged.

    `parts` change in the same write: a merge patch could only replace the list of all templates.
    """

    target: Key
    """The TrainingJob on whose behalf."""
    job: Key
    uid: str
    resource_version: str
    patch: Mapping[str, object]
    reason: str
    message: str
    kind: str = "Job"
    parts: tuple[PartChange, ...] = ()
    api_version: str = ""
    """For kinds that are served in more than one version."""


@dataclass(frozen=True, slots=True)
class CreateTrainingJob:
    """Create the TrainingJob of one run; an existing one of the same owner is the same run."""

    target: Key
    """The TrainingJob whose schedule makes it."""
    manifest: Mapping[str, object]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class DeleteTrainingJob:
    """Delete the TrainingJob of a run that is over, under the precondition that it is this one."""

    target: Key
    """The TrainingJob whose schedule has made it."""
    run: Key
    uid: str
    reason: str
    message: str


Action = CreateJob | CreateService | PatchJob | CreateTrainingJob | DeleteTrainingJob


@dataclass(frozen=True, slots=True)
class Condition:
    """A status condition; its transition time is kept by whoever writes it, from the stored status."""

    type: str
    status: bool | None
    """None is `Unknown`."""
    reason: str
    message: str = ""


def stored_condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """A condition of a status as it is stored; empty when there is none."""
    return next((one for one in status.get("conditions") or () if one.get("type") == kind), {})


@dataclass(frozen=True, slots=True)
class EventNote:
    """A Kubernetes Event to post once; `dedupe` tells occurrences apart, so that repeating a pass posts nothing."""

    reason: str
    message: str
    dedupe: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from one snapshot for one object."""

    target: Key
    actions: tuple[Action, ...] = ()
    conditions: tuple[Condition, ...] = ()
    status: Mapping[str, object] = field(default_factory=dict)
    """Further status fields as they are written (camelCase, JSON values), without `conditions` and `cost`."""
    events: tuple[EventNote, ...] = ()
    """Posted after the actions, and before the status in which they are no news any more."""
    records: tuple[Saving, ...] = ()
    """Booked before the status is written that counts them."""
    checkpoint_interval: Micros | None = None
    """Recommended time between two checkpoints."""
    wake_at: Instant | None = None
    """Look again at this instant even when nothing changes (a window edge, a timeout)."""
    ask_checkpoint: bool = False
    """Ask the run for a checkpoint, with the answer to its next message; to ask again changes nothing."""
