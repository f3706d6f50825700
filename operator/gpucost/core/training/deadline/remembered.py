"""`choose` for an operator with thousands of runs: answers to rounded questions, worked out once and kept.

An answer is kept as a map: what to be on, for every amount of work and slack that a rounded question may come with. A
map is a pure function of its `Question`, so that nothing has to be dropped when the world changes: another price,
changeover, deadline, placement or sight of spot is another question, or another place on the map. Whoever forgets all
maps, as a restart does, comes to the same answers.

What a map costs is at most a table and a comparison on it, some 20 ms. `may_weigh` lets its owner put that off while
much is asked at once; where a deadline could be touched nobody is asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.training.deadline.auto import cheapest
from gpucost.core.training.deadline.availability import AGES, Climate, Sky
from gpucost.core.training.deadline.choosing import Situation, choose, chosen, observed
from gpucost.core.training.deadline.guard import Allowed, allowed
from gpucost.core.training.deadline.outlook import Choice, Outlook, Zone
from gpucost.core.training.deadline.rounding import QUARTERS, Question, question_of
from gpucost.core.training.deadline.runs import ON_DEMAND, SPOT, Runs
from gpucost.core.training.deadline.table import Shape, Table, worked_out

KEPT = 512
"""Maps at most: 16 KiB each, as a rule."""
URGENT: Micros = 15 * MINUTE
"""A run that is not on on-demand capacity and has no more than this until it must ask for it is never put off."""
_SKIES = 256


class PutOff(Exception):
    """Nothing is decided yet: the answer takes work that has to wait for its turn. Nothing is lost by looking again."""

    def __init__(self, question: Question) -> None:
        super().__init__("the choice is weighed in its turn")
        self.question = question


@dataclass
class Remembered:
    """Choices, with what was worked out for them."""

    may_weigh: Callable[[Question], bool] = lambda _question: True
    """Whether an answer may be worked out now that nobody has asked for before."""
    weighed: int = 0
    """Maps worked out so far."""
    _maps: OrderedDict[Question, NDArray[np.int8]] = field(default_factory=OrderedDict)
    _table: tuple[Shape, Climate, Table] | None = None
    _skies: dict[tuple[int, bool | None, Instant], tuple[Sequence[object], Sky]] = field(default_factory=dict)

    def choose(self, outlook: Outlook) -> Choice:
        """Where the run should be now; raises `PutOff` when that has to wait for its turn."""
        if len(outlook.zones) != 1:
            return choose(outlook)
        return chosen(outlook, self._decide, self._look)

    def _decide(self, here: Situation) -> tuple[int, int]:
        safe, mode = allowed(here.runs, here.terms), int(here.runs.mode[0])
        if mode != SPOT and not safe.wait[0] and not (safe.start_spot[0] and here.sky.up[0]):
            return ON_DEMAND, 0
        question = question_of(here.terms, here.runs, here.sky, safe)
        known = self._maps.get(question)
        if known is None:
            if not is_urgent(here) and not self.may_weigh(question):
                raise PutOff(question)
            known = self._weigh(question)
        self._maps.move_to_end(question)
        return int(known[question.place(here.outlook.work_left, here.outlook.slack)]), 0

    def _weigh(self, question: Question) -> NDArray[np.int8]:
        if self._table is None or self._table[:2] != (question.shape, question.climate):
            self._table = None  # before the next is made: a table takes up to 13 MiB
            self._table = question.shape, question.climate, worked_out(question.shape, question.climate)
        found = self._maps[question] = map_of(question, self._table[2])
        self.weighed += 1
        while len(self._maps) > KEPT:
            self._maps.popitem(last=False)
        return found

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

    def rest(self) -> None:
        """Let the last table go, when nothing is asked for a while."""
        self._table = None


def is_urgent(here: Situation) -> bool:
    """Whether a deadline could come to harm by waiting."""
    outlook = here.outlook
    return int(here.runs.mode[0]) != ON_DEMAND and outlook.slack - outlook.changeover <= URGENT


def map_of(question: Question, plan: Table) -> NDArray[np.int8]:
    """The best mode by work left and slack."""
    works, slacks = (np.array(values, dtype=np.int64) for values in (question.works, question.slacks))
    work, slack = np.repeat(works, len(slacks)), np.tile(slacks, len(works))
    all_of = np.ones(len(work), dtype=bool)
    runs = Runs(
        work,
        work + slack,
        np.full(len(work), question.delay * question.quarters // QUARTERS),
        np.full(len(work), question.mode, dtype=np.int8),
        np.zeros(len(work), dtype=np.int16),
        np.zeros(len(work)),
    )
    start = all_of & question.may_start
    safe = Allowed(all_of & question.may_wait, start, start, start)
    modes, _ = cheapest(plan, runs, sky_of(question), safe)
    return modes.reshape(len(works), len(slacks))


def sky_of(question: Question) -> Sky:
    """The sky of all that ask a question."""
    age = AGES[question.age]
    return Sky(np.array([question.up]), np.array([age], dtype=np.int64), age, question.climate)
