"""The table of expected costs against its definition, worked out state by state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import MINUTE
from gpucost.core.training.deadline.availability import Climate, Habits
from gpucost.core.training.deadline.table import CLASSES, Shape, Table, chain, worked_out

NEVER = 1e9
RATES = st.tuples(*[st.floats(0.02, 3.0) for _ in range(CLASSES)])


@st.composite
def climates(draw: st.DrawFn) -> Climate:
    used = Habits(draw(RATES), draw(RATES))
    return Climate((used,), used, Habits(draw(RATES), draw(RATES)), draw(st.sampled_from([0.0, 0.3, 1.0])))


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    per_step, per_changeover = draw(st.sampled_from([(1, 0), (1, 1), (1, 3), (2, 1), (4, 1)]))
    return Shape(
        draw(st.sampled_from([1, 5, 15])) * MINUTE,
        per_step,
        per_changeover,
        draw(st.integers(2, 9)),
        draw(st.integers(3, 11)),
        0.35,
    )


class Definition:
    """Each option's cost: what the step costs, and what is expected of the best options after it."""

    def __init__(self, shape: Shape, climate: Climate) -> None:
        self.shape = shape
        self.held, self.lost = (np.array(one, dtype=float) for one in chain(climate, shape.step))
        self.grids = {
            name: np.full((shape.rows, shape.cells, CLASSES * (1 if name in {"spot", "stay_spot"} else 2)), NEVER)
            for name in Table.__slots__[1:]
        }
        for row in range(shape.rows):
            for cell in range(shape.cells):
                self._fill(row, cell)

    def _fill(self, row: int, cell: int) -> None:
        work = row - cell / self.shape.per_step
        for weather in range(2 * CLASSES):
            for name, grid in self.grids.items():
                if weather < grid.shape[2]:
                    grid[row, cell, weather] = getattr(self, name)(row, cell, weather, work) if work > 0 else 0

    # --- options ------------------------------------------------------------------------------------------------------

    def wait(self, row: int, cell: int, weather: int, _work: float) -> float:
        step = self.shape.per_step
        if cell < self.shape.per_changeover + step:
            return NEVER
        return self._expected(self._idle, row - 1, cell - step, weather, self.held + self.lost)

    def on_demand(self, row: int, cell: int, weather: int, work: float) -> float:
        delay = self.shape.per_changeover
        if cell < delay:
            return NEVER
        rest = self._expected(self._on_demand, row - 1, cell - delay, weather, self.held + self.lost)
        return min(work + delay / self.shape.per_step, 1) + rest

    def stay_on_demand(self, row: int, cell: int, weather: int, work: float) -> float:
        return min(work, 1) + self._expected(self._on_demand, row - 1, cell, weather, self.held + self.lost)

    def spot(self, row: int, cell: int, weather: int, work: float) -> float:
        delay = self.shape.per_changeover
        if cell < 2 * delay:
            return NEVER
        charged = min(work + delay / self.shape.per_step, 1)
        return self.shape.price * charged + self._after_spot(row - 1, cell - delay, weather)

    def stay_spot(self, row: int, cell: int, weather: int, work: float) -> float:
        return self.shape.price * min(work, 1) + self._after_spot(row - 1, cell, weather)

    # --- what comes after ---------------------------------------------------------------------------------------------

    def _after_spot(self, row: int, cell: int, weather: int) -> float:
        kept = self._expected(self._on_spot, row, cell, weather, self.held)
        return kept + self._expected(self._idle, row, cell, weather, self.lost)

    def _expected(self, of: Any, row: int, cell: int, weather: int, chances: Any) -> float:
        return float(sum(chances[weather, then] * of(row, cell, then) for then in range(2 * CLASSES)))

    def _idle(self, row: int, cell: int, weather: int) -> float:
        return self._best(("wait", "on_demand", "spot"), row, cell, weather)

    def _on_spot(self, row: int, cell: int, weather: int) -> float:
        return self._best(("wait", "on_demand", "spot", "stay_spot"), row, cell, weather)

    def _on_demand(self, row: int, cell: int, weather: int) -> float:
        return self._best(("wait", "on_demand", "spot", "stay_on_demand"), row, cell, weather)

    def _best(self, names: tuple[str, ...], row: int, cell: int, weather: int) -> float:
        grids = (self.grids[name] for name in names)
        return float(min(grid[row, cell, weather] for grid in grids if weather < grid.shape[2]))


@settings(max_examples=25, deadline=None)
@given(shapes(), climates())
def test_the_table_is_what_it_is_defined_to_be(shape: Shape, climate: Climate) -> None:
    made, wanted = worked_out(shape, climate), Definition(shape, climate).grids
    for name in Table.__slots__[1:]:
        grid, by_hand = np.array(getattr(made, name), dtype=float), wanted[name]
        assert grid.shape == by_hand.shape, name
        assert grid == pytest.approx(by_hand, rel=1e-4, abs=1e-4), name
