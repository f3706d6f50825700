"""Facts in the database: idempotent writes, and reading what a span needs.

Each function works on the connection of a transaction that its caller holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import Table, and_, delete, func, or_, select
from sqlalchemy.engine import Connection

from gpucost.core.activity import Activity
from gpucost.core.books import Books, Fact
from gpucost.core.clock import Instant
from gpucost.core.model import CapacityType, Gap, NeedFact, NodeFact, NodeKind, PodFact, PriceFact, UsageFact, Workload
from gpucost.core.timeline import Interval
from gpucost.ledger import bulk, rows
from gpucost.ledger.db import Db
from gpucost.ledger.schema import gaps, marks, needs, nodes, pods, prices, usage

T = TypeVar("T")
LAST: Instant = (1 << 62) - 1
_CHUNK = 500  # values in one statement; SQLite's limit is far above

_TABLES: dict[type, tuple[Table, Any]] = {
    NodeFact: (nodes, rows.node_row),
    PriceFact: (prices, rows.price_row),
    PodFact: (pods, rows.pod_row),
    NeedFact: (needs, rows.need_row),
    UsageFact: (usage, rows.usage_row),
    Gap: (gaps, rows.gap_row),
}


def chunks(items: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    """Cut into lists of at most `size`."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def write(db: Db, facts: Sequence[Fact]) -> None:
    """Insert or update by identity; an end that was set stays."""
    for kind, (table, to_row) in _TABLES.items():
        values = [{"cluster": db.cluster, **to_row(fact)} for fact in _merged(facts, kind)]
        _upsert(db.connection, table, values)


def _merged(facts: Sequence[Fact], kind: type) -> Iterable[Fact]:
    """Facts of a kind; pods and nodes told more than once as they stand in the end (`bulk` keeps one row for a key)."""
    found = [fact for fact in facts if type(fact) is kind]
    books = Books()
    if kind is PodFact:
        books.put(found)
        return books.pods.values()
    if kind is NodeFact:
        books.put(found)
        return books.nodes.values()
    return found


def _upsert(connection: Connection, table: Table, values: Sequence[Any]) -> None:
    keys = [column.name for column in table.primary_key]
    bulk.insert(connection, table, bulk.last_of(values, keys), lambda statement: _on_conflict(statement, table, keys))


def _on_conflict(statement: Any, table: Table, keys: list[str]) -> Any:
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    where = None
    if table is nodes:
        changed["ended"] = func.coalesce(statement.excluded.ended, nodes.c.ended)
    elif table is pods:
        where = or_(statement.excluded.ended.is_not(None), pods.c.ended.is_(None))
    return statement.on_conflict_do_update(index_elements=keys, set_=changed, where=where)


def replace_prices(db: Db, timelines: Mapping[str, Sequence[PriceFact]]) -> None:
    """Make these the whole timelines of some nodes."""
    for part in chunks(timelines):
        db.connection.execute(delete(prices).where(prices.c.cluster == db.cluster, prices.c.node_uid.in_(part)))
    write(db, [price for timeline in timelines.values() for price in timeline])


def remove_gaps(db: Db, closed: Iterable[Gap]) -> None:
    """Forget gaps: what happened in them has become known."""
    for gap in closed:
        where = (gaps.c.cluster == db.cluster, gaps.c.uid == gap.uid, gaps.c.start == gap.span.start)
        db.connection.execute(delete(gaps).where(*where))


# --- reading ----------------------------------------------------------------------------------------------------------


def stored(db: Db, facts: Sequence[Fact]) -> Books:
    """What the database holds under the identities of these pods and nodes, and all prices of the nodes priced."""
    books = Books()
    books.put(by_keys(db, nodes, "uid", {f.uid for f in facts if isinstance(f, NodeFact)}, rows.node_fact))
    books.put(by_keys(db, pods, "uid", {f.uid for f in facts if isinstance(f, PodFact)}, rows.pod_fact))
    priced = {f.node_uid for f in facts if isinstance(f, PriceFact)}
    books.put(by_keys(db, prices, "node_uid", priced, rows.price_fact))
    return books


