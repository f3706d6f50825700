"""From signals to a wish: none on unknown, one more where all replicas are full, else what the policy says."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.serving.shown import shown
from gpucost.core.serving.signals import custom, looking
from gpucost.core.serving.signals.model import Attainment, Evidence, InTime, ReplicaCapacity, Signals
from gpucost.core.serving.spec import Capacity, MetricSettings, Runtime
from gpucost.core.serving.state import Wish
from gpucost.core.serving.wanting import FULL, LEARNING, Replicas, measured, want
from gpucost.core.usage import Sample
from support.signals_world import SignalsWorld, spec, vllm


def ask(world: SignalsWorld, signals: Signals, state: Any = None, pending: int = 0) -> tuple[Any, Wish | None]:
    replicas = Replicas(len(world.servers), (MINUTE,) * pending)
    return want(state, world.asked, signals, replicas, world.now)


def wish_of(world: SignalsWorld, signals: Signals, pending: int = 0) -> Wish:
    _, wish = ask(world, signals, pending=pending)
    assert wish is not None
    return wish


def test_on_unknown_nothing_is_wished_and_the_plan_is_told_since_when() -> None:
    world = SignalsWorld([vllm("llama-0")])
    world.look()
    world.unscraped = {"llama-0"}
    signals = world.look(15)
    assert ask(world, signals) == (None, None)
    told = measured(signals)
    assert (told.known, told.reason, told.since) == (False, "MetricsMissing", signals.unknown_since)


def test_before_capacity_is_known_the_replicas_stay() -> None:
    world = SignalsWorld([vllm("llama-0"), vllm("llama-1")])
    world.look()
    wish = wish_of(world, world.look(15), pending=1)
    assert (wish.replicas, wish.reason) == (3, LEARNING)


def test_before_capacity_is_known_full_replicas_get_one_more_unless_it_comes_already() -> None:
    world = SignalsWorld([vllm("llama-0", waiting=20), vllm("llama-1", waiting=5)])
    world.look()
    signals = world.look(15)
    assert (wish_of(world, signals).replicas, wish_of(world, signals).reason) == (3, FULL)
    assert wish_of(world, signals, pending=1).replicas == 3
    world.servers[1].series["vllm:num_requests_waiting"] = 0
    assert wish_of(world, world.look(15)).reason == LEARNING


def test_with_a_capacity_the_policy_is_asked_once_for_each_scrape() -> None:
    world = SignalsWorld([vllm("llama-0")], spec(capacity=Capacity(requests_per_second=Decimal(10))))
    world.look()
    state: Any = None
    for _ in range(8):
        world.servers[0].add(requests=15 * 35)
        signals = world.look(15)
        state, wish = ask(world, signals, state)
        assert wish is not None
    assert wish.replicas >= 4
    assert "requests/s arrive" in wish.message
    assert wish.message.endswith("a replica serves 10 requests/s, as spec.capacity says")
    assert wish.confidence == "High"
    _, again = ask(world, signals, state)
    assert again is None


def with_queries(**queries: str) -> SignalsWorld:
    given = Capacity(requests_per_second=Decimal(10))
    world = SignalsWorld([vllm("llama-0"), vllm("llama-1")])
    world.spec = spec(Runtime.CUSTOM, metrics=MetricSettings(queries), capacity=given)
    return world


def test_of_own_queries_arrivals_are_enough() -> None:
    world = with_queries(requestsPerSecond="q")
    world.memory, signals = custom.look(world.memory, world.asked, {"requestsPerSecond": [Sample({}, 35.0)]}, world.now)
    wish = wish_of(world, signals)
    assert wish.replicas >= 3


def test_a_queue_that_is_asked_for_and_missing_is_not_zero() -> None:
    world = with_queries(requestsPerSecond="q", waiting="w")
    answers = {"requestsPerSecond": [Sample({}, 35.0)], "waiting": []}
    world.memory, signals = custom.look(world.memory, world.asked, answers, world.now)
    assert ask(world, signals)[1] is None


@pytest.mark.parametrize("by_pod", [True, False])
def test_own_queries_teach_capacity_too(by_pod: bool) -> None:
    world = with_queries(requestsPerSecond="q", waiting="w")
    world.spec = replace(world.spec, capacity=Capacity())

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


def test_the_status_shows_the_objective_rounded_down_and_three_figures_of_capacity() -> None:
    world = SignalsWorld([vllm("llama-0")])
    world.look()
    signals = world.look(15)
    assert shown(signals, world.spec) == {}
    slo = Attainment(world.now - MINUTE, world.now, InTime(0.999999, 1.0, 10**6))
    capacity = ReplicaCapacity(Evidence.EXPLORED, 0.0123456, 2345.6, 10, 0.4)
    found = shown(replace(signals, slo=slo, capacity=capacity), world.spec)
    assert found == {
        "slo": {"attainment": "99.99", "objective": "99.9"},
        "capacity": {"requestsPerSecond": "0.0123", "tokensPerSecond": "2346", "source": "Explored"},
    }
