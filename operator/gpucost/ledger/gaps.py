"""Which intervals that nobody observed concern whom.

A gap is one of a pod or of a node. One of a node concerns those of its pods that were there at the time, and nobody
else: what a namespace pays is not less certain because a node that it never used was seen late.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import or_, select

from gpucost.core.clock import SECOND
from gpucost.core.model import Gap, PodFact
from gpucost.core.timeline import Interval
from gpucost.ledger import facts, rows
from gpucost.ledger.db import Db
from gpucost.ledger.schema import pods

_WHOLE_SECONDS = 2 * SECOND


def in_window(db: Db, span: Interval, namespace: str | None = None) -> Sequence[Gap]:
    """Gaps that overlap a span: all of them, or those that concern a namespace."""
    found = facts.gaps_in(db, span)
    return found if namespace is None or not found else concerning(found, _members(db, span, namespace))


def concerning(found: Iterable[Gap], members: Sequence[PodFact]) -> list[Gap]:
    """Gaps that concern some of these pods."""
    return [gap for gap in found if any(_concerns(gap, pod) for pod in members)]


def _concerns(gap: Gap, pod: PodFact) -> bool:
    return gap.uid == pod.uid or (gap.uid == pod.node_uid and _overlap(gap, pod))


def _overlap(gap: Gap, pod: PodFact) -> bool:
    return pod.start + _WHOLE_SECONDS < gap.span.end and (pod.end is None or pod.end > gap.span.start + _WHOLE_SECONDS)


def _members(db: Db, span: Interval, namespace: str) -> list[PodFact]:
    query = select(pods).where(
        pods.c.cluster == db.cluster,
        pods.c.namespace == namespace,
        pods.c.start < span.end,
        or_(pods.c.ended.is_(None), pods.c.ended > span.start),
    )
    return list(map(rows.pod_fact, db.connection.execute(query)))
