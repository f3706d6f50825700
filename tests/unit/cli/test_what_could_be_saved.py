"""`kubectl cost savings` with recommendations and right-sized replicas, against the real cost API."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from gpucost.core.clock import HOUR, format_rfc3339
from gpucost.core.money import PICO
from gpucost.core.serving.counterfactual import Hour
from gpucost.core.timeline import Interval
from gpucost.ledger.replicas import Booked
from gpucost.runtime.endpoints.footprints import Footprints
from gpucost.runtime.endpoints.otherwise import ReplicaBook
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.market import MarketView
from gpucost.runtime.recommending import Recommending
from gpucost.runtime.world import custom_record
from gpucost.web.schema_runs import SavingList
from support.ledger_world import at
from support.run_world import RunWorld, trainingjob
from unit.cli.conftest import serving

Run = Callable[..., Result]
WINDOW = f"{format_rfc3339(at(0))},{format_rfc3339(at(12))}"


def hour(number: int, *, applied: bool) -> Hour:
    """In mode Auto 3 replicas in place of 8, elsewhere 5 where 2 would do; a replica-hour is 6."""
    if applied:
        sums = {"paid": 18, "unit": 6, "before_paid": 18, "before": 48, "hpa_paid": 18, "hpa": 24, "wanted_paid": 18}
        return Hour(at(number), True, HOUR, most=4, wanted_time=HOUR, **{k: v * PICO for k, v in sums.items()})
    sums = {"paid": 30, "unit": 6, "wanted_paid": 30, "wanted": 12}
    return Hour(at(number), False, HOUR, most=2, wanted_time=HOUR, **{k: v * PICO for k, v in sums.items()})


HOURS = [
    *(Booked("iep-auto", "research", "llama", hour(n, applied=True)) for n in range(2)),
    *(Booked("iep-rec", "research", "mistral", hour(n, applied=False)) for n in range(4)),
    Booked("iep-auto", "research", "llama", hour(20, applied=True)),
]


async def _read(span: Interval, namespace: str | None) -> list[Booked]:
    return [one for one in HOURS if span.start <= one.hour.hour < span.end and namespace in {None, one.namespace}]


@pytest.fixture
def ask(kubectl_cost: Run, tmp_path: Path) -> Iterator[Run]:
    runs = RunWorld.of(tmp_path)
    cheaper = {"change": "on spot capacity", "how": "placement.policy: Spot", "cost": "200.00", "saves": "200.00"}
    gpt = custom_record(trainingjob("gpt", status={"estimate": {"cost": "400.00", "cheaper": cheaper}}))
    runs.world.trainingjobs[gpt.key] = gpt
    endpoints = Endpoints(runs.world)
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "mistral"}, "runtime": "vllm"}
    metadata = {"name": "mistral", "namespace": "research", "uid": "iep-rec", "generation": 1}
    status = {"currentReplicas": 5, "recommendation": {"replicas": 2}}
    endpoints.changed(
        custom_record({"kind": "InferenceEndpoint", "metadata": metadata, "spec": spec, "status": status})
    )
    book = ReplicaBook(lambda: at(12), read=_read)
    footprints = Footprints(endpoints, dict, MarketView, lambda: at(12))
    runs.insights.recommending = Recommending(runs.world, endpoints, book, footprints)
    with serving(runs.ledger, runs.insights) as url:
        yield lambda *arguments: kubectl_cost(*arguments, GPUCOST_API_URL=url)
    runs.ledger.ledger.close()


def document(ask: Run, *arguments: str) -> SavingList:
    found = json.loads(ask("savings", "--window", WINDOW, "-o", "json", *arguments).stdout)
    return SavingList.model_validate(found, extra="forbid")


def test_what_right_sizing_has_saved_and_against_what(ask: Run) -> None:
    """Two hours in the window: 2 x (48 - 18) saved; the peak of 4 would have cost 2 x 24, an HPA 2 x 24."""
    found = next(one for one in document(ask).items if one.policy == "right-sized replicas")
    assert (found.namespace, found.workloads, found.unknown) == ("research", 1, 0)
    assert (found.cost, found.otherwise, found.saved) == ("36.000000", "96.000000", "60.000000")
    assert [one.saved for one in found.also] == ["12.000000", "12.000000"]
    assert document(ask).total == "185.400000", "with 125.40 of spot capacity; nothing of the comparisons"


def test_a_window_that_begins_within_an_hour_has_the_hour(ask: Run) -> None:
    """Of the last half hour something was saved, though replicas are booked by the hour: 48 - 18."""
    window = f"{format_rfc3339(at(1) + HOUR // 2)},{format_rfc3339(at(2))}"
    found = SavingList.model_validate_json(ask("savings", "--window", window, "-o", "json").stdout)
    assert [one.saved for one in found.items if one.policy == "right-sized replicas"] == ["30.000000"]


def test_what_could_be_saved_is_ranked_with_commands(ask: Run) -> None:
    """18 an hour are 13,140 a month; the run saves 200 once."""
    found = document(ask)
    assert [(one.subject, one.action, one.saves, one.per) for one in found.recommendations] == [
        ("InferenceEndpoint/mistral", "replicas", "13140.000000", "month"),
        ("TrainingJob/gpt", "spot", "200.000000", "run"),
    ]
    assert found.recommended_monthly == "13140.000000"
    assert all(shlex.split(one.command)[0] == "kubectl" for one in found.recommendations)
    assert document(ask, "-n", "elsewhere").recommendations == ()


def test_it_fits_a_terminal_and_the_commands_can_be_copied(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = ask("savings", "--window", WINDOW)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "$13,140.00 a month could be saved" in result.stdout
    text = result.stdout.replace("\\\n", "")
    line = next(one for one in text.splitlines() if one.strip().startswith("kubectl patch inferenceendpoint"))
    assert json.loads(shlex.split(line)[-1]) == {"spec": {"mode": "Auto"}}
    assert "$12.00 against a HorizontalPodAutoscaler at its defaults" in " ".join(text.split())
    markdown = ask("savings", "--window", WINDOW, "-o", "markdown").stdout
    assert "1. `kubectl patch inferenceendpoint mistral" in markdown
