"""Where spot would have been used by whoever goes from zone to zone.

With several zones a run is not in one of them at random: it goes to the one that promises most and stays until spot is
lost there. What it meets is better than the zones' average, so that habits of "the zone in use" are counted on the
stays of such a run over what was seen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpucost.core.clock import Instant, Micros

UpSpans = tuple[list[Instant], list[Instant], list[bool]]
"""Of one zone, in order: begins and ends of spans with spot, and whether each was seen to end."""


@dataclass(frozen=True, slots=True)
class Stays:
    """Stays on spot in one zone after the other, in columns."""

    came: NDArray[np.int64]
    """Age of the span when the stay began."""
    left: NDArray[np.int64]
    """Age of the span when the stay ended."""
    end: NDArray[np.int64]
    ended: NDArray[np.bool_]
    """Spot was lost, as far as anybody saw."""
    saved: NDArray[np.bool_]
    """Another zone had spot at that moment."""


def followed(zones: Sequence[UpSpans], ages: Sequence[Micros], lives: Sequence[Sequence[float]]) -> Stays:
    """Where one would have been who always kept spot until it was lost, and then took the zone that promised most.

    `lives` tells the hours for which spot is expected to go on, by zone and class of age; `ages` from which age on a
    class counts.
    """
    rows: list[list[int]] = []
    place = [0] * len(zones)
    now: Instant | None = min((starts[0] for starts, _, _ in zones if starts), default=None)
    while now is not None:
        best, soonest = _most_promising(zones, place, now, ages, lives)
        if rows and rows[-1][2] == now:
            rows[-1][4] = best is not None
        if best is None:
            now = soonest
            continue
        start, end, ended = (column[place[best]] for column in zones[best])
        rows.append([now - start, end - start, end, ended, False])
        now = end
    came, left, end_, ended_, saved = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return Stays(came, left, end_, ended_.astype(bool), saved.astype(bool))


def _most_promising(
    zones: Sequence[UpSpans], place: list[int], now: Instant, ages: Sequence[Micros], lives: Sequence[Sequence[float]]
) -> tuple[int | None, Instant | None]:
    """The zone to be in, and when the next gets spot; `place` goes on to each zone's first span that is not over."""
    best, most, soonest = None, -1.0, None
    for zone, (starts, ends, _) in enumerate(zones):
        while place[zone] < len(ends) and ends[place[zone]] <= now:
            place[zone] += 1
        if place[zone] == len(ends):
            continue
        start = starts[place[zone]]
        if start > now:
            soonest = start if soonest is None else min(soonest, start)
        elif (promise := lives[zone][bisect_right(ages, now - start) - 1]) > most:
            best, most = zone, promise
    return best, soonest
