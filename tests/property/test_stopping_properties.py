"""What no history of any run may make the rules of early stopping do."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.training.progress import Progress
from gpucost.core.training.spec import PlacementPolicy, TrainingSpec
from gpucost.core.training.stopping.budget import Spending
from gpucost.core.training.stopping.idle import Span, Times, Worker, idle
from gpucost.core.training.stopping.judge import Evidence, judge
from gpucost.core.training.stopping.series import Point
from gpucost.core.training.stopping.spec import (
    DEFAULT_GROUP,
    Divergence,
    Goal,
    Halving,
    Idle,
    Kind,
    LearningCurve,
    Median,
    Mode,
    Plateau,
    Rule,
    RunBudget,
    Stopping,
    Target,
)
from gpucost.core.training.stopping.stop import RESUME
from gpucost.core.training.stopping.trials import Trial, curve_of
from property.test_training_world import MOMENTS, STEPS, assert_converges, perform, specs, start
from support.curves import BEGIN, history
from support.training_cases import running
from support.training_cases import spec as base
from support.training_world import World

FINITE = st.floats(-1e6, 1e6, allow_nan=False)
ANY = st.one_of(FINITE, st.sampled_from([math.nan, math.inf, -math.inf]), st.none())
CURVES = st.lists(ANY, max_size=40)
SOUND = st.lists(FINITE, min_size=1, max_size=40)
KINDS: st.SearchStrategy[Kind] = st.one_of(
    st.builds(Plateau, st.integers(1, 8), st.sampled_from([0.0, 0.1])),
    st.builds(Median, st.just(DEFAULT_GROUP), st.integers(1, 3), st.sampled_from([1, 500])),
    st.builds(Halving, st.just(DEFAULT_GROUP), st.sampled_from([100, 300]), st.sampled_from([None, 3000])),
    st.builds(Target, FINITE, st.integers(1, 3)),
    st.builds(Divergence, st.integers(1, 4)),
    st.builds(LearningCurve, FINITE, st.just(0.0), st.sampled_from([None, 6000])),
)
RULES = st.builds(Rule, st.just("loss"), KINDS, st.sampled_from(list(Goal)), grace=st.sampled_from([0, 5 * MINUTE]))
LATER = BEGIN + 100 * HOUR


def finding(rule: Rule, progress: Progress, others: tuple[Trial, ...] = (), since: int = 0) -> Any:
    seen = Evidence(progress, {DEFAULT_GROUP: others}, running_since=BEGIN)
    return judge(Stopping((rule,)), seen, since=since, now=LATER)[0].finding


def trials(curves: list[list[float]]) -> tuple[Trial, ...]:
    return tuple(Trial(f"t{index}", history(values)) for index, values in enumerate(curves))


@settings(max_examples=200, deadline=None)
@given(RULES, CURVES, st.lists(CURVES, max_size=4), st.integers(0, 60))
def test_every_rule_has_an_answer_to_everything(
    rule: Rule, values: list[float | None], others: list[list[float | None]], since: int
) -> None:
    group = tuple(Trial(f"t{index}", history(one)) for index, one in enumerate(others))
    found = finding(rule, history(values), group, BEGIN + since * MINUTE)
    assert found == finding(rule, history(values), group, BEGIN + since * MINUTE)
    assert found.holds in {True, False, None}
    if found.holds is True:
        assert found.reason
        assert "loss" in found.evidence
    if not values:
        assert found.holds is not True


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([Median(min_trials=1), Halving(min_steps=300, reduction=2)]),
    SOUND,
    st.lists(SOUND, min_size=1, max_size=5),
    CURVES.map(lambda values: [*values, math.nan]),
)
def test_a_run_that_is_not_finite_never_stops_another(
    kind: Kind, values: list[float], others: list[list[float]], spoilt: list[float | None]
) -> None:
    rule = Rule("loss", kind, grace=0)
    without = finding(rule, history(values), trials(others))
    assert finding(rule, history(values), (*trials(others), Trial("nan", history(spoilt)))) == without


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=200), st.integers(1, 10), st.sampled_from(list(Goal)))
def test_a_run_that_gets_better_each_time_is_never_on_a_plateau_and_never_diverges(
    steps: list[float], patience: int, goal: Goal
) -> None:
    falling = [1000.0 - sum(steps[: index + 1]) for index in range(len(steps))]
    values = falling if goal is Goal.MINIMIZE else [-value for value in falling]
    for kind in (Plateau(patience), Divergence(patience)):
        assert finding(Rule("loss", kind, goal, grace=0), history(values)).holds is False


@settings(max_examples=100, deadline=None)
@given(RULES, SOUND, st.lists(SOUND, max_size=5))
def test_both_goals_are_the_same_upside_down(rule: Rule, values: list[float], others: list[list[float]]) -> None:
    other = Goal.MAXIMIZE if rule.goal is Goal.MINIMIZE else Goal.MINIMIZE
    kind = replace(rule.kind, target=-rule.kind.target) if isinstance(rule.kind, Target | LearningCurve) else rule.kind
    mirrored = replace(rule, goal=other, kind=kind)
    upside_down = trials([[-value for value in one] for one in others])
    found = finding(rule, history(values), trials(others))
    assert finding(mirrored, history([-value for value in values]), upside_down).holds == found.holds


@settings(max_examples=100, deadline=None)
@given(RULES, SOUND, st.lists(SOUND, max_size=5))
def test_nothing_from_before_a_resumption_stops_the_run_again(
    rule: Rule, values: list[float], others: list[list[float]]
) -> None:
    """Right after `kubectl cost resume`, before the run has said anything."""
    assert finding(rule, history(values), trials(others), since=LATER - MINUTE).holds is not True


@settings(max_examples=100, deadline=None)
@given(SOUND, st.lists(st.lists(FINITE, min_size=3, max_size=20), min_size=1, max_size=8))
def test_the_best_run_of_a_group_survives(values: list[float], others: list[list[float]]) -> None:
    best = [min([*values, *(value for one in others for value in one)]) - 1] * 20
    for kind in (Median(min_trials=1), Halving(min_steps=100, reduction=2), Halving(min_steps=300)):
        assert finding(Rule("loss", kind, grace=0), history(best), trials([values, *others])).holds is not True


# --- idle -------------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([True, False, None]), min_size=30, max_size=90))
def test_idle_is_never_concluded_from_what_was_not_measured(minutes: list[bool | None]) -> None:
    spans = tuple(
        Span(BEGIN + index * MINUTE, BEGIN + (index + 1) * MINUTE, value)
        for index, value in enumerate(minutes)
        if value is not None
    )
    now = BEGIN + len(minutes) * MINUTE
    found = idle(Idle(), [Worker("w", 8, BEGIN, spans)], Progress(), Times(now))
    window = minutes[-30:]
    assert (found.holds is True) == (False not in window and window.count(True) >= 27)
    assert found.holds is not True or None not in window or window.count(None) <= 3


# --- budget -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.integers(20, 150),
    st.lists(st.integers(10, 120), min_size=1, max_size=6),
    st.integers(1, 60),
    st.booleans(),
    st.integers(0, 300),
)
def test_the_limit_is_never_crossed_whatever_the_rate_as_long_as_it_is_known(
    limit: int, rates: list[int], tick: int, saves: bool, pause: int
) -> None:
    """The rate changes at times, and is seen at the next tick only; a dearer one must not double within the margin."""
    budget = RunBudget(cost=Decimal(limit), mode=Mode.ENFORCE)
    world = running(base(PlacementPolicy.ON_DEMAND, stopping=Stopping(budget=budget)))
    world.saves = saves
    cost, begun = Decimal(0), world.now
    for second in range(0, 3 * 3600, 20):
        rate = Decimal(rates[min(second // (600 + pause), len(rates) - 1)])
        burning = bool(world.pods)
        cost += rate * 20 / 3600 if burning else 0
        world.now = begun + second * SECOND
        if second % (20 * max(1, tick // 20)) == 0:
            world.spending = Spending(world.now, cost, rate if burning else Decimal(0))
        world.kubernetes()
        world.operate()
    if all(one <= 2 * other for other, one in pairwise(rates)):
        assert cost <= limit


@settings(max_examples=100, deadline=None)
@given(RULES, CURVES)
def test_reports_without_steps_are_judged_or_told(rule: Rule, values: list[float | None]) -> None:
    stepless = Progress(tuple(replace(one, step=None) for one in history(values).reports))
    found = finding(rule, stepless)
    if isinstance(rule.kind, Median | Halving) and any("loss" in one.metrics for one in stepless.reports):
        assert (found.holds, found.reason) == (None, "NoSteps")


# --- the whole plan ---------------------------------------------------------------------------------------------------

STOPPED = Stopping(
    (
        Rule("loss", Plateau(2), mode=Mode.ENFORCE, grace=0, warning=30 * SECOND),
        Rule(
            "accuracy", Target(0.9), Goal.MAXIMIZE, Mode.ENFORCE, grace=0, warning=30 * SECOND, needs_checkpoint=False
        ),
        Rule("loss", Divergence(2), mode=Mode.ENFORCE, grace=0, warning=30 * SECOND),
    ),
    budget=RunBudget(cost=Decimal(50), mode=Mode.ENFORCE),
)
MORE = st.one_of(
    STEPS,
    st.tuples(st.just("reports"), st.sampled_from([0, 1, 2, 3])),
    st.tuples(st.just("spends"), st.sampled_from([10, 45, 60])),
    st.just(("takes back", 0)),
    st.just(("raises", 0)),
)


def live(world: World, step: tuple[str, int], index: int) -> None:
    name, number = step
    if name == "reports":
        said = ({"loss": 1 / (1 + index)}, {"loss": 9.0}, {"accuracy": 0.95}, {"loss": math.nan})
        world.reports(100 * (index + 1), **said[number])
    elif name == "spends":
        world.spending = Spending(world.now, Decimal(number), Decimal(6))
    elif name == "takes back":
        stop = (world.status.get("earlyStopping") or {}).get("stop") or {}
        world.annotations[RESUME] = stop.get("id", "")
    elif name == "raises":
        stopping = replace(STOPPED, budget=RunBudget(cost=Decimal(500), mode=Mode.ENFORCE))
        world.user_edits(replace(world.spec, stopping=stopping))
    else:
        perform(world, step)


@settings(max_examples=150, deadline=None)
@given(specs(), MOMENTS, st.lists(MORE, max_size=40))
def test_no_history_makes_a_plan_that_stops_runs_misbehave_and_the_user_always_gets_it_going(
    spec: TrainingSpec, now: int, history_of_steps: list[tuple[str, int]]
) -> None:
    """A write that Kubernetes refuses, or the undoing of somebody else's suspension, raises in the model."""
    world = start(replace(spec, stopping=STOPPED), now)
    for index, step in enumerate(history_of_steps):
        live(world, step, index)
        assert len(world.placements()) <= 1
        assert world.decide() == world.decide()
    world.user_edits(replace(world.spec, stopping=Stopping(), suspend=False))
    assert_converges(world)
    assert not any(one["type"] == "EarlyStopped" and one["status"] == "True" for one in world.status["conditions"])


@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(-100, 100)), min_size=1, max_size=20),
    st.integers(0, 600),
)
def test_a_running_mean_is_that_of_all_values_up_to_a_step_each_for_its_steps(
    jumps: list[tuple[int, float]], asked: int
) -> None:
    told, step = [], 0
    for jump, value in jumps:
        step += jump
        told.append(Point(step, step, value))
    curve = curve_of(told)
    part = [point for point in told if (point.step or 0) <= asked]
    found = curve.mean_at(asked)
    if not part or asked > step:
        assert found is None
    else:
        each = [
            value
            for before, point in zip([0, *(one.step or 0 for one in part)], part, strict=False)
            for value in [point.value] * max(1, (point.step or 0) - before)
        ]
        assert found == pytest.approx(sum(each) / len(each), abs=1e-9)
    assert curve.first_from(asked) == next((point for point in told if (point.step or 0) >= asked), None)
