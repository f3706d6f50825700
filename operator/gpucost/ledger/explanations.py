"""Explanations: the arithmetic of one workload, booked from stored facts over the whole window.

Settled or not makes no difference here: what is stored for an hour is what its facts come to, and this shows how.
"""

from __future__ import annotations

from sqlalchemy import select

from gpucost.core.explain import arithmetic
from gpucost.core.model import Gap, PodFact, Workload
from gpucost.core.report import Explanation
from gpucost.core.timeline import Interval
from gpucost.ledger import facts, rows
from gpucost.ledger.quality import quality
from gpucost.ledger.reports import Desk, until_now
from gpucost.ledger.schema import pods


def explain(desk: Desk, namespace: str, workload: Workload, span: Interval) -> Explanation:
    """The arithmetic of one workload, from facts; a workload that nobody knows has no lines."""
    span = until_now(span, desk.now)
    members = _members(desk, namespace, workload, span)
    node_uids = {pod.node_uid for pod in members}
    books = facts.load(desk.db, span, node_uids)
    uids = {pod.uid for pod in members} & books.pods.keys()
    shown = arithmetic(books, uids, span)
    gaps = [gap for gap in facts.gaps_in(desk.db, span, {*uids, *node_uids}) if _concerns(gap, members)]
    return Explanation(
        currency=desk.currency,
        namespace=namespace,
        workload=workload,
        span=span,
        lines=shown.lines,
        total=shown.total,
        gaps=tuple((gap.span, gap.reason) for gap in gaps),
        quality=quality(desk.db, desk.books, span, desk.now, namespace),
    )


def _concerns(gap: Gap, members: list[PodFact]) -> bool:
    """Whether a gap is one of a pod, or of its node while the pod was there."""
    return any(
        gap.uid == pod.uid
        or (gap.uid == pod.node_uid and pod.start < gap.span.end and (pod.end is None or pod.end > gap.span.start))
        for pod in members
    )


def _members(desk: Desk, namespace: str, workload: Workload, span: Interval) -> list[PodFact]:
    query = select(pods).where(
        pods.c.cluster == desk.db.cluster,
        pods.c.namespace == namespace,
        pods.c.workload_kind == workload.kind,
        pods.c.workload_name == workload.name,
        pods.c.start < span.end,
    )
    found = map(rows.pod_fact, desk.db.connection.execute(query))
    return [pod for pod in found if pod.end is None or pod.end > span.start]
