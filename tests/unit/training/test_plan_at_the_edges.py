"""Unknown pools, bad input, and how runs end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpucost.core.actions import CreateJob, PatchJob
from gpucost.core.capacity import KARPENTER, Provider
from gpucost.core.clock import HOUR, format_rfc3339
from gpucost.core.model import CapacityType, JobCondition, Key, Node, Pod, Resources
from gpucost.core.training import memory
from gpucost.core.training.plan import TrainingContext, TrainingState, plan
from gpucost.core.training.spec import (
    Outside,
    PlacementPolicy,
    Schedule,
    TrainingSpec,
    Window,
)
from gpucost.core.training.stopping import stop
from support.training_cases import BEFORE, CLOSES, OPENS, TEMPLATE, TYPES, at, ready, reason, running, spec
from support.training_world import World

# --- pools that nobody knows ------------------------------------------------------------------------------------------


def test_without_a_known_provider_an_on_demand_job_runs_anywhere() -> None:
    (create,) = plan(World(spec(PlacementPolicy.ON_DEMAND), OPENS).state(), TrainingContext(OPENS)).actions
    assert isinstance(create, CreateJob)
    manifest: Any = create.manifest
    assert "nodeSelector" not in manifest["spec"]["template"]["spec"]
    assert manifest["spec"]["suspend"] is False


def test_without_a_known_provider_the_template_goes_on_choosing_itself() -> None:
    """A cluster that has scaled to zero shows no provider; without the selector Karpenter could buy spot."""
    template = {"spec": {**TEMPLATE["spec"], "nodeSelector": {KARPENTER: "on-demand"}}}
    world = World(spec(PlacementPolicy.ON_DEMAND, template=template), OPENS)
    (create,) = plan(world.state(), TrainingContext(OPENS)).actions
    assert isinstance(create, CreateJob)
    manifest: Any = create.manifest
    assert manifest["spec"]["template"]["spec"]["nodeSelector"] == {KARPENTER: "on-demand"}


@pytest.mark.parametrize(
    ("what", "suspended"),
    [(spec(), False), (spec(outside=Outside.PAUSE), True), (spec(PlacementPolicy.SPOT), True)],
)
def test_without_a_known_provider_spot_is_asked_for_by_name(what: TrainingSpec, suspended: bool) -> None:
    world = World(what, OPENS)
    (create,) = plan(world.state(), TrainingContext(OPENS)).actions
    assert isinstance(create, CreateJob)
    manifest: Any = create.manifest
    assert manifest["spec"]["suspend"] is suspended
    world.write(create)
    world.kubernetes()
    decision = plan(world.state(), TrainingContext(OPENS, nodes=world.nodes))
    assert decision.actions == ()
    (condition,) = [one for one in decision.conditions if one.type == "Ready"]
    assert condition.reason == "PoolUnknown"
    assert "spec.placement.spot.nodeSelector" in condition.message
    world.settle(20)  # nodes with labels have appeared
    assert world.running_on() is CapacityType.SPOT


def test_a_cluster_that_has_scaled_to_zero_does_not_forget_its_provider() -> None:
    world = running(spec(outside=Outside.PAUSE), OPENS)
    at(world, CLOSES)
    world.now = OPENS + 24 * HOUR
    (resume,) = plan(world.state(), TrainingContext(world.now)).actions
    assert isinstance(resume, PatchJob)
    assert resume.patch["spec"] == {"suspend": False}


# --- bad input and ends -----------------------------------------------------------------------------------------------


def test_a_wrong_specification_is_named_and_what_runs_goes_on() -> None:
    world = running(spec())
    bad = replace(world.spec, schedule=Schedule("Europe/Berln", (Window("x", HOUR),)))
    decision = plan(replace(world.state(), spec=bad), world.context())
    assert decision.actions == ()
    assert ready(decision) == (False, "Invalid")
    (condition,) = [one for one in decision.conditions if one.type == "Invalid"]
    assert condition.status is True
    assert "spec.schedule.timeZone" in condition.message
    assert "spec.schedule.windows[0].start" in condition.message
    assert decision.status["jobsStatus"]


def test_what_the_api_cannot_read_is_invalid_too() -> None:
    state = replace(World(spec(), BEFORE).state(), spec=None, problems=[("spec.workers", "must be at least 1")])
    decision = plan(state, TrainingContext(BEFORE))
    assert [condition.type for condition in decision.conditions] == TYPES
    assert "spec.workers: must be at least 1" in decision.conditions[-1].message


def test_what_kubernetes_refuses_is_told_with_its_field_and_not_tried_again() -> None:
    context = TrainingContext(BEFORE, rejection=["spec.template.spec.containers[0].image: Required value"])
    decision = plan(World(spec(), BEFORE).state(), context)
    assert decision.actions == ()
    assert "spec.template.spec.containers[0].image: Required value" in decision.conditions[-1].message


def test_a_changed_template_is_told_and_the_job_still_moves() -> None:
    world = running(spec())
    world.user_edits(replace(world.spec, backoff_limit=9))
    world.settle(2)
    assert reason(world) == "TemplateChanged"
    at(world, OPENS)
    assert world.running_on() is CapacityType.SPOT


def test_a_complete_run_stays_complete_when_its_job_is_cleaned_away() -> None:
    world = running(spec())
    world.finish()
    world.settle(3)
    assert [world.condition(kind)["status"] for kind in TYPES] == ["True", "False", "True", "False", "False", "False"]
    assert world.decide().wake_at is None
    world.job = None
    world.pods.clear()
    at(world, OPENS)
    assert world.job is None
    assert world.condition("Complete")["status"] == "True"


def test_a_failed_job_is_failed_in_its_own_words() -> None:
    world = running(spec())
    job = world.job_record()
    assert job is not None
    ended = replace(job, conditions=(JobCondition("Failed", True, "BackoffLimitExceeded", "too many"),))
    decision = plan(replace(world.state(), job=ended), world.context())
    failed = next(one for one in decision.conditions if one.type == "Failed")
    assert (failed.status, failed.reason, failed.message) == (True, "BackoffLimitExceeded", "too many")
    assert decision.actions == ()


def complete(world: World, *, disruption: str | None) -> TrainingState:
    job = world.job_record()
    assert job is not None
    done = replace(job, active=0, succeeded=1, conditions=(JobCondition("Complete", True),))
    pod = Pod("p", "bert-0", "research", BEFORE, phase="Succeeded", disruption=disruption)
    return replace(world.state(), job=done, pods=(pod,))


def test_an_interrupted_worker_that_ends_with_zero_is_not_complete() -> None:
    world = running(spec())
    decision = plan(complete(world, disruption="EvictionByEvictionAPI"), world.context())
    statuses = {one.type: one.status for one in decision.conditions}
    assert (statuses["Complete"], statuses["Failed"], ready(decision)[1]) == (False, True, "InterruptedWithExitZero")
    stored = [{"type": "Failed", "status": "True", "reason": "InterruptedWithExitZero", "message": "m"}]
    later = replace(complete(world, disruption=None), pods=(), status={"conditions": stored})
    assert ready(plan(later, world.context()))[1] == "InterruptedWithExitZero"  # the pod is gone, the verdict stays
    again = replace(later, job=None)
    assert isinstance(plan(again, world.context()).actions[0], CreateJob)  # the remedy: delete the Job
    assert ready(plan(complete(world, disruption=None), world.context())) == (True, "Complete")


def test_a_program_that_always_ends_with_143_is_stopped() -> None:
    world = running(spec())
    dead = [Pod(f"d{n}", f"bert-{n}", "research", BEFORE, phase="Failed") for n in range(7)]
    alive = tuple(world.pods.values())
    assert plan(replace(world.state(), pods=(*alive, *dead[:6])), world.context()).actions == ()
    state = replace(world.state(), pods=(*alive, *dead))
    (stop,) = plan(state, world.context()).actions
    world.write(stop)
    world.pods.clear()
    at(world, OPENS)
    assert (reason(world), reason(world, "Failed")) == ("TooManyTerminations", "TooManyTerminations")
    assert world.pods == {}


def test_interrupted_workers_do_not_count_as_running_away() -> None:
    world = running(spec())
    lost = [
        Pod(f"d{n}", f"bert-{n}", "research", BEFORE, phase="Failed", disruption="DeletionByPodGC") for n in range(99)
    ]
    state = replace(world.state(), pods=(*world.pods.values(), *lost))
    assert plan(state, world.context()).actions == ()


def test_an_event_is_news_only_once() -> None:
    world = running(spec())
    at(world, OPENS)
    decision = world.decide()
    assert decision.events == ()
    forgotten = plan(replace(world.state(), status={}), world.context())
    assert {(note.reason, note.dedupe) for note in forgotten.events} <= world.events


def test_a_provider_seen_anew_does_not_restart_what_runs() -> None:
    world = running(spec(PlacementPolicy.ON_DEMAND))
    eks = Node("n", "n", BEFORE, Resources(), {"eks.amazonaws.com/nodegroup": "a"})
    assert plan(world.state(), TrainingContext(world.now, Provider.EKS, {**world.nodes, "n": eks})).actions == ()


def test_the_state_names_its_own_key_in_every_action() -> None:
    world = World(spec(), BEFORE, key=Key("team-b", "llama"))
    (create,) = world.decide().actions
    assert create.target == Key("team-b", "llama")
    assert format_rfc3339(world.now) in str(world)


@pytest.mark.parametrize("key", [memory.POOL, stop.STOPPED, stop.RESTARTS, memory.SPOT_REFUSALS, memory.RESUMED_AT])
@pytest.mark.parametrize(
    "rubbish",
    [
        "x",
        "[1]",
        '{"nodeSelector": "x"}',
        '{"excluded": ["a"]}',
        '{"added": 5}',
        '{"id": 5}',
        "[" * 50_000,
        "9" * 5_000,
    ],
)
def test_what_somebody_has_made_unreadable_was_never_written(key: str, rubbish: str) -> None:
    world = running(spec())
    assert world.job is not None
    world.job["annotations"].pop(key, None)
    without = world.decide()
    world.job["annotations"][key] = rubbish
    found = world.decide()
    assert found.status == without.status
    assert [action.reason for action in found.actions] == [action.reason for action in without.actions]
