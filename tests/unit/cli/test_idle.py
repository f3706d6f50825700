"""`kubectl cost idle`: what became of every dollar of every node, worked out by hand.

gpu-0 cost 201.00: 12.261 computing, 7.839 held without (bert-0), 15.075 held by sweep-0 that nobody measured, 165.825
held by nobody. gpu-1 cost 9.78, of which chat-0 computed 34 %. cpu-0 has no price.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from click.testing import Result

from gpucost.core.model import NodeFact, NodeKind, Resources
from gpucost.web.schema import IdleDocument
from support.ledger_provider import WORLD, LedgerOnly
from support.ledger_world import T0, price
from unit.cli.conftest import serving

Run = Callable[..., Result]
PARTS = ("active", "held", "unknownActivity", "nonGpu", "idle", "stranded")


def document(run: Run, *arguments: str) -> Any:
    return json.loads(run("idle", "-o", "json", *arguments).stdout)


def test_every_dollar_of_a_node_is_told(ask_ledger: Run) -> None:
    found = document(ask_ledger)
    IdleDocument.model_validate(found, extra="forbid")
    nodes = {node["name"]: node for node in found["nodes"]}
    gpu = nodes["gpu-0"]
    assert [gpu[name] for name in PARTS] == [
        "12.261000",
        "7.839000",
        "15.075000",
        "0.000000",
        "165.825000",
        "0.000000",
    ]
    assert (gpu["cost"], gpu["wasted"], gpu["hourly"], gpu["idleHourly"]) == (
        "201.000000",
        "173.664000",
        "20.100000",
        "20.100000",
    )
    assert (nodes["gpu-1"]["wasted"], nodes["gpu-1"]["idleHourly"]) == ("6.454800", "0.000000")
    assert nodes["cpu-0"]["cost"] is None
    for node in [*nodes.values(), found["total"]]:
        assert sum(Decimal(node[name]) for name in PARTS) == Decimal(node["cost"] or 0)
    assert found["total"]["cost"] == "210.780000"


def test_the_worst_comes_first_and_names_who_sits_on_it(ask_ledger: Run) -> None:
    lines = ask_ledger("idle").stdout.splitlines()
    assert lines[0].startswith("$180.12 of $210.78 (85%) for nothing")
    names = [line.split()[0] for line in lines if line.startswith(("gpu", "  research", "  serving", "cpu", "TOTAL"))]
    assert names == ["gpu-0", "research/bert-0", "gpu-1", "serving/chat-0", "cpu-0", "TOTAL"]
    assert next(line for line in lines if line.startswith("gpu-0")).split() == [
        *("gpu-0", "8", "6%", "4%", "82%", "8%"),
        *("$173.66+", "$20.10"),
    ]


def test_other_orders(ask_ledger: Run) -> None:
    def order(column: str) -> list[str]:
        return [node["name"] for node in document(ask_ledger, "--sort-by", column)["nodes"]]

    assert order("name") == ["cpu-0", "gpu-0", "gpu-1"]
    assert order("hourly") == ["gpu-0", "gpu-1", "cpu-0"]
    assert order("gpu-hours")[0] == "gpu-0"


def test_csv_has_a_line_for_each_node_and_the_total(ask_ledger: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(ask_ledger("idle", "-o", "csv").stdout)))
    assert [(row["key"], row["wasted"], row["sitters"]) for row in rows] == [
        ("n1", "173.664000", "research/bert-0"),
        ("n2", "6.454800", "serving/chat-0"),
        ("n3", "0.000000", ""),
        ("(total)", "180.118800", ""),
    ]


def test_a_window_without_nodes_says_what_to_try(ask_ledger: Run) -> None:
    result = ask_ledger("idle", "--window", "2026-10-01,2026-10-02")
    assert result.exit_code == 0
    assert "No node cost anything in the window." in result.stdout


def test_a_released_volume_is_idle_money(kubectl_cost: Run, tmp_path: Path) -> None:
    volume = NodeFact("v1", "pvc-7f", T0, None, Resources(storage=100 * 2**30), kind=NodeKind.VOLUME)
    provider = LedgerOnly.of(tmp_path, [*WORLD, volume, price("0.5", node_uid="v1")], settled=False)
    with serving(provider) as url:
        text = kubectl_cost("idle", GPUCOST_API_URL=url).stdout
    provider.ledger.close()
    line = next(line for line in text.splitlines() if "pvc-7f" in line)
    assert line.split() == ["volume", "pvc-7f", "-", "0%", "0%", "100%", "0%", "$5.00", "$0.50"]
