"""Volumes and load balancers: from when to when they cost, and who holds them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from gpucost.core.clock import HOUR, SECOND, format_rfc3339
from gpucost.core.model import Category, Gap, NodeFact, NodeKind, PodFact, Workload
from gpucost.runtime.assets import Assets
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.recovery import Past
from gpucost.runtime.world import World
from gpucost.sources.assets import ClaimRecord, ServiceRecord, VolumeRecord, service_record, volume_record
from gpucost.sources.reflector import Change

T0 = 1_793_491_200 * SECOND
GIB = 2**30
VOLUME = VolumeRecord("v1", "pvc-1", T0, 100 * GIB, "gp3", claim="c1", bound=T0 + SECOND)
CLAIM = ClaimRecord("c1", "data", "research", T0 - SECOND, {"gpucost.dev/team": "nlp"})


@dataclass
class Scene:
    """Mirrors that the test plays, and a clock that it moves."""

    at: int = T0 + HOUR
    assets: Assets = field(init=False)

    def __post_init__(self):
        self.recorder = Recorder(World(), lambda: self.at, lambda _fact, _node: [])
        self.assets = Assets(self.recorder, lambda: self.at, lambda _fact: [])

    def change(self, mirror, handler, new):
        old = mirror.get(new.uid)
        mirror[new.uid] = new
        handler(Change(old, new))

    def volume(self, record=VOLUME):
        self.change(self.assets.volumes, self.assets.volume_changed, record)

    def claim(self, record=CLAIM):
        self.change(self.assets.claims, self.assets.claim_changed, record)

    def service(self, record):
        self.change(self.assets.services, self.assets.service_changed, record)

    def claim_gone(self, **how):
        self.assets.claim_changed(Change(self.assets.claims.pop("c1"), None, **how))

    def facts(self, kind=object):
        return [fact for fact in self.recorder.drain()[0] if isinstance(fact, kind)]


@pytest.fixture
def scene():
    return Scene()


@pytest.mark.parametrize("order", [("volume", "claim"), ("claim", "volume")])
def test_a_claim_holds_its_volume_from_when_it_was_bound(scene, order):
    for what in order:
        getattr(scene, what)()
    facts = scene.facts()
    (node,) = [fact for fact in facts if isinstance(fact, NodeFact)]
    (pod,) = [fact for fact in facts if isinstance(fact, PodFact)]
    assert (node.kind, node.start, node.capacity.storage, node.instance_type) == (
        NodeKind.VOLUME, T0, 100 * GIB, "gp3",
    )  # fmt: skip
    assert (pod.uid, pod.node_uid, pod.start, pod.end) == ("c1", "v1", T0 + SECOND, None)
    assert (pod.workload, pod.category) == (Workload("PersistentVolumeClaim", "data"), Category.DATA)
    assert pod.labels == {"gpucost.dev/team": "nlp"}


def test_a_released_volume_is_held_by_nobody_until_it_is_deleted(scene):
    scene.volume()
    scene.claim()
    scene.facts()
    scene.at += HOUR
    scene.claim_gone()
    (pod,) = scene.facts()
    assert (pod.uid, pod.end) == ("c1", scene.at)
    scene.at += HOUR
    scene.assets.volume_changed(Change(scene.assets.volumes.pop("v1"), None))
    (node,) = scene.facts()
    assert (node.uid, node.end) == ("v1", scene.at)


def test_a_volume_of_another_claim_is_not_held_by_a_namesake(scene):
    scene.volume()
    scene.claim(replace(CLAIM, uid="c2"))
    assert scene.facts(PodFact) == []


def test_a_resize_is_kept_with_the_size_before_it(scene):
    scene.volume()
    scene.facts()
    scene.volume(replace(VOLUME, size=200 * GIB))
    (volume,) = scene.facts(NodeFact)
    assert [(size.until, size.capacity.storage) for size in volume.earlier] == [(scene.at, 100 * GIB)]
    assert (volume.capacity.storage, volume.start) == (200 * GIB, T0)


def test_what_went_while_nobody_watched_leaves_a_gap(scene):
    scene.volume()
    scene.claim()
    scene.facts()
    scene.claim_gone(seen=False, last_seen=T0 + 10 * SECOND)
    facts = scene.facts()
    assert [fact.end for fact in facts if isinstance(fact, PodFact)] == [T0 + 10 * SECOND]
    assert [fact.span for fact in facts if isinstance(fact, Gap)] == [(T0 + 10 * SECOND, scene.at)]


def test_a_load_balancer_costs_while_it_has_an_address(scene):
    scene.service(ServiceRecord("s1", "web", "shop"))
    assert scene.facts() == []
    scene.service(ServiceRecord("s1", "web", "shop", balanced=T0 + SECOND))
    node, pod = scene.facts()
    assert (node.kind, node.uid, node.name, node.start) == (NodeKind.LOAD_BALANCER, "s1", "shop/web", T0 + SECOND)
    assert (pod.uid, pod.node_uid, pod.namespace, pod.category) == ("s1", "s1", "shop", Category.INFRASTRUCTURE)
    scene.service(ServiceRecord("s1", "web", "shop"))
    assert [fact.end for fact in scene.facts()] == [scene.at, scene.at]


def test_after_a_start_only_what_has_changed_is_written(scene):
    scene.volume()
    scene.claim()
    known = scene.facts()
    later = Scene(at=scene.at + HOUR)
    later.assets.waiting = True
    later.volume()
    later.claim()
    assert later.facts() == []
    things = {fact.uid: fact for fact in known if isinstance(fact, NodeFact)}
    holders = {fact.uid: fact for fact in known if isinstance(fact, PodFact)}
    gone = replace(holders["c1"], uid="c9")
    past = Past(
        observed_until=T0 + 5 * SECOND,
        open_nodes={},
        open_pods={},
        node_history=None,
        pod_history=None,
        open_assets=things,
        open_holders={**holders, "c9": gone},
    )
    later.assets.recover(past)
    facts = later.facts()
    assert [(fact.uid, fact.end) for fact in facts if isinstance(fact, PodFact)] == [("c9", T0 + 5 * SECOND)]
    assert [fact.uid for fact in facts if isinstance(fact, Gap)] == ["c9"]


def restarted(scene, known, *, former=()):
    """Another operator that sees what is there, and is told what the ledger knows."""
    later = Scene(at=scene.at + HOUR)
    later.past = Past(
        observed_until=scene.at,
        open_nodes={},
        open_pods={},
        node_history=None,
        pod_history=None,
        open_assets={fact.uid: fact for fact in known if isinstance(fact, NodeFact) and fact.end is None},
        open_holders={fact.uid: fact for fact in known if isinstance(fact, PodFact) and fact.end is None},
        former_balancers=former,
    )
    later.assets.waiting = True
    return later


def test_a_resize_while_nobody_watched_leaves_the_past_as_it_was(scene):
    scene.volume()
    later = restarted(scene, scene.facts())
    later.volume(replace(VOLUME, size=200 * GIB))
    later.assets.recover(later.past)
    (volume,) = later.facts(NodeFact)
    assert [(size.until, size.capacity.storage) for size in volume.earlier] == [(later.at, 100 * GIB)]


BALANCED = ServiceRecord("s1", "web", "shop", balanced=T0 + SECOND)
UNBALANCED = ServiceRecord("s1", "web", "shop")


def test_a_load_balancer_whose_address_changes_keeps_its_beginning(scene):
    scene.service(BALANCED)
    known = scene.facts()
    moved = replace(BALANCED, balanced=scene.at)  # field managers tell when the status was set last
    scene.service(moved)
    assert scene.facts() == []
    later = restarted(scene, known)
    later.service(moved)
    later.assets.recover(later.past)
    assert later.facts() == []


def test_a_service_that_is_given_a_load_balancer_again_begins_another_life(scene):
    scene.service(BALANCED)
    scene.service(UNBALANCED)
    known = scene.facts()
    scene.service(replace(BALANCED, balanced=scene.at + HOUR))
    again = [(fact.uid, fact.start, fact.end) for fact in scene.facts()]
    assert again == [("s1#1", scene.at + HOUR, None)] * 2
    later = restarted(scene, known, former=["s1"])
    later.service(replace(BALANCED, balanced=scene.at + HOUR))
    later.assets.recover(later.past)
    assert [(fact.uid, fact.start, fact.end) for fact in later.facts()] == again
    later.service(UNBALANCED)
    assert [(fact.uid, fact.end) for fact in later.facts()] == [("s1#1", later.at)] * 2


def test_a_load_balancer_that_went_while_nobody_watched_is_not_taken_up_again(scene):
    scene.service(BALANCED)
    later = restarted(scene, scene.facts())
    later.service(UNBALANCED)
    later.assets.recover(later.past)
    later.facts()
    later.service(replace(BALANCED, balanced=later.at))
    assert {fact.uid for fact in later.facts()} == {"s1#1"}


def test_a_volume_tells_its_class_place_and_claim():
    body = {
        "metadata": {
            "uid": "v1",
            "name": "pvc-1",
            "creationTimestamp": format_rfc3339(T0),
            "managedFields": [
                {"time": format_rfc3339(T0 + 60 * SECOND), "fieldsV1": {"f:spec": {"f:claimRef": {}}}},
                {"time": format_rfc3339(T0 + 90 * SECOND), "fieldsV1": {"f:status": {"f:phase": {}}}},
            ],
        },
        "spec": {
            "capacity": {"storage": "100Gi"},
            "storageClassName": "gp3",
            "claimRef": {"uid": "c1"},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "topology.ebs.csi.aws.com/zone", "operator": "In", "values": ["us-east-1a"]}
                            ]
                        }
                    ]
                }
            },
        },
    }
    found = volume_record(body)
    assert (found.size, found.storage_class, found.zone) == (100 * GIB, "gp3", "us-east-1a")
    assert (found.claim, found.bound) == ("c1", T0 + 60 * SECOND)


@pytest.mark.parametrize(
    ("kind", "status", "balanced"),
    [
        ("ClusterIP", {}, None),
        ("LoadBalancer", {}, None),  # pending is free
        ("LoadBalancer", {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}, T0),
    ],
)
def test_only_a_balanced_service_costs(kind, status, balanced):
    metadata = {"uid": "s1", "name": "web", "namespace": "shop", "creationTimestamp": format_rfc3339(T0)}
    assert service_record({"metadata": metadata, "spec": {"type": kind}, "status": status}).balanced == balanced
