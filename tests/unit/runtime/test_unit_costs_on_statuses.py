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
