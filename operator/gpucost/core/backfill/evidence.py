"""Events as evidence: who was alive when, for what no better source tells.

The API server keeps Events for an hour as a rule. One about a pod proves that the pod existed then; one that a node was
removed, that it was gone by then. An Event names what it is about by UID, never what it requested: a pod that only
Events know cannot be priced and becomes a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gpucost.core.clock import Instant
from gpucost.core.model import Gap, NodeFact, PodFact
from gpucost.core.timeline import Interval

_ALIVE = frozenset({
    "Scheduled", "Pulling", "Pulled", "Created", "Started", "Killing", "Preempted", "Evicted", "Unhealthy", "BackOff",
})  # fmt: skip
"""Reasons of Events that the scheduler or a kubelet writes about a pod that is there."""
_GONE = frozenset({"RemovingNode", "DeletingNode"})
_ASSIGNED = re.compile(r"Successfully assigned (\S+) to (\S+)")
ONLY_EVENTS = "a pod that only Events know ran here; what it requested is not recorded"


@dataclass(frozen=True, slots=True)
class Event:
    """An Event: what it is about, why, and the times between which it was said (again)."""

    kind: str
    uid: str
    namespace: str
    name: str
    reason: str
    message: str
    first: Instant
    last: Instant


@dataclass(frozen=True, slots=True)
class PodTrace:
    """What Events tell of a pod."""

    bound: Instant | None
    node: str
    alive: Instant
    """Until when it existed at least."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What Events tell, pods by UID and nodes by name (a node's controller does not always know its UID)."""

    pods: Mapping[str, PodTrace] = field(default_factory=dict)
    removed: Mapping[str, Sequence[Instant]] = field(default_factory=dict)


def evidence(events: Iterable[Event]) -> Evidence:
    """Put together what many Events tell."""
    pods: dict[str, PodTrace] = {}
    removed: dict[str, list[Instant]] = {}
    for event in events:
        if event.kind == "Pod" and event.reason in _ALIVE:
            pods[event.uid] = _traced(pods.get(event.uid), event)
        elif event.kind == "Node" and event.reason in _GONE:
            removed.setdefault(event.name, []).append(event.first)
    return Evidence(pods, removed)


def _traced(known: PodTrace | None, event: Event) -> PodTrace:
    bound, node, alive = (known.bound, known.node, known.alive) if known is not None else (None, "", event.last)
    assigned = _ASSIGNED.match(event.message) if event.reason == "Scheduled" else None
    if assigned is not None:
        bound, node = event.first, assigned[2]
    return PodTrace(bound, node, max(alive, event.last))


def narrowed(fact: PodFact, gap: Gap, found: Evidence) -> tuple[PodFact, Gap | None] | None:
    """A pod that ended within a gap, and what is left of the gap; None when Events tell nothing new."""
    trace = found.pods.get(fact.uid)
    if trace is None or trace.alive <= gap.span.start:
        return None
    end = min(trace.alive, gap.span.end)
    left = gap.span.clip(end, gap.span.end)
    return replace(fact, end=end), Gap(gap.uid, left, gap.reason) if left is not None else None


def node_narrowed(node: NodeFact, gap: Gap, found: Evidence) -> Gap | None:
    """The gap of a node that ended within it, up to when its removal was noticed; None when nobody noticed."""
    times = [at for at in found.removed.get(node.name, ()) if gap.span.start < at < gap.span.end]
    return Gap(gap.uid, Interval(gap.span.start, min(times)), gap.reason) if times else None


def untold(found: Evidence, span: Interval, nodes: Mapping[str, NodeFact], told: frozenset[str]) -> list[Gap]:
    """Gaps for pods that were bound in a span and that no other source knows, on themselves and on their node."""
    gaps = []
    for uid, trace in found.pods.items():
        if uid in told or trace.bound is None or not span.start <= trace.bound < span.end:
            continue
        unknown = Interval(trace.bound, span.end)
        gaps.append(Gap(uid, unknown, ONLY_EVENTS))
        if trace.node in nodes:
            gaps.append(Gap(nodes[trace.node].uid, unknown, ONLY_EVENTS))
    return gaps
