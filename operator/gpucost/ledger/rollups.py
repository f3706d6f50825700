"""Retention: hours older than the details are kept become sums by what people ask for, and their facts go.
Later on, the hours of a day become one sum in the same way.

One hour is one transaction: its charges are summed by workload, category, capacity type, kind of asset and
labels, written, and deleted, together with the mark of how far this has come. The sums are exact, so reports by
namespace, workload, category or those labels answer the same before and after.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, delete, func, select, tuple_

from gpucost.core import owners
from gpucost.core.booking import FIELDS
from gpucost.core.clock import DAY, HOUR, Instant, floor_to
from gpucost.core.model import CapacityType
from gpucost.core.timeline import Interval
from gpucost.ledger import bulk, rolled
from gpucost.ledger import charges as store
from gpucost.ledger.charges import HELD, Sum, zero
from gpucost.ledger.db import Db
from gpucost.ledger.facts import chunks, write_marks
from gpucost.ledger.schema import (
    charges,
    gaps,
    hour_sums,
    needs,
    node_hours,
    nodes,
    pods,
    prices,
    rolled_charges,
    rolled_hours,
    rolled_keys,
    rolled_nodes,
    usage,
)

DROPPED_LABELS = frozenset(
    {
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/job-name",
        "controller-revision-hash",
        "controller-uid",
        "job-name",
        "statefulset.kubernetes.io/pod-name",
        *owners.LABELS,
    }
)
"""Labels that tell single pods or workloads apart: roll-ups do not keep them."""

HOURLY = 45 * DAY
"""How long sums by hour are kept before those of a day become one."""

_LARGEST = 2**62
_PODS_AT_ONCE = 2000

Key = tuple[str, str, str, str, str, str]
"""Namespace, kind and name of the workload, category, kind of asset, labels as JSON."""
_NO_KEY: Key = ("", "", "", "", "", "{}")


def next_hour(db: Db, limit: Instant) -> Instant | None:
    """First hour before a limit that has details; None when there is none."""
    query = select(func.min(node_hours.c.hour)).where(node_hours.c.cluster == db.cluster, node_hours.c.hour < limit)
    found = db.connection.execute(query).scalar()
    return None if found is None else int(found)


def roll(db: Db, hour: Instant) -> None:
    """Make an hour's charges into sums, and note that this is done."""
    span = Interval(hour, hour + HOUR)
    sums = _summed(db, span)
    numbers = _numbers(db, {key for who, key, _ in sums if who == HELD})
    lines = [
        row
        for (who, key, kind), total in sums.items()
        for row in _rows(db, hour, (who, numbers.get(key, 0) if who == HELD else 0, kind), total)
    ]
    cost = store.node_cost(db, span)
    bulk.insert(db.connection, rolled_charges, lines)
    bulk.insert(db.connection, rolled_hours, [{"cluster": db.cluster, "hour": hour, "cost": str(cost)}])
    _add_nodes(db, span)
    _add_whole(db, sums, cost)
    for table in (charges, node_hours, hour_sums):
        in_span = table.c.hour >= span.start, table.c.hour < span.end
        db.connection.execute(delete(table).where(table.c.cluster == db.cluster, *in_span))
    write_marks(db, {rolled.HORIZON: str(span.end)})


def next_day(db: Db, limit: Instant) -> Instant | None:
    """First day before a limit of which there are sums by hour; None when there is none."""
    query = select(func.min(rolled_hours.c.hour)).where(
        rolled_hours.c.cluster == db.cluster,
        rolled_hours.c.hour >= rolled.squeezed_until(db),
        rolled_hours.c.hour < limit,
    )
    found = db.connection.execute(query).scalar()
    return None if found is None else floor_to(int(found), DAY)


def squeeze(db: Db, day: Instant) -> None:
    """Make the hours of a day into one sum, which begins where the day does."""
    span = Interval(day, day + DAY)
    by = (rolled_charges.c.holder, rolled_charges.c.key, rolled_charges.c.capacity_type)
    found = rolled.totals(db, by, rolled.in_hours(span))
    cost = rolled.node_cost(db, span)
    for table in (rolled_charges, rolled_hours):
        in_span = table.c.hour >= span.start, table.c.hour < span.end
        db.connection.execute(delete(table).where(table.c.cluster == db.cluster, *in_span))
    bulk.insert(db.connection, rolled_charges, [row for who, total in found for row in _rows(db, day, who, total)])
    bulk.insert(db.connection, rolled_hours, [{"cluster": db.cluster, "hour": day, "cost": str(cost)}])
    write_marks(db, {rolled.SQUEEZED: str(span.end)})


def _rows(db: Db, begin: Instant, key: tuple[Any, ...], total: Sum) -> Iterator[bulk.Row]:
    """Rows of one sum; `key` is its holder, its key's number and its capacity type."""
    names = ("holder", "key", "capacity_type")
    for part, values in enumerate(_parts(total)):
        named = {"cluster": db.cluster, "hour": begin, "part": part, **dict(zip(names, key, strict=True))}
        yield {**named, **dict(zip(FIELDS, values, strict=True))}


def _summed(db: Db, span: Interval) -> dict[tuple[str, Key, str], Sum]:
    columns = (
        pods.c.namespace,
        pods.c.workload_kind,
        pods.c.workload_name,
        pods.c.category,
        store.asset,
        pods.c.labels,
    )
    sums: dict[tuple[str, Key, str], Sum] = {}
    for (who, *named, kind), total in store.totals(
        db, (store.holder, *columns, charges.c.capacity_type), store.in_hours(span)
    ):
        key = _key(named) if who == HELD else _NO_KEY
        sums[who, key, kind] = _plus(sums.get((who, key, kind)), total)
    return sums


