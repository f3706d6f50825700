"""`kubectl cost estimate`: offline, with PriceBooks in the file, at a cluster's prices, and what can be wrong."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from syrupy.assertion import SnapshotAssertion

from gpucost.cli.commands import cost
from gpucost.core.model import CapacityType, PriceEntry
from gpucost.core.money import parse_amount
from gpucost.core.training.estimating.market import Market
from gpucost.runtime.market import MarketView
from gpucost.web.schema_estimates import EstimateDocument
from support.run_world import RunWorld
from unit.cli.conftest import serving

Run = Callable[..., Result]
START = ("--start", "2026-11-24T12:00:00Z")
SEVEN = {"parameters": "7B", "tokens": "140B", "gpu": "H100"}


def job(name: str = "llm", **spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "train", "image": "llm:1"}]}}
    return {
        "apiVersion": "gpucost.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name, "namespace": "research"},
        "spec": {"gpusPerWorker": 8, "template": template, "model": SEVEN, **spec},
    }


BOOK = {
    "apiVersion": "gpucost.dev/v1alpha1",
    "kind": "PriceBook",
    "metadata": {"name": "contract"},
    "spec": {"prices": [{"gpuModel": "H100", "hourly": "5", "effectiveFrom": "2026-01-01T00:00:00Z"}]},
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(*documents: Any, name: str = "job.yaml") -> str:
        path = tmp_path / name
        path.write_text("---\n".join(one if isinstance(one, str) else yaml.safe_dump(one) for one in documents))
        return str(path)

    return write


@pytest.fixture
def offline(kubectl_cost: Run) -> Run:
    return lambda *arguments: kubectl_cost("estimate", "--offline", *START, "-f", *arguments)


def test_an_estimate_as_people_see_it(offline: Run, write: Callable[..., str], snapshot: SnapshotAssertion) -> None:
    result = offline(write(job()))
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert result.stdout == snapshot


def test_an_estimate_for_programs(offline: Run, write: Callable[..., str]) -> None:
    found = json.loads(offline(write(job()), "-o", "json").stdout)
    EstimateDocument.model_validate(found, extra="forbid")
    (run,) = found["runs"]
    assert run["cost"] == {"low": "22724.637681", "typical": "28405.797101", "high": "37874.396135"}
    assert run["hours"]["typical"] == "516.094"
    assert found["total"] == run["cost"]
    assert found["prices"] == "--offline"
    assert run["alternatives"][0]["way"] == "spot"
    assert (run["memoryNeededGB"], run["memoryThereGB"]) == ("112.0", "512.0")
    assert (found["limit"], found["over"]) == (None, None)


def test_other_formats_say_the_same(offline: Run, write: Callable[..., str]) -> None:
    file = write(job())
    assert yaml.safe_load(offline(file, "-o", "yaml").stdout) == json.loads(offline(file, "-o", "json").stdout)
    rows = list(csv.DictReader(io.StringIO(offline(file, "-o", "csv").stdout)))
    assert [row["way"] for row in rows][:2] == ["asIs", "spot"]
    assert rows[0]["costTypical"] == "28405.797101"
    shown = offline(file, "-o", "markdown").stdout
    assert "**TrainingJob/llm in research: about $28,405.80 ($22,724.64 - $37,874.40)**" in shown
    assert "| on spot capacity | $11,705.01 |" in shown
    assert "placement.policy: Spot" in offline(file, "-o", "wide").stdout


def test_predict_is_another_name(kubectl_cost: Run, write: Callable[..., str]) -> None:
    result = kubectl_cost("predict", "--offline", "-f", write(job()))
    assert result.exit_code == 0
    assert "$28,405.80" in result.stdout


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "code"), [("30000", 0), ("28405.80", 0), ("28405.79", 1), ("0", 1)])
def test_a_limit_is_held_against_the_typical_cost(
    offline: Run, write: Callable[..., str], limit: str, code: int
) -> None:
    result = offline(write(job()), "--fail-above", limit)
    assert result.exit_code == code
    assert ("Above the limit: $28,405.80" in result.stderr) is bool(code)


def test_several_runs_are_held_against_a_limit_together(offline: Run, write: Callable[..., str]) -> None:
    result = offline(write(job("a", expectedDuration="10h"), job("b", expectedDuration="20h")), "--fail-above", "1651")
    assert "Together: about $1,651.20" in result.stdout  # 30 h x 55.04
    assert result.exit_code == 1


def test_an_unknown_cost_passes_no_limit(offline: Run, write: Callable[..., str]) -> None:
    result = offline(write(job(model={**SEVEN, "gpu": "H200"})), "--fail-above", "1000000")
    assert result.exit_code == 2
    assert "TrainingJob/llm in research: unpriced" in result.stdout
    assert "the on-demand price of H200" in " ".join(result.stdout.split())
    assert "cannot be checked" in result.stderr


@pytest.mark.parametrize("limit", ["cheap", "-1", "NaN", "inf"])
def test_a_limit_that_is_no_amount(offline: Run, write: Callable[..., str], limit: str) -> None:
    result = offline(write(job()), "--fail-above", limit)
    assert result.exit_code == 2
    assert "not an amount" in result.stderr


# --- prices -----------------------------------------------------------------------------------------------------------


def test_a_price_book_in_the_file_goes_first(offline: Run, write: Callable[..., str]) -> None:
    result = offline(write(job(expectedDuration="10h"), BOOK))
    assert "about $400.00" in result.stdout  # 10 h x 8 x 5
    assert "PriceBook/contract" in result.stdout


def test_without_a_cluster_the_built_in_list_is_used_and_it_is_said(
    kubectl_cost: Run, write: Callable[..., str]
) -> None:
    result = kubectl_cost("estimate", "-f", write(job()))
    assert result.exit_code == 0
    assert "$28,405.80" in result.stdout
    assert "not those of a cluster: no usable kubeconfig" in " ".join(result.stdout.split())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[RunWorld, str]]:
    found = RunWorld.of(tmp_path)
    with serving(found.ledger, found.insights) as url:
        yield found, url
    found.ledger.ledger.close()


def test_with_a_cluster_its_prices_and_its_gpus_are_used(
    kubectl_cost: Run, write: Callable[..., str], cluster: tuple[RunWorld, str]
) -> None:
    """The cluster's only GPUs are H100 at 4 an hour: 10 h x 8 x 4."""
    world, url = cluster
    entry = PriceEntry(parse_amount("4"), 0, CapacityType.ON_DEMAND, gpu_model="H100", source="PriceBook/team")
    view = MarketView(Market(entries=(entry,)).quotes(), frozenset({"H100"}))
    world.insights.market = lambda: view
    bare = job(expectedDuration="10h")
    del bare["spec"]["model"]
    result = kubectl_cost("estimate", "-n", "research", "-f", write(bare), GPUCOST_API_URL=url)
    assert result.exit_code == 0, result.output
    assert "about $320.00" in result.stdout
    assert "8 x H100 on demand" in result.stdout
    assert "Prices: PriceBook/team\n" in result.stdout


