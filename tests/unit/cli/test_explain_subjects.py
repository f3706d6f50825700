"""`kubectl cost explain` of pods, namespaces and nodes: the lines end in exactly what the lists report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gpucost.core.model import NodeFact, Resources
from gpucost.web.schema import ExplanationDocument
from support.ledger_provider import NOW, WORLD, LedgerOnly
from support.ledger_world import T0, at, node, pod, price
from unit.cli.conftest import serving

Run = Callable[..., Result]


def explained(run: Run, *arguments: str) -> Any:
    result = run("explain", *arguments, "-o", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    ExplanationDocument.model_validate(document, extra="forbid")
    known = [Decimal(line["cost"]) for line in document["lines"] if line["cost"] is not None]
    assert sum(known) == Decimal(document["cost"] or 0)
    return document


def listed(run: Run, *arguments: str) -> Any:
    return json.loads(run(*arguments, "-o", "json").stdout)


def test_who_paid_for_a_node_ends_in_the_nodes_cost(ask_ledger: Run) -> None:
    document = explained(ask_ledger, "node/gpu-0")
    assert (document["namespace"], document["workload"], document["cost"]) == (None, "Node/gpu-0", "201.000000")
    by_pod: dict[str, Decimal] = {}
    for line in document["lines"]:
        by_pod[line["pod"]] = by_pod.get(line["pod"], Decimal(0)) + Decimal(line["cost"])
    assert by_pod == {"bert-0": Decimal("20.1"), "sweep-0": Decimal("15.075"), "(idle)": Decimal("165.825")}
    assert [(line["share"], line["gpus"], line["hours"]) for line in document["lines"] if line["pod"] == "(idle)"] == [
        ("1/4", 2, "2.000000"),
        ("3/4", 6, "1.000000"),
        ("1", 8, "7.000000"),
    ]


def test_a_pod_ends_in_the_pods_cost(ask_ledger: Run) -> None:
    document = explained(ask_ledger, "pod/bert-0", "-n", "research")
    assert (document["cost"], document["workload"]) == ("20.100000", "Pod/bert-0")
    assert document == explained(ask_ledger, "po/bert-0", "-n", "research")


def test_a_namespace_ends_in_the_namespaces_cost(ask_ledger: Run) -> None:
    document = explained(ask_ledger, "namespace/research")
    assert (document["cost"], {line["pod"] for line in document["lines"]}) == ("35.175000", {"bert-0", "sweep-0"})
    assert explained(ask_ledger, "ns/serving")["cost"] == "9.780000"


def test_tables_fit_80_columns_and_name_the_subject(ask_ledger: Run) -> None:
    for subject, title in (
        (("node/gpu-0",), "Node/gpu-0, 2026"),
        (("pod/bert-0", "-n", "research"), "Pod/bert-0 in research, 2026"),
        (("ns/research",), "Namespace/research, 2026"),
    ):
        text = ask_ledger("explain", *subject).stdout
        assert text.startswith(title)
        assert max(map(len, text.splitlines())) <= 80
    text = ask_ledger("explain", "node/gpu-0").stdout
    assert "(idle) on gpu-0, held by nobody, spot, PriceBook/team" in text
    assert "$201.000000" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("node/gpu-7",), "no node gpu-7 is known; see `kubectl cost node`"),
        (("pod/gone", "-n", "research"), "try `kubectl cost pod -n research`"),
        (("ns/nowhere",), "no cost is known for ns/nowhere"),
        (("node/gpu-0", "-n", "research"), "without -n"),
        (("job/bart", "-n", "research"), "try Job/bert"),
        (("job/bert",), "-n NAMESPACE"),
    ],
)
def test_what_is_not_known_is_refused_with_a_hint(ask_ledger: Run, arguments: tuple[str, ...], words: str) -> None:
    result = ask_ledger("explain", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in " ".join(result.stderr.split())


def test_unpriced_idle_time_is_a_line_without_a_cost(ask_ledger: Run) -> None:
    document = explained(ask_ledger, "node/cpu-0")
    assert document["cost"] is None
    assert {line["cost"] for line in document["lines"]} == {None}
    assert {line["pod"] for line in document["lines"]} == {"web-0", "(idle)"}


STRANDED = NodeFact(
    "m1",
    "mig-0",
    T0,
    None,
    Resources(gpus=Fraction(6, 7)),
    physical_gpus=1,
    stranded_gpus=Fraction(1, 7),
)
ODD = (
    STRANDED,
    price("7", node_uid="m1"),
    replace(pod("slice-0", 0.3, 7.77, node_uid="m1"), requests=Resources(gpus=Fraction(3, 7))),
    node("x1", 0.1, 4.3, gpus=3, name="twin", memory=7),
    node("x2", 4.4, 9, gpus=3, name="twin"),
    price("1.0000001", node_uid="x1"),
    price("2", 3, node_uid="x1", capacity_type="spot"),
    price("0.3333333", node_uid="x2"),
    pod("one", 1.234, 4, gpus=1, node_uid="x1"),
    pod("two", 0.5, 3.21, gpus=2, memory=5, node_uid="x1"),
    pod("three", 2, 2.5, gpus=3, node_uid="x1"),
    pod("four", 5, 6.789, gpus=1, node_uid="x2"),
)


@pytest.fixture(params=[True, False], ids=["settled", "open"])
def ask_odd(request: pytest.FixtureRequest, kubectl_cost: Run, tmp_path: Path) -> Iterator[Run]:
    provider = LedgerOnly.of(tmp_path, [*WORLD, *ODD], now=NOW, settled=request.param)
    with serving(provider) as url:
        yield lambda *arguments: kubectl_cost(*arguments, GPUCOST_API_URL=url)
    provider.ledger.close()


def test_odd_prices_and_overcommitted_nodes_end_in_exactly_what_is_reported(ask_odd: Run) -> None:
    for window in ("7d", f"2026-11-02T00:30:00Z,2026-11-02T0{(at(5.1) - T0) // 3_600_000_000}:07:00Z"):
        nodes = listed(ask_odd, "idle", "--window", window)["nodes"]
        assert sum(Decimal(each["cost"] or 0) for each in nodes) == Decimal(
            listed(ask_odd, "node", "--window", window)["total"]["cost"]
        )
        for name in {each["name"] for each in nodes}:
            cost = sum(Decimal(each["cost"] or 0) for each in nodes if each["name"] == name)
            document = explained(ask_odd, f"node/{name}", "--window", window)
            assert Decimal(document["cost"] or 0) == cost
        for row in listed(ask_odd, "pod", "-n", "research", "--window", window)["rows"]:
            subject = f"pod/{row['key'].partition('/')[2]}"
            assert explained(ask_odd, subject, "-n", "research", "--window", window)["cost"] == row["cost"]


def test_what_cannot_be_given_to_anybody_is_a_line_of_its_own(ask_odd: Run) -> None:
    document = explained(ask_odd, "node/mig-0")
    kinds = {line["pod"] for line in document["lines"]}
    assert {"slice-0", "(idle)"} <= kinds
    split = next(each for each in listed(ask_odd, "idle")["nodes"] if each["name"] == "mig-0")
    by_kind = {
        kind: sum((Decimal(line["cost"]) for line in document["lines"] if line["pod"] == kind), Decimal(0))
        for kind in ("(idle)", "(stranded)")
    }
    assert abs(by_kind["(idle)"] - Decimal(split["idle"])) <= Decimal("0.00001")
    assert abs(by_kind["(stranded)"] - Decimal(split["stranded"])) <= Decimal("0.00001")
