"""Policies to compare with: what people run today, with the parameters that they have.

`hpa` is autoscaling/v2 on two metrics (how busy ready replicas are, and the queue), `kpa` Knative's autoscaler on
concurrency, `keda` a Prometheus trigger behind an HPA, `static` a fixed number. Concurrency is what is served in a
step and what waits: by Little's law the requests in flight, in units of what a replica holds when it is full.
"""

from __future__ import annotations

import numpy as np

from gpucost.core.serving.replicas.seen import Chosen, Counts, Floats, Largest, Mean, Seen

TOLERANCE = 0.1
_EXACT = 1e-9
"""What rounding may have added to a whole number."""


def _ceil(values: Floats) -> Counts:
    found: Counts = np.ceil(values - _EXACT).astype(np.int64)
    return found


class _Limited:
    """The behaviour of an HPA: the largest recommendation of a window on the way down, a rate limit on the way up."""

    def __init__(self, down: Counts) -> None:
        self._down = Largest(np.maximum(down, 1))

    def limit(self, wanted: Counts, total: Counts) -> Counts:
        """+100 % or +4 pods in 15 s, whichever is more."""
        held = self._down.add(wanted)
        found = np.where(wanted < total, np.minimum(held, total), wanted)
        limited: Counts = np.minimum(found, np.maximum(total * 2, total + 4))
        return limited

    def take(self, columns: Chosen) -> None:
        self._down.take(columns)


class Hpa:
    """Utilisation of ready replicas and length of the queue; the larger of the two wishes."""

    foresees = False

    def __init__(self, *, target: Floats, window: Floats, down: Floats, queue: Floats) -> None:
        self.target, self.queue = target, queue
        self._busy, self._waiting = Mean(window.astype(np.int64)), Mean(window.astype(np.int64))
        self._limited = _Limited(down.astype(np.int64))

    def decide(self, seen: Seen) -> Counts:
        """Ask for what the metrics ask for."""
        busy, waiting = self._busy.add(seen.served), self._waiting.add(seen.queue)
        wanted = np.maximum(self._by_utilisation(busy, seen), self._by_queue(waiting, seen))
        return self._limited.limit(np.maximum(wanted, 1), seen.total)

    def _by_utilisation(self, busy: Floats, seen: Seen) -> Counts:
        """Missing pods count as idle on the way up, as on target on the way down; never past the present number."""
        total = np.maximum(seen.total, 1)
        plain = busy / np.maximum(seen.ready, 1) / self.target
        up = busy / self.target / total
        down = (busy + (seen.total - seen.ready) * self.target) / self.target / total
        rise, fall = (plain > 1 + TOLERANCE) & (up > 1 + TOLERANCE), (plain < 1 - TOLERANCE) & (down < 1 - TOLERANCE)
        found: Counts = np.where(rise, _ceil(up * total), np.where(fall, _ceil(down * total), seen.total))
        return found

    def _by_queue(self, waiting: Floats, seen: Seen) -> Counts:
        wish = waiting / self.queue
        near = np.abs(wish / np.maximum(seen.total, 1) - 1) <= TOLERANCE
        found: Counts = np.where(near, seen.total, _ceil(wish))
        return found

    def take(self, columns: Chosen) -> None:
        """Go on with these columns only."""
        self.target, self.queue = self.target[columns], self.queue[columns]
        for part in (self._busy, self._waiting, self._limited):
            part.take(columns)


class Keda:
    """A trigger with an average value, looked at every 30 s, behind an HPA.

    The trigger is concurrency, or (`rate` = 1) what arrives with a second one on the queue.
    """

    foresees = False
    POLL = 2
    """Steps."""

    def __init__(self, *, target: Floats, window: Floats, down: Floats, rate: Floats) -> None:
        self.target, self.rate = target, rate
        self._mean, self._limited = Mean(window.astype(np.int64)), _Limited(down.astype(np.int64))
        self._polled: Floats | None = None

    def decide(self, seen: Seen) -> Counts:
        """Divide by the target and round up, unless it is within the tolerance."""
        load = self._mean.add(np.where(self.rate > 0, seen.arrived, seen.served + seen.queue)) / self.target
        load = np.maximum(load, np.where(self.rate > 0, 0.5 * seen.queue, 0.0))
        if self._polled is None or seen.step % self.POLL == 0:
            self._polled = load
        near = np.abs(self._polled / np.maximum(seen.total, 1) - 1) <= TOLERANCE
        wanted = np.where(near, seen.total, _ceil(self._polled))
        return self._limited.limit(np.maximum(wanted, 1), seen.total)

    def take(self, columns: Chosen) -> None:
        """Go on with these columns only."""
        self.target, self.rate = self.target[columns], self.rate[columns]
        self._mean.take(columns)
        self._limited.take(columns)
        self._polled = None if self._polled is None else self._polled[columns]


class Kpa:
    """Knative: a stable window, and a panic when the last step alone asks for twice what is ready."""

    foresees = False

    PANIC, UP, DOWN = 2.0, 1000, 2
    _NEVER = -(10**9)

    def __init__(self, *, target: Floats, window: Floats, delay: Floats) -> None:
        self.target, self.window = target, window.astype(np.int64)
        self._mean, self._delay = Mean(self.window), Largest(np.maximum(delay.astype(np.int64), 1))
        self._panicked = np.full(len(target), self._NEVER)
        self._most = np.zeros(len(target), dtype=np.int64)

    def decide(self, seen: Seen) -> Counts:
        """No decrease in a panic, which ends a stable window after its last cause."""
        load, ready = seen.served + seen.queue, np.maximum(seen.ready, 1)
        low, high = ready // self.DOWN, ready * self.UP
        stable = np.minimum(np.maximum(_ceil(self._mean.add(load) / self.target), low), high)
        panic = np.minimum(np.maximum(_ceil(load / self.target), low), high)
        before = seen.step - self._panicked < self.window
        self._panicked = np.where(panic / ready >= self.PANIC, seen.step, self._panicked)
        within = seen.step - self._panicked < self.window
        most = np.maximum(np.where(before, self._most, seen.total), np.maximum(stable, panic))
        self._most = np.where(within, most, 0)
        return self._delay.add(np.maximum(np.where(within, most, stable), 1))

    def take(self, columns: Chosen) -> None:
        """Go on with these columns only."""
        self.target, self.window = self.target[columns], self.window[columns]
        self._panicked, self._most = self._panicked[columns], self._most[columns]
        self._mean.take(columns)
        self._delay.take(columns)


class Static:
    """Always the same number."""

    foresees = False

    def __init__(self, *, replicas: Floats) -> None:
        self.replicas = replicas.astype(np.int64)

    def decide(self, seen: Seen) -> Counts:
        """The number."""
        del seen
        return self.replicas

    def take(self, columns: Chosen) -> None:
        """Go on with these columns only."""
        self.replicas = self.replicas[columns]
