"""What policy Auto does with a run, step by step: where it starts, when it moves, what it says and remembers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpucost.core.actions import PatchJob
from gpucost.core.clock import HOUR, MINUTE, SECOND, format_rfc3339, parse_rfc3339
from gpucost.core.model import CapacityType
from gpucost.core.training.auto.changeover import Changeover
from gpucost.core.training.auto.view import patience
from gpucost.core.training.plan import plan
from gpucost.core.training.runs.spec import Runs
from gpucost.core.training.spec import PlacementPolicy, PlacementSpec, Schedule, TrainingSpec
from gpucost.core.training.validate import problems
from support.auto_world import SPOT, AutoWorld
from support.training_cases import TEMPLATE, names, reason

NOW = parse_rfc3339("2026-11-24T20:00:00Z")


def world(work: int = 4, hours: float = 8, **given: Any) -> AutoWorld:
    what = TrainingSpec(
        template=TEMPLATE,
        placement=PlacementSpec(PlacementPolicy.AUTO),
        complete_by=NOW + round(hours * HOUR),
        expected_duration=given.pop("expected", work * HOUR),
    )
    return AutoWorld(what, NOW, work=work * HOUR, **given)


def notes(of: AutoWorld) -> dict[str, str]:
    assert of.job is not None
    return {key.removeprefix("gpucost.dev/"): value for key, value in of.job["annotations"].items()}


def test_a_run_with_time_to_spare_starts_on_spot_and_says_how_it_stands() -> None:
    run = world()
    run.live(HOUR)
    assert run.running_on() is CapacityType.SPOT
    assert reason(run) == "Running"
    assert reason(run, "DeadlineAtRisk") == "InTime"
    status = run.status
    assert status["placement"]["current"] == "Spot"
    assert status["deadline"]["decision"] == "KeepingSpot"
    assert status["deadline"]["workLeftFrom"] == "Reports"
    finish = parse_rfc3339(status["deadline"]["expectedFinish"])
    assert abs(finish - (NOW + 4 * HOUR)) < 15 * MINUTE
    assert status["changeover"]["samples"] == 1
    assert status["checkpointing"]["savingMeasured"] is True


def test_a_run_without_time_to_spare_never_tries_spot() -> None:
    run = world(hours=4.2)
    run.live(5 * HOUR, 2 * MINUTE)
    assert run.is_complete
    assert {stay.capacity for stay in run.stays} == {CapacityType.ON_DEMAND}
    assert reason(run, "DeadlineAtRisk") == "DeadlineMet"


def test_spot_that_does_not_come_is_given_up_for_on_demand_and_remembered() -> None:
    run = world(hours=5)
    run.capacity[SPOT] = False
    while run.running_on() is not CapacityType.ON_DEMAND and run.now < NOW + HOUR:
        run.live(5 * MINUTE)
    assert run.running_on() is CapacityType.ON_DEMAND
    known = notes(run)
    assert known["spot-refusals"] == "1"
    assert parse_rfc3339(known["spot-refused-at"]) < run.now
    assert known["move-reason"] in {"SpotScarce", "DeadlineNear"}
    assert "MovedToOnDemand" in names(run)
    assert run.status["spot"]["refusals"] == 1


def on_demand_for_want_of_spot() -> AutoWorld:
    """A run that gave up waiting while there was still time to move back."""
    run = world(24, hours=28)
    run.capacity[SPOT] = False
    while run.running_on() is not CapacityType.ON_DEMAND and run.now < NOW + 4 * HOUR:
        run.live(5 * MINUTE)
    assert run.running_on() is CapacityType.ON_DEMAND
    return run


def test_a_move_that_nobody_forces_waits_for_a_checkpoint() -> None:
    run = on_demand_for_want_of_spot()
    run.capacity[SPOT] = True
    begun = run.now
    while "suspended-by" not in notes(run) and run.now < begun + 3 * HOUR:
        run.live(30 * SECOND, 30 * SECOND)
    asked = parse_rfc3339(notes(run)["checkpoint-asked-at"])
    saved = run.progress.saved
    assert saved is not None
    assert saved.at >= asked
    assert run.now - saved.at <= 2 * MINUTE
    run.live(10 * MINUTE)
    assert run.running_on() is CapacityType.SPOT
    assert "checkpoint-asked-at" not in notes(run)
    assert run.lost <= 2 * MINUTE


def test_a_checkpoint_that_never_comes_does_not_hold_a_move_up_for_ever() -> None:
    run = on_demand_for_want_of_spot()
    run.capacity[SPOT] = True
    run.saves_every = 5 * MINUTE
    while "checkpoint-asked-at" not in notes(run) and run.now < NOW + 8 * HOUR:
        run.live(30 * SECOND)
    asked = parse_rfc3339(notes(run)["checkpoint-asked-at"])
    frozen = run.progress
    later = replace(
        run.state(), progress=replace(frozen, checkpoints=tuple(one for one in frozen.checkpoints if one.at < asked))
    )
    waiting = plan(later, replace(run.context(), now=asked + 30 * SECOND))
    assert waiting.actions == ()
    assert waiting.ask_checkpoint
    (move,) = plan(later, replace(run.context(), now=asked + 6 * MINUTE)).actions
    assert isinstance(move, PatchJob)
    assert move.patch["spec"] == {"suspend": True}


def test_a_deadline_that_has_passed_before_anything_began_is_a_mistake() -> None:
    run = world(hours=-1)
    decision = run.decide()
    assert decision.actions == ()
    (condition,) = [one for one in decision.conditions if one.type == "Invalid"]
    assert condition.message.startswith(f"spec.completeBy: {format_rfc3339(NOW - HOUR)} has passed")


def test_a_run_that_has_ended_is_no_mistake_once_its_job_is_cleaned_away() -> None:
    run = world(work=1, hours=4)
    run.live(2 * HOUR)
    assert run.is_complete
    cleaned = plan(replace(run.state(), job=None), replace(run.context(), now=NOW + 9 * HOUR))
    told = {one.type: (one.status, one.reason) for one in cleaned.conditions}
    assert told["Invalid"] == (False, "Valid")
    assert told["DeadlineAtRisk"] == (False, "DeadlineMet")
    assert told["Complete"][0] is True
    assert cleaned.actions == ()


def test_a_deadline_that_passes_while_it_runs_is_told_and_harms_nothing() -> None:
    run = world(hours=2)
    run.live(HOUR)
    assert reason(run, "DeadlineAtRisk") == "DeadlineOutOfReach"
    assert "about 2h" in run.condition("DeadlineAtRisk")["message"]
    assert "DeadlineAtRisk" in names(run)
    run.live(90 * MINUTE, 2 * MINUTE)
    assert reason(run, "DeadlineAtRisk") == "DeadlineMissed"
    assert run.running_on() is CapacityType.ON_DEMAND
    run.live(2 * HOUR, 2 * MINUTE)
    assert run.is_complete
    assert run.condition("DeadlineAtRisk")["reason"] == "DeadlineMissed"


def test_without_a_duration_the_first_reports_tell() -> None:
    run = world(expected=None)
    run.live(MINUTE)
    assert reason(run, "DeadlineAtRisk") == "WorkUnknown"
    run.live(90 * MINUTE)
    assert run.status["deadline"]["workLeftFrom"] == "Reports"
    assert reason(run, "DeadlineAtRisk") == "InTime"


@pytest.mark.parametrize("policy", [PlacementPolicy.ON_DEMAND, PlacementPolicy.SPOT])
def test_a_deadline_is_watched_under_every_policy(policy: PlacementPolicy) -> None:
    run = world(hours=3)
    run.spec = replace(run.spec, placement=PlacementSpec(policy))
    run.live(10 * MINUTE)
    assert reason(run, "DeadlineAtRisk") == "DeadlineOutOfReach"
    assert not run.moves


def test_auto_needs_a_deadline_and_a_job_without_one_says_nothing_of_it() -> None:
    bare = TrainingSpec(template=TEMPLATE, placement=PlacementSpec(PlacementPolicy.AUTO))
    assert [str(one) for one in problems(bare, name="bert")] == [
        "spec.completeBy: policy Auto needs a deadline, such as 2026-12-01T06:00:00Z"
    ]
    often = TrainingSpec(template=TEMPLATE, complete_by=NOW, schedule=Schedule(runs=Runs("0 20 * * *")))
    assert [str(one) for one in problems(often, name="bert")] == [
        "spec.completeBy: completeBy is one instant and schedule.runs makes many runs: leave one of them out"
    ]
    plain = AutoWorld(TrainingSpec(template=TEMPLATE), NOW, work=HOUR)
    plain.live(5 * MINUTE)
    assert "DeadlineAtRisk" not in {one["type"] for one in plain.status["conditions"]}
    assert "deadline" not in plain.status


def test_a_try_of_spot_is_as_patient_as_nodes_take() -> None:
    slow = Changeover(scheduling=5 * MINUTE)
    assert patience(Changeover(scheduling=20 * SECOND), HOUR) == 2 * MINUTE
    assert patience(slow, HOUR) == 15 * MINUTE
    assert patience(slow, 10 * MINUTE) == 10 * MINUTE


def test_a_suspended_run_stays_suspended_whatever_its_deadline() -> None:
    run = world()
    run.live(10 * MINUTE)
    run.user_edits(replace(run.spec, suspend=True))
    run.live(10 * MINUTE)
    assert run.pods == {}
    assert reason(run) == "Suspended"
