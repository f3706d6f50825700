"""What would do the same work, or nearly, for less: each way worked out by the same arithmetic as the estimate itself.

An alternative counts as cheaper only when it is so in each of the three cases (least, typical, most): a run that uses
its GPUs badly does so on spot capacity too. What does not fit into memory is not offered, and what would be late is
shown as late and never recommended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from math import ceil

from gpucost.core.model import CapacityType
from gpucost.core.training.estimating.chips import CHIPS, Chip
from gpucost.core.training.estimating.counts import format_count
from gpucost.core.training.estimating.estimate import Estimate, Placing, Setup, estimate
from gpucost.core.training.estimating.market import Quote, choose
from gpucost.core.training.estimating.placing import nightly
from gpucost.core.training.estimating.work import Method, Work, least_gpus
from gpucost.core.training.spec import Outside

TRANSFER = Fraction(1, 10)
"""Share of the tokens that going on from a checkpoint takes, where nobody says how many: an assumption, told as one."""

SIZES = tuple(
    int(size * 10**9) for size in (Fraction(1, 2), 1, Fraction(3, 2), 3, 4, 7, 8, 14, 24, 32, 70, 120, 235, 405)
)
"""Parameters of base models that are published."""

_QUALITY = "compare the quality"
_MOST_GPUS = 1024
_OTHER_GPUS = 2
"""Other GPU models that are shown, the cheapest."""


class Way(StrEnum):
    """What is done otherwise."""

    SPOT = "spot"
    WINDOW = "spotWindow"
    OTHER_GPUS = "otherGpus"
    FEWER_GPUS = "fewerGpus"
    LORA = "lora"
    QLORA = "qlora"
    SMALLER_MODEL = "smallerModel"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way, and what it comes to."""

    way: Way
    change: str
    """In a few words."""
    how: str
    """What to set."""
    caveat: str
    estimate: Estimate
    saves: Fraction | None
    """Typically; 0 where it costs the same, None where nobody knows."""
    is_cheaper: bool
    """In each case, and in time where there is a deadline."""


def alternatives(base: Estimate, quotes: tuple[Quote, ...], *, time_zone: str = "UTC") -> tuple[Alternative, ...]:
    """All ways that are known to be possible, without those that cost more.

    What trains the same model comes first, then what trains another one; in each, what saves most.
    """
    found = [_judged(base, one, quotes) for one in _ways(base.setup, quotes, time_zone)]
    kept = [one for one in found if one is not None]
    others = [one for one in kept if one.way is Way.OTHER_GPUS]
    others.sort(key=_most_saved)
    kept = [one for one in kept if one.way is not Way.OTHER_GPUS] + others[:_OTHER_GPUS]
    return tuple(sorted(kept, key=_most_saved))


def cheapest(found: tuple[Alternative, ...]) -> Alternative | None:
    """The first that is cheaper: one that trains the same, where there is any."""
    return next((one for one in found if one.is_cheaper), None)


_SAME_RESULT = frozenset({Way.SPOT, Way.WINDOW, Way.OTHER_GPUS, Way.FEWER_GPUS})
"""Ways that train the same model on the same tokens."""


def _most_saved(one: Alternative) -> tuple[bool, bool, Fraction, str]:
    return not one.is_cheaper, one.way not in _SAME_RESULT, -(one.saves or Fraction(0)), one.change


@dataclass(frozen=True, slots=True)
class _Idea:
    way: Way
    change: str
    how: str
    setup: Setup
    caveat: str = ""


def _judged(base: Estimate, idea: _Idea, quotes: tuple[Quote, ...]) -> Alternative | None:
    """None for what does not fit, has no price, or costs more."""
    found = estimate(idea.setup, quotes)
    if found.cost is None or (found.memory is not None and not found.memory.fits):
        return None
    saves = None if base.cost is None else base.cost.typical - found.cost.typical
    if saves is not None and saves < 0:
        return None
    cheaper = base.cost is not None and found.cost.under(base.cost) and found.on_time is not False
    return Alternative(idea.way, idea.change, idea.how, idea.caveat, found, saves, cheaper)


def _ways(setup: Setup, quotes: tuple[Quote, ...], time_zone: str) -> Iterator[_Idea]:
    yield from _capacity(setup, quotes, time_zone)
    if setup.work is None or setup.duration is not None:
        return  # how long it takes with anything else does not follow from how long it takes as it is
    yield from _gpus(setup, setup.work, quotes)
    yield from _training(setup, setup.work)


# --- when and where ---------------------------------------------------------------------------------------------------


def _capacity(setup: Setup, quotes: tuple[Quote, ...], time_zone: str) -> Iterator[_Idea]:
    if setup.placing in {Placing.ON_DEMAND, Placing.SCHEDULED, Placing.AUTO}:
        all_spot = replace(setup, placing=Placing.SPOT, schedule=None)
        yield _Idea(Way.SPOT, "on spot capacity", "placement.policy: Spot", all_spot, "it is interrupted: checkpoint")
    if setup.placing is Placing.ON_DEMAND:
        yield from _windows(setup, quotes, time_zone)


