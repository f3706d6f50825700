"""Device plugins' units and allocated claims become GPUs' worth, or unknown with a reason."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gpucost.core.clock import HOUR, SECOND
from gpucost.core.doubt import Doubt, masked
from gpucost.core.dra import Claim, Device, DeviceId, Holding
from gpucost.core.model import CapacityType, NeedFact, Node, NodeFact, Pod, PodFact, PriceFact, Resources, Unknown
from gpucost.core.timeline import Interval
from gpucost.runtime.holdings import Holdings
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.recovery import Past, recover
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


def test_labels_of_the_single_strategy_count_slices_and_not_gpus():
    """GPU feature discovery writes the number and the memory of the slices under the names of those of the GPUs."""
    slices = gpu_node(
        {"nvidia.com/gpu": 14}, count="14", product=f"{H100}-MIG-1g.10gb", **{"nvidia.com/gpu.memory": "9984"}
    )
    holdings = Holdings()
    fact = holdings.node_fact(slices)
    assert (fact.capacity.gpus, fact.physical_gpus, fact.gpu_model) == (2, 0, "H100-80GB-HBM3")
    assert holdings.of_pod(gpu_pod("p", {"nvidia.com/gpu": 1}), "n1") == Holding(Fraction(1, 7))
    large = gpu_node(
        {"nvidia.com/gpu": 3}, count="3", product="NVIDIA-H200-MIG-3g.71gb", **{"nvidia.com/gpu.memory": "71424"}
    )
    fact = Holdings().node_fact(large)
    assert (fact.capacity.gpus, fact.gpu_model) == (2, "H200")  # the second GPU has one slice yet


def test_a_node_with_a_part_of_a_gpu_has_that_part():
    node = gpu_node({"nvidia.com/gpu": 1}, product="NVIDIA-L4", **{"node.kubernetes.io/instance-type": "g6f.2xlarge"})
    holdings = Holdings()
    assert holdings.node_fact(node).capacity.gpus == Fraction(1, 4)
    assert holdings.of_pod(gpu_pod("p", {"nvidia.com/gpu": 1}), "n1") == Holding(Fraction(1, 4))


def test_devices_that_are_published_anew_count_once():
    holdings = with_claims()
    pool = ("gpu.nvidia.com", "gpu-0")
    for uid, generation in (("s1", 1), ("s2", 2)):
        record = SliceRecord(uid, "gpu-0", generation, (*WHOLE, SLICE), pool)
        old = holdings.slices.get(uid)
        holdings.slices[uid] = record
        holdings.slice_changed(Change(old, record))
    assert holdings.node_fact(Node("n1", "gpu-0", T0, Resources(8000, 0, 0))).capacity.gpus == 2
    old = holdings.slices.pop("s1")
    holdings.slice_changed(Change(old, None))
    holdings.claims["c"] = Claim("c", "c", "research", (WHOLE[0].id,), ("p",))
    holdings.claim_changed(Change(None, holdings.claims["c"]))
    assert holdings.of_pod(gpu_pod("p", {}), "n1") == Holding(1)  # the new slice describes it still


# --- nodes that change ------------------------------------------------------------------------------------------------


class Shown:
    """A recorder over one node that shows itself differently from time to time."""

    def __init__(self):
        self.at, self.world = T0 + HOUR, World()
        prices = [PriceFact("n1", T0, 8, CapacityType.ON_DEMAND, "list")]
        self.recorder = Recorder(self.world, lambda: self.at, lambda _fact, _node: prices)
        self.prices = {}

    def node(self, units, **labels):
        node, old = gpu_node(units, **labels), self.world.nodes.get("n1")
        self.world.nodes["n1"] = self.world.node_by_name["gpu-0"] = node
        self.recorder.node_changed(Change(old, node))

    def pod(self, uid, units, **more):
        pod, old = gpu_pod(uid, units, **more), self.world.pods.get(uid)
        self.world.pods[uid] = pod
        self.recorder.pod_changed(Change(old, pod))

    def written(self, kind=object):
        facts, prices, _ = self.recorder.drain()
        self.prices.update(prices)
        return [fact for fact in facts if isinstance(fact, kind)]


@pytest.fixture
def shown():
    return Shown()


def test_a_device_plugin_that_restarts_changes_nothing(shown):
    shown.node({"nvidia.com/mig-1g.10gb": 7})
    shown.pod("p", {"nvidia.com/mig-1g.10gb": 1})
    shown.written()
    shown.at += HOUR
    shown.node({})
    shown.pod("p", {"nvidia.com/mig-1g.10gb": 1}, labels={"gpucost.dev/team": "nlp"})
    (fact,) = shown.written()
    assert fact.requests.gpus == Fraction(1, 7)
    shown.node({"nvidia.com/mig-1g.10gb": 7})
    assert shown.written() == []


def test_a_gpu_that_is_cut_up_keeps_its_past(shown):
    shown.node({"nvidia.com/gpu": 1})
    shown.written()
    shown.at += HOUR
    shown.node({"nvidia.com/mig-3g.40gb": 1, "nvidia.com/mig-4g.40gb": 1})
    (fact,) = shown.written(NodeFact)
    assert (fact.capacity.gpus, fact.physical_gpus) == (Fraction(15, 14), 1)
    assert [(size.until, size.capacity.gpus) for size in fact.earlier] == [(shown.at, 1)]


def test_labels_that_come_after_the_pod_end_the_doubt(shown):
    shown.node({"nvidia.com/mig-3g.40gb": 2}, count="")
    shown.pod("p", {"nvidia.com/mig-3g.40gb": 1})
    (fact,) = shown.written(PodFact)
    assert fact.note == "unknown: MIG instances need the number of GPUs in the machine"
    assert [price.hourly for price in shown.prices["n1"]] == [None]
    shown.at += SECOND
    shown.node({"nvidia.com/mig-3g.40gb": 2})
    (fact,) = shown.written(PodFact)
    assert (fact.requests.gpus, fact.note) == (Fraction(1, 2), "")
    assert [price.hourly for price in shown.prices["n1"]] == [8]


def test_labels_that_go_for_a_while_do_not_make_the_past_unknown(shown):
    shown.node({"nvidia.com/mig-3g.40gb": 2})
    shown.pod("p", {"nvidia.com/mig-3g.40gb": 1})
    shown.written()
    shown.at += HOUR
    shown.node({"nvidia.com/mig-3g.40gb": 2}, count="")
    assert shown.written(PodFact) == []
    assert [price.hourly for price in shown.prices["n1"]] == [8]
    shown.pod("q", {"nvidia.com/mig-3g.40gb": 1})  # of this one nobody knows what it holds
    shown.written()
    assert shown.prices["n1"][-1].hourly is None


def test_what_a_pod_held_does_not_become_unknown_with_its_slices():
    scene = Scene(with_claims())
    scene.claim("p")
    scene.pod("p")
    scene.drain()
    scene.at += HOUR
    record = scene.recorder.holdings.slices.pop("s1")
    scene.recorder.devices_changed(scene.recorder.holdings.slice_changed(Change(record, None)))
    facts, prices = scene.drain()
    assert facts == []
    assert all(price.hourly == 8 for steps in prices.values() for price in steps)


def test_a_pod_that_ended_in_doubt_keeps_its_time_unknown_after_a_start(shown):
    shown.node({"nvidia.com/mig-3g.40gb": 2}, count="")
    end = T0 + HOUR // 2
    shown.pod("p", {"nvidia.com/mig-3g.40gb": 1}, ended=end)
    (doubted,) = shown.written(PodFact)
    node = shown.recorder.nodes["n1"]
    later = Shown()
    later.at += HOUR
    later.node({"nvidia.com/mig-3g.40gb": 2})
    recover(later.world, later.recorder, Past(later.at, {"n1": node}, {}, None, None, doubted=[doubted]))
    later.written()
    assert [(price.start, price.hourly) for price in later.prices["n1"]] == [(T0, None), (end, 8)]


def test_a_start_goes_on_with_the_sizes_that_the_ledger_knows(shown):
    shown.node({"nvidia.com/gpu": 1})
    (known,) = shown.written(NodeFact)
    later = Shown()
    later.at += HOUR
    later.node({"nvidia.com/mig-3g.40gb": 1, "nvidia.com/mig-4g.40gb": 1})
    recover(later.world, later.recorder, Past(later.at, {"n1": known}, {}, None, None))
    (fact,) = later.written(NodeFact)
    assert [(size.until, size.capacity.gpus) for size in fact.earlier] == [(later.at, 1)]


def test_a_pod_that_is_seen_on_a_second_node_stays_on_its_first_and_is_counted(shown, caplog):
    shown.node({"nvidia.com/gpu": 8}, count="8")
    other = Node("n2", "gpu-1", T0, Resources(8000, 0, 0), devices={"nvidia.com/gpu": 8})
    shown.world.nodes["n2"] = other
    shown.recorder.node_changed(Change(None, other))
    shown.pod("p", {"nvidia.com/gpu": 1})
    shown.written()
    for end in (None, T0 + 2 * HOUR):
        pod = Pod(
            "p", "p", "research", T0, node_name="gpu-1", bound=T0 + HOUR, devices={"nvidia.com/gpu": 1}, ended=end
        )
        shown.world.pods["p"] = pod
        shown.recorder.pod_changed(Change(pod, pod))
        facts = shown.written(PodFact)
        assert [(fact.node_uid, fact.start, fact.end) for fact in facts] == ([] if end is None else [("n1", T0, end)])
    assert shown.recorder.skipped["second node"] == 1
    assert "pod research/p is seen on node gpu-1 too" in caplog.text


@pytest.mark.parametrize("gone", [False, True])
def test_a_doubt_about_a_living_pod_survives_a_start(shown, gone):
    """Until it is known what the pod held: then that counts from its beginning. One that vanishes leaves its doubt."""
    shown.node({"nvidia.com/mig-3g.40gb": 2}, count="")
    shown.pod("p", {"nvidia.com/mig-3g.40gb": 1})
    (doubted,) = shown.written(PodFact)
    later = Shown()
    later.at += HOUR
    later.node({"nvidia.com/mig-3g.40gb": 2})
    if not gone:
        later.pod("p", {"nvidia.com/mig-3g.40gb": 1})
    past = Past(shown.at, {"n1": shown.recorder.nodes["n1"]}, {"p": doubted}, None, None)
    recover(later.world, later.recorder, past)
    (fact,) = later.written(PodFact)
    expected = [(T0, None), (shown.at, 8)] if gone else [(T0, 8)]
    assert [(price.start, price.hourly) for price in later.prices["n1"]] == expected
    assert (fact.requests.gpus, fact.end) == ((0, shown.at) if gone else (Fraction(1, 2), None))
