"""The built-in list prices: small, dated, and silent about everything it does not know.

On-demand list prices of AWS us-east-1 as published in November 2026, in USD. Spot prices move by zone and day; the ones
here are the midpoint of the range seen in that region at that time, good enough to compare placements and no more: a
PriceBook takes precedence. The list applies to all times, because an old node is better priced by a list whose date is
shown than not at all; every number that rests on it names `SOURCE`. It is used where the ledger is kept in `CURRENCY`
and nowhere else: an amount in another currency would be wrong without looking so.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from gpucost.core.model import CapacityType, NodeKind, PriceEntry
from gpucost.core.tariff import AssetPrice

DATE = "2026-11-01"
SOURCE = f"built-in list {DATE}"
CURRENCY = "USD"

# instance type, GPU model, GPUs, on-demand USD per node-hour, spot USD per GPU-hour (midpoint of the range)
_ROWS = (
    ("p5.48xlarge", "H100", 8, "55.04", "2.70"),  # spot 2.2 - 3.2
    ("p4d.24xlarge", "A100 40GB", 8, "21.96", "1.00"),  # spot about 1.0
    ("p4de.24xlarge", "A100 80GB", 8, "27.45", "1.165"),  # spot 1.08 - 1.25
    ("g6.2xlarge", "L4", 1, "0.978", "0.51"),  # spot 0.44 - 0.58
    ("g4dn.xlarge", "T4", 1, "0.526", "0.21"),  # spot 0.20 - 0.22
    ("p3.2xlarge", "V100", 1, "3.06", "0.97"),  # spot 0.97
)

SPOT_RANGES = {
    "H100": (Decimal("2.20"), Decimal("3.20")),
    "A100 80GB": (Decimal("1.08"), Decimal("1.25")),
    "L4": (Decimal("0.44"), Decimal("0.58")),
    "T4": (Decimal("0.20"), Decimal("0.22")),
}
"""Lowest and highest spot price per GPU-hour seen, where there was a range."""

_ON_DEMAND = {
    "p3.8xlarge": "12.24",
    "p3.16xlarge": "24.48",
    "g4dn.2xlarge": "0.752",
    "g4dn.4xlarge": "1.204",
    "g4dn.8xlarge": "2.176",
    "g4dn.12xlarge": "3.912",
    "g4dn.16xlarge": "4.352",
    "g5.xlarge": "1.006",
    "g5.2xlarge": "1.212",
    "g5.4xlarge": "1.624",
    "g5.8xlarge": "2.448",
    "g5.12xlarge": "5.672",
    "g5.16xlarge": "4.096",
    "g5.24xlarge": "8.144",
    "g5.48xlarge": "16.288",
    "t3.medium": "0.0416",
    "t3.large": "0.0832",
    "t3.xlarge": "0.1664",
    "t3.2xlarge": "0.3328",
}
"""Instance types of which only the on-demand price is sure."""

_PER_LARGE = {"m5": "0.096", "m6i": "0.096", "c5": "0.085", "c6i": "0.085", "r5": "0.126", "r6i": "0.126"}
_SIZES = {"large": 1, "xlarge": 2, "2xlarge": 4, "4xlarge": 8}
"""In these families an instance twice the size costs twice as much."""


def _machine(instance: str, model: str, gpus: int, on_demand: str, spot_per_gpu: str) -> Iterator[PriceEntry]:
    per_gpu, whole = Decimal(spot_per_gpu), Decimal(on_demand)
    yield PriceEntry(whole, 0, CapacityType.ON_DEMAND, instance_type=instance, source=SOURCE)
    yield PriceEntry(per_gpu * gpus, 0, CapacityType.SPOT, instance_type=instance, source=SOURCE)
    yield PriceEntry(whole / gpus, 0, CapacityType.ON_DEMAND, gpu_model=model, source=SOURCE)
    yield PriceEntry(per_gpu, 0, CapacityType.SPOT, gpu_model=model, source=SOURCE)


def _entries() -> Iterator[PriceEntry]:
    for row in _ROWS:
        yield from _machine(*row)
    for instance, hourly in _ON_DEMAND.items():
        yield PriceEntry(Decimal(hourly), 0, CapacityType.ON_DEMAND, instance_type=instance, source=SOURCE)
    for family, hourly in _PER_LARGE.items():
        for size, factor in _SIZES.items():
            amount = Decimal(hourly) * factor
            yield PriceEntry(amount, 0, CapacityType.ON_DEMAND, instance_type=f"{family}.{size}", source=SOURCE)


BUILT_IN: tuple[PriceEntry, ...] = tuple(_entries())
"""Entries by instance type, and by GPU model for machines of other names. A model of which there are several sizes
(A100 of 40 or 80 GB) is listed by size only; a bare `A100` stays unknown."""

BUILT_IN_ASSETS: tuple[AssetPrice, ...] = (
    AssetPrice(NodeKind.VOLUME, Decimal("0.08"), asset_class="gp3", source=SOURCE),
    AssetPrice(NodeKind.VOLUME, Decimal("0.10"), asset_class="gp2", source=SOURCE),
    AssetPrice(NodeKind.LOAD_BALANCER, Decimal("0.0225"), asset_class="service.k8s.aws/nlb", source=SOURCE),
    AssetPrice(NodeKind.LOAD_BALANCER, Decimal("0.0225"), asset_class="eks.amazonaws.com/nlb", source=SOURCE),
)
"""Storage by the names that AWS gives its volume types and clusters their storage classes; load balancers by the class
that only AWS' controllers serve, their hourly base without traffic. Another name says nothing of what is behind it."""
