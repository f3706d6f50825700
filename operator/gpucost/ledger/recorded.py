"""What the ledger knows of a span of the past, for whoever fills in the rest of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpucost.core.model import Gap, NodeFact, PodFact
from gpucost.core.timeline import Interval
from gpucost.ledger import facts, rows
from gpucost.ledger.db import Db
from gpucost.ledger.schema import gaps, nodes, pods


@dataclass(frozen=True, slots=True)
class Recorded:
    """Facts that concern a span."""

    nodes: Sequence[NodeFact]
    """Nodes that lived in it."""
    gpu_pods: Sequence[PodFact]
    """Pods that held GPUs in it."""
    pods: Mapping[str, PodFact]
    """Those of the pods asked for that are known, by UID."""
    gaps: Mapping[str, Sequence[Gap]]
    """Gaps that overlap or touch it, and all gaps of the pods asked for, by UID."""


def recorded(db: Db, span: Interval, uids: Iterable[str]) -> Recorded:
    """Read what is known of a span, and of some pods whenever they lived."""
    asked = list(uids)
    found = {*facts.gaps_in(db, Interval(span.start - 1, span.end + 1))}
    found.update(facts.by_keys(db, gaps, "uid", asked, rows.gap_fact))
    by_uid: dict[str, list[Gap]] = {}
    for gap in sorted(found, key=lambda gap: (gap.uid, gap.span)):
        by_uid.setdefault(gap.uid, []).append(gap)
    return Recorded(
        nodes=[rows.node_fact(row) for row in facts.overlapping(db, nodes, "uid", span, None)],
        gpu_pods=[
            pod for pod in map(rows.pod_fact, facts.overlapping(db, pods, "node_uid", span, None)) if pod.requests.gpus
        ],
        pods={pod.uid: pod for pod in facts.by_keys(db, pods, "uid", asked, rows.pod_fact)},
        gaps=by_uid,
    )
