"""Which price a node gets, and from when on."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gpucost.core.model import CapacityType, PriceEntry
from gpucost.core.pricelist import BUILT_IN, SOURCE
from gpucost.core.pricing import gpu_tokens, node_prices, parse_annotation
from support.ledger_world import at, node

H100 = {"instance_type": "p5.48xlarge", "gpu_model": "NVIDIA-H100-80GB-HBM3", "region": "us-east-1"}


def entry(hourly, since=-1000, *, kind=CapacityType.ON_DEMAND, book="PriceBook/prices", **what):
    return PriceEntry(Decimal(hourly), at(since), kind, source=book, **what)


def steps(facts):
    return [(fact.start, fact.hourly, fact.source) for fact in facts]


def now(facts):
    (fact,) = facts
    return fact.hourly, fact.source


def test_the_built_in_list_knows_an_instance_type():
    assert now(node_prices(node(**H100))) == (Decimal("55.04"), SOURCE)


def test_the_built_in_list_has_the_midpoint_of_the_spot_range():
    fact = node_prices(node(capacity_type="spot", **H100))[0]
    assert (fact.hourly, fact.capacity_type) == (Decimal("21.60"), CapacityType.SPOT)


def test_the_built_in_list_falls_back_to_the_gpu_model_times_the_gpus():
    assert now(node_prices(node(gpus=4, gpu_model="NVIDIA-H100-80GB-HBM3"))) == (Decimal("27.52"), SOURCE)


@pytest.mark.parametrize(
    "traits",
    [
        {"instance_type": "m7i.large"},
        {"gpu_model": "B300"},
        {"gpu_model": "A100"},  # of 40 or of 80 GB?
        {"capacity_type": "reserved", "gpu_model": "H100"},
        {},
    ],
)
def test_what_no_list_knows_is_unpriced(traits):
    assert now(node_prices(node(**traits))) == (None, "")


def test_a_price_book_comes_before_the_built_in_list():
    assert now(node_prices(node(**H100), [entry("40", gpu_model="H100")])) == (Decimal(320), "PriceBook/prices")


def test_the_instance_type_comes_before_the_gpu_model():
    entries = [entry("40", gpu_model="H100"), entry("50", instance_type="p5.48xlarge")]
    assert now(node_prices(node(**H100), entries))[0] == 50


def test_the_region_comes_before_any_region():
    entries = [
        entry("50", instance_type="p5.48xlarge"),
        entry("60", instance_type="p5.48xlarge", region="us-east-1"),
        entry("70", instance_type="p5.48xlarge", region="eu-west-1"),
    ]
    assert now(node_prices(node(**H100), entries))[0] == 60


def test_a_narrower_gpu_model_comes_before_a_wider_one():
    entries = [entry("1", gpu_model="H100"), entry("2", gpu_model="H100 80GB"), entry("3", gpu_model="H100 NVL")]
    assert now(node_prices(node(gpus=1, gpu_model=H100["gpu_model"]), entries))[0] == 2


def test_the_annotation_comes_before_everything():
    entries = [entry("50", instance_type="p5.48xlarge", region="us-east-1")]
    assert now(node_prices(node(**H100), entries, annotation="12.5")) == (Decimal("12.5"), "annotation")


@pytest.mark.parametrize("text", ["0", "0.0"])
def test_an_annotation_of_zero_says_that_nobody_knows(text):
    assert now(node_prices(node(**H100), annotation=text)) == (None, "annotation")


@pytest.mark.parametrize("text", ["", "-1", "NaN", "1e3", "12,5", "$5", "cheap"])
def test_a_malformed_annotation_leaves_the_node_unpriced_and_says_so(text):
    assert now(node_prices(node(**H100), annotation=text)) == (None, "annotation (malformed)")
    with pytest.raises(ValueError, match=r"annotation gpucost\.dev/hourly-price: .*want|annotation .*negative"):
        parse_annotation(text)


def test_a_price_of_zero_in_a_book_hides_the_built_in_list():
    assert now(node_prices(node(**H100), [entry("0", instance_type="p5.48xlarge")])) == (None, "PriceBook/prices")


def test_prices_hold_from_their_date_on():
    entries = [
        entry("50", -5, instance_type="p5.48xlarge"),
        entry("45", 2, instance_type="p5.48xlarge"),
        entry("30", 4, instance_type="p5.48xlarge"),
    ]
    facts = node_prices(node(start=0, end=4, **H100), entries)
    assert steps(facts) == [
        (at(0), Decimal(50), "PriceBook/prices"),
        (at(2), Decimal(45), "PriceBook/prices"),
    ]


def test_before_a_book_begins_the_built_in_list_holds():
    facts = node_prices(node(**H100), [entry("45", 2, instance_type="p5.48xlarge")])
    assert steps(facts) == [(at(0), Decimal("55.04"), SOURCE), (at(2), Decimal(45), "PriceBook/prices")]


def test_a_later_price_that_is_less_specific_does_not_take_over():
    entries = [entry("50", 0, instance_type="p5.48xlarge"), entry("1", 3, gpu_model="H100")]
    assert now(node_prices(node(**H100), entries))[0] == 50


def test_on_demand_and_spot_prices_are_kept_apart():
    entries = [entry("20", instance_type="p5.48xlarge", kind=CapacityType.SPOT)]
    assert now(node_prices(node(**H100), entries)) == (Decimal("55.04"), SOURCE)
    assert now(node_prices(node(capacity_type="spot", **H100), entries))[0] == 20


def test_of_two_books_for_one_thing_the_first_by_name_wins_in_any_order():
    both = [
        entry("2", instance_type="p5.48xlarge", book="PriceBook/b"),
        entry("1", instance_type="p5.48xlarge", book="PriceBook/a"),
    ]
    assert now(node_prices(node(**H100), both)) == now(node_prices(node(**H100), both[::-1])) == (1, "PriceBook/a")


def test_a_gpu_price_says_nothing_about_a_node_without_gpus():
    assert now(node_prices(node(gpus=0, gpu_model="H100"))) == (None, "")


def test_words_of_a_gpu_model():
    assert gpu_tokens("NVIDIA-A100-SXM4-80GB") >= gpu_tokens("A100 80GB")
    assert gpu_tokens("Tesla-T4") == gpu_tokens("t4")
    assert not gpu_tokens("NVIDIA L40S") >= gpu_tokens("L4")


def test_the_built_in_list_has_on_demand_and_spot_for_every_gpu_model():
    kinds: dict[tuple[str, str], list[CapacityType]] = {}
    for line in BUILT_IN:
        kinds.setdefault((line.instance_type, line.gpu_model), []).append(line.capacity_type)
        assert line.hourly > 0
    assert all(len(found) == len(set(found)) and CapacityType.ON_DEMAND in found for found in kinds.values())
    assert all(len(found) == 2 for (_, model), found in kinds.items() if model)
