"""When the GPUs of runs did nothing, for as long as an idle policy looks back.

Kept in memory only: after a restart the window has to be measured anew, which delays a stop and never hastens one.
Pods whose run has no idle policy are not kept, and a stretch of one kind is one record however many samples it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gpucost.core.clock import DAY, Micros
from gpucost.core.sampling import Window
from gpucost.core.training.stopping.idle import Span

_KEPT: Micros = DAY
_MOST_SPANS = 512


@dataclass
class QuietHistory:
    """Measured stretches by UID of the pod."""

    pods: Callable[[], Iterable[str]]
    """UIDs of the pods that are kept."""
    _known: dict[str, list[Span]] = field(default_factory=dict)

    def take(self, found: Mapping[str, bool | None], span: Window) -> None:
        """What one pass has found; nothing is kept of what it could not tell."""
        wanted = set(self.pods())
        for uid in self._known.keys() - wanted:
            del self._known[uid]
        for uid in wanted:
            value = found.get(uid)
            if value is not None and not span.goes_back:
                self._add(uid, Span(span.since, span.until, value))

    def _add(self, uid: str, span: Span) -> None:
        spans = self._known.setdefault(uid, [])
        if spans and spans[-1].quiet == span.quiet and spans[-1].until == span.since:
            spans[-1] = replace(spans[-1], until=span.until)
        else:
            spans.append(span)
        horizon = span.until - _KEPT
        while spans and (spans[0].until <= horizon or len(spans) > _MOST_SPANS):
            del spans[0]

    def of(self, uid: str) -> Sequence[Span]:
        """What is known of one pod, oldest first."""
        return tuple(self._known.get(uid, ()))
