"""Every rule on curves of real trainings: what it may lose, and what it has to save (docs/results/early-stopping.md).

The limits are those of the recorded curves with some room; a change of a rule that loses more, or saves less, shows.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from curves.replay import FOLDER, Result, Study, replay
from curves.report import PAGE, STUDIES, line, rules
from gpucost.core.training.stopping.spec import (
    Divergence,
    Goal,
    Halving,
    Kind,
    LearningCurve,
    Median,
    Plateau,
    Rule,
    Target,
)

CASES: list[tuple[Kind, str, str, int, float, float]] = [
    (Plateau(5), "tumours", "loss", 32, 0.15, 0.002),
    (Plateau(10), "few-digits", "loss", 32, 0.15, 0.02),
    (Median(), "tumours", "loss", 16, 0.5, 0.001),
    (Median(min_steps=100), "few-digits", "loss", 16, 0.5, 0.001),
    (Halving(min_steps=30, max_steps=810, reduction=3), "digits", "loss", 40, 0.8, 0.02),
    (Halving(min_steps=50, max_steps=810, reduction=2), "tumours", "loss", 32, 0.7, 0.005),
    (Divergence(), "diabetes", "loss", 32, 0.2, 0.0),
    (LearningCurve(0.08, max_steps=810), "tumours", "loss", 16, 0.4, 0.0),
]


def result(kind: Kind, name: str, metric: str, count: int) -> Result:
    goal = Goal.MAXIMIZE if metric == "accuracy" else Goal.MINIMIZE
    return replay(Study.read(name).first(count), Rule(metric, kind, goal, grace=0))


@pytest.mark.parametrize(("kind", "name", "metric", "count", "saves", "loses"), CASES)
def test_a_rule_saves_and_what_it_loses_is_bounded(
    kind: Kind, name: str, metric: str, count: int, saves: float, loses: float
) -> None:
    found = result(kind, name, metric, count)
    assert found.saved >= saves
    assert found.best_regret <= loses


def test_a_plateau_costs_a_run_on_its_own_little() -> None:
    lost = sorted(result(Plateau(10), "tumours", "loss", 32).regrets)
    assert lost[len(lost) // 2] == 0
    assert lost[-1] < 0.01


def test_a_target_is_reached_by_whoever_is_stopped_for_it() -> None:
    found = result(Target(0.97), "digits", "accuracy", 40)
    stopped = [run for run in found.runs if run.stopped]
    assert stopped
    assert all(-run.best >= 0.97 for run in stopped)
    assert all(-run.best_of_all < 0.97 for run in found.runs if not run.stopped and run.values[-1] < 0.97)


def test_what_a_learning_curve_stops_would_have_missed_its_target() -> None:
    for name, target in (("tumours", 0.08), ("few-digits", 0.45)):
        found = result(LearningCurve(target, max_steps=810), name, "loss", 16)
        assert sum(run.stopped for run in found.runs) > 5
        assert not [run for run in found.runs if run.stopped and run.best_of_all <= target]


def test_divergence_stops_nothing_that_would_have_become_better_again() -> None:
    found = result(Divergence(), "diabetes", "loss", 32)
    assert found.stopped > 5
    assert all(run.best == run.best_of_all for run in found.runs), "no run that was stopped became better again"
    assert result(Divergence(), "tumours", "loss", 32).stopped == 0


def test_the_page_is_what_the_command_writes() -> None:
    """Some lines of it; the whole takes a minute (`python -m curves report`)."""
    name, metric, goal, target = STUDIES[3]
    lines = Path(PAGE).read_text().splitlines()
    for title, kind in rules(target):
        if isinstance(kind, Plateau | Target | Divergence):
            assert line(Study.read(name), title, Rule(metric, kind, goal, grace=0)) in lines


def test_the_recorded_curves_are_whole() -> None:
    for file in FOLDER.glob("*.json"):
        for curves in Study.read(file.stem).runs:
            assert all(len(values) == 81 for values in curves.values())
            assert all(math.isfinite(value) or math.isnan(value) for values in curves.values() for value in values)
