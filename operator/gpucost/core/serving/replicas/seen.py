"""What policies look at, in columns: for one endpoint of the operator as for hundreds of settings of the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpucost.core.clock import SECOND
from gpucost.core.serving.replicas.outlook import STEP

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Chosen = NDArray[np.int64]

STEP_SECONDS = STEP // SECOND


@dataclass(slots=True)
class Seen:
    """Metrics of some steps ago, replicas as they are. Loads are in replicas' worth, work in replica-steps."""

    step: int
    """Counts the steps."""
    arrived: float
    """What came in the observed step: the same in every column, since nobody's replicas change it."""
    served: Floats
    queue: Floats
    """Work that waited at the end of the observed step."""
    ready: Counts
    total: Counts
    """With those that are not ready yet."""
    coming: Floats
    """Replica-steps that ready replicas would give until one asked for now is ready, if the total stayed.
    0 for policies that do not ask."""
    pace: float = 1.0
    """What a ready replica is seen to serve, in replicas' worth, where that is above 1 and nothing waits."""


class Policy(Protocol):
    """Decides totals; one column for every setting."""

    foresees: bool
    """It looks at what is coming."""

    def decide(self, seen: Seen) -> Counts:
        """How many replicas should exist in every column."""
        ...

    def take(self, columns: Chosen) -> None:
        """Go on with these columns only."""
        ...


class Mean:
    """The mean of what came in the last steps; how many is another number in each column."""

    def __init__(self, widths: Counts) -> None:
        self.widths = widths
        self._sums = np.zeros((int(widths.max()) + 1, len(widths)))
        self._columns = np.arange(len(widths))
        self._count = 0

    def add(self, values: Floats | float) -> Floats:
        """Add a step and tell the means."""
        size = len(self._sums)
        last, here = self._count % size, (self._count + 1) % size
        self._sums[here] = self._sums[last] + values
        self._count += 1
        widths = np.minimum(self.widths, self._count)
        found: Floats = (self._sums[here] - self._sums[(self._count - widths) % size, self._columns]) / widths
        if here == 0:
            self._sums -= self._sums.min(axis=0)  # sums stay small, so differences stay exact
        return found

    def take(self, columns: Chosen) -> None:
        """Go on with these columns only."""
        self.widths, self._sums = self.widths[columns], self._sums[:, columns]
        self._columns = np.arange(len(columns))


class Largest:
    """The largest of the last steps; how many is another number in each column."""

    def __init__(self, widths: Counts) -> None:
        self._count = 0
        self._arrange(widths, {})

    def _arrange(self, widths: Counts, kept: dict[int, Counts]) -> None:
        """A ring for each width, so that a step costs no more than its columns need."""
        self.widths = widths
        self._groups = [(int(width), np.flatnonzero(widths == width)) for width in np.unique(widths)]
        self._rings = {
            width: kept.get(width, np.zeros((width, len(columns)), dtype=np.int64)) for width, columns in self._groups
        }

    def add(self, values: Counts) -> Counts:
        """Add a step and tell the largest."""
        found = np.empty_like(values)
        for width, columns in self._groups:
            ring = self._rings[width]
            ring[self._count % width] = values[columns]
            found[columns] = ring.max(axis=0)
        self._count += 1
        return found

    def take(self, columns: Chosen) -> None:
        """Go on with these columns only."""
        places = np.zeros(len(self.widths), dtype=np.int64)
        for _, members in self._groups:
            places[members] = np.arange(len(members))
        widths = self.widths[columns]
        kept = {width: self._rings[width][:, places[columns[widths == width]]] for width in np.unique(widths).tolist()}
        self._arrange(widths, kept)
