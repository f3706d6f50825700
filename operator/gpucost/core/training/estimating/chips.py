"""What a GPU can do: dense peak by number format, and memory, from the data sheets of its maker.

A peak is a claim of the vendor, not a speed that a run reaches; how much of it a run uses (MFU) is the caller's. A
model that is not here has no peak, and nothing is concluded from its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from gpucost.core.pricing import gpu_tokens


class Precision(StrEnum):
    """Number format in which the matrix products are computed."""

    BF16 = "BF16"
    FP16 = "FP16"
    TF32 = "TF32"
    FP32 = "FP32"


@dataclass(frozen=True, slots=True)
class Chip:
    """A GPU model."""

    name: str
    """Words that its name has everywhere; more of them make it more specific."""
    peaks: Mapping[Precision, Fraction]
    """Dense TFLOP/s; a format that the GPU computes in without a published peak is not here."""
    memory_gb: int
    """Of the smallest model of that name."""
    note: str = ""
    """What a name that says no more is taken for."""

    def precision(self, wanted: Precision | None) -> Precision | None:
        """The format that is computed in: the one asked for, else BF16 where the GPU has it, else FP16."""
        if wanted is not None:
            return wanted if wanted in self.peaks else None
        return next((one for one in (Precision.BF16, Precision.FP16) if one in self.peaks), None)


def _chip(
    name: str, half: str, memory_gb: int, *, tf32: str = "", fp32: str = "", bf16: bool = True, note: str = ""
) -> Chip:
    peaks = {Precision.FP16: Fraction(half)}
    if bf16:
        peaks[Precision.BF16] = Fraction(half)
    if tf32:
        peaks[Precision.TF32] = Fraction(tf32)
    if fp32:
        peaks[Precision.FP32] = Fraction(fp32)
    return Chip(name, peaks, memory_gb, note)


_SXM = "the SXM module"

CHIPS: tuple[Chip, ...] = (
    # NVIDIA data sheets; where these give a figure "with sparsity", half of it is the dense one.
    _chip("H200", "989", 141, tf32="494.5", fp32="67", note=_SXM),  # H200 Tensor Core GPU: BF16 1,979 with sparsity
    _chip("H100", "989", 80, tf32="494.5", fp32="67", note=_SXM),  # H100 Tensor Core GPU, SXM: BF16 1,979 with sparsity
    _chip("H100 PCIE", "756", 80, tf32="378", fp32="51"),  # H100 Tensor Core GPU, PCIe: BF16 1,513 with sparsity
    _chip("H100 NVL", "835.5", 94, fp32="60"),  # H100 NVL: BF16 1,671 with sparsity
    _chip("H200 NVL", "835.5", 141, fp32="60"),  # H200 NVL: BF16 1,671 with sparsity
    _chip("A100", "312", 40, tf32="156", fp32="19.5"),  # A100 Tensor Core GPU: BF16 312
    _chip("A100 80GB", "312", 80, tf32="156", fp32="19.5"),
    _chip("L40S", "362.05", 48, tf32="183", fp32="91.6"),  # L40S: BF16 362.05 | 733 with sparsity
    _chip("L40", "181.05", 48, tf32="90.5", fp32="90.5"),  # L40: BF16 181.05 | 362.1 with sparsity
    _chip("A40", "149.7", 48, tf32="74.8", fp32="37.4"),  # A40: BF16 149.7 | 299.4 with sparsity
    _chip("L4", "121", 24, tf32="60", fp32="30.3"),  # L4: BF16 242 with sparsity
    _chip("A10G", "70", 24, tf32="35", fp32="31.5"),  # A10G (AWS G5): BF16 70 | 140 with sparsity
    _chip("T4", "65", 16, fp32="8.1", bf16=False),  # T4: FP16 65, no BF16
    _chip("V100", "125", 16, fp32="15.7", bf16=False, note=_SXM),  # V100 SXM2: FP16 tensor 125, no BF16
    _chip("V100 PCIE", "112", 16, fp32="14", bf16=False),  # V100 PCIe: FP16 tensor 112
    _chip("V100 PCIE 32GB", "112", 32, fp32="14", bf16=False),
    _chip("V100 32GB", "125", 32, fp32="15.7", bf16=False),
)

INSTANCES: Mapping[str, tuple[str, int]] = {
    # AWS EC2, "Accelerated computing instances"
    "p5.48xlarge": ("H100", 8),
    "p5e.48xlarge": ("H200", 8),
    "p5en.48xlarge": ("H200", 8),
    "p4d.24xlarge": ("A100 40GB", 8),
    "p4de.24xlarge": ("A100 80GB", 8),
    "p3.2xlarge": ("V100 16GB", 1),
    "p3.8xlarge": ("V100 16GB", 4),
    "p3.16xlarge": ("V100 16GB", 8),
    **{f"g6.{size}": ("L4", 1) for size in ("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")},
    **{f"g6.{size}": ("L4", 4) for size in ("12xlarge", "24xlarge")},
    "g6.48xlarge": ("L4", 8),
    **{f"g5.{size}": ("A10G", 1) for size in ("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")},
    **{f"g5.{size}": ("A10G", 4) for size in ("12xlarge", "24xlarge")},
    "g5.48xlarge": ("A10G", 8),
    **{f"g4dn.{size}": ("T4", 1) for size in ("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")},
    "g4dn.12xlarge": ("T4", 4),
    "g4dn.metal": ("T4", 8),
}
"""GPU model and number of GPUs of instance types, for jobs that select their nodes by type."""


def chip_of(model: str) -> Chip | None:
    """The most specific chip whose words all stand in a model's name; None for one that is not known."""
    words = gpu_tokens(model)
    fitting = [chip for chip in CHIPS if gpu_tokens(chip.name) <= words]
    return max(fitting, key=lambda chip: len(gpu_tokens(chip.name)), default=None)
