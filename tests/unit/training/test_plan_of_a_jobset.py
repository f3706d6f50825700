"""A JobSet moves by its own rules: by the value of a selector's key, the parts that hold GPUs, suspended as a whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpucost.core.actions import PatchJob
from gpucost.core.capacity import AKS, KARPENTER, Provider
from gpucost.core.model import CapacityType, Job, JobCondition, Owner
from gpucost.core.training import jobset
from gpucost.core.training.jobset import JobSet, Template, face, obstacle
from gpucost.core.training.placement import Bound, Pool
from gpucost.core.training.plan import TrainingContext, plan
from gpucost.core.training.spec import Outside, PlacementPolicy, PlacementSpec, PoolSelector, WorkloadRef
from gpucost.core.training.validate import problems
from gpucost.effects.workloads import operations
from support.jobset_world import DRIVER, WORKERS, JobSetWorld
from support.training_cases import BEFORE, CLOSES, OPENS, at, names, ready, reason, spec
from support.training_world import ON_DEMAND, SPOT

REF = WorkloadRef("bert", jobset.KIND, jobset.API_VERSION)
SPOT_OR_NOT = PlacementSpec(PlacementPolicy.SCHEDULED)


def adopted(now: int = BEFORE, *, driver: bool = False, **fields: Any) -> JobSetWorld:
    world = JobSetWorld(spec(template=None, workload_ref=REF, **fields), now)
    world.adopt_existing(selector={}, workers=2, driver=driver)
    world.settle(20)
    return world


# --- moving -----------------------------------------------------------------------------------------------------------


def test_a_window_moves_the_whole_jobset_and_its_end_brings_it_back() -> None:
    world = adopted()
    assert (reason(world), world.running_on()) == ("Running", CapacityType.ON_DEMAND)
    at(world, OPENS)
    assert world.running_on() is CapacityType.SPOT
    at(world, CLOSES)
    assert (reason(world), world.running_on()) == ("Running", CapacityType.ON_DEMAND)
    assert {"MovedToSpot", "MovedToOnDemand", "WindowOpened", "WindowClosed"} <= set(names(world))
    assert world.jobs[WORKERS]["nodeSelector"] == {KARPENTER: ON_DEMAND}


def test_a_part_without_gpus_stays_where_it_is_when_the_others_move() -> None:
    world = adopted(driver=True)
    at(world, OPENS)
    assert world.running_on() is CapacityType.SPOT
    assert world.jobs[DRIVER]["nodeSelector"] == {"pool": "cpu"}
    assert world.jobs[WORKERS]["nodeSelector"] == {KARPENTER: SPOT}


def test_it_pauses_outside_its_windows_and_what_somebody_else_suspends_stays_suspended() -> None:
    world = adopted(outside=Outside.PAUSE)
    assert (reason(world), world.pods) == ("OutsideWindow", {})
    at(world, OPENS)
    assert world.running_on() is CapacityType.SPOT
    world.user_suspends()
    at(world, CLOSES)
    at(world, OPENS)
    assert reason(world) == "SuspendedByOther"
    assert "kubectl patch jobset bert" in world.condition("Ready")["message"]
    assert world.pods == {}


def test_a_move_that_finds_no_node_is_undone() -> None:
    world = adopted()
    world.capacity[SPOT] = False
    at(world, OPENS, rounds=200)
    assert world.running_on() is CapacityType.ON_DEMAND
    assert len(world.reverts) == 1
    assert "no Spot node within" in world.condition("Ready")["message"]


def test_it_is_not_resumed_before_every_pod_of_it_has_ended() -> None:
    world = adopted()
    world.now = OPENS
    world.operate()
    world.jobset_controller()
    assert world.job is not None
    assert world.job["Suspended"] is True
    assert world.decide().actions == (), "its controller says Suspended, its Jobs have not stopped"
    world.job_controller()
    assert world.decide().actions == (), "the pods are ending"
    world.settle(10)
    assert world.running_on() is CapacityType.SPOT


# --- writing ----------------------------------------------------------------------------------------------------------


def test_the_resumption_is_one_conditional_write_that_names_each_template() -> None:
    world = adopted(driver=True)
    world.now = OPENS
    change = _resumption(world)
    written = operations(change)
    assert {"op": "add", "path": "/metadata/resourceVersion", "value": change.resource_version} in written
    assert {"op": "add", "path": "/metadata/uid", "value": change.uid} in written
    assert {"op": "add", "path": "/spec/suspend", "value": False} in written
    assert {"op": "remove", "path": "/metadata/annotations/gpucost.dev~1suspended-by"} in written
    assert {"op": "test", "path": "/spec/replicatedJobs/1/name", "value": WORKERS} in written
    template = "/spec/replicatedJobs/1/template/spec/template/spec"
    assert {"op": "add", "path": f"{template}/nodeSelector", "value": {KARPENTER: "spot"}} in written
    assert not [one for one in written if one["path"].startswith("/spec/replicatedJobs/0")]
    removed = {one["path"] for one in written if one["op"] == "remove"}
    assert all(path.startswith("/metadata/annotations/gpucost.dev~1") for path in removed)


def _resumption(world: JobSetWorld) -> PatchJob:
    for _ in range(60):
        for action in world.decide().actions:
            assert isinstance(action, PatchJob)
            if action.parts:
                return action
            world.write(action)
        world.kubernetes()
        world.now += 5_000_000
    raise AssertionError("never resumed")


# --- what cannot be done ----------------------------------------------------------------------------------------------


def bare(**fields: Any) -> Job:
    whole = JobSet("u", "bert", "research", 0, "1", templates=(Template("workers", 2, holds_gpus=True),))
    return replace(face(whole, ()), **fields)


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        (Provider.KARPENTER, None),
        (Provider.EKS, None),
        (Provider.GKE, "onDemand nodes are not told by a label"),
        (Provider.AKS, "onDemand nodes are not told by a label"),
        (None, "nodes are not told by a label"),
    ],
)
def test_only_where_both_places_are_told_by_the_value_of_one_key(provider: Provider | None, words: str | None) -> None:
    found = obstacle(bare(), SPOT_OR_NOT, provider, None, CapacityType.SPOT)
    assert (found is None) if words is None else (found is not None and words in found)


def test_selectors_of_the_users_own_must_have_the_same_keys() -> None:
    same = replace(SPOT_OR_NOT, spot=PoolSelector({"pool": "spot"}), on_demand=PoolSelector({"pool": "dear"}))
    assert obstacle(bare(), same, Provider.GKE, None, CapacityType.SPOT) is None
    other = replace(same, on_demand=PoolSelector({"dear": "yes"}))
    assert "different keys" in str(obstacle(bare(), other, Provider.GKE, None, CapacityType.SPOT))


@pytest.mark.parametrize("where", ["template", "jobs", "earlier"])
def test_a_key_that_its_jobs_would_keep_is_an_obstacle(where: str) -> None:
    job, bound = bare(), None
    if where == "template":
        job = replace(job, parts=(replace(job.parts[0], node_selector={AKS: "spot"}),))
    elif where == "jobs":
        job = replace(job, stuck={AKS: "spot"})
    else:
        job, bound = replace(job, stuck={"pool": "old"}), Bound(Pool({"pool": "old"}))
    found = obstacle(job, SPOT_OR_NOT, Provider.KARPENTER, bound, CapacityType.SPOT)
    assert found is not None
    assert "never takes away" in found


def test_selectors_that_choose_no_capacity_are_no_obstacle() -> None:
    job = bare(stuck={"topology.kubernetes.io/zone": "a"})
    assert obstacle(job, SPOT_OR_NOT, Provider.KARPENTER, None, CapacityType.SPOT) is None


def test_what_cannot_be_moved_is_told_and_left_running() -> None:
    world = adopted(driver=False)
    world.now = OPENS
    decision = plan(world.state(), TrainingContext(OPENS, Provider.GKE, world.nodes))
    assert decision.actions == ()
    assert ready(decision) == (False, "PlacementNotPossible")
    assert "spec.placement.spot.nodeSelector" in next(c.message for c in decision.conditions if c.type == "Ready")


def test_a_jobset_that_is_only_watched_needs_no_labels_at_all() -> None:
    world = adopted(policy=PlacementPolicy.ON_DEMAND)
    decision = plan(world.state(), TrainingContext(OPENS, None, world.nodes))
    assert (decision.actions, ready(decision)) == ((), (True, "Running"))


def test_a_cluster_without_jobsets_is_told_apart_from_a_jobset_that_is_missing() -> None:
    world = JobSetWorld(spec(template=None, workload_ref=REF), BEFORE)
    missing = plan(world.state(), TrainingContext(BEFORE))
    assert ready(missing) == (False, "JobSetNotFound")
    without = plan(world.state(), TrainingContext(BEFORE, absent_kinds=frozenset({"JobSet"})))
    assert ready(without) == (False, "KindNotInstalled")


@pytest.mark.parametrize(("kind", "version"), [("TrainJob", "trainer.kubeflow.org/v1alpha1"), ("JobSet", "batch/v1")])
def test_other_kinds_are_refused_with_those_that_are_known(kind: str, version: str) -> None:
    found = problems(spec(template=None, workload_ref=WorkloadRef("x", kind, version)))
    known = "batch/v1 Job or jobset.x-k8s.io/v1alpha2 JobSet"
    assert [str(one) for one in found] == [f"spec.workloadRef.kind: {version} {kind} cannot be taken over; use {known}"]


def test_a_jobset_that_a_trainjob_has_made_is_its_makers_and_left_alone() -> None:
    world = JobSetWorld(spec(template=None, workload_ref=REF), BEFORE)
    made = replace(bare(), owner=Owner("TrainJob", "bert", "tj-9", "trainer.kubeflow.org/v1alpha1"))
    decision = plan(replace(world.state(), job=made), TrainingContext(OPENS, Provider.KARPENTER))
    assert (decision.actions, ready(decision)) == ((), (False, "Conflict"))
    message = next(one.message for one in decision.conditions if one.type == "Ready")
    assert "belongs to TrainJob bert, which would undo every change" in message


# --- the face ---------------------------------------------------------------------------------------------------------


def child(name: str, **fields: Any) -> Job:
    given = {"parallelism": 2, "completions": 2, "labels": {jobset.PART_LABEL: name}, **fields}
    return Job(name, name, "research", 0, "1", owner=Owner("JobSet", "bert", "u"), **given)


def test_counts_are_sums_over_its_jobs() -> None:
    whole = JobSet("u", "bert", "research", 0, "1", templates=(Template("a", 2), Template("b", 2)))
    seen = face(whole, [child("a", active=2, ready=1, failed=1), child("b", active=1, succeeded=1, terminating=1)])
    assert (seen.parallelism, seen.completions, seen.active, seen.ready) == (4, 4, 3, 1)
    assert (seen.succeeded, seen.failed, seen.terminating) == (1, 1, 1)
    assert [part.jobs for part in seen.parts] == [frozenset({"a"}), frozenset({"b"})]
    assert all(part.moves for part in seen.parts), "where none holds GPUs, all of it moves"


def test_it_is_suspended_when_all_that_lives_of_it_is() -> None:
    stopped = (JobCondition("Suspended", status=True),)
    done = (JobCondition("Complete", status=True),)
    whole = JobSet("u", "bert", "research", 0, "1", suspend=True, conditions=stopped)
    running, suspended = child("a"), child("b", suspend=True, conditions=stopped)
    assert face(whole, [running, suspended]).condition("Suspended") is None
    assert face(whole, [suspended, child("c", conditions=done)]).condition("Suspended") is not None


@pytest.mark.parametrize(("theirs", "ours"), [("Completed", "Complete"), ("Failed", "Failed")])
def test_its_end_is_a_jobs_end(theirs: str, ours: str) -> None:
    whole = JobSet("u", "bert", "research", 0, "1", conditions=(JobCondition(theirs, status=True, since=7),))
    seen = face(whole, ())
    assert seen.condition(ours) is not None
    assert seen.completed == 7
