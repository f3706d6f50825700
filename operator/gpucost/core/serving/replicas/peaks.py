"""How high the load has been: what is kept for rises that no habit foretells.

Where a replica takes longer to start than a rise takes to come, only replicas that are there already help. How many,
the last weeks tell better than what the load has done in the last minutes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HOUR, WEEKS = 240, 672
"""Steps; hours of four weeks."""


class Peaks:
    """The highest level of each of the last hours."""

    def __init__(self) -> None:
        self.hours: NDArray[np.float64] = np.zeros(WEEKS)
        self.count, self.steps = 0, 0
        self.highest, self.peak = 0.0, 0.0
        """Of this hour; of all that are known."""

    def update(self, level: float) -> float:
        """Take the level of a step in; tell the highest of four weeks."""
        self.highest = max(self.highest, level)
        self.steps += 1
        if self.steps == HOUR:
            self.hours[self.count % WEEKS] = self.highest
            self.count += 1
            self.steps, self.highest = 0, 0.0
            self.peak = float(self.hours.max())
        return self.peak
