"""How many replicas a HorizontalPodAutoscaler would have set for the load that an endpoint really had.

One at its defaults: 80 % of what a replica serves, tolerance 0.1, the largest wish of 300 s on the way down, at most
+100 % or +4 pods in 15 s on the way up. It is given what no real one has, replicas that serve at once and a metric that
sees all that arrives, so what it would have cost is rather too low than too high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from gpucost.core.clock import SECOND, Instant, Micros

TARGET = 0.8
TOLERANCE = 0.1
STEP: Micros = 15 * SECOND
DOWN: Micros = 300 * SECOND
_EXACT = 1e-9


@dataclass(frozen=True, slots=True)
class Shadow:
    """An autoscaler that nobody sees."""

    replicas: int
    at: Instant
    """When it decided last."""
    wishes: tuple[tuple[Instant, int], ...] = ()
    """Those of the last 300 s."""


def follow(shadow: Shadow, load: float, limits: tuple[int, int], now: Instant) -> Shadow:
    """Its next decision; `load` is what arrives, in replicas' worth. It decides every 15 s and not more often."""
    if now - shadow.at < STEP:
        return shadow
    current, (least, most) = max(1, shadow.replicas), limits
    busy = min(1.0, load / current) / TARGET
    wish = current if abs(busy - 1) <= TOLERANCE else ceil(current * busy - _EXACT)
    wish = max(least, min(most, max(1, wish)))
    wishes = (*((at, number) for at, number in shadow.wishes if now - at < DOWN), (now, wish))
    if wish < current:
        wish = min(current, max(number for _, number in wishes))
    steps = max(1, (now - shadow.at) // STEP)
    return Shadow(min(wish, _fastest(current, steps)), now, wishes)


def _fastest(current: int, steps: int) -> int:
    """+100 % or +4 pods in 15 s, whichever is more."""
    for _ in range(min(steps, 20)):
        current = max(2 * current, current + 4)
    return current


def stored(shadow: Shadow) -> Sequence[Any]:
    """As JSON."""
    return [shadow.replicas, shadow.at, [list(one) for one in shadow.wishes]]


def restored(document: Sequence[Any]) -> Shadow:
    """From JSON."""
    replicas, at, wishes = document
    return Shadow(int(replicas), int(at), tuple((int(when), int(number)) for when, number in wishes))
