"""Writes docs/results/early-stopping.md: every rule on every study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from curves.replay import Result, Study, replay
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

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results" / "early-stopping.md"
STUDIES = (
    ("digits", "accuracy", Goal.MAXIMIZE, 0.97),
    ("digits", "loss", Goal.MINIMIZE, 0.12),
    ("few-digits", "loss", Goal.MINIMIZE, 0.45),
    ("tumours", "loss", Goal.MINIMIZE, 0.08),
    ("diabetes", "loss", Goal.MINIMIZE, 0.55),
)
"""Study, metric, its goal, and a target that some of the runs reach."""

_HEAD = """\
# Early stopping on recorded learning curves

Made by `python -m curves report` (`tools/curves/`). The curves are of real trainings: 160 models trained for 81
epochs with scikit-learn on the data sets that it ships, hyperparameters drawn at random over ranges in which some
runs are good, some slow, some overfit and some diverge (`python -m curves record`; `tests/data/curves/`). Each study
is replayed as a queue of its runs on 8 machines, one report an epoch, and judged by the code that the operator runs.
A run is stopped as soon as its rule holds, without the warning time.

* *saved*: part of all epochs that was not trained.
* *best lost*: how much worse the best of all runs is than without the rule, in units of the metric. It is what a
  search loses.
* *median lost*, *worst lost*: the same for each run by itself: how much better it would still have become. For the
  rules that compare runs this is meant to be large, because they stop bad runs that would have become less bad.
"""
_TAIL = """\
How to read it:

* Plateau is the rule for a run on its own. Patience 5 saves about half where most runs have converged, and loses next
  to nothing; a run that stands still for long and then learns (one of the networks on the digits) needs more patience.
* Median and successive halving are for searches: half to nine tenths of the work is saved, and the best run that is
  left is as good, or nearly, because good runs are good early. What they stop would have become better too: that is
  the large *worst lost*. Where good runs start slowly, raise `minSteps`.
* Target saves what comes after the goal; what is lost is lost by choice.
* Divergence stops what has run away, and a few runs whose metric swings far; it has the run start again first.
* LearningCurve stops what would not have reached its target; the best run is never among them.
"""


def rules(target: float) -> Iterator[tuple[str, Kind]]:
    """Every rule with the settings that the table shows."""
    yield "Plateau, patience 5", Plateau(5)
    yield "Plateau, patience 10", Plateau(10)
    yield "Plateau, patience 5, minDelta 0.002", Plateau(5, 0.002)
    yield "Median", Median()
    yield "Median, minSteps 100", Median(min_steps=100)
    yield "SuccessiveHalving, reduction 4", Halving(min_steps=10, max_steps=810)
    yield "SuccessiveHalving, reduction 3", Halving(min_steps=30, max_steps=810, reduction=3)
    yield "SuccessiveHalving, reduction 2", Halving(min_steps=50, max_steps=810, reduction=2)
    yield "Target", Target(target)
    yield "Divergence", Divergence()
    yield "LearningCurve", LearningCurve(target, max_steps=810)


def table(study: Study, metric: str, goal: Goal, target: float) -> Iterator[str]:
    """Lines of one study's table."""
    yield f"## {study.name}, {metric}: {study.title}"
    yield ""
    yield f"{len(study.runs)} runs; {goal.lower()}; target {target:g}."
    yield ""
    yield "| Rule | stopped | saved | best lost | median lost | worst lost |"
    yield "|---|---|---|---|---|---|"
    for title, kind in rules(target):
        yield line(study, title, Rule(metric, kind, goal, grace=0))
    yield ""


def line(study: Study, title: str, rule: Rule) -> str:
    """One rule on one study."""
    return f"| {title} | {_figures(replay(study, rule))} |"


def _figures(result: Result) -> str:
    regrets = result.regrets
    lost = (result.best_regret, median(regrets), max(regrets))
    return " | ".join([str(result.stopped), f"{100 * result.saved:.0f} %", *(f"{value:.3g}" for value in lost)])


def page(studies: Sequence[tuple[str, str, Goal, float]] = STUDIES) -> str:
    """The whole page."""
    lines = [_HEAD]
    for name, metric, goal, target in studies:
        lines += table(Study.read(name), metric, goal, target)
    return "\n".join([*lines, _TAIL])


def main(_: Sequence[str]) -> None:
    """Write the page."""
    PAGE.write_text(page())
    print(PAGE)