def _windows(setup: Setup, quotes: tuple[Quote, ...], time_zone: str) -> Iterator[_Idea]:
    """Tonight, when the night is long enough; else every night, and on demand by day."""
    night = replace(setup, placing=Placing.SCHEDULED, schedule=nightly(time_zone, Outside.PAUSE))
    found = estimate(night, quotes)
    how = "schedule.windows: [{start: '0 20 * * *', duration: 10h}]"
    if found.hours is not None and found.hours.typical <= 10 and found.on_time is not False:
        caveat = "it begins at 20:00"
        yield _Idea(Way.WINDOW, "tonight's spot window", f"{how}, outside: Pause", night, caveat)
        return
    both = replace(night, schedule=nightly(time_zone, Outside.ON_DEMAND))
    yield _Idea(Way.WINDOW, "on spot at night, on demand by day", how, both, "it moves twice a day")


# --- with what --------------------------------------------------------------------------------------------------------


def _gpus(setup: Setup, work: Work, quotes: tuple[Quote, ...]) -> Iterator[_Idea]:
    chip = setup.chip
    if chip is None or not setup.gpus:
        return
    needed, half = least_gpus(work, chip), setup.gpus // 2
    if half >= max(1, needed):
        few = replace(setup, gpus=half)
        caveat = "as many GPU-hours, so cheaper only where GPUs now wait for each other"
        yield _Idea(Way.FEWER_GPUS, f"{half} GPUs instead of {setup.gpus}", _less(half), few, caveat)
    for other in CHIPS:
        if other.name != chip.name and (idea := _other(setup, work, chip, other, quotes)) is not None:
            yield idea


def _less(gpus: int) -> str:
    return f"{gpus} GPU{'s' if gpus > 1 else ''} in all: workers, gpusPerWorker"


def _other(setup: Setup, work: Work, mine: Chip, other: Chip, quotes: tuple[Quote, ...]) -> _Idea | None:
    """As many GPUs of another model as are as fast together, and hold the state, to the next power of two."""
    before, after = mine.precision(work.precision), other.precision(work.precision)
    kind = CapacityType.SPOT if setup.placing is Placing.SPOT else CapacityType.ON_DEMAND
    if before is None or before is not after or choose(quotes, other.name, kind) is None:
        return None
    as_fast = ceil(setup.gpus * mine.peaks[before] / other.peaks[before])
    count = 1 << (max(as_fast, least_gpus(work, other)) - 1).bit_length()
    if count > _MOST_GPUS:
        return None
    setup = replace(setup, gpus=count, gpu_model=other.name, instance_type="")
    names = f"{count} x {other.name}"
    caveat = "if the network between them keeps up" if count > 8 else "if your program runs on it"
    return _Idea(Way.OTHER_GPUS, f"on {names}", f"select nodes with {other.name}, {_less(count)}", setup, caveat)


# --- what is trained --------------------------------------------------------------------------------------------------


def _training(setup: Setup, work: Work) -> Iterator[_Idea]:
    if work.method is Method.FULL:
        yield _Idea(
            Way.LORA,
            "LoRA instead of all weights",
            "model.method: LoRA",
            replace(setup, work=replace(work, method=Method.LORA)),
            _QUALITY if setup.is_based else f"fine-tuning only; {_QUALITY}",
        )
    if work.method is not Method.QLORA:
        yield from _quantised(setup, work)
    if (size := max((size for size in SIZES if size <= work.parameters // 2), default=None)) is not None:
        yield _Idea(
            Way.SMALLER_MODEL,
            f"a model of {format_count(size)} parameters",
            f"model.parameters: {format_count(size)}",
            replace(setup, work=replace(work, parameters=size)),
            _QUALITY,
        )
    if work.method is Method.FULL and not setup.is_based:
        yield _transfer(setup, work)


def _quantised(setup: Setup, work: Work) -> Iterator[_Idea]:
    """QLoRA saves memory, not operations: it is a way to fewer GPUs of the same kind."""
    smaller = replace(work, method=Method.QLORA)
    chip = setup.chip
    gpus = setup.gpus if chip is None else max(least_gpus(smaller, chip), setup.gpus // 4)
    if gpus < setup.gpus:
        yield _Idea(
            Way.QLORA,
            f"QLoRA on {gpus} GPU{'s' if gpus > 1 else ''}",
            f"model.method: QLoRA, {_less(gpus)}",
            replace(setup, work=smaller, gpus=gpus),
            f"takes longer; {_QUALITY if setup.is_based else f'fine-tuning only; {_QUALITY}'}",
        )


def _transfer(setup: Setup, work: Work) -> _Idea:
    tokens = max(1, int(work.tokens * TRANSFER))
    return _Idea(
        Way.TRANSFER,
        f"from an existing checkpoint: {format_count(tokens)} tokens",
        f"a published checkpoint, model.tokens: {format_count(tokens)}",
        replace(setup, work=replace(work, tokens=tokens)),
        f"assumes that {float(TRANSFER):.0%} of the tokens are enough",
    )
