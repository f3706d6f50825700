"""Plays runs through a trace, tick by tick, all runs of a policy at once.

The world: what is available is known when a tick begins and lasts the tick. Nodes are billed from start to release, the
changeover included, which brings no progress; spot that is not there at a tick is lost at it, with all progress kept; a
run ends inside a tick, and at its deadline at the latest. All times are whole microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpucost.core.training.deadline.runs import NONE, ON_DEMAND, SPOT, Codes, Policy, Runs, Terms, Times, Zones
from gpucost.simulate.weather import Weather

Seen = Callable[[int, NDArray[np.int64], Codes, Zones], None]
"""Told at each tick which runs are on what: tick, runs, modes, zones."""
_SELDOM = 200
"""Ticks between reports of progress."""


@dataclass(slots=True)
class Played:
    """What became of the runs, in the order of their starts."""

    spot: Times
    on_demand: Times
    """Times on nodes of either kind."""
    starts: NDArray[np.int64]
    """Nodes started: changeovers paid."""
    missed: NDArray[np.bool_]
    """Work was left at the deadline."""


class Unfair(Exception):
    """A policy chose spot that was not there."""


def play(
    policy: Policy,
    weather: Weather,
    terms: Terms,
    begins: NDArray[np.int64],
    *,
    seen: Seen | None = None,
    progress: Callable[[float], None] | None = None,
) -> Played:
    """Play runs that begin at these ticks (in ascending order); the whole deadline must lie inside the trace."""
    world = _World(weather, terms, begins)
    first, last = int(begins[0]), int(begins[-1]) + world.length
    for tick in range(first, last):
        if progress is not None and tick % _SELDOM == 0:
            progress((tick - first) / (last - first))
        now = world.at(tick)
        if len(now):
            world.pass_tick(tick, now, policy, seen)
    return Played(world.spot, world.dear, world.starts, world.work > 0)


class _World:
    def __init__(self, weather: Weather, terms: Terms, begins: NDArray[np.int64]) -> None:
        count = len(begins)
        self.weather, self.terms, self.begins = weather, terms, begins
        self.length = -(-terms.time // terms.tick)
        self.work, self.delay = np.full(count, terms.work), np.zeros(count, dtype=np.int64)
        self.mode, self.zone = np.zeros(count, dtype=np.int8), np.zeros(count, dtype=np.int16)
        self.spot, self.dear = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        self.starts = np.zeros(count, dtype=np.int64)

    def at(self, tick: int) -> NDArray[np.int64]:
        """Runs that are under way."""
        low = np.searchsorted(self.begins, tick - self.length, side="right")
        high = np.searchsorted(self.begins, tick, side="right")
        found: NDArray[np.int64] = low + np.flatnonzero(self.work[low:high] > 0)
        return found

    def pass_tick(self, tick: int, now: NDArray[np.int64], policy: Policy, seen: Seen | None) -> None:
        """Lose what spot is gone, let the policy choose, and let the tick pass."""
        terms, sky = self.terms, self.weather.at(tick)
        runs = self._runs(tick, now, sky.up)
        modes, zones = policy.decide(runs, sky)
        if not sky.up[zones[modes == SPOT]].all():
            raise Unfair(f"tick {tick}: spot chosen where there is none")
        if seen is not None:
            seen(tick, now, modes, zones)
        begun = (modes != NONE) & ((modes != runs.mode) | ((modes == SPOT) & (zones != runs.zone)))
        delay = np.where(begun, terms.changeover, np.where(modes == NONE, 0, runs.changeover_left))
        used = np.minimum(np.minimum(terms.tick, delay + runs.work_left), runs.time_left)
        used = np.where(modes == NONE, 0, used)
        waited = np.minimum(delay, used)
        self.work[now] -= used - waited
        self.delay[now] = delay - waited
        self.mode[now], self.zone[now] = modes, zones
        self.starts[now] += begun
        self.spot[now] += np.where(modes == SPOT, used, 0)
        self.dear[now] += np.where(modes == ON_DEMAND, used, 0)

    def _runs(self, tick: int, now: NDArray[np.int64], up: NDArray[np.bool_]) -> Runs:
        mode, zone = self.mode[now], self.zone[now]
        lost = (mode == SPOT) & ~up[zone]
        return Runs(
            work_left=self.work[now],
            time_left=self.terms.time - (tick - self.begins[now]) * self.terms.tick,
            changeover_left=np.where(lost, 0, self.delay[now]),
            mode=np.where(lost, NONE, mode).astype(np.int8),
            zone=zone,
            spent=self.dear[now] + self.terms.price * self.spot[now],
        )
