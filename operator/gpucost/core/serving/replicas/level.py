"""How much arrives now, out of rates that are noisy and levels that jump.

A filter over a grid of levels: in each step the level stays or, seldom, jumps; what is seen is the level times noise.
It follows a jump within one or two steps and averages over many where nothing happens, which no window does. It tells
a mean and an upper level, which with some chance is not exceeded: after a step that may be a jump or noise the two
differ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CELLS, WIDTH = 160, 0.03
"""Of the grid, in the logarithm of the rate: a factor of 120 from end to end, moved along when the level leaves it."""
HAZARD = 1 / 40
"""Chance of a jump in a step."""
JUMP = 0.2
"""Mean size of a jump, in the logarithm."""
UPPER = 0.7
FLOOR = 1e-9
"""Rates below it are as good as none."""
_NOISE = (0.02, 0.12, 0.5)
"""Coefficient of variation of the noise: least, at the beginning, most."""
_MEMORY = 0.5 ** (1 / 5760)
"""A half-life of a day."""
_TINY = 1e-9

_PLACES = np.arange(CELLS)
_KERNEL: NDArray[np.float64] = np.exp(-np.abs(_PLACES[:, None] - _PLACES[None, :]) * WIDTH / JUMP)
_KERNEL *= HAZARD * np.tanh(WIDTH / JUMP / 2)
_KERNEL[_PLACES, _PLACES] += 1 - HAZARD
_LEVELS: NDArray[np.float64] = np.exp(_PLACES * WIDTH)


class Level:
    """The filter of one stream of rates."""

    __slots__ = ("chances", "last", "low", "noise")

    def __init__(self) -> None:
        self.chances: NDArray[np.float64] | None = None
        """Of each cell of the grid; None before the first rate."""
        self.low = 0.0
        """Logarithm of the first cell's level."""
        self.noise = _NOISE[1] ** 2
        self.last = 0.0

    def update(self, rate: float) -> tuple[float, float]:
        """Take the rate of a step in; tell the mean level and the upper one."""
        seen = float(np.log(max(rate, FLOOR)))
        if self.chances is None or not self.low - 1 < seen < self.low + CELLS * WIDTH + 1:
            return self._begin(seen)
        change = min(abs(seen - self.last), _NOISE[2])
        self.noise = _MEMORY * self.noise + (1 - _MEMORY) * change * change / 2
        self.last = seen
        away = seen - self.low - _PLACES * WIDTH
        shape = 1 / min(max(self.noise, _NOISE[0] ** 2), _NOISE[2] ** 2)
        likely = shape * (away - np.exp(away))
        chances = (_KERNEL @ self.chances + _TINY) * np.exp(likely - likely.max())
        self.chances = chances / chances.sum()
        return self._told()

    def _begin(self, seen: float) -> tuple[float, float]:
        """A first rate, or one that is far off the grid."""
        self.low, self.last = seen - CELLS // 2 * WIDTH, seen
        chances = np.exp(-np.abs(_PLACES - CELLS // 2) * WIDTH / JUMP)
        self.chances = chances / chances.sum()
        return self._told()

    def _told(self) -> tuple[float, float]:
        assert self.chances is not None
        middle = float(self.chances @ _PLACES)
        if not CELLS // 5 < middle < CELLS - CELLS // 5:
            self._move(round(middle) - CELLS // 2)
        chances, unit = self.chances, float(np.exp(self.low))
        upper = int(np.searchsorted(np.cumsum(chances), UPPER))
        return unit * float(chances @ _LEVELS), unit * float(_LEVELS[min(upper, CELLS - 1)])

    def _move(self, cells: int) -> None:
        assert self.chances is not None
        moved = np.full(CELLS, _TINY)
        if cells > 0:
            moved[: CELLS - cells] += self.chances[cells:]
        else:
            moved[-cells:] += self.chances[: CELLS + cells]
        self.chances = moved / moved.sum()
        self.low += cells * WIDTH
