"""What reports need again and again of settled hours, kept in memory between two questions.

A window moves, its whole settled hours do not. Three things are at hand: what hours come to (`hour_sums`), answers
about whole spans by finer groupings, and books of the hour in which a window begins, of which only a part counts.
Settled hours change only when a late fact has them booked again, when they are rolled up (`clear`), or when a pod of
theirs gets another name (`rename`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from gpucost.core.books import Books, Fact
from gpucost.core.clock import HOUR, MINUTE, Instant
from gpucost.core.model import PodFact
from gpucost.core.timeline import Interval
from gpucost.ledger import facts, hour_sums
from gpucost.ledger.charges import Total
from gpucost.ledger.db import Db
from gpucost.ledger.hour_sums import HourSums

_HOURS = 24 * 62
_ANSWERS = 64
_MOST_ROWS = 2000  # of one answer; about 1 MB
_EDGES = 4  # two windows that move, and their next hours
_LEAD = 5 * MINUTE

K = TypeVar("K")
V = TypeVar("V")


def _keep(drawer: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    """Put on top; what was asked for least recently leaves."""
    drawer[key] = value
    drawer.move_to_end(key)
    while len(drawer) > most:
        drawer.popitem(last=False)


@dataclass
class Shelf:
    """Everything kept of settled hours."""

    _hours: OrderedDict[Instant, HourSums] = field(default_factory=OrderedDict)
    _answers: OrderedDict[Hashable, list[Total]] = field(default_factory=OrderedDict)
    _edges: OrderedDict[Instant, Books] = field(default_factory=OrderedDict)
    _asked: set[Instant] = field(default_factory=set)
    """Edges that somebody has asked for since an hour was settled."""

    def clear(self) -> None:
        """Read everything again."""
        for drawer in (self._hours, self._answers, self._edges):
            drawer.clear()

    def rename(self, written: Iterable[Fact]) -> None:
        """Pods that were written are told apart differently from now on, without costing anything else."""
        self._hours.clear()
        self._answers.clear()
        for books in self._edges.values():
            books.put([fact for fact in written if isinstance(fact, PodFact) and fact.uid in books.pods])

    def hours(self, db: Db, span: Interval) -> list[HourSums]:
        """What the settled hours of a span come to, each."""
        wanted = range(span.start, span.end, HOUR)
        missing = [hour for hour in wanted if hour not in self._hours]
        read = hour_sums.read(db, Interval(missing[0], missing[-1] + HOUR)) if missing else {}
        found = [self._hours[hour] if hour in self._hours else read[hour] for hour in wanted]
        for hour, sums in zip(wanted, found, strict=True):
            _keep(self._hours, hour, sums, _HOURS)
        return found

    def answer(self, question: Hashable, read: Callable[[], list[Total]]) -> list[Total]:
        """The answer to a question as it was read, or read now."""
        found = self._answers.get(question)
        if found is None:
            found = read()
        if len(found) <= _MOST_ROWS:
            _keep(self._answers, question, found, _ANSWERS)
        return found

    def edge(self, db: Db, hour: Instant) -> Books:
        """Everything that booking (part of) an hour needs."""
        books = self._edges.get(hour)
        if books is None:
            books = facts.load(db, Interval(hour, hour + HOUR))
        _keep(self._edges, hour, books, _EDGES)
        self._asked.add(hour)
        return books

    def follow(self, db: Db, now: Instant, watermark: Instant) -> None:
        """Make the next edges ready before the hour turns: who asks for a window that moves shall not wait then."""
        if now % HOUR < HOUR - _LEAD:
            return
        for following in sorted(hour + HOUR for hour in self._asked):
            if following < watermark and following not in self._edges:
                books = facts.load(db, Interval(following, following + HOUR))
                for node in books.alive(Interval(following, following + HOUR)):
                    books.lane(node.uid, following)
                _keep(self._edges, following, books, _EDGES)

    def turn(self) -> None:
        """An hour was settled: who asked before may not ask again."""
        self._asked.clear()


def renames(batch: Iterable[Fact], books: Books, watermark: Instant | None) -> bool:
    """Whether facts give a pod that may have settled charges another name, owner, category or label."""
    return any(_renames(fact, books.pods.get(fact.uid), watermark) for fact in batch if isinstance(fact, PodFact))


def _renames(fact: PodFact, known: PodFact | None, watermark: Instant | None) -> bool:
    if known is None:
        return fact.start < (watermark or 0)
    return _identity(fact) != _identity(known)


def _identity(pod: PodFact) -> tuple[object, ...]:
    size = pod.requests.storage > 0
    return (pod.namespace, pod.name, pod.workload, pod.category, pod.node_uid, dict(pod.labels), size)
