"""Facts carry the API server's times, whatever order the watches bring their events in."""

from dataclasses import dataclass, field

import pytest

from gpucost.core.clock import HOUR, MINUTE, SECOND, format_rfc3339
from gpucost.core.model import Category, Gap, Job, Key, Node, NodeFact, Owner, Pod, PodFact, Resources, Workload
from gpucost.core.timeline import Interval
from gpucost.runtime.holdings import Holdings
from gpucost.runtime.recorder import BROKEN_WATCH, Recorder
from gpucost.runtime.recovery import UNSEEN, Past, recover
from gpucost.runtime.world import World, custom_record
from gpucost.sources.reflector import Change

T0 = 1_793_491_200 * SECOND  # 2026-11-01T00:00:00Z
SPOT = {"karpenter.sh/capacity-type": "spot", "node.kubernetes.io/instance-type": "p5.48xlarge"}


@dataclass
class Scene:
    """A world with a recorder and a clock that the test moves."""

    at: int = T0
    world: World = field(default_factory=World)
    recorder: Recorder = field(init=False)

    def __post_init__(self):
        self.recorder = Recorder(self.world, lambda: self.at, lambda _fact, _node: [])

    def node(self, uid="n1", name="gpu-0", created=T0, **more):
        node = Node(uid, name, created, Resources(8000, 0, 8), labels=SPOT, devices={"nvidia.com/gpu": 8}, **more)
        self.world.nodes[uid] = node
        self.recorder.node_changed(Change(None, node))
        return node

    def node_gone(self, node, **how):
        self.world.nodes.pop(node.uid)
        self.recorder.node_changed(Change(node, None, **how))

    def pod(self, uid="p1", **more):
        fields = {"node_name": "gpu-0", "bound": T0 + MINUTE, "owner": Owner("Job", "bert", "j1"), **more}
        fields.setdefault("devices", {"nvidia.com/gpu": 4})
        pod = Pod(uid, uid, "research", T0, fields.pop("requests", Resources(1000, 0, 4)), **fields)
        old = self.world.pods.get(uid)
        self.world.pods[uid] = pod
        self.world.pod_changed(Change(old, pod))
        self.recorder.pod_changed(Change(old, pod))
        return pod

    def pod_gone(self, pod, body=None, **how):
        self.world.pods.pop(pod.uid)
        self.world.pod_changed(Change(pod, None, body, **how))
        self.recorder.pod_changed(Change(pod, None, body, **how))

    def job(self, owner=None):
        job = Job("j1", "bert", "research", T0, "1", owner=owner)
        self.world.jobs["j1"] = job
        self.world.job_changed(Change(None, job))
        self.recorder.owners_changed(self.world.pods_by_job.get("j1", ()))

    def written(self):
        facts, _, complete = self.recorder.drain()
        self.complete = complete
        return facts

    def pods_written(self):
        return [fact for fact in self.written() if isinstance(fact, PodFact)]


@pytest.fixture
def scene():
    return Scene()


def test_a_bound_pod_is_written_once_with_its_binding_time(scene):
    scene.node()
    scene.pod()
    (fact,) = scene.pods_written()
    assert (fact.start, fact.end, fact.node_uid) == (T0 + MINUTE, None, "n1")
    assert scene.complete
    assert scene.written() == []


def test_a_pending_pod_is_no_fact(scene):
    scene.pod(node_name=None, bound=None)
    assert scene.written() == []
    assert scene.complete


def test_a_pod_that_is_seen_before_its_node_waits_for_it(scene):
    scene.pod()
    assert scene.written() == []
    assert not scene.complete
    scene.node()
    assert [fact.uid for fact in scene.pods_written()] == ["p1"]


def test_a_pod_that_is_seen_before_its_job_is_booked_on_the_trainingjob_in_the_end(scene):
    scene.node()
    scene.pod()
    assert scene.pods_written()[0].workload == Workload("Job", "bert")
    scene.job(owner=Owner("TrainingJob", "bert", "t1"))
    assert scene.pods_written()[0].workload == Workload("TrainingJob", "bert")


def test_the_workload_stays_when_the_owner_is_deleted_before_the_pod(scene):
    scene.node()
    scene.job(owner=Owner("TrainingJob", "bert", "t1"))
    pod = scene.pod()
    scene.written()
    scene.world.jobs.clear()
    scene.at = T0 + HOUR
    scene.pod_gone(pod)
    (fact,) = scene.pods_written()
    assert fact.workload == Workload("TrainingJob", "bert")
    assert fact.end == T0 + HOUR


