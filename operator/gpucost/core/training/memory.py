"""What the operator remembers about a Job, kept in annotations of the Job itself.

The memory of a move must change in the same write as `spec.suspend`, or a crash between two writes could leave a Job
suspended that nobody claims, or claimed that somebody else suspended. So it is nowhere else: each of the functions here
gives annotations that go into one merge patch (None removes one), and `Memory.of` reads them back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from gpucost.core.clock import SECOND, Instant, format_rfc3339
from gpucost.core.model import CapacityType, Job
from gpucost.core.training import notes
from gpucost.core.training.placement import Bound, from_json, to_json

PREFIX = "gpucost.dev/"
US = "gpucost"

SUSPENDED_BY = PREFIX + "suspended-by"
SUSPEND_REASON = PREFIX + "suspend-reason"
SUSPENDED_AT = PREFIX + "suspended-at"
PLACEMENT = PREFIX + "placement"
PREVIOUS = PREFIX + "placement-previous"
RESUMED_AT = PREFIX + "resumed-at"
MOVED_AT = PREFIX + "moved-at"
POOL = PREFIX + "pool"
REFUSED = PREFIX + "move-refused"
REFUSED_AT = PREFIX + "move-refused-at"
FALLBACK = PREFIX + "move-fallback"
OVERRIDDEN = PREFIX + "overridden"
DESTINATION = PREFIX + "move-to"
MOVE_REASON = PREFIX + "move-reason"
SPOT_REFUSED_AT = PREFIX + "spot-refused-at"
SPOT_REFUSALS = PREFIX + "spot-refusals"
CHECKPOINT_ASKED_AT = PREFIX + "checkpoint-asked-at"
GANG_RELEASES = PREFIX + "gang-releases"
ADOPTED_BY = PREFIX + "adopted-by"
TEMPLATE_HASH = PREFIX + "template-hash"

MOVE = "move"
WINDOW = "window"
USER_SPEC = "user-spec"
NO_POOL = "no-pool"
EXIT_CAP = "exit-cap"
GANG = "gang"

Annotations = dict[str, str | None]


@dataclass(frozen=True)
class Memory:
    """The annotations of a Job, read."""

    suspended: bool = False
    """The Job carries our mark: it was suspended by us and nobody else's suspension is meant."""
    reason: str = ""
    suspended_at: Instant | None = None
    placement: CapacityType | None = None
    previous: CapacityType | None = None
    resumed_at: Instant | None = None
    moved_at: Instant | None = None
    """Instant of the last resumption that changed the placement."""
    bound: Bound | None = None
    refused: str = ""
    """Key of the wish that could not be met."""
    refused_at: Instant | None = None
    fallback: CapacityType | None = None
    overridden: str = ""
    """Key of the wish that somebody overrode by resuming the Job."""
    adopted_by: str = ""
    template_hash: str = ""
    destination: CapacityType | None = None
    """Where a move that is under way was going when it began."""
    move_reason: str = ""
    """Why the last move under a deadline was made."""
    spot_refused_at: Instant | None = None
    """When the last try of spot under a deadline found no nodes."""
    spot_refusals: int = 0
    """How many such tries in a row."""
    checkpoint_asked_at: Instant | None = None
    """When a checkpoint was asked for before a move."""
    gang_releases: int = 0
    """How many times in a row the workers were released because not all of them could start."""

    @classmethod
    def of(cls, annotations: Mapping[str, str]) -> Memory:
        """Read; what somebody has made unreadable counts as never written."""
        return cls(
            suspended=annotations.get(SUSPENDED_BY) == US,
            reason=annotations.get(SUSPEND_REASON, ""),
            suspended_at=notes.instant(annotations.get(SUSPENDED_AT)),
            placement=_capacity(annotations.get(PLACEMENT)),
            previous=_capacity(annotations.get(PREVIOUS)),
            resumed_at=notes.instant(annotations.get(RESUMED_AT)),
            moved_at=notes.instant(annotations.get(MOVED_AT)),
            bound=from_json(annotations.get(POOL)),
            refused=annotations.get(REFUSED, ""),
            refused_at=notes.instant(annotations.get(REFUSED_AT)),
            fallback=_capacity(annotations.get(FALLBACK)),
            overridden=annotations.get(OVERRIDDEN, ""),
            adopted_by=annotations.get(ADOPTED_BY, ""),
            template_hash=annotations.get(TEMPLATE_HASH, ""),
            destination=_capacity(annotations.get(DESTINATION)),
            move_reason=annotations.get(MOVE_REASON, ""),
            spot_refused_at=notes.instant(annotations.get(SPOT_REFUSED_AT)),
            spot_refusals=notes.count(annotations.get(SPOT_REFUSALS)),
            checkpoint_asked_at=notes.instant(annotations.get(CHECKPOINT_ASKED_AT)),
            gang_releases=notes.count(annotations.get(GANG_RELEASES)),
        )


def recall(job: Job) -> Memory:
    """The memory of a Job; our mark does not count on a suspension whose field manager is somebody else.

    Whoever resumes a Job that we suspended and suspends it again leaves our mark where it was; who set the field last
    is known to the API server alone.
    """
    read = Memory.of(job.annotations)
    foreign = job.suspend and job.suspend_manager not in {None, US}
    return replace(read, suspended=False) if foreign and read.suspended else read


def _capacity(text: str | None) -> CapacityType | None:
    return CapacityType(text) if text in set(CapacityType) else None


@lru_cache(maxsize=16384)
def moment(now: Instant) -> str:
    """An instant as it is kept: whole seconds, as everywhere in Kubernetes."""
    return format_rfc3339(now - now % SECOND)


def suspending(reason: str, now: Instant) -> Annotations:
    """We suspend, for a reason."""
    return {SUSPENDED_BY: US, SUSPEND_REASON: reason, SUSPENDED_AT: moment(now)}


def unmarked() -> Annotations:
    """Our mark is gone: either we resume, or somebody else did."""
    return {SUSPENDED_BY: None, SUSPEND_REASON: None, SUSPENDED_AT: None, DESTINATION: None, CHECKPOINT_ASKED_AT: None}


def refusing(key: str, fallback: CapacityType, now: Instant) -> Annotations:
    """A wish could not be met; its fallback holds until the wish is another one."""
    return {REFUSED: key, REFUSED_AT: moment(now), FALLBACK: str(fallback)}


def going_to(destination: CapacityType, reason: str) -> Annotations:
    """A move under a deadline begins."""
    return {DESTINATION: str(destination), MOVE_REASON: reason}


def refused_spot(refusals: int, now: Instant) -> Annotations:
    """A try of spot has found no nodes, the last of so many in a row."""
    return {SPOT_REFUSED_AT: moment(now), SPOT_REFUSALS: str(refusals)}


def placed(placement: CapacityType, bound: Bound | None, now: Instant) -> Annotations:
    """The Job runs from now on with the directives of a placement (no pool: with none of ours)."""
    return {
        PLACEMENT: str(placement),
        POOL: to_json(bound) if bound is not None else None,
        RESUMED_AT: moment(now),
    }


def moved(previous: CapacityType, now: Instant) -> Annotations:
    """The placement is another one than before."""
    return {PREVIOUS: str(previous), MOVED_AT: moment(now)}


def only_changes(new: Annotations, old: Mapping[str, str]) -> Annotations:
    """The part of a patch that changes anything."""
    return {key: value for key, value in new.items() if old.get(key) != value}


def present(annotations: Annotations) -> dict[str, str]:
    """Annotations for an object that is yet to be created."""
    return {key: value for key, value in annotations.items() if value is not None}
