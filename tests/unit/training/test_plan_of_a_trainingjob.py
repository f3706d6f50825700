"""One TrainingJob through its life, in a simulated cluster: what is done, told, and when to look again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpucost.core.actions import CreateJob, CreateService, PatchJob
from gpucost.core.capacity import KARPENTER
from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.model import CapacityType
from gpucost.core.training.plan import TrainingContext, plan
from gpucost.core.training.spec import (
    Outside,
    PlacementPolicy,
    PlacementSpec,
    PoolSelector,
    TrainingSpec,
)
from support.training_cases import BEFORE, CLOSES, OPENS, TEMPLATE, TYPES, at, names, ready, reason, running, spec
from support.training_world import ON_DEMAND, SPOT, World

# --- the ordinary life ------------------------------------------------------------------------------------------------


def test_a_new_trainingjob_gets_its_job_in_the_right_place_at_once() -> None:
    decision = World(spec(), OPENS).decide()
    (create,) = decision.actions
    assert isinstance(create, CreateJob)
    manifest: Any = create.manifest
    assert manifest["spec"]["suspend"] is False
    assert manifest["spec"]["template"]["spec"]["nodeSelector"] == {KARPENTER: "spot"}
    assert decision.wake_at == CLOSES


def test_several_workers_get_their_service_before_their_job() -> None:
    decision = World(spec(workers=2), BEFORE).decide()
    assert [type(action) for action in decision.actions] == [CreateService, CreateJob]
    assert plan(replace(World(spec(workers=2), BEFORE).state(), service_exists=True), TrainingContext(BEFORE)).actions


def test_a_running_job_is_left_alone_and_says_so() -> None:
    world = running(spec())
    decision = world.decide()
    assert decision.actions == ()
    assert [condition.type for condition in decision.conditions] == TYPES
    assert ready(decision) == (True, "Running")
    assert decision.status["jobsStatus"] == [
        {"name": "bert", "ready": 1, "active": 1, "succeeded": 0, "failed": 0, "suspended": 0}
    ]
    assert decision.status["placement"] == {
        "current": "OnDemand",
        "since": "2026-11-24T19:00:00Z",
        "next": {"at": "2026-11-24T20:00:00Z", "placement": "Spot"},
    }
    assert decision.wake_at == OPENS


def test_a_window_moves_the_job_to_spot_and_its_end_moves_it_back() -> None:
    world = running(spec(workers=3))
    at(world, OPENS)
    assert world.running_on() is CapacityType.SPOT
    assert names(world) == ["MovedToSpot", "WindowOpened"]
    assert world.status["placement"]["window"] == {"start": "2026-11-24T20:00:00Z", "end": "2026-11-25T06:00:00Z"}
    at(world, CLOSES)
    assert world.running_on() is CapacityType.ON_DEMAND
    assert names(world) == ["MovedToOnDemand", "MovedToSpot", "WindowClosed", "WindowOpened"]


def test_a_move_is_two_writes_each_complete_in_itself() -> None:
    world = running(spec())
    world.now = OPENS
    (suspend,) = world.operate().actions
    assert isinstance(suspend, PatchJob)
    assert suspend.patch == {
        "metadata": {
            "annotations": {
                "gpucost.dev/suspended-by": "gpucost",
                "gpucost.dev/suspend-reason": "move",
                "gpucost.dev/suspended-at": "2026-11-24T20:00:00Z",
            }
        },
        "spec": {"suspend": True},
    }
    world.controller()
    assert world.operate().actions == ()  # the pods are still ending
    assert reason(world, "Migrating") == "Moving"
    world.now += 40 * SECOND
    world.kubelet()
    world.controller()
    (resume,) = world.operate().actions
    assert isinstance(resume, PatchJob)
    assert resume.patch == {
        "metadata": {
            "annotations": {
                "gpucost.dev/suspended-by": None,
                "gpucost.dev/suspend-reason": None,
                "gpucost.dev/suspended-at": None,
                "gpucost.dev/placement": "spot",
                "gpucost.dev/placement-previous": "onDemand",
                "gpucost.dev/pool": '{"nodeSelector":{"karpenter.sh/capacity-type":"spot"}}',
                "gpucost.dev/resumed-at": "2026-11-24T20:00:40Z",
                "gpucost.dev/moved-at": "2026-11-24T20:00:40Z",
            }
        },
        "spec": {
            "suspend": False,
            "template": {
                "spec": {"nodeSelector": {KARPENTER: "spot"}},
                "metadata": {
                    "annotations": {
                        "karpenter.sh/do-not-disrupt": None,
                        "cluster-autoscaler.kubernetes.io/safe-to-evict": None,
                        "progress.gpucost.dev/checkpoint-interval": "8499",
                    }
                },
            },
        },
    }


def test_a_checkpoint_interval_that_the_template_sets_itself_is_left_alone() -> None:
    notes = {"progress.gpucost.dev/checkpoint-interval": "60", "karpenter.sh/do-not-disrupt": "true"}
    world = running(spec(template={**TEMPLATE, "metadata": {"annotations": notes}}))
    at(world, OPENS)
    assert world.job is not None
    assert not world.job["notes"].keys() & notes.keys()  # what a move has changed of them


def test_outside_a_pausing_schedule_the_job_does_not_run() -> None:
    world = running(spec(outside=Outside.PAUSE))
    assert world.running_on() is None
    assert (reason(world), reason(world, "Suspended")) == ("OutsideWindow", "OutsideWindow")
    assert world.status["placement"]["next"] == {"at": "2026-11-24T20:00:00Z", "placement": "Spot"}
    at(world, OPENS)
    assert world.running_on() is CapacityType.SPOT
    at(world, CLOSES)
    assert world.running_on() is None
    assert world.status["placement"]["current"] == "Paused"
    assert world.pods == {}


def test_suspend_in_the_specification_stops_and_starts_the_job() -> None:
    world = running(spec(PlacementPolicy.ON_DEMAND))
    world.user_edits(replace(world.spec, suspend=True))
    world.settle(20)
    assert (world.pods, reason(world), world.condition("Suspended")["status"]) == ({}, "Suspended", "True")
    world.user_edits(replace(world.spec, suspend=False))
    world.settle(20)
    assert world.running_on() is CapacityType.ON_DEMAND
    assert names(world) == []  # it came back where it was: no move


# --- spot that is not there -------------------------------------------------------------------------------------------


def test_a_move_that_finds_no_node_is_undone_and_not_tried_again_in_this_window() -> None:
    world = running(spec())
    world.capacity[SPOT] = False
    at(world, OPENS)
    assert reason(world) == "Waiting"
    assert world.status["waiting"]["message"] == "no spot node"
    wake = world.decide().wake_at
    assert wake is not None
    assert OPENS + 10 * MINUTE <= wake <= OPENS + 12 * MINUTE
    at(world, OPENS + 12 * MINUTE, rounds=30)
    assert world.running_on() is CapacityType.ON_DEMAND
    assert world.reverts == ["spot/2026-11-24T20:00:00Z"]
    assert "not tried again before 2026-11-25T06:00:00Z" in world.condition("Ready")["message"]
    world.capacity[SPOT] = True
    at(world, OPENS + 5 * HOUR)
    assert world.running_on() is CapacityType.ON_DEMAND
    at(world, OPENS + 24 * HOUR)
    assert world.running_on() is CapacityType.SPOT


def test_a_lost_spot_node_is_survived_on_spot_when_there_is_another() -> None:
    world = running(spec(), OPENS)
    world.lose_spot()
    world.settle(6)
    assert world.running_on() is CapacityType.SPOT
    assert names(world) == ["SpotInterrupted", "WindowOpened"]
    assert world.status["interruptions"]["count"] == 1
    assert world.decide().events == ()


def test_a_lost_spot_node_without_another_brings_the_job_back_to_on_demand() -> None:
    world = running(spec(), OPENS)
    world.capacity[SPOT] = False
    world.lose_spot()
    world.settle(6)
    assert "back to OnDemand at 2026-11-24T20:10:" in world.condition("Ready")["message"]
    at(world, OPENS + 11 * MINUTE, rounds=30)
    assert world.running_on() is CapacityType.ON_DEMAND
    assert names(world) == ["MovedToOnDemand", "SpotInterrupted", "WindowOpened"]


@pytest.mark.parametrize(
    "what", [spec(PlacementPolicy.SPOT), spec(outside=Outside.PAUSE)], ids=["policy Spot", "paused outside"]
)
def test_a_job_that_may_not_run_elsewhere_waits_for_spot_and_says_so(what: TrainingSpec) -> None:
    world = World(what, OPENS, capacity={SPOT: False, ON_DEMAND: True})
    world.settle(6)
    at(world, OPENS + HOUR)
    assert reason(world) == "Waiting"
    assert "stays on Spot: the spec names no other capacity" in world.condition("Ready")["message"]
    world.capacity[SPOT] = True
    world.settle(6)
    assert world.running_on() is CapacityType.SPOT


def test_a_policy_that_could_not_be_met_is_tried_again_after_hours() -> None:
    world = running(spec(PlacementPolicy.ON_DEMAND))
    world.capacity[SPOT] = False
    world.user_edits(spec(PlacementPolicy.SPOT))
    world.settle(20)
    at(world, BEFORE + 15 * MINUTE, rounds=30)
    assert world.running_on() is CapacityType.ON_DEMAND
    wake = world.decide().wake_at
    assert wake is not None
    world.capacity[SPOT] = True
    at(world, wake - 10 * MINUTE)
    assert world.running_on() is CapacityType.ON_DEMAND
    at(world, wake)
    assert world.running_on() is CapacityType.SPOT


def test_a_way_back_to_on_demand_that_finds_no_node_leads_to_spot_again() -> None:
    world = running(spec(), OPENS)
    at(world, CLOSES - MINUTE)
    world.capacity[ON_DEMAND] = False
    at(world, CLOSES)
    at(world, CLOSES + 12 * MINUTE, rounds=30)
    assert world.running_on() is CapacityType.SPOT
    assert len(world.reverts) == 1


def test_an_on_demand_node_lost_long_after_the_move_is_waited_for() -> None:
    world = running(spec(), OPENS)
    at(world, CLOSES)
    at(world, CLOSES + HOUR)
    world.capacity[ON_DEMAND] = False
    world.lose_on_demand()
    at(world, CLOSES + 2 * HOUR, rounds=30)
    assert (reason(world), world.reverts) == ("Waiting", [])
    at(world, CLOSES + 3 * HOUR, rounds=30)
    assert (reason(world), world.reverts) == ("Waiting", [])


def test_a_selector_that_the_user_edits_moves_the_job() -> None:
    world = running(spec(PlacementPolicy.SPOT))
    own = PlacementSpec(PlacementPolicy.SPOT, spot=PoolSelector({KARPENTER: "spot", "pool": "h100"}))
    world.user_edits(replace(world.spec, placement=own))
    world.settle(20)
    assert world.job is not None
    assert world.job["template"]["nodeSelector"] == {KARPENTER: "spot", "pool": "h100"}
    assert world.running_on() is CapacityType.SPOT
    assert world.decide().actions == ()


def test_a_job_is_not_resumed_while_a_pod_of_it_lives() -> None:
    world = running(spec())
    world.now = OPENS
    world.operate()
    world.controller()
    job = world.job_record()
    assert job is not None
    early = replace(world.state(), job=replace(job, terminating=0))
    assert world.pods
    assert plan(early, world.context()).actions == ()
