"""From what shall run to hours and money, with the bounds of both and everything that was assumed on the way."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from gpucost.core.clock import HOUR, Instant, Micros
from gpucost.core.model import CapacityType
from gpucost.core.training.estimating.assuming import assumptions
from gpucost.core.training.estimating.chips import Chip, chip_of
from gpucost.core.training.estimating.market import Quote, choose
from gpucost.core.training.estimating.placing import Stay, on_one, on_schedule
from gpucost.core.training.estimating.ranges import Range
from gpucost.core.training.estimating.work import Work, room, running_hours
from gpucost.core.training.spec import Schedule

STRETCH = Range.of(1, Fraction(105, 100), Fraction(110, 100))
"""How much longer a run takes on spot capacity: never interrupted, and by Young's formula with a minute per checkpoint
and twelve for each changeover, interrupted once a day (4.6 %) and every six hours (10.7 %)."""

_NOTHING = Fraction(0)


class Placing(StrEnum):
    """On which capacity it runs."""

    ON_DEMAND = "OnDemand"
    SPOT = "Spot"
    SCHEDULED = "Scheduled"
    AUTO = "Auto"


@dataclass(frozen=True, slots=True)
class Setup:
    """What shall run, where, and from when on."""

    gpus: int
    gpu_model: str = ""
    """Empty: nobody knows."""
    instance_type: str = ""
    placing: Placing = Placing.ON_DEMAND
    schedule: Schedule | None = None
    work: Work | None = None
    duration: Micros | None = None
    """Running time, when somebody knows it; it goes before what the formula says."""
    start: Instant = 0
    complete_by: Instant | None = None
    most_cost: Decimal | None = None
    """The run's budget in money."""
    most_gpu_hours: Decimal | None = None
    is_based: bool = False
    """It goes on from a base model, so it is no training from scratch."""
    adopts: str = ""
    """The workload that is taken over, whose GPUs are not in the specification."""

    @property
    def chip(self) -> Chip | None:
        """What is known of the GPU."""
        return chip_of(self.gpu_model) if self.gpu_model else None


@dataclass(frozen=True, slots=True)
class Fit:
    """Memory for the state of the model, in bytes over all GPUs."""

    needed: int
    there: int

    @property
    def fits(self) -> bool:
        """Whether there is enough of it."""
        return self.needed <= self.there


@dataclass(frozen=True, slots=True)
class Estimate:
    """Hours and money; None is not known, and `unknown` says why."""

    setup: Setup
    hours: Range | None
    """Running time."""
    ends: tuple[Instant, Instant, Instant] | None
    gpu_hours: Range | None
    spot_share: Fraction | None
    """Of the running time, typically; None where that is decided as it goes."""
    cost: Range | None
    hourly: Range | None
    """Of all GPUs together while they run."""
    prices: tuple[Quote, ...]
    memory: Fit | None
    assumes: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def on_time(self) -> bool | None:
        """Whether it is done by the deadline: typically. None without a deadline, or when nobody knows."""
        if self.setup.complete_by is None or self.ends is None:
            return None
        return self.ends[1] <= self.setup.complete_by

    @property
    def surely_on_time(self) -> bool | None:
        """Whether it is done by the deadline even when it takes longest."""
        if self.setup.complete_by is None or self.ends is None:
            return None
        return self.ends[2] <= self.setup.complete_by


def estimate(setup: Setup, quotes: tuple[Quote, ...]) -> Estimate:
    """What a run takes and costs at the prices of now."""
    unknown: list[str] = []
    work_hours = _work_hours(setup, unknown)
    prices = _prices(setup, quotes, unknown)
    stays = None if work_hours is None else _stays(setup, work_hours, unknown)
    hours = None if stays is None else Range(*(stay.hours for stay in stays))
    return Estimate(
        setup=setup,
        hours=hours,
        ends=None if stays is None else (stays[0].end, stays[1].end, stays[2].end),
        gpu_hours=None if hours is None else hours.scaled(setup.gpus),
        spot_share=None if stays is None or setup.placing is Placing.AUTO else _share(stays[1]),
        cost=None if stays is None else _cost(setup, stays, prices),
        hourly=_hourly(setup, prices),
        prices=tuple(prices.values()),
        memory=_memory(setup),
        assumes=assumptions(setup),
        unknown=tuple(unknown),
    )


def _work_hours(setup: Setup, unknown: list[str]) -> Range | None:
    """Running time without interruptions."""
    if setup.duration is not None:
        return Range.of(Fraction(setup.duration, HOUR))
    if setup.work is None:
        unknown.append("how long it runs: set expectedDuration, or model.parameters and model.tokens")
        return None
    if not setup.gpus:
        unknown.append(f"how long it runs: {_no_gpus(setup)}")
        return None
    if not setup.gpu_model:
        if setup.instance_type:
            unknown.append(f"the GPU of {setup.instance_type}: set model.gpu")
        return None
    chip = setup.chip
    if chip is None:
        unknown.append(f"how fast {setup.gpu_model} is: no peak of it is known here; set expectedDuration")
        return None
    hours = running_hours(setup.work, chip, setup.gpus)
    if hours is None:
        wanted = setup.work.precision or "BF16 or FP16"
        unknown.append(f"how fast {chip.name} is in {wanted}: it has no such peak; use another model.precision")
    return hours


