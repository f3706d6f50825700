"""Notices that a node is about to go, in the words of everybody who gives them.

A notice comes seconds to minutes before the node goes (120 s on AWS, 15 to 120 s on GKE, 30 s on Azure), which is time
for one more checkpoint. Periodic checkpoints stay the guarantee; this makes the loss smaller. Names as documented by
aws-node-termination-handler, GKE, AKS' node problem detector and auto-drain, Karpenter, the cluster autoscaler and the
kubelet. GKE has no daemon of its own any more: there the kubelet's graceful shutdown is the whole notice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gpucost.core.clock import Instant


class Why(StrEnum):
    """What takes the node."""

    SPOT = "spot"
    """The provider takes spot capacity back, or says that it may soon."""
    CONSOLIDATION = "consolidation"
    """An autoscaler empties or replaces it."""
    MAINTENANCE = "maintenance"
    """It is shut down, drained or repaired."""
    UNKNOWN = "unknown"
    """It is going; nobody says why."""


@dataclass(frozen=True, slots=True)
class Notice:
    """That a node is about to go."""

    why: Why
    signal: str
    """The taint, condition or event that said it."""
    since: Instant | None = None
    """When it was given; None when the signal carries no time."""
    certain: bool = True
    """False for a recommendation: the node may stay."""


_TAINTS: Mapping[str, tuple[Why, bool]] = {
    "aws-node-termination-handler/spot-itn": (Why.SPOT, True),
    "aws-node-termination-handler/rebalance-recommendation": (Why.SPOT, False),
    "aws-node-termination-handler/asg-lifecycle-termination": (Why.CONSOLIDATION, True),
    "aws-node-termination-handler/scheduled-maintenance": (Why.MAINTENANCE, True),
    "cloud.google.com/impending-node-termination": (Why.SPOT, True),
    "karpenter.sh/disrupted": (Why.UNKNOWN, True),
    "karpenter.sh/disruption": (Why.UNKNOWN, True),
    "ToBeDeletedByClusterAutoscaler": (Why.CONSOLIDATION, True),
    "node.cloudprovider.kubernetes.io/shutdown": (Why.MAINTENANCE, True),
    "node.kubernetes.io/out-of-service": (Why.MAINTENANCE, True),
    "remediator.kubernetes.azure.com/unschedulable": (Why.MAINTENANCE, True),
}
_SCHEDULED: Mapping[str, tuple[Why, bool]] = {
    "PreemptScheduled": (Why.SPOT, True),
    "TerminateScheduled": (Why.MAINTENANCE, True),
    "RedeployScheduled": (Why.MAINTENANCE, True),
    "RebootScheduled": (Why.MAINTENANCE, True),
}
"""What AKS calls Azure's scheduled events that end pods (a freeze does not), as conditions and as reasons of Events."""
_CONDITIONS: Mapping[str, tuple[Why, bool]] = {
    **_SCHEDULED,
    "PreemptionScheduled": (Why.SPOT, True),
    "GracefulNodeShutdownInProgress": (Why.MAINTENANCE, True),
    "DrainInProgress": (Why.MAINTENANCE, True),
    "MaintenanceInProgress": (Why.MAINTENANCE, True),
}
"""Conditions of AKS nodes, and Kubernetes' own of a node's life."""
_VM_EVENT = "VMEventScheduled"
"""AKS' condition of every scheduled event; its reason or message says which, such as `Preempt Scheduled: ...`."""
_SHUTTING_DOWN = "node is shutting down"
"""What the kubelet says in the condition Ready once the machine has begun to shut down."""
_EVENTS: Mapping[str, tuple[Why, bool]] = {
    "SpotInterrupted": (Why.SPOT, True),
    "SpotRebalanceRecommendation": (Why.SPOT, False),
    "SpotInterruption": (Why.SPOT, True),
    "RebalanceRecommendation": (Why.SPOT, False),
    "ScheduledEvent": (Why.MAINTENANCE, True),
    "ASGLifecycle": (Why.CONSOLIDATION, True),
    **_SCHEDULED,
}
"""Reasons of Events about nodes: Karpenter's, aws-node-termination-handler's and AKS'."""
_STRONGEST = (Why.SPOT, Why.CONSOLIDATION, Why.MAINTENANCE, Why.UNKNOWN)


def notice_of(
    taints: Iterable[tuple[str, Instant | None]],
    conditions: Iterable[tuple[str, str, Instant | None]] = (),
    *,
    deleting: Instant | None = None,
) -> Notice | None:
    """What a node itself says: its taints (key, time), its conditions that are true (type, words, time) and whatever
    Ready is, its deletion."""
    found = [Notice(*_split(_TAINTS[key], f"taint {key}", since)) for key, since in taints if key in _TAINTS]
    for kind, words, since in conditions:
        meaning = _condition(kind, words)
        if meaning is not None:
            found.append(Notice(*_split(meaning, f"condition {kind}", since)))
    if deleting is not None:
        found.append(Notice(Why.UNKNOWN, "deletion of the Node", deleting))
    return strongest(found)


def _condition(kind: str, words: str) -> tuple[Why, bool] | None:
    """What a condition says of the node's end; None when nothing."""
    if kind == _VM_EVENT:
        return next((known for name, known in _SCHEDULED.items() if name.removesuffix("Scheduled") in words), None)
    if kind == "Ready":
        return (Why.MAINTENANCE, True) if _SHUTTING_DOWN in words else None
    return _CONDITIONS.get(kind)


def event_notice(reason: str, at: Instant) -> Notice | None:
    """What an Event about a node says."""
    return Notice(*_split(_EVENTS[reason], f"Event {reason}", at)) if reason in _EVENTS else None


def _split(meaning: tuple[Why, bool], signal: str, since: Instant | None) -> tuple[Why, str, Instant | None, bool]:
    return meaning[0], signal, since, meaning[1]


def strongest(notices: Iterable[Notice]) -> Notice | None:
    """The one that tells most: certain before recommended, a reason before none."""
    return min(notices, key=lambda one: (not one.certain, _STRONGEST.index(one.why), one.since or 0), default=None)


_KARPENTER_REASONS: Mapping[str, Why] = {
    "Underutilized": Why.CONSOLIDATION,
    "Empty": Why.CONSOLIDATION,
    "Drifted": Why.CONSOLIDATION,
    "Expired": Why.CONSOLIDATION,
}


def claim_why(reason: str) -> Why:
    """What Karpenter's condition `DisruptionReason` of a NodeClaim comes to; a claim deleted without one is taken back
    by the provider, or by hand, which is the same to the run."""
    return _KARPENTER_REASONS.get(reason, Why.UNKNOWN)
