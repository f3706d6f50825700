"""What a volume or a load balancer costs over time.

A month has 730 hours (8,760 in a year by 12), as cloud providers count it, and a GiB is 2^30 bytes: a volume's hourly
price is its GiB x price per GiB-month / 730. Precedence at every instant: PriceBooks before the built-in list; within
each a price for the class and the region, for the class, for the region, for any; then the latest `effectiveFrom`.
A price of 0 says that nobody knows and hides what is below it. Discounts and commitments speak of nodes only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction

from gpucost.core.clock import Instant
from gpucost.core.model import CapacityType, NodeKind, PriceFact
from gpucost.core.money import exact
from gpucost.core.offers import Offer, Ranked, cuts_in
from gpucost.core.pricelist import BUILT_IN_ASSETS
from gpucost.core.tariff import AssetPrice
from gpucost.core.timeline import Timeline

HOURS_PER_MONTH = 730
_GIB = 1 << 30


def asset_prices(
    kind: NodeKind,
    *,
    start: Instant,
    end: Instant | None = None,
    uid: str = "",
    region: str = "",
    storage_class: str = "",
    load_balancer_class: str = "",
    size_bytes: int | Iterable[tuple[Instant, int]] = 0,
    entries: Iterable[AssetPrice] = (),
    built_in: Iterable[AssetPrice] = BUILT_IN_ASSETS,
) -> list[PriceFact]:
    """Timeline of the hourly price of a whole volume or load balancer from `start` on, at least one step.

    `size_bytes` of a volume is one size, or a size from each of some instants on (it was resized); before the first of
    them the first one holds. `uid` goes into the facts. What nobody prices has `hourly` None.
    """
    wanted = storage_class if kind is NodeKind.VOLUME else load_balancer_class
    lists = [_fitting(kind, wanted, region, each) for each in (entries, built_in)]
    sizes = _sizes(size_bytes, start) if kind is NodeKind.VOLUME else Timeline.of([(start, 0)])
    instants = sorted({*cuts_in(lists, start, end), *(at for at in sizes.starts if at >= start and _before(at, end))})
    steps: list[PriceFact] = []
    for instant in instants:
        hourly, source = _price_at(kind, lists, sizes.at(instant) or 0, instant)
        if not steps or (steps[-1].hourly, steps[-1].source) != (hourly, source):
            steps.append(PriceFact(uid, instant, hourly, CapacityType.ON_DEMAND, source))
    return steps


def volume_hourly(size_bytes: int, per_gib_month: Decimal) -> Decimal:
    """Hourly price of a whole volume."""
    return exact(Fraction(size_bytes, _GIB) * Fraction(per_gib_month) / HOURS_PER_MONTH)


def _price_at(kind: NodeKind, lists: Sequence[Ranked], size: int, instant: Instant) -> tuple[Decimal | None, str]:
    offer = next((found for each in lists if (found := each.at(instant)) is not None), None)
    if offer is None:
        return None, ""
    hourly = volume_hourly(size, offer.hourly) if kind is NodeKind.VOLUME else offer.hourly
    return hourly or None, offer.source


def _sizes(size_bytes: int | Iterable[tuple[Instant, int]], start: Instant) -> Timeline[int]:
    if isinstance(size_bytes, int):
        return Timeline.of([(start, size_bytes)])
    steps = sorted(dict(size_bytes).items())
    if steps and steps[0][0] > start:
        steps[0] = (start, steps[0][1])
    return Timeline.of(steps)


def _before(instant: Instant, end: Instant | None) -> bool:
    return end is None or instant < end


def _fitting(kind: NodeKind, wanted: str, region: str, entries: Iterable[AssetPrice]) -> Ranked:
    """Offers for this class and region, the best first; the amount is that of the entry."""
    fitting = [
        one
        for one in entries
        if one.kind is kind and one.asset_class in {"", wanted} and one.region in {"", region} and one.amount >= 0
    ]
    fitting.sort(key=lambda one: one.source)
    fitting.sort(key=lambda one: (bool(one.asset_class), bool(one.region), one.effective_from), reverse=True)
    return Ranked(tuple(Offer(one.amount, one.source, one.effective_from, one.effective_until) for one in fitting))
