"""Periods, places, discounts, parts of a GPU, and who is asked before whom: known answers by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from gpucost.core.capacity import gpu_fraction, gpus_of
from gpucost.core.model import CapacityType, PriceEntry
from gpucost.core.money import exact
from gpucost.core.offers import Exported, Offer
from gpucost.core.pricelist import SOURCE
from gpucost.core.pricing import node_prices
from gpucost.core.tariff import BasePrice, Discount, Tariff
from gpucost.core.timeline import Timeline
from support.ledger_world import GIB, at, node

P5 = {"instance_type": "p5.48xlarge", "gpu_model": "H100-80GB", "region": "us-east-1", "zone": "us-east-1a"}
ON_DEMAND, SPOT = CapacityType.ON_DEMAND, CapacityType.SPOT


def entry(hourly, since=-1000, until=None, *, kind=ON_DEMAND, book="PriceBook/b", **scope):
    end = None if until is None else at(until)
    return PriceEntry(Decimal(hourly), at(since), kind, source=book, effective_until=end, **scope)


def discount(percent, since=-1000, until=None, *, kind=ON_DEMAND, **scope):
    end = None if until is None else at(until)
    return Discount(Decimal(percent), at(since), kind, source="PriceBook/b", effective_until=end, **scope)


def seen(source, *steps, kind=ON_DEMAND):
    return Exported(source, kind, Timeline.of([(at(hour), Decimal(price)) for hour, price in steps]))


def steps(facts):
    return [((fact.start - at(0)) / 3.6e9, fact.hourly) for fact in facts]


# --- periods and places -----------------------------------------------------------------------------------------------


def test_after_a_period_what_would_hold_without_it_holds_again():
    entries = [entry("50", 0, instance_type="p5.48xlarge"), entry("40", 2, 4, instance_type="p5.48xlarge")]
    assert steps(node_prices(node(**P5), entries)) == [(0, 50), (2, 40), (4, 50)]


def test_after_the_only_period_the_next_source_is_asked():
    facts = node_prices(node(**P5), [entry("40", -1, 4, instance_type="p5.48xlarge")])
    assert steps(facts) == [(0, 40), (4, Decimal("55.04"))]
    assert facts[1].source == SOURCE


def test_a_period_that_was_over_before_the_node_began_does_not_count():
    assert steps(node_prices(node(start=5, **P5), [entry("40", 0, 5, instance_type="p5.48xlarge")]))[0] == (
        5,
        Decimal("55.04"),
    )


def test_the_zone_comes_before_the_region_and_that_before_any():
    entries = [
        entry("1", instance_type="p5.48xlarge"),
        entry("2", instance_type="p5.48xlarge", region="us-east-1"),
        entry("3", instance_type="p5.48xlarge", zone="us-east-1a"),
        entry("4", instance_type="p5.48xlarge", zone="us-east-1b"),
    ]
    found = {
        zone: node_prices(node(**{**P5, "zone": zone}), entries)[0].hourly for zone in ("us-east-1a", "us-east-1c")
    }
    assert found == {"us-east-1a": 3, "us-east-1c": 2}


# --- who is asked before whom -----------------------------------------------------------------------------------------


def test_each_source_is_asked_only_when_those_before_it_know_nothing():
    sources = {
        "annotation": {"annotation": "7"},
        "commitment": {"covered": [Offer(Decimal(6), "commitment", final=True)]},
        "book": {"entries": [entry("5", gpu_model="H100")]},
        "exported": {"exported": [seen("Karpenter", (-1, "4")), seen("OpenCost", (-1, "3"))]},
    }
    found = []
    while sources:
        given = {key: value for each in sources.values() for key, value in each.items()}
        found.append(node_prices(node(gpus=1, **P5), **given)[0].hourly)
        del sources[next(iter(sources))]
    opencost = [seen("OpenCost", (-1, "3"))]
    found.append(node_prices(node(gpus=1, **P5), exported=opencost)[0].hourly)
    found.append(node_prices(node(gpus=1, **P5))[0].hourly)
    assert found == [7, 6, 5, 4, 3, Decimal("55.04")]


def test_a_price_of_zero_in_a_book_hides_what_others_export():
    facts = node_prices(node(**P5), [entry("0", gpu_model="H100")], exported=[seen("Karpenter", (0, "4"))])
    assert (facts[0].hourly, facts[0].source) == (None, "PriceBook/b")


def test_exported_prices_hold_from_when_they_were_seen_until_the_next():
    facts = node_prices(node(**P5, end=10), exported=[seen("Karpenter", (1, "20"), (3, "21"), (9, "22"), (12, "1"))])
    assert steps(facts) == [(0, Decimal("55.04")), (1, 20), (3, 21), (9, 22)]


def test_a_spot_node_is_compared_with_the_exported_price_on_demand():
    exported = [seen("Karpenter", (-1, "20"), kind=SPOT), seen("Karpenter", (-1, "50"), (2, "60"))]
    facts = node_prices(node(capacity_type="spot", **P5), exported=exported)
    assert [(fact.hourly, fact.on_demand) for fact in facts] == [(20, 50), (20, 60)]


# --- discounts --------------------------------------------------------------------------------------------------------


def test_a_discount_takes_its_part_off_for_its_period_and_says_so():
    terms = Tariff(discounts=(discount("12.5", 2, 4),))
    facts = node_prices(node(**P5), [entry("80", instance_type="p5.48xlarge")], terms=terms)
    assert steps(facts) == [(0, 80), (2, 70), (4, 80)]
    assert facts[1].source == "PriceBook/b, 12.5% off by PriceBook/b"


def test_the_most_specific_discount_counts_and_they_never_add_up():
    terms = Tariff(discounts=(discount("50"), discount("10", gpu_model="H100"), discount("90", gpu_model="A100")))
    assert node_prices(node(**P5), terms=terms)[0].hourly == Decimal("49.536")  # 55.04 less 10 %


def test_a_discount_leaves_annotations_commitments_and_other_capacity_alone():
    terms = Tariff(discounts=(discount("50"),))
    assert node_prices(node(**P5), annotation="7", terms=terms)[0].hourly == 7
    assert node_prices(node(**P5), covered=[Offer(Decimal(6), "c", final=True)], terms=terms)[0].hourly == 6
    spot = node_prices(node(capacity_type="spot", **P5), terms=terms)[0]
    assert (spot.hourly, spot.on_demand) == (Decimal("21.60"), Decimal("27.52"))


# --- what a node has --------------------------------------------------------------------------------------------------


def test_a_node_without_gpus_costs_its_cores_and_memory():
    terms = Tariff(base=(BasePrice(Decimal("0.03"), Decimal("0.004"), source="PriceBook/b"),))
    plain = node(gpus=0, cpus=8, memory=32, instance_type="c99.2xlarge")
    assert node_prices(plain, terms=terms)[0].hourly == Decimal("0.368")  # 8 x 0.03 + 32 x 0.004
    priced = [entry("0.5", instance_type="c99.2xlarge")]
    assert node_prices(plain, priced, terms=terms)[0].hourly == Decimal("0.5")


def test_base_prices_do_not_make_a_node_with_gpus_cheap():
    terms = Tariff(base=(BasePrice(Decimal("0.03"), Decimal("0.004")),))
    assert node_prices(node(gpus=1, cpus=8, gpu_model="B300"), terms=terms)[0].hourly is None


def test_a_quarter_of_a_gpu_costs_a_quarter_and_its_gpu_four_times_the_node():
    quarter = node(gpus=1, instance_type="g6f.2xlarge", gpu_model="L4")
    hourly = node_prices(quarter, [entry("0.80", gpu_model="L4")])[0].hourly
    assert hourly == Decimal("0.2")
    assert Fraction(hourly) / gpus_of("g6f.2xlarge", 1) == Fraction(4, 5)
    assert (gpu_fraction("g6f.2xlarge"), gpu_fraction("g6.2xlarge"), gpus_of("g6f.2xlarge", 0)) == (
        Fraction(1, 4),
        None,
        0,
    )


def test_a_gpu_price_counts_the_gpus_in_the_machine_not_its_slices():
    cut = replace(node(gpus=7, gpu_model="H100"), physical_gpus=8)
    assert node_prices(cut, [entry("5", gpu_model="H100")])[0].hourly == 40


def test_memory_that_is_no_round_number_has_an_exact_price():
    odd = replace(node(gpus=0), capacity=replace(node().capacity, gpus=0, memory=GIB + 1))
    terms = Tariff(base=(BasePrice(Decimal(0), Decimal(1)),))
    assert node_prices(odd, terms=terms)[0].hourly == Decimal("1.000000000931322575")  # 1 + 2^-30, 18 places


@pytest.mark.parametrize(
    ("value", "text"),
    [("1/4", "0.25"), ("1/3", "0.333333333333333333"), ("2/3", "0.666666666666666667"), ("0", "0"), ("1200", "1200")],
)
def test_an_exact_amount_is_as_short_as_it_can_be(value, text):
    assert f"{exact(Fraction(value)):f}" == text
