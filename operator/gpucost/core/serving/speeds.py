"""How much slower at worst one GPU serves than another, from the data sheets of their maker.

A kernel is bound by arithmetic or by memory (the roofline), so on a GPU with a half of one and a third of the other it
takes at most three times as long: the larger ratio of the two is a bound and not a guess. Decoding a token is bound by
memory, reading a prompt by arithmetic, and an endpoint does both. A GPU that is not in the tables has no speed, and
nothing is advised about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from gpucost.core.pricing import gpu_tokens
from gpucost.core.training.estimating.chips import Precision, chip_of

BANDWIDTH: Mapping[str, int] = {
    # GB/s, "GPU memory bandwidth" of NVIDIA's data sheets, by the names of `chips`.
    "H200": 4800,
    "H200 NVL": 4800,
    "H100": 3350,
    "H100 PCIE": 2000,
    "H100 NVL": 3900,
    "A100": 1555,
    "A100 80GB": 1935,  # PCIe; SXM: 2,039
    "L40S": 864,
    "L40": 864,
    "A40": 696,
    "L4": 300,
    "A10G": 600,
    "T4": 320,
    "V100": 900,
    "V100 PCIE": 900,
    "V100 32GB": 900,
    "V100 PCIE 32GB": 900,
}
_WITH_FP8 = frozenset({"H200", "H200 NVL", "H100", "H100 PCIE", "H100 NVL", "L40S", "L40", "L4"})


@dataclass(frozen=True, slots=True)
class Speed:
    """What a GPU, or a part of one, can do."""

    name: str
    tflops: Fraction
    """Dense, in half precision."""
    gb_per_second: Fraction
    memory_gb: int
    bf16: bool
    fp8: bool

    def part(self, compute: Fraction, memory: Fraction, name: str) -> Speed:
        """A MIG instance with such shares of the compute and memory slices."""
        held = int(self.memory_gb * memory)
        return Speed(name, self.tflops * compute, self.gb_per_second * memory, held, self.bf16, self.fp8)


def speed_of(model: str) -> Speed | None:
    """Of a whole GPU; None for a model that is not in the tables, or whose name could be several."""
    chip = chip_of(model)
    if chip is None or chip.name not in BANDWIDTH:
        return None
    precision = chip.precision(None)
    if precision is None:
        return None
    return Speed(
        chip.name,
        chip.peaks[precision],
        Fraction(BANDWIDTH[chip.name]),
        chip.memory_gb,
        bf16=Precision.BF16 in chip.peaks,
        fp8=chip.name in _WITH_FP8,
    )


def slowdown(own: Speed, other: Speed) -> Fraction:
    """How many times as long anything takes on `other` at worst; never below 1: gains are not counted on."""
    return max(Fraction(1), own.tflops / other.tflops, own.gb_per_second / other.gb_per_second)


def is_same_model(one: str, other: str) -> bool:
    """Whether two names are of one model, as far as words tell."""
    ours, theirs = gpu_tokens(one), gpu_tokens(other)
    return ours <= theirs or theirs <= ours
