"""What GPUs cost in a cluster, as estimates see it: the prices in force, from books, nodes and what Karpenter says."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from gpucost.core.clock import MINUTE
from gpucost.core.model import CapacityType
from gpucost.core.pricelist import SOURCE
from gpucost.core.training.estimating.market import Quote, choose
from gpucost.core.training.estimating.ranges import Range
from gpucost.runtime.market import GpuMarket
from unit.runtime.test_prices_in_force import T0, ZONE, Exporter, Scene, p5

SPOT, ON_DEMAND = CapacityType.SPOT, CapacityType.ON_DEMAND


def market_of(scene: Scene) -> GpuMarket:
    return GpuMarket(scene.prices, lambda: scene.at)


def quote(scene: Scene, kind: CapacityType = ON_DEMAND, model: str = "H100") -> Quote | None:
    return choose(market_of(scene).view().quotes or (), model, kind)


async def test_without_nodes_and_books_the_built_in_list_speaks() -> None:
    scene = Scene()
    found = quote(scene)
    assert found is not None
    assert (found.hourly, found.source, found.nodes) == (Range.of(Decimal("6.88")), SOURCE, 0)
    assert market_of(scene).view().gpu_models == frozenset()


async def test_a_book_goes_before_the_list_and_a_node_before_both() -> None:
    scene = Scene()
    scene.book(**p5("40"))
    await scene.tick()
    scene.node()
    found = quote(scene)
    assert found is not None
    assert (found.hourly, found.source, found.nodes) == (Range.of(5), "PriceBook/b", 1)
    scene.node(price="16")
    found = quote(scene)
    assert found is not None
    assert (found.hourly, found.source) == (Range.of(2), "annotation")
    assert market_of(scene).view().gpu_models == {"H100-80GB-HBM3"}


async def test_a_price_that_jumped_is_held_back_here_too() -> None:
    scene = Scene()
    scene.node(price="16")
    scene.node(price="16000")
    found = quote(scene)
    assert found is not None
    assert found.hourly == Range.of(2)


async def test_nodes_that_cost_differently_are_a_range_and_those_that_are_gone_are_none() -> None:
    scene = Scene()
    scene.node("a", price="16")
    scene.node("b", price="32", **{ZONE: "z2"})
    found = quote(scene)
    assert found is not None
    assert found.hourly == Range.of(2, 3, 4)
    scene.node_gone("b")
    found = quote(scene)
    assert found is not None
    assert found.hourly == Range.of(2)


async def test_what_karpenter_says_of_an_offering_is_used() -> None:
    scene = Scene(exporter=Exporter())
    assert scene.exporter is not None
    scene.exporter.karpenter = 48.0
    scene.node()
    await scene.tick(later=10 * MINUTE)
    found = quote(scene)
    assert found is not None
    assert found.hourly == Range.of(6)
    assert "Karpenter" in found.source
    spot = quote(scene, SPOT)
    assert spot is not None
    assert spot.source == SOURCE


async def test_in_another_currency_the_list_says_nothing() -> None:
    scene = Scene(currency="EUR")
    assert quote(scene) is None
    scene.book(currency="EUR", **p5("40"))
    await scene.tick()
    found = choose(market_of(scene).view().quotes or (), "", ON_DEMAND, instance_type="p5.48xlarge")
    assert found is not None
    assert found.hourly == Range.of(5)
    assert market_of(scene).view().currency == "EUR"


async def test_a_view_is_kept_for_a_minute() -> None:
    scene = Scene()
    market = market_of(scene)
    before = market.view()
    scene.node(price="16")
    assert market.view() is before
    scene.at += MINUTE
    after = market.view()
    assert after is not before
    assert any(one.hourly.typical == Fraction(2) for one in after.quotes or ())
    assert scene.at == T0 + MINUTE
