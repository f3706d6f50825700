"""`kubectl cost explain iep/NAME`: from stretches of time to the price of a token, ending in what is reported."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gpucost.core.clock import HOUR, Instant, format_rfc3339
from gpucost.core.model import Workload
from gpucost.core.serving.signals.model import Work
from gpucost.core.serving.work_hours import WorkHour
from gpucost.core.timeline import Interval
from gpucost.ledger.workload_hours import WorkloadHours
from gpucost.runtime.endpoints.past import EndpointsPast
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.endpoints.unit_costs import UnitCosts
from gpucost.runtime.world import custom_record
from gpucost.web.schema_endpoints import UnitCost
from support.ledger_world import T0, at, node, pod, price
from support.run_world import RunWorld
from unit.cli.conftest import serving

Run = Callable[..., Result]
WINDOW = f"{format_rfc3339(at(0))},{format_rfc3339(at(12))}"

CHAT = Workload("Deployment", "chat")
FACTS = (
    node("g1", gpus=2, name="gpu-chat"),
    price("3.000001", node_uid="g1", source="PriceBook/team"),
    replace(pod("chat-0", 0, 3.5, gpus=1, node_uid="g1", namespace="serving"), workload=CHAT),
    replace(pod("chat-1", 1, 2, gpus=1, node_uid="g1", namespace="serving"), workload=CHAT),
)
"""A half of the node for 4.5 hours: 6.75000225, of which an hour each 1.5 (0), 3 (1), 1.5 (2) and 0.75 (3)."""
WORK = Work(requests=700, prompt_tokens=90_000, generation_tokens=21_000, prefill_seconds=100, decode_seconds=500)
DONE: Mapping[Instant, WorkHour] = {
    T0: WorkHour(HOUR, 0, HOUR // 2, HOUR // 3, HOUR // 6, WORK),
    T0 + HOUR: WorkHour(HOUR, 0, 2 * HOUR, 0, 0, WORK),
    T0 + 2 * HOUR: WorkHour(0, 0, 0, HOUR, 0),
}


@pytest.fixture
def ask(kubectl_cost: Run, tmp_path: Path) -> Iterator[Run]:
    runs = RunWorld.of(tmp_path)
    ledger = runs.ledger.ledger
    ledger.record(FACTS)
    endpoints = Endpoints(runs.world)
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "chat"}, "runtime": "vllm"}
    metadata = {"name": "llama", "namespace": "serving", "uid": "iep", "generation": 1}
    endpoints.changed(custom_record({"kind": "InferenceEndpoint", "metadata": metadata, "spec": spec}))

    async def costs(namespace: str, workload: Workload, span: Interval) -> WorkloadHours:
        return ledger.workload_hours(namespace, workload, span, now=runs.ledger.at)

    async def hours(_uid: str, _span: Interval) -> Mapping[Instant, WorkHour]:
        return DONE

    past = EndpointsPast(runs.ledger.now, lambda _asked: ())
    runs.insights.units = UnitCosts(
        runs.ledger.now, past, endpoints.records, endpoints.spec_of, costs=costs, hours=hours
    )
    with serving(runs.ledger, runs.insights) as url:
        yield lambda *arguments: kubectl_cost("explain", *arguments, "--window", WINDOW, GPUCOST_API_URL=url)
    ledger.close()


def documents(ask: Run, subject: str = "iep/llama") -> Any:
    result = ask(subject, "-n", "serving", "-o", "json")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return json.loads(result.stdout)


def test_hours_add_up_to_the_parts_and_these_to_the_stretches_of_the_workload(ask: Run) -> None:
    found = documents(ask)
    unit = UnitCost.model_validate(found["unitCost"], extra="forbid")
    lines = [Decimal(line["cost"]) for line in found["explanation"]["lines"]]
    assert Decimal(unit.cost or 0) == sum(lines) == sum(Decimal(hour.cost) for hour in unit.hours)
    assert unit.cost == "6.750002"
    for part in unit.parts:
        assert Decimal(part.cost) == sum(Decimal(getattr(hour, part.part)) for hour in unit.hours), part
    assert [(hour.pod_hours, hour.busy_hours) for hour in unit.hours] == [
        ("1.000000", "0.500000"),
        ("2.000000", "2.000000"),
        ("1.000000", "0.000000"),
        ("0.500000", "0.000000"),
    ]
    first = unit.hours[0]
    assert [first.input, first.output, first.idle, first.starting, first.unknown] == [
        "0.125000",
        "0.625000",
        "0.500000",
        "0.250000",
        "0.000000",
    ], "half of 1.50 for work, a sixth of it for prompts; a third idle, a sixth starting"
    assert Decimal(unit.hours[3].unknown) == Decimal("0.750000"), "nobody knows what the last half hour was for"


def test_people_see_each_step_and_the_prices_that_follow(ask: Run) -> None:
    result = ask("InferenceEndpoint/llama", "-n", "serving")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    text = " ".join(result.stdout.split())
    unit = UnitCost.model_validate(documents(ask)["unitCost"])
    assert "InferenceEndpoint/llama in serving, served by the pods of Deployment/chat" in text
    assert text.count("$6.750002") == 2, "the total of the stretches, and of what the pods did"
    assert "100.000/600.000 s" in text
    assert f"/ 180,000 tokens x 1,000,000 ${unit.average.per_million_input_tokens}" in text
    assert f"/ 1,400 requests ${unit.average.per_request}" in text
    known = Decimal(unit.cost or 0) - Decimal("0.75")
    assert abs(known / 1400 - Decimal(unit.average.per_request or 0)) < Decimal("0.000000001")


def test_short_kinds_and_other_formats(ask: Run) -> None:
    assert documents(ask, "ieps/llama") == documents(ask, "inferenceendpoint/llama")
    rows = list(csv.DictReader(io.StringIO(ask("iep/llama", "-n", "serving", "-o", "csv").stdout)))
    assert sum(Decimal(row["cost"]) for row in rows) == Decimal("6.750002")
    assert "| average REQUEST" in ask("iep/llama", "-n", "serving", "-o", "markdown").stdout
    assert "unitCost:" in ask("iep/llama", "-n", "serving", "-o", "yaml").stdout


def test_an_endpoint_that_nobody_knows_is_told_with_those_that_are(ask: Run) -> None:
    result = ask("iep/other", "-n", "serving")
    assert result.exit_code != 0
    assert "no InferenceEndpoint other is known in namespace serving; there is: llama" in result.stderr
