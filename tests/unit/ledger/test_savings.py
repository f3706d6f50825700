"""What spot capacity saved against on-demand prices, worked out by hand."""

from decimal import Decimal

import pytest

from gpucost.core.clock import HOUR, SECOND
from gpucost.core.model import (
    CapacityType,
    Category,
    NodeFact,
    PodFact,
    PriceEntry,
    PriceFact,
    Resources,
    Workload,
)  # fmt: skip
from gpucost.core.money import PICO
from gpucost.core.pricing import node_prices
from gpucost.ledger import Ledger

T0 = 1_793_491_200 * SECOND  # 2026-11-01T00:00:00Z
BERT = Workload("TrainingJob", "bert")


def node(kind):
    return NodeFact("n1", "gpu-0", T0, None, Resources(8000, 0, 8), instance_type="p5.48xlarge", capacity_type=kind)


def pod(gpus=4):
    return PodFact("p1", "research", "bert-0", BERT, Category.TRAINING, "n1", T0, None, Resources(0, 0, gpus))


def entry(hourly, kind, effective=0):
    return PriceEntry(Decimal(hourly), effective, kind, instance_type="p5.48xlarge", source="PriceBook/x")


def price(hourly, on_demand):
    reference = None if on_demand is None else Decimal(on_demand)
    return PriceFact("n1", T0, Decimal(hourly), CapacityType.SPOT, "PriceBook/x", reference)


def test_a_spot_node_knows_what_it_would_have_cost_on_demand():
    prices = [entry("20.10", CapacityType.SPOT), entry("55.04", CapacityType.ON_DEMAND)]
    (step,) = node_prices(node(CapacityType.SPOT), prices, built_in=())
    assert (step.hourly, step.on_demand) == (Decimal("20.10"), Decimal("55.04"))


def test_the_comparison_changes_when_the_on_demand_price_does():
    prices = [
        entry("20", CapacityType.SPOT),
        entry("50", CapacityType.ON_DEMAND),
        entry("60", CapacityType.ON_DEMAND, T0 + HOUR),
    ]
    steps = node_prices(node(CapacityType.SPOT), prices, built_in=())
    assert [(s.start, s.hourly, s.on_demand) for s in steps] == [(T0, 20, 50), (T0 + HOUR, 20, 60)]


def test_an_on_demand_node_is_compared_with_nothing():
    (step,) = node_prices(node(CapacityType.ON_DEMAND), [entry("55", CapacityType.ON_DEMAND)], built_in=())
    assert step.on_demand is None


@pytest.mark.parametrize(
    ("hourly", "on_demand", "saved"),
    [
        ("20", "56", 54 * PICO),  # half a node for three hours: 30 paid, 84 on demand
        ("60", "56", -6 * PICO),  # spot was dearer: that is told too
        ("20", None, 0),  # nobody knows the on-demand price
    ],
)
def test_half_a_spot_node_for_three_hours_saves_its_share(tmp_path, hourly, on_demand, saved):
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.record([node(CapacityType.SPOT), pod()], prices={"n1": [price(hourly, on_demand)]})
        open_hours = ledger.workload_totals(T0 + 3 * HOUR)["research", BERT].amounts
        assert open_hours.saved == saved
        ledger.settle(T0 + 10 * HOUR)
        assert ledger.workload_totals(T0 + 10 * HOUR)["research", BERT].amounts.saved * 3 == saved * 10


def test_an_on_demand_node_saves_nothing(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        paid = PriceFact("n1", T0, Decimal(56), CapacityType.ON_DEMAND, "PriceBook/x")
        ledger.record([node(CapacityType.ON_DEMAND), pod()], prices={"n1": [paid]})
        assert ledger.workload_totals(T0 + HOUR)["research", BERT].amounts.saved == 0
