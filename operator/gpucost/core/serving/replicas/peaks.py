"""How high the load usually goes within an hour: what is kept for rises that no habit foretells.

Where a replica takes longer to start than a rise takes to come, only replicas that are there already help. How many,
the last week's hours tell better than what the load has done in the last minutes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HOUR, WEEK = 240, 168
"""Steps; hours."""
QUANTILE = 0.9


class Peaks:
    """The highest level of each of the last hours."""

    def __init__(self) -> None:
        self.hours: NDArray[np.float64] = np.zeros(WEEK)
        self.count, self.steps = 0, 0
        self.highest, self.usual = 0.0, 0.0
        """Of this hour; what is exceeded in one hour of ten."""

    def update(self, level: float) -> float:
        """Take the level of a step in; tell what is exceeded in one hour of ten."""
        self.highest = max(self.highest, level)
        self.steps += 1
        if self.steps == HOUR:
            self.hours[self.count % WEEK] = self.highest
            self.count += 1
            self.steps, self.highest = 0, 0.0
            self.usual = float(np.quantile(self.hours[: min(self.count, WEEK)], QUANTILE))
        return self.usual
