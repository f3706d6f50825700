"""How much there is to compute, how long that takes and how much memory it needs.

Training takes about 6 floating point operations per parameter and token: 2 forward, 4 backward. With the base model's
weights frozen (LoRA) the gradients of these are not computed, which leaves about 4. A run uses 30 to 50 % of the peak
of its GPUs (model FLOPs utilisation, MFU).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import ceil

from gpucost.core.training.estimating.chips import Chip, Precision
from gpucost.core.training.estimating.ranges import Range

MFU = (Fraction(3, 10), Fraction(4, 10), Fraction(5, 10))
"""Least, typical and highest share of the peak that training uses."""

ACTIVATIONS = Fraction(1, 5)
"""Share of a GPU's memory that is left for activations and the framework; the rest holds the model's state."""

_TERA = 10**12
_GB = 10**9


class Method(StrEnum):
    """What is trained."""

    FULL = "Full"
    LORA = "LoRA"
    QLORA = "QLoRA"


OPERATIONS = {Method.FULL: 6, Method.LORA: 4, Method.QLORA: 4}
"""Floating point operations per parameter and token."""

STATE = {Method.FULL: Fraction(16), Method.LORA: Fraction(2), Method.QLORA: Fraction(6, 10)}
"""Bytes per parameter: weights, gradients and Adam's moments in mixed precision; frozen weights of 2 bytes, or of 4
bits and their scales. The adapters of LoRA are small beside these."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be trained."""

    parameters: int
    tokens: int
    """All that are read, those of later epochs too."""
    method: Method = Method.FULL
    precision: Precision | None = None
    """None: BF16 where the GPU has it, else FP16."""

    @property
    def operations(self) -> int:
        """Floating point operations in all."""
        return OPERATIONS[self.method] * self.parameters * self.tokens

    @property
    def state_bytes(self) -> int:
        """Memory of the model's state, over all GPUs."""
        return ceil(STATE[self.method] * self.parameters)


def running_hours(work: Work, chip: Chip, gpus: int) -> Range | None:
    """Hours on so many GPUs; None when the chip's peak in the number format is not known."""
    precision = chip.precision(work.precision)
    if precision is None:
        return None
    per_hour = Fraction(gpus) * chip.peaks[precision] * _TERA * 3600
    least, typical, most = MFU
    return Range.of(*(work.operations / (per_hour * share) for share in (most, typical, least)))


def room(chip: Chip, gpus: int) -> int:
    """Bytes of memory for the model's state on so many GPUs, over which it is spread evenly."""
    return int(gpus * chip.memory_gb * _GB * (1 - ACTIVATIONS))


def least_gpus(work: Work, chip: Chip) -> int:
    """The smallest number of GPUs whose memory holds the state."""
    return max(1, ceil(Fraction(work.state_bytes, room(chip, 1))))


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a TrainingJob says of its model."""

    work: Work
    gpu: str = ""
    """GPU model to reckon with; empty when the nodes tell."""