def by_keys(db: Db, table: Table, column: str, keys: Iterable[str], make: Any) -> Iterator[Any]:
    """Facts of which a column has one of these values."""
    for part in chunks(sorted(keys)):
        query = select(table).where(table.c.cluster == db.cluster, table.c[column].in_(part))
        yield from map(make, db.connection.execute(query))


def load(db: Db, span: Interval, node_uids: Iterable[str] | None = None) -> Books:
    """Everything that booking a span needs, of all nodes or of some."""
    books = Books()
    books.put(map(rows.node_fact, overlapping(db, nodes, "uid", span, node_uids)))
    books.put(map(rows.pod_fact, overlapping(db, pods, "node_uid", span, node_uids)))
    books.put(by_keys(db, prices, "node_uid", books.nodes, rows.price_fact))
    for part in chunks(sorted(books.pods)):
        books.put(map(rows.need_fact, db.connection.execute(_in_force(db, needs, part, span))))
    for part in chunks(sorted(uid for uid, pod in books.pods.items() if pod.requests.gpus or uid in books.needs)):
        books.activities |= _activities(db, part, span)
    return books


def _activities(db: Db, pod_uids: list[str], span: Interval) -> dict[str, Activity]:
    """Read as columns: there is a row for every pod and five minutes, by far the most that booking needs."""
    query = _in_force(db, usage, pod_uids, span).order_by(usage.c.pod_uid, usage.c.start)
    query = query.with_only_columns(usage.c.pod_uid, usage.c.start, usage.c.ppm)
    found: dict[str, Activity] = {}
    for uid, steps in groupby(map(tuple, db.connection.execute(query)), key=itemgetter(0)):
        _, starts, ppms = zip(*steps, strict=True)
        found[uid] = Activity.of(starts, ppms)
    return found


def overlapping(db: Db, table: Table, column: str, span: Interval, node_uids: Iterable[str] | None) -> Iterator[Any]:
    """Rows of nodes or pods that lived in a span, of all nodes or of some; `column` holds the node's UID."""
    query = select(table).where(
        table.c.cluster == db.cluster,
        table.c.start < span.end,
        or_(table.c.ended.is_(None), table.c.ended > span.start),
    )
    if node_uids is None:
        yield from db.connection.execute(query)
        return
    for part in chunks(sorted(node_uids)):
        yield from db.connection.execute(query.where(table.c[column].in_(part)))


def _in_force(db: Db, table: Table, pod_uids: list[str], span: Interval) -> Any:
    """Values of pods that begin in the span, and the one of each that is in force when it begins."""
    earlier = table.alias()
    in_force = (
        select(func.max(earlier.c.start))
        .where(earlier.c.cluster == db.cluster, earlier.c.pod_uid == table.c.pod_uid, earlier.c.start <= span.start)
        .scalar_subquery()
    )
    return select(table).where(
        table.c.cluster == db.cluster,
        table.c.pod_uid.in_(pod_uids),
        table.c.start < span.end,
        table.c.start >= func.coalesce(in_force, span.start),
    )


def following(db: Db, table: Table, pod_uid: str, start: Instant) -> Instant | None:
    """When the value of a pod after one that begins at `start` begins."""
    query = select(func.min(table.c.start)).where(
        table.c.cluster == db.cluster, table.c.pod_uid == pod_uid, table.c.start > start
    )
    return db.connection.execute(query).scalar()


def open_facts(db: Db, table: Table, make: Any) -> list[Any]:
    """Pods or nodes that have not ended."""
    query = select(table).where(table.c.cluster == db.cluster, table.c.ended.is_(None))
    return list(map(make, db.connection.execute(query)))


def last_needs(db: Db, pod_uids: Iterable[str]) -> list[NeedFact]:
    """The last value of each pod that has one."""
    now = Interval(LAST, LAST + 1)
    found = (db.connection.execute(_in_force(db, needs, part, now)) for part in chunks(sorted(pod_uids)))
    return [rows.need_fact(row) for part in found for row in part]


