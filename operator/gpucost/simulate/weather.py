"""Spot capacity of a trace as a run would see it: at each tick what is there, for how long, and the habits until
then."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpucost.core.clock import Micros
from gpucost.core.training.deadline.availability import LEARN_EVERY, Climate, Sky, climate, from_ticks


class Weather:
    """Zones over the ticks of their traces."""

    def __init__(self, up: NDArray[np.bool_], tick: Micros) -> None:
        self.up = up
        """By tick and zone."""
        self.tick = tick
        some: NDArray[np.bool_] = np.asarray(up.any(axis=1))
        self._some_age = _ages(some[:, None], tick)[:, 0]
        self._ages = _ages(up, tick)
        self._zones = [from_ticks(column, tick) for column in up.T]
        self._together = from_ticks(some, tick)
        self._learned = lru_cache(maxsize=None)(self._learn)

    def __len__(self) -> int:
        return len(self.up)

    def at(self, tick: int) -> Sky:
        """What is known when a tick begins."""
        now = tick * self.tick
        return Sky(self.up[tick], self._ages[tick], int(self._some_age[tick]), self._learned(now - now % LEARN_EVERY))

    def _learn(self, now: int) -> Climate:
        return climate(self._zones, self._together, now)


def zones(nodes: Sequence[NDArray[np.int64]], gang: int, tick: Micros) -> Weather:
    """Weather for a gang, from the numbers of nodes that each zone had."""
    return Weather(np.column_stack([column >= gang for column in nodes]), tick)


def _ages(up: NDArray[np.bool_], tick: Micros) -> NDArray[np.int64]:
    """For how long each column has been as it is, by tick."""
    ticks = np.arange(len(up))[:, None]
    changed = np.zeros(up.shape, dtype=np.int64)
    changed[1:] = np.where(up[1:] != up[:-1], ticks[1:], 0)
    ages: NDArray[np.int64] = (ticks - np.maximum.accumulate(changed, axis=0)) * tick
    return ages
