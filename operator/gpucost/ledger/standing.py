"""Who holds what right now, worked out once for as long as nothing changes.

Every report shows present rates next to its costs, and how many of the GPUs that are held are measured. Who holds what
changes when a pod comes or goes or a price does, not with the clock and not with what GPUs do, so most reports of a
minute share it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from gpucost.core.allocate import FOREVER
from gpucost.core.books import Books
from gpucost.core.clock import Instant
from gpucost.core.model import Gpus
from gpucost.core.timeline import Interval
from gpucost.ledger.totals import Live, Rates

_MOST = 16  # groupings
_NEVER = Interval(0, 0)


class Holding(NamedTuple):
    """GPUs of a pod, from its start to its end if it is known."""

    start: Instant
    end: Instant
    gpus: Gpus
    pod_uid: str


@dataclass
class Standing:
    """Rates of the books that were asked for last, and what they add up to by question."""

    _of: Books | None = None
    _changes: int = -1
    _span: Interval = _NEVER
    _rates: Rates = field(default_factory=Rates)
    _live: dict[Hashable, dict[str, Live]] = field(default_factory=dict)
    _holdings: dict[str | None, list[Holding]] = field(default_factory=dict)

    def rates(self, books: Books, now: Instant) -> Rates:
        """Rates of everything that lives at an instant."""
        self._look_at(books)
        if not self._span.start <= now < self._span.end:
            self._rates, self._live = Rates.of(books, now), {}
            self._span = books.steady(now)
        return self._rates

    def live(self, question: Hashable, add_up: Callable[[Rates], dict[str, Live]]) -> dict[str, Live]:
        """The answer to a question about the rates that were asked for last."""
        found = self._live.get(question)
        if found is None:
            if len(self._live) >= _MOST:
                self._live.clear()
            found = self._live[question] = add_up(self._rates)
        return found

    def holdings(self, books: Books, namespace: str | None) -> list[Holding]:
        """All pods with GPUs, of one namespace if it is given, whenever they hold them."""
        self._look_at(books)
        found = self._holdings.get(namespace)
        if found is None:
            if len(self._holdings) >= _MOST:
                self._holdings.clear()
            found = self._holdings[namespace] = [
                Holding(pod.start, FOREVER if pod.end is None else pod.end, pod.requests.gpus, pod.uid)
                for pod in books.pods.values()
                if pod.requests.gpus and (namespace is None or pod.namespace == namespace)
            ]
        return found

    def _look_at(self, books: Books) -> None:
        """Forget what other books said, or these before they changed."""
        if self._of is not books or self._changes != books.changes:
            self._of, self._changes, self._span = books, books.changes, _NEVER
            self._holdings.clear()
