"""Chooses settings of a policy by what they did on the training days: one for a target, and a frontier from cheap to
safe.

The same for every policy: all its settings play the training days at once; chosen is the cheapest that keeps the
target. Beyond the point where nothing is late any more a frontier goes on with what leaves the most room for a little
more money, because the days to come may be worse than those that were seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpucost.simulate.fleet import Span

TARGETS = (0.05, 0.03, 0.02, 0.014, 0.01, 0.007, 0.005, 0.0035, 0.0025, 0.0018, 0.0012, 0.0008, 0.0005, 0.0003, 0.0001)
"""Late fractions on the training days for which a frontier has a setting."""
ROOM = (1.04, 1.08, 1.13, 1.18, 1.25, 1.35, 1.5, 1.75)
"""Times the GPU-hours of the last of these, for what is safer still."""
LEAST_ROWS = 8


def for_target(span: Span, target: float) -> int:
    """The cheapest that keeps the target; where none does, the one with the fewest late."""
    kept = np.flatnonzero(span.late <= target)
    if not len(kept):
        return int(np.lexsort((span.hours, span.tight, span.late))[0])
    return int(kept[np.lexsort((span.tight[kept], span.hours[kept]))[0]])


def frontier(span: Span, targets: Sequence[float] = TARGETS) -> list[int]:
    """At least 8 settings, if there are as many, from cheap to safe."""
    found = dict.fromkeys(for_target(span, target) for target in targets)
    safest = max(span.hours[list(found)])
    found |= dict.fromkeys(_within(span, safest * room) for room in ROOM)
    for index in _filling(span):
        if len(found) >= LEAST_ROWS:
            break
        found[index] = None
    return sorted(found, key=lambda index: (float(span.hours[index]), index))


def _within(span: Span, hours: float) -> int:
    """The safest for no more than so many GPU-hours."""
    paid = np.flatnonzero(span.hours <= hours)
    return int(paid[np.lexsort((span.hours[paid], span.tight[paid], span.late[paid]))[0]])


def _filling(span: Span) -> list[int]:
    """More settings, well spread over what they cost."""
    order = np.argsort(span.hours, kind="stable")
    places = np.linspace(0, len(order) - 1, min(len(order), 4 * LEAST_ROWS)).astype(np.int64)
    spread = dict.fromkeys(int(index) for index in order[places])
    return [*spread, *(int(index) for index in order)]
