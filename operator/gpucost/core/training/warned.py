"""What follows from a notice that a node of the run is about to go: a checkpoint is asked for, and it is told.

The request is no memory of anybody's: as long as the notice stands and no newer checkpoint has come, every pass asks
again, so a restart of the operator loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gpucost.core.actions import EventNote
from gpucost.core.clock import Instant, format_duration
from gpucost.core.model import Node, Pod
from gpucost.core.notices import Notice, Why
from gpucost.core.training import observe
from gpucost.core.training.progress import Progress

_WORDS = {
    Why.SPOT: "the provider takes spot capacity back",
    Why.CONSOLIDATION: "an autoscaler empties it",
    Why.MAINTENANCE: "it is shut down, drained or repaired",
    Why.UNKNOWN: "it is going away",
}


def warned(pods: Sequence[Pod], nodes: Mapping[str, Node], notices: Mapping[str, Notice]) -> dict[str, Notice]:
    """Notices about the nodes of living workers, by name of the node."""
    names = {pod.node_name for pod in observe.alive(pods) if pod.node_name is not None}
    found = {name: notices.get(name) or (nodes[name].notice if name in nodes else None) for name in sorted(names)}
    return {name: notice for name, notice in found.items() if notice is not None}


def why_save(notices: Mapping[str, Notice], progress: Progress) -> str:
    """Why the run should save now; empty when it has, or nothing is going."""
    saved = progress.saved
    for name, notice in notices.items():
        since = notice.since
        if saved is None or since is None or saved.at < since:
            return f"node {name}: {notice.signal}"
    return ""


def news(
    notices: Mapping[str, Notice], nodes: Mapping[str, Node], progress: Progress, now: Instant
) -> Iterator[EventNote]:
    """One Event for each node and notice."""
    for name, notice in notices.items():
        uid = nodes[name].uid if name in nodes else name
        age = (
            f"the last checkpoint is {format_duration(now - progress.saved.at)} old"
            if progress.saved
            else ("no checkpoint is known")
        )
        message = (
            f"node {name} is about to go: {_WORDS[notice.why]} ({notice.signal}); a checkpoint is asked for, {age}"
        )
        yield EventNote("NodeGoing", message, f"{uid}/{notice.signal}", warning=True)
