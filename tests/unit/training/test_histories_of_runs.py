"""A run's history stays small, and keeps what rules look at."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import SECOND
from gpucost.core.training.curve import MOST_CHECKPOINTS, MOST_REPORTS, WHOLE, with_checkpoint, with_report
from gpucost.core.training.progress import Checkpoint, Progress, Report

T0 = 1_000_000 * SECOND


def history(values: list[float], name: str = "loss") -> Progress:
    progress = Progress()
    for index, value in enumerate(values):
        progress = with_report(progress, Report(T0 + 5 * SECOND * index, step=index, metrics={name: value}))
    return progress


def test_a_million_steps_fit_and_begin_and_end_are_there() -> None:
    progress = history([1 / (1 + i) for i in range(20_000)])
    steps = [report.step for report in progress.reports]
    assert len(steps) <= MOST_REPORTS
    assert steps[0] == 0
    assert steps[-WHOLE:] == list(range(20_000 - WHOLE, 20_000))
    assert steps == sorted(steps)


def test_the_best_and_the_worst_value_survive() -> None:
    values = [2.0 + math.sin(i) / 10 for i in range(5_000)]
    values[777], values[1234] = 0.5, 9.0
    kept = {report.metrics["loss"] for report in history(values).reports}
    assert {0.5, 9.0} <= kept


def test_a_run_with_many_metrics_keeps_fewer_reports() -> None:
    progress = Progress()
    for index in range(1_000):
        values = {f"m{i}": math.sin(index * i) for i in range(128)}
        progress = with_report(progress, Report(T0 + index, step=index, metrics=values))
    assert 16 <= len(progress.reports) <= 4096 // 128
    assert progress.reports[-1].step == 999


@given(st.lists(st.integers(0, 50), max_size=300))
def test_instants_never_go_back_and_nothing_that_is_new_is_lost(moves: list[int]) -> None:
    progress = Progress()
    for move in moves:
        progress = with_report(progress, Report(T0 + move, metrics={"x": math.nan if move % 7 == 0 else move}))
    instants = [report.at for report in progress.reports]
    assert instants == sorted(set(instants))
    assert len(instants) == len(moves) or len(instants) >= WHOLE


def test_checkpoints_come_in_the_order_of_their_instants_and_one_told_twice_is_one() -> None:
    progress = Progress()
    for at in (5, 3, 9, 3):
        progress = with_checkpoint(progress, Checkpoint(T0 + at, step=at))
    assert [one.step for one in progress.checkpoints] == [3, 5, 9]
    for at in range(10, 1_000):
        progress = with_checkpoint(progress, Checkpoint(T0 + at, step=at))
    assert len(progress.checkpoints) == MOST_CHECKPOINTS
    assert progress.saved is not None
    assert progress.saved.step == 999


def test_the_part_of_one_life_can_be_looked_at() -> None:
    progress = with_checkpoint(history([1.0, 2.0, 3.0]), Checkpoint(T0 + 1))
    part = progress.since(T0 + 5 * SECOND)
    assert [report.metrics["loss"] for report in part.reports] == [2.0, 3.0]
    assert part.checkpoints == ()
