"""An estimate with its alternatives and what is wrong with it: everything that is told about a run beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from gpucost.core.clock import format_rfc3339
from gpucost.core.training.estimating.alternatives import Alternative, alternatives, cheapest
from gpucost.core.training.estimating.estimate import Estimate, Setup, estimate
from gpucost.core.training.estimating.market import Quote
from gpucost.core.training.estimating.ranges import Range
from gpucost.core.training.estimating.work import least_gpus

_GB = 10**9


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What a run takes and costs, what would cost less, and what will not work."""

    estimate: Estimate
    alternatives: tuple[Alternative, ...]
    warnings: tuple[str, ...]

    @property
    def cheapest(self) -> Alternative | None:
        """The alternative to recommend."""
        return cheapest(self.alternatives)


@lru_cache(maxsize=256)
def appraise(setup: Setup, quotes: tuple[Quote, ...], time_zone: str = "UTC") -> Appraisal:
    """Everything that can be said of a setup at some prices."""
    base = estimate(setup, quotes)
    return Appraisal(base, alternatives(base, quotes, time_zone=time_zone), tuple(_warnings(base)))


def _warnings(base: Estimate) -> Iterator[str]:
    setup, memory = base.setup, base.memory
    if memory is not None and not memory.fits and setup.work is not None and setup.chip is not None:
        least = least_gpus(setup.work, setup.chip)
        yield (
            f"it does not fit: the state of the model takes {memory.needed / _GB:,.0f} GB and {setup.gpus} x "
            f"{setup.chip.name} have room for {memory.there / _GB:,.0f} GB; use {least} or more, or LoRA"
        )
    yield from _over_budget(base.cost, setup.most_cost, "")
    yield from _over_budget(base.gpu_hours, setup.most_gpu_hours, " GPU-hours")
    yield from _late(base)


def _over_budget(needed: Range | None, most: Decimal | None, unit: str) -> Iterator[str]:
    """Before it starts is a better time to learn that than when it is stopped."""
    if needed is None or most is None or needed.high <= most:
        return
    sure = needed.typical > most
    words, amount = ("will", needed.typical) if sure else ("may", needed.high)
    how = "typically" if sure else "at most"
    yield f"it {words} go over its budget: {how} {float(amount):,.2f}{unit}, and the limit is {most:f}{unit}"


def _late(base: Estimate) -> Iterator[str]:
    setup = base.setup
    if setup.complete_by is None:
        return
    by = format_rfc3339(setup.complete_by)
    if setup.complete_by <= setup.start:
        yield f"completeBy {by} is in the past"
    elif base.on_time is False and base.ends is not None:
        yield f"it will be late: typically done at {format_rfc3339(_second(base.ends[1]))}, completeBy is {by}"
    elif base.surely_on_time is False and base.ends is not None:
        yield f"it may be late: at worst done at {format_rfc3339(_second(base.ends[2]))}, completeBy is {by}"


def _second(instant: int) -> int:
    return instant - instant % 1_000_000