def noted_on_open_nodes(db: Db, prefix: str) -> list[PodFact]:
    """Pods that have ended, of nodes that have not, with notes that begin so."""
    same_node = and_(nodes.c.cluster == pods.c.cluster, nodes.c.uid == pods.c.node_uid)
    query = select(pods).join(nodes, same_node).where(pods.c.cluster == db.cluster, nodes.c.ended.is_(None))
    query = query.where(pods.c.ended.is_not(None), pods.c.note.startswith(prefix, autoescape=True))
    return list(map(rows.pod_fact, db.connection.execute(query)))


def ended_balancers(db: Db) -> list[str]:
    """UIDs of load balancers that have ended."""
    query = select(nodes.c.uid).where(nodes.c.cluster == db.cluster, nodes.c.ended.is_not(None))
    return [row.uid for row in db.connection.execute(query.where(nodes.c.kind == NodeKind.LOAD_BALANCER.value))]


def ended_on(db: Db, kind: str, capacity_type: CapacityType) -> list[tuple[PodFact, str]]:
    """Pods of a kind of workload that have ended on nodes of a capacity type, with the names of the nodes."""
    same_node = and_(nodes.c.cluster == pods.c.cluster, nodes.c.uid == pods.c.node_uid)
    query = select(pods, nodes.c.name.label("node")).join(nodes, same_node)
    query = query.where(pods.c.cluster == db.cluster, pods.c.workload_kind == kind, pods.c.ended.is_not(None))
    query = query.where(nodes.c.capacity_type == capacity_type.value)
    return [(rows.pod_fact(row), row.node) for row in db.connection.execute(query)]


def workloads_of(db: Db, namespace: str) -> list[Workload]:
    """Workloads of a namespace of which pods are known."""
    query = select(pods.c.workload_kind, pods.c.workload_name).distinct()
    query = query.where(pods.c.cluster == db.cluster, pods.c.namespace == namespace)
    return [Workload(*row) for row in db.connection.execute(query)]


def gaps_in(db: Db, span: Interval, uids: Iterable[str] | None = None) -> list[Gap]:
    """Gaps that overlap a span, of everything or of some pods and nodes."""
    query = select(gaps).where(and_(gaps.c.cluster == db.cluster, gaps.c.start < span.end, gaps.c.ended > span.start))
    found = map(rows.gap_fact, db.connection.execute(query.order_by(gaps.c.start, gaps.c.uid)))
    wanted = None if uids is None else set(uids)
    return [gap for gap in found if wanted is None or gap.uid in wanted]


# --- marks ------------------------------------------------------------------------------------------------------------


def read_mark(db: Db, name: str) -> str | None:
    """One mark; the others may be many and long."""
    query = select(marks.c.value).where(marks.c.cluster == db.cluster, marks.c.name == name)
    return db.connection.execute(query).scalar()


def read_marks(db: Db, prefix: str = "") -> dict[str, str]:
    """All marks, or those with names that begin so."""
    query = select(marks.c.name, marks.c.value).where(marks.c.cluster == db.cluster)
    if prefix:
        query = query.where(marks.c.name.startswith(prefix, autoescape=True))
    found = {row.name: row.value for row in db.connection.execute(query)}
    return {name: value for name, value in found.items() if name.startswith(prefix)}  # SQLite's LIKE ignores case


def write_marks(db: Db, values: Mapping[str, str]) -> None:
    """Set marks; one that is set to nothing is taken away."""
    found = [{"cluster": db.cluster, "name": name, "value": value} for name, value in values.items() if value]
    _upsert(db.connection, marks, found)
    for part in chunks(sorted(name for name, value in values.items() if not value)):
        gone = marks.c.name.in_(part)
        db.connection.execute(delete(marks).where(marks.c.cluster == db.cluster, gone))
