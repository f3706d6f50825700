"""`choose` for an operator with thousands of runs: answers to rounded questions, worked out once and kept.

An answer is kept as a map: what to be on, for every amount of work and slack that a rounded question may come with. A
map is a pure function of its `Question`, so that nothing has to be dropped when the world changes: another price,
changeover, deadline, placement or sight of spot is another question, or another place on the map. Whoever forgets all
maps, as a restart does, comes to the same answers.

A map costs a table and a comparison on it. `turn` lets its owner put that off while much is asked at once; where a
deadline could come to harm nobody is asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.training.deadline.auto import cheapest
from gpucost.core.training.deadline.availability import AGES, Sky
from gpucost.core.training.deadline.choosing import Situation, choose, chosen, observed
from gpucost.core.training.deadline.guard import Allowed
from gpucost.core.training.deadline.outlook import Choice, Outlook, PutOff, Zone
from gpucost.core.training.deadline.rounding import Question, question_of
from gpucost.core.training.deadline.runs import ON_DEMAND, SPOT, Runs, Terms
from gpucost.core.training.deadline.table import Table, worked_out

KEPT = 512
"""Maps at most, of 16 KiB each as a rule."""
URGENT: Micros = 15 * MINUTE
"""A run that has no more than this until it must ask for on-demand capacity is never put off."""
_SKIES = 256


@dataclass
class Remembered:
    """Choices, with what was worked out for them."""

    turn: Callable[[Question], Instant | None] = lambda _question: None
    """When an answer may be worked out that nobody has asked for before; None: now."""
    weighed: int = 0
    """Maps worked out so far."""
    _maps: OrderedDict[Question, NDArray[np.int8]] = field(default_factory=OrderedDict)
    _skies: dict[tuple[int, bool | None, Instant], tuple[Sequence[object], Sky]] = field(default_factory=dict)

    def choose(self, outlook: Outlook) -> Choice:
        """Where the run should be now; raises `PutOff` when that has to wait for its turn."""
        if len(outlook.zones) != 1:
            return choose(outlook)
        return chosen(outlook, self._decide, self._look)

    def _decide(self, here: Situation) -> tuple[int, int]:
        return self.mode(here.terms, here.runs, here.sky, here.safe, urgent=is_urgent(here)), 0

    def mode(self, terms: Terms, runs: Runs, sky: Sky, safe: Allowed, *, urgent: bool = False) -> int:
        """What a run, a batch of one in a place with one zone, should be on."""
        mode = int(runs.mode[0])
        if mode != SPOT and not safe.wait[0] and not (safe.start_spot[0] and sky.up[0]):
            return ON_DEMAND  # nothing else is left, whatever it costs
        question = question_of(terms, runs, sky, safe)
        if question not in self._maps:
            until = None if urgent else self.turn(question)
            if until is not None:
                raise PutOff(until)
            self._weigh(question)
        self._maps.move_to_end(question)
        left = int(runs.changeover_left[0])
        place = question.place(int(runs.work_left[0]) + left, int(runs.slack[0]) - left, terms.changeover)
        return int(self._maps[question][place])

    def _weigh(self, question: Question) -> None:
        self._maps[question] = map_of(question, worked_out(question.shape, question.climate))
        self.weighed += 1
        while len(self._maps) > KEPT:
            self._maps.popitem(last=False)

    def _look(self, zones: Sequence[Zone], now: Instant) -> Sky:
        """Spot at the last whole minute, once for all runs that share a history."""
        (zone,), minute = zones, now - now % MINUTE
        key = (id(zone.history), zone.available, minute)
        known = self._skies.get(key)
        if known is None or known[0] is not zone.history:
            if len(self._skies) >= _SKIES:
                self._skies.clear()
            known = self._skies[key] = zone.history, observed(zones, minute)
        return known[1]


def is_urgent(here: Situation) -> bool:
    """Whether a deadline could come to harm by waiting; on on-demand capacity it cannot."""
    outlook = here.outlook
    return int(here.runs.mode[0]) != ON_DEMAND and outlook.slack - outlook.changeover <= URGENT


def map_of(question: Question, plan: Table) -> NDArray[np.int8]:
    """The best mode by work left and slack."""
    works, slacks = (np.array(values, dtype=np.int64) for values in (question.works, question.slacks))
    work, slack = np.repeat(works, len(slacks)), np.tile(slacks, len(works))
    every = np.ones(len(work), dtype=bool)
    runs = Runs(
        np.maximum(work - question.left, 0),
        np.maximum(work + slack, question.left),
        np.full(len(work), question.left),
        np.full(len(work), question.mode, dtype=np.int8),
        np.zeros(len(work), dtype=np.int16),
        np.zeros(len(work)),
    )
    start = every & question.may_start
    modes, _ = cheapest(plan, runs, _sky(question), Allowed(every & question.may_wait, start, start, start))
    return modes.reshape(len(works), len(slacks))


def _sky(question: Question) -> Sky:
    """The sky of all that ask a question."""
    age = AGES[question.age]
    return Sky(np.array([question.up]), np.array([age], dtype=np.int64), age, question.climate)
