"""What statuses of endpoints show of their costs is brought up to date in turns, and nobody is left out for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from gpucost.core.clock import HOUR, MINUTE, SECOND, Instant, parse_rfc3339
from gpucost.core.model import Key, Workload
from gpucost.core.money import PICO
from gpucost.core.report import DataQuality
from gpucost.core.serving.signals.model import Work
from gpucost.core.serving.spec import EndpointSpec, Runtime, TargetRef
from gpucost.core.serving.unit_cost import HourCost
from gpucost.core.serving.work_hours import WorkHour
from gpucost.core.timeline import Interval
from gpucost.ledger.workload_hours import WorkloadHours
from gpucost.runtime.endpoints.past import EndpointsPast
from gpucost.runtime.endpoints.unit_costs import UnitCosts, _readable
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


async def test_a_window_ends_at_the_second_that_the_document_writes() -> None:
    found, asked = of("llama"), list[Interval]()

    async def paid(namespace: str, workload: Workload, span: Interval) -> WorkloadHours:
        asked.append(span)
        return await costs(namespace, workload, span)

    found.costs, found.now = paid, lambda: T0 + MINUTE + 123_456
    shown = await found.one(Interval(T0 - MINUTE, T0 + MINUTE + 123_456), "chat", "llama")
    assert asked == [Interval(T0 - HOUR, T0 + MINUTE)]
    assert [parse_rfc3339(one) for one in (shown.window.start, shown.window.end)] == [T0 - HOUR, T0 + MINUTE]


async def test_what_is_stored_stays_until_an_endpoint_is_looked_at_after_a_start() -> None:
    found = of("llama")
    prices = {"perMillionInputTokens": "0.41", "perRequest": "0.000100000", "idle": "1.000000"}
    status = {"cost": {"total": "5.00", **prices}, "readyTimeP95Seconds": 90}
    status["coldStart"] = {"choice": "Keep", "kept": "the holder is gone"}
    stored = replace(endpoint("llama"), status=status)
    kept = {"cost": prices, "readyTimeP95Seconds": 90, "coldStart": {"choice": "Keep"}}
    assert found.shown(stored) == kept
    assert found.shown(endpoint("llama")) == {}
    await found.refresh()
    assert "perRequest" not in found.shown(stored).get("cost", {}), "now it is known that it is not known"


async def test_the_first_price_is_told_soon_and_later_ones_now_and_then() -> None:
    """A request in an hour that cost a dollar, of a minute in which nothing else was done."""
    found, clock, asked = of("llama"), [T0 + MINUTE], list[Instant]()
    done = dict[Instant, WorkHour]()

    async def paid(_namespace: str, _workload: Workload, span: Interval) -> WorkloadHours:
        asked.append(span.end)
        return WorkloadHours("USD", span, None, (HourCost(T0, PICO, MINUTE),), 0, DataQuality(span.end))

    async def worked(_uid: str, _span: Interval) -> Mapping[Instant, WorkHour]:
        return done

    found.now, found.costs, found.hours = lambda: clock[0], paid, worked

    async def passes(seconds: int) -> int:
        before = len(asked)
        for _ in range(seconds):
            clock[0] += SECOND
            await found.refresh()
        return len(asked) - before

    await found.refresh()
    assert "perRequest" not in found.shown(endpoint("llama")).get("cost", {})
    assert await passes(90) == 3
    done[T0] = WorkHour(covered=MINUTE, busy=MINUTE, work=Work(requests=1, prompt_tokens=2, generation_tokens=3))
    assert await passes(30) == 1
    assert found.shown(endpoint("llama"))["cost"]["perRequest"] == "1.000000000"
    assert await passes(299) == 0
    assert await passes(1) == 1


async def test_who_waits_for_a_first_price_does_not_wait_for_those_whose_price_is_known() -> None:
    names = [f"priced-{number}" for number in range(20)]
    found, clock, asked = of(*names), [T0 + MINUTE], list[str]()
    done = WorkHour(covered=MINUTE, busy=MINUTE, work=Work(requests=1, prompt_tokens=2, generation_tokens=3))

    async def paid(_namespace: str, _workload: Workload, span: Interval) -> WorkloadHours:
        return WorkloadHours("USD", span, None, (HourCost(T0, PICO, MINUTE),), 0, DataQuality(span.end))

    async def worked(uid: str, _span: Interval) -> Mapping[Instant, WorkHour]:
        asked.append(uid)
        return {} if uid == "new" else {T0: done}

    found.now, found.costs, found.hours = lambda: clock[0], paid, worked
    await found.refresh()
    assert sorted(asked) == sorted(names)
    records = found.records
    assert isinstance(records, dict)
    records[Key("chat", "new")] = endpoint("new")
    for _ in range(3):
        clock[0] += 40 * SECOND
        await found.refresh()
    assert asked[20:] == ["new"] * 3


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


@pytest.mark.parametrize(
    ("exact", "shown"),
    [
        ("281.164313", "281.16"),
        ("0.412345", "0.41"),
        ("0.041234", "0.0412"),
        ("0.000012", "0.000012"),
        ("0.000000", "0.00"),
        (None, None),
    ],
)
def test_a_price_in_a_column_has_the_digits_that_count(exact: str | None, shown: str | None) -> None:
    assert _readable(exact) == shown


async def test_idle_is_a_rate_of_the_time_that_was_watched_and_not_of_the_whole_day() -> None:
    """Half an hour was watched, in which a dollar went to pods that nobody asked: two an hour."""
    found = of("llama")
    half = WorkHour(covered=HOUR // 2, idle=HOUR // 2)

    async def paid(_namespace: str, _workload: Workload, span: Interval) -> WorkloadHours:
        return WorkloadHours("USD", span, None, (HourCost(T0, PICO, HOUR // 2),), 0, DataQuality(span.end))

    async def worked(_uid: str, _span: Interval) -> Mapping[Instant, WorkHour]:
        return {T0: half}

    found.costs, found.hours = paid, worked
    await found.refresh()
    assert found.shown(endpoint("llama"))["cost"]["idle"] == "2.00"
