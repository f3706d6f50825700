"""What the rest of a run costs on average, by work and time left: a table worked out backwards from the deadline.

Time goes in steps, slack (time left beyond the work left) in cells; a step and a changeover are whole numbers of cells,
so that the table charges a changeover exactly. A changeover is charged where it begins: slack falls by it at once and
what is left of it counts as work, so that a run on nodes loses no slack any more. The weather is a chain over classes
of age of "there is spot" and "there is none", with the habits of the climate. For each row (steps left), cell and
weather the table holds the expected cost of every option, in steps of on-demand capacity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpucost.core.clock import HOUR, MINUTE, SECOND, Micros
from gpucost.core.training.deadline.availability import AGES, Climate
from gpucost.core.training.deadline.runs import Floats, Mask, Terms, Times

CLASSES = len(AGES)
_STEPS = 240
"""Steps that the work of a run is cut into, where ticks are not longer and the table does not become too large."""
CELLS = 200
"""Cells at most: slack for more changeovers than that is worth no more, and steps have to stay short."""
_FEWEST_CELLS = 16
LARGEST = 50_000
"""Rows x cells at most: 13 MiB."""
_KEPT = 8
_NEVER = np.float32(1e9)
_WAIT, _BEGIN, _BEGIN_SPOT, _STAY, _STAY_SPOT, _SPOT_END = (CLASSES * n for n in (0, 2, 4, 5, 7, 8))
"""Where the costs of each option begin in a row that is being worked out."""

Grid = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shape:
    """How time is cut."""

    cell: Micros
    per_step: int
    """Cells of a step."""
    per_changeover: int
    """Cells of a changeover."""
    rows: int
    cells: int
    price: float
    """Of spot, as a part of on-demand."""

    @property
    def step(self) -> Micros:
        """A step of time."""
        return self.cell * self.per_step


@dataclass(frozen=True, slots=True)
class Table:
    """Expected cost of each option by row, cell and weather (classes with spot, then classes without)."""

    shape: Shape
    wait: Grid
    on_demand: Grid
    stay_on_demand: Grid
    spot: Grid
    """Of weather with spot only."""
    stay_spot: Grid


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs are in a table: the corners around them, and how near they are to each."""

    row: NDArray[np.int64]
    cell: NDArray[np.int64]
    down: Floats
    right: Floats

    def of(self, grid: Grid, weather: int | NDArray[np.int64]) -> Floats:
        """Values between the corners."""
        row, cell = self.row, self.cell
        low = grid[row, cell, weather] * (1 - self.right) + grid[row, cell + 1, weather] * self.right
        high = grid[row + 1, cell, weather] * (1 - self.right) + grid[row + 1, cell + 1, weather] * self.right
        found: Floats = low * (1 - self.down) + high * self.down
        return found


