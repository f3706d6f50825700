"""What a pod's needs are as a share of a node: the splits of a node's price that one may choose from.

Shares are integers over one denominator per node, so that sums of them are exact without rational arithmetic.
`dominantShare` is ours; `gpuOnly` and `weighted` are there to compare with other tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from math import lcm

from gpucost.core.model import Gpus, NodeFact, NodeKind

_GIB = 1 << 30


class SplitKind(StrEnum):
    """Names of the splits."""

    DOMINANT = "dominantShare"
    """The largest of the shares of GPUs, CPU and memory, over the resources that the node has."""
    GPU_ONLY = "gpuOnly"
    """Part of the machine's GPUs, a lost replica is stranded; a node without any is split by `dominantShare`."""
    WEIGHTED = "weighted"
    """Weighted needs over the weighted capacity."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a GPU, a core and a GiB of memory weigh against each other."""

    gpu: Fraction
    cpu: Fraction
    memory: Fraction


PRESETS: Mapping[str, Weights] = {
    "aws": Weights(Fraction(9), Fraction("0.9"), Fraction("0.1")),
    "opencost": Weights(Fraction("0.95"), Fraction("0.031611"), Fraction("0.004237")),
}
"""`aws`: split cost allocation data of AWS; `opencost`: base prices of OpenCost (USD per hour) used as weights."""

_NAMES = {"gpu": "gpu", "cpu": "cpu", "memoryGiB": "memory"}


def parse_weights(text: str) -> Weights:
    """Read `opencost`, `aws` or `gpu=9,cpu=0.9,memoryGiB=0.1` (what is left out weighs nothing); else `ValueError`."""
    if text in PRESETS:
        return PRESETS[text]
    found: dict[str, Fraction] = {}
    for item in text.split(","):
        name, equals, value = item.strip().partition("=")
        if not equals or name not in _NAMES or _NAMES[name] in found:
            raise ValueError(f"not weights: {text!r} (want opencost, aws or for example gpu=9,cpu=0.9,memoryGiB=0.1)")
        found[_NAMES[name]] = _weight(name, value)
    if not any(found.values()):
        raise ValueError(f"not weights: {text!r}: one of them must be more than 0")
    nothing = Fraction(0)
    return Weights(found.get("gpu", nothing), found.get("cpu", nothing), found.get("memory", nothing))


def _weight(name: str, value: str) -> Fraction:
    if not value.replace(".", "", 1).isascii() or not value.replace(".", "", 1).isdigit():
        raise ValueError(f"not a weight: {name}={value} (want a decimal number of 0 or more)")
    return Fraction(value)


@dataclass(frozen=True, slots=True)
class Size:
    """What of a node its split depends on; CPU in `1/cpu_per_core` of a core, GPUs as in `core.gpus.Layout`."""

    cpu: int
    memory: int
    gpus: Gpus
    physical: Gpus = 0
    stranded: Gpus = 0
    cpu_per_core: int = 1000

    @classmethod
    def of(cls, node: NodeFact) -> Size:
        """Size of a node as the ledger knows it."""
        capacity = node.capacity
        return cls(capacity.cpu_milli, capacity.memory, capacity.gpus, node.physical_gpus, node.stranded_gpus)


@dataclass(frozen=True, slots=True)
class Scale:
    """Shares of one node in integer units. `units` says what a pod's needs are worth.

    Amounts of GPUs are counted in `1/grain`. A share never exceeds the node; nor does what it needs of one resource.
    """

    unit: int
    """Units of the whole node."""
    stranded: int
    """Units of what the split charges to nobody because nobody can be given it."""
    grain: int
    dominant: bool
    gpu_limit: int
    cpu_limit: int
    memory_limit: int
    per_gpu: int
    per_cpu: int
    per_memory: int

    def units(self, cpu: int, memory: int, gpus: int) -> int:
        """Share of a pod; `cpu` in the unit of the capacity's, `memory` in bytes, `gpus` in `1/grain` of a GPU."""
        if self.dominant:  # the whole of any resource is the whole node, so one limit does for all
            share, by_cpu, by_memory = gpus * self.per_gpu, cpu * self.per_cpu, memory * self.per_memory
            share = by_cpu if by_cpu > share else share
            share = by_memory if by_memory > share else share
            return share if share < self.unit else self.unit
        by_gpu = (gpus if gpus < self.gpu_limit else self.gpu_limit) * self.per_gpu
        by_cpu = (cpu if cpu < self.cpu_limit else self.cpu_limit) * self.per_cpu
        by_memory = (memory if memory < self.memory_limit else self.memory_limit) * self.per_memory
        return by_gpu + by_cpu + by_memory


@lru_cache(maxsize=4096)
def scale_of(kind: SplitKind, size: Size, grain: int = 1, weights: Weights | None = None) -> Scale:
    """Shares of a node by a split; every amount of GPUs that is asked about must be a multiple of `1/grain`."""
    grain = lcm(grain, size.gpus.denominator, size.physical.denominator, size.stranded.denominator)
    whole = int(max(size.gpus, size.physical) * grain)
    if kind is SplitKind.WEIGHTED:
        return _weighted(weights or PRESETS["aws"], size, grain)
    if kind is SplitKind.GPU_ONLY and whole:
        lost = min(size.stranded, max(0, size.physical - size.gpus))
        return Scale(whole, int(lost * grain), grain, True, whole, 0, 0, 1, 0, 0)
    return _dominant(size, grain)


def _dominant(size: Size, grain: int) -> Scale:
    gpus = int(size.gpus * grain)
    unit = lcm(*(amount for amount in (gpus, size.cpu, size.memory) if amount))
    each = (unit // amount if amount else 0 for amount in (gpus, size.cpu, size.memory))
    return Scale(unit, 0, grain, True, gpus, size.cpu, size.memory, *each)


def _weighted(weights: Weights, size: Size, grain: int) -> Scale:
    each = (weights.gpu / grain, weights.cpu / size.cpu_per_core, weights.memory / _GIB)
    common = lcm(*(weight.denominator for weight in each))
    per_gpu, per_cpu, per_memory = (int(weight * common) for weight in each)
    gpus = int(size.gpus * grain)
    unit = gpus * per_gpu + size.cpu * per_cpu + size.memory * per_memory
    return Scale(unit or 1, 0, grain, False, gpus, size.cpu, size.memory, per_gpu, per_cpu, per_memory)


class _Whole(Scale):
    """Of what is held whole or not at all."""

    __slots__ = ()

    def units(self, cpu: int, memory: int, gpus: int) -> int:  # noqa: ARG002
        """All of it."""
        return self.unit


_WHOLE = _Whole(1, 0, 1, True, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Split:
    """A way to divide a node among those who hold parts of it; volumes and load balancers are never divided."""

    kind: SplitKind = SplitKind.DOMINANT
    weights: Weights | None = None
    """Of `weighted`; None is the preset `aws`."""

    def scale(self, node: NodeFact, grain: int) -> Scale:
        """Shares of a node; every amount of GPUs that is asked about must be a multiple of `1/grain`."""
        return scale_of(self.kind, Size.of(node), grain, self.weights) if node.kind is NodeKind.NODE else _WHOLE


DOMINANT = Split()
