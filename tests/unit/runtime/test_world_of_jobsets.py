"""JobSets among the caches: whose pods and costs they are, who looks again, and that a cluster may do without them."""

from __future__ import annotations

from typing import Any

from gpucost.core.model import Job, Key, Owner, Pod, Workload
from gpucost.core.training.jobset import API_VERSION, JobSet
from gpucost.runtime.world import World, custom_record
from gpucost.sources.jobsets import jobset_record
from gpucost.sources.reflector import Change
from support.jobset_objects import JOBSET

KEY = Key("research", "bert")
OWNER = Owner("JobSet", "nightly", "js1")


def trainingjob(**reference: str) -> Any:
    body = {
        "kind": "TrainingJob",
        "metadata": {"uid": "tj", "name": "bert", "namespace": "research", "generation": 1},
        "spec": {"workloadRef": {"name": "nightly", **reference}},
    }
    return custom_record(body)


def filled() -> tuple[World, list[Key]]:
    """A JobSet with two Jobs, each with a pod."""
    world, dirty = World(), []
    world.on_dirty = dirty.append
    jobset = JobSet("js1", "nightly", "research", 0, "7")
    world.jobsets["js1"] = jobset
    world.jobset_changed(Change(None, jobset))
    for name in ("a", "b"):
        job = Job(f"job-{name}", name, "research", 0, "1", owner=OWNER)
        world.jobs[job.uid] = job
        world.job_changed(Change(None, job))
        pod = Pod(f"pod-{name}", name, "research", 0, owner=Owner("Job", name, job.uid))
        world.pods[pod.uid] = pod
        world.pod_changed(Change(None, pod))
    return world, dirty


def test_the_pods_of_its_jobs_are_the_trainingjobs_that_refers_to_it() -> None:
    world, _ = filled()
    pod = world.pods["pod-a"]
    assert world.workload_of(pod) == Workload("JobSet", "nightly")
    claimed: list[str] = []
    world.on_claimed = claimed.extend
    record = trainingjob(kind="JobSet", apiVersion=API_VERSION)
    world.trainingjob_changed(record)
    assert sorted(claimed) == ["pod-a", "pod-b"], "their costs are booked anew"
    assert world.workload_of(pod) == Workload("TrainingJob", "bert")
    face = world.job_of(record)
    assert face is not None
    assert (face.kind, face.uid, face.resource_version) == ("JobSet", "js1", "7")
    assert [pod.name for pod in world.pods_of(face)] == ["a", "b"]


def test_a_job_of_the_same_name_is_another_workload() -> None:
    world, _ = filled()
    record = trainingjob()
    world.trainingjob_changed(record)
    assert world.job_of(record) is None
    assert world.workload_of(world.pods["pod-a"]) == Workload("JobSet", "nightly")


def test_whoever_refers_to_it_looks_again_when_it_or_its_jobs_or_pods_change() -> None:
    world, dirty = filled()
    world.trainingjob_changed(trainingjob(kind="JobSet"))
    dirty.clear()
    job = world.jobs["job-a"]
    world.jobset_changed(Change(world.jobsets["js1"], world.jobsets["js1"]))
    world.job_changed(Change(job, job))
    world.pod_changed(Change(world.pods["pod-b"], world.pods["pod-b"]))
    assert dirty == [KEY, KEY, KEY]


def test_a_kind_that_comes_and_goes_is_told_to_those_who_wait_for_it() -> None:
    world, dirty = filled()
    world.trainingjob_changed(trainingjob(kind="JobSet"))
    assert "JobSet" in world.absent_kinds
    dirty.clear()
    world.kind_served("JobSet")
    assert (dirty, "JobSet" in world.absent_kinds) == ([KEY], False)
    world.kind_gone("JobSet")
    assert (dirty, "JobSet" in world.absent_kinds) == ([KEY, KEY], True)


def test_costs_are_shown_on_the_jobset_and_not_on_each_of_its_jobs() -> None:
    world, _ = filled()
    world.jobs["own"] = Job("own", "own", "research", 0, "1")
    assert sorted((one.kind, one.name) for one in world.shown_workloads()) == [("Job", "own"), ("JobSet", "nightly")]


def test_what_is_gone_leaves_nothing_behind() -> None:
    world, _ = filled()
    for name in ("a", "b"):
        world.pod_changed(Change(world.pods.pop(f"pod-{name}"), None))
        world.job_changed(Change(world.jobs.pop(f"job-{name}"), None))
    world.jobset_changed(Change(world.jobsets.pop("js1"), None))
    assert (world.jobs_by_owner, world.pods_by_job, world.jobset_by_key, world.job_by_key) == ({}, {}, {}, {})


def test_a_jobset_is_read_with_what_decisions_need() -> None:
    record = jobset_record(JOBSET)
    assert [(t.name, t.pods, t.holds_gpus) for t in record.templates] == [("driver", 1, False), ("workers", 8, True)]
    assert record.templates[1].node_selector == {"karpenter.sh/capacity-type": "spot"}
    assert (record.suspend, record.suspend_manager, record.queue) == (True, "kueue", "gpus")
    assert record.annotations == {"gpucost.dev/placement": "spot"}
    assert (record.active_jobs, record.condition("Suspended") is not None) == (2, True)
