"""The world of serving: replicas of one endpoint and one queue, in steps of 15 s, for all settings of a policy at
once.

At the beginning of a step the policy sees how many replicas there are and the metrics of the last step that ended 30
s ago, and decides. A replica that is asked for is billed from then on and serves when its ready time is over, at the
beginning of a step. Removed are those that are not ready first, the youngest of them, and they are gone at once. What
arrives waits in one queue, first in, first out, and ready replicas take from it like a fluid. A request is late when
it is not served in the step in which it arrives or the next.

Replicas go in the reverse order of their coming, so a replica is ready if and only if the total was never below its
number since its ready time began: the number of ready replicas is the smallest total over that time. No list of them
is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpucost.core.serving.replicas.policies import Times
from gpucost.core.serving.replicas.seen import STEP_SECONDS, Chosen, Counts, Floats, Policy, Seen

_MINUTE = 4
_SELDOM = 2000
"""Steps between reports of progress."""
AGE = 3
"""Steps from the beginning of the step that metrics are of until they are seen: the step, and 30 s."""

Told = Callable[[int, float, Floats, Floats, Counts, Counts], None]
"""Told of every step: step, arrived, served, late of the step before, ready, billed; in requests."""


@dataclass(slots=True)
class Span:
    """What became of every setting in a span of steps."""

    late: Floats
    """Part of the requests that arrived in it."""
    exposed: Floats
    """How much of the span's highest load could not have been served at any moment: the mean square of the part."""
    hours: Floats
    """GPU-hours, of a replica with one GPU."""
    changes: Counts
    """Steps in which the total changed."""


class Fleet:
    """Replicas and queue of every setting; work is in replica-steps."""

    def __init__(self, arrivals: Floats, throughput: float, ready_steps: int, count: int, most: int) -> None:
        self.unit = throughput * STEP_SECONDS
        """Requests that a replica serves in a step."""
        self.work = arrivals / self.unit
        self.times = Times(ready_steps, AGE)
        self.most = most
        begin = min(max(1, int(np.ceil(float(self.work[:40].mean())))), most)
        self.total = np.full(count, begin, dtype=np.int64)
        self.least = np.full((max(1, ready_steps), count), begin, dtype=np.int32)
        """The smallest total since each of the last steps, in a ring; `step` is where the oldest is."""
        self.queue = np.zeros(count)
        self.served_before = [np.full(count, float(self.work[0]))] * AGE
        self.queue_before = [np.zeros(count)] * AGE
        self.step = 0

    def take(self, columns: Chosen) -> None:
        """Go on with these settings only."""
        self.total, self.queue = self.total[columns], self.queue[columns]
        self.least = self.least[:, columns]
        self.served_before = [one[columns] for one in self.served_before]
        self.queue_before = [one[columns] for one in self.queue_before]

    def play(
        self,
        policy: Policy,
        until: int,
        told: Told | None = None,
        progress: Callable[[int], None] = lambda _step: None,
    ) -> Span:
        """Let time pass up to a step; requests of the last step get the next step's chance from the same replicas."""
        first, count = self.step, len(self.total)
        late, exposed = np.zeros(count), np.zeros(count)
        highest = self._highest(first, until)
        billed, changes = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        for step in range(first, until):
            if step % _SELDOM == 0:
                progress(step)
            ready, coming = self._course(ahead=policy.foresees)
            decided = np.minimum(np.maximum(policy.decide(self._seen(step, ready, coming)), 1), self.most)
            changes += decided != self.total
            ready = self._change(decided, ready)
            arrived = float(self.work[step])
            served = np.minimum(self.queue + arrived, ready)
            self.queue = self.queue + arrived - served
            missed = np.minimum(np.maximum(self.queue - arrived, 0.0), self.work[step - 1]) if step else np.zeros(count)
            if step > first:
                late += missed
            exposed += np.maximum(1 - ready / highest, 0.0) ** 2
            billed += self.total
            self._remember(step, served)
            if told is not None:
                told(step, arrived * self.unit, served * self.unit, missed * self.unit, ready, self.total)
        late += self.last_late()
        whole = max(float(self.work[first:until].sum()), 1e-12)
        return Span(
            late / whole,
            exposed / max(until - first, 1),
            np.asarray(billed * (STEP_SECONDS / 3600), dtype=np.float64),
            changes,
        )

    def _highest(self, first: int, until: int) -> float:
        """The highest load of a minute."""
        sums = np.concatenate(([0.0], np.cumsum(self.work[first:until])))
        width = min(_MINUTE, until - first)
        return max(float((sums[width:] - sums[:-width]).max()) / width, 1e-9) if width else 1.0

    def last_late(self) -> Floats:
        """Late of the last step's requests, if the same replicas served on and nothing more came."""
        found: Floats = np.minimum(np.maximum(self.queue - self._course()[0], 0.0), self.work[self.step - 1])
        return found

    def _course(self, *, ahead: bool = False) -> tuple[Counts, Floats]:
        """Ready replicas now, and (`ahead`) the replica-steps until a new one would be ready, if the total stays."""
        if self.times.ready == 0:
            return self.total, np.zeros(len(self.total))
        ready = self.least[self.step % self.times.ready].astype(np.int64)
        if not ahead:
            return ready, np.zeros(len(self.total))
        return ready, np.add.reduce(self.least, axis=0, dtype=np.int32).astype(np.float64)

    def _seen(self, step: int, ready: Counts, coming: Floats) -> Seen:
        oldest = step % AGE
        arrived = float(self.work[max(step - AGE, 0)])
        return Seen(step, arrived, self.served_before[oldest], self.queue_before[oldest], ready, self.total, coming)

    def _change(self, decided: NDArray[np.int64], ready: Counts) -> Counts:
        self.total = decided
        if self.times.ready == 0:
            return decided
        fewest = decided.astype(np.int32)
        np.minimum(self.least, fewest, out=self.least)
        self.least[self.step % self.times.ready] = fewest
        found: Counts = np.minimum(ready, decided)
        return found

    def _remember(self, step: int, served: Floats) -> None:
        self.served_before[step % AGE], self.queue_before[step % AGE] = served, self.queue
        self.step = step + 1
