"""Keys that have to be looked at: coalesced, never twice at the same time, and again at a chosen instant."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from gpucost.core.clock import SECOND, Instant
from gpucost.core.model import Key


class DirtyKeys:
    """A set of dirty keys. A key that is marked while it is worked on is handed out again afterwards."""

    def __init__(self, now: Callable[[], Instant]) -> None:
        """`now` is the clock that wake-up instants refer to."""
        self._now = now
        self._ready: dict[Key, None] = {}
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._alarms: list[tuple[Instant, Key]] = []
        self._due: dict[Key, Instant] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready) + len(self._working)

    def mark(self, key: Key) -> None:
        """Look at a key as soon as possible."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._ready:
            self._ready[key] = None
            self._changed.set()

    def wake_at(self, key: Key, instant: Instant | None) -> None:
        """Look at a key again at an instant; replaces an earlier wish, None takes it back."""
        if instant is None:
            self._due.pop(key, None)
        elif self._due.get(key) != instant:
            self._due[key] = instant
            heapq.heappush(self._alarms, (instant, key))
            self._changed.set()

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._ready.pop(key, None)
        self._again.discard(key)
        self._due.pop(key, None)

    async def take(self) -> Key:
        """Wait for the next key; call `done` when finished with it."""
        while True:
            self._ring()
            if self._ready:
                key = next(iter(self._ready))
                del self._ready[key]
                self._working.add(key)
                return key
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), self._until_next())
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """The key was looked at."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.mark(key)

    def _ring(self) -> None:
        """Mark every key whose instant has come."""
        now = self._now()
        while self._alarms and self._alarms[0][0] <= now:
            instant, key = heapq.heappop(self._alarms)
            if self._due.get(key) == instant:
                del self._due[key]
                self.mark(key)

    def _until_next(self) -> float | None:
        """Seconds until the next wake-up, never more than one: the wall clock may jump."""
        if not self._alarms:
            return None
        return min(max((self._alarms[0][0] - self._now()) / SECOND, 0.01), 1.0)
