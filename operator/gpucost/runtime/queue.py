"""Keys that have to be looked at: coalesced, never twice at the same time, and again at a chosen instant.

The namespaces take turns, and each has a bounded number of keys in work: where every write hangs, such as behind a
webhook that does not answer, the objects of one namespace keep those of the others from being looked at no longer.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, OrderedDict
from collections.abc import Callable

from gpucost.core.clock import SECOND, Instant
from gpucost.core.model import Key


class DirtyKeys:
    """A set of dirty keys. A key that is marked while it is worked on is handed out again afterwards."""

    def __init__(self, now: Callable[[], Instant], *, at_once: int = 6) -> None:
        """`now` is the clock that wake-up instants refer to; `at_once` keys of one namespace are in work at most."""
        self._now = now
        self._at_once = at_once
        self._ready: OrderedDict[str, dict[Key, None]] = OrderedDict()
        """By namespace, the one whose turn is next first."""
        self._busy: Counter[str] = Counter()
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._alarms: list[tuple[Instant, Key]] = []
        self._due: dict[Key, Instant] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._ready.values())) + len(self._working)

    def mark(self, key: Key) -> None:
        """Look at a key as soon as possible."""
        if key in self._working:
            self._again.add(key)
        else:
            keys = self._ready.setdefault(key.namespace, {})
            if key not in keys:
                keys[key] = None
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
        self._unready(key)
        self._again.discard(key)
        self._due.pop(key, None)

    async def take(self) -> Key:
        """Wait for the next key; call `done` when finished with it."""
        while True:
            self._ring()
            key = self._next()
            if key is not None:
                self._ready.move_to_end(key.namespace)
                self._unready(key)
                self._working.add(key)
                self._busy[key.namespace] += 1
                return key
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), self._until_next())
            except TimeoutError:
                continue

    def _next(self) -> Key | None:
        """The oldest key of the namespace whose turn it is."""
        for namespace, keys in self._ready.items():
            if self._busy[namespace] < self._at_once:
                return next(iter(keys))
        return None

    def _unready(self, key: Key) -> None:
        keys = self._ready.get(key.namespace, {})
        keys.pop(key, None)
        if not keys:
            self._ready.pop(key.namespace, None)

    def done(self, key: Key) -> None:
        """The key was looked at."""
        if key in self._working:
            self._working.discard(key)
            self._busy[key.namespace] -= 1
            if not self._busy[key.namespace]:
                del self._busy[key.namespace]
            if self._ready:
                self._changed.set()
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
