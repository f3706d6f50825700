"""From warning to suspension to resumption, in a small model of the cluster."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gpucost.core.actions import CreateJob
from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.training import memory
from gpucost.core.training.spec import PlacementPolicy, TrainingSpec
from gpucost.core.training.stopping import restore
from gpucost.core.training.stopping import stop as stops
from gpucost.core.training.stopping.budget import Spending
from gpucost.core.training.stopping.spec import Divergence, Idle, Mode, Plateau, Rule, RunBudget, Stopping, Target
from gpucost.runtime.dryrun import lines_of as dry_run_lines
from support.training_cases import names, reason, running
from support.training_cases import spec as base
from support.training_world import World

PLATEAU = Rule("loss", Plateau(3), mode=Mode.ENFORCE, grace=MINUTE)
HOURLY = Decimal(60)


def spec(*rules: Rule, **fields: Any) -> TrainingSpec:
    return base(PlacementPolicy.ON_DEMAND, stopping=Stopping(rules, **fields))


def trained(world: World, losses: list[float], *, first: int = 0, metric: str = "loss") -> World:
    """One report and one pass a minute."""
    for index, loss in enumerate(losses):
        world.kubernetes()
        world.reports(100 * (first + index + 1), **{metric: loss})
        world.operate()
        world.now += MINUTE
    return world


def stuck(rule: Rule = PLATEAU) -> World:
    """A run whose loss has got stuck, right after the warning."""
    return trained(running(spec(rule)), [0.9, 0.8, 0.7, 0.71, 0.72, 0.73])


def wait(world: World, minutes: int) -> World:
    for _ in range(4 * minutes):
        world.kubernetes()
        world.operate()
        world.now += 15 * SECOND
    return world


def standing(world: World, name: str = "Plateau/loss") -> dict[str, Any]:
    return next(one for one in world.status["earlyStopping"]["rules"] if one["name"] == name)


def message(world: World, kind: str = "EarlyStopped") -> str:
    return str(world.condition(kind)["message"])


# --- stop -------------------------------------------------------------------------------------------------------------


def test_a_rule_warns_then_asks_for_a_checkpoint_then_suspends() -> None:
    world = stuck()
    world.spending = Spending(world.now, Decimal(30), HOURLY)
    assert (standing(world)["state"], names(world)) == ("Warned", ["ActionRecommended"])
    assert world.job is not None
    assert not world.job["suspend"]
    assert world.progress.checkpoints == ()

    wait(world, 6)

    assert world.job["suspend"]
    assert reason(world, "EarlyStopped") == "Plateau"
    assert reason(world) == "EarlyStopped"
    assert (reason(world, "Suspended"), standing(world)["state"]) == ("EarlyStopped", "Stopped")
    assert world.progress.saved is not None
    text = message(world)
    assert "loss has not improved in 3 evaluations: best 0.7 at step 300, now 0.73 at step 600" in text
    assert "saves 60.00 USD an hour" in text
    assert "checkpoint of step 600 at" in text
    assert text.endswith("resume: kubectl cost resume bert -n research")
    stop = world.status["earlyStopping"]["stop"]
    assert (stop["rule"], stop["savedHourly"], stop["checkpointStep"]) == ("Plateau/loss", "60.000000", 600)
    assert names(world) == ["ActionRecommended", "EarlyStopped"]
    before = world.writes
    wait(world, 30)
    assert (world.writes, world.placements()) == (before, set())


def test_recommend_only_says_so() -> None:
    world = wait(stuck(replace(PLATEAU, mode=Mode.RECOMMEND)), 60)
    assert world.job is not None
    assert not world.job["suspend"]
    assert reason(world, "EarlyStopped") == "Recommended"
    assert names(world) == ["ActionRecommended"]


def test_a_dry_run_prints_what_is_about_to_be_stopped() -> None:
    lines = list(dry_run_lines(stuck().decide(), []))
    assert lines[0] == "research/bert: nothing to do: Running"
    assert lines[1].startswith("    EarlyStopped False (Warned): Plateau/loss: loss has not improved in 3 evaluations")
    assert "it is suspended after 2026-11-24T" in lines[1]
    assert not [line for line in dry_run_lines(running(spec(PLATEAU)).decide(), []) if "EarlyStopped" in line]


def test_a_run_that_comes_back_within_the_warning_goes_on() -> None:
    world = trained(stuck(), [0.6], first=6)
    wait(world, 20)
    assert world.job is not None
    assert not world.job["suspend"]
    assert standing(world)["state"] == "Watching"
    assert names(world) == ["ActionRecommended", "EarlyStopSkipped"]


def test_a_run_that_has_never_saved_anything_is_not_suspended() -> None:
    world = stuck()
    world.saves = False
    wait(world, 30)
    assert world.job is not None
    assert not world.job["suspend"]
    assert (standing(world)["state"], reason(world, "EarlyStopped")) == ("Skipped", "Skipped")
    assert names(world) == ["ActionRecommended", "EarlyStopSkipped"]
    world.saves = True
    wait(world, 2)
    assert world.job["suspend"], "a checkpoint has come at last"


def test_checkpoint_optional_stops_it_all_the_same_after_a_bounded_wait() -> None:
    world = stuck(replace(PLATEAU, needs_checkpoint=False))
    world.saves = False
    wait(world, 9)
    assert world.job is not None
    assert not world.job["suspend"]
    wait(world, 3)
    assert world.job["suspend"]
    assert "no checkpoint is known of" in message(world)


def test_an_old_checkpoint_has_to_do_when_no_new_one_comes() -> None:
    world = stuck()
    world.asked = world.now
    world.kubernetes()
    world.saves = False
    wait(world, 20)
    assert world.job is not None
    assert world.job["suspend"]
    assert "checkpoint of step 600" in message(world)


def test_a_crash_between_any_two_writes_changes_nothing() -> None:
    for survive in (0, 1):
        world = stuck()
        for _ in range(200):
            world.kubernetes()
            world.operate(survive=survive if world.now % 7 else None)
            world.operate()
            world.now += 5 * SECOND
        assert world.job is not None
        assert world.job["suspend"]
        assert reason(world, "EarlyStopped") == "Plateau"


# --- resume -----------------------------------------------------------------------------------------------------------


def stopped(rule: Rule = PLATEAU) -> World:
    world = wait(stuck(rule), 8)
    assert reason(world) == "EarlyStopped"
    return world


def is_running(world: World) -> bool:
    return world.job is not None and not world.job["suspend"] and reason(world) == "Running"


def test_kubectl_cost_resume_takes_exactly_this_stop_back() -> None:
    world = stopped()
    world.annotations[stops.RESUME] = "2020-01-01T00:00:00Z"
    assert not is_running(wait(world, 2)), "that was another stop"
    world.annotations[stops.RESUME] = world.status["earlyStopping"]["stop"]["id"]
    assert is_running(wait(world, 2))
    assert reason(world, "EarlyStopped") == "Watching"
    assert "stop" not in world.status["earlyStopping"]
    assert world.job is not None
    assert stops.STOPPED not in world.job["annotations"]

    trained(world, [0.74, 0.75], first=6)
    assert is_running(wait(world, 30)), "two more are not the patience of three"
    trained(world, [0.76, 0.77], first=8)
    wait(world, 8)
    assert reason(world) == "EarlyStopped", "but on new evidence it is stopped again"
    assert world.status["earlyStopping"]["stop"]["id"] != world.annotations[stops.RESUME]


@pytest.mark.parametrize(
    "edited",
    [
        spec(replace(PLATEAU, kind=Plateau(20))),
        spec(replace(PLATEAU, mode=Mode.RECOMMEND)),
        spec(),
    ],
    ids=["more patience", "only recommend", "no rule"],
)
def test_a_user_who_edits_the_rule_wins(edited: TrainingSpec) -> None:
    world = stopped()
    world.user_edits(edited)
    assert is_running(wait(world, 2))


def test_an_edit_of_something_else_does_not_resume() -> None:
    world = stopped()
    world.user_edits(spec(PLATEAU, idle=Idle()))
    assert not is_running(wait(world, 5))
    assert reason(world) == "EarlyStopped"


def test_a_user_who_resumes_the_job_itself_wins() -> None:
    world = stopped()
    world.user_resumes()
    assert is_running(wait(world, 30))
    assert world.job is not None
    assert memory.OVERRIDDEN not in world.job["annotations"]


def test_a_stopped_run_that_its_user_suspends_is_theirs() -> None:
    world = stopped()
    suspended = replace(world.spec, suspend=True)
    world.user_edits(suspended)
    wait(world, 2)
    assert reason(world) == "Suspended"
    world.user_edits(replace(suspended, suspend=False))
    assert is_running(wait(world, 2))


def test_a_foreign_suspension_of_a_run_that_was_stopped_is_left_alone() -> None:
    world = stopped()
    world.user_resumes()
    world.user_suspends()
    wait(world, 5)
    assert reason(world) == "SuspendedByOther"
    world.annotations[stops.RESUME] = "2020-01-01T00:00:00Z"
    wait(world, 5)
    assert reason(world) == "SuspendedByOther"


def test_a_target_that_is_reached_does_not_strike_again() -> None:
    target = Rule("loss", Target(0.75), mode=Mode.ENFORCE, grace=MINUTE)
    world = stopped(target)
    assert reason(world, "EarlyStopped") == "TargetReached"
    world.annotations[stops.RESUME] = world.status["earlyStopping"]["stop"]["id"]
    wait(world, 2)
    trained(world, [0.7, 0.69, 0.68], first=6)
    assert is_running(wait(world, 30))


# --- divergence -------------------------------------------------------------------------------------------------------

DIVERGENCE = Rule("loss", Divergence(), mode=Mode.ENFORCE, grace=MINUTE, warning=MINUTE)


def diverged(world: World, *, first: int) -> World:
    trained(world, [0.9, 0.8, 0.7], first=first)
    world.asked = world.now
    trained(world, [0.6, float("nan")], first=first + 3)
    return trained(world, [float("inf")], first=first + 5)


def test_a_run_that_diverges_starts_again_once_from_its_last_good_checkpoint_and_is_then_stopped() -> None:
    world = diverged(running(spec(DIVERGENCE)), first=0)
    good = world.progress.saved
    assert good is not None
    wait(world, 3)
    assert is_running(world)
    assert world.job is not None
    assert world.job["notes"][restore.STEP_NOTE] == str(good.step) == "300"
    assert names(world) == ["ActionRecommended", "EarlyStopped"]

    diverged(world, first=3)
    wait(world, 10)
    assert reason(world) == "EarlyStopped"
    assert reason(world, "EarlyStopped") == "NonFinite"
    assert not is_running(wait(world, 30))


def test_a_run_that_diverges_before_its_first_checkpoint_is_stopped() -> None:
    world = trained(running(spec(DIVERGENCE)), [0.9, 0.8, float("nan"), float("inf"), float("nan")])
    wait(world, 3)
    assert reason(world) == "EarlyStopped"
    assert "no checkpoint is known of" in message(world)


def test_the_pods_of_a_run_that_may_start_again_are_told_by_their_environment() -> None:
    world = World(spec(DIVERGENCE), 0)
    create = next(one for one in world.decide().actions if isinstance(one, CreateJob))
    template: Any = create.manifest["spec"]
    env = {one["name"]: one for one in template["template"]["spec"]["containers"][0]["env"]}
    path = env[restore.STEP]["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == f"metadata.annotations['{restore.STEP_NOTE}']"


# --- idle -------------------------------------------------------------------------------------------------------------


def test_idle_gpus_are_told_and_then_released() -> None:
    world = running(spec(idle=Idle(mode=Mode.ENFORCE)))
    world.quiet = True
    world.reports(100, loss=0.5)
    wait(world, 31)
    assert names(world) == ["GPUIdleDetected"]
    wait(world, 10)
    assert (reason(world), reason(world, "EarlyStopped")) == ("EarlyStopped", "GPUsIdle")
    assert "8 GPUs did nothing for 30m" in message(world)
    world.annotations[stops.RESUME] = world.status["earlyStopping"]["stop"]["id"]
    wait(world, 25)
    assert is_running(world)


# --- budget -----------------------------------------------------------------------------------------------------------


def spend(world: World, minutes: int, *, start: Decimal = Decimal(0), hourly: Decimal = HOURLY) -> Decimal:
    """The clock runs and so does the bill, while pods live."""
    cost = start
    for _ in range(4 * minutes):
        burning = bool(world.pods)
        cost += hourly / 240 if burning else 0
        world.now += 15 * SECOND
        world.spending = Spending(world.now, cost, hourly if burning else Decimal(0))
        world.kubernetes()
        world.operate()
    return cost


def test_a_budget_is_never_crossed_and_a_higher_one_resumes() -> None:
    limit = RunBudget(cost=Decimal(100), mode=Mode.ENFORCE)
    world = running(spec(budget=limit))
    cost = spend(world, 180)
    assert Decimal(85) < cost <= Decimal(100)
    assert reason(world) == "BudgetExceeded"
    assert reason(world, "BudgetExceeded") == "LimitReached"
    assert "limit 100.00 USD" in message(world, "BudgetExceeded")
    assert "kubectl cost resume bert -n research --budget AMOUNT" in message(world, "BudgetExceeded")
    assert names(world) == ["BudgetExceeded", "BudgetThresholdReached"]

    world.annotations[stops.RESUME] = world.status["earlyStopping"]["stop"]["id"]
    world.user_edits(spec(budget=replace(limit, cost=Decimal(200))))
    cost = spend(world, 60, start=cost)
    assert is_running(world)
    cost = spend(world, 120, start=cost)
    assert cost <= Decimal(200)
    assert reason(world) == "BudgetExceeded"


def test_a_budget_stops_a_run_without_checkpoint_too() -> None:
    world = running(spec(budget=RunBudget(cost=Decimal(100), mode=Mode.ENFORCE)))
    world.saves = False
    assert spend(world, 180) <= Decimal(100)
    assert reason(world) == "BudgetExceeded"


def test_a_budget_that_only_recommends_says_when_it_is_crossed() -> None:
    world = running(spec(budget=RunBudget(cost=Decimal(100))))
    assert spend(world, 180) > Decimal(100)
    assert world.condition("BudgetExceeded")["status"] == "True"
    assert reason(world, "BudgetExceeded") == "LimitCrossed"
    assert names(world) == ["ActionRecommended", "BudgetExceeded", "BudgetThresholdReached"]


def test_a_user_who_resumes_the_job_itself_overrides_the_budget_until_it_is_edited() -> None:
    limit = RunBudget(cost=Decimal(100), mode=Mode.ENFORCE)
    world = running(spec(budget=limit))
    cost = spend(world, 180)
    world.user_resumes()
    cost = spend(world, 60, start=cost)
    assert is_running(world)
    assert reason(world, "BudgetExceeded") == "LimitCrossed"
    world.user_edits(spec(budget=replace(limit, warn_at_percent=70)))
    spend(world, 10, start=cost)
    assert reason(world) == "BudgetExceeded"


def test_a_cost_that_nobody_knows_stops_nothing() -> None:
    world = running(spec(budget=RunBudget(cost=Decimal(1), mode=Mode.ENFORCE)))
    assert (reason(world, "BudgetExceeded"), names(world)) == ("NotYet", [])
    world.spending = Spending(world.now, None, None, gpus=Decimal(8))
    wait(world, 60)
    assert is_running(world)
    assert world.condition("BudgetExceeded")["status"] == "Unknown"
    assert reason(world, "BudgetExceeded") == "CostUnknown"
    assert names(world) == ["EarlyStopSkipped"]


# --- what cannot be judged --------------------------------------------------------------------------------------------


def test_a_metric_that_nobody_reports_shows_in_the_condition() -> None:
    world = trained(running(spec(replace(PLATEAU, metric="eval_los"))), [0.5] * 5, metric="eval_loss")
    assert world.condition("EarlyStopped")["status"] == "Unknown"
    assert reason(world, "EarlyStopped") == "MetricMissing"
    assert "did you mean eval_loss?" in message(world)
    assert names(world) == ["EarlyStopSkipped"]
    assert is_running(world)


def test_a_specification_without_rules_has_no_such_conditions() -> None:
    world = running(base(PlacementPolicy.ON_DEMAND))
    assert {one["type"] for one in world.status["conditions"]}.isdisjoint({"EarlyStopped", "BudgetExceeded"})
    assert "earlyStopping" not in world.status


def test_the_status_of_a_run_that_goes_on_says_nothing_new_with_every_report() -> None:
    world = trained(running(spec(PLATEAU, idle=Idle(), budget=RunBudget(cost=Decimal(1000)))), [0.9, 0.8])
    world.spending = Spending(world.now, Decimal(30), HOURLY)
    wait(world, 1)
    before = {key: value for key, value in world.status.items() if key != "trainerStatus"}
    trained(world, [0.7, 0.6, 0.5], first=2)
    world.spending = Spending(world.now, Decimal(40), HOURLY)
    wait(world, 1)
    assert {key: value for key, value in world.status.items() if key != "trainerStatus"} == before


def test_a_run_in_a_queue_is_told_and_left_to_the_queue() -> None:
    world = running(spec(PLATEAU))
    real = world.job_record

    def queued() -> Any:
        found = real()
        return replace(found, queue="team") if found is not None else None

    world.job_record = queued  # type: ignore[method-assign]
    trained(world, [0.9, 0.8, 0.7, 0.71, 0.72, 0.73])
    wait(world, 20)
    assert world.job is not None
    assert not world.job["suspend"]
    assert standing(world)["state"] == "Skipped"
    assert names(world) == ["EarlyStopSkipped"]


def test_another_run_of_the_same_trainingjob_is_no_evidence() -> None:
    """Its Job was deleted after the target was reached; the new one has to reach it by itself."""
    target = Rule("loss", Target(0.75), mode=Mode.ENFORCE, grace=MINUTE)
    world = trained(running(spec(target)), [0.9, 0.8])
    trained(world, [0.7], first=2)
    world.job, world.pods = None, {}
    world.now += MINUTE
    assert is_running(wait(world, 30))


def test_an_upgrade_that_adds_a_field_takes_no_stop_for_edited() -> None:
    what = Stopping((PLATEAU,), Idle(mode=Mode.ENFORCE), RunBudget(cost=Decimal(5)))
    assert [what.digest_of(name) for name in ("Plateau/loss", "Idle", "Budget")] == DIGESTS


DIGESTS = ["d9318e1524f8", "d81510953849", "ddab4ede0376"]
"""Written into annotations of Jobs: another digest of the same specification would resume every stopped run."""
