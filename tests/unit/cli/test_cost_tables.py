"""What `kubectl cost` prints at 80 columns, against the real cost API with costs worked out by hand."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
import yaml
from click.testing import Result
from syrupy.assertion import SnapshotAssertion

from gpucost.core.clock import HOUR
from gpucost.core.model import Workload
from gpucost.core.report import Amounts, Row
from gpucost.core.timeline import Interval
from gpucost.web.schema import CostDocument, ExplanationDocument
from screenshot import run_in_terminal
from unit.cli.conftest import CostApi
from unit.web.cost_example import BERT, IDLE, NOTHING, QUALITY, ROWS, START, bert_lines

Run = Callable[..., Result]
DAY_ONE = ("--window", "2026-11-01,2026-11-02")

TABLES = {
    "summary": (),
    "namespaces": ("namespace",),
    "one namespace": ("namespace", "research"),
    "a namespace's workloads": ("workload", "-n", "research"),
    "all workloads with idle": ("workload", "-A", "--idle"),
    "one workload": ("workload", "TrainingJob/bert", "-n", "research"),
    "wide": ("workload", "-n", "serving", "-o", "wide"),
    "per month": ("namespace", "--rate", "month"),
    "no headers, no idle": ("namespace", "--no-headers", "--no-idle"),
    "markdown": ("namespace", "-o", "markdown"),
    "empty": ("workload", "-n", "quiet"),
    "empty window": ("--window", "2026-10-01,2026-10-02"),
    "explanation": ("explain", "TrainingJob/bert", "-n", "research"),
    "wide explanation": ("explain", "TrainingJob/bert", "-n", "research", "-o", "wide"),
    "markdown explanation": ("explain", "tj/bert", "-n", "research", "-o", "markdown"),
}


@pytest.mark.parametrize("arguments", TABLES.values(), ids=TABLES.keys())
def test_tables_look_like_this(ask: Run, snapshot: SnapshotAssertion, arguments: tuple[str, ...]) -> None:
    result = ask(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == snapshot


@pytest.mark.parametrize("arguments", [v for k, v in TABLES.items() if "wide" not in k and "markdown" not in k])
def test_tables_fit_80_columns_and_end_with_where_the_prices_come_from(ask: Run, arguments: tuple[str, ...]) -> None:
    lines = ask(*arguments).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any(line != line.rstrip() for line in lines)
    assert any(line.startswith("Prices: ") for line in lines[-2:])


def test_long_names_are_cut_and_numbers_never(ask: Run, api: CostApi) -> None:
    name = "a-training-run-with-a-name-that-is-as-long-as-kubernetes-allows-it"
    large = ROWS[0].amounts._replace(cost=1_234_567_891 * 10**9, gpu_time=98_765 * HOUR)
    api.provider.rows = (replace(ROWS[0], workload=Workload("TrainingJob", name), amounts=large),)
    result = ask("workload", "-A")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "$1,234,567.89" in result.stdout
    assert "98,765.0" in result.stdout
    assert "…" in result.stdout
    assert name in ask("workload", "-A", "-o", "wide").stdout


def test_many_namespaces_fit_one_screen_and_still_add_up(ask: Run, api: CostApi) -> None:
    one = Amounts(cost=10**12, non_gpu=10**12, on_demand=10**12, held_time=HOUR)
    api.provider.rows = tuple(
        Row(key=f"ns-{i}/p", namespace=f"ns-{i}", workload=Workload("Job", "j"), category=ROWS[0].category, amounts=one)
        for i in range(40)
    )
    api.provider.idle = NOTHING
    lines = ask().stdout.splitlines()
    assert len(lines) <= 24
    others = next(line for line in lines if "29 others" in line)
    total = next(line for line in lines if line.startswith("TOTAL"))
    assert "$29.00" in others
    assert "$40.00" in total
    assert len([line for line in ask("namespace").stdout.splitlines() if line.startswith("ns-")]) == 40


def test_tiny_amounts_are_not_shown_as_nothing(ask: Run, api: CostApi) -> None:
    small = Amounts(cost=10**9, active=10**9, spot=10**9, gpu_time=HOUR // 1000, held_time=HOUR)
    api.provider.rows = (replace(ROWS[0], amounts=small),)
    text = ask("workload", "-n", "research").stdout
    assert "<$0.01" in text
    assert "<0.1" in text


def test_another_currency_has_its_own_sign(ask: Run, api: CostApi, monkeypatch: pytest.MonkeyPatch) -> None:
    report = api.provider.report

    async def in_euro(*args: object, **kwargs: object) -> object:
        return replace(await report(*args, **kwargs), currency="EUR")  # type: ignore[arg-type]

    monkeypatch.setattr(api.provider, "report", in_euro)
    text = ask("namespace").stdout
    assert "€35.18" in text
    assert "€/HOUR" in text


# --- flags ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("-n", "research", "-o", "json", "workload"),
        ("workload", "-n", "research", "-o", "json"),
        ("-n", "serving", "-o", "csv", "workload", "-n", "research", "-o", "json"),
        ("-o", "json", "workload", "--namespace=research"),
    ],
)
def test_flags_work_before_and_after_the_command_and_the_later_one_wins(ask: Run, arguments: tuple[str, ...]) -> None:
    document = json.loads(ask(*arguments).stdout)
    assert document["namespace"] == "research"
    assert [row["workload"] for row in document["rows"]] == ["TrainingJob/bert", "Job/sweep"]


def test_api_url_on_the_command_line_goes_before_the_environment(ask: Run, api: CostApi) -> None:
    assert ask("namespace", "--api-url", "http://127.0.0.1:1").exit_code == 2
    assert ask("--api-url", api.url, "namespace").exit_code == 0


@pytest.mark.parametrize(
    ("column", "order"),
    [
        ("cost", ["bert", "sweep", "chat", "web"]),
        ("name", ["sweep", "bert", "chat", "web"]),
        ("wasted", ["bert", "chat", "sweep", "web"]),
        ("hourly", ["chat", "bert", "sweep", "web"]),
        ("gpu-hours", ["chat", "bert", "sweep", "web"]),
        ("utilization", ["chat", "bert", "sweep", "web"]),
    ],
)
def test_rows_are_sorted_and_the_unknown_comes_last(ask: Run, column: str, order: list[str]) -> None:
    document = json.loads(ask("workload", "-A", "-o", "json", "--sort-by", column).stdout)
    assert [row["workload"].partition("/")[2] for row in document["rows"]] == order


def test_labels_select(ask: Run) -> None:
    document = json.loads(ask("workload", "-l", "team=nlp", "-o", "json").stdout)
    assert [row["key"] for row in document["rows"]] == ["research/TrainingJob/bert"]


# --- for programs -----------------------------------------------------------------------------------------------------


def test_json_adds_up_and_keeps_unknown_as_null(ask: Run) -> None:
    document = json.loads(ask("namespace", "-o", "json", *DAY_ONE).stdout)
    rows = sum(Decimal(row["cost"]) for row in document["rows"])
    assert rows + Decimal(document["idle"]["cost"]) == Decimal(document["total"]["cost"]) == Decimal("210.78")
    assert document["total"]["hourly"] is None
    assert document["difference"] == "0.000000"
    assert document["window"] == {"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T10:00:00Z"}


def test_json_is_what_the_published_models_say(ask: Run) -> None:
    for arguments in ((), ("workload", "-A"), ("workload", "bert", "-n", "research")):
        CostDocument.model_validate(json.loads(ask(*arguments, "-o", "json").stdout), extra="forbid")
    explained = ask("explain", "tj/bert", "-n", "research", "-o", "json").stdout
    ExplanationDocument.model_validate(json.loads(explained), extra="forbid")


def test_yaml_says_what_json_says(ask: Run) -> None:
    assert yaml.safe_load(ask("-o", "yaml").stdout) == json.loads(ask("-o", "json").stdout)
    explain = ("explain", "tj/bert", "-n", "research", "-o")
    assert yaml.safe_load(ask(*explain, "yaml").stdout) == json.loads(ask(*explain, "json").stdout)


def test_csv_has_exact_amounts_and_its_lines_add_up(ask: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(ask("namespace", "-o", "csv").stdout)))
    costs = {row["key"]: Decimal(row["cost"]) for row in rows}
    total = costs.pop("(total)")
    assert sum(costs.values()) == total == Decimal("210.780000")
    assert ask("namespace", "-o", "csv", "--no-headers").stdout.startswith("research,")


def test_a_rate_is_cost_over_the_window(ask: Run) -> None:
    document = json.loads(ask("namespace", "-o", "json", "--rate", "day", *DAY_ONE).stdout)
    assert document["rows"][0]["costPerDay"] == "84.420000"  # 35.175 in 10 hours
    assert document["idle"]["costPerDay"] == "397.980000"


def test_the_lines_of_an_explanation_add_up_to_the_micro_dollar(ask: Run, api: CostApi) -> None:
    third = 20_100_000 * 10**6 // 3
    costs = (third, third, 20_100_000 * 10**6 - 2 * third)
    api.provider.lines = {BERT: tuple(replace(bert_lines()[0], cost=cost) for cost in costs)}
    text = ask("explain", "tj/bert", "-n", "research").stdout.splitlines()
    printed = [Decimal(line.split()[-1].lstrip("$")) for line in text if line.startswith("  11-01")]
    total = next(line for line in text if line.startswith("TOTAL"))
    assert sum(printed) == Decimal(total.split()[-1].lstrip("$")) == Decimal("20.100000")
    listed = json.loads(ask("workload", "bert", "-n", "research", "-o", "json").stdout)
    assert listed["rows"][0]["cost"] == "20.100000"


def test_an_explanation_names_what_is_not_in_the_sum(ask: Run, api: CostApi) -> None:
    first, second = bert_lines()
    later = replace(
        second, node="cpu-0", span=Interval(START + 3 * HOUR, START + 4 * HOUR), hourly=None, cost=None, price_source=""
    )
    api.provider.lines = {BERT: (first, later)}
    api.provider.rows = (replace(ROWS[0], amounts=Amounts(cost=first.cost or 0, held_time=2, unpriced_time=1)),)
    api.provider.gaps = ((Interval(START + HOUR, START + HOUR + HOUR // 2), "operator was down"),)
    text = ask("explain", "tj/bert", "-n", "research").stdout
    assert "unpriced" in text
    assert "Not in the total: 1.00 hours on unpriced nodes (cpu-0)" in text
    assert "Held nothing 2026-11-01 01:00 to 03:00 UTC, 2h" in text
    assert "Not observed 2026-11-01 01:00 to 01:30 UTC: operator was down" in text
    assert "$10.050000" in text


def test_a_workload_that_held_nothing_says_what_to_try(ask: Run) -> None:
    result = ask("explain", "tj/bert", "-n", "research", "--window", "2026-10-01,2026-10-02")
    assert result.exit_code == 0
    assert "longer window" in result.stdout


# --- colours ----------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_no_colour(ask: Run) -> None:
    assert "\x1b" not in ask().stdout


def test_a_terminal_gets_colour_unless_it_is_not_wanted(api: CostApi) -> None:
    command = [sys.executable, "-c", "from gpucost.cli.main import kubectl_cost; kubectl_cost()", "--api-url", api.url]
    coloured, status = run_in_terminal(command, 80)
    assert status == 0
    assert "\x1b[1m" in coloured
    plain, status = run_in_terminal(["env", "NO_COLOR=1", *command], 80)
    assert status == 0
    assert "\x1b" not in plain
    assert "$210.78+ in the last 7 days" in plain


def test_quality_names_everything_that_is_wrong(ask: Run, api: CostApi) -> None:
    api.provider.quality = replace(
        QUALITY, gpus_held=14, gpus_measured=12, gaps=2, unpriced_nodes=("a", "b", "c"), data_age=2 * HOUR
    )
    api.provider.idle = IDLE
    text = " ".join(ask("namespace").stdout.split())
    for part in ("12 of 14 GPUs measured", "data 2 h old", "3 nodes unpriced (a, b and 1 more)", "2 gaps not observed"):
        assert part in text
