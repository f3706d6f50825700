"""NodeClaims and Events that say that a node is about to go, as slim records."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from gpucost.core.clock import parse_rfc3339
from gpucost.core.notices import Notice, Why, claim_why, event_notice
from gpucost.sources.records import Json, instant


@dataclass(frozen=True, slots=True)
class ClaimGoing:
    """A NodeClaim of Karpenter, as far as it says that its node is about to go."""

    uid: str
    node: str
    notice: Notice | None = None


@dataclass(frozen=True, slots=True)
class NodeWarning:
    """An Event; without a notice it is about something else."""

    uid: str
    node: str
    notice: Notice | None


def claim_record(body: Json) -> ClaimGoing:
    """Read a NodeClaim: deleted, or chosen for disruption with a reason."""
    metadata, status = body["metadata"], body.get("status") or {}
    reason = next(
        (c for c in status.get("conditions") or () if c["type"] == "DisruptionReason" and c["status"] == "True"), None
    )
    deleting = instant(metadata.get("deletionTimestamp"))
    notice = None
    if reason is not None:
        why, words = claim_why(reason.get("reason", "")), reason.get("reason", "")
        notice = Notice(why, f"NodeClaim {metadata['name']}: {words}", instant(reason.get("lastTransitionTime")))
    elif deleting is not None:
        notice = Notice(Why.UNKNOWN, f"deletion of NodeClaim {metadata['name']}", deleting)
    return ClaimGoing(metadata["uid"], sys.intern(status.get("nodeName") or ""), notice)


def event_record(body: Json) -> NodeWarning:
    """Read a core Event; one that is no notice, or not about a node, says nothing."""
    about, series = body["involvedObject"], body.get("series") or {}
    times = (series.get("lastObservedTime"), body.get("lastTimestamp"), body.get("eventTime"))
    at = next((text for text in times if text), None) or body["metadata"]["creationTimestamp"]
    notice = event_notice(body.get("reason", ""), parse_rfc3339(at)) if about.get("kind") == "Node" else None
    return NodeWarning(body["metadata"]["uid"], about.get("name", "") if notice is not None else "", notice)
