"""Sums over settled hours that every pass asks for, kept in memory so that a pass does not read history.

A sum is read from the database when it is first asked for and then kept up to date by what is settled. Whatever changes
settled hours in another way simply drops the sums it may concern; the next pass reads them again.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, tuple_

from gpucost.core import booking
from gpucost.core.booking import IDLE, NOBODY, Booking, Charge
from gpucost.core.books import Books
from gpucost.core.clock import Instant
from gpucost.core.model import CapacityType, PodFact
from gpucost.core.money import Pico
from gpucost.ledger import charges as store
from gpucost.ledger import rolled
from gpucost.ledger.charges import Sum, zero
from gpucost.ledger.db import Db
from gpucost.ledger.facts import chunks
from gpucost.ledger.schema import charges, pods

WorkloadKey = tuple[str, str, str]
"""Namespace, kind and name: plain strings, because thousands are looked up at every pass."""
NOTHING: Sum = zero()


Values = tuple[int, ...]


def key_of(pod: PodFact) -> WorkloadKey:
    """Whose sum a pod belongs to."""
    return (pod.namespace, pod.workload.kind, pod.workload.name)


def plus(total: Iterable[int], values: Iterable[int]) -> Sum:
    """Sum of two, field by field."""
    return list(map(operator.add, total, values))


def added(parts: Sequence[Iterable[int]]) -> Sum:
    """Sum of any number, field by field; most often there are one or two."""
    if len(parts) == 1:
        return list(parts[0])
    if len(parts) == 2:
        return plus(parts[0], parts[1])
    return list(map(sum, zip(*parts, strict=True))) if parts else zero()


@dataclass
class NodeSum:
    """What pods on a node cost, what idled and what was stranded."""

    used: Sum = field(default_factory=zero)
    idle: Sum = field(default_factory=zero)
    stranded: Sum = field(default_factory=zero)

    def take(self, holder: str, values: Iterable[int]) -> None:
        """Add a charge of a pod, of `IDLE` or of `STRANDED`."""
        match holder:
            case booking.IDLE:
                self.idle = plus(self.idle, values)
            case booking.STRANDED:
                self.stranded = plus(self.stranded, values)
            case _:
                self.used = plus(self.used, values)


class _Parts(NamedTuple):
    """Values of one node, before they are added up."""

    used: list[Values]
    idle: list[Values]
    stranded: list[Values]


Unheld = tuple[str, CapacityType]
"""`IDLE` or `STRANDED`, and how the node is paid for."""


@dataclass
class Sums:
    """Sums of charges by whom they concern."""

    workloads: dict[WorkloadKey, dict[CapacityType, Sum]] = field(default_factory=dict)
    namespaces: dict[str, Sum] = field(default_factory=dict)
    nodes: dict[str, NodeSum] = field(default_factory=dict)
    unheld: dict[Unheld, Sum] = field(default_factory=dict)
    difference: Pico = 0

    @classmethod
    def of(cls, bookings: Iterable[Booking], books: Books, month: Instant) -> Sums:
        """Sums of many bookings; `namespaces` counts from `month` on.

        Values are collected first and added up column by column: this runs over every pod at every pass.
        """
        sums, unheld = cls(), defaultdict[Unheld, list[Values]](list)
        workloads = defaultdict[WorkloadKey, dict[CapacityType, list[Values]]](dict)
        namespaces = defaultdict[str, list[Values]](list)
        nodes = defaultdict[str, _Parts](lambda: _Parts([], [], []))
        for booked in bookings:
            sums.difference += booked.difference
            parts = nodes[booked.node_uid]
            for _, _, uid, kind, values in booked.charges:
                if uid in NOBODY:
                    (parts.idle if uid == IDLE else parts.stranded).append(values)
                    unheld[uid, kind].append(values)
                    continue
                parts.used.append(values)
                pod = books.pods[uid]
                workloads[key_of(pod)].setdefault(kind, []).append(values)
                if booked.hour >= month:
                    namespaces[pod.namespace].append(values)
        sums.unheld = {key: added(values) for key, values in unheld.items()}
        sums.namespaces = {name: added(parts) for name, parts in namespaces.items()}
        sums.nodes = {uid: NodeSum(*map(added, parts)) for uid, parts in nodes.items()}
        sums.workloads = {
            key: {kind: added(parts) for kind, parts in kinds.items()} for key, kinds in workloads.items()
        }
        return sums


@dataclass
class Settled:
    """The sums that have been asked for. `month` is the start of the month that `namespaces` is of."""

    month: Instant | None = None
    sums: Sums = field(default_factory=Sums)
    _whole_known: bool = False

    def take(self, bookings: Iterable[Booking], books: Books) -> None:
        """Keep up with hours that were settled just now; sums not asked for yet are left to be read."""
        for booked in bookings:
            for charge in booked.charges:
                self._take_node(booked.node_uid, charge)
                if charge.pod_uid not in NOBODY:
                    self._take_pod(charge, books.pods[charge.pod_uid])
            if self._whole_known:
                self.sums.difference += booked.difference

    def _take_node(self, uid: str, charge: Charge) -> None:
        if (node := self.sums.nodes.get(uid)) is not None:
            node.take(charge.pod_uid, charge.values)
        if charge.pod_uid in NOBODY and self._whole_known:
            key = (charge.pod_uid, charge.capacity_type)
            self.sums.unheld[key] = plus(self.sums.unheld.get(key, NOTHING), charge.values)

    def _take_pod(self, charge: Charge, pod: PodFact) -> None:
        kinds = self.sums.workloads.get(key_of(pod))
        if kinds is not None:
            kinds[charge.capacity_type] = plus(kinds.get(charge.capacity_type, NOTHING), charge.values)
        if self.month is not None and charge.hour >= self.month:
            known = self.sums.namespaces.get(pod.namespace, NOTHING)
            self.sums.namespaces[pod.namespace] = plus(known, charge.values)

    # --- dropping -----------------------------------------------------------------------------------------------------

    def drop(self, workloads: Iterable[WorkloadKey], nodes: Iterable[str]) -> None:
        """Forget sums that a late fact may have changed."""
        for key in workloads:
            self.sums.workloads.pop(key, None)
        for uid in nodes:
            self.sums.nodes.pop(uid, None)
        self.month = None
        self.sums.namespaces = {}
        self._whole_known = False

    def drop_workloads(self, workloads: Iterable[WorkloadKey]) -> None:
        """Forget the sums of workloads to which pods came or from which they went."""
        for key in workloads:
            self.sums.workloads.pop(key, None)

    def keep_only(self, workloads: set[WorkloadKey], nodes: set[str]) -> None:
        """Forget what no pass asks for any more."""
        self.sums.workloads = {key: sums for key, sums in self.sums.workloads.items() if key in workloads}
        self.sums.nodes = {uid: sums for uid, sums in self.sums.nodes.items() if uid in nodes}

    # --- reading ------------------------------------------------------------------------------------------------------

    def missing(self, workloads: Iterable[WorkloadKey], nodes: Iterable[str], month: Instant) -> bool:
        """Whether something that is asked for has to be read first."""
        return (
            month != self.month
            or not self._whole_known
            or not self.sums.workloads.keys() >= set(workloads)
            or not self.sums.nodes.keys() >= set(nodes)
        )

    def read(self, db: Db, workloads: Iterable[WorkloadKey], nodes: Iterable[str], month: Instant) -> None:
        """Read what is missing."""
        self._read_workloads(db, [key for key in workloads if key not in self.sums.workloads])
        self._read_nodes(db, [uid for uid in nodes if uid not in self.sums.nodes])
        if month != self.month:
            self._read_month(db, month)
        if not self._whole_known:
            self._read_whole(db)

    def _read_whole(self, db: Db) -> None:
        found = store.totals(db, (store.holder, charges.c.capacity_type))
        before = rolled.Whole.read(db)
        self.sums.difference = before.difference + store.node_cost(db) - sum(total.sum[0] for total in found)
        unheld = dict(before.unheld)
        for (who, paid), total in found:
            if who in NOBODY:
                unheld[who, CapacityType(paid)] = plus(unheld.get((who, CapacityType(paid)), NOTHING), total)
        self.sums.unheld = unheld
        self._whole_known = True

    def _read_workloads(self, db: Db, keys: list[WorkloadKey]) -> None:
        columns = (pods.c.namespace, pods.c.workload_kind, pods.c.workload_name)
        for part in chunks(keys):
            wanted = tuple_(*columns).in_(part)
            found: dict[WorkloadKey, dict[CapacityType, Sum]] = {key: {} for key in part}
            details = self._totals(db, (*columns, charges.c.capacity_type), wanted)
            for (*names, paid), total in (*rolled.by_workload(db, part), *details):
                kinds, kind = found[names[0], names[1], names[2]], CapacityType(paid)
                kinds[kind] = plus(kinds.get(kind, NOTHING), total)
            self.sums.workloads |= found  # not before all is read: a query that fails must leave no gap behind

    def _read_nodes(self, db: Db, uids: list[str]) -> None:
        for part in chunks(uids):
            found = {uid: NodeSum() for uid in part}
            where = charges.c.node_uid.in_(part)
            details = self._totals(db, (charges.c.node_uid, store.holder), where)
            for (uid, who), total in (*rolled.by_node(db, part), *details):
                found[uid].take(who, total)
            self.sums.nodes |= found

    def _read_month(self, db: Db, month: Instant) -> None:
        where = (charges.c.hour >= month, ~store.nobody)
        namespaces: dict[str, Sum] = {}
        for (name,), total in (*rolled.by_namespace(db, month), *self._totals(db, (pods.c.namespace,), *where)):
            namespaces[name] = plus(namespaces.get(name, NOTHING), total)
        self.sums.namespaces = namespaces
        self.month = month

    def _totals(self, db: Db, by: tuple[ColumnElement[Any], ...], *where: ColumnElement[bool]) -> list[store.Total]:
        return store.totals(db, by, *where)
