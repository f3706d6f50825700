"""Explanations: the arithmetic of a workload, a pod, a namespace or a node, booked from stored facts over the window.

Settled or not makes no difference here: what is stored for an hour is what its facts come to, and this shows how.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, select

from gpucost.core.clock import SECOND
from gpucost.core.explain import Arithmetic, arithmetic, of_nodes
from gpucost.core.grouping import NAMESPACE, POD
from gpucost.core.model import Gap, PodFact, Workload
from gpucost.core.report import Explanation
from gpucost.core.timeline import Interval
from gpucost.ledger import facts, rows
from gpucost.ledger.quality import quality
from gpucost.ledger.reports import Desk, until_now
from gpucost.ledger.schema import nodes, pods


def explain(desk: Desk, namespace: str, what: Workload, span: Interval) -> Explanation:
    """The arithmetic of one subject, from facts; one that nobody knows has no lines.

    `what` is a workload, or of kind `Pod` or `Namespace`; without a namespace a `Node`, by name.
    """
    span = until_now(span, desk.now)
    if not namespace:
        uids = set(desk.db.connection.execute(_nodes_called(desk, what.name)).scalars())
        shown = of_nodes(facts.load(desk.db, span, uids), uids, span)
        return _written(desk, Subject(namespace, what, span), shown, facts.gaps_in(desk.db, span, uids))
    members = _members(desk, namespace, what, span)
    node_uids = {pod.node_uid for pod in members}
    books = facts.load(desk.db, span, node_uids)
    uids = {pod.uid for pod in members} & books.pods.keys()
    gaps = [gap for gap in facts.gaps_in(desk.db, span, uids | node_uids) if _concerns(gap, members)]
    return _written(desk, Subject(namespace, what, span), arithmetic(books, uids, span), gaps)


class Subject(NamedTuple):
    """What is explained, over which span."""

    namespace: str
    what: Workload
    span: Interval


def _written(desk: Desk, subject: Subject, shown: Arithmetic, gaps: list[Gap]) -> Explanation:
    namespace, what, span = subject
    return Explanation(
        currency=desk.currency,
        namespace=namespace,
        workload=what,
        span=span,
        lines=shown.lines,
        total=shown.total,
        gaps=tuple((gap.span, gap.reason) for gap in gaps),
        quality=quality(desk.db, desk.books, span, desk.now, namespace or None),
    )


_WHOLE_SECONDS = 2 * SECOND
"""The API server's times have whole seconds: a pod may seem to touch a gap that was over when it came."""


def _concerns(gap: Gap, members: list[PodFact]) -> bool:
    """Whether a gap is one of a pod, or of its node while the pod was there."""
    return any(gap.uid == pod.uid or (gap.uid == pod.node_uid and _overlap(gap, pod)) for pod in members)


def _overlap(gap: Gap, pod: PodFact) -> bool:
    return pod.start + _WHOLE_SECONDS < gap.span.end and (pod.end is None or pod.end > gap.span.start + _WHOLE_SECONDS)


def knows(desk: Desk, namespace: str, what: Workload) -> bool:
    """Whether a subject ever held anything, or a node was ever there."""
    found = _of(desk, namespace, what) if namespace else _nodes_called(desk, what.name)
    return desk.db.connection.execute(found.limit(1)).first() is not None


def _nodes_called(desk: Desk, name: str) -> Any:
    return select(nodes.c.uid).where(nodes.c.cluster == desk.db.cluster, nodes.c.name == name)


def _members(desk: Desk, namespace: str, what: Workload, span: Interval) -> list[PodFact]:
    query = _of(desk, namespace, what).where(pods.c.start < span.end)
    found = map(rows.pod_fact, desk.db.connection.execute(query))
    return [pod for pod in found if pod.end is None or pod.end > span.start]


def _of(desk: Desk, namespace: str, what: Workload) -> Any:
    where: tuple[ColumnElement[bool], ...] = (
        pods.c.workload_kind == what.kind,
        pods.c.workload_name == what.name,
    )
    if what.kind == POD:
        where = (pods.c.name == what.name,)
    elif what.kind == NAMESPACE:
        where = ()
    return select(pods).where(pods.c.cluster == desk.db.cluster, pods.c.namespace == namespace, *where)