def _key(named: Sequence[str | None]) -> Key:
    space, kind, name, category, asset, labels = (value or "" for value in named)
    kept = {name: value for name, value in json.loads(labels or "{}").items() if name not in DROPPED_LABELS}
    return space, kind, name, category, asset, json.dumps(kept, sort_keys=True, separators=(",", ":"))


def _plus(total: Sum | None, values: Sum) -> Sum:
    return values if total is None else [a + b for a, b in zip(total, values, strict=True)]


def _parts(total: Sum) -> Iterable[Sum]:
    """Rows of which each number fits in 64 bits."""
    rest = list(total)
    while True:
        part = [min(value, _LARGEST) for value in rest]
        yield part
        rest = [value - taken for value, taken in zip(rest, part, strict=True)]
        if not any(rest):
            return


def _numbers(db: Db, keys: set[Key]) -> dict[Key, int]:
    """The numbers of keys; new ones are given a number."""
    columns = (rolled_keys.c.namespace, rolled_keys.c.workload_kind, rolled_keys.c.workload_name)
    numbers: dict[Key, int] = {}
    for part in chunks(sorted({key[:3] for key in keys})):
        query = select(rolled_keys.c.id, *columns, rolled_keys.c.category, rolled_keys.c.asset, rolled_keys.c.labels)
        query = query.where(rolled_keys.c.cluster == db.cluster, tuple_(*columns).in_(part))
        numbers |= {(row[1], row[2], row[3], row[4], row[5], row[6]): row.id for row in db.connection.execute(query)}
    last = select(func.max(rolled_keys.c.id)).where(rolled_keys.c.cluster == db.cluster)
    following = int(db.connection.execute(last).scalar() or 0) + 1
    new = {key: number for number, key in enumerate(sorted(keys - numbers.keys()), start=following)}
    names = ("namespace", "workload_kind", "workload_name", "category", "asset", "labels")
    rows = [{"cluster": db.cluster, "id": n, **dict(zip(names, key, strict=True))} for key, n in new.items()]
    bulk.insert(db.connection, rolled_keys, rows)
    return numbers | new


def _add_nodes(db: Db, span: Interval) -> None:
    """Keep the sums of nodes up to date: those that live on are asked for since their start."""
    found = store.sums(db, (charges.c.node_uid, store.holder), store.in_hours(span))
    before = {total.key: total.sum for total in rolled.by_node(db, {total.key[0] for total in found})}
    rows = [
        {
            "cluster": db.cluster,
            "node_uid": total.key[0],
            "holder": total.key[1],
            "amounts": json.dumps(_plus(before.get(total.key), total.sum), separators=(",", ":")),
        }
        for total in found
    ]
    keys = ["cluster", "node_uid", "holder"]
    bulk.insert(db.connection, rolled_nodes, rows, bulk.upsert(keys, ["amounts"]))


def _add_whole(db: Db, sums: Mapping[tuple[str, Key, str], Sum], cost: int) -> None:
    known = rolled.Whole.read(db)
    known.difference += cost - sum(total[0] for total in sums.values())
    for (who, _, kind), total in sums.items():
        if who != HELD:
            place = who, CapacityType(kind)
            known.unheld[place] = _plus(known.unheld.get(place, zero()), total)
    write_marks(db, {rolled.WHOLE: known.text()})


# --- facts ------------------------------------------------------------------------------------------------------------


def forget_pods(db: Db, horizon: Instant) -> int:
    """Delete facts of some pods that had ended by then; how many there were."""
    ended = select(pods.c.uid).where(pods.c.cluster == db.cluster, pods.c.ended <= horizon).limit(_PODS_AT_ONCE)
    uids = list(db.connection.execute(ended).scalars())
    for part in chunks(uids):
        for table, column in ((usage, usage.c.pod_uid), (needs, needs.c.pod_uid), (pods, pods.c.uid)):
            db.connection.execute(delete(table).where(table.c.cluster == db.cluster, column.in_(part)))
    return len(uids)


def forget_rest(db: Db, horizon: Instant) -> None:
    """Delete what else nobody needs: nodes that had ended, gaps, and values that were replaced by then."""
    gone = nodes.c.cluster == db.cluster, nodes.c.ended <= horizon
    db.connection.execute(delete(nodes).where(*gone))
    for table in (prices, rolled_nodes):
        known = select(nodes.c.uid).where(nodes.c.cluster == db.cluster, nodes.c.uid == table.c.node_uid).exists()
        db.connection.execute(delete(table).where(table.c.cluster == db.cluster, ~known))
    db.connection.execute(delete(gaps).where(gaps.c.cluster == db.cluster, gaps.c.ended <= horizon))
    old = pods.c.cluster == db.cluster, pods.c.start < horizon
    for table, owner, among in (
        (usage, usage.c.pod_uid, select(pods.c.uid).where(*old)),
        (needs, needs.c.pod_uid, select(pods.c.uid).where(*old)),
        (prices, prices.c.node_uid, select(nodes.c.uid).where(nodes.c.cluster == db.cluster)),
    ):
        found = table.c.cluster == db.cluster, owner.in_(among), _replaced(table, owner, horizon)
        db.connection.execute(delete(table).where(*found))


def _replaced(table: Table, owner: Column[str], horizon: Instant) -> ColumnElement[bool]:
    """Values that are not in force any more at an instant."""
    later = table.alias()
    in_force = (
        select(func.max(later.c.start))
        .where(later.c.cluster == table.c.cluster, later.c[owner.name] == owner, later.c.start <= horizon)
        .scalar_subquery()
    )
    return table.c.start < in_force
