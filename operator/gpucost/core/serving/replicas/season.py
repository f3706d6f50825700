"""Whether yesterday or last week tells what comes, and if so, what.

The forecast of a season is that the level changes as it did a day (or a week) ago. It is used only while it has
proved itself: while its errors, over the last days and at the distance that matters, were clearly smaller than those
of the forecast that nothing changes. On traffic without such seasons it is never used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SLOT = 20
"""Steps: five minutes."""
DAY, WEEK = 288, 2016
"""Slots."""
NAMES = ("day", "week")
_PERIODS = (DAY, WEEK)
BETTER = 0.8
"""Errors have to be smaller than this part of those without a forecast."""
_PROOF = DAY
"""Slots of comparison before a forecast may be used."""
_KEEP = 0.5 ** (1 / (2 * DAY))
_MOST = 1.5


class Season:
    """Learns from logarithms of levels."""

    def __init__(self, ahead_steps: int) -> None:
        self.ahead = max(1, round(ahead_steps / SLOT))
        self.levels: NDArray[np.float64] = np.zeros(WEEK + self.ahead + 4)
        self.slots, self.steps, self.total = 0, 0, 0.0
        self.errors, self.plain, self.proofs = np.zeros(2), np.zeros(2), np.zeros(2)
        self.shift, self.name = 0.0, "none"

    def update(self, level: float) -> float:
        """Take the level of a step in; tell by how much it is forecast to change (0 without a forecast)."""
        self.total += float(np.log(level))
        self.steps += 1
        if self.steps == SLOT:
            self._close()
        return self.shift

    def _close(self) -> None:
        self.levels[self.slots % len(self.levels)] = self.total / SLOT
        self.steps, self.total = 0, 0.0
        self._compare()
        self.slots += 1
        self.shift, self.name = self._forecast()

    def _at(self, slot: int) -> float:
        return float(self.levels[slot % len(self.levels)])

    def _change(self, slot: int, period: int) -> float | None:
        """What a season says of the change from a slot to `ahead` after it."""
        if slot < period:
            return None
        before = slot - period
        change = self._at(before + self.ahead) - self._at(before)
        return min(max(change, -_MOST), _MOST)

    def _compare(self) -> None:
        """What the forecasts said `ahead` slots ago, with what came."""
        then = self.slots - self.ahead
        came = self._at(self.slots) - self._at(then)
        for place, period in enumerate(_PERIODS):
            said = self._change(then, period)
            if said is not None and then >= 0:
                self.errors[place] = self.errors[place] * _KEEP + abs(came - said)
                self.plain[place] = self.plain[place] * _KEEP + abs(came)
                self.proofs[place] += 1

    def _forecast(self) -> tuple[float, str]:
        """The change that the best proved season says, and which it is."""
        proved = (self.proofs >= _PROOF) & (self.errors < BETTER * self.plain)
        if not proved.any():
            return 0.0, "none"
        best = int(np.argmin(np.where(proved, self.errors / np.maximum(self.plain, 1e-12), np.inf)))
        change = self._change(self.slots - 1, _PERIODS[best])
        return (0.0, "none") if change is None else (change, NAMES[best])
