"""Explanations: the arithmetic of a workload, a pod, a namespace or a node, booked from stored facts over the window.

Settled or not makes no difference here: what is stored for an hour is what its facts come to, and this shows how.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, select

from gpucost.core.clock import Instant
from gpucost.core.explain import Arithmetic, arithmetic, of_nodes
from gpucost.core.grouping import NAMESPACE, POD
from gpucost.core.model import Gap, PodFact, Workload
from gpucost.core.report import Explanation
from gpucost.core.timeline import Interval
from gpucost.ledger import facts, rolled, rows
from gpucost.ledger.desk import Desk, until_now
from gpucost.ledger.gaps import concerning
from gpucost.ledger.quality import quality
from gpucost.ledger.schema import nodes, pods

ROLLED_UP = "rolled up: only sums are left of this time, see the report of the workload (GPUCOST_RETENTION)"


def explain(desk: Desk, namespace: str, what: Workload, span: Interval) -> Explanation:
    """The arithmetic of one subject, from facts; one that nobody knows has no lines.

    `what` is a workload, or of kind `Pod` or `Namespace`; without a namespace a `Node`, by name.
    """
    whole = until_now(span, desk.now)
    span = _detailed(whole, desk.horizon)
    if not namespace:
        uids = set(desk.db.connection.execute(_nodes_called(desk, what.name)).scalars())
        shown = of_nodes(facts.load(desk.db, span, uids), uids, span)
        return _written(desk, Subject(namespace, what, span, whole), shown, facts.gaps_in(desk.db, span, uids))
    members = _members(desk, namespace, what, span)
    node_uids = {pod.node_uid for pod in members}
    books = facts.load(desk.db, span, node_uids)
    uids = {pod.uid for pod in members} & books.pods.keys()
    gaps = concerning(facts.gaps_in(desk.db, span, uids | node_uids), members)
    return _written(desk, Subject(namespace, what, span, whole), arithmetic(books, uids, span), gaps)


class Subject(NamedTuple):
    """What is explained, over which span."""

    namespace: str
    what: Workload
    span: Interval
    whole: Interval
    """With the time that is rolled up."""

    @property
    def old(self) -> Interval:
        """What is rolled up of it."""
        return Interval(self.whole.start, self.span.start)


def _detailed(span: Interval, horizon: Instant | None) -> Interval:
    """The part of a window of which the details are there."""
    return Interval(max(span.start, min(span.end, horizon or 0)), span.end)


def _written(desk: Desk, subject: Subject, shown: Arithmetic, gaps: list[Gap]) -> Explanation:
    namespace, what, span, whole = subject
    told = [(gap.span, gap.reason) for gap in gaps]
    if subject.old.length:
        told.insert(0, (subject.old, ROLLED_UP))
    return Explanation(
        currency=desk.currency,
        namespace=namespace,
        workload=what,
        span=whole,
        lines=shown.lines,
        total=shown.total,
        gaps=tuple(told),
        quality=quality(desk, span, namespace or None),
    )


"""The API server's times have whole seconds: a pod may seem to touch a gap that was over when it came."""


def knows(desk: Desk, namespace: str, what: Workload) -> bool:
    """Whether a subject ever held anything, or a node was ever there."""
    found = _of(desk, namespace, what) if namespace else _nodes_called(desk, what.name)
    if desk.db.connection.execute(found.limit(1)).first() is not None:
        return True
    old = rolled.workloads_of(desk.db, namespace) if namespace else set()
    return bool(old) if what.kind == NAMESPACE else what in old


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
