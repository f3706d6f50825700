"""Runs in columns: what a policy looks at, for one run of the operator as for a thousand of the simulator.

Times are whole microseconds in 64-bit integers, so that the guard of the deadline is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpucost.core.clock import Micros
from gpucost.core.training.deadline.availability import Sky

NONE, SPOT, ON_DEMAND = 0, 1, 2
"""What a run is on, as a number."""

Times = NDArray[np.int64]
Codes = NDArray[np.int8]
Zones = NDArray[np.int16]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

ALLOWANCE = Fraction(105, 100)
"""What a single run may cost at most, as a part of on-demand from the beginning."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What all runs of a batch have in common and does not change."""

    work: Micros
    time: Micros
    changeover: Micros
    price: float
    """Of spot, as a part of the price of on-demand capacity."""
    tick: Micros
    """How long a choice lasts at least: nobody looks before."""

    @property
    def slack(self) -> Micros:
        """Time beyond the work, at the beginning."""
        return self.time - self.work

    @property
    def most(self) -> float:
        """The most that a run may cost, in microseconds of on-demand capacity."""
        return ALLOWANCE.numerator * (self.work + self.changeover) / ALLOWANCE.denominator


@dataclass(slots=True)
class Runs:
    """Runs as they are when a tick begins; a run whose spot nodes are gone is on nothing."""

    work_left: Times
    time_left: Times
    changeover_left: Times
    mode: Codes
    zone: Zones
    """Of the spot nodes; means nothing in other modes."""
    spent: Floats
    """In microseconds of on-demand capacity."""

    @property
    def slack(self) -> Times:
        """Time left beyond the work left."""
        return self.time_left - self.work_left


class Policy(Protocol):
    """Decides what runs are on during the next tick."""

    def decide(self, runs: Runs, sky: Sky) -> tuple[Codes, Zones]:
        """Mode and zone of every run; only spot that is there may be chosen."""
        ...
