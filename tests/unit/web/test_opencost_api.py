"""The API in OpenCost's shape, asked as its clients ask, for costs that were worked out by hand.

The world is that of `support/ledger_provider.py`: gpu-0 cost 201.00 (bert-0 20.10, sweep-0 15.075, idle 165.825), gpu-1
9.78 (chat-0), cpu-0 has no price (web-0). It began at midnight of 2 November 2026; now it is 10:00.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import HOUR
from gpucost.core.model import NodeFact, NodeKind, PodFact, Resources, Workload
from gpucost.core.report import Amounts, Report, Row
from gpucost.core.timeline import Interval
from gpucost.web.app import create_app
from gpucost.web.opencost import create_app as create_own_app
from gpucost.web.opencost_query import Query
from gpucost.web.opencost_rows import allocations
from support.ledger_provider import WORLD, LedgerOnly
from support.ledger_world import T0, price
from unit.web.cost_example import IDLE, NOTHING, NOW, QUALITY, START

PARTS = ("cpuCost", "gpuCost", "ramCost", "pvCost", "loadBalancerCost")


@pytest.fixture(params=[True, False], ids=["settled", "open"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerOnly]:
    found = LedgerOnly.of(tmp_path, settled=request.param)
    yield found
    found.ledger.close()


@pytest.fixture
async def client(provider: LedgerOnly) -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(create_app(provider, cluster="blue"))) as client:
        yield client


async def ask(client: TestClient, path: str = "/allocation/compute", *, status: int = 200, **params: str) -> Any:
    response = await client.get(path, params=params)
    document = await response.json()
    assert (response.status, document["code"]) == (status, status), document
    return document["message"] if status != 200 else document["data"]


def costs(rows: dict[str, Any]) -> dict[str, float | None]:
    return {name: row["totalCost"] for name, row in rows.items()}


# --- what clients ask ----------------------------------------------------------------------------------------------


async def test_a_dashboard_that_draws_one_bar_a_day_gets_one_set_for_each_day(client: TestClient) -> None:
    sets = await ask(client, window="7d", aggregate="namespace", step="1d", accumulate="false")
    assert len(sets) == 7
    assert sets[:6] == [{}] * 6
    assert costs(sets[6]) == {"research": 35.175, "serving": 9.78}
    assert sets[6]["research"]["window"] == {"start": "2026-11-02T00:00:00Z", "end": "2026-11-03T00:00:00Z"}
    assert sets[6]["research"]["end"] == "2026-11-02T10:00:00Z"


async def test_a_table_gets_one_set_in_all(client: TestClient) -> None:
    (rows,) = await ask(client, "/allocation", window="7d", aggregate="namespace", step="1d", accumulate="true")
    assert costs(rows) == {"research": 35.175, "serving": 9.78}


async def test_objects_are_found_by_their_names(client: TestClient) -> None:
    for aggregate, name, cost in (("pod", "bert-0", 20.1), ("node", "gpu-0", 35.175), ("namespace", "serving", 9.78)):
        (rows,) = await ask(client, window="today", aggregate=aggregate)
        assert rows[name]["totalCost"] == cost


async def test_a_row_has_every_field_that_clients_read(client: TestClient) -> None:
    (rows,) = await ask(client, window="today", aggregate="pod")
    row = rows["bert-0"]
    assert row["properties"] == {
        "cluster": "blue",
        "namespace": "research",
        "controllerKind": "job",
        "controller": "bert",
        "pod": "bert-0",
    }
    assert (row["minutes"], row["gpuCount"], row["gpuHours"], row["gpuEfficiency"]) == (120.0, 4.0, 8.0, 0.61)
    assert (row["start"], row["end"]) == ("2026-11-02T00:00:00Z", "2026-11-02T10:00:00Z")
    assert row["cpuCoreUsageAverage"] is None
    for name in ("cpuCores", "cpuCoreHours", "ramBytes", "ramByteHours", *PARTS, "networkCost", "sharedCost"):
        assert isinstance(row[name], int | float), name


async def test_without_an_aggregate_there_is_a_row_for_each_pod_on_a_node(client: TestClient) -> None:
    (rows,) = await ask(client, window="today")
    assert costs(rows) == {
        "blue/gpu-0/research/bert-0": 20.1,
        "blue/gpu-0/research/sweep-0": 15.075,
        "blue/gpu-1/serving/chat-0": 9.78,
        "blue/cpu-0/serving/web-0": None,
    }
    assert rows["blue/gpu-0/research/bert-0"]["properties"]["node"] == "gpu-0"


@pytest.mark.parametrize(
    ("aggregate", "rows"),
    [
        ("cluster", {"blue": 44.955}),
        ("controllerKind", {"job": 44.955}),
        ("controller", {"job:bert": 20.1, "job:sweep": 15.075, "job:chat": 9.78, "job:web": None}),
        ("deployment", {"__unallocated__": 44.955}),
        ("label:gpucost.dev/team", {"nlp": 35.175, "__unallocated__": 9.78}),
        ("namespace,label:app", {"research/bert": 20.1, "research/__unallocated__": 15.075, "serving/chat": 9.78,
                                 "serving/__unallocated__": None}),
        ("node,namespace", {"gpu-0/research": 35.175, "gpu-1/serving": 9.78, "cpu-0/serving": None}),
    ],
)  # fmt: skip
async def test_names_are_made_as_clients_expect(client: TestClient, aggregate: str, rows: dict[str, Any]) -> None:
    (found,) = await ask(client, window="today", aggregate=aggregate)
    assert costs(found) == rows


async def test_idle_is_a_row_of_its_own_and_everything_adds_up(client: TestClient) -> None:
    (rows,) = await ask(client, window="today", aggregate="namespace", includeIdle="true")
    assert costs(rows) == {"research": 35.175, "serving": 9.78, "__idle__": 165.825}
    (rows,) = await ask(client, window="today", aggregate="namespace", includeIdle="true", idleByNode="true")
    assert rows["gpu-0/__idle__"]["totalCost"] == 165.825
    assert rows["gpu-0/__idle__"]["properties"]["node"] == "gpu-0"


async def test_shared_idle_goes_to_the_others_in_proportion_to_their_cost(client: TestClient) -> None:
    (rows,) = await ask(client, window="today", aggregate="namespace", shareIdle="true")
    assert "__idle__" not in rows
    total = sum(Decimal(str(row["totalCost"])) for row in rows.values())
    assert total == Decimal("210.78")
    assert rows["research"]["totalCost"] == round(210.78 * 35.175 / 44.955, 6)


async def test_hours_of_a_day_add_up_to_the_day(client: TestClient) -> None:
    sets = await ask(client, window="24h", aggregate="namespace", step="1h", includeIdle="true")
    assert len(sets) == 24
    total = sum(Decimal(str(row["totalCost"])) for rows in sets for row in rows.values())
    assert total == Decimal("210.78")


async def test_sums_may_follow_the_calendar(client: TestClient) -> None:
    window = "2026-10-30T00:00:00Z,2026-11-03T00:00:00Z"
    days = await ask(client, window=window, aggregate="cluster", accumulate="day")
    assert [costs(rows) for rows in days] == [{}, {}, {}, {"blue": 44.955}]
    months = await ask(client, window=window, aggregate="cluster", accumulateBy="month")
    assert [costs(rows) for rows in months] == [{}, {"blue": 44.955}]
    weeks = await ask(client, window=window, aggregate="cluster", accumulate="week")
    assert [costs(rows) for rows in weeks] == [{}, {"blue": 44.955}]  # a week begins on Sunday, 1 November


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [
        ("today", "2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z"),
        ("week", "2026-11-01T00:00:00Z", "2026-11-02T10:00:00Z"),
        ("month", "2026-11-01T00:00:00Z", "2026-11-02T10:00:00Z"),
        ("24h", "2026-11-01T11:00:00Z", "2026-11-02T11:00:00Z"),
        ("2d", "2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z"),
        ("1w", "2026-10-27T00:00:00Z", "2026-11-03T00:00:00Z"),
        ("2h offset 1h", "2026-11-02T07:00:00Z", "2026-11-02T09:00:00Z"),
        ("1793577600,1793592000", "2026-11-02T00:00:00Z", "2026-11-02T04:00:00Z"),
        ("2026-11-02T00:00:00Z,2026-11-02T04:00:00Z", "2026-11-02T00:00:00Z", "2026-11-02T04:00:00Z"),
    ],
)
async def test_windows_mean_what_they_mean_to_opencost(client: TestClient, window: str, start: str, end: str) -> None:
    (rows,) = await ask(client, window=window, aggregate="cluster")
    assert rows["blue"]["window"] == {"start": start, "end": end}


@pytest.mark.parametrize("window", ["yesterday", "lastweek", "lastmonth", "2027-01-01T00:00:00Z,2027-01-02T00:00:00Z"])
async def test_nothing_is_an_empty_object(client: TestClient, window: str) -> None:
    assert await ask(client, window=window, aggregate="namespace", includeIdle="true") == [{}]


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ({"filterNamespaces": "research"}, {"bert-0": 20.1, "sweep-0": 15.075}),
        ({"filterNamespaces": "res*,other"}, {"bert-0": 20.1, "sweep-0": 15.075}),
        ({"filterNodes": "gpu-1"}, {"chat-0": 9.78}),
        ({"filterLabels": "app:chat"}, {"chat-0": 9.78}),
        ({"filterControllers": "bert", "filterControllerKinds": "job"}, {"bert-0": 20.1}),
        ({"filter": 'namespace:"research"+label[app]:"bert"'}, {"bert-0": 20.1}),
        ({"filter": 'namespace!:"research"+pod<~:"chat"'}, {"chat-0": 9.78}),
        ({"filter": 'controllerName:"bert","sweep"'}, {"bert-0": 20.1, "sweep-0": 15.075}),
        ({"filterClusters": "green"}, {}),
    ],
)
async def test_filters_pick_rows(client: TestClient, filters: dict[str, str], rows: dict[str, Any]) -> None:
    (found,) = await ask(client, window="today", aggregate="pod", includeIdle="true", **filters)
    assert costs(found) == rows  # and no idle: it belongs to nobody in particular


async def test_limit_and_offset_cut_the_dearest_first(client: TestClient) -> None:
    (rows,) = await ask(client, window="today", aggregate="pod", limit="1", offset="1", includeIdle="true")
    assert list(rows) == ["sweep-0", "__idle__"]


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "parameter window: is missing"),
        ({"window": "soon"}, "parameter window: 'soon' is not a window; want today"),
        ({"window": "2026-11-02T00:00:00Z,2026-11-01T00:00:00Z"}, "ends before it has started"),
        ({"window": "7d", "aggregate": "container"}, "'container' is not one of cluster, node, namespace"),
        ({"window": "7d", "aggregate": "service"}, "'service' is not one of"),
        ({"window": "7d", "step": "soon"}, "parameter step: 'soon' is not a length"),
        ({"window": "365d", "step": "1m"}, "more than 1000 steps"),
        ({"window": "7d", "accumulate": "often"}, "parameter accumulate"),
        ({"window": "7d", "shareNamespaces": "kube-system"}, "parameter shareNamespaces: is not supported"),
        ({"window": "7d", "external": "true"}, "parameter external: 'true' is not supported"),
        ({"window": "7d", "filter": 'namespace:"a"|namespace:"b"'}, "only + (and) joins conditions"),
        ({"window": "7d", "filter": "namespace=a"}, "parameter filter: cannot read"),
        ({"window": "7d", "filter": 'annotation[a]:"b"'}, "'annotation' is not one of"),
        ({"window": "7d", "filterServices": "a"}, "filterServices: is not supported"),
        ({"window": "7d", "includeIdle": "perhaps"}, "neither true nor false"),
        ({"window": "7d", "limit": "-1"}, "not a whole number"),
    ],
)
async def test_what_is_not_offered_is_refused_by_name(client: TestClient, params: dict[str, str], words: str) -> None:
    assert words in await ask(client, status=400, **params)


# --- volumes and load balancers -----------------------------------------------------------------------------------


async def test_volumes_and_load_balancers_have_costs_of_their_own(tmp_path: Path) -> None:
    def held(uid: str, workload: Workload, node_uid: str, requests: Resources) -> PodFact:
        kind = next(fact for fact in WORLD if isinstance(fact, PodFact)).category
        return PodFact(uid, "serving", uid, workload, kind, node_uid, T0, None, requests)

    facts = [
        *WORLD,
        NodeFact("v1", "pvc-1", T0, None, Resources(storage=2**30), kind=NodeKind.VOLUME),
        price("0.1", node_uid="v1"),
        held("claim", Workload("PersistentVolumeClaim", "data"), "v1", Resources(storage=2**30)),
        NodeFact("s1", "front", T0, None, Resources(), kind=NodeKind.LOAD_BALANCER),
        price("0.05", node_uid="s1"),
        held("s1", Workload("Service", "front"), "s1", Resources()),
    ]
    for settled in (True, False):
        folder = tmp_path / str(settled)
        folder.mkdir()
        provider = LedgerOnly.of(folder, facts, settled=settled)
        async with TestClient(TestServer(create_app(provider))) as client:
            (rows,) = await ask(client, window="today", aggregate="namespace")
        provider.ledger.close()
        row = rows["serving"]
        assert (row["pvCost"], row["loadBalancerCost"], row["totalCost"]) == (1.0, 0.5, 11.28)
        assert round(row["cpuCost"] + row["gpuCost"] + row["ramCost"], 6) == 9.78


# --- rounding --------------------------------------------------------------------------------------------------------


@st.composite
def rows(draw: st.DrawFn) -> Row:
    whole = st.integers(0, 10**13)
    cost, cpu, memory, gpu = draw(st.tuples(whole, whole, whole, whole))
    amounts = Amounts(cost, non_gpu=cost, cpu_time=cpu, memory_time=memory, gpu_time=gpu, held_time=HOUR)
    asset = draw(st.sampled_from(list(NodeKind)))
    name = draw(st.sampled_from("abcdefgh"))
    return Row(key=name, amounts=amounts, namespace=name, parts=(name, asset.value))


@given(st.lists(rows(), max_size=8), st.integers(0, 10**15), st.booleans())
def test_parts_add_up_to_rows_and_rows_to_what_was_booked(parts: list[Row], idle: int, share: bool) -> None:
    unheld = Row(key="idle", amounts=Amounts(cost=idle, held_time=HOUR))
    total = sum((row.amounts for row in parts), unheld.amounts)
    span = Interval(START, NOW)
    report = Report("USD", span, tuple(parts), unheld, NOTHING, total, 0, QUALITY)
    query = Query((span,), ("namespace",), include_idle=True, share_idle=share)
    found = allocations(report, query, span, "blue")
    micro = {name: round(row["totalCost"] * 10**6) for name, row in found.items()}
    for name, row in found.items():
        assert sum(round(row[part] * 10**6) for part in PARTS) == micro[name]
        assert all(row[part] >= 0 for part in PARTS)
    assert abs(sum(micro.values()) - total.cost / 10**6) <= 0.5
    assert IDLE.key not in found


# --- the door of its own ---------------------------------------------------------------------------------------------


async def test_a_token_is_asked_for_where_there_is_one(provider: LedgerOnly) -> None:
    async with TestClient(TestServer(create_own_app(provider, cluster="blue", token="s3cret"))) as client:
        refused = await client.get("/allocation", params={"window": "today"})
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        wrong = await client.get("/allocation", params={"window": "today"}, headers={"Authorization": "Bearer s3cre"})
        assert wrong.status == 401
        known = {"Authorization": "Bearer s3cret"}
        found = await client.get("/allocation", params={"window": "today", "aggregate": "cluster"}, headers=known)
        assert (await found.json())["data"][0]["blue"]["totalCost"] == 44.955
        assert (await client.get("/healthz")).status == 200


async def test_the_door_of_its_own_has_nothing_else(provider: LedgerOnly) -> None:
    async with TestClient(TestServer(create_own_app(provider, cluster="blue", token=""))) as client:
        assert (await client.get("/allocation", params={"window": "today"})).status == 200
        for path in ("/apis", "/apis/cost.gpucost.dev/v1alpha1/allocations", "/metrics"):
            response = await client.get(path)
            assert (response.status, (await response.json())["code"]) == (404, 404)
        assert (await client.post("/allocation")).status == 405
        assert "Access-Control-Allow-Origin" not in (await client.get("/allocation")).headers
