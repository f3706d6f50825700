"""A run in a queue of Kueue: its Job is never suspended or resumed, its Workload is taken out and put back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpucost.core.actions import CreateJob, Decision, PatchJob
from gpucost.core.capacity import KARPENTER, Provider
from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.model import Job, JobCondition, Owner
from gpucost.core.notices import Notice, Why
from gpucost.core.training import memory
from gpucost.core.training.case import Case
from gpucost.core.training.plan import TrainingContext, TrainingState, plan
from gpucost.core.training.queueing import Entry
from gpucost.core.training.spec import Outside, PlacementPolicy, TrainingSpec
from gpucost.core.training.stopping.spec import Mode, Plateau, Rule, Stopping
from gpucost.core.training.stopping.stop import RESUME, STOPPED
from gpucost.sources.queues import entry_record
from support.queue_world import QueuedWorld
from support.training_cases import BEFORE, OPENS, TEMPLATE, ready, spec
from support.training_world import World

LABELS = {"kueue.x-k8s.io/queue-name": "gpus"}
JOB = Job("j1", "bert", "research", 0, "5", owner=Owner("TrainingJob", "bert", "tj-1"), suspend=True, queue="gpus")
ENTRY = Entry("w1", "job-bert-1", "research", "9", "kueue.x-k8s.io/v1beta2", "j1")
ALWAYS = spec(PlacementPolicy.ON_DEMAND)
NIGHTS = spec(outside=Outside.PAUSE)


def decide(
    what: TrainingSpec, entry: Entry | None = ENTRY, now: int = BEFORE, job: Job | None = JOB, **fields: Any
) -> Decision:
    state: TrainingState = replace(World(what, now).state(), job=job, entry=entry, **fields)
    return plan(state, TrainingContext(now, Provider.KARPENTER))


def patch(decision: Decision) -> PatchJob:
    (action,) = decision.actions
    assert isinstance(action, PatchJob)
    assert (action.kind, action.uid, action.resource_version) == ("Workload", "w1", "9")
    return action


def after(decision: Decision, entry: Entry = ENTRY, manager: str = "gpucost") -> Entry:
    """The Workload once a patch is applied."""
    change: Any = patch(decision).patch
    notes = {**entry.annotations, **change["metadata"]["annotations"]}
    active = change.get("spec", {}).get("active", entry.active)
    kept = {key: value for key, value in notes.items() if value is not None}
    return replace(entry, annotations=kept, active=active, active_manager=manager)


def condition(kind: str, status: bool, reason: str = "", message: str = "") -> JobCondition:
    return JobCondition(kind, status, reason, message)


# --- taking out and putting back --------------------------------------------------------------------------------------


def test_pausing_takes_it_out_of_the_queue_and_going_on_puts_it_back() -> None:
    paused = replace(ALWAYS, suspend=True)
    first = decide(paused)
    assert patch(first).patch["spec"] == {"active": False}
    out = after(first)
    second = decide(paused, out)
    assert (second.actions, ready(second)) == ((), (True, "Suspended"))
    back = decide(ALWAYS, out)
    assert patch(back).patch["spec"] == {"active": True}
    assert after(back, out).annotations == {}


def test_outside_every_window_it_is_out_of_the_queue() -> None:
    out = after(decide(NIGHTS))
    assert ready(decide(NIGHTS, out)) == (True, "OutsideWindow")
    assert patch(decide(NIGHTS, out, OPENS)).patch["spec"] == {"active": True}


def test_what_somebody_else_took_out_stays_out_and_the_way_back_is_told() -> None:
    evicted = condition("Evicted", True, "DeactivatedDueToMaximumExecutionTimeExceeded", "too long")
    theirs = replace(ENTRY, active=False, active_manager="kueue", conditions=(evicted,))
    decision = decide(ALWAYS, theirs)
    assert (decision.actions, ready(decision)) == ((), (False, "Deactivated"))
    words = next(c.message for c in decision.conditions if c.type == "Ready")
    assert "MaximumExecutionTimeExceeded" in words
    assert "kubectl patch workload job-bert-1" in words


def test_taken_out_again_by_somebody_else_it_is_theirs() -> None:
    out = replace(after(decide(replace(ALWAYS, suspend=True))), active_manager="kubectl")
    assert decide(ALWAYS, out).actions == ()


def test_put_back_by_somebody_else_it_stays_until_the_specification_changes() -> None:
    out = after(decide(NIGHTS))
    put_back = replace(out, active=True, active_manager="kubectl")
    noted = after(decide(NIGHTS, put_back), put_back)
    assert (noted.active, memory.SUSPENDED_BY in noted.annotations) == (True, False)
    assert decide(NIGHTS, noted).actions == ()
    later = decide(replace(NIGHTS, suspend=True), noted)
    assert patch(later).patch["spec"] == {"active": False}


def test_a_workload_that_has_finished_is_left_alone() -> None:
    done = replace(ENTRY, conditions=(condition("Finished", True),))
    assert decide(replace(ALWAYS, suspend=True), done).actions == ()


def test_without_a_workload_nothing_is_done_and_the_job_is_never_touched() -> None:
    for suspended in (True, False):
        decision = decide(replace(ALWAYS, suspend=True), None, job=replace(JOB, suspend=suspended))
        assert decision.actions == ()


@pytest.mark.parametrize("what", [ALWAYS, NIGHTS, replace(ALWAYS, suspend=True), spec(PlacementPolicy.SPOT)])
@pytest.mark.parametrize("suspended", [True, False])
@pytest.mark.parametrize("now", [BEFORE, OPENS])
def test_no_action_ever_names_the_job(what: TrainingSpec, suspended: bool, now: int) -> None:
    for entry in (None, ENTRY, replace(ENTRY, active=False)):
        decision = decide(what, entry, now, replace(JOB, suspend=suspended))
        assert all(isinstance(action, PatchJob) and action.kind == "Workload" for action in decision.actions)


# --- making -----------------------------------------------------------------------------------------------------------


def test_a_paused_run_is_not_put_into_the_queue_at_all() -> None:
    decision = decide(replace(ALWAYS, suspend=True), None, job=None, labels=LABELS)
    assert (decision.actions, ready(decision)) == ((), (True, "Suspended"))
    (made,) = decide(ALWAYS, None, job=None, labels=LABELS).actions
    assert isinstance(made, CreateJob)


def test_a_queue_named_on_the_pods_is_named_on_the_job() -> None:
    template = {**TEMPLATE, "metadata": {"labels": {**LABELS, "app": "bert"}}}
    (made,) = decide(replace(ALWAYS, template=template), None, job=None).actions
    assert isinstance(made, CreateJob)
    manifest: Any = made.manifest
    assert manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert manifest["spec"]["suspend"] is True
    assert "nodeSelector" not in manifest["spec"]["template"]["spec"], "the ResourceFlavor chooses"


# --- telling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "flavors", "expected"),
    [
        ((), (), ("Queued", "waits in queue gpus (Kueue)")),
        (
            (condition("QuotaReserved", False, "Pending", "couldn't assign flavors: insufficient quota"),),
            (),
            ("Queued", "waits in queue gpus (Kueue): couldn't assign flavors: insufficient quota"),
        ),
        (
            (condition("Evicted", True, "Preempted", "Preempted to accommodate a workload"),),
            (),
            ("Queued", "waits in queue gpus (Kueue): Preempted to accommodate a workload"),
        ),
        (
            (condition("QuotaReserved", True),),
            ("spot",),
            ("Queued", "queue gpus (Kueue) has reserved quota for it with spot; admission checks are under way"),
        ),
        ((condition("Admitted", True),), ("spot",), ("Starting", "queue gpus (Kueue) has admitted it with spot")),
    ],
)
def test_why_it_waits_is_told_in_the_words_of_its_queue(
    conditions: tuple[JobCondition, ...], flavors: tuple[str, ...], expected: tuple[str, str]
) -> None:
    entry = replace(ENTRY, conditions=conditions, flavors=flavors)
    found = next(c for c in decide(ALWAYS, entry).conditions if c.type == "Ready")
    assert (found.reason, found.message) == expected


def test_a_run_that_the_queue_has_put_elsewhere_says_who_chose() -> None:
    entry = replace(ENTRY, flavors=("cheap",))
    there = replace(JOB, suspend=False, active=1, ready=1, node_selector={KARPENTER: "spot"})
    found = next(c for c in decide(ALWAYS, entry, job=there).conditions if c.type == "Ready")
    assert (found.status, found.reason) == (True, "Running")
    assert found.message == "queue gpus chose where it runs (cheap); spec.placement is not followed"


def test_a_run_that_should_not_run_says_who_keeps_it_running() -> None:
    paused, runs = replace(ALWAYS, suspend=True), replace(JOB, suspend=False, active=1, ready=1)
    assert ready(decide(paused, None, job=runs)) == (False, "NotStopped")
    assert ready(decide(paused, None, job=replace(runs, queue=None, managed_by="else.where/x"))) == (
        False,
        "NotStopped",
    )
    assert ready(decide(paused, ENTRY, job=runs)) == (False, "Stopping")
    wish = Case(World(paused, BEFORE).state(), TrainingContext(BEFORE), paused).wish.key
    put_back = replace(ENTRY, annotations={memory.OVERRIDDEN: wish})
    assert ready(decide(paused, put_back, job=runs)) == (False, "Overridden")


def test_a_workload_is_read_with_what_decisions_need() -> None:
    body = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "metadata": {
            "uid": "w1",
            "name": "job-bert-1",
            "namespace": "research",
            "resourceVersion": "9",
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": "bert", "uid": "j1", "controller": True}
            ],
            "managedFields": [
                {"manager": "gpucost", "time": "2026-11-24T18:00:00Z", "fieldsV1": {"f:spec": {"f:active": {}}}}
            ],
        },
        "spec": {"active": False},
        "status": {
            "conditions": [{"type": "QuotaReserved", "status": "True"}],
            "admission": {
                "clusterQueue": "team",
                "podSetAssignments": [
                    {"flavors": {"cpu": "dear", "nvidia.com/gpu": "cheap"}},
                    {"flavors": {"cpu": "dear"}},
                ],
            },
        },
    }
    record = entry_record(body)
    assert (record.owner_uid, record.active, record.active_manager) == ("j1", False, "gpucost")
    assert (record.cluster_queue, record.flavors, record.is_("QuotaReserved")) == ("team", ("dear", "cheap"), True)
    assert entry_record({**body, "spec": {}, "status": {}}).active is True


# --- stopping early ---------------------------------------------------------------------------------------------------

PLATEAU = Rule("loss", Plateau(3), mode=Mode.ENFORCE, grace=MINUTE)


def stuck() -> QueuedWorld:
    """A queued run whose loss has got stuck."""
    world = QueuedWorld(spec(PlacementPolicy.ON_DEMAND, stopping=Stopping((PLATEAU,))), BEFORE)
    world.settle(6)
    for index, loss in enumerate([0.9, 0.8, 0.7, 0.71, 0.72, 0.73]):
        world.kubernetes()
        world.reports(100 * (index + 1), loss=loss)
        world.operate()
        world.now += MINUTE
    world.settle(60, 15 * SECOND)
    return world


def test_a_rule_that_holds_takes_the_run_out_of_its_queue_and_one_command_puts_it_back() -> None:
    world = stuck()
    assert world.entry is not None
    assert (world.entry["active"], world.pods) == (False, {})
    assert world.condition("Ready")["reason"] == "EarlyStopped"
    assert world.condition("Suspended")["reason"] == "EarlyStopped"
    assert "resume: kubectl cost resume bert -n research" in world.condition("Ready")["message"]
    world.annotations = {RESUME: world.status["earlyStopping"]["stop"]["id"]}
    world.settle(10)
    assert world.entry["active"] is True
    assert STOPPED not in world.entry["annotations"]
    assert world.condition("Ready")["reason"] == "Running"


def test_a_stopped_run_that_somebody_activates_goes_on() -> None:
    world = stuck()
    world.user_resumes()
    world.settle(10)
    assert world.condition("Ready")["reason"] == "Running"
    assert world.entry is not None
    assert STOPPED not in world.entry["annotations"]


@pytest.mark.parametrize("policy", [PlacementPolicy.ON_DEMAND, PlacementPolicy.AUTO])
def test_a_queued_run_whose_node_goes_is_asked_for_a_checkpoint_and_nothing_is_written(policy: PlacementPolicy) -> None:
    deadline = {"complete_by": BEFORE + 8 * HOUR, "expected_duration": HOUR} if policy is PlacementPolicy.AUTO else {}
    world = QueuedWorld(replace(spec(policy), **deadline), BEFORE)  # type: ignore[arg-type]
    world.settle(8)
    assert world.running_on() is not None
    assert not world.decide().ask_checkpoint
    notice = Notice(Why.SPOT, "condition Ready", world.now)
    world.nodes = {name: replace(node, notice=notice) for name, node in world.nodes.items()}
    decision = world.decide()
    assert (decision.ask_checkpoint, decision.actions) == (True, ())
