"""The built-in list prices: small, dated, and silent about everything it does not know.

On-demand list prices of AWS us-east-1 as published in November 2026, in USD. Spot prices move by zone and day; the ones
here are the midpoint of the range seen in that region at that time, good enough to compare placements and no more: a
PriceBook takes precedence. The list applies to all times, because an old node is better priced by a list whose date is
shown than not at all; every number that rests on it names `SOURCE`.
"""

from __future__ import annotations

from decimal import Decimal

from gpucost.core.model import CapacityType, PriceEntry

DATE = "2026-11-01"
SOURCE = f"built-in list {DATE}"

# instance type, GPU model, GPUs, on-demand USD per node-hour, spot USD per GPU-hour (midpoint of the range)
_ROWS = (
    ("p5.48xlarge", "H100", 8, "55.04", "2.70"),  # spot 2.2 - 3.2
    ("p4d.24xlarge", "A100 40GB", 8, "21.96", "1.00"),  # spot about 1.0
    ("p4de.24xlarge", "A100 80GB", 8, "27.45", "1.165"),  # spot 1.08 - 1.25
    ("g6.2xlarge", "L4", 1, "0.978", "0.51"),  # spot 0.44 - 0.58
    ("g4dn.xlarge", "T4", 1, "0.526", "0.21"),  # spot 0.20 - 0.22
    ("p3.2xlarge", "V100", 1, "3.06", "0.97"),  # spot 0.97
)


def _entries(instance: str, model: str, gpus: int, on_demand: str, spot_per_gpu: str) -> tuple[PriceEntry, ...]:
    per_gpu = Decimal(spot_per_gpu)
    whole = Decimal(on_demand)
    return (
        PriceEntry(whole, 0, CapacityType.ON_DEMAND, instance_type=instance, source=SOURCE),
        PriceEntry(per_gpu * gpus, 0, CapacityType.SPOT, instance_type=instance, source=SOURCE),
        PriceEntry(whole / gpus, 0, CapacityType.ON_DEMAND, gpu_model=model, source=SOURCE),
        PriceEntry(per_gpu, 0, CapacityType.SPOT, gpu_model=model, source=SOURCE),
    )


BUILT_IN: tuple[PriceEntry, ...] = tuple(entry for row in _ROWS for entry in _entries(*row))
"""Entries by instance type, and by GPU model for machines of other names. A model of which there are several sizes
(A100 of 40 or 80 GB) is listed by size only; a bare `A100` stays unknown."""
