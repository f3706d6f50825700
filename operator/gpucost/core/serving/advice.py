"""Which cheaper GPU, or which MIG slice, would do for an endpoint: advice, never applied by itself.

Three questions, each answered from the safe side or not at all. Does it fit: the most memory that was seen, with a
margin that shrinks with the days it was watched; a runtime that reserves memory ahead shows what it took and not what
it needs, so there the user has to say it. Is it fast enough: the busiest time, slowed down by the roofline's bound, has
to leave a fifth of the GPU free, with several small GPUs for one large where that is cheaper. Is it cheaper: by the
same prices that nodes are priced by. What a slice saves for certain is whole GPUs that the endpoint's own replicas set
free; the rest only where somebody else takes the other slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import ceil

from gpucost.core.assets import HOURS_PER_MONTH
from gpucost.core.clock import DAY
from gpucost.core.mig import Card, card_of
from gpucost.core.model import CapacityType
from gpucost.core.serving.footprint import Footprint
from gpucost.core.serving.spec import Runtime
from gpucost.core.serving.speeds import Speed, is_same_model, slowdown, speed_of
from gpucost.core.training.estimating.market import Quote, choose

MOST_BUSY = Fraction(8, 10)
"""Of the time, in the busiest hundredth of it, on what is advised."""
PERCENTILE = 0.99
MOST_FOR_ONE = 8
"""Small GPUs in place of one."""
WORTH = Fraction(5, 100)
"""Share of the cost that has to be saved."""
AHEAD = frozenset({Runtime.VLLM, Runtime.SGLANG, Runtime.NIM, Runtime.TGI})
"""Runtimes that take most of the GPU's memory for their cache when they start."""
_USABLE = 0.93
"""Of the memory in a GPU's name, in GiB: the driver and error correction keep some."""
_LINKED = frozenset({"H200", "H100", "A100", "A100 80GB", "V100", "V100 32GB"})
"""GPUs that a replica over several of them can be on: they have NVLink."""


class Confidence(StrEnum):
    """How sure the advice is."""

    HIGH = "High"
    MEDIUM = "Medium"
    LOW = "Low"


@dataclass(frozen=True, slots=True)
class Case:
    """An endpoint and what was seen of it."""

    runtime: Runtime
    replicas: int
    devices: int
    """GPUs, or slices, of one replica."""
    model: str
    """Product name of the GPU."""
    capacity_type: CapacityType
    hourly: Fraction
    """What a whole such GPU costs per hour here."""
    quotes: Sequence[Quote]
    footprint: Footprint
    profile: str = ""
    """MIG profile of the slices that the replicas hold now; empty: whole GPUs."""
    gpu_gib: float | None = None
    """Memory of a whole GPU, where its node tells."""
    declared_gib: Fraction | None = None
    """Memory that one device needs, by the user's own word."""
    has_slo: bool = False
    """Whether times per token are promised: how they grow is bounded, how long they are is not known."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to serve the same for less."""

    name: str
    """Such as `L4` or `3g.40gb`."""
    resource: str
    """What the pod template has to ask for."""
    for_one: int
    """Replicas in place of one."""
    hourly: Fraction
    """Of the whole endpoint, each replica paying for its part."""
    certain: Fraction
    """The same where nobody else uses what is left of the last GPU."""
    slower: Fraction
    """How many times as long anything takes, at worst."""
    busy: Fraction
    """In the busiest hundredth of the time, at worst."""
    source: str
    """Where the price is from."""
    notes: tuple[str, ...] = ()
    """What to mind."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What was found; `best` None says that nothing cheaper would do, or that nobody can tell, and `reason` why."""

    best: Option | None = None
    reason: str = ""
    confidence: Confidence = Confidence.LOW
    hourly: Fraction = Fraction(0)
    """What the endpoint costs per hour now."""
    others: tuple[Option, ...] = ()
    """That would do too, the cheapest first."""
    replicas: int = 0
    """As many as there are now."""

    @property
    def monthly(self) -> Fraction:
        """What would be saved in a month of 730 hours."""
        return (self.hourly - self.best.hourly) * HOURS_PER_MONTH if self.best is not None else Fraction(0)

    @property
    def monthly_certain(self) -> Fraction:
        """What of it would be saved whatever becomes of the rest of the GPU; not below nothing."""
        return (
            max(Fraction(0), (self.hourly - self.best.certain) * HOURS_PER_MONTH)
            if self.best is not None
            else Fraction(0)
        )


