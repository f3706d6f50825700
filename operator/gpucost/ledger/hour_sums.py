"""What each settled hour comes to by namespace and kind of asset: a handful of numbers, stored with the hour.

Dashboards ask for days and months by namespace. Adding up a day of charges of a large cluster takes a second and more,
so it is done while an hour is settled, when its bookings are at hand. Whatever changes a settled hour deletes its sums
in the same transaction; who misses them adds up the charges, and `Ledger.settle` stores them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from sqlalchemy import delete, func, select

from gpucost.core.booking import NOBODY, Booking
from gpucost.core.books import Books
from gpucost.core.clock import HOUR, Instant
from gpucost.core.in_force import NONE, InForce, in_force
from gpucost.core.model import NodeKind, PodFact
from gpucost.core.money import Pico
from gpucost.core.timeline import Interval
from gpucost.ledger import bulk, prices_in_force
from gpucost.ledger import charges as store
from gpucost.ledger.charges import Sum
from gpucost.ledger.db import Db
from gpucost.ledger.schema import charges, hour_sums, node_hours, pods

K = TypeVar("K")

Name = tuple[str, NodeKind]
"""Namespace, and what was paid for."""


@dataclass
class HourSums:
    """One settled hour: what pods owe, what nobody held, and what the nodes cost by their own integration."""

    held: dict[Name, Sum] = field(default_factory=dict)
    unheld: dict[str, Sum] = field(default_factory=dict)
    cost: Pico = 0
    prices: InForce = NONE

    @classmethod
    def of(cls, hour: Instant, bookings: Iterable[Booking], books: Books) -> HourSums:
        """Sums of the bookings of one hour."""
        held: dict[Name, list[tuple[int, ...]]] = {}
        unheld: dict[str, list[tuple[int, ...]]] = {}
        cost = 0
        for booking in bookings:
            cost += booking.cost
            for charge in booking.charges:
                if charge.pod_uid in NOBODY:
                    unheld.setdefault(charge.pod_uid, []).append(charge.values)
                else:
                    pod = books.pods[charge.pod_uid]
                    held.setdefault((pod.namespace, _asset(pod)), []).append(charge.values)
        return cls(_columns(held), _columns(unheld), cost, in_force(books, Interval(hour, hour + HOUR)))

    def as_text(self) -> str:
        """For the database; `read_text` reads it."""
        held = [[namespace, asset.value, total] for (namespace, asset), total in self.held.items()]
        sources, unpriced = sorted(self.prices.sources), sorted(self.prices.unpriced)
        document = {"held": held, "unheld": self.unheld, "cost": self.cost, "sources": sources, "unpriced": unpriced}
        return json.dumps(document, separators=(",", ":"))


def _columns(values: dict[K, list[tuple[int, ...]]]) -> dict[K, Sum]:
    return {key: list(map(sum, zip(*rows, strict=True))) for key, rows in values.items()}


def read_text(text: str) -> HourSums:
    """What `HourSums.as_text` wrote."""
    found = json.loads(text)
    held = {(namespace, NodeKind(asset)): total for namespace, asset, total in found["held"]}
    return HourSums(held, found["unheld"], found["cost"], _shared(tuple(found["sources"]), tuple(found["unpriced"])))


@lru_cache(maxsize=64)
def _shared(sources: tuple[str, ...], unpriced: tuple[str, ...]) -> InForce:
    """Hours mostly say the same, and months of them are kept."""
    return InForce(frozenset(sources), frozenset(unpriced))


def _asset(pod: PodFact) -> NodeKind:
    """As `charges.asset`."""
    if pod.uid == pod.node_uid:
        return NodeKind.LOAD_BALANCER
    return NodeKind.VOLUME if pod.requests.storage > 0 else NodeKind.NODE


# --- the database -----------------------------------------------------------------------------------------------------


def write(db: Db, hour: Instant, sums: HourSums) -> None:
    """Store an hour that has none stored."""
    bulk.insert(db.connection, hour_sums, [{"cluster": db.cluster, "hour": hour, "sums": sums.as_text()}])


def remove(db: Db, spans: Iterable[Interval]) -> None:
    """Forget the sums of hours that change."""
    for span in set(spans):
        db.connection.execute(
            delete(hour_sums).where(
                hour_sums.c.cluster == db.cluster, hour_sums.c.hour >= span.start, hour_sums.c.hour < span.end
            )
        )


def read(db: Db, span: Interval) -> dict[Instant, HourSums]:
    """Every hour of a span: as stored, or else added up from its charges."""
    query = select(hour_sums.c.hour, hour_sums.c.sums).where(
        hour_sums.c.cluster == db.cluster, hour_sums.c.hour >= span.start, hour_sums.c.hour < span.end
    )
    found = {row.hour: read_text(row.sums) for row in db.connection.execute(query)}
    missing = [hour for hour in range(span.start, span.end, HOUR) if hour not in found]
    for part in _runs(missing):
        found |= _added_up(db, part)
    return found


def _runs(missing: Iterable[Instant]) -> list[Interval]:
    """Hours that follow each other are added up in one query."""
    runs: list[Interval] = []
    for hour in missing:
        if runs and runs[-1].end == hour:
            runs[-1] = Interval(runs[-1].start, hour + HOUR)
        else:
            runs.append(Interval(hour, hour + HOUR))
    return runs


def _added_up(db: Db, span: Interval) -> dict[Instant, HourSums]:
    sums = {hour: HourSums() for hour in range(span.start, span.end, HOUR)}
    where = store.in_hours(span)
    by = (charges.c.hour, pods.c.namespace, store.asset)
    for (hour, namespace, asset), total in store.totals(db, by, where, ~store.nobody):
        sums[hour].held[namespace, NodeKind(asset)] = total
    for (hour, who), total in store.sums(db, (charges.c.hour, charges.c.pod_uid), where, store.nobody):
        sums[hour].unheld[who] = total
    for hour, cost in store.node_costs(db, span):
        sums[hour].cost = cost
    for hour, found in sums.items():
        found.prices = prices_in_force.read(db, Interval(hour, hour + HOUR))
    return sums


def fill(db: Db, span: Interval) -> bool:
    """Store the sums of the newest hour of a span that has none; whether there was one."""
    first = db.connection.execute(
        select(func.min(node_hours.c.hour)).where(node_hours.c.cluster == db.cluster)
    ).scalar()
    query = select(hour_sums.c.hour).where(hour_sums.c.cluster == db.cluster)
    known = set(db.connection.execute(query).scalars())
    hours = range(max(span.start, span.end if first is None else int(first)), span.end, HOUR)
    hour = next((hour for hour in reversed(hours) if hour not in known), None)
    if hour is None:
        return False
    write(db, hour, _added_up(db, Interval(hour, hour + HOUR))[hour])
    return True
