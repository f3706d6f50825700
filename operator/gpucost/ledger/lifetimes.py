"""What is asked about one run: since when it has held anything, and what nodes like its own cost while they lived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from sqlalchemy import func, select

from gpucost.core.clock import Instant
from gpucost.core.model import NodeFact, PriceFact, Workload
from gpucost.core.timeline import Interval
from gpucost.ledger import facts, rows
from gpucost.ledger.db import Db
from gpucost.ledger.schema import nodes, pods, prices, rolled_charges, rolled_keys


def lifetime(db: Db, namespace: str, workload: Workload, now: Instant) -> Interval | None:
    """From the start of a workload's first pod to the end of its last, or to now; None when it had none."""
    where = (
        pods.c.cluster == db.cluster,
        pods.c.namespace == namespace,
        pods.c.workload_kind == workload.kind,
        pods.c.workload_name == workload.name,
    )
    query = select(func.min(pods.c.start), func.max(func.coalesce(pods.c.ended, now))).where(*where)
    first, last = db.connection.execute(query).one()
    return None if first is None else Interval(int(first), max(int(first), int(last)))


def first_held(db: Db, namespace: str, kind: str, names: Collection[str]) -> dict[str, Instant]:
    """When workloads of one kind held something first, by name; of roll-ups the beginning of the hour or the day.

    What never held anything is not in it.
    """
    found: dict[str, Instant] = {}
    for part in facts.chunks(sorted(set(names))):
        mine = pods.c.cluster == db.cluster, pods.c.namespace == namespace, pods.c.workload_kind == kind
        of_pods = select(pods.c.workload_name, func.min(pods.c.start)).where(*mine, pods.c.workload_name.in_(part))
        keys = rolled_keys.c
        of_sums = (
            select(keys.workload_name, func.min(rolled_charges.c.hour))
            .join(rolled_charges, (rolled_charges.c.cluster == keys.cluster) & (rolled_charges.c.key == keys.id))
            .where(
                keys.cluster == db.cluster,
                keys.namespace == namespace,
                keys.workload_kind == kind,
                keys.workload_name.in_(part),
            )
        )
        for query in (of_pods.group_by(pods.c.workload_name), of_sums.group_by(keys.workload_name)):
            for name, first in db.connection.execute(query):
                found[name] = min(int(first), found.get(name, int(first)))
    return found


def nodes_like(db: Db, span: Interval, names: Collection[str]) -> list[tuple[NodeFact, tuple[PriceFact, ...]]]:
    """Nodes that lived in a span and are of the type of those that are named, with their prices over time."""
    found = [rows.node_fact(row) for row in facts.overlapping(db, nodes, "uid", span, None)]
    types = Counter(_type(node) for node in found if node.name in names)
    if not types:
        return []
    wanted = min(types, key=lambda one: (-types[one], one))
    alike = [node for node in found if _type(node) == wanted]
    by_node: dict[str, list[PriceFact]] = {node.uid: [] for node in alike}
    for price in facts.by_keys(db, prices, "node_uid", by_node, rows.price_fact):
        by_node[price.node_uid].append(price)
    return [(node, tuple(by_node[node.uid])) for node in alike]


def _type(node: NodeFact) -> tuple[str, str]:
    """Instance type, or where no label tells it, the GPU model."""
    return (node.instance_type, "" if node.instance_type else node.gpu_model)
