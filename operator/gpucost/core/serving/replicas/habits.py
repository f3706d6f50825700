"""What usually becomes of the load within the time that a replica takes: learned from the endpoint's own past.

Two windows matter from any moment on. *Near* is until a replica asked for now would be ready: whoever removes one has
to do without it for as long. *Far* is what comes after that: whoever asks for one has it then. For each, a curve
tells in which part of the window the load exceeded its present level by a factor. Factors are measured in units of a
scale, which is the rise that is to be expected: larger after restless hours and from low levels, smaller from high
ones. The scale is a regression on these, and one curve of what was exceeded in units of it serves every hour of the
day; recorded traffic is too short for tables by hour or level, which predicted worse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

POINTS, FIRST, GAP = 160, -3.0, 0.1
"""Of a curve, in units of the scale."""
UNITS: Floats = FIRST + GAP * np.arange(POINTS, dtype=np.float64)
EVERY = 4
"""Steps between samples."""
LEAST_SCALE, MOST_SCALE = 0.04, 1.0
_SMOOTH = 3
"""Steps over which a load is averaged before it counts as exceeding: a queue of a step hurts nobody."""
_WARM = 240
"""Steps before the first sample."""
_RESTLESS, _LONG = 960, 2880
"""Half-lives in steps of the mean change and of the usual level."""
_MEMORY = 0.5 ** (1 / (7 * 1440))
"""Of a sample: a half-life of 7 days."""
_PRIOR = 30.0
"""Samples that the curve of the beginning is worth."""
_RIDGE = 20.0
_WEIGHTS = np.array([0.1, 0.5, 0.1, 0.0, 0.1])
_FEATURES = len(_WEIGHTS)
_RECENT = 160
"""Steps in which a higher level is remembered: what fell may rise again."""
_SOLVE = 15
"""Samples between regressions."""
_ZERO = 1e-12


@dataclass(frozen=True, slots=True)
class Windows:
    """In steps from the step of the metrics."""

    lead: int
    """Until a replica that is asked for now is ready."""
    far: int
    """Length of what comes after."""

    @classmethod
    def of(cls, lead: int) -> Windows:
        """Far windows are as long as the lead, and 5 minutes at least."""
        return cls(lead, max(lead, 20))

    @property
    def end(self) -> int:
        """Steps until the outcome of a sample is known."""
        return self.lead + self.far


@dataclass(slots=True)
class Curves:
    """Logarithms of the part of a window in which a load is exceeded, by UNITS; never rising."""

    near: Floats
    far: Floats


class Habits:
    """Learns from levels and rates, step by step."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self.lag = max(40, 3 * windows.lead)
        self.size = max(windows.end, self.lag, _RECENT) + 2
        self.rates, self.bases, self.levels, self.scales = (np.zeros(self.size) for _ in range(4))
        self.features = np.zeros((self.size, _FEATURES))
        self.count = 0
        self.restless, self.usual = 0.1, 0.0
        self.products, self.targets = np.eye(_FEATURES) * _RIDGE, _WEIGHTS * _RIDGE
        self.weights = _WEIGHTS.copy()
        beginning = _PRIOR / (1 + np.exp(UNITS / 0.35))
        self.exceeded = np.stack([beginning, beginning])
        self.samples, self.weight = 0, _PRIOR
        self._offsets_of_windows()
        self.refresh()

    def refresh(self) -> None:
        """Make what follows from the sums."""
        self.curves = self._curves()

    def _offsets_of_windows(self) -> None:
        lead, end = self.windows.lead, self.windows.end
        self._offsets = np.arange(1, end + 1)
        ends = np.arange(end) + 1
        self._starts = np.maximum(ends - _SMOOTH, 0)
        self._widths = (ends - self._starts).astype(np.float64)
        self._near, self._far = slice(0, lead + 1), slice(max(lead - 1, 0), end)

    def update(self, rate: float, level: float, base: float) -> float:
        """Take a step in; tell the scale. `base` is the level that is forecast, `level` without a forecast."""
        here = self.count % self.size
        self.rates[here], self.levels[here], self.bases[here] = rate, np.log(level), np.log(base)
        self._follow(here)
        scale = float(self.features[here] @ self.weights)
        self.scales[here] = scale = min(max(scale, LEAST_SCALE), MOST_SCALE)
        sample = self.count - self.windows.end
        if sample >= _WARM and self.count % EVERY == 0:
            self._learn(sample)
        self.count += 1
        return scale

    def _follow(self, here: int) -> None:
        level = self.levels[here]
        if self.count == 0:
            self.usual = level
        if self.count >= self.lag:
            change = abs(level - self.levels[(self.count - self.lag) % self.size])
            self.restless += (1 - 0.5 ** (1 / _RESTLESS)) * (change - self.restless)
        self.usual += (1 - 0.5 ** (1 / _LONG)) * (level - self.usual)
        above = level - self.usual
        fallen = float(self.levels[: min(self.count + 1, self.size)].max()) - level
        self.features[here] = (1.0, self.restless, max(-above, 0.0), max(above, 0.0), fallen)

    def _learn(self, sample: int) -> None:
        place = sample % self.size
        rates = self.rates[(sample + self._offsets) % self.size]
        sums = np.concatenate(([0.0], np.cumsum(rates)))
        means = (sums[1:] - sums[self._starts]) / self._widths
        rises = np.log(np.maximum(means, _ZERO)) - self.bases[place]
        features = self.features[place]
        self.products = self.products * _MEMORY + np.outer(features, features)
        self.targets = self.targets * _MEMORY + features * max(float(rises[self._near].max()), 0.0)
        self.exceeded *= _MEMORY
        self.weight = self.weight * _MEMORY + 1
        places = np.ceil((rises / self.scales[place] - FIRST) / GAP).clip(0, POINTS).astype(np.int64)
        for row, window in enumerate((self._near, self._far)):
            counts = np.bincount(places[window], minlength=POINTS + 1)
            self.exceeded[row] += (counts.sum() - np.cumsum(counts)[:POINTS]) / counts.sum()
        if self.samples % _SOLVE == 0:
            self.weights = np.linalg.solve(self.products + 5 * np.eye(_FEATURES), self.targets)
        self.samples += 1
        self.curves = self._curves()

    def _curves(self) -> Curves:
        near, far = np.log(self.exceeded / self.weight + _ZERO)
        return Curves(near, far)


def needed(curve: Floats, chances: Floats) -> Floats:
    """In units of the scale: what is exceeded in no more than this part of a window (given as logarithms)."""
    found: Floats = np.interp(-chances, -curve, UNITS)
    return found


def exceeded(curve: Floats, units: float) -> float:
    """The part of a window in which it is exceeded."""
    return float(np.exp(np.interp(units, UNITS, curve)))
