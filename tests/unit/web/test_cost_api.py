"""The cost API, asked over HTTP for costs that were worked out by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gpucost.web.app import BASE, create_app
from gpucost.web.provider import NotReady
from gpucost.web.schema import AllocationList, Explanation
from unit.web.cost_example import ExampleProvider

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
ALL = {"window": "2026-11-01,2026-11-02"}


@pytest.fixture
def provider() -> ExampleProvider:
    return ExampleProvider()


@pytest.fixture
async def client(provider: ExampleProvider) -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(create_app(provider))) as client:
        yield client


async def get(client: TestClient, path: str, *, status: int = 200, **params: str) -> Any:
    response = await client.get(path if path.startswith("/") else f"{BASE}/{path}", params=params)
    assert response.status == status, await response.text()
    return await response.json()


def cents(document: Any, *path: str) -> Decimal:
    for step in path:
        document = document[step]
    return Decimal(document)


# --- lists ------------------------------------------------------------------------------------------------------------


async def test_namespaces_cost_what_was_worked_out_by_hand(client: TestClient) -> None:
    document = await get(client, "allocations", by="namespace", window="10h")
    assert [(row["key"], row["cost"], row["gpuHours"]) for row in document["items"]] == [
        ("research", "35.175000", "14.000000"),
        ("serving", "9.780000", "10.000000"),
    ]
    assert document["idle"] == {"cost": "165.825000", "hourly": "20.100000", "gpuHours": "66.000000"}
    assert document["total"]["cost"] == "210.780000"
    assert document["window"] == {"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T10:00:00Z"}


async def test_rows_idle_and_stranded_add_up_to_the_total(client: TestClient) -> None:
    for by in ("namespace", "workload", "pod", "category"):
        document = await get(client, "allocations", by=by)
        parts = [cents(row, "cost") for row in document["items"] if row["cost"] is not None]
        parts += [cents(document, "idle", "cost"), cents(document, "stranded", "cost")]
        assert sum(parts) == cents(document, "total", "cost")


async def test_the_kinds_of_a_cost_add_up_to_it(client: TestClient) -> None:
    document = await get(client, "allocations", by="namespace")
    research = document["items"][0]
    assert (research["active"], research["held"], research["unknownActivity"]) == (
        "12.261000",
        "7.839000",
        "15.075000",
    )
    for row in document["items"]:
        assert sum(cents(row, k) for k in ("active", "held", "unknownActivity", "nonGpu")) == cents(row, "cost")


async def test_what_has_no_price_is_null_and_comes_last(client: TestClient) -> None:
    document = await get(client, "namespaces/serving/allocations")
    web = document["items"][-1]
    assert (web["key"], web["cost"], web["hourly"], web["coverage"]) == ("serving/Deployment/web", None, None, 0.0)
    assert document["total"]["hourly"] is None


async def test_what_was_not_measured_is_null(client: TestClient) -> None:
    document = await get(client, "namespaces/research/allocations")
    rows = {row["workload"]: row for row in document["items"]}
    assert rows["Job/sweep"]["gpuUtilization"] is None
    assert rows["TrainingJob/bert"]["gpuUtilization"] == 0.61


async def test_a_namespace_shows_neither_others_nor_idle_capacity(client: TestClient) -> None:
    document = await get(client, "namespaces/research/allocations", by="pod")
    assert [row["metadata"] for row in document["items"]] == [
        {"name": "bert-0", "namespace": "research"},
        {"name": "sweep-0", "namespace": "research"},
    ]
    assert document["idle"]["cost"] == "0.000000"
    assert document["total"]["cost"] == "35.175000"


async def test_labels_select(client: TestClient) -> None:
    document = await get(client, "allocations", labelSelector="team in (nlp, vision)")
    assert [row["workload"] for row in document["items"]] == ["TrainingJob/bert"]


async def test_a_window_without_cost_is_an_empty_list(client: TestClient) -> None:
    document = await get(client, "allocations", window="2026-10-01,2026-10-02")
    assert document["items"] == []
    assert document["total"]["cost"] == "0.000000"


async def test_documents_are_what_the_published_models_say(client: TestClient) -> None:
    AllocationList.model_validate(await get(client, "allocations"), extra="forbid")
    Explanation.model_validate(await get(client, "namespaces/research/allocations/tj.bert", **ALL), extra="forbid")


# --- explanations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trainingjob.bert", "TrainingJob.bert", "tj.bert", "trainingjobs.bert"])
async def test_an_explanation_ends_in_the_reported_cost(client: TestClient, name: str) -> None:
    document = await get(client, f"namespaces/research/allocations/{name}")
    assert [line["cost"] for line in document["lines"]] == ["10.050000", "10.050000"]
    assert document["total"]["cost"] == "20.100000"
    first = document["lines"][0]
    assert (first["hours"], first["share"], first["hourly"]) == ("1.000000", "1/2", "20.10")


async def test_an_unknown_workload_is_not_found_and_similar_names_are_shown(client: TestClient) -> None:
    status = await get(client, "namespaces/research/allocations/trainingjob.bart", status=404)
    assert status["kind"] == "Status"
    assert status["reason"] == "NotFound"
    assert "try TrainingJob/bert" in status["message"]
    assert status["details"]["name"] == "trainingjob.bart"


async def test_a_name_without_a_kind_is_not_found(client: TestClient) -> None:
    status = await get(client, "namespaces/research/allocations/bert", status=404)
    assert "KIND.NAME" in status["message"]


# --- tables -----------------------------------------------------------------------------------------------------------


async def table(client: TestClient, path: str, **params: str) -> Any:
    response = await client.get(f"{BASE}/{path}", params=params, headers={"Accept": TABLE})
    document = await response.json()
    assert (document["kind"], document["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    for row in document["rows"]:
        assert len(row["cells"]) == len(document["columnDefinitions"])
    return document


async def test_kubectl_gets_a_table(client: TestClient) -> None:
    document = await table(client, "allocations", limit="500")
    assert [row["cells"][:6] for row in document["rows"]] == [
        ["trainingjob.bert", "8.0", "61%", "20.10", "7.84", "0.00"],
        ["job.sweep", "6.0", "unknown", "15.08", "unknown", "0.00"],
        ["deployment.chat", "10.0", "34%", "9.78", "6.45", "0.98"],
        ["deployment.web", "0.0", "-", "unpriced", "-", "unpriced"],
        ["(idle)", "66.0", "-", "165.82", "165.82", "20.10"],
    ]
    assert document["rows"][0]["object"]["metadata"] == {"name": "trainingjob.bert", "namespace": "research"}


async def test_an_explanation_is_a_table_of_its_lines(client: TestClient) -> None:
    document = await table(client, "namespaces/research/allocations/trainingjob.bert")
    assert document["rows"][0]["cells"][:4] == ["bert-0", "gpu-0", "2026-11-01T00:00:00Z", "1.000000"]
    assert document["rows"][-1]["cells"][6] == "20.100000"


async def test_whole_objects_come_with_the_table_when_asked_for(client: TestClient) -> None:
    document = await table(client, "allocations", includeObject="Object")
    assert document["rows"][0]["object"]["kind"] == "Allocation"
    document = await table(client, "allocations", includeObject="None")
    assert "object" not in document["rows"][0]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "field", "remedy"),
    [
        ({"window": "soon"}, "window", "7d"),
        ({"window": "0d"}, "window", "7d"),
        ({"window": "2026-11-02,2026-11-01"}, "window", "earlier"),
        ({"window": "2027-11-02,2027-11-03"}, "window", "future"),
        ({"window": "2026-11-01T00:00:00,"}, "window", "append Z"),
        ({"by": "team"}, "by", "namespace, workload, pod"),
        ({"labelSelector": "a b"}, "labelSelector", "team=nlp"),
        ({"fieldSelector": "a=b"}, "fieldSelector", "no fields"),
    ],
)
async def test_a_bad_parameter_is_named_with_its_remedy(
    client: TestClient, params: dict[str, str], field: str, remedy: str
) -> None:
    status = await get(client, "allocations", status=400, **params)
    assert status["reason"] == "BadRequest"
    assert status["details"]["causes"][0]["field"] == field
    assert f"parameter {field}" in status["message"]
    assert remedy in status["message"]


async def test_a_namespace_is_not_told_what_its_nodes_cost(client: TestClient) -> None:
    assert "node" in (await get(client, "namespaces/research/allocations", status=400, by="node"))["message"]


async def test_a_grouping_that_the_provider_lacks_is_a_bad_request(client: TestClient) -> None:
    assert "by node" in (await get(client, "allocations", status=400, by="node"))["message"]


async def test_a_provider_that_is_not_ready_is_unavailable(client: TestClient, provider: ExampleProvider) -> None:
    provider.error = NotReady("the first pass is not over")
    response = await client.get(f"{BASE}/allocations")
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
    assert "first pass" in (await response.json())["message"]


async def test_a_failure_is_a_status_and_does_not_tell_internals(
    client: TestClient, provider: ExampleProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.error = RuntimeError("disk /secret/path is full")
    status = await get(client, "allocations", status=500)
    assert status["reason"] == "InternalError"
    assert "secret" not in status["message"]
    assert "disk /secret/path is full" in caplog.text


async def test_costs_cannot_be_watched_or_written(client: TestClient) -> None:
    assert (await get(client, "allocations", status=405, watch="true"))["reason"] == "MethodNotAllowed"
    response = await client.post(f"{BASE}/allocations", json={})
    assert (response.status, (await response.json())["reason"]) == (405, "MethodNotAllowed")


async def test_an_unknown_path_is_a_status(client: TestClient) -> None:
    assert (await get(client, "/apis/other", status=404))["kind"] == "Status"


async def test_a_request_under_a_foreign_host_name_is_refused(client: TestClient) -> None:
    response = await client.get(f"{BASE}/allocations", headers={"Host": "evil.example:9003"})
    assert response.status == 403
    for host in ("localhost", "127.0.0.1:80", "[::1]:80", "LOCALHOST:1"):
        assert (await client.get(f"{BASE}/allocations", headers={"Host": host})).status == 200


# --- discovery --------------------------------------------------------------------------------------------------------


async def test_discovery_names_the_resource(client: TestClient) -> None:
    groups = await get(client, "/apis")
    assert groups["groups"][0]["name"] == "cost.gpucost.dev"
    assert await get(client, "/apis/cost.gpucost.dev") == groups["groups"][0]
    resource = (await get(client, BASE))["resources"][0]
    assert (resource["name"], resource["kind"], resource["namespaced"]) == ("allocations", "Allocation", True)


async def test_aggregated_discovery_answers_in_the_type_asked_for(client: TestClient) -> None:
    wanted = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    accept = f"{wanted},application/json;q=0.9"
    response = await client.get("/apis", headers={"Accept": accept})
    assert response.headers["Content-Type"] == wanted
    document = await response.json(content_type=None)
    assert document["items"][0]["versions"][0]["resources"][0]["resource"] == "allocations"


async def test_openapi_describes_every_field(client: TestClient) -> None:
    index = await get(client, "/openapi/v3")
    path = index["paths"]["apis/cost.gpucost.dev/v1alpha1"]["serverRelativeURL"]
    schemas = (await get(client, path))["components"]["schemas"]
    assert schemas["Allocation"]["properties"]["cost"]["nullable"] is True
    for name, schema in schemas.items():
        for field, about in schema.get("properties", {}).items():
            assert about.get("description") or "$ref" in str(about) or "enum" in about, f"{name}.{field}"
    assert (await get(client, "/openapi/v2"))["swagger"] == "2.0"


async def test_health_needs_no_identity(client: TestClient) -> None:
    response = await client.get("/healthz", headers={"Host": "10.0.0.1"})
    assert await response.text() == "ok"
