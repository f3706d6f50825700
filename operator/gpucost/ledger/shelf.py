"""What reports need again and again of settled hours, kept in memory.

Dashboards ask for the last day by namespace, over and over. What namespaces cost in a settled hour is a handful of
numbers that change only when the hour is booked again; and the hour in which such a window begins has to be booked
from facts, of which most do not change between two questions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gpucost.core.books import Books, Fact
from gpucost.core.clock import HOUR, Instant
from gpucost.core.model import PodFact
from gpucost.core.money import Pico
from gpucost.core.timeline import Interval
from gpucost.ledger import charges as store
from gpucost.ledger import facts
from gpucost.ledger.charges import Sum
from gpucost.ledger.db import Db
from gpucost.ledger.schema import charges, pods

_HOURS = 24 * 62
_EDGES = 2


@dataclass
class HourSums:
    """One settled hour: by namespace, of nobody by kind, and what the nodes cost by their own integration."""

    namespaces: list[tuple[str, Sum]] = field(default_factory=list)
    unheld: list[tuple[str, Sum]] = field(default_factory=list)
    nodes: Pico = 0


@dataclass
class Shelf:
    """Sums of hours and books of hours; `clear` it whenever a settled hour is booked anew."""

    _hours: OrderedDict[Instant, HourSums] = field(default_factory=OrderedDict)
    _edges: OrderedDict[Instant, Books] = field(default_factory=OrderedDict)

    def clear(self) -> None:
        """Forget everything."""
        self._hours.clear()
        self._edges.clear()

    def take(self, written: Iterable[Fact]) -> None:
        """Pods that were written may be told apart differently from now on, without costing anything else."""
        for books in self._edges.values():
            books.put([fact for fact in written if isinstance(fact, PodFact) and fact.uid in books.pods])

    def hours(self, db: Db, span: Interval) -> Iterator[HourSums]:
        """Sums of the settled hours of a span; what is missing is read."""
        wanted = range(span.start, span.end, HOUR)
        missing = [hour for hour in wanted if hour not in self._hours]
        if missing:
            self._read(db, Interval(missing[0], missing[-1] + HOUR))
        found = [self._hours[hour] for hour in wanted]
        while len(self._hours) > _HOURS:
            self._hours.popitem(last=False)
        return iter(found)

    def _read(self, db: Db, span: Interval) -> None:
        read = {hour: HourSums() for hour in range(span.start, span.end, HOUR)}
        where = store.in_hours(span)
        for (hour, name), total in store.totals(db, (charges.c.hour, pods.c.namespace), where, ~store.nobody):
            read[hour].namespaces.append((name, total))
        for (hour, who), total in store.sums(db, (charges.c.hour, charges.c.pod_uid), where, store.nobody):
            read[hour].unheld.append((who, total))
        for hour, cost in store.node_costs(db, span):
            read[hour].nodes = cost
        self._hours |= read

    def edge(self, db: Db, hour: Instant) -> Books:
        """Everything that booking (part of) an hour needs."""
        books = self._edges.get(hour)
        if books is None:
            books = self._edges[hour] = facts.load(db, Interval(hour, hour + HOUR))
        self._edges.move_to_end(hour)
        while len(self._edges) > _EDGES:
            self._edges.popitem(last=False)
        return books
