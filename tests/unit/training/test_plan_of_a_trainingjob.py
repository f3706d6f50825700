"""One TrainingJob through its life, in a simulated cluster: what is done, what is told, and when to look again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpucost.core.actions import CreateJob, CreateService, Decision, PatchJob
from gpucost.core.capacity import KARPENTER, Provider
from gpucost.core.clock import HOUR, MINUTE, SECOND, format_rfc3339, parse_rfc3339
from gpucost.core.model import CapacityType, Job, JobCondition, Key, Node, Owner, Pod, Resources
from gpucost.core.training.plan import TrainingContext, TrainingState, plan
from gpucost.core.training.spec import (
    Outside,
    PlacementPolicy,
    PlacementSpec,
    PoolSelector,
    Schedule,
    TrainingSpec,
    Window,
    WorkloadRef,
)
from support.training_world import ON_DEMAND, SPOT, World

TEMPLATE = {"spec": {"containers": [{"name": "train", "image": "bert"}]}}
TYPES = ["Ready", "Suspended", "Complete", "Failed", "Migrating", "Invalid"]
BEFORE = parse_rfc3339("2026-11-24T19:00:00Z")
OPENS = parse_rfc3339("2026-11-24T20:00:00Z")
CLOSES = parse_rfc3339("2026-11-25T06:00:00Z")


def spec(policy: PlacementPolicy = PlacementPolicy.SCHEDULED, **fields: Any) -> TrainingSpec:
    outside = fields.pop("outside", Outside.ON_DEMAND)
    nights = Schedule("UTC", (Window("0 20 * * *", 10 * HOUR),), outside)
    schedule = nights if policy is PlacementPolicy.SCHEDULED else None
    return TrainingSpec(**{"template": TEMPLATE, "placement": PlacementSpec(policy), "schedule": schedule, **fields})


def running(what: TrainingSpec, now: int = BEFORE) -> World:
    world = World(what, now)
    world.settle(6)
    return world


def at(world: World, now: int, rounds: int = 20) -> World:
    world.now = now
    world.settle(rounds)
    return world


def reason(world: World, kind: str = "Ready") -> str:
    return str(world.condition(kind)["reason"])


def ready(decision: Decision) -> tuple[bool | None, str]:
    found = next(one for one in decision.conditions if one.type == "Ready")
    return found.status, found.reason


def names(world: World) -> list[str]:
    return sorted(name for name, _ in world.events)


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
        "spec": {"suspend": False, "template": {"spec": {"nodeSelector": {KARPENTER: "spot"}}}},
    }


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
    for uid in list(world.pods):
        world._remove(uid)
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


# --- pools that nobody knows ------------------------------------------------------------------------------------------


def test_without_a_known_provider_an_on_demand_job_runs_anywhere() -> None:
    (create,) = plan(World(spec(PlacementPolicy.ON_DEMAND), OPENS).state(), TrainingContext(OPENS)).actions
    assert isinstance(create, CreateJob)
    manifest: Any = create.manifest
    assert "nodeSelector" not in manifest["spec"]["template"]["spec"]
    assert manifest["spec"]["suspend"] is False


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
