"""Reading roll-ups: the same questions that `charges` answers, about hours of which the details are gone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, select, tuple_

from gpucost.core.booking import FIELDS
from gpucost.core.clock import Instant
from gpucost.core.model import CapacityType, Workload
from gpucost.core.money import Pico
from gpucost.core.timeline import Interval
from gpucost.ledger.charges import HELD, Sum, Total, exact_sums, whole
from gpucost.ledger.db import Db
from gpucost.ledger.facts import chunks, read_mark
from gpucost.ledger.schema import rolled_charges, rolled_hours, rolled_keys, rolled_nodes

ROLLED = "(rolled up)"
"""Stands for the pods and nodes of hours of which only sums are left."""

HORIZON = "ledger/rolled-until"
"""Mark: everything before this instant is rolled up."""
SQUEEZED = "ledger/squeezed-until"
"""Mark: before this instant, sums are of whole days."""
WHOLE = "ledger/rolled-sums"
"""Mark: sums over everything that is rolled up."""


@dataclass
class Whole:
    """Sums over all hours that are rolled up."""

    difference: Pico = 0
    unheld: dict[tuple[str, CapacityType], Sum] = field(default_factory=dict)

    def text(self) -> str:
        """For the mark."""
        unheld = [[who, kind.value, total] for (who, kind), total in sorted(self.unheld.items())]
        return json.dumps({"difference": self.difference, "unheld": unheld})

    @classmethod
    def read(cls, db: Db) -> Whole:
        """From the mark; nothing when nothing is rolled up."""
        found = read_mark(db, WHOLE)
        if found is None:
            return cls()
        told = json.loads(found)
        return cls(told["difference"], {(who, CapacityType(kind)): total for who, kind, total in told["unheld"]})


def horizon(db: Db) -> Instant | None:
    """Before which instant only roll-ups are left; None when nothing is rolled up."""
    found = read_mark(db, HORIZON)
    return int(found) if found else None


def squeezed_until(db: Db) -> Instant:
    """Before which instant sums are of whole days."""
    return int(read_mark(db, SQUEEZED) or 0)


def totals(
    db: Db,
    by: Sequence[ColumnElement[Any]],
    *where: ColumnElement[bool],
    shown: Sequence[ColumnElement[Any]] | None = None,
) -> list[Total]:
    """As `charges.totals`; columns of `rolled_charges` and `rolled_keys` may be used."""
    keys = by if shown is None else shown
    amounts = exact_sums(db, *(rolled_charges.c[name] for name in FIELDS))
    joined = rolled_charges.outerjoin(
        rolled_keys, and_(rolled_keys.c.cluster == rolled_charges.c.cluster, rolled_keys.c.id == rolled_charges.c.key)
    )
    query = select(*keys, *amounts).select_from(joined)
    query = query.where(rolled_charges.c.cluster == db.cluster, *where).group_by(*by)
    width = len(keys)
    return [Total(tuple(row[:width]), whole(db, row[width:])) for row in db.connection.execute(query)]


def in_hours(span: Interval) -> ColumnElement[bool]:
    """The hours that begin in a span."""
    return and_(rolled_charges.c.hour >= span.start, rolled_charges.c.hour < span.end)


held: ColumnElement[bool] = rolled_charges.c.holder == HELD


def node_cost(db: Db, span: Interval) -> Pico:
    """What the nodes cost in the hours that begin in a span, by their own integration."""
    query = select(rolled_hours.c.cost).where(
        rolled_hours.c.cluster == db.cluster, rolled_hours.c.hour >= span.start, rolled_hours.c.hour < span.end
    )
    return sum(int(cost) for cost in db.connection.execute(query).scalars())


def by_workload(db: Db, keys: Sequence[tuple[str, str, str]]) -> list[Total]:
    """Sums of workloads, by namespace, kind, name and capacity type."""
    columns = (rolled_keys.c.namespace, rolled_keys.c.workload_kind, rolled_keys.c.workload_name)
    return totals(db, (*columns, rolled_charges.c.capacity_type), tuple_(*columns).in_(keys), held)


def by_namespace(db: Db, since: Instant) -> list[Total]:
    """Sums of namespaces from an hour on."""
    return totals(db, (rolled_keys.c.namespace,), rolled_charges.c.hour >= since, held)


def by_node(db: Db, uids: Iterable[str]) -> list[Total]:
    """Sums of living nodes, by UID and holder."""
    found = []
    for part in chunks(uids):
        query = select(rolled_nodes).where(rolled_nodes.c.cluster == db.cluster, rolled_nodes.c.node_uid.in_(part))
        found += [Total((r.node_uid, r.holder), json.loads(r.amounts)) for r in db.connection.execute(query)]
    return found


def workloads_of(db: Db, namespace: str) -> set[Workload]:
    """Workloads of a namespace of which something is rolled up."""
    query = select(rolled_keys.c.workload_kind, rolled_keys.c.workload_name).distinct()
    query = query.where(rolled_keys.c.cluster == db.cluster, rolled_keys.c.namespace == namespace)
    return {Workload(*row) for row in db.connection.execute(query)}
