"""What volumes and load balancers cost, by hand."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from gpucost.core.assets import asset_prices
from gpucost.core.model import NodeKind
from gpucost.core.pricelist import SOURCE
from gpucost.core.tariff import AssetPrice
from support.ledger_world import GIB, at

VOLUME, BALANCER = NodeKind.VOLUME, NodeKind.LOAD_BALANCER


def price(amount, name="", region="", since=-1000, until=None, kind=VOLUME):
    return AssetPrice(
        kind, Decimal(amount), name, region, at(since), "PriceBook/b", None if until is None else at(until)
    )


def volume(**more):
    return asset_prices(VOLUME, uid="pvc", start=at(0), **{"size_bytes": 730 * GIB, "storage_class": "gp3", **more})


def hourly(facts):
    return [((fact.start - at(0)) / 3.6e9, fact.hourly) for fact in facts]


def test_a_volume_costs_its_size_by_the_730th_of_a_month():
    (fact,) = volume()
    assert (fact.hourly, fact.source, fact.node_uid) == (Decimal("0.08"), SOURCE, "pvc")


def test_a_month_of_any_size_comes_to_the_monthly_price():
    (fact,) = volume(size_bytes=100 * GIB + 1)
    month = Fraction(fact.hourly) * 730
    assert abs(month - Fraction(100 * GIB + 1, GIB) * Fraction("0.08")) < Fraction(1, 10**14)


def test_a_resize_is_a_further_step():
    assert hourly(volume(size_bytes=[(at(-1), 73 * GIB), (at(3), 730 * GIB)])) == [
        (0, Decimal("0.008")),
        (3, Decimal("0.08")),
    ]
    assert hourly(volume(size_bytes=[(at(5), 73 * GIB)])) == [(0, Decimal("0.008"))]


def test_class_and_region_come_before_either_and_both_before_any():
    entries = [price("4", "gp3", "eu"), price("3", "gp3"), price("2", "", "eu"), price("1")]
    found = [
        volume(entries=entries, region=region, storage_class=name)[0].hourly
        for region, name in (("eu", "gp3"), ("us", "gp3"), ("eu", "io2"), ("us", "io2"))
    ]
    assert found == [4, 3, 2, 1]


def test_prices_change_and_end_on_their_dates():
    facts = volume(entries=[price("1", since=-5), price("2", since=2, until=4)])
    assert hourly(facts) == [(0, 1), (2, 2), (4, 1)]


def test_an_unknown_class_is_unpriced_and_zero_says_do_not_guess():
    assert volume(storage_class="fast")[0].hourly is None
    (fact,) = volume(entries=[price("0", "gp3")])
    assert (fact.hourly, fact.source) == (None, "PriceBook/b")


def test_a_load_balancer_costs_by_the_hour():
    entries = [price("0.03", kind=BALANCER), price("9")]
    assert asset_prices(BALANCER, start=at(0), entries=entries)[0].hourly == Decimal("0.03")
    assert asset_prices(BALANCER, start=at(0))[0].hourly is None
    listed = asset_prices(BALANCER, start=at(0), load_balancer_class="service.k8s.aws/nlb")
    assert listed[0].hourly == Decimal("0.0225")


def test_what_ends_before_a_price_begins_never_has_it():
    assert hourly(volume(end=at(2), entries=[price("1", since=2)])) == [(0, Decimal("0.08"))]
