"""The times in which nobody asks an endpoint for anything, gathered look by look.

A quiet time counts once it is over and only if it was watched from its beginning to its end: after a restart, or while
the metrics are silent, nobody knows whether a request came, and half a quiet time would speak for shorter ones than
there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from gpucost.core.clock import DAY, MINUTE, Instant, Micros
from gpucost.core.timeline import Interval

HORIZON: Micros = 14 * DAY
"""How far back what is known of an endpoint counts, at least; twice as far at most."""
MOST_KEPT = 500
"""Quiet times that are kept, at least; twice as many at most."""
SHORTEST: Micros = MINUTE
"""Shorter ones end before anything could be done about them."""
LONGEST_LOOK: Micros = 10 * MINUTE
"""Between two looks that are further apart somebody may have asked."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """What is known of the times in which nobody asked."""

    watched: Micros
    """Time for which it is known whether somebody asked."""
    gaps: Sequence[Interval]
    """Quiet times that are over."""
    requests: float | None
    """Requests in the time watched; None: not counted."""


@dataclass(frozen=True, slots=True)
class QuietTimes:
    """As they are gathered."""

    watched: Micros = 0
    counted: Micros = 0
    """The part of it in which requests were counted."""
    requests: float = 0
    gaps: tuple[Interval, ...] = ()
    since: Instant | None = None
    """For at least how long nobody has asked; None: somebody does, or nobody knows."""
    is_whole: bool = False
    """Whether the present one was seen to begin."""
    is_busy: bool = False
    """Whether somebody asked at the last look."""
    looked: Instant | None = None

    @property
    def quiet(self) -> Quiet:
        """For whoever decides by them; what was counted most of the time speaks for the rest."""
        known = self.counted * 2 > self.watched
        return Quiet(self.watched, self.gaps, self.requests * self.watched / self.counted if known else None)


def with_look(times: QuietTimes, at: Instant, is_idle: bool | None, requests: float | None) -> QuietTimes:
    """After another look. `is_idle` is whether nothing runs and nothing waits, `requests` came since the last look.

    None is unknown; it ends a quiet time without anybody knowing how long it was.
    """
    last = times.looked
    if last is None or not 0 < at - last <= LONGEST_LOOK or is_idle is None:
        return replace(times, since=at if is_idle else None, is_whole=False, is_busy=is_idle is False, looked=at)
    step = at - last
    found = replace(
        times,
        watched=times.watched + step,
        counted=times.counted + (step if requests is not None else 0),
        requests=times.requests + (requests or 0),
        is_busy=not is_idle,
        looked=at,
    )
    if is_idle and not requests:
        if times.is_busy or times.since is None:  # it begins: as a whole, or after nobody knew
            return replace(found, since=at, is_whole=times.is_busy)
        return found
    gaps = found.gaps
    if times.since is not None and times.is_whole and last - times.since >= SHORTEST:
        gaps = (*gaps, Interval(times.since, last))
    return _thinned(replace(found, gaps=gaps, since=at if is_idle else None, is_whole=is_idle), at)


def _thinned(times: QuietTimes, now: Instant) -> QuietTimes:
    """Without what is old, in step with the time that it was seen in."""
    if times.watched <= 2 * HORIZON and len(times.gaps) <= 2 * MOST_KEPT:
        return times
    newest = times.gaps[-MOST_KEPT:] if len(times.gaps) > MOST_KEPT else times.gaps
    cut = max(now - HORIZON, newest[0].start if len(newest) < len(times.gaps) else 0)
    part = min(Fraction(1), Fraction(max(now - cut, 1), times.watched))
    return replace(
        times,
        watched=int(times.watched * part),
        counted=int(times.counted * part),
        requests=times.requests * float(part),
        gaps=tuple(gap for gap in newest if gap.start >= cut),
    )
