"""Replays recorded curves under a rule, with the same judgement that the operator uses.

A study is a queue of runs on a few machines: a run takes the next free machine, reports once an epoch, and is stopped
the moment the rule holds, which gives its machine to the next. What was not trained is saved. What is lost is regret:
how much worse the best value is than the one that the whole training would have reached.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from gpucost.core.clock import MINUTE, parse_rfc3339
from gpucost.core.training.curve import with_report
from gpucost.core.training.progress import Progress, Report
from gpucost.core.training.stopping.judge import Evidence, judge
from gpucost.core.training.stopping.spec import DEFAULT_GROUP, Rule, Stopping
from gpucost.core.training.stopping.trials import Trial

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "data" / "curves"
BEGIN = parse_rfc3339("2026-11-01T00:00:00Z")
STEPS_PER_EPOCH = 10


@dataclass(frozen=True)
class Study:
    """The curves of many runs of one model, by metric; a value that is not finite is NaN."""

    name: str
    title: str
    runs: Sequence[dict[str, list[float]]]

    @classmethod
    def read(cls, name: str) -> Study:
        """From its file."""
        found = json.loads((FOLDER / f"{name}.json").read_text())
        runs = [
            {m: [math.nan if v is None else v for v in c] for m, c in run["curves"].items()} for run in found["runs"]
        ]
        return cls(name, found["title"], runs)

    def first(self, count: int) -> Study:
        """The first runs only."""
        return Study(self.name, self.title, self.runs[:count])


@dataclass
class Run:
    """One run of a replay."""

    values: list[float]
    sign: int
    metric: str
    progress: Progress = field(default_factory=Progress)
    done: int = 0
    stopped: bool = False

    @property
    def is_over(self) -> bool:
        """Stopped, or trained to the end."""
        return self.stopped or self.done == len(self.values)

    @property
    def best(self) -> float:
        """Best value that it has reached; smaller is better."""
        return min((v for v in self._signed(self.done) if math.isfinite(v)), default=math.inf)

    @cached_property
    def best_of_all(self) -> float:
        """Best value of the whole training."""
        return min((v for v in self._signed(len(self.values)) if math.isfinite(v)), default=math.inf)

    def _signed(self, count: int) -> list[float]:
        return [self.sign * value for value in self.values[:count]]

    def epoch(self, minute: int) -> None:
        """Train one more epoch and report it."""
        step, value = STEPS_PER_EPOCH * (self.done + 1), self.values[self.done]
        self.done += 1
        part = self.done / len(self.values)
        report = Report(BEGIN + minute * MINUTE, step, part, metrics={self.metric: value})
        self.progress = with_report(self.progress, report)


@dataclass(frozen=True)
class Result:
    """What came of a study under a rule."""

    runs: Sequence[Run]

    @property
    def stopped(self) -> int:
        """Runs that were stopped."""
        return sum(run.stopped for run in self.runs)

    @property
    def saved(self) -> float:
        """Part of all epochs that was not trained."""
        return 1 - sum(run.done for run in self.runs) / sum(len(run.values) for run in self.runs)

    @property
    def best_regret(self) -> float:
        """How much worse the best of all runs is than it would have been."""
        return min(run.best for run in self.runs) - min(run.best_of_all for run in self.runs)

    @property
    def regrets(self) -> list[float]:
        """The same for each run by itself, of those that were any good at all."""
        return [run.best - run.best_of_all for run in self.runs if math.isfinite(run.best_of_all) and run.done]


def replay(study: Study, rule: Rule, *, machines: int = 8) -> Result:
    """All runs of a study under one rule."""
    runs = [Run(list(curves[rule.metric]), rule.sign, rule.metric) for curves in study.runs]
    waiting, minute = list(runs), 0
    busy: list[Run] = []
    while waiting or busy:
        while waiting and len(busy) < machines:
            busy.append(waiting.pop(0))
        minute += 1
        for run in busy:
            run.epoch(minute)
        for run in busy:
            run.stopped = not run.is_over and _holds(rule, run, runs, minute)
        busy = [run for run in busy if not run.is_over]
    return Result(runs)


def _holds(rule: Rule, run: Run, runs: Sequence[Run], minute: int) -> bool:
    others = tuple(Trial(str(index), one.progress) for index, one in enumerate(runs) if one is not run and one.done)
    seen = Evidence(run.progress, {DEFAULT_GROUP: others}, running_since=BEGIN)
    found = judge(Stopping((rule,)), seen, since=0, now=BEGIN + minute * MINUTE)
    return found[0].finding.holds is True
