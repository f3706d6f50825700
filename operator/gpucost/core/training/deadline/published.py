"""Policies to compare with: those of the literature, and the simple ones.

`uniformProgress` follows what the authors' program does where it differs from their text (Wu et al., "Can't Be Late",
NSDI'24): on-demand capacity is kept while there is no spot and left as soon as there is some, times are rounded to
ticks, and a warm spot node is kept near the deadline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpucost.core.training.deadline.availability import Sky
from gpucost.core.training.deadline.guard import is_warm, on_demand, on_spot
from gpucost.core.training.deadline.runs import NONE, ON_DEMAND, SPOT, Codes, Mask, Runs, Terms, Zones


def spot_zone(runs: Runs, sky: Sky) -> Zones:
    """The zone that it is in, else the first that has spot."""
    first = int(np.argmax(sky.up)) if sky.up.any() else 0
    zones: Zones = np.where(on_spot(runs), runs.zone, first).astype(np.int16)
    return zones


def codes(spot: Mask, on_demand_: Mask) -> Codes:
    """Modes: on-demand where it is chosen, else spot, else nothing."""
    modes: Codes = np.where(on_demand_, ON_DEMAND, np.where(spot, SPOT, NONE)).astype(np.int8)
    return modes


@dataclass(frozen=True, slots=True)
class OnDemand:
    """On-demand from the beginning to the end."""

    terms: Terms

    def decide(self, runs: Runs, sky: Sky) -> tuple[Codes, Zones]:
        """On-demand."""
        return np.full_like(runs.mode, ON_DEMAND), spot_zone(runs, sky)


@dataclass(frozen=True, slots=True)
class SpotOnly:
    """Spot whenever there is some, and no deadline."""

    terms: Terms

    def decide(self, runs: Runs, sky: Sky) -> tuple[Codes, Zones]:
        """Spot or nothing."""
        return np.full_like(runs.mode, SPOT if sky.up.any() else NONE), spot_zone(runs, sky)


@dataclass(frozen=True, slots=True)
class Greedy:
    """Spot whenever there is some, else nothing, until the deadline asks for on-demand to the end."""

    terms: Terms

    def decide(self, runs: Runs, sky: Sky) -> tuple[Codes, Zones]:
        """Waits while R >= C + 2d, and a tick's rounding never makes it too late for the changeover."""
        terms = self.terms
        least = max(2 * terms.changeover, terms.changeover + terms.tick)
        spot = on_spot(runs) | ((runs.slack >= least) & ~on_demand(runs) & bool(sky.up.any()))
        wait = ~spot & ~on_demand(runs) & (runs.slack >= least)
        return codes(spot, ~spot & ~wait), spot_zone(runs, sky)


@dataclass(frozen=True, slots=True)
class UniformProgress:
    """Progress in step with the time, on on-demand capacity where spot does not make it."""

    terms: Terms

    def decide(self, runs: Runs, sky: Sky) -> tuple[Codes, Zones]:
        """The rules in the order of the authors' program; later ones win."""
        terms = self.terms
        up = bool(sky.up.any())
        done = terms.work - runs.work_left
        expected = (terms.time - runs.time_left) * (terms.work / terms.time)
        dear = ((done < expected) | on_demand(runs)) & (not up)
        time = runs.time_left // terms.tick
        dear |= (_ticks(runs.work_left + 2 * terms.changeover, terms.tick) >= time) & ~on_spot(runs)
        last = _ticks(runs.work_left + terms.changeover, terms.tick) >= time
        dear = np.where(last, ~(on_spot(runs) & is_warm(runs)), dear)
        return codes(~dear & (on_spot(runs) | up), dear), spot_zone(runs, sky)


def _ticks(
    times: np.ndarray[tuple[int, ...], np.dtype[np.int64]], tick: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return -(-times // tick)