def shape_of(terms: Terms) -> Shape:
    """Steps and cells for runs with these terms, however far away their deadline is."""
    steps, cells = _STEPS, CELLS
    shape = shape_in_steps(terms, steps, cells)
    while shape.rows * shape.cells > LARGEST and (steps > 1 or cells > _FEWEST_CELLS):
        steps, cells = (steps * 3 // 4, cells) if steps > 1 else (1, cells * 3 // 4)
        shape = shape_in_steps(terms, steps, cells)
    return shape


def shape_in_steps(terms: Terms, steps: int, most_cells: int) -> Shape:
    """Steps and cells where the work is cut into so many steps, if ticks are not longer."""
    delay = _rounded(terms.changeover)
    step = max(terms.tick, -(-terms.work // steps), delay // _STEPS)
    if delay == 0:
        cell, per_step, per_changeover = step, 1, 0
    elif delay >= step:
        per_step, per_changeover = 1, round(delay / step)
        cell = -(-delay // per_changeover)
    else:
        per_step, per_changeover = round(step / delay), 1
        cell = delay
    cells = min(most_cells, terms.slack // cell + 2)
    reach = min(terms.time, terms.work + terms.changeover + cells * cell)  # no place lies beyond its work and all cells
    rows = -(-reach // (cell * per_step)) + 2
    return Shape(cell, per_step, per_changeover, rows, max(cells, 3), round(terms.price, 2))


def _rounded(delay: Micros) -> Micros:
    """A changeover as tables have it: one that grows by the second, with work that is not saved, shares them."""
    unit = next(
        (unit for unit, least in ((MINUTE, 8 * MINUTE), (30 * SECOND, 2 * MINUTE)) if delay >= least), 10 * SECOND
    )
    return -(-delay // unit) * unit


def place(shape: Shape, work_left: Times, slack: Times) -> Place:
    """Where runs are; more slack than the table has counts as all that it has."""
    right = np.clip(slack / shape.cell, 0, shape.cells - 1)
    down = np.clip((work_left + right * shape.cell) / shape.step, 0, shape.rows - 1)
    row = np.minimum(down.astype(np.int64), shape.rows - 2)
    cell = np.minimum(right.astype(np.int64), shape.cells - 2)
    return Place(row, cell, down - row, right - cell)


@lru_cache(maxsize=_KEPT)
def table(shape: Shape, climate: Climate) -> Table:
    """The table of a shape and a climate, worked out once for those who ask in turn."""
    return worked_out(shape, climate)


def worked_out(shape: Shape, climate: Climate) -> Table:
    """Work out a table, from no time left upwards.

    A row is a few operations on all options at once: their costs lie below each other, with the cells side by side.
    """
    held, lost = chain(climate, shape.step)
    k, rows, cells = CLASSES, shape.rows, shape.cells
    delay, step = shape.per_changeover, shape.per_step
    expect = _expectations(held, lost)
    stays, begins = _charges(shape)
    grid = np.zeros((rows, _SPOT_END, cells), dtype=np.float32)
    values = np.zeros((5 * k, cells), dtype=np.float32)
    none, dear, spot = values[: 2 * k], values[2 * k : 4 * k], values[4 * k :]
    for row in range(1, rows):
        costs, rest, over = grid[row], expect @ values, row * step
        first = rows * step - over
        costs[_WAIT:_STAY] = _NEVER
        if delay + step < cells:
            costs[_WAIT:_BEGIN, delay + step :] = rest[: 2 * k, delay : cells - step]
        if delay < cells:
            begin, after = begins[:, first + delay : first + cells], rest[:, : cells - delay]
            np.add(begin[0], after[2 * k : 4 * k], out=costs[_BEGIN:_BEGIN_SPOT, delay:])
            np.add(begin[1], after[4 * k :], out=costs[_BEGIN_SPOT:_STAY, delay:])
            costs[_BEGIN_SPOT:_STAY, : 2 * delay] = _NEVER
        stay = stays[:, first : first + cells]
        np.add(stay[0], rest[2 * k : 4 * k], out=costs[_STAY:_STAY_SPOT])
        np.add(stay[1], rest[4 * k :], out=costs[_STAY_SPOT:])
        costs[:, over:] = 0
        np.minimum(costs[_WAIT:_BEGIN], costs[_BEGIN:_BEGIN_SPOT], out=none)
        np.minimum(none[:k], costs[_BEGIN_SPOT:_STAY], out=none[:k])
        np.minimum(none, costs[_STAY:_STAY_SPOT], out=dear)
        np.minimum(none[:k], costs[_STAY_SPOT:], out=spot)
    wide = grid.transpose(0, 2, 1)
    return Table(
        shape,
        wait=wide[..., _WAIT:_BEGIN],
        on_demand=wide[..., _BEGIN:_BEGIN_SPOT],
        stay_on_demand=wide[..., _STAY:_STAY_SPOT],
        spot=wide[..., _BEGIN_SPOT:_STAY],
        stay_spot=wide[..., _STAY_SPOT:],
    )


def _expectations(held: Grid, lost: Grid) -> Grid:
    """What is expected of a step on nothing, on on-demand and on spot capacity, from the values after it: a matrix."""
    k = CLASSES
    found = np.zeros((5 * k, 5 * k), dtype=np.float32)
    found[: 2 * k, : 2 * k] = found[2 * k : 4 * k, 2 * k : 4 * k] = held + lost
    found[4 * k :, : 2 * k], found[4 * k :, 4 * k :] = lost[:k], held[:k, :k]
    return found


def _charges(shape: Shape) -> tuple[Grid, Grid]:
    """What a step on nodes is charged, and one that begins there, with on-demand and with spot capacity.

    By cells of slack beyond the row's time: the row of a table looks at them from its own place on.
    """
    step = shape.per_step
    work = -np.arange(-shape.rows * step, shape.cells, dtype=np.float64) / step
    price = np.array([[1.0], [shape.price]])
    stays = price * np.clip(work, 0, 1)
    begins = price * np.clip(work + shape.per_changeover / step, 0, 1)
    return stays.astype(np.float32), begins.astype(np.float32)


def chain(climate: Climate, step: Micros) -> tuple[Grid, Grid]:
    """Chances from weather to weather in a step: those in which the zone in use keeps spot, and the others."""
    k = CLASSES
    held, lost = np.zeros((2 * k, 2 * k)), np.zeros((2 * k, 2 * k))
    ends, older = _per_step(climate.used.up, step), _older(step)
    for age in range(k):
        _grow(held, age, age, 1 - ends[age], older)
    lost[:k, :k] = (ends * climate.refuge)[:, None] * _ages_met(ends, older)
    lost[:k, k] = ends * (1 - climate.refuge)
    begins = _per_step(climate.any.down, step)
    for age in range(k):
        _grow(lost, k + age, age, 1 - begins[age], older)
        lost[k + age, 0] = begins[age]
    return held.astype(np.float32), lost.astype(np.float32)


def _grow(chances: NDArray[np.float64], at: int, age: int, stays: float, older: NDArray[np.float64]) -> None:
    chances[at, at] += stays * (1 - older[age])
    if age + 1 < CLASSES:
        chances[at, at + 1] += stays * older[age]


def _per_step(rates: tuple[float, ...], step: Micros) -> NDArray[np.float64]:
    ends: NDArray[np.float64] = 1 - np.exp(-np.array(rates) * step / HOUR)
    return ends


def _older(step: Micros) -> NDArray[np.float64]:
    """Chance to grow into the next class of age."""
    widths = np.diff(np.array([*AGES, np.inf]))
    grown: NDArray[np.float64] = np.minimum(1.0, step / widths)
    return grown


def _ages_met(ends: NDArray[np.float64], older: NDArray[np.float64]) -> NDArray[np.float64]:
    """How old a span is that one comes upon: shares of time that spans spend in each class."""
    reached, shares = 1.0, []
    for end, grow in zip(ends, older, strict=True):
        leave = end + (1 - end) * grow
        shares.append(reached / leave if leave else 0.0)
        reached *= (1 - end) * grow / leave if leave else 0.0
    met = np.array(shares)
    found: NDArray[np.float64] = met / met.sum()
    return found


def spread(mask: Mask, values: Floats) -> Floats:
    """Values where a choice is open, and more than any cost where it is not."""
    found: Floats = np.where(mask, values, np.inf)
    return found
