"""`kubectl cost report run`, `savings` and `simulate` against the real cost API over a ledger (`support.run_world`)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from syrupy.assertion import SnapshotAssertion

from gpucost.core.clock import format_rfc3339
from gpucost.core.model import CapacityType, Key
from gpucost.core.money import PICO
from gpucost.core.training.auto.stays import Cause, Stay
from gpucost.core.training.avoided import avoided
from gpucost.core.training.progress import Progress
from gpucost.core.training.runs.run import NOTHING_NEW, REUSED, Saving
from gpucost.runtime.world import custom_record
from gpucost.web.schema_runs import RunReport, RunSimulation, SavingList
from support.ledger_world import at, span
from support.run_world import STATUS, RunWorld, trainingjob
from unit.cli.conftest import serving

Run = Callable[..., Result]
WINDOW = f"{format_rfc3339(at(0))},{format_rfc3339(at(12))}"


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[RunWorld]:
    found = RunWorld.of(tmp_path)
    yield found
    found.ledger.ledger.close()


@pytest.fixture
def ask_runs(kubectl_cost: Run, runs: RunWorld) -> Iterator[Run]:
    with serving(runs.ledger, runs.insights) as url:
        yield lambda *arguments: kubectl_cost(*arguments, GPUCOST_API_URL=url)


def document(run: Run, *arguments: str) -> Any:
    return json.loads(run(*arguments, "-o", "json").stdout)


# --- report run -------------------------------------------------------------------------------------------------------


def test_a_report_as_people_see_it(ask_runs: Run, snapshot: SnapshotAssertion) -> None:
    result = ask_runs("report", "run", "bert", "-n", "research")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert result.stdout == snapshot


def test_a_report_adds_up_to_what_is_booked(ask_runs: Run) -> None:
    found = document(ask_runs, "report", "run", "bert", "-n", "research")
    RunReport.model_validate(found, extra="forbid")
    total = found["total"]
    amounts = {name: total[name] for name in ("cost", "spot", "onDemand", "saved", "allOnDemand", "gpuHours")}
    assert amounts == {
        "cost": "383.720000",
        "spot": "81.000000",
        "onDemand": "302.720000",
        "saved": "125.400000",
        "allOnDemand": "509.120000",
        "gpuHours": "74.000000",  # 9.25 h x 8
    }
    assert sum(Decimal(one["cost"]) for one in found["placements"]) == Decimal(total["cost"])


def test_cost_per_step_and_per_improvement(ask_runs: Run) -> None:
    """From the first report at 0.5 h (27.52 paid) to the last at 10 h: 356.20 for 7,000 steps.

    The loss fell from 4.0 to 2.1 between 0.5 and 7 h, for 3.5 x 55.04 + 2.75 x 21.60 = 252.04; after that 104.16
    bought nothing.
    """
    found = document(ask_runs, "report", "run", "bert", "-n", "research")
    progress = found["progress"]
    assert (progress["costPerStep"], progress["costBeforeFirst"]) == ("0.050886", "27.520000")
    loss, rate = found["metrics"]
    assert (loss["name"], loss["better"], loss["first"], loss["best"], loss["last"]) == (
        "eval_loss",
        "lower",
        4.0,
        2.1,
        2.2,
    )
    assert loss["costPerImprovement"] == "132.652632"  # 252.04 / 1.9
    assert loss["costSinceBest"] == "104.160000"
    assert (rate["name"], rate["better"], rate["costPerImprovement"]) == ("lr", None, None)


def test_waste_by_cause_and_the_history_of_places(ask_runs: Run) -> None:
    found = document(ask_runs, "report", "run", "bert", "-n", "research")
    waste = {one["cause"]: (one["cost"], one["count"]) for one in found["waste"]}
    assert waste["spot"] == ("32.400000", 1)
    assert waste["idle"] == ("118.180000", None)  # half of 220.16 and a tenth of 81.00
    places = [(one["capacityType"], one["nodes"], one["cost"], one["gpus"]) for one in found["placements"]]
    assert places == [
        ("onDemand", ["gpu-1"], "220.160000", 8),
        ("spot", ["spot-1"], "81.000000", 8),
        ("onDemand", ["gpu-3"], "82.560000", 8),
    ]
    assert found["checkpoints"] == {
        "count": 2,
        "last": format_rfc3339(at(6.5)),
        "meanIntervalSeconds": 9000.0,
        "meanDurationSeconds": 60.0,
    }
    assert found["interruptions"] == 1
    assert found["estimate"]["cost"] == "400.00"


def test_waste_is_what_the_operator_has_booked_by_cause(ask_runs: Run, runs: RunWorld) -> None:
    """Two moves of 3 and 4, a crash that has no price, a try of spot that found none, and a loss without lost work."""
    runs.insights.stays_of = lambda _uid: (
        Stay(at(0), CapacityType.ON_DEMAND, ended=at(1), cause=Cause.MOVE, lost_since=at(0.9), lost_cost=3 * PICO),
        Stay(at(1), CapacityType.SPOT, ended=at(2), cause=Cause.UNAVAILABLE),
        Stay(at(2), CapacityType.SPOT, ended=at(3), cause=Cause.SPOT),
        Stay(at(3), CapacityType.ON_DEMAND, ended=at(4), cause=Cause.MOVE, lost_since=at(3.9), lost_cost=4 * PICO),
        Stay(at(4), CapacityType.ON_DEMAND, ended=at(5), cause=Cause.CRASH, lost_since=at(4.5)),
    )
    found = document(ask_runs, "report", "run", "bert", "-n", "research")["waste"]
    assert {one["cause"]: (one["cost"], one["count"]) for one in found} == {
        "idle": ("118.180000", None),
        "move": ("7.000000", 2),
        "crash": (None, 1),
    }
    assert "unpriced" in ask_runs("report", "run", "bert", "-n", "research").stdout


def test_a_run_that_says_nothing_has_no_cost_per_step(ask_runs: Run, runs: RunWorld) -> None:
    runs.insights.progress_of = lambda _key: Progress()
    found = document(ask_runs, "report", "run", "bert", "-n", "research")
    assert found["progress"] is None
    assert found["metrics"] == []
    assert "has reported nothing" in ask_runs("report", "run", "bert", "-n", "research").stdout


def test_a_run_that_is_gone_still_has_its_costs(ask_runs: Run, runs: RunWorld) -> None:
    runs.world.trainingjobs.clear()
    found = document(ask_runs, "report", "run", "bert", "-n", "research")
    assert (found["state"], found["total"]["cost"], found["progress"]) == ("Gone", "383.720000", None)


@pytest.mark.parametrize(
    ("name", "words"),
    [("new", "has not held anything yet"), ("nobody", "is not known in namespace research")],
)
def test_runs_without_a_cost(ask_runs: Run, name: str, words: str) -> None:
    result = ask_runs("report", "run", name, "-n", "research")
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_report_without_a_namespace_asks_for_one(ask_runs: Run) -> None:
    result = ask_runs("report", "run", "bert")
    assert result.exit_code == 2
    assert "-n NAMESPACE" in result.stderr


@pytest.mark.parametrize("name", ["tj/bert", "TrainingJob/bert", "trainingjobs/bert"])
def test_a_kind_may_stand_before_the_name(ask_runs: Run, name: str) -> None:
    assert document(ask_runs, "report", "run", name, "-n", "research")["metadata"]["name"] == "bert"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report", "run", "deploy/chat"), "is no TrainingJob"),
        (("report", "run", "bert", "--rate", "day"), "--rate has no meaning here"),
        (("savings", "-l", "team=nlp"), "-l has no meaning here"),
        (("simulate", "tj/"), "is no TrainingJob"),
    ],
)
def test_what_means_nothing_is_refused(ask_runs: Run, arguments: tuple[str, ...], words: str) -> None:
    result = ask_runs(*arguments, "-n", "research")
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize("command", [("report", "run", "bert", "-n", "research"), ("savings", "--window", WINDOW)])
def test_other_formats_say_the_same(ask_runs: Run, command: tuple[str, ...]) -> None:
    found = document(ask_runs, *command)
    assert yaml.safe_load(ask_runs(*command, "-o", "yaml").stdout) == found
    rows = list(csv.DictReader(io.StringIO(ask_runs(*command, "-o", "csv").stdout)))
    assert rows
    assert ask_runs(*command, "-o", "markdown").stdout.count("|") > 10
    assert ask_runs(*command, "-o", "wide").exit_code == 0


# --- savings ----------------------------------------------------------------------------------------------------------


def test_savings_by_namespace_and_policy(ask_runs: Run) -> None:
    found = document(ask_runs, "savings", "--window", WINDOW)
    SavingList.model_validate(found, extra="forbid")
    (one,) = found["items"]
    assert (one["namespace"], one["policy"], one["workloads"]) == ("research", "placement Spot", 1)
    assert (one["cost"], one["otherwise"], one["saved"]) == ("81.000000", "206.400000", "125.400000")
    assert one["against"] == "the same time on demand, at the prices of then"
    assert found["total"] == "125.400000"


def test_savings_as_people_see_them(ask_runs: Run, snapshot: SnapshotAssertion) -> None:
    result = ask_runs("savings", "--window", WINDOW, "-n", "research")
    assert result.exit_code == 0, result.output
    assert result.stdout == snapshot


def test_no_savings_are_no_zero(ask_runs: Run) -> None:
    text = ask_runs("savings", "-n", "elsewhere", "--window", WINDOW).stdout
    assert "Nothing was saved" in text


def test_runs_that_were_not_made_are_savings_too(ask_runs: Run, runs: RunWorld) -> None:
    """Two skips of 10 each, one that nobody can price, and a run of another window."""
    skip = Saving("tj-x", "research", at(1), NOTHING_NEW, times=2, saved=20 * PICO)
    unpriced = Saving("tj-y", "research", at(2), NOTHING_NEW)
    reused = Saving("tj-z", "other", at(3), REUSED, saved=7 * PICO)
    runs.insights.not_made = lambda: [
        skip,
        unpriced,
        reused,
        Saving("old", "research", at(-9), NOTHING_NEW, saved=PICO),
    ]
    found = document(ask_runs, "savings", "--window", WINDOW)
    shown = {
        (one["namespace"], one["policy"]): (one["saved"], one["workloads"], one["unknown"]) for one in found["items"]
    }
    assert shown == {
        ("research", "placement Spot"): ("125.400000", 1, 0),
        ("research", "nothing new to train"): ("20.000000", 3, 1),
        ("other", "run reused"): ("7.000000", 1, 0),
    }
    assert found["total"] == "152.400000"
    text = ask_runs("savings", "--window", WINDOW, "-n", "research").stdout
    assert "$20.00+" in text
    assert "run reused" not in text


def stopped(**more: Any) -> dict[str, Any]:
    """Stopped at 9, when it cost 40 an hour."""
    stop = {"id": format_rfc3339(at(9)), "rule": "Plateau/eval_loss", "savedHourly": "40.000000"}
    return trainingjob(status={**STATUS, "estimate": None, "earlyStopping": {"stop": stop}, **more})


@pytest.mark.parametrize(
    ("more", "saved", "unknown"),
    [
        ({"trainerStatus": {"estimatedRemainingSeconds": 36_000}}, "120.000000", 0),  # 3 h of the window
        ({"trainerStatus": {"estimatedRemainingSeconds": 3_600}}, "40.000000", 0),  # it would have lasted an hour
        ({"estimate": {"cost": "450.00"}, "cost": {"total": "400.00"}}, "50.000000", 0),
        ({"estimate": {"cost": "300.00"}, "cost": {"total": "400.00"}}, "0.000000", 0),
        ({}, "0.000000", 1),
    ],
)
def test_a_run_that_was_stopped_early_saves_what_it_would_have_cost_on_its_way_to_the_end(
    ask_runs: Run, runs: RunWorld, more: dict[str, Any], saved: str, unknown: int
) -> None:
    runs.world.trainingjobs[Key("research", "bert")] = custom_record(stopped(**more))
    found = document(ask_runs, "savings", "--window", WINDOW, "-n", "research")["items"]
    one = next(item for item in found if item["policy"] == "early stop by Plateau/eval_loss")
    assert (one["saved"], one["unknown"], one["workloads"]) == (saved, unknown, 1)


def test_windows_of_a_stop_add_up(runs: RunWorld) -> None:
    del runs
    status = stopped(trainerStatus={"estimatedRemainingSeconds": 9_000})["status"]
    whole, *parts = (avoided(status, span(*hours)) for hours in ((0, 20), (0, 10), (10, 11), (11, 20)))
    assert whole is not None
    assert whole.saved == 100 * PICO
    assert [part.saved for part in parts if part is not None] == [40 * PICO, 40 * PICO, 20 * PICO]
    assert avoided(status, span(0, 9)) is None
    assert avoided({"earlyStopping": {"stop": {}}}, span(0, 9)) is None


# --- simulate ---------------------------------------------------------------------------------------------------------


def test_on_demand_all_the_way(ask_runs: Run) -> None:
    """Work: 3 stays of 4, 3.75 and 1.5 h, less 12 min each: 8.65 h, and 12 min to begin with, at 55.04 an hour."""
    found = document(ask_runs, "simulate", "bert", "--deadline", "12h", "--changeover", "12m", "-n", "research")
    RunSimulation.model_validate(found, extra="forbid")
    assert (found["workHours"], found["changeoverMinutes"], found["actual"]) == ("8.650000", 12.0, "383.720000")
    courses = {one["policy"]: one for one in found["courses"]}
    assert courses["onDemand"]["costLow"] == courses["onDemand"]["costHigh"] == "487.104000"  # 8.85 x 55.04
    assert not courses["onDemand"]["missed"]


def test_auto_costs_no_more_than_on_demand_and_is_in_time(ask_runs: Run) -> None:
    found = document(ask_runs, "simulate", "bert", "--deadline", "14h", "--changeover", "12m", "-n", "research")
    courses = {one["policy"]: one for one in found["courses"]}
    auto, dear = courses["auto"], courses["onDemand"]
    assert not auto["missed"]
    assert Decimal(auto["costLow"]) < Decimal(dear["costLow"])
    assert Decimal(auto["costHigh"]) <= Decimal(dear["costHigh"]) * Decimal("1.05")
    assert 0 < found["known"] < 1


def test_the_changeover_that_the_operator_has_measured_goes_first(ask_runs: Run, runs: RunWorld) -> None:
    key = Key("research", "bert")
    runs.world.trainingjobs[key] = custom_record(trainingjob(status={**STATUS, "changeover": {"total": "6m30s"}}))
    found = document(ask_runs, "simulate", "bert", "--deadline", "14h", "-n", "research")
    assert found["changeoverMinutes"] == 6.5


def test_tries_in_vain_say_that_there_was_no_spot_capacity(ask_runs: Run, runs: RunWorld) -> None:
    """4.25 h there, 0.5 h gone after the loss, of 14; then 2 h more in which the run asked for it and got none."""
    known = document(ask_runs, "simulate", "bert", "--deadline", "14h", "-n", "research")["known"]
    runs.insights.stays_of = lambda _uid: (Stay(at(10), CapacityType.SPOT, ended=at(12), cause=Cause.UNAVAILABLE),)
    more = document(ask_runs, "simulate", "bert", "--deadline", "14h", "-n", "research")["known"]
    assert (round(known * 14, 2), round(more * 14, 2)) == (4.25, 6.25)


def test_the_changeover_is_measured_on_the_run(ask_runs: Run) -> None:
    """0.5, 0.25 and 0.25 h from the nodes to the first report: 15 minutes."""
    found = document(ask_runs, "simulate", "bert", "--deadline", "14h", "-n", "research")
    assert found["changeoverMinutes"] == 15.0
    assert any("as measured on this run" in note for note in found["notes"])


def test_a_simulation_as_people_see_it(ask_runs: Run, snapshot: SnapshotAssertion) -> None:
    result = ask_runs("simulate", "bert", "--deadline", "14h", "-n", "research")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert result.stdout == snapshot


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say by when"),
        (("--deadline", "soon"), "is not a duration"),
        (("--deadline", "0h"), "is not a duration"),
        (("--complete-by", "2020-01-01T00:00:00Z"), "before the run began"),
        (("--complete-by", "tomorrow"), "not an RFC 3339 time"),
        (("--deadline", "1h", "--complete-by", "2026-12-01T00:00:00Z"), "exclude each other"),
        (("--deadline", "90000h"), "between 0 and a year"),
    ],
)
def test_bad_terms(ask_runs: Run, arguments: tuple[str, ...], words: str) -> None:
    result = ask_runs("simulate", "bert", "-n", "research", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
