"""What the units of a node's GPU resources are worth, in GPUs.

Kubernetes counts devices, and what a device is differs: a whole GPU, a MIG instance, one of several replicas of a
shared GPU (time-slicing, MPS), a part of a GPU that a cloud sells as a GPU of its own. All arithmetic on cost counts in
*GPUs' worth*, so this is the only module that knows the difference. What cannot be known from what is given is a
`problem` in words, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import lru_cache
from math import ceil

from gpucost.core.mig import Card, card_of, profile_in
from gpucost.core.model import Gpus

DEFAULT_RESOURCES: tuple[str, ...] = ("nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-*")
"""Names (or patterns of names) of the resources that are GPUs, unless configured otherwise."""

_MIG = "nvidia.com/mig-"
_SHARED = ".shared"


@dataclass(frozen=True, slots=True)
class Layout:
    """How the GPUs of a node are offered."""

    physical: Gpus = 0
    """GPUs in the machine; a fraction where the machine has a part of one."""
    capacity: Gpus = 0
    """GPUs' worth that can be held: the whole of which a pod's GPUs are a share.

    More than `physical` where the larger of compute and memory of MIG instances adds up to more than the GPU: money is
    then scaled down to the node's.
    """
    stranded: Gpus = 0
    """GPUs' worth of compute that nobody can be given."""
    parts: Mapping[str, Gpus] = field(default_factory=dict)
    """GPUs' worth of one unit of each resource."""
    problem: str = ""
    """Why the above cannot be known; empty when it is."""


NO_GPUS = Layout()


def is_gpu(resource: str, patterns: Iterable[str] = DEFAULT_RESOURCES) -> bool:
    """Whether a resource name is that of a GPU; patterns may hold `*` and `?`."""
    return _matches(resource, tuple(patterns))


@lru_cache(maxsize=4096)
def _matches(resource: str, patterns: tuple[str, ...]) -> bool:
    """There are few names of resources in a cluster, and they are asked about for every pod at every pass."""
    return any(fnmatchcase(resource, pattern) for pattern in patterns)


def held(devices: Mapping[str, int], layout: Layout) -> Gpus:
    """GPUs' worth of some units on a node; a `ValueError` for a resource that the node does not have."""
    total: Gpus = 0
    for name, units in devices.items():
        if units and name not in layout.parts:
            raise ValueError(f"the node has no {name}")
        total += units * layout.parts[name] if units else 0
    return _plain(total)


def layout(
    devices: Mapping[str, int],
    *,
    model: str = "",
    physical: Gpus | None = None,
    memory_gib: float | None = None,
    replicas: int | None = None,
) -> Layout:
    """How a node's GPUs are offered.

    `devices` are the advertised units of the GPU resources alone, `physical` the GPUs in the machine, `replicas` into
    how many units the device plugin shares each GPU. `model` may be a product name of the MIG single strategy.
    """
    offer = _sorted_out(devices, model, replicas or 1)
    try:
        return _Builder(offer, model, physical, memory_gib, replicas or 1).build()
    except ValueError as error:
        return Layout(physical=physical or 0, problem=str(error))


@dataclass(frozen=True, slots=True)
class _Offer:
    """Units by what they are."""

    whole: dict[str, int]
    shared: dict[str, int]
    mig: dict[str, tuple[str, int, bool]]  # profile, units, shared


def _sorted_out(devices: Mapping[str, int], model: str, replicas: int) -> _Offer:
    """A device plugin renames shared resources or does not; where it does, only the renamed ones are shared."""
    renamed = any(name.endswith(_SHARED) for name, units in devices.items() if units)
    single = profile_in(model)
    offer = _Offer({}, {}, {})
    for name, units in devices.items():
        base = name.removesuffix(_SHARED)
        shared = base != name if renamed else replicas > 1
        if base.startswith(_MIG):
            offer.mig[name] = (base.removeprefix(_MIG), units, shared)
        elif single and base == "nvidia.com/gpu":
            offer.mig[name] = (single, units, shared)
        else:
            (offer.shared if shared else offer.whole)[name] = units
    return offer


