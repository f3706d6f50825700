"""Find out, after a start, what happened while nobody watched.

Three sources, best first: the API server's own history since the last resourceVersion that was recorded (it keeps some
minutes of it, and a deleted object appears there with its last state); the objects that still exist; and the ledger,
which knows who was alive. What none of them can tell becomes a gap: an interval marked unknown.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import SECOND, Instant
from gpucost.core.model import NeedFact, NodeFact, Pod, PodFact
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.world import World
from gpucost.sources.records import last_touched, node_record

log = logging.getLogger(__name__)

Json = Mapping[str, Any]
History = Mapping[str, tuple[str, Json]] | None
"""Last event of every object that changed, by UID: its type and the object; None when the server has forgotten."""

_EXACT = SECOND  # times of the API server have whole seconds
UNSEEN = "deleted while the operator was not watching"


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of the time before this start."""

    observed_until: Instant
    """Up to when the ledger is complete; 0 when it was never known to be, so that what is gone since is a gap."""
    open_nodes: Mapping[str, NodeFact]
    open_pods: Mapping[str, PodFact]
    node_history: History
    pod_history: History
    open_assets: Mapping[str, NodeFact] = field(default_factory=dict)
    """Volumes and load balancers."""
    open_holders: Mapping[str, PodFact] = field(default_factory=dict)
    """Claims and Services that hold them."""
    needs: Sequence[NeedFact] = ()
    """What pods count for since their last change."""
    former_balancers: Sequence[str] = ()
    """UIDs of load balancers that have ended: a Service may get another."""
    doubted: Sequence[PodFact] = ()
    """Pods of open nodes that ended before anybody could tell what they held."""

    @property
    def told_everything(self) -> bool:
        """Whether the API server told of everything that came and went since the last stop."""
        return self.node_history is not None and self.pod_history is not None


def recover(world: World, recorder: Recorder, past: Past) -> None:
    """Bring the recorder up to date; call it when every cache is complete and before the first write."""
    recorder.doubts.recall([*past.doubted, *past.open_pods.values()])
    recorder.resume_nodes(fact for uid, fact in past.open_nodes.items() if uid in world.nodes)
    needs = {need.pod_uid: need.needs for need in past.needs}
    for pod in past.open_pods.values():
        recorder.adopt_pod(pod, needs.get(pod.uid))
    _nodes(world, recorder, past)
    _pods(world, recorder, past)


def _nodes(world: World, recorder: Recorder, past: Past) -> None:
    gone = {uid: body for uid, (kind, body) in (past.node_history or {}).items() if kind == "DELETED"}
    for uid, fact in past.open_nodes.items():
        if uid not in world.nodes:
            recorder.adopt_node(fact)
    for uid, body in gone.items():
        if uid not in world.nodes:
            _node_seen_going(recorder, body)
    for uid in past.open_nodes.keys() - world.nodes.keys() - gone.keys():
        recorder.node_ended(uid, past.observed_until, UNSEEN)


def _node_seen_going(recorder: Recorder, body: Json) -> None:
    """A node whose deletion is in the history: it ended when it was last touched, or a little later."""
    node = node_record(body)
    recorder.node_seen(node)
    end = last_touched(body)
    recorder.node_ended(node.uid, end, UNSEEN if recorder.now() - end > _EXACT else None)


def _pods(world: World, recorder: Recorder, past: Past) -> None:
    gone = {uid: body for uid, (kind, body) in (past.pod_history or {}).items() if kind == "DELETED"}
    for uid, body in gone.items():
        if uid not in world.pods:
            _pod_seen_going(recorder, recorder.read_pod(body), body)
    for uid, fact in past.open_pods.items():
        if uid not in world.pods and uid not in gone:
            end = _node_end(recorder, fact)
            recorder.fact_ended(fact, min(past.observed_until, end or past.observed_until), UNSEEN)


def _pod_seen_going(recorder: Recorder, pod: Pod, body: Json) -> None:
    """A pod whose deletion is in the history; its containers' end is exact where the kubelet reported it."""
    if pod.ended is not None:
        recorder.pod_ended(pod, pod.ended)
    elif pod.bound is not None:
        recorder.pod_ended(pod, max(last_touched(body), pod.bound), UNSEEN)


def _node_end(recorder: Recorder, fact: PodFact) -> Instant | None:
    node = recorder.nodes.get(fact.node_uid)
    return node.end if node is not None else None


def summary(past: Past, uids: Iterable[str]) -> str:
    """One line for the log."""
    missing = past.open_pods.keys() - set(uids)
    source = "the API server's history" if past.pod_history is not None else "the ledger alone"
    return f"{len(past.open_pods)} pods were open at the last stop, {len(missing)} are gone; filled in from {source}"