def test_a_cluster_in_another_currency_shows_that_currency(
    kubectl_cost: Run, write: Callable[..., str], cluster: tuple[RunWorld, str]
) -> None:
    world, url = cluster
    entry = PriceEntry(parse_amount("4"), 0, CapacityType.ON_DEMAND, gpu_model="H100", source="PriceBook/team")
    view = MarketView(Market(entries=(entry,), built_in=()).quotes(), frozenset(), "EUR")
    world.insights.market = lambda: view
    result = kubectl_cost("estimate", "-f", write(job(expectedDuration="10h")), GPUCOST_API_URL=url)
    assert "about €320.00" in result.stdout


# --- what can be wrong ------------------------------------------------------------------------------------------------


def test_standard_input(kubectl_cost: Run) -> None:
    result = CliRunner().invoke(cost, ["estimate", "--offline", "-f", "-"], input=yaml.safe_dump(job()))
    assert result.exit_code == 0
    assert "$28,405.80" in result.stdout


def test_lists_and_other_kinds_around_it(offline: Run, write: Callable[..., str]) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": [job("one"), {"kind": "ConfigMap"}, job("two")]}
    result = offline(write({"kind": "Namespace", "metadata": {"name": "research"}}, items, "# nothing here\n"))
    assert result.exit_code == 0
    assert "TrainingJob/one" in result.stdout
    assert "TrainingJob/two" in result.stdout


ADOPTING = {
    "apiVersion": "gpucost.dev/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "old", "namespace": "research"},
    "spec": {"workloadRef": {"name": "old"}, "expectedDuration": "10h"},
}