@dataclass(frozen=True, slots=True)
class _Builder:
    offer: _Offer
    model: str
    physical: Gpus | None
    memory_gib: float | None
    replicas: int

    def build(self) -> Layout:
        whole, shared = sum(self.offer.whole.values()), sum(self.offer.shared.values())
        sliced = any(units for _, units, _ in self.offer.mig.values())
        if self.physical is not None and self.physical <= 0 and (whole or shared or sliced):
            raise ValueError("GPUs are advertised by a machine that has none")
        if sliced:
            return self._with_mig(whole, shared)
        if shared:
            return self._with_shared(whole, shared)
        return self._only_whole(whole)

    def _only_whole(self, whole: int) -> Layout:
        """Fewer GPUs than units: each unit is a part of one (a fractional instance)."""
        physical = whole if self.physical is None else self.physical
        part: Gpus = 1 if physical >= whole else Fraction(physical) / whole
        parts = dict.fromkeys((*self.offer.whole, *self.offer.shared, *self.offer.mig), _plain(part))
        return Layout(_plain(physical), _plain(whole * part), 0, parts)

    def _with_shared(self, whole: int, shared: int) -> Layout:
        on = self._shared_on(shared) if self.physical is None else self.physical - whole
        part = self._replica(shared, on)
        parts: dict[str, Gpus] = {**dict.fromkeys(self.offer.whole, 1), **dict.fromkeys(self.offer.shared, part)}
        return Layout(_plain(whole + on), _plain(whole + shared * part), _plain(on - shared * part), parts)

    def _replica(self, shared: int, on: Gpus) -> Fraction:
        """GPUs' worth of a replica where `shared` of them are on so many GPUs."""
        if on <= 0:
            raise ValueError(f"no GPU is left for {shared} shared replicas")
        if self.replicas <= 1 or Fraction(on).denominator > 1:
            return Fraction(on) / shared
        if shared > on * self.replicas:
            raise ValueError(f"{shared} shared replicas are more than {self.replicas} on each of {on} GPUs")
        return Fraction(1, self.replicas)

    def _shared_on(self, shared: int) -> int:
        """GPUs under so many replicas, where nobody says how many."""
        if self.replicas <= 1:
            raise ValueError("shared GPUs need the number of GPUs in the machine, or of replicas per GPU")
        if shared % self.replicas:
            raise ValueError(f"{shared} replicas are no multiple of {self.replicas} per GPU: give the number of GPUs")
        return shared // self.replicas

    def _with_mig(self, whole: int, shared: int) -> Layout:
        physical = self._cut_alike() if self.physical is None else self.physical
        on_shared = self._shared_on(shared) if shared else 0
        gpus = physical - whole - on_shared
        if gpus < 1 or Fraction(gpus).denominator > 1:
            raise ValueError(f"MIG instances need whole GPUs to be on, and {physical} less the others is {gpus}")
        profiles = {name: kind for name, kind in self.offer.mig.items() if kind[1]}
        card = card_of(self.model, self.memory_gib, frozenset(profile for profile, _, _ in profiles.values()))
        parts = {name: card.part(profile) / self._share(shared) for name, (profile, _, shared) in profiles.items()}
        sliced = sum((parts[name] * units for name, (_, units, _) in profiles.items()), Fraction(0))
        stranded = self._lost(card, int(gpus), profiles.values())
        replica = Fraction(1, self.replicas)
        others = {**dict.fromkeys(self.offer.whole, Fraction(1)), **dict.fromkeys(self.offer.shared, replica)}
        every = {name: _plain(part) for name, part in {**others, **parts}.items()}
        return Layout(_plain(physical), _plain(whole + on_shared + max(sliced, gpus)), _plain(stranded), every)

    def _cut_alike(self) -> int:
        """GPUs under the instances of the single strategy, where every GPU is cut into as many as fit."""
        if not profile_in(self.model) or len(self.offer.mig) != 1:
            raise ValueError("MIG instances need the number of GPUs in the machine")
        ((profile, units, shared),) = self.offer.mig.values()
        card = card_of(self.model, self.memory_gib, frozenset({profile}))
        size = card.slices(profile)
        most = min(card.whole.compute // size.compute, card.whole.memory // size.memory)
        return ceil(Fraction(units, most * self._share(shared)))

    def _share(self, shared: bool) -> int:
        return self.replicas if shared else 1

    def _lost(self, card: Card, gpus: int, kinds: Iterable[tuple[str, int, bool]]) -> Fraction:
        """Compute that no profile fits any more; the GPUs are taken to be cut alike where the numbers allow it."""
        counts = [(card.slices(profile), ceil(units / self._share(shared))) for profile, units, shared in kinds]
        alike = gpus if all(count % gpus == 0 for _, count in counts) else 1
        free_compute = (gpus * card.whole.compute - sum(size.compute * n for size, n in counts)) // alike
        free_memory = (gpus * card.whole.memory - sum(size.memory * n for size, n in counts)) // alike
        if free_compute < 0 or free_memory < 0:
            raise ValueError(f"the MIG instances do not fit on {gpus} {card.name}")
        sizes = tuple(sorted({(size.compute, size.memory) for size in card.profiles.values()}))
        unusable = free_compute - _fill(free_compute, free_memory, sizes)
        return Fraction(unusable * alike, card.whole.compute)


@lru_cache(maxsize=4096)
def _fill(compute: int, memory: int, sizes: tuple[tuple[int, int], ...]) -> int:
    """Most compute slices that further instances of these sizes could take of what is free (unbounded knapsack)."""
    best = [[0] * (memory + 1) for _ in range(compute + 1)]
    for c in range(compute + 1):
        for m in range(memory + 1):
            fitting = (best[c - sc][m - sm] + sc for sc, sm in sizes if sc <= c and sm <= m)
            best[c][m] = max(fitting, default=0)
    return best[compute][memory]


def _plain(amount: Gpus) -> Gpus:
    """Whole amounts as plain integers."""
    exact = Fraction(amount)
    return exact.numerator if exact.denominator == 1 else exact
