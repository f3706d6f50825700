"""Idle GPUs and the budget of one run, by answers worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.quiet import all_quiet, quiet
from gpucost.core.signals import DRAM_ACTIVE, ENGINE_ACTIVE, GPU_UTIL, POWER, SM_ACTIVE, Device
from gpucost.core.training.progress import Checkpoint, Progress, Report
from gpucost.core.training.stopping import budget as budgets
from gpucost.core.training.stopping.budget import Spending
from gpucost.core.training.stopping.finding import Finding
from gpucost.core.training.stopping.idle import Span, Times, Worker, idle
from gpucost.core.training.stopping.spec import Idle, RunBudget, Stopping
from support.curves import BEGIN, history

H100 = Device("NVIDIA H100 80GB HBM3")
SLICE = Device("NVIDIA A100-SXM4-80GB", mig=True)
SILENT = {ENGINE_ACTIVE: 0.0, GPU_UTIL: 0.0, POWER: 70.0}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({GPU_UTIL: 0.4}, False),
        ({ENGINE_ACTIVE: 0.02}, False),
        ({SM_ACTIVE: 0.5}, False),
        ({POWER: 400.0}, None),  # counters that read 0 on a board that draws power have lost their values
        ({POWER: None}, None),
        ({GPU_UTIL: None}, None),
        ({ENGINE_ACTIVE: None}, None),
    ],
)
def test_a_gpu_is_quiet_when_engine_utilisation_and_power_all_say_so(
    change: dict[str, float | None], expected: bool | None
) -> None:
    signals = {name: value for name, value in {**SILENT, **change}.items() if value is not None}
    assert quiet(signals, H100) is expected


def test_the_power_of_an_unknown_board_says_nothing() -> None:
    assert quiet(SILENT, Device("Some New GPU")) is None


def test_a_slice_has_engine_and_parts_only() -> None:
    assert quiet({ENGINE_ACTIVE: 0.0, DRAM_ACTIVE: 0.0}, SLICE) is True
    assert quiet({ENGINE_ACTIVE: 0.0, GPU_UTIL: 0.0, POWER: 60.0}, SLICE) is None
    assert quiet({ENGINE_ACTIVE: 0.5, DRAM_ACTIVE: 0.0}, SLICE) is False


def test_one_gpu_at_work_is_enough_and_one_unknown_too() -> None:
    assert all_quiet([True, None, False]) is False
    assert all_quiet([True, None]) is None
    assert all_quiet([True, True]) is True
    assert all_quiet([]) is None


# --- idle -------------------------------------------------------------------------------------------------------------

NOW = BEGIN + HOUR


def worker(*spans: tuple[int, int, bool], started: int = 0) -> Worker:
    """Spans in minutes since the beginning."""
    told = tuple(Span(BEGIN + a * MINUTE, BEGIN + b * MINUTE, quiet) for a, b, quiet in spans)
    return Worker("w", 8, BEGIN + started * MINUTE, told)


def judged(*workers: Worker, progress: Progress | None = None, since: int = 0) -> Finding:
    return idle(Idle(), workers, progress or Progress(), Times(NOW, since))


def test_quiet_for_the_whole_window_and_no_word_is_idle() -> None:
    seen = judged(worker((20, 60, True)), worker((0, 60, True)))
    assert seen.holds is True
    assert seen.evidence.startswith("16 GPUs did nothing for 30m: engine, utilisation and power low, 100 % of the time")


def test_a_moment_of_work_is_work() -> None:
    assert judged(worker((0, 58, True), (58, 59, False), (59, 60, True))).holds is False
    assert judged(worker((0, 60, True)), worker((0, 58, True), (58, 59, False))).holds is False
    assert judged(worker((0, 29, False), (29, 60, True))).holds is True


def test_what_was_not_measured_is_not_idle() -> None:
    """27 of 30 minutes are 90 %; what comes once a tick may be two minutes old."""
    assert judged(worker((33, 60, True))).holds is True
    assert judged(worker((20, 59, True))).holds is True
    assert judged(worker((20, 57, True))).holds is True
    assert judged(worker((20, 56, True))).holds is None
    seen = judged(worker((34, 60, True)))
    assert (seen.holds, seen.reason, seen.loud) == (None, "NotMeasured", True)
    assert judged(worker()).holds is None
    assert judged(worker((0, 60, True)), worker()).holds is None
    assert judged().holds is False


def test_after_a_restart_the_operator_measures_before_it_complains() -> None:
    """Half the window without figures: nothing to tell while it could not have any, and a complaint afterwards."""
    spans = worker((45, 60, True))
    for since, loud in ((45, False), (31, False), (30, True)):
        found = idle(Idle(), (spans,), Progress(), Times(NOW, 0, BEGIN + since * MINUTE))
        assert (found.holds, found.loud) == (None, loud)


def test_a_run_that_has_just_started_is_not_idle() -> None:
    assert judged(worker((0, 60, True), started=31)).holds is False
    assert judged(worker((0, 60, True), started=30)).holds is True
    assert judged(worker((0, 60, True)), since=BEGIN + 31 * MINUTE).holds is False


def test_a_run_that_tells_of_progress_is_not_idle() -> None:
    told = Progress((Report(BEGIN, 1), Report(NOW - 20 * MINUTE, 2)))
    assert judged(worker((0, 60, True)), progress=told).holds is False
    repeats = Progress((Report(BEGIN, 1), Report(NOW - 20 * MINUTE, 1)))
    assert judged(worker((0, 60, True)), progress=repeats).holds is True
    ago = [NOW - minutes * MINUTE for minutes in (50, 45, 20, 15)]
    in_turn = [Report(at, source=source, metrics={"loss": 0.5}) for at, source in zip(ago, "abab", strict=True)]
    assert judged(worker((0, 60, True)), progress=Progress(tuple(in_turn))).holds is True
    saved = Progress(checkpoints=(Checkpoint(NOW - MINUTE, 1),))
    assert judged(worker((0, 60, True)), progress=saved).holds is False
    asked_for = Progress((Report(BEGIN, 1),), (Checkpoint(NOW - MINUTE, 1),))
    assert judged(worker((0, 60, True)), progress=asked_for).holds is True
    assert judged(worker((0, 60, True)), progress=history([1.0, 0.9])).holds is True


# --- budget -----------------------------------------------------------------------------------------------------------


def spending(cost: str | None, hourly: str | None = "60", **fields: object) -> Spending:
    return Spending(
        NOW,
        None if cost is None else Decimal(cost),
        None if hourly is None else Decimal(hourly),
        **fields,  # type: ignore[arg-type]
    )


def judge(seen: Spending | None, budget: RunBudget | None = None, now: int = NOW) -> budgets.Verdict:
    """One unit of money a minute; stopping takes 5 minutes for the checkpoint, 30 s, 60 s and 5 minutes: 11.5."""
    limit = budget or RunBudget(cost=Decimal(100))
    return budgets.judge(Stopping(budget=limit), limit, seen, now)


def test_the_limit_is_looked_at_from_afar() -> None:
    assert judge(spending("79")).warn is None
    assert judge(spending("80")).warn is not None
    assert judge(spending("88")).ask is None
    assert judge(spending("88.5")).ask is not None
    assert judge(spending("93")).stop is None
    assert judge(spending("93.5")).stop is not None


def test_when_to_look_again_is_known() -> None:
    assert judge(spending("70")).next_at == NOW + 10 * MINUTE  # 80 %
    assert judge(spending("85")).next_at == NOW + 210 * SECOND  # 88.5
    assert judge(spending("90")).next_at == NOW + 210 * SECOND  # 93.5
    assert judge(spending("70", "0")).next_at is None


def test_what_was_known_a_while_ago_goes_on() -> None:
    assert judge(spending("83.5"), now=NOW + 5 * MINUTE).ask is not None
    assert judge(spending("83.4"), now=NOW + 5 * MINUTE).ask is None


def test_gpu_hours_are_a_limit_too() -> None:
    """8 GPUs use 8 GPU-hours an hour: 11.5 minutes are 1.533."""
    limit = RunBudget(gpu_hours=Decimal(100))
    held = {"gpus": Decimal(8)}
    assert judge(spending(None, None, gpu_hours=Decimal("98.4"), **held), limit).ask is None
    assert judge(spending(None, None, gpu_hours=Decimal("98.5"), **held), limit).ask is not None
    assert judge(spending(None, None, gpu_hours=Decimal("98.5"), **held), limit).unknown == ""


def test_what_has_no_price_is_not_free() -> None:
    assert "nothing is known" in judge(None).unknown
    assert "PriceBook" in judge(spending(None, None)).unknown
    partly = judge(spending("10", None, complete=False))
    assert "a part of what the run holds has no price" in partly.unknown
    assert (partly.warn, partly.ask, partly.stop) == (None, None, None)
    over = judge(spending("101", None, complete=False))  # the known part alone is over it
    assert over.unknown == ""
    assert over.stop is not None


def test_the_arithmetic_is_told() -> None:
    what = Stopping(budget=RunBudget(cost=Decimal(100)))
    seen = judge(spending("90")).ask
    assert seen is not None
    assert what.budget is not None
    assert budgets.evidence(seen, budgets.lead(what, what.budget)[0]) == (
        "spent 90.00 USD + 60.00 an hour for 11m (last checkpoint, end of the pods, one more start) = 101.50 USD, "
        "limit 100.00 USD"
    )
