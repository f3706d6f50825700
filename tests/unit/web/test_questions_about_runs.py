"""Prices, reports of runs, simulations and savings over HTTP: documents, tables for kubectl, and refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gpucost.core.clock import format_rfc3339
from gpucost.web import discovery
from gpucost.web.app import BASE, create_app
from gpucost.web.provider import NotReady
from gpucost.web.schema_estimates import OfferList
from support.ledger_world import at
from support.run_world import RunWorld

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
WINDOW = f"{format_rfc3339(at(0))},{format_rfc3339(at(12))}"
RESEARCH = f"{BASE}/namespaces/research"


@pytest.fixture
def runs(tmp_path: Path) -> RunWorld:
    return RunWorld.of(tmp_path)


@pytest.fixture
async def client(runs: RunWorld) -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(create_app(runs.ledger, insights=runs.insights))) as client:
        yield client
    runs.ledger.ledger.close()


async def get(client: TestClient, path: str, *, status: int = 200, table: bool = False, **params: str) -> Any:
    response = await client.get(path, params=params, headers={"Accept": TABLE} if table else {})
    assert response.status == status, await response.text()
    return await response.json()


def lines(table: Any) -> list[list[str]]:
    assert table["kind"] == "Table"
    assert all(len(row["cells"]) == len(table["columnDefinitions"]) for row in table["rows"])
    return [row["cells"] for row in table["rows"]]


@pytest.mark.parametrize("where", [BASE, RESEARCH])
async def test_prices_are_the_same_wherever_they_are_asked_for(client: TestClient, where: str) -> None:
    document = await get(client, f"{where}/offers")
    offers = OfferList.model_validate(document, extra="forbid")
    assert offers.gpu_models == ("H100",)
    listed = {one.metadata.name: one for one in offers.items}
    assert (listed["h100-spot"].low, listed["h100-spot"].typical, listed["h100-spot"].high) == ("2.2", "2.7", "3.2")
    cells = lines(await get(client, f"{where}/offers", table=True))
    assert ["h100-spot", "H100", "any", "spot", "2.2", "2.7", "3.2", "built-in list 2026-11-01"] in cells


async def test_a_report_as_kubectl_shows_it(client: TestClient) -> None:
    (cells,) = lines(await get(client, f"{RESEARCH}/runreports/bert", table=True))
    assert cells == ["bert", "Complete", "74.00", "383.72", "125.40", "150.58", "0.050886", "USD"]  # 118.18 + 32.40


async def test_savings_as_kubectl_shows_them(client: TestClient) -> None:
    cells = lines(await get(client, f"{RESEARCH}/savings", table=True, window=WINDOW))
    assert cells == [
        ["research.spot", "placement Spot", "1", "81.00", "206.40", "125.40", "USD"],
        ["(total)", "", "", "", "", "125.40", "USD"],
    ]


async def test_a_simulation_as_kubectl_shows_it(client: TestClient) -> None:
    path = f"{RESEARCH}/runreports/bert/simulation"
    cells = lines(await get(client, path, table=True, deadline="12h", changeover="12m"))
    assert {row[0] for row in cells} == {"auto", "onDemand", "spotOnly"}
    (dear,) = (row for row in cells if row[0] == "onDemand")
    assert dear[1:3] == ["487.10", "487.10"]


@pytest.mark.parametrize(
    ("path", "params", "status", "field"),
    [
        ("savings", {"window": "soon"}, 400, "window"),
        ("savings", {"watch": "true"}, 405, None),
        ("offers", {"watch": "1"}, 405, None),
        ("runreports/nobody", {}, 404, None),
        ("runreports/bert/simulation", {}, 400, None),
        ("runreports/bert/simulation", {"deadline": "1h", "completeBy": "2026-12-01T00:00:00Z"}, 400, "deadline"),
        ("runreports/bert/simulation", {"deadline": "-1h"}, 400, "deadline"),
        ("runreports/bert/simulation", {"completeBy": "tomorrow"}, 400, "completeBy"),
        ("runreports/bert/simulation", {"completeBy": "9999-01-01T00:00:00Z"}, 400, None),
        ("runreports/bert/simulation", {"deadline": "1h", "changeover": "none"}, 400, "changeover"),
        ("runreports", {}, 404, None),
    ],
)
async def test_what_cannot_be_answered_is_a_status(
    client: TestClient, path: str, params: dict[str, str], status: int, field: str | None
) -> None:
    document = await get(client, f"{RESEARCH}/{path}", status=status, **params)
    assert (document["kind"], document["code"]) == ("Status", status)
    causes = document["details"].get("causes", [{}])
    assert causes[0].get("field") == field


async def test_while_the_operator_starts_it_says_so(client: TestClient, runs: RunWorld) -> None:
    def starting() -> None:
        raise NotReady("waiting for the caches")

    runs.ledger.ready = starting  # type: ignore[method-assign]
    document = await get(client, f"{RESEARCH}/offers", status=503)
    assert "waiting for the caches" in document["message"]


async def test_every_resource_is_discovered_with_its_verbs(client: TestClient) -> None:
    listed = {one["name"]: one["verbs"] for one in (await get(client, BASE))["resources"]}
    assert listed == {one.name: list(one.verbs) for one in discovery.RESOURCES}
    subresources = next(one for one in _aggregated() if one["resource"] == "runreports")["subresources"]
    assert subresources[0]["subresource"] == "simulation"
    paths = discovery.openapi_v3()["paths"]
    assert {path.rpartition("v1alpha1/")[2] for path in paths} >= {"offers", "savings"}


def _aggregated() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = discovery.aggregated()["items"][0]["versions"][0]["resources"]
    return found


async def test_without_a_provider_of_them_there_are_no_such_questions(runs: RunWorld) -> None:
    async with TestClient(TestServer(create_app(runs.ledger))) as client:
        assert (await client.get(f"{BASE}/offers")).status == 404
    runs.ledger.ledger.close()