def _no_gpus(setup: Setup) -> str:
    if setup.adopts:
        return f"only {setup.adopts} says how many GPUs it has; put its manifest beside it"
    return "only GPUs are estimated, and it asks for no GPU"


def _kinds(setup: Setup) -> tuple[CapacityType, ...]:
    one = {Placing.ON_DEMAND: CapacityType.ON_DEMAND, Placing.SPOT: CapacityType.SPOT}.get(setup.placing)
    return (one,) if one is not None else (CapacityType.ON_DEMAND, CapacityType.SPOT)


def _prices(setup: Setup, quotes: tuple[Quote, ...], unknown: list[str]) -> dict[CapacityType, Quote]:
    found: dict[CapacityType, Quote] = {}
    if not setup.gpus:
        unknown.append(f"the price: {_no_gpus(setup)}")
        return found
    if not (setup.gpu_model or setup.instance_type):
        unknown.append("the GPU: select nodes of one model in the template, or set model.gpu")
        return found
    for kind in _kinds(setup):
        quote = choose(quotes, setup.gpu_model, kind, instance_type=setup.instance_type)
        if quote is not None:
            found[kind] = quote
        else:
            thing = setup.instance_type or setup.gpu_model
            words = "spot" if kind is CapacityType.SPOT else "on-demand"
            unknown.append(f"the {words} price of {thing}: no PriceBook and no list has exactly one; add it")
    return found


def _stays(setup: Setup, hours: Range, unknown: list[str]) -> tuple[Stay, Stay, Stay] | None:
    """The quickest, the typical and the slowest course."""
    found = [_stay(setup, part, stretch) for part, stretch in zip(hours, STRETCH, strict=True)]
    known = [stay for stay in found if stay is not None]
    if len(known) < len(found):
        unknown.append("when it ends: the windows of its schedule never add up to the time that it needs")
        return None
    return (known[0], known[1], known[2])


def _stay(setup: Setup, hours: Fraction, stretch: Fraction) -> Stay | None:
    if setup.placing is Placing.SCHEDULED and setup.schedule is not None:
        return on_schedule(setup.schedule, hours, setup.start, stretch)
    on_spot = setup.placing is Placing.SPOT or (setup.placing is Placing.AUTO and _has_time(setup, hours))
    return on_one(CapacityType.SPOT if on_spot else CapacityType.ON_DEMAND, hours, setup.start, stretch)


def _has_time(setup: Setup, hours: Fraction) -> bool:
    """Whether `Auto` can go to spot at all: without time to spare it is on on-demand capacity from the beginning."""
    return setup.complete_by is None or setup.start + hours * HOUR < setup.complete_by


def _share(stay: Stay) -> Fraction:
    return stay.spot / stay.hours if stay.hours else _NOTHING


def _cost(setup: Setup, stays: tuple[Stay, Stay, Stay], prices: dict[CapacityType, Quote]) -> Range | None:
    """Of all GPUs; None when some of the time has no price."""
    spot, on_demand = prices.get(CapacityType.SPOT), prices.get(CapacityType.ON_DEMAND)
    if setup.placing is Placing.AUTO:
        return _between(setup, stays, spot, on_demand)
    needed = {
        CapacityType.SPOT: any(stay.spot for stay in stays),
        CapacityType.ON_DEMAND: any(stay.on_demand for stay in stays),
    }
    if any(needed[kind] and kind not in prices for kind in needed):
        return None
    parts = []
    for index, stay in enumerate(stays):
        amount = _NOTHING
        if spot is not None:
            amount += stay.spot * spot.hourly[index]
        if on_demand is not None:
            amount += stay.on_demand * on_demand.hourly[index]
        parts.append(amount * setup.gpus)
    return Range.of(*parts)


def _between(setup: Setup, stays: tuple[Stay, Stay, Stay], spot: Quote | None, on_demand: Quote | None) -> Range | None:
    """`Auto` decides as it goes: at best all of it is spot, at worst the deadline takes all of it to on-demand."""
    if spot is None or on_demand is None:
        return None
    dear = on_demand.hourly
    low = stays[0].hours * (min(spot.hourly.low, dear.low) if stays[0].spot else dear.low)
    high = stays[2].hours * (max(spot.hourly.high, dear.high) if stays[2].spot else dear.high)
    middle = stays[1].hours * ((spot.hourly.typical + dear.typical) / 2 if stays[1].spot else dear.typical)
    return Range.of(*(part * setup.gpus for part in (low, middle, high)))


def _hourly(setup: Setup, prices: dict[CapacityType, Quote]) -> Range | None:
    if not prices or len(prices) < len(_kinds(setup)):
        return None
    each = [quote.hourly for quote in prices.values()]
    low, high = min(one.low for one in each), max(one.high for one in each)
    middle = sum((one.typical for one in each), _NOTHING) / len(each)
    return Range.of(low, middle, high).scaled(setup.gpus)


def _memory(setup: Setup) -> Fit | None:
    chip = setup.chip
    if setup.work is None or chip is None or not setup.gpus:
        return None
    return Fit(setup.work.state_bytes, room(chip, setup.gpus))