def test_an_adopted_job_is_booked_on_the_trainingjob_that_refers_to_it(scene):
    record = custom_record(
        {
            "kind": "TrainingJob",
            "metadata": {"uid": "t1", "name": "nightly", "namespace": "research"},
            "spec": {"workloadRef": {"name": "bert"}},
        }
    )
    scene.world.trainingjob_changed(record)
    scene.node()
    scene.job()
    scene.pod()
    assert scene.pods_written()[0].workload == Workload("TrainingJob", "nightly")


def test_the_containers_own_end_counts_and_not_the_removal_of_the_object(scene):
    scene.node()
    pod = scene.pod()
    scene.pod(ended=T0 + 2 * MINUTE, phase="Succeeded")
    scene.at = T0 + HOUR
    scene.pod_gone(pod, terminated_body(T0 + 2 * MINUTE))
    assert {fact.end for fact in scene.pods_written()} == {T0 + 2 * MINUTE}


def terminated_body(end):
    return {
        "metadata": {
            "uid": "p1",
            "name": "p1",
            "namespace": "research",
            "creationTimestamp": format_rfc3339(T0),
            "deletionTimestamp": format_rfc3339(end),
            "ownerReferences": [
                {"kind": "Job", "name": "bert", "uid": "j1", "apiVersion": "batch/v1", "controller": True}
            ],
        },
        "spec": {"nodeName": "gpu-0", "containers": []},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": format_rfc3339(T0 + MINUTE)}
            ],
            "containerStatuses": [{"state": {"terminated": {"finishedAt": format_rfc3339(end)}}}],
        },
    }


def test_a_node_replaced_under_the_same_name_keeps_its_own_pods(scene):
    old = scene.node("n1", created=T0)
    scene.pod("p1", bound=T0 + MINUTE)
    scene.written()
    scene.at = T0 + HOUR
    scene.node_gone(old)
    scene.node("n2", created=T0 + 2 * HOUR)
    scene.pod("p2", bound=T0 + 2 * HOUR + MINUTE)
    facts = {fact.uid: fact for fact in scene.written()}
    assert facts["n1"].end == T0 + HOUR
    assert facts["p2"].node_uid == "n2"


def test_a_node_that_went_while_the_watch_was_broken_leaves_an_interval_unknown(scene):
    node = scene.node()
    scene.written()
    scene.at = T0 + HOUR
    scene.node_gone(node, seen=False, last_seen=T0 + MINUTE)
    fact, gap = scene.written()
    assert fact.end == T0 + MINUTE
    assert gap == Gap("n1", Interval(T0 + MINUTE, T0 + HOUR), BROKEN_WATCH)


def test_a_pod_that_went_while_the_watch_was_broken_leaves_an_interval_unknown(scene):
    scene.node()
    pod = scene.pod()
    scene.written()
    scene.at = T0 + HOUR
    scene.pod_gone(pod, seen=False, last_seen=T0 + 2 * MINUTE)
    facts = scene.written()
    assert [fact.end for fact in facts if isinstance(fact, PodFact)] == [T0 + 2 * MINUTE]
    assert Gap("p1", Interval(T0 + 2 * MINUTE, T0 + HOUR), BROKEN_WATCH) in facts


def test_a_disrupted_pod_on_spot_is_an_interruption_of_its_trainingjob(scene):
    scene.node()
    scene.job(owner=Owner("TrainingJob", "bert", "t1"))
    scene.pod()
    scene.pod(ended=T0 + HOUR, phase="Failed", disruption="EvictionByEvictionAPI")
    scene.written()
    (note,) = scene.recorder.endings.interruptions_of("research", Workload("TrainingJob", "bert"))
    assert (note.pod_uid, note.at, note.node, note.reason) == ("p1", T0 + HOUR, "gpu-0", "EvictionByEvictionAPI")


def test_facts_that_could_not_be_written_come_again(scene):
    scene.node()
    facts, prices, _ = scene.recorder.drain()
    scene.recorder.put_back(facts, prices)
    assert scene.recorder.drain()[0] == facts


def test_a_label_decides_the_category(scene):
    scene.node()
    scene.pod(labels={"gpucost.dev/category": "data"})
    assert scene.pods_written()[0].category is Category.DATA


# --- after a restart --------------------------------------------------------------------------------------------------


