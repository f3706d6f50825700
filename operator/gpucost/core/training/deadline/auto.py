"""`auto`: the option whose expected cost is lowest, among those that are safe.

What an option costs on average comes from `table`, worked out from the habits of spot seen so far; what is safe comes
from `guard`. Between zones it goes to the one that is expected to keep spot longest, and stays there until it is lost:
no move between spot nodes paid for its changeover on recorded traces. Near ties fall to staying where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpucost.core.training.deadline.availability import AGES, Sky, lives
from gpucost.core.training.deadline.guard import Allowed, allowed, on_demand, on_spot
from gpucost.core.training.deadline.runs import NONE, ON_DEMAND, SPOT, Codes, Runs, Terms, Zones
from gpucost.core.training.deadline.table import CLASSES, Table, place, shape_of, spread, table

_NEAR = 1e-3
"""Steps of on-demand capacity that count for nothing: it is not worth a change, and not worth a wait."""


@dataclass(frozen=True, slots=True)
class Auto:
    """The cheapest safe option, as far as habits tell."""

    terms: Terms

    def decide(self, runs: Runs, sky: Sky) -> tuple[Codes, Zones]:
        """Expected costs of staying, spot, waiting and on-demand, compared."""
        return cheapest(table(shape_of(self.terms), sky.climate), runs, sky, allowed(runs, self.terms))


def cheapest(plan: Table, runs: Runs, sky: Sky, safe: Allowed) -> tuple[Codes, Zones]:
    """Of what is safe, mode and zone of the lowest expected cost in a table."""
    shape = plan.shape
    classes = age_class(sky.age)
    best, some = best_zone(sky, classes), bool(sky.up.any())
    fresh = safe.start_spot & ~on_spot(runs) & some
    weather = int(classes[best]) if some else CLASSES + int(age_class(np.array([sky.some_age]))[0])
    here = place(shape, runs.work_left + runs.changeover_left, runs.slack - runs.changeover_left)
    free = place(shape, runs.work_left, runs.slack)
    costs = [
        spread(on_spot(runs), here.of(plan.stay_spot, classes[runs.zone])),
        spread(on_demand(runs), here.of(plan.stay_on_demand, weather)),
        free.of(plan.on_demand, weather) + _NEAR,
        spread(fresh, free.of(plan.spot, weather if some else 0)) + _NEAR,
        spread(safe.wait, free.of(plan.wait, weather)) + 2 * _NEAR,
    ]
    choice = np.argmin(costs, axis=0)
    modes = np.array([SPOT, ON_DEMAND, ON_DEMAND, SPOT, NONE], dtype=np.int8)[choice]
    return modes, np.where(choice == 0, runs.zone, best).astype(np.int16)


def age_class(ages: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of each age."""
    found: NDArray[np.int64] = np.searchsorted(np.array(AGES), ages, side="right") - 1
    return found


def best_zone(sky: Sky, classes: NDArray[np.int64]) -> int:
    """The zone with spot that is expected to keep it longest; 0 when none has any."""
    if len(sky.up) == 1:
        return 0
    lengths = [
        lives(habits)[age] if up else -1.0 for habits, age, up in zip(sky.climate.zones, classes, sky.up, strict=True)
    ]
    return int(np.argmax(lengths))
