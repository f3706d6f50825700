"""Costs by pod, node, category and label, asked of a real ledger whose costs were worked out by hand."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from click.testing import Result

from gpucost.web.schema import CostDocument
from unit.cli.conftest import ApiServer, status

Run = Callable[..., Result]

TABLES: tuple[tuple[str, ...], ...] = (
    ("pod", "-A"),
    ("node",),
    ("category",),
    ("label", "gpucost.dev/team"),
    ("label", "app.kubernetes.io/name"),
    ("idle",),
    ("idle", "--rate", "month"),
    ("diff",),
    ("diff", "--by", "pod"),
    ("diff", "--by", "node"),
)


def document(run: Run, *arguments: str) -> Any:
    result = run(*arguments, "-o", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def costs(run: Run, *arguments: str) -> dict[str, str | None]:
    return {row["key"]: row["cost"] for row in document(run, *arguments)["rows"]}


@pytest.mark.parametrize("arguments", TABLES, ids=" ".join)
def test_tables_fit_80_columns_and_end_with_where_the_prices_come_from(
    ask_ledger: Run, arguments: tuple[str, ...]
) -> None:
    result = ask_ledger(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("Prices: ") for line in lines[-2:])


def test_every_grouping_adds_up_to_the_same_total(ask_ledger: Run) -> None:
    expected = {
        "pod": {
            "research/bert-0": "20.100000",
            "research/sweep-0": "15.075000",
            "serving/chat-0": "9.780000",
            "serving/web-0": None,
        },
        "node": {"n1": "35.175000", "n2": "9.780000", "n3": None},
        "category": {"training": "44.955000"},
        "label": {"nlp": "35.175000", "(none)": "9.780000"},
    }
    for command, rows in expected.items():
        arguments = ("label", "gpucost.dev/team") if command == "label" else (command, "-A")
        found = document(ask_ledger, *arguments)
        assert {row["key"]: row["cost"] for row in found["rows"]} == rows
        assert found["total"]["cost"] == "210.780000"
        CostDocument.model_validate(found, extra="forbid")


def test_a_node_is_called_by_its_name_and_told_apart_by_its_uid(ask_ledger: Run) -> None:
    assert costs(ask_ledger, "node", "gpu-0") == costs(ask_ledger, "node", "n1") == {"n1": "35.175000"}
    assert "gpu-0 " in ask_ledger("node").stdout


def test_a_pod_is_found_by_its_name(ask_ledger: Run) -> None:
    assert costs(ask_ledger, "pod", "bert-0", "-n", "research") == {"research/bert-0": "20.100000"}
    assert ask_ledger("pod", "-n", "research").stdout.startswith("POD ")


def test_a_value_of_a_label_may_be_asked_for(ask_ledger: Run) -> None:
    assert costs(ask_ledger, "label", "app", "chat") == {"chat": "9.780000"}
    assert costs(ask_ledger, "label", "app", "-n", "research") == {"bert": "20.100000", "(none)": "15.075000"}


def test_a_label_that_nobody_has_says_which_there_are(ask_ledger: Run) -> None:
    text = ask_ledger("label", "team").stdout
    assert "No pod in the window has the label team." in text
    assert "Perhaps you mean: kubectl cost label gpucost.dev/team" in text
    assert "Labels that are known: app · gpucost.dev/team" in text
    assert "GPUCOST_LABELS" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("label", "not a label"), "label: 'label:not a label' is not one of"),
        (("node", "-n", "research"), "nodes belong to no namespace: leave out -n"),
        (("idle", "-l", "team=nlp"), "leave out -l"),
        (("diff", "--by", "colour"), "'colour' is not one of namespace, workload, pod, node, category, label:KEY"),
        (("diff", "--fail-above", "much"), "'much' is neither an amount such as 100 nor a share such as 20%"),
        (("diff", "--fail-above", "-5%"), "neither an amount"),
        (("diff", "--against", "soon"), "--window: not a window: 'soon'"),
        (("diff", "--sort-by", "wasted"), "--sort-by of a comparison is cost or name"),
        (("node", "gpu-7"), "no cost of node gpu-7"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(ask_ledger: Run, arguments: tuple[str, ...], words: str) -> None:
    result = ask_ledger(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in " ".join(result.stderr.split())


def test_whoever_may_not_see_all_namespaces_sees_no_node(
    kubectl_cost: Run, api_server: ApiServer, tmp_path: Any
) -> None:
    refusal = status(403, 'allocations.cost.gpucost.dev is forbidden: User "ada" cannot list resource "allocations"')
    api_server.answers["/apis/cost.gpucost.dev/v1alpha1/allocations"] = refusal
    config = api_server.kubeconfig(tmp_path, namespace="research")
    for command in ("node", "idle"):
        result = kubectl_cost(command, "--kubeconfig", config)
        assert (result.exit_code, result.stdout) == (2, "")
        assert 'User "ada" cannot list' in result.stderr


def test_groupings_that_no_status_tells_need_the_cost_api(
    kubectl_cost: Run, api_server: ApiServer, tmp_path: Any
) -> None:
    result = kubectl_cost("pod", "-A", "--kubeconfig", api_server.kubeconfig(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "costs by pod need the cost API" in result.stderr


def test_csv_of_nodes_has_the_node_and_adds_up(ask_ledger: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(ask_ledger("node", "-o", "csv").stdout)))
    amounts = {row["key"]: Decimal(row["cost"] or 0) for row in rows}
    assert amounts.pop("(total)") == sum(amounts.values()) == Decimal("210.780000")
    assert [row["node"] for row in rows][:3] == ["gpu-0", "gpu-1", "cpu-0"]
