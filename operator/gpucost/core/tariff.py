"""What PriceBooks say, in the core's terms: prices, and the terms of contracts that change what is paid.

Every term has a scope (empty matches anything), a period, and the name of the book that it comes from. Terms do not
know each other; which of them wins is decided in `pricing`, `commitments` and `assets`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from gpucost.core.clock import Instant
from gpucost.core.model import CapacityType, NodeKind, PriceEntry


class Term(Protocol):
    """What all terms that speak of nodes have in common."""

    @property
    def instance_type(self) -> str: ...  # noqa: D102
    @property
    def gpu_model(self) -> str: ...  # noqa: D102
    @property
    def region(self) -> str: ...  # noqa: D102
    @property
    def zone(self) -> str: ...  # noqa: D102
    @property
    def effective_from(self) -> Instant: ...  # noqa: D102
    @property
    def effective_until(self) -> Instant | None: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class BasePrice:
    """Price of one CPU core and of one GiB of memory per hour, for nodes without a GPU and without a price."""

    cpu_hourly: Decimal
    memory_gib_hourly: Decimal
    effective_from: Instant = 0
    capacity_type: CapacityType = CapacityType.ON_DEMAND
    region: str = ""
    zone: str = ""
    source: str = ""
    effective_until: Instant | None = None

    @property
    def instance_type(self) -> str:
        """It speaks of every type."""
        return ""

    @property
    def gpu_model(self) -> str:
        """It speaks of no GPU."""
        return ""


@dataclass(frozen=True, slots=True)
class Discount:
    """Percent off every price of a node that is no annotation and no commitment."""

    percent: Decimal
    """Above 0 and below 100."""
    effective_from: Instant = 0
    capacity_type: CapacityType = CapacityType.ON_DEMAND
    instance_type: str = ""
    gpu_model: str = ""
    region: str = ""
    zone: str = ""
    source: str = ""
    effective_until: Instant | None = None


@dataclass(frozen=True, slots=True)
class Commitment:
    """A rate agreed upon for a period, per node (`instance_type`) or per GPU (`gpu_model`), used or not."""

    name: str
    hourly: Decimal
    effective_from: Instant = 0
    effective_until: Instant | None = None
    count: int | None = None
    """Nodes that it covers at once; None: all that match."""
    instance_type: str = ""
    gpu_model: str = ""
    region: str = ""
    zone: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class AssetPrice:
    """Price of storage (per GiB and month) or of a load balancer (per hour)."""

    kind: NodeKind
    amount: Decimal
    asset_class: str = ""
    """Storage class or load balancer class; empty for any."""
    region: str = ""
    effective_from: Instant = 0
    source: str = ""
    effective_until: Instant | None = None


@dataclass(frozen=True, slots=True)
class Tariff:
    """Everything that one book says, or all of them together."""

    prices: tuple[PriceEntry, ...] = ()
    base: tuple[BasePrice, ...] = ()
    discounts: tuple[Discount, ...] = ()
    commitments: tuple[Commitment, ...] = ()
    assets: tuple[AssetPrice, ...] = ()

    def __len__(self) -> int:
        return sum(map(len, (self.prices, self.base, self.discounts, self.commitments, self.assets)))


NOTHING = Tariff()


def together(tariffs: Iterable[Tariff]) -> Tariff:
    """All terms of several books."""
    each = list(tariffs)
    return Tariff(
        prices=tuple(one for tariff in each for one in tariff.prices),
        base=tuple(one for tariff in each for one in tariff.base),
        discounts=tuple(one for tariff in each for one in tariff.discounts),
        commitments=tuple(one for tariff in each for one in tariff.commitments),
        assets=tuple(one for tariff in each for one in tariff.assets),
    )
