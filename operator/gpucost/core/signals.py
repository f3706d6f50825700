"""One GPU's activity from everything that its exporters say about it, and from no single signal alone.

Each signal is known to fail in its own way: the engine's active time reads 0 on busy GPUs once the profiling module has
lost its counters, the older utilisation does not exist for MIG slices, a counter that cannot be read comes out as
4294967295. The rule (docs/guide/utilisation.md) is therefore one of evidence: any sound signal can show that a GPU
computes, but that it does not must be said by two that fail independently.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gpucost.core.model import Unknown

ENGINE_ACTIVE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
GPU_UTIL = "DCGM_FI_DEV_GPU_UTIL"
TENSOR_ACTIVE = "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"
DRAM_ACTIVE = "DCGM_FI_PROF_DRAM_ACTIVE"
SM_ACTIVE = "DCGM_FI_PROF_SM_ACTIVE"
MEMORY_USED = "DCGM_FI_DEV_FB_USED"
POWER = "DCGM_FI_DEV_POWER_USAGE"

SCALE: Mapping[str, float] = {
    ENGINE_ACTIVE: 1.0,
    GPU_UTIL: 100.0,
    TENSOR_ACTIVE: 1.0,
    DRAM_ACTIVE: 1.0,
    SM_ACTIVE: 1.0,
}
"""Signals that are shares of time, with their value at full activity."""

_LIMITS: Mapping[str, float] = {MEMORY_USED: 4 * 1024 * 1024, POWER: 20_000.0}
"""MiB and watts that no GPU reaches: more is a reading error."""

METRICS = (*SCALE, *_LIMITS)
"""Everything that is read from exporters."""

_MOST: Mapping[str, float] = {**SCALE, **_LIMITS}

_SLACK = 1.0001  # averages of exact ones may come out a little above one
NOTHING = 0.01
"""Below this share of time a signal says that nothing ran."""
_ABOVE = 0.05
"""How far a part of the GPU may be busier than the whole before the figure of the whole is not believed."""
_EMPTY_MIB = 64.0
"""Less memory than a single CUDA context needs: no process has the GPU open."""
_HOT, _COLD = 0.6, 0.25
"""Shares of the board's power limit at which something certainly runs, and at which nothing does."""

BOARD_WATTS: Mapping[str, float] = {
    "GB200": 1200, "B200": 1000, "H200": 700, "H100 PCIe": 350, "H100 NVL": 400, "H100": 700, "A100-PCIE": 300,
    "A100 80GB PCIe": 300, "A100": 400, "A30": 165, "A10G": 300, "A10": 150, "L40S": 350, "L40": 300, "L4": 72,
    "T4": 70, "V100-PCIE": 250, "V100": 300,
}  # fmt: skip
"""Power limits by a part of the model's name, the more special first (NVIDIA's data sheets, the largest variant)."""

_WHOLES = (ENGINE_ACTIVE, GPU_UTIL)
"""Signals that tell for how long anything ran, the more precise first."""
_PARTS = (SM_ACTIVE, TENSOR_ACTIVE, DRAM_ACTIVE)
"""Signals of a part of the GPU: it ran for at least as long."""


@dataclass(frozen=True, slots=True)
class Device:
    """What is known of a GPU besides its signals."""

    model: str = ""
    mig: bool = False
    """A MIG slice: power and utilisation are the board's and say nothing about it."""


def checked(metric: str, value: float) -> float | str:
    """A sound value (a share of time in 0..1, MiB or watts), or why it is none."""
    if 0.0 <= value <= _MOST.get(metric, 1.0):  # nearly all are
        return value / SCALE.get(metric, 1.0)
    if not math.isfinite(value):
        return "not a number"
    value /= SCALE.get(metric, 1.0)
    if value < 0:
        return "negative"
    if value > _LIMITS.get(metric, _SLACK):
        return "out of range"
    return min(value, 1.0) if metric in SCALE else value


def judge(signals: Mapping[str, float], device: Device) -> float | Unknown:
    """Share of time in which a GPU computed, from sound signals by metric.

    The engine's figure is taken unless another one refutes it, then the driver's. Below 1 % it stands only when two
    independent signals agree, and never while the board draws the power of a busy one.
    """
    shares = {name: value for name, value in signals.items() if name in SCALE and not (device.mig and name == GPU_UTIL)}
    if not shares:
        return Unknown("no signal that tells of time")
    if max(shares.values()) < NOTHING:
        return _nothing(shares, signals, device)
    busiest = max([shares.get(part, 0.0) for part in _PARTS])
    for name in _WHOLES:
        share = shares.get(name, 0.0)
        if share >= NOTHING and busiest <= share + _ABOVE:
            return share
    return Unknown("its counters contradict each other")


def _nothing(shares: Mapping[str, float], signals: Mapping[str, float], device: Device) -> float | Unknown:
    """What to make of a GPU of which every signal reads 0."""
    power = power_share(signals, device)
    if power is not None and power >= _HOT:
        return Unknown("draws the power of a busy GPU while its counters read 0")
    witnesses = _witnesses_of_nothing(shares, signals, power, mig=device.mig)
    if len(witnesses) < 2:
        return Unknown(f"only {witnesses[0]} says that nothing ran")
    return max(shares.values())


def power_share(signals: Mapping[str, float], device: Device) -> float | None:
    """Power drawn as a share of the board's limit; None when either is not known."""
    watts = next((limit for name, limit in BOARD_WATTS.items() if name in device.model), None)
    if device.mig or watts is None or POWER not in signals:
        return None
    return signals[POWER] / watts


def _witnesses_of_nothing(
    shares: Mapping[str, float], signals: Mapping[str, float], power: float | None, *, mig: bool
) -> list[str]:
    """Signals that say that nothing ran, one for each way to fail.

    All profiling counters are lost together, so on a whole GPU they are one witness, and the driver's figures are
    others. A MIG slice has none of those but its memory; there, the engine and a part count as two.
    """
    witnesses = [name for name in (ENGINE_ACTIVE, *_PARTS) if name in shares][: 2 if mig else 1]
    witnesses += [GPU_UTIL] if GPU_UTIL in shares else []
    witnesses += [MEMORY_USED] if signals.get(MEMORY_USED, _EMPTY_MIB) < _EMPTY_MIB else []
    return witnesses + ([POWER] if power is not None and power < _COLD else [])
