"""Time in which nobody can tell who holds how much of a node: then the node has no price that could be shared out.

Charging a pod of unknown size nothing would put its cost on others, or call it idle. So the node's price is unknown for
as long as the pod is there, with the reason where the source of the price would stand.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from gpucost.core.allocate import FOREVER
from gpucost.core.model import PriceFact
from gpucost.core.timeline import Interval, Timeline

UNKNOWN = "unknown: "
"""What a price's source, or a pod's note, begins with when nobody can tell; the reason follows."""


class Doubt(NamedTuple):
    """A span and the reason."""

    span: Interval
    reason: str


def masked(prices: Sequence[PriceFact], doubts: Collection[Doubt]) -> list[PriceFact]:
    """A node's price timeline, unknown where there is doubt; where several meet, the earliest says why."""
    if not doubts or not prices:
        return list(prices)
    timeline = Timeline.of((price.start, price) for price in prices)
    edges = {edge for doubt in doubts for edge in doubt.span if edge < FOREVER}
    steps: list[PriceFact] = []
    for instant in sorted({*timeline.starts, *(edge for edge in edges if edge >= timeline.starts[0])}):
        price = timeline.at(instant)
        assert price is not None
        reasons = sorted(doubt for doubt in doubts if doubt.span.start <= instant < doubt.span.end)
        hourly, source = (None, f"{UNKNOWN}{reasons[0].reason}") if reasons else (price.hourly, price.source)
        on_demand = None if reasons else price.on_demand
        steps.append(PriceFact(price.node_uid, instant, hourly, price.capacity_type, source, on_demand))
    return steps
