"""Sums over settled hours that were read lately, so that a dashboard that asks again does not scan them again.

A window moves, its whole settled hours do not: they change when a late fact has them booked again or gives a pod of
theirs another name, and then everything here is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from gpucost.core.books import Books, Fact
from gpucost.core.clock import Instant
from gpucost.core.model import PodFact
from gpucost.ledger.charges import Total

_ANSWERS = 64
_MOST_ROWS = 2000  # of one answer; about 1 MB


@dataclass
class Kept:
    """Answers by question, the least asked for leaving first."""

    _answers: OrderedDict[Hashable, list[Total]] = field(default_factory=OrderedDict)

    def get(self, question: Hashable, read: Callable[[], list[Total]]) -> list[Total]:
        """The answer as it was read, or read now."""
        known = self._answers.get(question)
        if known is not None:
            self._answers.move_to_end(question)
            return known
        found = read()
        if len(found) <= _MOST_ROWS:
            self._answers[question] = found
            if len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)
        return found

    def forget(self) -> None:
        """Read everything again."""
        self._answers.clear()


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
