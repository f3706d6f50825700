"""What was paid for nothing: GPUs that did not compute, and work that has to be done again because its nodes went.

The two never overlap: of the time whose work is lost, only the part is counted in which the GPUs were not measured as
idle, because that is in the first already. So their sum is part of what the run has cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gpucost.core.money import Pico
from gpucost.core.report import Amounts
from gpucost.core.training.auto.stays import Stay

IDLE = "idle"
"""GPUs that were held and did not compute, whatever the reason."""


def lost_cost(amounts: Amounts) -> Pico | None:
    """What the work of a span has cost, apart from idle GPUs; None when it has no price."""
    known = amounts.known_cost
    return None if known is None else max(0, known - amounts.held)


def lost_by_cause(stays: Iterable[Stay]) -> dict[str, Pico]:
    """What the lost work of a run has cost, by the cause of the loss; what is not known is not there."""
    found: dict[str, Pico] = {}
    for stay in stays:
        if stay.cause is not None and stay.lost_cost:
            found[str(stay.cause)] = found.get(str(stay.cause), 0) + stay.lost_cost
    return dict(sorted(found.items()))


def wasted(amounts: Amounts, lost: Mapping[str, Pico]) -> dict[str, Pico]:
    """All waste of a run by cause; `idle` is always there."""
    return {IDLE: amounts.held, **lost}
