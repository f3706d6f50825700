"""A question about one run, rounded so that many runs, and one run for a long time, ask the same.

A table (`table`) costs some milliseconds, which a pass over thousands of runs cannot spend on each. What it says
changes slowly with its question, so the operator rounds the question first: the time that is left goes up to one of a
few levels, a changeover to the nearest of a series, spot to its class of age, work and slack to the cells of the table.
What is rounded only weighs costs. What keeps deadlines (`guard`) is asked with exact numbers, before as after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from gpucost.core.clock import HOUR, MINUTE, SECOND, Micros
from gpucost.core.training.deadline.auto import age_class
from gpucost.core.training.deadline.availability import Climate, Sky
from gpucost.core.training.deadline.guard import Allowed
from gpucost.core.training.deadline.runs import NONE, Runs, Terms
from gpucost.core.training.deadline.table import CELLS, LARGEST, Shape, shape_in_steps

LEVELS, DELAYS = 2, 4
"""How many levels of time, and values of a changeover, there are between one and its double."""
QUARTERS = 4
"""Parts of a changeover that what is left of it is rounded to."""
_LEAST_TIME, _LEAST_DELAY = HOUR, 10 * SECOND
_STEPS = 125
"""Steps that half of a level is cut into: about as fine as a table for a whole run, and finer the nearer its end."""
WORKS = 64
"""Values of the work that is left, the nearer to each other the less it is."""


@dataclass(frozen=True, slots=True)
class Question:
    """Everything but work and slack that an answer depends on."""

    shape: Shape
    climate: Climate
    up: bool
    age: int
    """Class of age of the spot that is there, or of its absence."""
    mode: int
    quarters: int
    """Of the changeover, that are left of it."""
    may_wait: bool
    may_start: bool

    @property
    def delay(self) -> Micros:
        """The changeover, rounded."""
        return self.shape.cell * self.shape.per_changeover

    @property
    def works(self) -> list[Micros]:
        """What work is rounded to."""
        return [self.shape.step * self.shape.rows * i * i // (WORKS - 1) ** 2 for i in range(WORKS)]

    @property
    def slacks(self) -> list[Micros]:
        """What slack is rounded to."""
        return [self.shape.cell * i // 2 for i in range(2 * self.shape.cells - 2)]

    @property
    def left(self) -> Micros:
        """What is left of the changeover, rounded down."""
        return self.delay * self.quarters // QUARTERS

    def place(self, work: Micros, slack: Micros, changeover: Micros) -> tuple[int, int]:
        """Where to look, with what is left of a changeover counting as work: the nearest values of work and slack;
        slack that is enough for two changeovers stays enough.
        """
        row = round((WORKS - 1) * math.sqrt(work / (self.shape.step * self.shape.rows)))
        column = round(2 * max(0, slack + 2 * (self.delay - changeover)) / self.shape.cell)
        return max(1, min(row, WORKS - 1)), min(column, 2 * self.shape.cells - 3)


def question_of(terms: Terms, runs: Runs, sky: Sky, safe: Allowed) -> Question:
    """The rounded question of a batch of one run in a place with one zone."""
    shape = shape_for(reach(int(runs.time_left[0]), int(runs.work_left[0]), terms), terms)
    up, mode = bool(sky.up[0]), int(runs.mode[0])
    ages = sky.age if up else sky.age * 0 + sky.some_age
    left = int(runs.changeover_left[0]) if mode != NONE else 0
    delay = max(terms.changeover, 1)
    return Question(
        shape,
        sky.climate,
        up,
        int(age_class(ages)[0]),
        mode,
        min(QUARTERS, QUARTERS * left // delay),
        bool(safe.wait[0]),
        bool(safe.start_spot[0]) and up,
    )


def reach(time_left: Micros, work_left: Micros, terms: Terms) -> Micros:
    """The time that matters: a deadline in a thousand years is as good as one after more slack than a table has."""
    return min(time_left, work_left + CELLS * max(terms.changeover, HOUR))


def shape_for(time_left: Micros, terms: Terms) -> Shape:
    """How time is cut for a run that has so much of it left, whatever its work is and was."""
    return _shape(round_up(time_left), nearest(terms.changeover), terms.price, terms.tick)


@lru_cache(maxsize=1024)
def _shape(level: Micros, delay: Micros, price: float, tick: Micros) -> Shape:
    shape = shape_in_steps(Terms(level // 2, level, delay, price, tick), _STEPS, CELLS)
    rows = -(-level // shape.step) + 2
    return replace(shape, rows=rows, cells=max(3, min(shape.cells, LARGEST // rows)))


def round_up(time: Micros) -> Micros:
    """The level of a time."""
    level = max(0, math.ceil(LEVELS * math.log2(max(time, 1) / _LEAST_TIME)))
    return round(_LEAST_TIME * 2 ** (level / LEVELS))


def nearest(delay: Micros) -> Micros:
    """The value of the series that is nearest to a changeover; 0 stays 0."""
    if delay <= 0:
        return 0
    near = round(DELAYS * math.log2(max(delay, _LEAST_DELAY) / MINUTE))
    return max(_LEAST_DELAY, round(MINUTE * 2 ** (near / DELAYS)))
