"""The stays of a run on nodes: when they were asked for, when work began, and how they ended.

Everything measured of a run rests on these: changeover, interruption rate, lost work, and where spot was to be had. One
stay is the whole gang's, from the first pod that was created to the first worker that was lost; they are folded from
what is seen of single pods, in any order and any number of times, so that a restart changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gpucost.core.clock import Instant, Micros
from gpucost.core.model import CapacityType

MOST_KEPT = 256


class Cause(StrEnum):
    """What ended a stay."""

    SPOT = "spot"
    """The provider took the spot node back."""
    CONSOLIDATION = "consolidation"
    """An autoscaler emptied the node to save or to replace it."""
    PREEMPTION = "preemption"
    """The scheduler needed the place for something more important."""
    CRASH = "crash"
    """The program failed."""
    MOVE = "move"
    """We moved the run, or released it."""
    PAUSE = "pause"
    """The specification, or a person, suspended it."""
    NODE = "node"
    """A node failed or was drained that was not spot capacity."""
    UNAVAILABLE = "unavailable"
    """There were no nodes in time: nothing was held and nothing is lost."""


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A pod of a run as last seen on its node."""

    created: Instant
    bound: Instant
    capacity: CapacityType
    zone: str = ""
    running: Instant | None = None
    """When its containers had started."""
    ended: Instant | None = None
    cause: Cause | None = None
    """Of its end; None when it succeeded."""


@dataclass(frozen=True, slots=True)
class Stay:
    """The gang on nodes of one capacity type."""

    start: Instant
    """When the first pod was created."""
    capacity: CapacityType
    zone: str = ""
    """Zone of the node that was bound last; empty when unknown."""
    bound: Instant | None = None
    """When every worker seen had a node."""
    running: Instant | None = None
    """When the containers of every worker seen had started."""
    reported: Instant | None = None
    """When the run first reported from there."""
    ended: Instant | None = None
    """When the first worker was lost; of a run that completes, when the last one did."""
    cause: Cause | None = None
    """None: it goes on, or it completed."""
    wants: str = ""
    """What its nodes had to be, apart from capacity type and zone: stays of other runs that want the same tell of the
    same capacity."""
    lost_since: Instant | None = None
    """From when on its work was lost; None: nothing was, or nobody knows."""
    lost_cost: int | None = None
    """What that work has cost, in pico-units; None: nothing, or nobody knows."""
    booked: bool = False
    """Whether that was found out."""

    @property
    def is_loss(self) -> bool:
        """Whether its nodes were taken from it."""
        return self.cause in {Cause.SPOT, Cause.CONSOLIDATION, Cause.PREEMPTION, Cause.NODE}

    def time_held(self, now: Instant) -> Micros:
        """How long all of its nodes were there."""
        return max(0, (self.ended if self.ended is not None else now) - self.bound) if self.bound is not None else 0


def with_pod(stays: Sequence[Stay], pod: PodSeen, wants: str = "") -> tuple[Stay, ...]:
    """The stays with what was seen of a pod taken in; seeing it again changes nothing."""
    index, joins = _place_of(stays, pod)
    if not joins:
        new = _joined(Stay(pod.created, pod.capacity, wants=wants), pod)
        return (*stays[:index], new, *stays[index:])[-MOST_KEPT:]
    joined = _joined(stays[index], pod)
    if joined == stays[index]:
        return tuple(stays)
    return (*stays[:index], joined, *stays[index + 1 :])


def _place_of(stays: Sequence[Stay], pod: PodSeen) -> tuple[int, bool]:
    """Where among the stays a pod belongs, and whether to the stay that is there or to a new one before it."""
    held = [index for index, stay in enumerate(stays) if stay.cause is not Cause.UNAVAILABLE]
    begun = [index for index in held if stays[index].start <= pod.created]
    if begun and not _is_over(stays[begun[-1]], pod):
        return begun[-1], True
    later = held[len(begun)] if len(begun) < len(held) else len(stays)
    return later, later < len(stays) and not (pod.ended is not None and pod.ended <= stays[later].start)


def _is_over(stay: Stay, pod: PodSeen) -> bool:
    """Whether a pod belongs to what came after a stay: replacements are created once a worker is lost."""
    return stay.ended is not None and stay.cause is not None and pod.created >= stay.ended > stay.start


def _joined(stay: Stay, pod: PodSeen) -> Stay:
    if stay.ended is None or stay.cause is None:
        later = stay.bound is None or pod.bound >= stay.bound
        stay = replace(
            stay,
            start=min(stay.start, pod.created),
            capacity=pod.capacity if later else stay.capacity,
            zone=(pod.zone or stay.zone) if later else stay.zone,
            bound=max(stay.bound or 0, pod.bound),
            running=_latest(stay.running, pod.running),
        )
    if pod.ended is None:
        return stay
    if pod.cause is None:
        done = stay.cause is None
        return replace(stay, ended=max(stay.ended or 0, pod.ended)) if done else stay
    first = stay.cause is None or stay.ended is None or pod.ended < stay.ended
    return replace(stay, ended=pod.ended, cause=pod.cause) if first else stay


def _latest(one: Instant | None, other: Instant | None) -> Instant | None:
    known = [at for at in (one, other) if at is not None]
    return max(known, default=None)


def with_report(stays: Sequence[Stay], first: Instant | None) -> tuple[Stay, ...]:
    """The stays with the first report of the present one taken in, once."""
    here = current(stays)
    if here is None or here.reported is not None or here.running is None or first is None or first < here.running:
        return tuple(stays)
    return (*stays[:-1], replace(here, reported=first))


def current(stays: Sequence[Stay]) -> Stay | None:
    """The stay that goes on; None when there is none."""
    return stays[-1] if stays and stays[-1].ended is None else None


def last_held(stays: Sequence[Stay]) -> Stay | None:
    """The newest in which nodes were held."""
    return next((stay for stay in reversed(stays) if stay.cause is not Cause.UNAVAILABLE), None)


# --- why a pod ended --------------------------------------------------------------------------------------------------

_PREEMPTED = frozenset({"PreemptionByScheduler", "PreemptionByKubeScheduler"})
_ORDERLY = frozenset({"", "Failed", "Deleted", "vanished"})


def cause_of(
    reason: str, *, capacity: CapacityType, suspended: Cause | None = None, consolidated: bool = False
) -> Cause | None:
    """Why a pod ended, from the reason in its fact (`PodFact.end_reason`); None when it succeeded.

    `suspended`: the Job was suspended by then, for a move or for a pause; its controller deletes the pods.
    """
    if reason == "Succeeded":
        return None
    if reason in _PREEMPTED:
        return Cause.PREEMPTION
    if consolidated and reason != "Failed":
        return Cause.CONSOLIDATION
    if suspended is not None and reason in _ORDERLY:
        return suspended
    by_itself = {"Failed": Cause.CRASH, "Deleted": Cause.PAUSE, "vanished": Cause.PAUSE}
    taken = Cause.SPOT if capacity is CapacityType.SPOT else Cause.NODE
    return by_itself.get(reason, taken)
