"""Every rule of early stopping, by answers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.training.progress import Progress, Report
from gpucost.core.training.stopping.judge import Evidence, judge
from gpucost.core.training.stopping.learning_curve import forecast
from gpucost.core.training.stopping.spec import (
    DEFAULT_GROUP,
    Divergence,
    Goal,
    Halving,
    LearningCurve,
    Median,
    Plateau,
    Rule,
    Stopping,
    Target,
)
from gpucost.core.training.stopping.trials import Trial
from support.curves import BEGIN, NAN, at, history

LATER = BEGIN + 100 * HOUR


def rule(kind: Any, metric: str = "loss", **fields: Any) -> Rule:
    return Rule(metric, kind, **{"grace": 0, **fields})


def found(one: Rule, progress: Progress, others: list[Progress] | None = None, *, since: int = 0) -> Any:
    group = tuple(Trial(f"t{index}", other) for index, other in enumerate(others or []))
    seen = Evidence(progress, {DEFAULT_GROUP: group}, running_since=BEGIN)
    return judge(Stopping((one,)), seen, since=since, now=LATER)[0].finding


# --- plateau ----------------------------------------------------------------------------------------------------------


def test_a_plateau_is_patience_evaluations_without_improvement() -> None:
    values = [1.0, 0.8, 0.7, 0.71, 0.72, 0.705]
    assert found(rule(Plateau(3)), history(values)).holds is True
    assert found(rule(Plateau(4)), history(values)).holds is False
    words = found(rule(Plateau(3)), history(values)).evidence
    assert words == "loss has not improved in 3 evaluations: best 0.7 at step 300, now 0.705 at step 600"


def test_a_value_that_every_message_repeats_uses_up_no_patience_however_short_the_grace() -> None:
    """An evaluation every half an hour, told again with every step of ten seconds."""
    told = Progress(tuple(Report(BEGIN + n * 10 * SECOND, step=n, metrics={"loss": 1.0}) for n in range(120)))
    assert found(rule(Plateau(1), grace=SECOND), told).holds is True  # after ten minutes it may be another one
    assert found(rule(Plateau(2), grace=SECOND), told).holds is False


def test_a_plateau_takes_no_notice_of_improvements_that_are_too_small() -> None:
    values = [1.0, 0.999, 0.998, 0.997]
    assert found(rule(Plateau(3, 0.01)), history(values)).holds is True
    assert found(rule(Plateau(3, 0.0)), history(values)).holds is False
    slow_but_steady = [1.0, 0.995, 0.989, 0.984, 0.978]  # each second one is better by more than 0.01 than the best
    assert found(rule(Plateau(3, 0.01)), history(slow_but_steady)).holds is False


def test_an_accuracy_gets_better_upwards() -> None:
    up = rule(Plateau(2), goal=Goal.MAXIMIZE)
    assert found(up, history([0.5, 0.6, 0.7])).holds is False
    assert found(up, history([0.7, 0.6, 0.65])).holds is True
    assert "best 0.7 at step 100, now 0.65 at step 300" in found(up, history([0.7, 0.6, 0.65])).evidence


def test_what_is_not_finite_uses_up_no_patience() -> None:
    assert found(rule(Plateau(3)), history([0.7, NAN, math.inf, NAN, 0.8, 0.9])).holds is False
    assert found(rule(Plateau(2)), history([0.7, NAN, math.inf, NAN, 0.8, 0.9])).holds is True
    assert found(rule(Plateau(1)), history([NAN, NAN, NAN])).holds is False


def test_a_value_that_is_only_repeated_is_no_evaluation() -> None:
    """Messages carry the newest value of every metric: here one evaluation in ten messages, and none for an hour."""
    told = [0.9] * 10 + [0.8] * 10 + [0.7] * 10 + [0.71] * 15
    assert found(rule(Plateau(2)), history(told)).holds is False
    told += [0.72] * 10
    assert found(rule(Plateau(2)), history(told)).holds is True


def test_a_value_that_never_changes_is_evaluated_again_some_time() -> None:
    """Twice the usual time between two values, or the grace period while nothing is known of it."""
    constant = history([0.5] * 31)
    assert found(rule(Plateau(3), grace=10 * MINUTE), constant).holds is True
    assert found(rule(Plateau(4), grace=10 * MINUTE), constant).holds is False


def test_work_done_a_second_time_after_an_interruption_is_no_evidence() -> None:
    again = history([0.9, 0.8, 0.7, 0.9, 0.8, 0.75], steps=[100, 200, 300, 100, 200, 299])
    assert found(rule(Plateau(2)), again).holds is False


def test_a_resumed_run_has_its_patience_anew() -> None:
    values = history([0.7, 0.8, 0.81, 0.82, 0.83, 0.84])
    assert found(rule(Plateau(3)), values, since=at(4)).holds is False
    assert found(rule(Plateau(2)), values, since=at(4)).holds is True


# --- target -----------------------------------------------------------------------------------------------------------


def test_a_target_is_reached_by_the_newest_evaluations() -> None:
    accuracy = rule(Target(0.9), goal=Goal.MAXIMIZE)
    assert found(accuracy, history([0.7, 0.89])).holds is False
    assert found(accuracy, history([0.7, 0.9])).holds is True
    assert found(accuracy, history([0.7, 0.95, 0.85])).holds is False
    twice = rule(Target(0.9, 2), goal=Goal.MAXIMIZE)
    assert found(twice, history([0.95, 0.8, 0.91])).holds is False
    assert found(twice, history([0.8, 0.91, 0.92])).holds is True
    assert found(rule(Target(0.2)), history([0.5, NAN])).holds is False


def test_a_target_that_was_reached_before_the_run_was_resumed_has_done_its_part() -> None:
    done = history([0.95, 0.96, 0.97])
    accuracy = rule(Target(0.9), goal=Goal.MAXIMIZE)
    assert found(accuracy, done, since=at(2)).holds is False
    assert found(accuracy, history([0.8, 0.85, 0.97]), since=at(2)).holds is True


# --- divergence -------------------------------------------------------------------------------------------------------


def test_two_evaluations_that_are_not_finite_are_divergence_and_one_is_not() -> None:
    kind = rule(Divergence(), grace=2 * MINUTE)
    assert found(kind, history([0.5, 0.4, NAN])).holds is False
    assert found(kind, history([0.5, 0.4, NAN, 0.4])).holds is False
    bad = found(kind, history([0.5, 0.4, 0.3, math.inf, NAN]))
    assert (bad.holds, bad.reason, bad.bad_since) == (True, "NonFinite", at(3))
    minutes = history([0.5, 0.4, NAN, NAN])  # one evaluation, told twice
    assert found(rule(Divergence(), grace=2 * MINUTE), minutes).holds is False


def test_a_loss_six_deviations_above_the_best_has_diverged() -> None:
    """Before: 1.0, 1.1, ... 1.7. Median 1.35, deviations .05 .05 .15 .15 .25 .25 .35 .35, so MAD 0.2; 1.0 + 1.2."""
    before = [1.7, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1.0]
    assert found(rule(Divergence(3)), history([*before, 2.25, 2.3, 2.35])).holds is True
    assert found(rule(Divergence(3)), history([*before, 2.15, 2.3, 2.35])).holds is False
    assert found(rule(Divergence(3)), history([*before, 2.25, 2.3, 2.1])).holds is False
    bad = found(rule(Divergence(3)), history([*before, 2.25, 2.3, 2.35]))
    assert (bad.reason, bad.bad_since) == ("Diverged", at(8))
    assert "best 1, median absolute deviation 0.2" in bad.evidence


def test_divergence_needs_enough_values_to_know_the_noise() -> None:
    assert found(rule(Divergence(3)), history([1.0] + [9.0 + i for i in range(6)])).holds is False


def test_divergence_is_judged_from_the_restart_on() -> None:
    history_with_nan = history([0.5, 0.4, NAN, math.inf, 0.45, 0.4])
    assert found(rule(Divergence()), history([0.5, 0.4, NAN, math.inf])).holds is True
    assert found(rule(Divergence()), history_with_nan, since=at(4)).holds is False


def test_a_run_that_diverges_again_before_it_has_come_as_far_as_before_is_found_at_once() -> None:
    """Started again from step 200 of 400, it goes wrong at step 300 already."""
    again = history([0.5, 0.4, NAN, math.inf, 0.45, NAN, math.inf], steps=[100, 200, 300, 400, 200, 300, 310])
    result = found(rule(Divergence()), again, since=at(4))
    assert (result.holds, result.reason, result.bad_since) == (True, "NonFinite", at(5))


# --- median -----------------------------------------------------------------------------------------------------------


def test_the_median_rule_compares_the_best_with_the_median_of_running_means() -> None:
    """Means up to step 300: 0.4, 0.6 and 0.8; their median is 0.6."""
    others = [history([level] * 5) for level in (0.4, 0.6, 0.8)]
    assert found(rule(Median()), history([0.9, 0.7, 0.61]), others).holds is True
    assert found(rule(Median()), history([0.9, 0.6, 0.61]), others).holds is False
    words = found(rule(Median()), history([0.9, 0.7, 0.61]), others).evidence
    assert "best loss up to step 300 is 0.61, worse than 0.6, the median of the running means of 3 other runs" in words


def test_the_median_is_none_of_a_mean() -> None:
    """One run that is very bad moves a mean of the others to 30, and their median not at all."""
    others = [history([level] * 5) for level in (0.1, 0.1, 90.0)]
    assert found(rule(Median()), history([0.9, 0.8, 0.7]), others).holds is True


def test_runs_that_have_not_come_so_far_and_runs_with_nan_are_left_out() -> None:
    others = [history([0.1] * 5), history([0.1] * 5), history([0.1, 0.1])]
    seen = found(rule(Median()), history([0.9, 0.8, 0.7]), others)
    assert (seen.holds, seen.reason) == (None, "TooFewTrials")
    others[2] = history([0.1, NAN, 0.1, 0.1])
    assert found(rule(Median()), history([0.9, 0.8, 0.7]), others).holds is None


def test_running_means_do_not_depend_on_dropped_reports() -> None:
    whole = [history([1.0 - index / 100 for index in range(20)]) for _ in range(3)]
    thin = [replace(one, reports=one.reports[1::2]) for one in whole]
    own = history([0.9] * 20)
    for others in (whole, thin):
        seen = found(rule(Median()), own, others)
        assert seen.holds is False  # 0.9 against 0.905 and about 0.9
    worse = history([0.93] * 20)
    assert [found(rule(Median()), worse, others).holds for others in (whole, thin)] == [True, True]


# --- successive halving -----------------------------------------------------------------------------------------------


def test_at_a_rung_only_the_best_quarter_goes_on() -> None:
    kind = rule(Halving(min_steps=300, reduction=4))
    others = [history([1, 1, level], begin=BEGIN - HOUR) for level in (0.5, 0.6, 0.7)]
    assert found(kind, history([1, 1, 0.4]), others).holds is False
    assert found(kind, history([1, 1, 0.55]), others).holds is True
    words = found(kind, history([1, 1, 0.55]), others).evidence
    assert words == (
        "loss was 0.55 at step 300: number 2 of 4 runs at the rung of step 300, where the best 1 go on "
        "(at 0.5 or better)"
    )


def test_of_eight_runs_two_go_on() -> None:
    kind = rule(Halving(min_steps=300, reduction=4))
    others = [history([1, 1, level / 10], begin=BEGIN - HOUR) for level in range(1, 8)]
    assert found(kind, history([1, 1, 0.15]), others).holds is False
    assert found(kind, history([1, 1, 0.25]), others).holds is True


def test_whoever_comes_first_is_not_judged_by_those_who_come_later() -> None:
    kind = rule(Halving(min_steps=300, reduction=4))
    later = [history([1, 1, 0.1], begin=BEGIN + HOUR) for _ in range(5)]
    seen = found(kind, history([1, 1, 0.9]), later)
    assert (seen.holds, seen.reason) == (None, "TooFewTrials")


def test_the_next_rung_is_further_by_the_reduction_and_the_last_step_is_none() -> None:
    kind = rule(Halving(min_steps=100, max_steps=400, reduction=2))
    others = [history([0.5, 0.5, 0.5, 0.5], begin=BEGIN - HOUR) for _ in range(3)]
    assert "rung of step 100" in found(kind, history([0.9]), others).evidence
    assert "rung of step 200" in found(kind, history([0.9, 0.8, 0.7]), others).evidence
    assert "rung of step 200" in found(kind, history([0.9, 0.8, 0.7, 0.6]), others).evidence


def test_a_report_beyond_the_next_rung_says_nothing_about_this_one() -> None:
    kind = rule(Halving(min_steps=100, max_steps=300, reduction=2))
    others = [history([0.5], begin=BEGIN - HOUR, steps=[900]) for _ in range(4)]
    assert found(kind, history([0.9]), others).holds is None


def test_a_run_that_is_not_finite_at_a_rung_is_stopped_and_never_stops_another() -> None:
    kind = rule(Halving(min_steps=300, reduction=2))
    others = [history([1, 1, 0.5], begin=BEGIN - HOUR), history([1, 1, NAN], begin=BEGIN - HOUR)]
    assert found(kind, history([1, 1, NAN]), others).holds is True
    assert found(kind, history([1, 1, 0.4]), others).holds is False
    assert found(kind, history([1, 1, 0.9]), [others[1]]).holds is None


def test_a_rung_that_was_reached_before_the_run_was_resumed_is_not_judged_again() -> None:
    kind = rule(Halving(min_steps=200, reduction=2))
    others = [history([0.1] * 5, begin=BEGIN - HOUR) for _ in range(3)]
    own = history([0.9, 0.8, 0.7])
    assert found(kind, own, others).holds is True
    assert found(kind, own, others, since=at(2)).holds is False
    assert found(kind, history([0.9, 0.8, 0.7, 0.6]), others, since=at(2)).holds is True  # the rung of step 400


# --- learning curve ---------------------------------------------------------------------------------------------------


def power_law(count: int, floor: float, *, wave: float = 0.004) -> list[float]:
    """Towards `floor` as 1/sqrt(t), with a small ripple."""
    return [floor + 0.6 * t**-0.5 + wave * math.sin(5 * t) for t in range(1, count + 1)]


@pytest.mark.parametrize(("target", "stops"), [(0.15, True), (0.25, True), (0.34, False), (0.45, False)])
def test_a_power_law_says_whether_the_target_can_be_reached(target: float, stops: bool) -> None:
    """At step 10000 the curve is at 0.25 + 0.06 = 0.31."""
    kind = rule(LearningCurve(target, max_steps=10_000))
    seen = found(kind, history(power_law(40, 0.25)))
    assert seen.holds is stops
    if stops:
        assert "at step 10000" in seen.evidence


def test_a_forecast_is_near_the_truth() -> None:
    curve = [(100 * (index + 1), value) for index, value in enumerate(power_law(40, 0.25))]
    assert forecast(curve, 10_000, 0.0).expected == pytest.approx(0.31, abs=0.02)
    assert forecast(curve, 10_000, 0.0) == forecast(curve, 10_000, 0.0)


def test_a_learning_curve_needs_its_last_step() -> None:
    values = power_law(40, 0.25)
    seen = found(rule(LearningCurve(0.1)), history(values))
    assert (seen.holds, seen.reason, seen.loud) == (None, "LastStepUnknown", True)
    told = history(values)
    half = [replace(one, progress=(one.step or 0) / 10_000) for one in told.reports]
    assert found(rule(LearningCurve(0.1)), Progress(tuple(half))).holds is True


def test_a_gain_that_is_worth_its_price_goes_on() -> None:
    kind = rule(LearningCurve(0.1, max_steps=10_000, min_gain_per_cost=0.001))
    assert found(kind, history(power_law(40, 0.25))).reason == "CostUnknown"


# --- what cannot be judged --------------------------------------------------------------------------------------------


def test_a_metric_that_nobody_reports_is_told_after_the_grace_period() -> None:
    progress = history([0.5, 0.4], metric="eval_loss")
    one = rule(Plateau(), metric="eval_los", grace=10 * MINUTE)
    seen = Evidence(progress, running_since=BEGIN)
    early = judge(Stopping((one,)), seen, since=0, now=at(9))[0].finding
    late = judge(Stopping((one,)), seen, since=0, now=at(11))[0].finding
    assert (early.holds, early.loud) == (None, False)
    assert (late.holds, late.reason, late.loud) == (None, "MetricMissing", True)
    assert "did you mean eval_loss? It reports eval_loss" in late.evidence


def test_a_run_that_does_not_run_is_not_blamed_for_its_silence() -> None:
    seen = Evidence(Progress(), running_since=None)
    assert judge(Stopping((rule(Plateau()),)), seen, since=0, now=LATER)[0].finding.loud is False


def test_a_group_needs_a_label_and_steps() -> None:
    seen = Evidence(history([1, 1, 1]), {DEFAULT_GROUP: None}, running_since=BEGIN)
    assert judge(Stopping((rule(Median()),)), seen, since=0, now=LATER)[0].finding.reason == "NoGroup"
    stepless = Evidence(history([1, 1, 1], steps=[None] * 3), {DEFAULT_GROUP: ()}, running_since=BEGIN)
    assert judge(Stopping((rule(Halving()),)), stepless, since=0, now=LATER)[0].finding.reason == "NoSteps"


def test_a_value_without_a_step_belongs_to_the_step_that_the_run_was_at() -> None:
    """The run pushes its steps; its loss is the answer to a query."""
    told: list[Report] = []
    for index, loss in enumerate([0.9, 0.8, 0.7]):
        told += [Report(at(2 * index), 100 * (index + 1)), Report(at(2 * index + 1), metrics={"loss": loss})]
    others = [history([0.1] * 5) for _ in range(3)]
    seen = found(rule(Median()), Progress(tuple(told)), others)
    assert seen.holds is True
    assert "up to step 300" in seen.evidence


def test_nothing_is_judged_within_the_grace_period() -> None:
    values = history([0.7, 0.8, 0.9, 1.0])
    assert found(rule(Plateau(2), grace=10 * MINUTE), values).holds is False
    assert found(rule(Plateau(2), grace=3 * MINUTE), values).holds is True
    assert found(rule(Plateau(2), grace=3 * MINUTE), values, since=at(1)).holds is False


def test_no_reports_at_all_are_no_reason_for_anything() -> None:
    for kind in (Plateau(), Median(), Halving(), Target(), Divergence(), LearningCurve()):
        assert found(rule(kind), Progress()).holds in {None, False}
        assert found(rule(kind), Progress((Report(BEGIN),))).holds in {None, False}