def open_pod(**more):
    fields = {
        "uid": "p1",
        "namespace": "research",
        "name": "p1",
        "workload": Workload("TrainingJob", "bert"),
        "category": Category.TRAINING,
        "node_uid": "n1",
        "start": T0 + MINUTE,
        "end": None,
        "requests": Resources(1000, 0, 4),
    }
    return PodFact(**{**fields, **more})


def past(scene, *, pods=(), nodes=(), node_history=None, pod_history=None):
    return Past(
        observed_until=T0 + HOUR,
        open_nodes={node.uid: node for node in nodes},
        open_pods={pod.uid: pod for pod in pods},
        node_history=node_history,
        pod_history=pod_history,
    )


def test_a_pod_that_lived_through_the_downtime_changes_nothing(scene):
    scene.node()
    scene.job(owner=Owner("TrainingJob", "bert", "t1"))
    pod = scene.pod()
    recover(scene.world, scene.recorder, past(scene, pods=[open_pod(labels=pod.labels)]))
    assert scene.pods_written() == []


def test_a_pod_that_vanished_without_a_trace_ends_when_it_was_last_seen_and_leaves_a_gap(scene):
    scene.node()
    scene.at = T0 + 2 * HOUR
    recover(scene.world, scene.recorder, past(scene, pods=[open_pod()]))
    facts = scene.written()
    assert [fact.end for fact in facts if isinstance(fact, PodFact)] == [T0 + HOUR]
    assert Gap("p1", Interval(T0 + HOUR, T0 + 2 * HOUR), UNSEEN) in facts


def test_the_servers_history_tells_the_exact_end(scene):
    scene.node()
    scene.at = T0 + 2 * HOUR
    history = {"p1": ("DELETED", terminated_body(T0 + HOUR + 7 * SECOND))}
    recover(scene.world, scene.recorder, past(scene, pods=[open_pod()], pod_history=history))
    facts = scene.written()
    (fact,) = [fact for fact in facts if isinstance(fact, PodFact)]
    assert fact.end == T0 + HOUR + 7 * SECOND
    assert fact.workload == Workload("TrainingJob", "bert")
    assert not any(isinstance(fact, Gap) for fact in facts)


def test_a_pod_born_and_gone_while_nobody_watched_is_found_in_the_history(scene):
    scene.node()
    scene.at = T0 + 2 * HOUR
    history = {"p1": ("DELETED", terminated_body(T0 + 5 * MINUTE))}
    recover(scene.world, scene.recorder, past(scene, pod_history=history))
    (fact,) = scene.pods_written()
    assert (fact.start, fact.end) == (T0 + MINUTE, T0 + 5 * MINUTE)


def test_a_node_that_vanished_takes_its_pods_along(scene):
    scene.at = T0 + 2 * HOUR
    node = Holdings().node_fact(Node("n1", "gpu-0", T0, Resources(8000, 0, 8), labels=SPOT))
    recover(scene.world, scene.recorder, past(scene, pods=[open_pod()], nodes=[node]))
    ends = {fact.uid: fact.end for fact in scene.written() if isinstance(fact, PodFact | NodeFact)}
    assert ends == {"n1": T0 + HOUR, "p1": T0 + HOUR}


def test_dirty_keys_of_a_job_are_its_owner_and_whoever_refers_to_it(scene):
    marked = []
    scene.world.on_dirty = marked.append
    for name, spec in (("bert", {"template": {}}), ("nightly", {"workloadRef": {"name": "bert"}}), ("other", {})):
        body = {
            "kind": "TrainingJob",
            "metadata": {"uid": name, "name": name, "namespace": "research"},
            "spec": spec,
        }
        scene.world.trainingjob_changed(custom_record(body))
    marked.clear()
    scene.job(owner=Owner("TrainingJob", "bert", "bert"))
    assert set(marked) == {Key("research", "bert"), Key("research", "nightly")}


def test_a_running_job_that_a_trainingjob_takes_over_is_booked_to_it_from_its_beginning(scene):
    scene.world.on_claimed = scene.recorder.owners_changed
    scene.node()
    scene.job()
    scene.pod()
    assert [fact.workload for fact in scene.pods_written()] == [Workload("Job", "bert")]
    metadata = {"uid": "t1", "name": "mine", "namespace": "research", "generation": 1}
    reference = {"workloadRef": {"name": "bert"}}
    scene.world.trainingjob_changed(custom_record({"kind": "TrainingJob", "metadata": metadata, "spec": reference}))
    (fact,) = scene.pods_written()
    assert (fact.workload, fact.start) == (Workload("TrainingJob", "mine"), T0 + MINUTE)
