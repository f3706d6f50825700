"""People, queues, other controllers, and Jobs that somebody else has made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpucost.core.actions import CreateJob, PatchJob
from gpucost.core.capacity import KARPENTER, Provider
from gpucost.core.clock import HOUR
from gpucost.core.model import CapacityType, Job, Owner
from gpucost.core.training.plan import TrainingContext, TrainingState, plan
from gpucost.core.training.spec import (
    Outside,
    PlacementPolicy,
    PlacementSpec,
    TrainingSpec,
    WorkloadRef,
)
from support.training_cases import BEFORE, CLOSES, OPENS, at, names, ready, reason, running, spec
from support.training_world import ON_DEMAND, SPOT, World

# --- other people -----------------------------------------------------------------------------------------------------


def test_what_somebody_else_suspended_is_never_resumed() -> None:
    world = running(spec())
    world.user_suspends()
    at(world, OPENS)
    at(world, CLOSES)
    assert (reason(world), reason(world, "Suspended")) == ("SuspendedByOther", "SuspendedByOther")
    world.user_resumes()
    world.settle(20)
    assert world.running_on() is CapacityType.ON_DEMAND


def test_a_suspension_that_replaced_ours_is_somebody_elses() -> None:
    world = running(spec(outside=Outside.PAUSE))
    world.user_resumes()
    world.user_suspends()
    at(world, OPENS)
    assert (reason(world), world.pods) == ("SuspendedByOther", {})


def test_a_job_resumed_against_our_pause_is_left_alone_until_the_schedule_changes() -> None:
    world = running(spec(outside=Outside.PAUSE))
    world.user_resumes()
    world.settle(6)
    assert reason(world) == "Overridden"
    assert "until 2026-11-24T20:00:00Z" in world.condition("Ready")["message"]
    assert world.job is not None
    assert world.job["suspend"] is False
    at(world, OPENS)
    assert world.running_on() is CapacityType.SPOT
    at(world, CLOSES)
    assert world.running_on() is None


def test_a_job_resumed_just_when_its_window_opens_is_simply_running() -> None:
    world = running(spec(outside=Outside.PAUSE), OPENS)
    at(world, CLOSES)
    world.now = OPENS + 24 * HOUR
    world.user_resumes()
    world.settle(6)
    assert (reason(world), world.running_on()) == ("Running", CapacityType.SPOT)


@pytest.mark.parametrize("held", [{"queue": "gpus"}, {"managed_by": "kueue.x-k8s.io/multikueue"}])
def test_a_job_that_another_controller_starts_and_stops_is_not_touched(held: dict[str, str]) -> None:
    world = running(spec())
    job = world.job_record()
    assert job is not None
    for suspended in (True, False):
        state = replace(world.state(), job=replace(job, suspend=suspended, **held))
        decision = plan(state, TrainingContext(OPENS, Provider.KARPENTER, world.nodes))
        assert decision.actions == ()
        assert ready(decision)[1] == ("Queued" if suspended else "Running")


def test_a_queued_trainingjob_leaves_start_and_place_to_its_queue() -> None:
    state = replace(World(spec(), OPENS).state(), labels={"kueue.x-k8s.io/queue-name": "gpus"})
    (create,) = plan(state, TrainingContext(OPENS, Provider.KARPENTER)).actions
    assert isinstance(create, CreateJob)
    manifest: Any = create.manifest
    assert manifest["spec"]["suspend"] is True
    assert "gpucost.dev/suspended-by" not in manifest["metadata"]["annotations"]
    assert "nodeSelector" not in manifest["spec"]["template"]["spec"]


# --- adopting ---------------------------------------------------------------------------------------------------------

ADOPTING = spec(template=None, workload_ref=WorkloadRef("bert"))


def test_a_job_that_is_not_there_is_asked_for() -> None:
    assert ready(World(ADOPTING, BEFORE).decide()) == (False, "JobNotFound")


def test_an_adopted_job_that_runs_in_its_place_only_gets_a_mark() -> None:
    world = World(ADOPTING, BEFORE)
    world.adopt_existing(selector={KARPENTER: "on-demand"})
    world.settle(6)
    assert world.writes == 1
    assert world.running_on() is CapacityType.ON_DEMAND
    at(world, OPENS)
    assert world.running_on() is CapacityType.SPOT


def test_an_adopted_job_keeps_its_own_selector_where_nobody_knows_a_better_one() -> None:
    what = replace(ADOPTING, placement=PlacementSpec(PlacementPolicy.ON_DEMAND), schedule=None, suspend=True)
    world = World(what, BEFORE)
    world.adopt_existing(selector={KARPENTER: "on-demand"})
    world.settle(20)
    world.user_edits(replace(what, suspend=False))
    assert ready(world.decide()) == (False, "Resuming")
    (resume,) = plan(world.state(), TrainingContext(world.now)).actions
    assert isinstance(resume, PatchJob)
    assert resume.patch["spec"] == {"suspend": False}


def test_an_adopted_job_is_seen_where_its_nodes_are_and_moved_when_that_is_wrong() -> None:
    world = World(ADOPTING, BEFORE, capacity={SPOT: True, ON_DEMAND: False})
    world.adopt_existing(selector={})
    for _ in range(3):
        world.kubernetes()
    assert world.running_on() is CapacityType.SPOT
    world.capacity[ON_DEMAND] = True
    world.settle(20)
    assert world.running_on() is CapacityType.ON_DEMAND
    assert names(world) == ["MovedToOnDemand"]


def test_nothing_is_done_to_a_running_job_whose_nodes_nobody_knows() -> None:
    world = World(ADOPTING, BEFORE)
    world.adopt_existing(selector={})
    world.settle(6)
    unknown = TrainingContext(OPENS, Provider.KARPENTER, nodes={})
    assert plan(replace(world.state(), pods=tuple(world.pods.values())), unknown).actions == ()
    assert plan(replace(world.state(), pods=()), unknown).actions == ()


def foreign(state: TrainingState, owner: Owner | None, annotations: dict[str, str] | None = None) -> TrainingState:
    job = Job("job-9", "bert", "research", BEFORE, "7", owner=owner, annotations=annotations or {}, active=1, ready=1)
    return replace(state, job=job)


@pytest.mark.parametrize(
    ("what", "owner", "annotations", "expected"),
    [
        (spec(), None, {}, "NameTaken"),
        (spec(), Owner("TrainingJob", "bert", "tj-0"), {}, "NameTaken"),
        (ADOPTING, Owner("TrainingJob", "other", "tj-2"), {}, "Conflict"),
        (ADOPTING, Owner("JobSet", "set", "js-1"), {}, "Conflict"),
        (ADOPTING, None, {"gpucost.dev/adopted-by": "tj-2"}, "Conflict"),
        (ADOPTING, Owner("CronJob", "nightly", "cj-1"), {}, "Adopting"),
    ],
)
def test_a_job_of_somebody_else_is_left_alone(
    what: TrainingSpec, owner: Owner | None, annotations: dict[str, str], expected: str
) -> None:
    decision = plan(foreign(World(what, OPENS).state(), owner, annotations), TrainingContext(OPENS, Provider.EKS))
    assert ready(decision) == (False, expected)
    assert bool(decision.actions) == (expected == "Adopting")
    assert ("jobsStatus" in decision.status) == (expected == "Adopting")


def test_the_mark_of_a_trainingjob_that_is_gone_does_not_count() -> None:
    state = foreign(World(ADOPTING, OPENS).state(), None, {"gpucost.dev/adopted-by": "tj-2"})
    context = TrainingContext(OPENS, Provider.EKS, living=frozenset({"tj-1"}))
    assert ready(plan(state, context)) == (False, "Adopting")
