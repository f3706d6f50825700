"""Why a metric that the specification asks for is unknown: shown as the condition `MetricsKnown`, told as an Event.

Unknown is not an error: a run that has just begun has measured nothing. So a doubt shows when it has lasted, or at once
when only the user can end it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpucost.core.actions import Condition, EventNote
from gpucost.core.clock import MINUTE, Instant, Micros

KNOWN = "MetricsKnown"
LASTS: Micros = 2 * MINUTE
NO_DATA, SEVERAL, NOT_FINITE, UNREACHABLE = "NoData", "SeveralSeries", "NotANumber", "SourceUnreachable"
INVALID_QUERY, NO_SOURCE, LOG_REFUSED, NO_MATCH = "InvalidQuery", "NoPrometheus", "LogRefused", "NoMatch"
BAD_ENDING, FORBIDDEN = "InvalidTerminationMessage", "Forbidden"
_FOR_THE_USER = frozenset({INVALID_QUERY, NO_SOURCE, LOG_REFUSED, FORBIDDEN, SEVERAL, BAD_ENDING})
_MOST_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Doubt:
    """One metric, or a whole source, of which nothing is known."""

    field: str
    """Path in the specification, such as `spec.metrics.prometheus[loss].query`."""
    reason: str
    message: str
    since: Instant = 0

    def shows(self, now: Instant) -> bool:
        """Whether it is told by now."""
        return self.reason in _FOR_THE_USER or now - self.since >= LASTS

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def condition(doubts: Iterable[Doubt] | None, now: Instant) -> Condition:
    """What the sources of a specification amount to; None: none of them was asked, because nothing runs."""
    if doubts is None:
        return Condition(KNOWN, None, "NotAsked", "nothing runs whose metrics could be asked for")
    shown = _shown(doubts, now)
    if not shown:
        return Condition(KNOWN, True, "Known")
    return Condition(KNOWN, False, shown[0].reason, "; ".join(map(str, shown))[:_MOST_TEXT])


def news(doubts: Iterable[Doubt], now: Instant, generation: int) -> Iterator[EventNote]:
    """An Event for each doubt that only the user can end, once for each generation of the object."""
    for doubt in _shown(doubts, now):
        if doubt.reason in _FOR_THE_USER:
            key = f"{generation}/{doubt.field}/{doubt.reason}"
            yield EventNote("MetricUnknown", str(doubt), key, warning=True)


def _shown(doubts: Iterable[Doubt], now: Instant) -> Sequence[Doubt]:
    return sorted(
        (one for one in doubts if one.shows(now)), key=lambda one: (one.reason not in _FOR_THE_USER, one.field)
    )
