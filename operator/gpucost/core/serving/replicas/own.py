"""The policy of the operator: each replica has to be worth what it costs.

A replica is kept while it may be needed before it could be had again, and asked for when it may be needed once it is
there; what "may" means are two chances, `keep` and `add`, which are the price of a replica's time in terms of late
requests. What is needed for the present load comes on top, less what a queue may hold without anyone being late.
After a jump that was not foreseen everything that arrives is late until the queue is gone: so as many replicas are
asked for as empty it quickly after their start, counted from what will wait by then, and none is removed before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpucost.core.serving.replicas.demand import Demand, Expected
from gpucost.core.serving.replicas.habits import needed
from gpucost.core.serving.replicas.seen import Chosen, Counts, Floats, Seen

FREE = 0.5
"""Replica-steps of queue for each replica that do not call for help: what waits less than a step is late for nobody."""
BUDGET = 0.3
"""Replica-steps of queue for each replica that may build up until another is ready."""
_EXACT = 1e-9


class Own:
    """`gpucost`: one stream of arrivals, any number of settings."""

    foresees = True

    def __init__(
        self, *, lead: int, age: int, keep: Floats, add: Floats, drain: Floats, busy: Floats, floor: Floats
    ) -> None:
        self.demand = Demand(lead)
        self.lead, self.age = lead, age
        """Steps from the step of the metrics until a replica asked for now is ready, and until now."""
        self.keep, self.add, self.drain, self.busy, self.floor = keep, add, drain, busy, floor
        self.expected: Expected | None = None
        self.backlog: Floats = np.zeros(len(keep))
        self._logarithms()

    def _logarithms(self) -> None:
        self._log_keep, self._which_keep = np.unique(np.log(self.keep), return_inverse=True)
        self._log_add, self._which_add = np.unique(np.log(self.add), return_inverse=True)

    def decide(self, seen: Seen) -> Counts:
        """As many as are needed now, and as are worth their cost."""
        expected = self.expected = self.demand.update(seen.arrived)
        self.backlog = self._backlog(expected.level, seen)
        waits = self.waits(seen)
        now = np.maximum(self._now(expected.level, seen), self.floor * expected.peak)
        share = self.lead / (self.lead + BUDGET) * expected.base / self.busy
        add = np.exp(needed(expected.curves.far, self._log_add) * expected.scale)[self._which_add]
        keep = np.exp(needed(expected.curves.near, self._log_keep) * expected.scale)[self._which_keep]
        add, keep = np.maximum(share * add, now), np.maximum(share * keep, now)
        low = np.ceil(add - _EXACT)
        high = np.maximum(np.ceil(keep - _EXACT), low)
        high = np.where(waits, np.maximum(high, seen.total), high)
        found: Counts = np.maximum(np.minimum(np.maximum(seen.total, low), high), 1).astype(np.int64)
        return found

    def waits(self, seen: Seen) -> NDArray[np.bool_]:
        """Whether more waits, or will, than is late for nobody."""
        allowed = FREE * seen.ready
        found: NDArray[np.bool_] = (self.backlog > allowed) | (seen.queue > allowed)
        return found

    def _backlog(self, load: float, seen: Seen) -> Floats:
        """What will wait when a replica that is asked for now is ready, if nothing is changed."""
        if self.lead <= self.age:
            return seen.queue
        done = (seen.coming + self.age * seen.ready) * seen.pace
        left: Floats = np.maximum(seen.queue + load * self.lead - done, 0.0)
        return left

    def _now(self, load: float, seen: Seen) -> Floats:
        """What the present load needs, with what will wait when more could be there."""
        steady = (load * self.lead + seen.queue) / (self.lead + BUDGET)
        allowed = FREE * seen.ready
        drained = load + (self.backlog - allowed / 2) * self.busy / self.drain
        found: Floats = np.where(self.backlog > allowed, np.maximum(steady, drained), steady) / self.busy
        return found

    def take(self, columns: Chosen) -> None:
        """Go on with these columns only."""
        for name in ("keep", "add", "drain", "busy", "floor", "backlog"):
            setattr(self, name, getattr(self, name)[columns])
        self._logarithms()
