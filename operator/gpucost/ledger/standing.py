"""Who holds what right now, worked out once for as long as nothing changes.

Every report shows present rates next to its costs. They change when a pod comes or goes or a price does, not with the
clock and not with what GPUs do, so most reports of a minute share them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from gpucost.core.books import Books
from gpucost.core.clock import Instant
from gpucost.core.timeline import Interval
from gpucost.ledger.totals import Live, Rates

_MOST = 16  # groupings
_NEVER = Interval(0, 0)


@dataclass
class Standing:
    """Rates of the books that were asked for last, and what they add up to by question."""

    _of: Books | None = None
    _changes: int = -1
    _span: Interval = _NEVER
    _rates: Rates = field(default_factory=Rates)
    _live: dict[Hashable, dict[str, Live]] = field(default_factory=dict)

    def rates(self, books: Books, now: Instant) -> Rates:
        """Rates of everything that lives at an instant."""
        same = self._of is books and self._changes == books.changes
        if not (same and self._span.start <= now < self._span.end):
            self._rates, self._live = Rates.of(books, now), {}
            self._of, self._changes, self._span = books, books.changes, books.steady(now)
        return self._rates

    def live(self, question: Hashable, add_up: Callable[[Rates], dict[str, Live]]) -> dict[str, Live]:
        """The answer to a question about the rates that were asked for last."""
        found = self._live.get(question)
        if found is None:
            if len(self._live) >= _MOST:
                self._live.clear()
            found = self._live[question] = add_up(self._rates)
        return found
