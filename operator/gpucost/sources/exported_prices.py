"""Prices that Karpenter and OpenCost export, read from the PromQL engine with one bulk query each.

What they mean is the core's business (`core.exported`); here is only what to ask. Karpenter exports every instance type
of a region, so it is asked for those that the cluster has nodes of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gpucost.core.clock import Instant, Micros
from gpucost.core.exported import KARPENTER_PRICE, OPENCOST_PRICES
from gpucost.sources.promql import PromQL, RangeSeries, Series

_MOST_TYPES = 200
_OPENCOST = '{{__name__=~"{}"}}'.format("|".join(OPENCOST_PRICES))


@dataclass(frozen=True, slots=True)
class PricesSeen:
    """Series with the current prices."""

    karpenter: Sequence[Series] = ()
    opencost: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    """By metric."""

    def __bool__(self) -> bool:
        return bool(self.karpenter or self.opencost)


@dataclass
class ExportedPrices:
    """Asks one engine; `engine` may be shared with other sources."""

    engine: PromQL

    async def read(self, instance_types: Sequence[str]) -> PricesSeen:
        """Prices now. Raises `PrometheusError` when the engine did not answer."""
        karpenter = await self.engine.query(_karpenter(instance_types)) if instance_types else []
        return PricesSeen(karpenter, _by_metric(await self.engine.query(_OPENCOST)))

    async def history(
        self, instance_types: Sequence[str], start: Instant, end: Instant, step: Micros
    ) -> tuple[list[RangeSeries], Mapping[str, list[RangeSeries]]]:
        """Prices of the past, of Karpenter and by metric of OpenCost. Raises `PrometheusError`."""
        karpenter: list[RangeSeries] = []
        if instance_types:
            karpenter = await self.engine.query_range(_karpenter(instance_types), start, end, step)
        found: dict[str, list[RangeSeries]] = {}
        for one in await self.engine.query_range(_OPENCOST, start, end, step):
            found.setdefault(one.labels.get("__name__", ""), []).append(one)
        return karpenter, found


def _karpenter(instance_types: Sequence[str]) -> str:
    if len(instance_types) > _MOST_TYPES:
        return KARPENTER_PRICE
    wanted = "|".join(map(re.escape, instance_types)).replace("\\", "\\\\").replace('"', '\\"')
    return f'{KARPENTER_PRICE}{{instance_type=~"{wanted}"}}'


def _by_metric(series: Sequence[Series]) -> dict[str, list[Series]]:
    found: dict[str, list[Series]] = {}
    for one in series:
        found.setdefault(one.labels.get("__name__", ""), []).append(one)
    return found
