"""Device plugins' units and allocated claims become GPUs' worth, or unknown with a reason."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gpucost.core.clock import HOUR, SECOND
from gpucost.core.doubt import Doubt, masked
from gpucost.core.dra import Claim, Device, DeviceId, Holding
from gpucost.core.model import CapacityType, NeedFact, Node, Pod, PodFact, PriceFact, Resources, Unknown
from gpucost.core.timeline import Interval
from gpucost.runtime.holdings import Holdings
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.world import World
from gpucost.sources import devices
from gpucost.sources.devices import SliceRecord
from gpucost.sources.reflector import Change

T0 = 1_793_491_200 * SECOND
H100 = "NVIDIA-H100-80GB-HBM3"


def gpu_node(units, *, count="1", replicas="1", product=H100, **labels):
    found = {"nvidia.com/gpu.product": product, "nvidia.com/gpu.count": count, "nvidia.com/gpu.replicas": replicas}
    return Node("n1", "gpu-0", T0, Resources(8000, 0, 0), labels={**found, **labels}, devices=units)


def gpu_pod(uid, units, **more):
    return Pod(uid, uid, "research", T0, Resources(), node_name="gpu-0", bound=T0, devices=units, **more)


@pytest.mark.parametrize(
    ("units", "labels", "asked", "held"),
    [
        ({"nvidia.com/gpu": 8}, {"count": "8"}, {"nvidia.com/gpu": 3}, 3),
        ({"nvidia.com/mig-3g.40gb": 2}, {}, {"nvidia.com/mig-3g.40gb": 1}, Fraction(1, 2)),
        ({"nvidia.com/gpu": 4}, {"replicas": "4"}, {"nvidia.com/gpu": 1}, Fraction(1, 4)),
        ({"nvidia.com/gpu.shared": 4}, {"replicas": "4"}, {"nvidia.com/gpu.shared": 2}, Fraction(1, 2)),
        ({"nvidia.com/gpu": 7}, {"product": f"{H100}-MIG-1g.10gb"}, {"nvidia.com/gpu": 1}, Fraction(1, 7)),
        ({"nvidia.com/gpu": 8}, {"count": "8"}, {"example.com/nic": 1}, 0),
        ({"nvidia.com/gpu": 8}, {"count": "8"}, {}, 0),
    ],
)
def test_units_are_worth_what_the_node_says(units, labels, asked, held):
    holdings, node = Holdings(), gpu_node(units, **labels)
    holdings.node_fact(node)
    assert holdings.of_pod(gpu_pod("p", asked), "n1") == Holding(held)


def test_gpus_of_another_maker_count_when_they_are_configured():
    node = Node("n1", "gpu-0", T0, Resources(), devices={"amd.com/gpu": 8})
    holdings = Holdings(resources=("nvidia.com/*", "amd.com/gpu"))
    assert holdings.node_fact(node).capacity.gpus == 8
    assert holdings.of_pod(gpu_pod("p", {"amd.com/gpu": 2}), "n1") == Holding(2)
    assert Holdings().node_fact(node).capacity.gpus == 0


def test_two_slices_of_an_h100_leave_a_seventh_that_nobody_can_be_given():
    fact = Holdings().node_fact(gpu_node({"nvidia.com/mig-3g.40gb": 2}))
    assert (fact.capacity.gpus, fact.physical_gpus, fact.stranded_gpus) == (1, 0, Fraction(1, 7))


def test_a_slice_that_no_table_has_is_unknown():
    holdings, node = Holdings(), gpu_node({"nvidia.com/mig-9g.99gb": 1})
    holdings.node_fact(node)
    assert "9g.99gb" in holdings.problem(node)
    assert isinstance(holdings.of_pod(gpu_pod("p", {"nvidia.com/mig-9g.99gb": 1}), "n1"), Unknown)


# --- claims -----------------------------------------------------------------------------------------------------------

WHOLE = [Device(DeviceId("gpu.nvidia.com", "gpu-0", f"gpu-{i}"), "gpu", "H100-80GB-HBM3") for i in range(2)]
SLICE = Device(DeviceId("gpu.nvidia.com", "gpu-0", "gpu-0-mig-1"), "mig", "H100-80GB-HBM3", "1g.10gb")
NIC = Device(DeviceId("dra.net", "gpu-0", "eth1"))


def with_claims(*claims, offered=(*WHOLE, SLICE, NIC)):
    holdings = Holdings()
    holdings.slices["s1"] = SliceRecord("s1", "gpu-0", 1, tuple(offered))
    holdings.slice_changed(Change(None, holdings.slices["s1"]))
    for claim in claims:
        holdings.claims[claim.uid] = claim
        holdings.claim_changed(Change(None, claim))
    return holdings


def test_a_claim_of_two_gpus_is_held_by_its_pod():
    holdings = with_claims(Claim("c", "c", "research", tuple(d.id for d in WHOLE), ("p",)))
    assert holdings.of_pod(gpu_pod("p", {}), "n1") == Holding(2)
    assert holdings.of_pod(gpu_pod("q", {}), "n1") == Holding(0)


def test_a_claim_that_pods_share_is_split_evenly_and_says_so():
    holdings = with_claims(Claim("c", "team", "research", (WHOLE[0].id,), ("p", "q", "r")))
    note = "1/3 of claim team, which 3 pods share"
    assert holdings.of_pod(gpu_pod("p", {}), "n1") == Holding(Fraction(1, 3), note)


def test_a_slice_by_claim_is_a_part_of_its_gpu_and_a_network_card_is_none():
    holdings = with_claims(Claim("c", "c", "research", (SLICE.id, NIC.id), ("p",)))
    assert holdings.of_pod(gpu_pod("p", {}), "n1") == Holding(Fraction(1, 7))


def test_a_device_that_nobody_describes_is_unknown():
    holdings = with_claims(Claim("c", "c", "research", (WHOLE[0].id,), ("p",)), offered=())
    found = holdings.of_pod(gpu_pod("p", {}), "n1")
    assert found == Unknown("device gpu-0 of claim c is in no ResourceSlice")


def test_a_node_whose_gpus_are_given_by_claims_has_them_all_the_same():
    fact = with_claims().node_fact(Node("n1", "gpu-0", T0, Resources(8000, 0, 0)))
    assert (fact.capacity.gpus, fact.gpu_model) == (2, "H100-80GB-HBM3")


def test_slices_and_claims_are_read_as_the_drivers_write_them():
    pool = {"name": "gpu-0", "generation": 3, "resourceSliceCount": 1}
    offered = [
        {
            "name": "gpu-0-mig-1g-0",
            "attributes": {
                "type": {"string": "mig"},
                "profile": {"string": "1g.10gb"},
                "gpu.nvidia.com/productName": {"string": "NVIDIA H100 80GB HBM3"},
                "uuid": {"string": "MIG-1"},
            },
            "capacity": {"memory": {"value": "9984Mi"}},
        }
    ]
    spec = {"driver": "gpu.nvidia.com", "nodeName": "gpu-0", "pool": pool, "devices": offered}
    (device,) = devices.slice_record({"metadata": {"uid": "s"}, "spec": spec}).devices
    assert device.id == ("gpu.nvidia.com", "gpu-0", "gpu-0-mig-1g-0")
    assert (device.type, device.profile, device.model, device.uuid) == ("mig", "1g.10gb", "H100-80GB-HBM3", "MIG-1")
    results = [
        {"request": "gpu", "driver": "gpu.nvidia.com", "pool": "gpu-0", "device": "gpu-1"},
        {"request": "watch", "driver": "gpu.nvidia.com", "pool": "gpu-0", "device": "gpu-0", "adminAccess": True},
    ]
    status = {
        "allocation": {"devices": {"results": results}},
        "reservedFor": [{"resource": "pods", "name": "p", "uid": "p1"}],
    }
    claim = devices.claim_record({"metadata": {"uid": "c", "name": "c", "namespace": "ml"}, "status": status})
    assert (claim.devices, claim.pods) == ((("gpu.nvidia.com", "gpu-0", "gpu-1"),), ("p1",))


# --- what is written --------------------------------------------------------------------------------------------------


class Scene:
    """A recorder over a node whose GPUs are claimed."""

    def __init__(self, holdings):
        self.at, self.world = T0 + HOUR, World()
        price = [PriceFact("n1", T0, 8, CapacityType.ON_DEMAND, "list")]
        self.recorder = Recorder(self.world, lambda: self.at, lambda _fact, _node: price, holdings)
        node = Node("n1", "gpu-0", T0, Resources(8000, 0, 0))
        self.world.nodes["n1"] = node
        self.world.node_changed(Change(None, node))
        self.recorder.node_changed(Change(None, node))

    def pod(self, uid):
        pod = gpu_pod(uid, {})
        self.world.pods[uid] = pod
        self.recorder.pod_changed(Change(None, pod))

    def claim(self, *pods):
        old, new = self.recorder.holdings.claims.get("c"), Claim("c", "c", "research", (WHOLE[0].id,), pods)
        self.recorder.holdings.claims["c"] = new
        self.recorder.claims_changed(self.recorder.holdings.claim_changed(Change(old, new)))

    def drain(self):
        facts, prices, _ = self.recorder.drain()
        return facts, prices


def test_a_second_pod_on_a_claim_halves_what_the_first_counts_for_from_then_on():
    scene = Scene(with_claims())
    scene.claim("p")
    scene.pod("p")
    (first,) = [fact for fact in scene.drain()[0] if isinstance(fact, PodFact)]
    assert first.requests.gpus == 1
    scene.at += HOUR
    scene.claim("p", "q")
    facts, _ = scene.drain()
    assert [fact for fact in facts if isinstance(fact, NeedFact)] == [
        NeedFact("p", scene.at, Resources(gpus=Fraction(1, 2)))
    ]
    assert all(fact.requests.gpus == 1 for fact in facts if isinstance(fact, PodFact))
    assert scene.drain()[0] == []


def test_a_claim_that_comes_to_be_known_just_after_its_pod_counts_from_the_beginning():
    scene = Scene(with_claims())
    scene.at = T0 + SECOND
    scene.pod("p")
    scene.drain()
    scene.claim("p")
    assert [fact.requests.gpus for fact in scene.drain()[0]] == [1]


def test_a_node_has_no_price_while_nobody_can_tell_who_holds_what():
    scene = Scene(with_claims(offered=()))
    scene.drain()
    scene.claim("p")
    scene.pod("p")
    _, prices = scene.drain()
    (price,) = prices["n1"]
    assert (price.start, price.hourly) == (T0, None)
    assert price.source == "unknown: research/p: device gpu-0 of claim c is in no ResourceSlice"
    record = SliceRecord("s1", "gpu-0", 1, tuple(WHOLE))
    scene.recorder.holdings.slices["s1"] = record
    scene.recorder.devices_changed(scene.recorder.holdings.slice_changed(Change(None, record)))
    facts, prices = scene.drain()
    assert [price.hourly for price in prices["n1"]] == [8]
    assert [fact.requests.gpus for fact in facts if isinstance(fact, PodFact)] == [1]  # from the beginning


def test_doubt_hides_a_price_for_as_long_as_it_lasts():
    prices = [
        PriceFact("n1", 0, 1, CapacityType.SPOT, "list", on_demand=3),
        PriceFact("n1", 10, 2, CapacityType.SPOT, "list", on_demand=3),
    ]
    doubts = [Doubt(Interval(5, 15), "b"), Doubt(Interval(12, 20), "c")]
    found = [(p.start, p.hourly, p.source, p.on_demand) for p in masked(prices, doubts)]
    assert found == [
        (0, 1, "list", 3),
        (5, None, "unknown: b", None),
        (10, None, "unknown: b", None),
        (12, None, "unknown: b", None),
        (15, None, "unknown: c", None),
        (20, 2, "list", 3),
    ]
