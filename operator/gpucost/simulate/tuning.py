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
"""Late fractions on the training days, for frontiers with few corners."""
ROOM = (1.01, 1.03, 1.06, 1.1, 1.15, 1.22, 1.3, 1.4, 1.55, 1.75)
"""Times the GPU-hours of the last of these, for what is safer still."""
LEAST_ROWS = 8


def for_target(span: Span, target: float) -> int:
    """The cheapest that keeps the target; where none does, the one with the fewest late."""
    kept = np.flatnonzero(span.late <= target)
    if not len(kept):
        return int(np.lexsort((span.hours, span.exposed, span.late))[0])
    return int(kept[np.lexsort((span.exposed[kept], span.hours[kept]))[0]])


def frontier(span: Span, targets: Sequence[float] = TARGETS) -> list[int]:
    """At least 8 settings, if there are as many, from cheap to safe."""
    found = dict.fromkeys(_hull(span))
    safest = max(span.hours[list(found)])
    found |= dict.fromkeys(_within(span, safest * room) for room in ROOM)
    for index in (*(for_target(span, target) for target in targets), *_filling(span)):
        if len(found) >= LEAST_ROWS:
            break
        found[index] = None
    return sorted(found, key=lambda index: (float(span.hours[index]), index))


def _hull(span: Span) -> list[int]:
    """The settings that are best for some price of a late request: the corners of the lower convex hull.

    What merely happens to keep a target in these days is none of them, so they hold better in others.
    """
    safe_first = np.lexsort((span.exposed, span.hours, span.late))
    found: list[int] = []
    for index in (int(one) for one in safe_first):
        if found and span.hours[index] >= span.hours[found[-1]]:
            continue
        while len(found) > 1 and _above(span, found[-2], found[-1], index):
            found.pop()
        found.append(index)
    return found


def _above(span: Span, left: int, middle: int, right: int) -> bool:
    """Whether the middle one lies on or above the line between the others."""
    lates = [float(span.late[index]) for index in (left, middle, right)]
    hours = [float(span.hours[index]) for index in (left, middle, right)]
    return (hours[1] - hours[0]) * (lates[2] - lates[0]) >= (hours[2] - hours[0]) * (lates[1] - lates[0])


def _within(span: Span, hours: float) -> int:
    """The safest for no more than so many GPU-hours."""
    paid = np.flatnonzero(span.hours <= hours)
    return int(paid[np.lexsort((span.hours[paid], span.exposed[paid], span.late[paid]))[0]])


def _filling(span: Span) -> list[int]:
    """More settings, well spread over what they cost."""
    order = np.argsort(span.hours, kind="stable")
    places = np.linspace(0, len(order) - 1, min(len(order), 4 * LEAST_ROWS)).astype(np.int64)
    spread = dict.fromkeys(int(index) for index in order[places])
    return [*spread, *(int(index) for index in order)]
