"""Own queries teach what a replica serves, by pod or for the endpoint as one."""

from __future__ import annotations

import pytest

from gpucost.core.clock import SECOND
from gpucost.core.serving.signals import custom, looking
from gpucost.core.serving.signals.model import Evidence
from gpucost.core.serving.spec import MetricSettings, Runtime
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