def test_a_job_that_is_taken_over_says_its_gpus_in_its_own_manifest(offline: Run, write: Callable[..., str]) -> None:
    """2 pods x 4 H100 at 6.88 for 10 h."""
    alone = " ".join(offline(write(ADOPTING)).stdout.split())
    assert "only Job/old says how many GPUs it has; put its manifest beside it" in alone
    container = {"name": "t", "image": "i", "resources": {"limits": {"nvidia.com/gpu": 4}}}
    pods = {"spec": {"containers": [container], "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}}}
    metadata = {"name": "old", "namespace": "research"}
    workload = {"kind": "Job", "metadata": metadata, "spec": {"parallelism": 2, "template": pods}}
    assert "about $550.40" in offline(write(ADOPTING, workload)).stdout
    elsewhere = {**workload, "metadata": {"name": "old", "namespace": "other"}}
    assert "unpriced" in offline(write(ADOPTING, elsewhere)).stdout
    broken = {**container, "resources": {"limits": {"nvidia.com/gpu": "lots"}}}
    wrong = {**workload, "spec": {"template": {"spec": {"containers": [broken]}}}}
    result = offline(write(ADOPTING, wrong))
    assert result.exit_code == 2
    assert "document 2 (Job/old, line " in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Deployment\nmetadata: {name: x}\n", "only TrainingJobs can be estimated, and there is none in it"),
        ("kind: TrainingJob\nspec:\n  workers: [1\n", "line 4, column 1: not YAML"),
        ("a: b: c\n", "line 1, column 5: not YAML"),
        ("", "there is no object in it"),
        ("just words\n", "document 1, line 1: not an object but a str"),
        ("- 1\n", "not an object but a list"),
        ("a: &a [*a]\n" + "b: " + "[" * 5000 + "\n", "job.yaml: "),
        ("kind: TrainingJob\n\u0000", "not YAML"),
    ],
)
def test_files_that_are_no_manifests(offline: Run, write: Callable[..., str], text: str, words: str) -> None:
    result = offline(write(text))
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_every_problem_names_its_document_its_line_and_its_field(offline: Run, write: Callable[..., str]) -> None:
    wrong = job("wrong", model={"parameters": 7, "tokens": "lots"})
    result = offline(write(job("right"), wrong, job("worse", workers=0)))
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert "document 2 (TrainingJob/wrong, line " in lines[0]
    assert "spec.model.parameters: must be a string, in quotes" in lines[0]
    assert "spec.model.tokens: not a count: 'lots'" in lines[1]
    assert "document 3 (TrainingJob/worse" in lines[2]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"expectedDuraton": "10h"}, "spec.expectedDuraton: no such field; did you mean expectedDuration?"),
        ({"placement": {"polcy": "Auto"}}, "spec.placement.polcy: no such field; did you mean policy?"),
        ({"earlyStopping": [{"type": "Plateau", "metric": "loss", "x": 1}]}, "spec.earlyStopping[0].x: no such field"),
    ],
)
def test_a_field_that_kubectl_apply_would_refuse_is_refused(
    offline: Run, write: Callable[..., str], changes: dict[str, object], problem: str
) -> None:
    result = offline(write(job(**changes)))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.rstrip().endswith(problem)


def test_what_a_pod_may_have_is_left_to_the_cluster(offline: Run, write: Callable[..., str]) -> None:
    found = job()
    found["spec"]["template"]["spec"]["anything"] = {"new": [1]}
    assert offline(write(found)).exit_code == 0


def test_a_file_that_is_not_there(offline: Run) -> None:
    result = offline("nowhere.yaml")
    assert result.exit_code == 2
    assert "nowhere.yaml: no such file or directory" in result.stderr


def test_times_in_yaml_stay_text(offline: Run, write: Callable[..., str]) -> None:
    text = yaml.safe_dump(job(expectedDuration="10h")).replace(
        "spec:\n", "spec:\n  completeBy: 2026-11-24T13:00:00Z\n", 1
    )
    result = offline(write(text))
    assert result.exit_code == 0, result.output
    assert "Warning: it will be late" in result.stdout


def test_a_deadline_in_the_past_is_said(offline: Run, write: Callable[..., str]) -> None:
    result = offline(write(job(completeBy="2026-11-20T00:00:00Z")))
    assert "completeBy 2026-11-20T00:00:00Z is in the past" in result.stdout


def test_an_unknown_gpu_says_what_to_do(offline: Run, write: Callable[..., str]) -> None:
    nameless = {key: value for key, value in SEVEN.items() if key != "gpu"}
    text = " ".join(offline(write(job(model=nameless))).stdout.split())
    assert "unpriced" in text
    assert "Not known: the GPU: select nodes of one model in the template, or set model.gpu" in text
    assert "about $28,405.80" in offline(write(job(model=nameless)), "--gpu", "H100").stdout


@pytest.mark.parametrize("start", ["soon", "2026-11-24T12:00:00"])
def test_a_start_that_is_no_time(kubectl_cost: Run, write: Callable[..., str], start: str) -> None:
    result = kubectl_cost("estimate", "--offline", "-f", write(job()), "--start", start)
    assert result.exit_code == 2
    assert "--start" in result.stderr


def test_price_books_that_are_wrong_or_mixed(offline: Run, write: Callable[..., str]) -> None:
    bad = {**BOOK, "spec": {"prices": [{"gpuModel": "H100", "hourly": "-5"}]}}
    result = offline(write(job(), bad))
    assert result.exit_code == 2
    assert "spec.prices[0].hourly" in result.stderr
    euros = {**BOOK, "spec": {**BOOK["spec"], "currency": "EUR"}}  # type: ignore[dict-item]
    assert "several currencies" in offline(write(job(), BOOK, euros)).stderr