def advise(case: Case) -> Advice:
    """What would do for less; nothing is concluded from what was not measured."""
    own, need, busy = _own(case), _need_gib(case), case.footprint.busy(PERCENTILE)
    if own is None:
        return Advice(reason=f"nothing is known of the speed of {case.model or 'a GPU without a name'}")
    if isinstance(need, str):
        return Advice(reason=need)
    if busy is None or (unknown := _unknown(case)):
        return Advice(reason=unknown if busy is not None else "how busy its GPUs are is not known")
    hourly = case.replicas * case.devices * case.hourly * _part(case)
    fitting = [one for one in _options(case, own, need, Fraction(str(busy))) if one.hourly <= hourly * (1 - WORTH)]
    if not fitting:
        return Advice(reason="nothing cheaper has the memory and the speed that it needs", hourly=hourly)
    first, *others = sorted(fitting, key=lambda one: (one.hourly, one.slower, one.name))
    return Advice(first, _why(need, busy, first), _confidence(case, own, first), hourly, tuple(others), case.replicas)


def _unknown(case: Case) -> str:
    if not case.replicas or case.hourly <= 0:
        return "it costs nothing now, or nobody knows what"
    return "measured for less than a day: a day has its busy hours" if case.footprint.measured < DAY else ""


# --- what it has and needs --------------------------------------------------------------------------------------------


def _card(case: Case) -> Card | None:
    whole = speed_of(case.model)
    try:
        return card_of(case.model, case.gpu_gib or (whole.memory_gb if whole is not None else None), frozenset())
    except ValueError:
        return None


def _own(case: Case) -> Speed | None:
    whole = speed_of(case.model)
    if whole is None or not case.profile:
        return whole
    card = _card(case)
    return None if card is None else _slice(whole, card, case.profile)


def _slice(whole: Speed, card: Card, profile: str) -> Speed | None:
    try:
        size = card.slices(profile)
    except ValueError:
        return None
    parts = Fraction(size.compute, card.whole.compute), Fraction(size.memory, card.whole.memory)
    return whole.part(*parts, name=profile)


def _part(case: Case) -> Fraction:
    card = _card(case) if case.profile else None
    return card.part(case.profile) if card is not None else Fraction(1)


def _need_gib(case: Case) -> Fraction | str:
    """Memory of one device, with a margin; why nobody knows."""
    if case.declared_gib is not None:
        return case.declared_gib
    seen = case.footprint.memory_mib
    if seen is None:
        return "how much memory its GPUs use is not known"
    found = Fraction(str(seen)) / 1024
    if case.runtime in AHEAD:
        return found
    days = max(Fraction(1), Fraction(case.footprint.measured, DAY))
    return found * (Fraction(105, 100) + Fraction(20, 100) / days)


# --- what there is ----------------------------------------------------------------------------------------------------


def _options(case: Case, own: Speed, need: Fraction, busy: Fraction) -> Iterator[Option]:
    yield from _slices(case, own, need, busy)
    if not case.profile:
        yield from _models(case, own, need, busy)


