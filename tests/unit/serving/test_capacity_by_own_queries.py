"""Own queries teach what a replica serves, by pod or for the endpoint as one."""

from __future__ import annotations

import pytest

from gpucost.core.clock import HOUR, SECOND
from gpucost.core.serving import work_hours
from gpucost.core.serving.signals import custom, looking
from gpucost.core.serving.signals.model import Evidence, Work
from gpucost.core.serving.spec import MetricSettings, Runtime
from gpucost.core.serving.unit_cost import HourCost, split_hour
from gpucost.core.usage import Sample
from support.signals_world import SignalsWorld, spec, vllm


def with_queries(**queries: str) -> SignalsWorld:
    world = SignalsWorld([vllm("llama-0"), vllm("llama-1")])
    world.spec = spec(Runtime.CUSTOM, metrics=MetricSettings(queries))
    return world


@pytest.mark.parametrize("by_pod", [True, False])
def test_own_queries_teach_capacity_too(by_pod: bool) -> None:
    world = with_queries(requestsPerSecond="q", waiting="w")

    def each(value: float) -> list[Sample]:
        return [Sample({"pod": f"llama-{n}"}, value) for n in range(2)] if by_pod else [Sample({}, 2 * value)]

    for minute in range(8):
        for _ in range(4):
            world.now += 15 * SECOND
            answers = {"requestsPerSecond": each(6.0), "waiting": each(0.0 if minute < 4 else 3.0)}
            world.memory, signals = custom.look(world.memory, world.asked, answers, world.now)
        world.memory = looking.end_minute(world.memory, world.asked, None, world.now)
        if minute == 3:
            world.memory, signals = custom.look(world.memory, world.asked, answers, world.now)
            assert signals.capacity.evidence is Evidence.EXPLORED
            assert signals.capacity.requests_per_second == pytest.approx(6 * 1.25, rel=0.05)
    world.memory, signals = custom.look(world.memory, world.asked, answers, world.now)
    assert signals.capacity.evidence is Evidence.SATURATED
    assert signals.capacity.requests_per_second == pytest.approx(6, rel=0.05)


RATES = {"requestsPerSecond": 3.0, "servedPerSecond": 2.0, "promptTokensPerSecond": 100.0, "running": 1.0}


@pytest.mark.parametrize("by_pod", [True, False])
def test_work_is_what_is_served_in_the_time_between_two_looks(by_pod: bool) -> None:
    """15 s at 2 requests and 100 prompt tokens a second; one of the two pods works, the other has none."""
    world = with_queries(**dict.fromkeys(RATES, "q"))
    hour = HOUR * (world.now // HOUR)

    def answer(name: str) -> list[Sample]:
        if not by_pod:
            return [Sample({}, RATES[name])]
        return [Sample({"pod": f"llama-{n}"}, RATES[name] if not n else 0.0) for n in range(2)]

    for first in (True, False):
        world.now += 15 * SECOND
        world.memory, signals = custom.look(world.memory, world.asked, {one: answer(one) for one in RATES}, world.now)
        assert (signals.work is None) == first
    assert signals.work == Work(30.0, 1500.0, None)
    found = work_hours.look(signals)[hour]
    assert (found.covered, found.busy, found.idle) == (15 * SECOND, 15 * SECOND, 15 * SECOND)
    split = split_hour(HourCost(hour, 300, 30 * SECOND), found)
    assert (split.unsplit, split.idle, split.unknown) == (150, 150, 0)


def test_pods_with_a_queue_are_busy_and_those_that_do_not_say_are_not_idle() -> None:
    world = with_queries(requestsPerSecond="q", running="r", waiting="w")
    for answers, busy in (
        ({"running": 0.0, "waiting": 0.0}, 0),
        ({"running": 0.0, "waiting": 2.0}, 2),
        ({"running": 9.0, "waiting": 0.0}, 2),
        ({}, 2),
    ):
        given = {"requestsPerSecond": 1.0, **answers}
        for _ in range(2):
            world.now += 15 * SECOND
            told = {name: [Sample({}, value)] for name, value in given.items()}
            world.memory, signals = custom.look(world.memory, world.asked, told, world.now)
        (found,) = work_hours.look(signals).values()
        assert (found.busy, found.idle) == (busy * 15 * SECOND, (2 - busy) * 15 * SECOND)


def test_nothing_was_done_where_the_rate_is_not_known() -> None:
    world = with_queries(requestsPerSecond="q")
    for answer in ([Sample({}, 1.0)], []):
        world.now += 15 * SECOND
        world.memory, signals = custom.look(world.memory, world.asked, {"requestsPerSecond": answer}, world.now)
    assert signals.work is None
    (found,) = work_hours.look(signals).values()
    assert (found.covered, found.busy) == (0, 0)
