"""Own queries teach what a replica serves, by pod or for the endpoint as one."""

from __future__ import annotations

import pytest

from gpucost.core.clock import SECOND
from gpucost.core.serving import work_hours
from gpucost.core.serving.signals import custom, looking
from gpucost.core.serving.signals.model import Evidence, Signals, Work
from gpucost.core.serving.spec import MetricSettings, Runtime
from gpucost.core.usage import Sample
from support.signals_world import SignalsWorld, spec, vllm


def with_queries(**queries: str) -> SignalsWorld:
    world = SignalsWorld([vllm("llama-0"), vllm("llama-1")])
    world.spec = spec(Runtime.CUSTOM, metrics=MetricSettings(queries))
    return world


@pytest.mark.parametrize("by_pod", [True, False])
def test_own_queries_tell_what_was_done_and_who_was_idle(by_pod: bool) -> None:
    world = with_queries(requestsPerSecond="q", running="r", generationTokensPerSecond="g")

    def each(value: float) -> list[Sample]:
        return [Sample({"pod": f"llama-{n}"}, value) for n in range(2)] if by_pod else [Sample({}, 2 * value)]

    def look(rate: float) -> Signals:
        world.now += 15 * SECOND
        running = each(3.0 if rate else 0.0)
        answers = {"requestsPerSecond": each(rate), "running": running, "generationTokensPerSecond": each(rate * 100)}
        world.memory, signals = custom.look(world.memory, world.asked, answers, world.now)
        return signals

    assert work_hours.look(look(6.0)) == {}
    [busy] = work_hours.look(look(6.0)).values()
    assert busy.work == Work(requests=180.0, generation_tokens=18_000.0)
    assert (busy.covered, busy.busy, busy.idle, busy.uncertain) == (15 * SECOND, 30 * SECOND, 0, 0)
    [idle] = work_hours.look(look(0.0)).values()
    assert (idle.work.requests, idle.busy, idle.idle) == (0.0, 0, 30 * SECOND)
    world.now += 600 * SECOND
    assert look(6.0).work is None, "rates of now say nothing of ten minutes"


def test_a_pod_that_no_query_tells_of_is_missing_in_what_was_done() -> None:
    world = with_queries(requestsPerSecond="q")
    for _ in range(2):
        world.now += 15 * SECOND
        answers = {"requestsPerSecond": [Sample({"pod": "llama-0"}, 2.0)]}
        world.memory, signals = custom.look(world.memory, world.asked, answers, world.now)
    assert (signals.work, signals.is_partial) == (Work(requests=30.0), True)


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
