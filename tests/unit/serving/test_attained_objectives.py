"""How an objective was kept, from cumulative buckets, with bounds where a limit lies inside a bucket."""

from __future__ import annotations

import math

import pytest

from gpucost.core.clock import HOUR, SECOND
from gpucost.core.serving.signals import looking
from gpucost.core.serving.signals.attainment import around, grown, in_time
from gpucost.core.serving.signals.model import Evidence, InTime
from gpucost.core.serving.signals.presets import BETWEEN_TOKENS, FIRST_TOKEN
from gpucost.core.serving.spec import Slo
from support.signals_world import SignalsWorld, spec, vllm

BUCKETS = {0.5: 60.0, 1.0: 90.0, 2.5: 98.0, math.inf: 100.0}


def test_a_limit_that_is_a_bound_is_exact() -> None:
    assert in_time(BUCKETS, 1.0) == InTime(0.9, 0.9, 100)


def test_a_limit_inside_a_bucket_has_bounds() -> None:
    assert in_time(BUCKETS, 2.0) == InTime(0.9, 0.98, 100)


def test_a_limit_beyond_all_bounds_and_below_them() -> None:
    assert in_time(BUCKETS, 10.0) == InTime(0.98, 1.0, 100)
    assert in_time(BUCKETS, 0.1) == InTime(0.0, 0.6, 100)


def test_without_a_count_of_all_events_nothing_is_known() -> None:
    assert in_time({0.5: 60.0}, 0.5) is None


def test_the_bounds_that_are_needed_are_those_around_the_limit() -> None:
    assert around(BUCKETS, 2.0) == (1.0, 2.5, math.inf)
    assert around(BUCKETS, 1.0) == (1.0, math.inf)
    assert around(BUCKETS, 9.0) == (2.5, math.inf)


def test_growth_is_a_difference_and_after_a_restart_all_that_there_is() -> None:
    now = {1.0: 12.0, math.inf: 15.0}
    assert grown(now, {1.0: 10.0, math.inf: 10.0}) == {1.0: 2.0, math.inf: 5.0}
    assert grown(now, {1.0: 40.0, math.inf: 50.0}) == now
    assert grown(now, {1.0: 40.0, math.inf: 50.0}, anew=False) is None, "a model was unloaded, and nobody began anew"
    assert grown(now, {2.0: 10.0, math.inf: 10.0}) is None
    assert grown(now, None) is None


def minute(
    world: SignalsWorld,
    first_token: dict[float, float],
    between: dict[float, float] | None = None,
    *,
    tokens: float = 400,
) -> None:
    """A minute with so many tokens a second, in which the cumulative buckets of every pod become as given."""
    for _ in range(4):
        for server in world.servers:
            server.add(requests=15, generation_tokens=15 * tokens)
        world.look(15)
    buckets = {FIRST_TOKEN: first_token, **({BETWEEN_TOKENS: between} if between else {})}
    by_pod = {f"uid-{one.name}": buckets for one in world.servers}
    world.memory = looking.end_minute(world.memory, world.asked, by_pod, world.now)


def test_the_objective_is_told_over_the_last_hour_by_the_worse_of_both_limits() -> None:
    world = SignalsWorld([vllm("llama-0"), vllm("llama-1")], spec(slo=Slo(1 * SECOND, 50_000)))
    world.look()
    minute(world, {1.0: 0.0, math.inf: 0.0}, {0.05: 0.0, math.inf: 0.0})
    minute(world, {1.0: 95.0, math.inf: 100.0}, {0.05: 990.0, math.inf: 1000.0})
    slo = world.look(1).slo
    assert slo is not None
    assert slo.share == pytest.approx(0.95)
    assert slo.between_tokens == InTime(0.99, 0.99, 2000)
    world.now += 2 * HOUR
    minute(world, {1.0: 195.0, math.inf: 200.0}, {0.05: 1990.0, math.inf: 2000.0})
    slo = world.look(1).slo
    assert slo is not None
    assert slo.share == 1.0


def test_capacity_is_learned_on_the_way_and_the_limit_by_missed_minutes() -> None:
    world = SignalsWorld([vllm("llama-0")], spec(slo=Slo(1 * SECOND)))
    world.look()
    counts = {1.0: 0.0, math.inf: 0.0}
    minute(world, dict(counts))
    for _ in range(6):
        counts = {bound: value + 60 for bound, value in counts.items()}
        minute(world, dict(counts))
    found = world.look(1).capacity
    assert found.evidence is Evidence.EXPLORED
    assert found.tokens_per_second == pytest.approx(800, rel=0.05)
    world.servers[0].series["vllm:num_requests_waiting"] = 12
    for _ in range(6):
        counts = {1.0: counts[1.0] + 10, math.inf: counts[math.inf] + 60}
        minute(world, dict(counts), tokens=800)
    signals = world.look(1)
    assert signals.saturated == ("llama-0",)
    assert signals.capacity.evidence is Evidence.SATURATED
    assert signals.capacity.tokens_per_second == pytest.approx(400, rel=0.05)


def test_without_latencies_a_queue_is_what_speaks_against_a_minute() -> None:
    world = SignalsWorld([vllm("llama-0", waiting=5)], spec(slo=Slo()))
    world.look()
    for _ in range(6):
        for _ in range(4):
            world.servers[0].add(requests=15, generation_tokens=6000)
            world.look(15)
        world.memory = looking.end_minute(world.memory, world.asked, None, world.now)
    signals = world.look(1)
    assert signals.slo is None
    assert signals.capacity.evidence is Evidence.SATURATED
    assert signals.capacity.tokens_per_second == pytest.approx(400, rel=0.05)