def _slices(case: Case, own: Speed, need: Fraction, busy: Fraction) -> Iterator[Option]:
    """Slices of the same GPU; a replica over several GPUs cannot be on slices, which do not reach each other."""
    card, whole = _card(case), speed_of(case.model)
    if card is None or whole is None or case.devices != 1:
        return
    for profile in card.profiles:
        size = _slice(whole, card, profile)
        part = card.part(profile)
        if size is None or part >= _part(case) or need > Fraction(size.memory_gb) * Fraction(str(_USABLE)):
            continue
        slower = slowdown(own, size)
        many = _for_one(busy, slower)
        if many is None:
            continue
        count = case.replicas * many
        each = int(1 / part)
        notes = ["saves whole GPUs only where other pods take the slices that are left"] if count % each else []
        yield Option(
            name=profile,
            resource=f"nvidia.com/mig-{profile}",
            for_one=many,
            hourly=count * part * case.hourly,
            certain=ceil(Fraction(count, each)) * case.hourly,
            slower=slower,
            busy=busy * slower / many,
            source="the price of the whole GPU",
            notes=(*notes, "the node's GPUs have to be cut (MIG)", *_cautions(case, own, size, slower)),
        )


def _models(case: Case, own: Speed, need: Fraction, busy: Fraction) -> Iterator[Option]:
    names = sorted({quote.gpu_model for quote in case.quotes if quote.capacity_type is case.capacity_type})
    offered: set[str] = set()
    for name in names:
        size = speed_of(name)
        if size is None or size.name in offered or is_same_model(name, case.model):
            continue
        quote = choose(case.quotes, name, case.capacity_type)
        if quote is None or not _is_equal(case, own, size, need):
            continue
        slower = slowdown(own, size)
        many = _for_one(busy, slower, most=MOST_FOR_ONE if case.devices == 1 else 1)
        if many is None:
            continue
        offered.add(size.name)
        hourly = case.replicas * case.devices * many * quote.hourly.typical
        absent = () if quote.nodes else ("no node of the cluster has such a GPU now",)
        yield Option(
            name=size.name,
            resource="nvidia.com/gpu",
            for_one=many,
            hourly=hourly,
            certain=hourly,
            slower=slower,
            busy=busy * slower / many,
            source=quote.source,
            notes=(*absent, *_cautions(case, own, size, slower)),
        )


def _is_equal(case: Case, own: Speed, size: Speed, need: Fraction) -> bool:
    """Whether the replica runs on it at all."""
    if need > Fraction(size.memory_gb) * Fraction(str(_USABLE)) or (own.bf16 and not size.bf16):
        return False
    return case.devices == 1 or size.name in _LINKED


def _for_one(busy: Fraction, slower: Fraction, most: int = MOST_FOR_ONE) -> int | None:
    """How many in place of one; None when it would take too many. What is no slower does the same work as well."""
    many = max(1, ceil(busy * slower / MOST_BUSY)) if slower > 1 else 1
    return many if many <= most else None


def _cautions(case: Case, own: Speed, size: Speed, slower: Fraction) -> tuple[str, ...]:
    found = []
    if own.fp8 and not size.fp8:
        found.append("it cannot compute in FP8: a model in that format does not run on it")
    if slower > 1:
        times = f"up to {float(slower):.1f} times as long"
        slo = "try spec.slo on one replica first" if case.has_slo else "a single request notices"
        found.append(f"a token may take {times}: {slo}")
    return tuple(found)


# --- how sure, and why ------------------------------------------------------------------------------------------------


def _confidence(case: Case, own: Speed, option: Option) -> Confidence:
    days = case.footprint.measured / DAY
    if days < 3 or option.for_one > 1 or (case.has_slo and option.slower > 1):
        return Confidence.LOW
    unsure = option.certain > option.hourly or (own.fp8 and any("FP8" in note for note in option.notes))
    listed = any(note.startswith("no node") for note in option.notes)
    return Confidence.MEDIUM if days < 7 or unsure or listed or option.slower > 2 else Confidence.HIGH


def _why(need: Fraction, busy: float, option: Option) -> str:
    times = f"{option.for_one} for one: " if option.for_one > 1 else ""
    return (
        f"it needs {float(need):.1f} GiB and is at most {busy:.0%} busy; on {option.name} "
        f"{times}at most {float(option.busy):.0%}"
    )
