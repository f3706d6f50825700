"""What a run costs on either capacity, from its nodes; and which of its volumes ties it to a zone."""

from __future__ import annotations

from decimal import Decimal

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.model import CapacityType, Key, Node, NodeFact, Pod, Resources
from gpucost.core.money import PICO
from gpucost.core.report import Amounts, Row
from gpucost.runtime.assets import Assets
from gpucost.runtime.prices import Prices
from gpucost.runtime.rates import Rates
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.world import World, custom_record
from gpucost.runtime.zones import Zones
from gpucost.sources.assets import ClaimRecord, VolumeRecord

T0 = 1_793_491_200 * SECOND
BOOK = {
    "kind": "PriceBook",
    "metadata": {"name": "ours", "uid": "b1"},
    "spec": {
        "prices": [
            {"instanceType": "p5", "hourly": "60.00", "effectiveFrom": "2026-01-01T00:00:00Z"},
            {
                "instanceType": "p5",
                "hourly": "20.00",
                "capacityType": "spot",
                "effectiveFrom": "2026-01-01T00:00:00Z",
            },
        ]
    },
}


def rates_of(kind: CapacityType, row: Row | None = None, node: str = "n1") -> tuple[Decimal, Decimal] | None:
    world = World()
    world.pricebooks["ours"] = custom_record(BOOK)
    prices = Prices(world, "USD")
    prices.reload()
    label = {CapacityType.SPOT: "spot", CapacityType.ON_DEMAND: "on-demand"}[kind]
    labels = {"karpenter.sh/capacity-type": label, "node.kubernetes.io/instance-type": "p5"}
    record = Node("n1", "n1", T0, Resources(gpus=8), labels)
    fact = NodeFact("n1", "n1", T0, None, Resources(gpus=8), "p5", capacity_type=kind)
    world.nodes["n1"] = record
    rates = Rates(prices, {"n1": fact}, {"n1": record})
    pods = [Pod("p1", "p1", "x", T0, node_name=node, bound=T0 + MINUTE)]
    found = rates.of("t1", pods, row, T0 + HOUR)
    assert rates.of("t1", [], row, T0 + HOUR) == found, "while it has no nodes, what it was last"
    return found


def test_both_prices_are_known_wherever_the_run_is() -> None:
    assert rates_of(CapacityType.SPOT) == (Decimal("20.00"), Decimal("60.00"))
    assert rates_of(CapacityType.ON_DEMAND) == (Decimal("20.00"), Decimal("60.00"))


def test_a_run_that_has_a_part_of_its_nodes_pays_that_part() -> None:
    half = Row("x", Amounts(), hourly=10 * PICO)
    assert rates_of(CapacityType.SPOT, half) == (Decimal(10), Decimal(30))


def test_of_a_node_that_nobody_knows_nothing_is_known() -> None:
    assert rates_of(CapacityType.SPOT, node="gone") is None


def test_the_volume_of_a_claim_in_the_template_ties_a_run() -> None:
    world = World()
    recorder = Recorder(world, lambda: T0, lambda _fact, _node: [])
    assets = Assets(recorder, lambda: T0, lambda _fact: [])
    assets.claims["c1"] = ClaimRecord("c1", "data", "x", T0)
    assets.claims["c2"] = ClaimRecord("c2", "data", "elsewhere", T0)
    assets.volumes["v1"] = VolumeRecord("v1", "pv-1", T0, 1, zone="a", claim="c1")
    assets.volumes["v2"] = VolumeRecord("v2", "pv-2", T0, 1, zone="b", claim="c2")
    pod = {
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "tmp", "emptyDir": {}}]
    }
    metadata = {"name": "bert", "namespace": "x", "uid": "t1"}
    record = custom_record({"kind": "TrainingJob", "metadata": metadata, "spec": {"template": {"spec": pod}}})
    world.trainingjobs[Key("x", "bert")] = record
    pin = Zones(assets, Prices(world, "USD")).pin(record, None, [])
    assert pin is not None
    assert (pin.zone, pin.by) == ("a", "PersistentVolumeClaim data (volume pv-1)")
    plain = custom_record({"kind": "TrainingJob", "metadata": metadata, "spec": {"template": {"spec": {}}}})
    assert Zones(assets, Prices(world, "USD")).pin(plain, None, []) is None
