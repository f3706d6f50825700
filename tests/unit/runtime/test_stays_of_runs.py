"""The stays of runs: from pods as the recorder writes them, through the ledger and a restart, to waste by its cause."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from gpucost.core.clock import HOUR, MINUTE, SECOND, format_rfc3339
from gpucost.core.model import CapacityType, Job, Key, Node, Owner, Pod, PriceFact, Resources, Workload
from gpucost.core.money import PICO
from gpucost.core.notices import Why
from gpucost.core.present import cost_annotations, cost_status
from gpucost.core.timeline import Interval
from gpucost.core.training import memory
from gpucost.core.training.auto.stays import MOST_KEPT, Cause, Stay
from gpucost.core.training.progress import Checkpoint, Progress
from gpucost.core.training.waste import lost_cost
from gpucost.ledger import Ledger
from gpucost.runtime.going import NodesGoing
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.stays import RunStays
from gpucost.runtime.world import World, custom_record
from gpucost.sources.going import NodeWarning, claim_record, event_record
from gpucost.sources.records import node_record
from gpucost.sources.reflector import Change

T0 = 1_793_491_200 * SECOND
SPOT = {"karpenter.sh/capacity-type": "spot", "topology.kubernetes.io/zone": "a"}
HOURLY = Decimal("20.10")


class Scene:
    """One TrainingJob with a Job, a recorder, a ledger, and a clock that the test moves."""

    def __init__(self, ledger: Ledger) -> None:
        self.at, self.ledger = T0, ledger
        self.world, self.progress = World(), Progress()
        self.recorder = Recorder(self.world, lambda: self.at, self._price)
        self.going = NodesGoing(lambda: self.at, self.recorder.nodes)
        self.stays = self._stays()
        metadata = {"name": "bert", "namespace": "x", "uid": "t1", "creationTimestamp": format_rfc3339(T0)}
        self.world.trainingjob_changed(
            custom_record({"kind": "TrainingJob", "metadata": metadata, "spec": {"template": {}}})
        )
        self.job()

    def _price(self, fact, _node):  # type: ignore[no-untyped-def]
        return [PriceFact(fact.uid, fact.start, HOURLY, CapacityType.SPOT, "test", Decimal("55.04"))]

    def _stays(self) -> RunStays:
        stays = RunStays(self.world, lambda: self.at, self.going, lambda _key: self.progress)
        self.recorder.on_training_pod, self.recorder.on_vanished = stays.pod_seen, stays.pod_vanished

        async def write(changes: dict[str, tuple[Stay, ...]]) -> None:
            self.ledger.stays.record(changes)

        async def cost(namespace: str, name: str, span: Interval) -> int | None:
            report = self.ledger.report(span, now=self.at, by="workload", namespace=namespace)
            row = next((row for row in report.rows if row.workload == Workload("TrainingJob", name)), None)
            return None if row is None else lost_cost(row.amounts)

        stays.write, stays.cost = write, cost  # type: ignore[assignment]
        return stays

    def restarted(self) -> RunStays:
        """What a new process knows."""
        self.stays = self._stays()
        self.stays.load(self.ledger.stays.all())
        return self.stays

    def job(self, **more: object) -> None:
        job = Job("j1", "bert", "x", T0, "1", Owner("TrainingJob", "bert", "t1"), **more)  # type: ignore[arg-type]
        self.world.jobs["j1"] = job
        self.world.job_changed(Change(None, job))

    def node(self, name: str = "n1") -> None:
        node = Node(name, name, T0, Resources(8000, 0, 8), SPOT, devices={"nvidia.com/gpu": 8})
        self.world.nodes[name] = node
        self.world.node_changed(Change(None, node))
        self.recorder.node_changed(Change(None, node))

    def pod(self, uid: str = "p1", created: int = T0, **more: object) -> Pod:
        fields = {"node_name": "n1", "bound": created + MINUTE, "owner": Owner("Job", "bert", "j1"), **more}
        pod = Pod(uid, uid, "x", created, Resources(1000, 0, 8), devices={"nvidia.com/gpu": 8}, **fields)  # type: ignore[arg-type]
        old = self.world.pods.get(uid)
        self.world.pods[uid] = pod
        self.world.pod_changed(Change(old, pod))
        self.recorder.pod_changed(Change(old, pod))
        return pod

    def write(self) -> None:
        facts, prices, _ = self.recorder.drain()
        self.ledger.record(facts, prices=prices)
        asyncio.run(self.stays.flush())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        yield Scene(ledger)


def lost_spot(scene: Scene) -> None:
    """A run of two hours whose node is taken back, 20 minutes after its last checkpoint."""
    scene.node()
    pod = scene.pod(running=T0 + 2 * MINUTE, phase="Running")
    scene.write()
    scene.progress = Progress((), (Checkpoint(T0 + 100 * MINUTE, duration=30 * SECOND),))
    scene.at = T0 + 2 * HOUR
    scene.pod(running=pod.running, phase="Failed", ended=scene.at, disruption="DeletionByTaintManager")
    scene.write()


def test_a_stay_is_kept_with_its_times_and_its_end(scene: Scene) -> None:
    lost_spot(scene)
    (stay,) = scene.stays.of("t1")
    assert (stay.start, stay.bound, stay.running) == (T0, T0 + MINUTE, T0 + 2 * MINUTE)
    assert (stay.ended, stay.cause, stay.zone) == (T0 + 2 * HOUR, Cause.SPOT, "a")
    assert stay.wants == "gpus=8"
    assert scene.restarted().of("t1") == (stay,)


def test_a_restart_in_the_middle_of_a_stay_goes_on_with_it(scene: Scene) -> None:
    scene.node()
    pod = scene.pod(running=T0 + 2 * MINUTE, phase="Running")
    scene.write()
    scene.restarted()
    scene.recorder.pod_changed(Change(pod, replace(pod, ended=T0 + HOUR, phase="Failed")))
    scene.write()
    (stay,) = scene.stays.of("t1")
    assert (stay.start, stay.ended, stay.cause) == (T0, T0 + HOUR, Cause.CRASH)


def test_what_went_while_nobody_watched_comes_before_what_lives(scene: Scene) -> None:
    """After a start the caches show the pods that live before the history tells of those that have gone."""
    scene.node()
    gone = scene.pod(running=T0 + 2 * MINUTE, phase="Running")
    scene.write()
    scene.restarted()
    scene.at = T0 + 2 * HOUR
    scene.pod("p3", created=T0 + 61 * MINUTE, running=T0 + 65 * MINUTE, phase="Running")
    scene.pod("p2", created=T0 + 60 * MINUTE, running=T0 + 64 * MINUTE, phase="Running")
    scene.recorder.pod_ended(replace(gone, disruption="DeletionByTaintManager"), T0 + HOUR)
    scene.write()
    first, here = scene.stays.of("t1")
    assert (first.bound, first.ended, first.cause) == (T0 + MINUTE, T0 + HOUR, Cause.SPOT)
    assert (here.start, here.bound, here.ended) == (T0 + 60 * MINUTE, T0 + 62 * MINUTE, None)


def test_a_node_that_went_without_notice_costs_nothing_while_its_pod_waits_to_be_collected(scene: Scene) -> None:
    scene.node()
    pod = scene.pod(running=T0 + 2 * MINUTE, phase="Running")
    scene.write()
    scene.progress = Progress((), (Checkpoint(T0 + 100 * MINUTE, duration=30 * SECOND),))
    scene.at = T0 + 2 * HOUR
    scene.recorder.node_changed(Change(scene.world.nodes.pop("n1"), None))
    scene.at += 45 * SECOND
    scene.recorder.pod_changed(Change(replace(pod, phase="Failed", disruption="DeletionByPodGC"), None))
    scene.write()
    scene.at += MINUTE
    asyncio.run(scene.stays.book())
    assert scene.stays.lost("t1") == {"spot": HOURLY * PICO / 3}  # twenty minutes of a node


def test_work_that_is_lost_is_priced_once_and_stays_part_of_the_total(scene: Scene) -> None:
    lost_spot(scene)
    scene.at += MINUTE
    asyncio.run(scene.stays.book())
    (stay,) = scene.stays.of("t1")
    assert stay.lost_since == T0 + 100 * MINUTE
    assert stay.lost_cost == HOURLY * PICO / 3  # twenty minutes of a node
    assert scene.stays.lost("t1") == {"spot": stay.lost_cost}
    scene.write()
    assert scene.restarted().lost("t1") == {"spot": stay.lost_cost}
    row = scene.ledger.workload_totals(scene.at, [("x", Workload("TrainingJob", "bert"))])[
        "x", Workload("TrainingJob", "bert")
    ]
    status = cost_status(row.amounts, hourly=0, currency="USD", now=scene.at, lost=scene.stays.lost("t1"))
    assert status["wasted"] == "6.700000"
    assert status["waste"] == {"idle": "0.000000", "spot": "6.700000"}
    lost = scene.stays.lost_by("x", Workload("TrainingJob", "bert"))
    notes = cost_annotations(row.amounts, hourly=0, currency="USD", now=scene.at, lost=lost)
    assert notes["gpucost.dev/cost-wasted"] == status["wasted"]
    assert scene.stays.lost_by("x", Workload("Job", "bert")) == 0
    assert Decimal(str(status["wasted"])) < Decimal(str(status["total"]))


def test_pods_that_end_with_our_suspension_are_moved_and_not_lost_spot(scene: Scene) -> None:
    scene.node()
    scene.pod(running=T0 + 2 * MINUTE, phase="Running")
    scene.write()
    scene.at = T0 + HOUR
    scene.job(suspend=True, annotations=dict(memory.present(memory.suspending(memory.MOVE, scene.at))))
    scene.pod(running=T0 + 2 * MINUTE, phase="Failed", ended=scene.at + 10 * SECOND)
    scene.write()
    assert scene.stays.of("t1")[0].cause is Cause.MOVE


def test_a_stay_whose_node_an_autoscaler_emptied_says_so(scene: Scene) -> None:
    scene.node()
    scene.pod(running=T0 + 2 * MINUTE, phase="Running")
    scene.write()
    claim = {
        "metadata": {"uid": "c1", "name": "c1"},
        "status": {
            "nodeName": "n1",
            "conditions": [{"type": "DisruptionReason", "status": "True", "reason": "Underutilized"}],
        },
    }
    scene.going.claim_changed(Change(None, claim_record(claim)))
    assert scene.going.why("n1") is Why.CONSOLIDATION
    assert scene.going.notices()["n1"].since == scene.at
    scene.pod(running=T0 + 2 * MINUTE, phase="Failed", ended=T0 + HOUR, disruption="EvictionByEvictionAPI")
    scene.write()
    assert scene.stays.of("t1")[0].cause is Cause.CONSOLIDATION


def test_an_event_about_a_node_is_a_notice_while_it_is_fresh(scene: Scene) -> None:
    event = {
        "metadata": {"uid": "e1", "creationTimestamp": format_rfc3339(T0)},
        "involvedObject": {"kind": "Node", "name": "n1"},
        "reason": "SpotInterrupted",
        "lastTimestamp": format_rfc3339(T0),
    }
    scene.going.event_changed(Change(None, event_record(event)))
    assert scene.going.notices()["n1"].why is Why.SPOT
    scene.at = T0 + 3 * HOUR
    scene.going.event_changed(Change(None, event_record({**event, "involvedObject": {"kind": "Node", "name": "n2"}})))
    assert "n2" not in scene.going.notices()
    assert event_record({**event, "reason": "NodeReady"}).notice is None


def test_a_weaker_event_takes_nothing_back_and_one_that_expired_does(scene: Scene) -> None:
    def event(reason: str) -> NodeWarning:
        metadata = {"uid": reason, "creationTimestamp": format_rfc3339(T0)}
        return event_record({"metadata": metadata, "involvedObject": {"kind": "Node", "name": "n1"}, "reason": reason})

    taken, advised = event("SpotInterrupted"), event("SpotRebalanceRecommendation")
    for one in (taken, advised):
        scene.going.event_changed(Change(None, one))
    assert scene.going.notices()["n1"].signal == "Event SpotInterrupted"
    scene.going.event_changed(Change(taken, None))
    assert scene.going.notices()["n1"].signal == "Event SpotRebalanceRecommendation"
    scene.going.event_changed(Change(advised, None))
    assert scene.going.notices() == {}


def test_a_notice_that_is_taken_back_explains_no_end_and_one_that_stands_does(scene: Scene) -> None:
    taint = {"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}
    bodies = [
        {
            "metadata": {"uid": name, "name": name, "creationTimestamp": format_rfc3339(T0)},
            "spec": {"taints": [taint]},
            "status": {},
        }
        for name in ("stays", "goes")
    ]
    going = [node_record(body) for body in bodies]
    for node in going:
        scene.going.node_changed(Change(None, node))
    calm = replace(going[0], notice=None)
    scene.going.node_changed(Change(going[0], calm))
    scene.at = T0 + 3 * HOUR
    scene.going.node_changed(Change(calm, None))
    scene.going.node_changed(Change(going[1], None))
    assert scene.going.why("stays") is None
    assert scene.going.why("goes") is Why.CONSOLIDATION
    assert scene.going.notices() == {}


def test_a_refused_try_is_known_to_all_that_want_the_same(scene: Scene) -> None:
    record = scene.world.trainingjobs[Key("x", "bert")]
    scene.at = T0 + 10 * MINUTE
    scene.stays.refused(record, T0, "gpus=8")
    spot = scene.stays.market().spot("gpus=8", {}, Resources(gpus=8), workers=1, refused=None, now=scene.at)
    assert (spot.available, spot.refusals) == (False, 1)
    other = scene.stays.market().spot("gpus=1", {}, Resources(gpus=1), workers=1, refused=None, now=scene.at)
    assert other.available is None


def test_runs_that_are_gone_are_forgotten_in_time(scene: Scene) -> None:
    lost_spot(scene)
    scene.world.trainingjob_gone(Key("x", "bert"))
    scene.stays.forget = partial(_forget, scene)
    scene.stays.keep = HOUR
    asyncio.run(scene.stays.tidy())
    assert scene.stays.of("t1")
    scene.at += 30 * 24 * HOUR
    asyncio.run(scene.stays.tidy())
    assert scene.stays.of("t1") == ()
    assert scene.ledger.stays.all() == {}


async def _forget(scene: Scene, horizon: int) -> int:
    return scene.ledger.stays.forget(scene.world.trainingjob_uids, horizon)


def test_tries_of_spot_that_found_nothing_are_kept_up_to_a_number(scene: Scene) -> None:
    record = scene.world.trainingjobs[Key("x", "bert")]
    for _ in range(1000):
        scene.at += HOUR
        scene.stays.refused(record, scene.at - 10 * MINUTE, "gpus=8")
    kept = scene.stays.of("t1")
    assert len(kept) == MOST_KEPT
    assert kept[-1].ended == scene.at


def test_a_recommendation_that_came_to_nothing_is_forgotten_after_an_hour(scene: Scene) -> None:
    scene.node()
    event = {
        "metadata": {"uid": "e1", "creationTimestamp": format_rfc3339(T0)},
        "involvedObject": {"kind": "Node", "name": "n1"},
        "reason": "SpotRebalanceRecommendation",
        "lastTimestamp": format_rfc3339(T0),
    }
    scene.going.event_changed(Change(None, event_record(event)))
    scene.at = T0 + 59 * MINUTE
    assert list(scene.going.notices()) == ["n1"]
    scene.at = T0 + HOUR
    assert scene.going.notices() == {}


def test_when_hundreds_of_runs_lose_their_nodes_at_once_a_pass_prices_some_and_the_next_ones_the_rest(
    scene: Scene,
) -> None:
    asked: list[str] = []

    async def cost(_namespace: str, name: str, _span: Interval) -> int:
        asked.append(name)
        return PICO

    for number in range(100):
        metadata = {
            "name": f"r{number}",
            "namespace": "x",
            "uid": f"u{number}",
            "creationTimestamp": format_rfc3339(T0),
        }
        scene.world.trainingjob_changed(
            custom_record({"kind": "TrainingJob", "metadata": metadata, "spec": {"template": {}}})
        )
        lost = Stay(T0, CapacityType.SPOT, bound=T0, running=T0, ended=T0 + HOUR, cause=Cause.SPOT)
        scene.stays.load({f"u{number}": (lost,)})
    scene.progress = Progress((), (Checkpoint(T0 + MINUTE),))
    scene.stays.cost, scene.at = cost, T0 + 2 * HOUR
    counts = []
    for _ in range(5):
        asyncio.run(scene.stays.book())
        counts.append(len(asked))
    assert counts[0] < 50
    assert counts[-1] == len(set(asked)) == 100
