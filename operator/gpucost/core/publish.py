"""When a cost is worth writing: the write budget of annotations and status.

A value that everybody can see needs no write every tick. It is written when the state of the object changes, and else
when it moved by one percent and the last write is some minutes old; what costs nothing any more is shown to the last
micro-unit, because no later write would bring what was missed. All objects share one budget; the most changed come
first.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpucost.core.clock import SECOND, Instant, Micros
from gpucost.core.money import Micro

_MOVED = 0.01


@dataclass(frozen=True, slots=True)
class Published:
    """What an object shows and since when; `state` is whatever makes a write urgent when it changes."""

    at: Instant
    total: Micro | None
    hourly: Micro | None
    state: str = ""
    wasted: Micro | None = None


def urgency(last: Published | None, new: Published, *, interval: Micros) -> float | None:
    """How much a write is worth: None for not at all, else the relative change; a new state beats every amount."""
    if last is None or last.state != new.state:
        return float("inf")
    if new.at - last.at < interval:
        return None
    moved = max(_relative(last.total, new.total), _relative(last.hourly, new.hourly), _waste_moved(last, new))
    is_final = new.hourly == 0 and moved > 0
    return moved if moved >= _MOVED or is_final else None


def _waste_moved(last: Published, new: Published) -> float:
    """How much of the total was found to be wasted, or not to be."""
    if last.wasted is None or new.wasted is None or not new.total:
        return 0.0
    return abs(new.wasted - last.wasted) / new.total


def _relative(old: Micro | None, new: Micro | None) -> float:
    if old is None or new is None:
        return 0.0 if old == new else float("inf")
    if old == new:
        return 0.0
    return abs(new - old) / max(abs(old), abs(new))


@dataclass
class Budget:
    """A token bucket: `rate` writes a second on average, `burst` at once."""

    rate: float
    burst: float
    tokens: float = 0.0
    at: Instant | None = None

    def take(self, now: Instant) -> bool:
        """Whether one more write may go out now."""
        if self.at is None:
            self.tokens = self.burst
        else:
            elapsed = max(0, now - self.at) / SECOND
            self.tokens = min(self.burst, self.tokens + elapsed * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
