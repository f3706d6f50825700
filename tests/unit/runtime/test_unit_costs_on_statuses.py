"""What statuses of endpoints show of their costs is brought up to date in turns, and nobody is left out for ever."""

from __future__ import annotations

from collections.abc import Mapping

from gpucost.core.clock import HOUR, MINUTE, Instant
from gpucost.core.model import Key, Workload
from gpucost.core.report import DataQuality
from gpucost.core.serving.spec import EndpointSpec, Runtime, TargetRef
from gpucost.core.serving.work_hours import WorkHour
from gpucost.core.timeline import Interval
from gpucost.ledger.workload_hours import WorkloadHours
from gpucost.runtime.endpoints.past import EndpointsPast
from gpucost.runtime.endpoints.unit_costs import UnitCosts
from gpucost.runtime.world import Custom, custom_record

T0 = 1_764_000_000_000_000 // HOUR * HOUR
SPEC = EndpointSpec(TargetRef("Deployment", "llama"), Runtime.VLLM)


def endpoint(name: str) -> Custom:
    return custom_record({"kind": "InferenceEndpoint", "metadata": {"name": name, "namespace": "chat", "uid": name}})


async def costs(_namespace: str, _workload: Workload, span: Interval) -> WorkloadHours:
    return WorkloadHours("USD", span, None, (), 0, DataQuality(span.end))


async def hours(_uid: str, _span: Interval) -> Mapping[Instant, WorkHour]:
    return {}


def of(*names: str) -> UnitCosts:
    """Endpoints by name; those that begin with `broken` cannot be read."""
    records = {Key("chat", name): endpoint(name) for name in names}
    past = EndpointsPast(lambda: T0 + MINUTE, lambda _asked: ())
    return UnitCosts(
        lambda: T0 + MINUTE,
        past,
        records,
        lambda key: None if key.name.startswith("broken") else SPEC,
        costs=costs,
        hours=hours,
    )


async def test_endpoints_that_cannot_be_read_take_nobody_s_turn() -> None:
    found = of(*(f"broken-{number}" for number in range(20)), "llama")
    await found.refresh()
    assert found.lately("llama") is not None
    assert found.lately("broken-0") is None


async def test_an_endpoint_whose_costs_fail_takes_its_turn_and_nobody_else_s() -> None:
    found = of(*(f"a-{number:02}" for number in range(20)), "llama")
    now = T0 + MINUTE

    async def failing(_namespace: str, workload: Workload, span: Interval) -> WorkloadHours:
        if workload.name.startswith("a-"):
            raise KeyError(workload.name)
        return await costs("chat", workload, span)

    found.costs = failing
    found.now = lambda: now
    found.spec_of = lambda key: EndpointSpec(TargetRef("Deployment", key.name), Runtime.VLLM)
    await found.refresh()
    await found.refresh()
    assert found.lately("llama") is not None
    assert found.lately("a-00") is None


async def test_an_endpoint_that_goes_while_its_costs_are_read_is_no_failure() -> None:
    found = of("llama", "mistral")
    records: dict[Key, Custom] = dict(found.records)
    found.records = records

    async def going(namespace: str, workload: Workload, span: Interval) -> WorkloadHours:
        records.pop(Key("chat", "llama"), None)
        return await costs(namespace, workload, span)

    found.costs = going
    await found.refresh()
    assert found.lately("mistral") is not None
    account = await found.account(Key("chat", "mistral"), SPEC, Interval(T0, T0 + HOUR))
    assert account.name == "mistral"
