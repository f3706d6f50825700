"""What endpoints cost per unit, as the API and the command say it: parts add up, and unknown is no zero."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from fractions import Fraction

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from gpucost.cli import unit_costs_view
from gpucost.cli.options import Options
from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.model import Workload
from gpucost.core.money import PICO
from gpucost.core.report import Amounts, DataQuality, Row
from gpucost.core.serving.cold_start import Advice, Choice
from gpucost.core.serving.comparison import comparison
from gpucost.core.serving.ready_times import ReadyTimes
from gpucost.core.serving.signals.model import Work
from gpucost.core.serving.spec import ApiPrice
from gpucost.core.serving.tenants import Share
from gpucost.core.serving.unit_cost import HourCost, Split, UnitCost, unit_cost
from gpucost.core.serving.work_hours import WorkHour
from gpucost.core.timeline import Interval
from gpucost.web import endpoint_documents as documents
from gpucost.web import schema_endpoints as schema
from gpucost.web.endpoint_documents import Account
from gpucost.web.status import Refused
from gpucost.web.table import ACCEPT
from gpucost.web.unit_costs import UnitCosts, _cells

T0 = 1_764_000_000_000_000 // HOUR * HOUR
WORK = Work(3000, 2_000_000, 600_000, 700, 2300, 500_000, 2_000_000)
TENANTS = {"research": Work(1000, 700_000, 200_000, 233, 767, 1, 2), "sales": Work(500, 100, 100, 1, 1, 0, 0)}
DONE = WorkHour(HOUR, 0, 2 * HOUR, HOUR, HOUR // 7, WORK, TENANTS)


def account(costs: UnitCost | None = None, **more: object) -> Account:
    cost = HourCost(T0, 10 * PICO + 333_333, 4 * HOUR)
    found = costs or unit_cost([(cost, DONE), (HourCost(T0 + HOUR, PICO, HOUR), None)])
    row = Row("k", Amounts(cost=found.split.total, held_time=5 * HOUR), hourly=10 * PICO, pods=4)
    fields = {
        "namespace": "serving",
        "name": "chat",
        "workload": Workload("Deployment", "llama"),
        "currency": "USD",
        "span": Interval(T0, T0 + 2 * HOUR),
        "row": row,
        "costs": found,
        "quality": DataQuality(T0 + 2 * HOUR, ("PriceBook/team",)),
        "marginal_request": Fraction(PICO, 3000),
        "comparison": comparison(ApiPrice("gpt-x", Decimal(3), Decimal(15)), found, Fraction(PICO, 1000)),
        "ready": ReadyTimes(7, 170 * SECOND, 240 * SECOND, 160 * SECOND),
        "start_cost": Fraction(PICO, 9),
        "advice": Advice(
            Choice.ZERO, "quiet at night", 3 * MINUTE, 160 * SECOND, Fraction(90 * PICO), 30.4, Fraction(1, 900)
        ),
    }
    return Account(**{**fields, **more})  # type: ignore[arg-type]


def test_parts_add_up_to_the_cost_and_tenants_to_what_was_paid_for_serving() -> None:
    found = documents.unit_cost(account())
    parts = {part.part: Decimal(part.cost) for part in found.parts}
    assert sum(parts.values()) == Decimal(found.cost or 0)
    assert parts["unknown"] > 1
    assert sum(Decimal(one.cost) for one in found.tenants) == parts["input"] + parts["output"]
    assert [one.tenant for one in found.tenants] == ["(none)", "research", "sales"]


PICO_AMOUNT = st.integers(0, 10**9)


@given(parts=st.tuples(*[PICO_AMOUNT] * 6), cut=st.fractions(0, 1))
def test_what_is_shown_of_tenants_adds_up_to_what_is_shown_of_serving(parts: tuple[int, ...], cut: Fraction) -> None:
    """Both are rounded, each to its own total: the parts to the cost, tenants to the parts."""
    split = Split(*parts)
    mine = [int(part * cut) for part in split[:3]]
    tenants = {
        "a": (Share(*mine), Work(requests=1)),
        "b": (Share(*(whole - part for whole, part in zip(split[:3], mine, strict=True))), Work(requests=2)),
    }
    found = documents.unit_cost(account(UnitCost(split, Work(requests=3), tenants)))
    shown = {part.part: Decimal(part.cost) for part in found.parts}
    serving = sum(shown.get(part, Decimal(0)) for part in ("input", "output", "serving"))
    assert sum(Decimal(one.cost) for one in found.tenants) == serving
    assert all(Decimal(one.cost) >= 0 for one in found.tenants)
    assert sum(shown.values()) == Decimal(found.cost or 0)


def test_prices_times_units_are_the_known_cost() -> None:
    found = documents.unit_cost(account())
    known = Decimal(found.cost or 0) - next(Decimal(p.cost) for p in found.parts if p.part == "unknown")
    average = found.average
    sold = Decimal(average.per_million_input_tokens or 0) * 2 + Decimal(
        average.per_million_output_tokens or 0
    ) * Decimal("0.6")
    assert abs(sold - known) < Decimal("0.00001")
    assert abs(Decimal(average.per_request or 0) * 3000 - known) < Decimal("0.00001")


def test_two_endpoints_of_one_workload_do_not_cost_it_twice() -> None:
    span = Interval(T0, T0 + 2 * HOUR)
    other = account(name="mail", workload=Workload("Deployment", "mistral"))
    found = documents.listed([account(), account(name="compared"), other], "USD", span)
    assert len(found.items) == 3
    assert Decimal(found.total) == 2 * Decimal(found.items[0].cost or 0)


def test_what_is_not_known_is_null() -> None:
    found = documents.unit_cost(
        account(UnitCost(), row=None, marginal_request=None, comparison=None, ready=None, start_cost=None)
    )
    assert found.average == schema.UnitPrices(
        per_million_input_tokens=None, per_million_output_tokens=None, per_million_tokens=None, per_request=None
    )
    assert (found.cold_start.starts, found.cold_start.cost, found.cold_start.ready_seconds_p95) == (0, None, None)
    assert found.tenants == ()


# --- the API ----------------------------------------------------------------------------------------------------------


class Provider:
    """One endpoint."""

    def now(self) -> int:
        return T0 + 2 * HOUR

    async def unit_costs(self, span: Interval, namespace: str | None) -> schema.UnitCostList:
        return documents.listed([account()] if namespace in {None, "serving"} else [], "USD", span)

    async def unit_cost(self, _span: Interval, namespace: str, name: str) -> schema.UnitCost:
        if (namespace, name) != ("serving", "chat"):
            raise Refused(404, f"no InferenceEndpoint {name} is known", name=name, kind="unitcosts")
        return documents.unit_cost(account())


@pytest.fixture
async def client() -> AsyncIterator[TestClient]:
    @web.middleware
    async def errors(request: web.Request, handler: object) -> web.StreamResponse:
        try:
            return await handler(request)  # type: ignore[operator,no-any-return]
        except Refused as refused:
            return refused.response()

    app = web.Application(middlewares=[errors])
    app.add_routes(UnitCosts(Provider()).routes())
    async with TestClient(TestServer(app)) as found:
        yield found


BASE = "/apis/cost.gpucost.dev/v1alpha1"


async def test_endpoints_are_listed_and_asked_for_one_by_one(client: TestClient) -> None:
    listed = await (await client.get(f"{BASE}/unitcosts")).json()
    one = await (await client.get(f"{BASE}/namespaces/serving/unitcosts/chat?window=24h")).json()
    assert listed["items"] == [one]
    assert schema.UnitCost.model_validate(one).metadata.name == "chat"
    assert (await (await client.get(f"{BASE}/namespaces/other/unitcosts")).json())["items"] == []


async def test_kubectl_gets_a_table(client: TestClient) -> None:
    answer = await client.get(f"{BASE}/unitcosts", headers={"Accept": f"{ACCEPT},application/json"})
    rows = (await answer.json())["rows"]
    assert rows[0]["cells"][:3] == ["chat", "Deployment/llama", "11.00"]


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/unitcosts?window=never", 400, "window"),
        ("/unitcosts?watch=true", 405, "cannot be watched"),
        ("/namespaces/serving/unitcosts/nobody", 404, "no InferenceEndpoint nobody"),
    ],
)
async def test_what_cannot_be_answered_says_why(client: TestClient, path: str, code: int, words: str) -> None:
    answer = await client.get(BASE + path)
    assert answer.status == code
    assert words in (await answer.json())["message"]


# --- the command ------------------------------------------------------------------------------------------------------


def test_one_endpoint_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    document = documents.unit_cost(account())
    unit_costs_view.show(document, Options(window="24h"))
    text = capsys.readouterr().out
    for words in (
        "InferenceEndpoint/chat in serving: $11.00 in the last 24 hours",
        "reading prompts",
        "TOTAL",
        "research",
    ):
        assert words in text
    assert "At gpt-x the same work costs $15.00" in text
    assert "Last replica: Zero after 3m, $90.00 a month: quiet at night" in text
    assert f"${Decimal(document.cost or 0):.6f}" in text
    assert max(map(len, text.splitlines())) <= 100


def test_all_endpoints_fit_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    found = documents.listed([account(), account(UnitCost(), name="idle", row=None)], "USD", Interval(T0, T0 + HOUR))
    unit_costs_view.show_all(found, Options(window="24h"), with_namespace=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["NAMESPACE", "ENDPOINT", "COST"]
    assert "?" in lines[2]
    assert max(len(line) for line in lines[:3]) <= 80


def test_what_pods_did_is_not_known_where_nothing_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of it is known to be idle, which is no reason to say that none of it was."""
    silent = account(unit_cost([(HourCost(T0, PICO, HOUR), None)]))
    unit_costs_view.show_all(
        documents.listed([silent], "USD", Interval(T0, T0 + HOUR)), Options(output="wide"), with_namespace=False
    )
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row[6:9] == ["?", "?", "100%"]
    assert _cells(documents.unit_cost(silent))[6] == "unknown"


def test_programs_get_everything(capsys: pytest.CaptureFixture[str]) -> None:
    document = documents.unit_cost(account())
    unit_costs_view.show(document, Options(output="json"))
    assert json.loads(capsys.readouterr().out)["coldStart"]["choice"] == "Zero"
    unit_costs_view.show(document, Options(output="csv"))
    row = next(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    parts = ("input", "output", "serving", "idle", "starting", "unknown")
    assert sum(Decimal(row[part]) for part in parts) == Decimal(row["cost"])
