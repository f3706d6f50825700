"""Replicas follow the requests that are really served, and stay where they are while nobody knows how many come.

What the tokens cost adds up to what the ledger has booked for the pods.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from local import wait_for
from servers import serving
from servers.load import Load
from servers.serving import FAULT
from support.operator_world import COSTS, Team, costs, fetch, last_hour, micro
from support.plugin import kubectl_cost
from support.served import Served

if TYPE_CHECKING:
    from support.live import Live

pytestmark = pytest.mark.cluster


@contextmanager
def under(load: Load, seconds: float) -> Iterator[Load]:
    """Send requests meanwhile; at the end the last ones are answered."""
    thread = Thread(target=lambda: asyncio.run(load.run(seconds)), daemon=True)
    thread.start()
    try:
        yield load
    finally:
        load.stop()
        thread.join(60)


@pytest.fixture
def served(team: Team) -> Served:
    team.add_node(gpus=8)
    return Served(team)


API_PRICE = {"name": "gpt-x", "inputPerMillionTokens": "3", "outputPerMillionTokens": "15"}


def upgrade(served: Served, fault: str) -> None:
    for pod in served.pods():
        path = served.team.path("pods", pod["metadata"]["name"])
        served.team.cluster.api.merge(path, {"metadata": {"annotations": {FAULT: fault}}})


def test_replicas_follow_the_load_at_a_known_price_and_freeze_while_it_is_unknown(live: Live, served: Served) -> None:
    served.deploy(1)
    served.until_replicas(1)
    # a replica gives 8 x 40 tokens in 0.64 s at most, 12.5 requests a second; within the objective it is less
    address = serving.start(served.team.cluster, served.team.namespace, f"app={served.name}")
    served.serve(
        runtime="vllm",
        metrics={"tenantLabel": "tenant"},
        maxReplicas=4,
        slo={"ttftP95": "1s"},
        capacity={"requestsPerSecond": "8"},
        behavior={"scaleDown": {"stabilizationWindowSeconds": 0, "tolerance": "0"}},
        comparedTo=API_PRICE,
    )
    asking = Load(f"http://{address}", rate=18, late_after=1.0, users=("sales", "sales", "research"))
    with under(asking, 180) as load:
        wait_for(lambda: served.replicas() >= 3, 90, lambda: f"{served.replicas()}: {served.status()}"[:1500])
        served.until_replicas(served.replicas())
        wait_for(lambda: load.open < 30, 60, lambda: f"the queue is gone: {load.open} open")
        late, sent = load.tally.late, load.tally.sent
        shown = wait_for(lambda: priced(served), 60, lambda: f"prices are shown: {served.status()}"[:2500])
        assert all(Decimal(amount) > 0 for amount in shown.values())
        assert load.tally.failed == 0
        assert load.tally.late - late <= 0.05 * (load.tally.sent - sent), "as many replicas as there are keep up"

        upgrade(served, "new-names")
        told = served.until("MetricsAvailable", "MetricsMissing", 60)
        wait_for(lambda: "have names changed" in available(served)[1], 30, lambda: str(served.status())[:2500])
        assert told["status"] == "False"
        held = served.replicas()
    served.until("Ready", "MetricsMissing", 30)
    assert served.replicas() == held, "without requests, and without anybody who says so"
    assert any("requests/s arrive" in note for note in served.events("ReplicasRightSized"))

    served.remove()
    wait_for(lambda: not served.pods(), 30, "all replicas are gone")
    adds_up_to_the_ledger(live, served, asking)


def available(served: Served) -> tuple[str, str]:
    found = served.condition("MetricsAvailable")
    return found.get("reason", ""), found.get("message", "")


def priced(served: Served) -> dict[str, str] | None:
    """Prices per unit in the status, once all are there."""
    cost, names = served.status().get("cost", {}), ("perMillionInputTokens", "perMillionOutputTokens", "perRequest")
    return {name: cost[name] for name in names} if {*names, "idle"} <= cost.keys() else None


def adds_up_to_the_ledger(live: Live, served: Served, load: Load) -> None:
    """Of a workload that is gone, so that nothing grows between two questions: the same to the micro-dollar."""
    space, window = served.team.namespace, last_hour()[1]
    wait_for(lambda: micro(booked(live, served, window)["hourly"]) == 0, 30, "nothing is held any more")
    row = booked(live, served, window)
    found = fetch(f"{live.api_url}{COSTS}/namespaces/{space}/unitcosts/{served.name}?window={window}")
    parts = {one["part"]: micro(one["cost"]) for one in found["parts"]}
    assert sum(parts.values()) == micro(found["cost"]) == micro(row["cost"]) > 0
    assert parts["input"] + parts["output"] == sum(micro(one["cost"]) for one in found["tenants"])
    units, tenants = found["units"], {one["tenant"]: one for one in found["tenants"]}
    assert tenants.keys() == {"sales", "research"}
    assert tenants["sales"]["requests"] == pytest.approx(2 * tenants["research"]["requests"], rel=0.1)
    assert sum(one["requests"] for one in found["tenants"]) == pytest.approx(units["requests"])
    assert 0 < units["requests"] <= load.tally.sent
    assert units["cacheHits"] == pytest.approx(load.prompt_tokens // 4 / load.prompt_tokens)
    average, known = found["average"], sum(parts.values()) - parts["unknown"]
    of_kinds = zip(("Input", "Output"), ("inputTokens", "outputTokens"), strict=True)
    spent = sum(micro(average[f"perMillion{kind}Tokens"]) * units[name] for kind, name in of_kinds) / 10**6
    assert spent == pytest.approx(known, abs=1)
    theirs = 3 * units["inputTokens"] + 15 * units["outputTokens"]
    compared = found["comparison"]
    assert compared["name"] == "gpt-x"
    assert micro(compared["theirs"]) == pytest.approx(theirs, abs=1)
    assert micro(compared["saved"]) == micro(compared["theirs"]) - micro(compared["own"])
    assert compared["evenRequestsPerHour"] > 0
    printed = kubectl_cost(served.team, "endpoint", served.name, "--window", window)
    assert printed.returncode == 0, printed.stderr
    for said in ("24% of the prompt tokens were found in the prefix cache", "At gpt-x", "research", "Breaks even"):
        assert said in printed.stdout


def booked(live: Live, served: Served, window: str) -> dict[str, Any]:
    """What the list of workloads shows of the Deployment."""
    found = costs(live.api_url, served.team.namespace, "workload", window)["items"]
    return next(one for one in found if one["workload"] == f"Deployment/{served.name}")
