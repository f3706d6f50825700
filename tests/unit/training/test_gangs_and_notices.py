"""Gangs that cannot start are let go, and notices of nodes that are about to go lead to a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.model import CapacityType, Node, Resources, Waiting
from gpucost.core.notices import Notice, Why, event_notice, notice_of
from gpucost.core.training.gang import pause_after
from gpucost.core.training.manifest import Identity, job_manifest
from gpucost.core.training.plan import plan
from gpucost.core.training.progress import Checkpoint, Progress
from gpucost.core.training.spec import PlacementPolicy, PlacementSpec, TrainingSpec
from gpucost.sources.records import node_record
from support.training_cases import TEMPLATE, reason, spec
from support.training_world import ON_DEMAND, SPOT, World

NOW = 1_795_000_000 * SECOND


class OneNodeOnly(World):
    """Spot has room for one worker."""

    def schedule(self) -> None:
        there = [pod for pod in self._active() if pod.node_name is not None]
        room = self.few is None or len(there) < self.few
        self.capacity[SPOT] = room
        for pod in self._active():
            waits = {p.uid: p for p in self._active() if p.node_name is None and p.uid != pod.uid}
            if pod.node_name is not None or (
                self.few is not None and len([p for p in self._active() if p.node_name]) >= self.few
            ):
                continue
            kept = {uid: self.pods.pop(uid) for uid in waits}
            self.capacity[SPOT] = True
            super().schedule()
            self.pods |= kept
        self.capacity[SPOT] = False

    few: int | None = 1


def gang(few: int | None = 1) -> OneNodeOnly:
    what = TrainingSpec(template=TEMPLATE, workers=3, placement=PlacementSpec(PlacementPolicy.SPOT))
    world = OneNodeOnly(what, NOW)
    world.few = few
    return world


def test_workers_that_hold_nodes_are_not_left_to_wait_for_ever() -> None:
    world = gang()
    world.settle(6)
    assert sum(pod.node_name is not None for pod in world.pods.values()) == 1
    world.now += 10 * MINUTE
    world.settle(12)
    assert world.pods == {}
    assert reason(world) == "GangReleased"
    assert "tried again at" in world.condition("Ready")["message"]
    assert world.status["placement"]["current"] == "Paused"


def test_it_is_tried_again_each_time_after_a_longer_pause() -> None:
    world = gang()
    for released in (1, 2, 3):
        world.settle(2)
        world.now += 10 * MINUTE
        world.settle(12)
        assert world.job is not None
        assert world.job["annotations"]["gpucost.dev/gang-releases"] == str(released)
        assert world.decide().wake_at is not None
        world.now += pause_after(released)
    world.few = None
    world.settle(12)
    assert world.running_on() is CapacityType.SPOT
    assert reason(world) == "Running"


def test_workers_that_all_wait_hold_nothing_and_are_left_alone() -> None:
    world = gang(few=0)
    world.settle(4)
    world.now += HOUR
    world.settle(12)
    assert len(world.pods) == 3
    assert reason(world) == "Starting"


def test_a_worker_whose_image_cannot_be_pulled_frees_the_others_too() -> None:
    world = gang(few=None)
    world.settle(4)
    uid = next(iter(world.pods))
    words = Waiting("ImagePullBackOff", "no such image", world.now)
    world.pods[uid] = replace(world.pods[uid], phase="Pending", waiting=words)
    world.now += 11 * MINUTE
    decision = world.decide()
    assert [action.reason for action in decision.actions] == ["GangReleased"]
    assert "2 of 3 workers could start (ImagePullBackOff: no such image)" in decision.actions[0].message


# --- notices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taint", "why", "certain"),
    [
        ("aws-node-termination-handler/spot-itn", Why.SPOT, True),
        ("aws-node-termination-handler/rebalance-recommendation", Why.SPOT, False),
        ("cloud.google.com/impending-node-termination", Why.SPOT, True),
        ("karpenter.sh/disrupted", Why.UNKNOWN, True),
        ("ToBeDeletedByClusterAutoscaler", Why.CONSOLIDATION, True),
        ("remediator.kubernetes.azure.com/unschedulable", Why.MAINTENANCE, True),
    ],
)
def test_taints_of_every_provider_are_notices(taint: str, why: Why, certain: bool) -> None:
    found = notice_of([(taint, 5)])
    assert found == Notice(why, f"taint {taint}", 5, certain)


def test_a_taint_that_marks_spot_nodes_for_good_is_no_notice() -> None:
    assert notice_of([("kubernetes.azure.com/scalesetpriority", None), ("node.kubernetes.io/not-ready", None)]) is None


@pytest.mark.parametrize(
    ("kind", "words", "why"),
    [
        ("VMEventScheduled", "VMEventScheduled Preempt Scheduled: Mon, 02 Mar 2026 19:01:45 GMT", Why.SPOT),
        ("VMEventScheduled", "VMEventScheduled Redeploy Scheduled: Mon, 02 Mar 2026 19:01:45 GMT", Why.MAINTENANCE),
        ("VMEventScheduled", "Terminate Scheduled", Why.MAINTENANCE),
        ("PreemptionScheduled", "SpotEvictionIncoming Preempt Scheduled: Sat, 01 Aug 2026 05:41:02 GMT.", Why.SPOT),
        ("RebootScheduled", "", Why.MAINTENANCE),
        ("Ready", "KubeletNotReady node is shutting down", Why.MAINTENANCE),
        ("GracefulNodeShutdownInProgress", "", Why.MAINTENANCE),
    ],
)
def test_azure_and_the_kubelet_say_it_in_conditions(kind: str, words: str, why: Why) -> None:
    assert notice_of([], [(kind, words, 7)]) == Notice(why, f"condition {kind}", 7)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("VMEventScheduled", "Freeze Scheduled: Mon, 02 Mar 2026 19:01:45 GMT"),
        ("VMEventScheduled", "IMDS unavailable"),
        ("Ready", "KubeletReady kubelet is posting ready status"),
        ("Ready", "NodeStatusUnknown Kubelet stopped posting node status."),
        ("MaintenancePlanned", ""),
    ],
)
def test_what_does_not_end_pods_is_no_notice(kind: str, words: str) -> None:
    assert notice_of([], [(kind, words, 7)]) is None


def test_others_say_it_in_events() -> None:
    assert event_notice("SpotInterrupted", 9) == Notice(Why.SPOT, "Event SpotInterrupted", 9)
    assert event_notice("TerminateScheduled", 9) == Notice(Why.MAINTENANCE, "Event TerminateScheduled", 9)
    assert event_notice("NodeReady", 9) is None


def test_a_node_is_read_with_its_notice() -> None:
    body: dict[str, Any] = {
        "metadata": {"uid": "u", "name": "n", "creationTimestamp": "2026-11-24T20:00:00Z"},
        "spec": {"taints": [{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    assert node_record(body).is_leaving
    body["spec"]["taints"] = []
    assert not node_record(body).is_leaving
    stopping = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "node is shutting down"}
    assert node_record({**body, "status": {"conditions": [stopping]}}).is_leaving
    body["metadata"]["deletionTimestamp"] = "2026-11-24T20:01:00Z"
    assert node_record(body).is_leaving


def running_on_a_node_that_goes() -> tuple[World, Notice]:
    world = World(spec(PlacementPolicy.SPOT), NOW)
    world.settle(6)
    notice = Notice(Why.SPOT, "taint aws-node-termination-handler/spot-itn", world.now)
    world.nodes = {name: replace(node, notice=notice) for name, node in world.nodes.items()}
    return world, notice


def test_a_notice_asks_for_a_checkpoint_until_one_has_come() -> None:
    world, notice = running_on_a_node_that_goes()
    decision = world.decide()
    assert decision.ask_checkpoint
    (event,) = [one for one in decision.events if one.reason == "NodeGoing"]
    assert "the provider takes spot capacity back" in event.message
    assert "no checkpoint is known" in event.message
    old = Progress((), (Checkpoint(NOW),))
    assert plan(replace(world.state(), progress=old), world.context()).ask_checkpoint
    new = Progress((), (Checkpoint((notice.since or 0) + SECOND),))
    assert not plan(replace(world.state(), progress=new), world.context()).ask_checkpoint


def test_a_node_of_somebody_else_is_nobodys_business() -> None:
    world, notice = running_on_a_node_that_goes()
    world.nodes = {name: replace(node, notice=None) for name, node in world.nodes.items()}
    world.nodes["other"] = Node("other", "other", NOW, Resources(), notice=notice)
    assert not world.decide().ask_checkpoint


# --- autoscalers ------------------------------------------------------------------------------------------------------


def annotations(placement: str, template: dict[str, Any] = TEMPLATE) -> dict[str, str]:
    owner = Identity(World(spec(), NOW).key, "tj-1")
    manifest, _ = job_manifest(
        owner, TrainingSpec(template=template), pool=None, annotations={}, suspend=False, keep=placement == ON_DEMAND
    )
    found: dict[str, str] = manifest["spec"]["template"]["metadata"].get("annotations") or {}
    return found


def test_autoscalers_leave_on_demand_pods_where_they_are_and_may_drain_spot_nodes() -> None:
    keep = {"karpenter.sh/do-not-disrupt": "true", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    assert annotations(ON_DEMAND) == keep
    assert annotations(SPOT) == {}
    own = {"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "false"}}, **TEMPLATE}
    assert annotations(ON_DEMAND, own)["karpenter.sh/do-not-disrupt"] == "false"
