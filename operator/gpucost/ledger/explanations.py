"""Explanations: the arithmetic of one workload, booked from stored facts over the whole window.

Settled or not makes no difference here: what is stored for an hour is what its facts come to, and this shows how.
"""

from __future__ import annotations

from sqlalchemy import select

from gpucost.core.clock import Instant
from gpucost.core.explain import arithmetic
from gpucost.core.model import PodFact, Workload
from gpucost.core.report import Explanation
from gpucost.core.timeline import Interval
from gpucost.ledger import facts, rows
from gpucost.ledger.quality import quality
from gpucost.ledger.reports import Desk, until_now
from gpucost.ledger.schema import pods

ROLLED_UP = "rolled up: only hourly sums are left of this time, see the report of the workload (GPUCOST_RETENTION)"


def explain(desk: Desk, namespace: str, workload: Workload, span: Interval) -> Explanation:
    """The arithmetic of one workload, from facts; a workload that nobody knows has no lines."""
    span = until_now(span, desk.now)
    old, span = _without_details(span, desk.horizon)
    members = _members(desk, namespace, workload, span)
    node_uids = {pod.node_uid for pod in members}
    books = facts.load(desk.db, span, node_uids)
    uids = {pod.uid for pod in members} & books.pods.keys()
    shown = arithmetic(books, uids, span)
    gaps = [(gap.span, gap.reason) for gap in facts.gaps_in(desk.db, span, {*uids, *node_uids})]
    if old.length:
        gaps.insert(0, (old, ROLLED_UP))
    return Explanation(
        currency=desk.currency,
        namespace=namespace,
        workload=workload,
        span=Interval(old.start, span.end),
        lines=shown.lines,
        total=shown.total,
        gaps=tuple(gaps),
        quality=quality(desk.db, desk.books, span, desk.now, namespace),
    )


def _without_details(span: Interval, horizon: Instant | None) -> tuple[Interval, Interval]:
    """Cut a window where details begin."""
    border = max(span.start, min(span.end, horizon or 0))
    return Interval(span.start, border), Interval(border, span.end)


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
