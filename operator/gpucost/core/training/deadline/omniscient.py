"""The cheapest way through a trace that is known in advance: exact dynamic programming over time and slack.

Nobody who knows the future starts nodes that are lost before their changeover is over, for waiting costs as much time
and no money. So slack only falls by whole ticks (waiting) and whole changeovers, and a grid of their greatest common
divisor holds every state that can occur. From the last tick backwards, the grid holds the least cost of the rest for
a run without nodes, on on-demand nodes, and on spot nodes of each zone; beside the cost go the time on spot and the
number of changeovers on the way to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucost.core.training.deadline.runs import Floats, Mask, Terms, Times

_TOGETHER = 3_000_000
"""States that are held at once."""
_START = np.int64(1) << 44
"""A changeover in a count whose lower part is microseconds on spot: 200 days of them fit."""


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best that each run could have done; on-demand time is -1 where no way is in time."""

    spot: Times
    on_demand: Times
    starts: NDArray[np.int64]


@dataclass(slots=True)
class _Grid:
    """Least cost of the rest by run and cell, and what it is made of."""

    cost: Floats
    made_of: NDArray[np.int64]

    def later(self, cells_: int) -> _Grid:
        """Seen from states with more slack by some cells; nothing is reached with less than none."""
        if not cells_:
            return self
        cost, made_of = np.full_like(self.cost, np.inf), np.zeros_like(self.made_of)
        left = max(0, self.cost.shape[1] - cells_)
        cost[:, :left], made_of[:, :left] = self.cost[:, cells_:], self.made_of[:, cells_:]
        return _Grid(cost, made_of)

    def plus(self, cost: NDArray[Any], made_of: NDArray[np.int64]) -> _Grid:
        """After a tick that costs this and is made of that."""
        return _Grid(self.cost + cost, self.made_of + made_of)

    def where(self, there: Mask) -> _Grid:
        """Only for some runs."""
        return _Grid(np.where(there, self.cost, np.inf), self.made_of)

    def or_(self, other: _Grid) -> _Grid:
        """The cheaper of two ways, this one when they cost the same."""
        better = other.cost < self.cost
        return _Grid(np.where(better, other.cost, self.cost), np.where(better, other.made_of, self.made_of))

    def end(self, over: Mask) -> None:
        """No work is left there."""
        self.cost[:, over], self.made_of[:, over] = 0, 0


def optimum(
    up: NDArray[np.bool_], terms: Terms, begins: NDArray[np.int64], done: Callable[[float], None] | None = None
) -> Optimum:
    """The best ways of runs that begin at these ticks; `up` tells by tick and zone whether there is spot."""
    batch = max(1, _TOGETHER // (cells(terms) * (up.shape[1] + 2)))
    parts = []
    for at in range(0, len(begins), batch):
        parts.append(_batch(up, terms, begins[at : at + batch]))
        if done is not None:
            done(min(1.0, (at + batch) / len(begins)))
    cost = np.concatenate([part.cost[:, 0] for part in parts])
    made_of = np.concatenate([part.made_of[:, 0] for part in parts])
    spot = made_of % _START
    dear = np.where(np.isfinite(cost), np.rint(np.where(np.isfinite(cost), cost, 0) - terms.price * spot), -1)
    return Optimum(spot, dear.astype(np.int64), made_of // _START)


def cells(terms: Terms) -> int:
    """How many states of slack there are; time and memory grow with it."""
    return max(0, terms.slack) // _cell(terms) + 1


def _cell(terms: Terms) -> int:
    return gcd(terms.tick, terms.changeover)


def _batch(up: NDArray[np.bool_], terms: Terms, begins: NDArray[np.int64]) -> _Grid:
    tick, price = terms.tick, terms.price
    used = np.arange(cells(terms), dtype=np.int64) * _cell(terms)
    wait, start = tick // _cell(terms), terms.changeover // _cell(terms)
    shape = (len(begins), len(used))
    none = _Grid(np.zeros(shape), np.zeros(shape, dtype=np.int64))  # what kept to its slack is done after the last tick
    dear, spots = none, [none] * up.shape[1]
    for step in range(-(-terms.time // tick) - 1, -1, -1):
        work = terms.work - step * tick + used
        on, begin = np.clip(work, 0, tick), np.clip(work + terms.changeover, 0, tick)
        here = up[begins + step]
        best = none.later(wait).or_(dear.later(start).plus(begin, np.full_like(begin, _START)))
        for zone, spot in enumerate(spots):
            best = best.or_(spot.later(start).plus(price * begin, begin + _START).where(here[:, zone, None]))
        best.end(work <= 0)
        dear = dear.plus(on, np.zeros_like(on)).or_(best)
        spots = [spot.plus(price * on, on).where(here[:, z, None]).or_(best) for z, spot in enumerate(spots)]
        for grid in (dear, *spots):
            grid.end(work <= 0)
        none = best
    return none
