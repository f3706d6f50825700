"""What arrives at one endpoint: its level now, and what is to be expected of it, with or without a season."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpucost.core.serving.replicas.habits import Curves, Habits, Windows
from gpucost.core.serving.replicas.level import FLOOR, Level
from gpucost.core.serving.replicas.peaks import Peaks
from gpucost.core.serving.replicas.season import Season


@dataclass(frozen=True, slots=True)
class Expected:
    """What a decision rests on; rates are requests a second, or replicas' worth if that was put in."""

    level: float
    """The upper level: what arrives now is not likely to be more."""
    mean: float
    base: float
    """The upper level with the forecast change of a season."""
    scale: float
    curves: Curves
    peak: float
    """The highest level of the last weeks, up to an hour ago."""
    season: str


class Demand:
    """The stream of arrivals of one endpoint."""

    def __init__(self, lead: int) -> None:
        windows = Windows.of(lead)
        self.level, self.peaks = Level(), Peaks()
        self.season = Season(windows.lead + windows.far // 2)
        self.plain, self.seasonal = Habits(windows), Habits(windows)

    def update(self, rate: float) -> Expected:
        """Take a step in."""
        mean, upper = (max(value, FLOOR) for value in self.level.update(rate))
        shift, peak = self.season.update(mean), self.peaks.update(mean)
        scale = self.plain.update(rate, upper, upper)
        plain = Expected(upper, mean, upper, scale, self.plain.curves, peak, "none")
        if self.season.name == "none" and self.seasonal.count == 0:
            return plain
        base = upper * float(np.exp(shift))
        scale = self.seasonal.update(rate, upper, base)
        if self.season.name == "none":
            return plain
        return Expected(upper, mean, base, scale, self.seasonal.curves, peak, self.season.name)
