"""Prices that Karpenter and OpenCost export: which node they are for, what is dropped, and what timelines they make."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal

import pytest

from gpucost.core.clock import MINUTE
from gpucost.core.exported import (
    OPENCOST_CPU,
    OPENCOST_GPU,
    OPENCOST_MEMORY,
    OPENCOST_TOTAL,
    REACH,
    Offering,
    exported,
    forgotten,
    karpenter_history,
    karpenter_prices,
    labelled,
    observed,
    of_offering,
    opencost_history,
    opencost_prices,
    usable,
)
from gpucost.core.model import CapacityType
from support.ledger_world import at, node

ON_DEMAND, SPOT = CapacityType.ON_DEMAND, CapacityType.SPOT


def offering(kind, price, zone="us-east-1a", instance="p5.48xlarge"):
    return {"instance_type": instance, "capacity_type": kind, "zone": zone}, price


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "price that is not a number"),
        (math.inf, "price that is not a number"),
        (-math.inf, "price that is not a number"),
        (-0.1, "price below zero"),
        (0.0, "price of zero"),
        (1e-12, "price of zero"),
        (1e9, "price out of range"),
        (1.8e308, "price that is not a number"),
    ],
)
def test_what_is_no_price_is_dropped_and_counted(value, reason):
    dropped: Counter[str] = Counter()
    assert usable(value, dropped) is None
    assert dropped == {reason: 1}


@pytest.mark.parametrize(
    ("value", "text"), [(12.240000000000002, "12.24"), (55.04, "55.04"), (100.0, "100"), (1e-9, "0.000000001")]
)
def test_a_price_has_nine_places_and_no_noise(value, text):
    assert f"{usable(value, Counter()):f}" == text


def test_karpenter_tells_prices_by_offering():
    dropped: Counter[str] = Counter()
    series = [
        offering("spot", 20.5),
        offering("on-demand", 55.04, "us-east-1b"),
        offering("odd", 1.0),
        offering("spot", math.nan, "z"),
    ]
    assert karpenter_prices(series, dropped) == {
        Offering("p5.48xlarge", SPOT, "us-east-1a"): Decimal("20.5"),
        Offering("p5.48xlarge", ON_DEMAND, "us-east-1b"): Decimal("55.04"),
    }
    assert dropped == {"price of an unknown offering": 1, "price that is not a number": 1}


def test_two_exporters_for_one_offering_count_once_in_any_order():
    series = [offering("spot", 21.0), offering("spot", 20.0)]
    assert karpenter_prices(series, Counter()) == karpenter_prices(series[::-1], Counter())


def test_a_node_is_priced_by_its_zone_and_then_by_its_type():
    seen = {Offering("p5.48xlarge", SPOT): ((0, Decimal(2)),), Offering("p5.48xlarge", SPOT, "a"): ((0, Decimal(1)),)}
    assert of_offering(node(instance_type="p5.48xlarge", zone="a"), SPOT, seen)[0][1] == 1
    assert of_offering(node(instance_type="p5.48xlarge", zone="b"), SPOT, seen)[0][1] == 2
    assert of_offering(node(instance_type="p5.48xlarge", zone="b"), ON_DEMAND, seen) == ()


@pytest.mark.parametrize(
    "labels", [{"node": "gpu-0"}, {"exported_instance": "gpu-0", "instance": "10.0.0.1:9003"}, {"instance": "gpu-0"}]
)
def test_opencost_names_the_node_in_whichever_label_prometheus_left_it(labels):
    found = opencost_prices({OPENCOST_TOTAL: [(labels, 3.2)]}, [node("n1", name="gpu-0")], Counter())
    assert found == {"n1": Decimal("3.2")}


def test_without_a_total_it_is_put_together_from_cores_memory_and_gpus():
    parts = {OPENCOST_CPU: 0.03, OPENCOST_MEMORY: 0.004, OPENCOST_GPU: 0.95}
    series = {metric: [({"node": "gpu-0"}, value)] for metric, value in parts.items()}
    gpu_node = node("n1", name="gpu-0", gpus=8, cpus=10, memory=100)
    assert opencost_prices(series, [gpu_node], Counter()) == {"n1": Decimal("8.3")}  # 0.3 + 0.4 + 7.6
    del series[OPENCOST_GPU]
    assert opencost_prices(series, [gpu_node], Counter()) == {}  # without its GPUs it would look cheap
    plain = node("n1", name="gpu-0", gpus=0, cpus=10, memory=100)
    assert opencost_prices(series, [plain], Counter()) == {"n1": Decimal("0.7")}


def test_a_node_that_nobody_knows_gets_no_price():
    assert opencost_prices({OPENCOST_TOTAL: [({"node": "gone"}, 3.2)]}, [node(name="gpu-0")], Counter()) == {}


def test_of_the_past_only_what_was_in_a_nodes_time_is_its_own():
    samples = [(at(hour), float(hour + 1)) for hour in range(5)]
    found = opencost_history(
        {OPENCOST_TOTAL: [({"node": "gpu-0"}, samples)]}, [node("new", 3, name="gpu-0")], Counter()
    )
    assert found == {"new": [(at(3), Decimal(4)), (at(4), Decimal(5))]}


def test_the_past_of_offerings_is_in_order_of_time():
    labels, _ = offering("spot", 0)
    found = karpenter_history([(labels, [(at(1), 2.0), (at(0), 1.0), (at(2), math.nan)])], Counter())
    assert found == {Offering("p5.48xlarge", SPOT, "us-east-1a"): [(at(0), 1), (at(1), 2)]}


def take(steps, *samples, **more):
    return observed(
        steps, [(at(hour), Decimal(price)) for hour, price in samples], thing="t", source="Karpenter", **more
    )


def test_equal_prices_are_one_step_and_the_past_stays_as_it_was_seen():
    steps, _ = take((), (0, "2"), (1, "2"), (3, "3"))
    assert steps == ((at(0), 2), (at(3), 3))
    assert take(steps, (2, "9"))[0] == steps


def test_a_price_that_jumps_is_held_back_until_it_is_confirmed():
    steps, jump = take(((at(0), Decimal(2)),), (1, "0.02"))
    assert steps == ((at(0), 2),)
    assert jump is not None
    assert (jump.before, jump.found) == (2, Decimal("0.02"))
    steps, jump = take(steps, (2, "0.02"), confirmed=frozenset({Decimal("0.02")}))
    assert (steps[-1], jump) == ((at(2), Decimal("0.02")), None)


def test_a_glitch_that_is_over_is_not_reported():
    assert take(((at(0), Decimal(2)),), (1, "0.02"), (2, "2"))[1] is None


def test_the_first_price_reaches_back_a_quarter_of_an_hour_and_no_further():
    prices = exported("Karpenter", SPOT, ((at(1), Decimal(2)),))
    assert REACH == 15 * MINUTE
    assert prices.at(at(1) - REACH).hourly == 2
    assert prices.at(at(1) - REACH - 1) is None


def test_what_was_over_long_ago_is_forgotten():
    steps = ((at(0), Decimal(1)), (at(1), Decimal(2)), (at(2), Decimal(3)))
    assert forgotten(steps, at(1)) == steps[1:]
    assert forgotten(steps, at(0.5)) == steps
    assert forgotten((), at(9)) == ()


@pytest.mark.parametrize(
    ("text", "price"),
    [("1.25", Decimal("1.25")), ("", None), (None, None), ("cheap", None), ("-1", None), ("nan", None), ("0", None)],
)
def test_karpenters_node_label(text, price):
    assert labelled(text, Counter()) == price
