"""What counters may do to those who add them up: vanish in part, come back, be no number, and begin anew."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gpucost.core.clock import SECOND
from gpucost.core.serving.signals import looking
from gpucost.core.serving.signals.joining import find
from gpucost.core.serving.signals.model import Availability, CounterReset, FirstLook, Known, Signals, value_of
from gpucost.core.serving.spec import MetricSettings, Runtime
from support.signals_world import Server, SignalsWorld, spec, vllm

TOKENS = "vllm:generation_tokens_total"


def a_world(count: int = 1, **more: float) -> SignalsWorld:
    world = SignalsWorld([vllm(f"llama-{index}", **more) for index in range(count)])
    world.look()
    return world


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_after_a_value_that_is_no_number_nothing_can_be_compared(value: float) -> None:
    world = a_world()
    world.servers[0].series["vllm:request_success_total"] = value
    world.look(15)
    world.servers[0].series["vllm:request_success_total"] = 4000.0
    signals = world.look(15)
    assert not isinstance(signals.arrived, Known)
    assert signals.frozen
    assert signals.work is not None
    assert signals.work.requests is None, "4000 requests of long ago are no work of now"
    world.servers[0].add(requests=30)
    assert value_of(world.look(15).arrived) == pytest.approx(2.0)


def test_a_counter_that_loses_some_of_its_series_has_done_nothing() -> None:
    """A model is unloaded: the sum over models falls, and no server has begun anew."""
    world = a_world()
    world.servers[0].add(generation_tokens=900_000)
    world.look(15)
    world.servers[0].series[TOKENS] = 500_000.0
    signals = world.look(15)
    assert signals.generation_tokens == CounterReset()
    assert signals.work is not None
    assert signals.work.generation_tokens is None
    assert signals.is_partial


def test_series_that_come_back_are_no_burst_of_requests() -> None:
    """The scrape of one of two engines in a pod fails once: half of all that was ever counted goes and comes."""
    world = a_world()
    world.servers[0].add(requests=2000)
    world.look(15)
    world.servers[0].series["vllm:request_success_total"] = 1000.0
    assert world.look(15).arrived == CounterReset()
    world.servers[0].series["vllm:request_success_total"] = 1020.0
    assert value_of(world.look(10).arrived) == pytest.approx(2.0)
    world.servers[0].series["vllm:request_success_total"] = 2060.0
    back = world.look(15)
    assert not isinstance(back.arrived, Known)
    assert back.work is not None
    assert back.work.requests is None
    world.servers[0].add(requests=60)
    assert value_of(world.look(15).arrived) == pytest.approx(4.0)


def test_a_counter_that_began_anew_may_grow_by_what_it_had() -> None:
    world = a_world()
    world.servers[0].add(requests=20)
    world.look(15)
    world.servers[0].series["vllm:request_success_total"] = 5.0
    world.servers[0].started = world.now + 5 * SECOND
    world.look(15)
    world.servers[0].add(requests=60)
    assert value_of(world.look(15).arrived) == pytest.approx(4.0)


def test_another_model_is_another_counter() -> None:
    world = a_world()
    world.servers.append(replace(world.servers[0], series={"vllm:request_success_total": 9000.0}, model="mistral"))
    asked, both = world.asked, world.answer()
    one = replace(asked, spec=spec(metrics=MetricSettings(model_name="llama")), pods=asked.pods[:1])
    memory, _ = looking.look(looking.Memory(), one, find(one, both, world.now), world.now)
    world.now += 15 * SECOND
    memory, signals = looking.look(memory, one, find(one, world.answer(), world.now), world.now)
    assert value_of(signals.arrived) == 0.0
    world.now += 15 * SECOND
    all_models = replace(one, spec=spec())
    _, signals = looking.look(memory, all_models, find(all_models, world.answer(), world.now), world.now)
    assert signals.arrived == FirstLook()
    assert signals.work is None


def test_what_a_pod_did_while_it_was_silent_is_nobodys_like_its_time() -> None:
    world = a_world(2)
    world.look(15)
    world.unscraped = {"llama-1"}
    for _ in range(20):
        world.look(60)
    world.unscraped = set()
    world.servers[1].add(requests=5000)
    world.servers[0].add(requests=10)
    signals = world.look(15)
    assert signals.work is not None
    assert signals.work.requests == 10
    assert signals.is_partial
    world.servers[1].add(requests=30)
    after = world.look(15)
    assert after.work is not None
    assert after.work.requests == 30


def test_between_two_scrapes_it_is_known_that_nothing_more_was_counted() -> None:
    world = a_world()
    world.servers[0].add(requests=30)
    world.servers[0].scraped = world.look(15).at
    work = world.look(10).work
    assert work is not None
    assert (work.requests, work.generation_tokens, work.prefill_seconds) == (0.0, 0.0, None)


def test_an_engine_whose_clock_goes_back_is_looked_at_anew() -> None:
    world = a_world()
    world.look(15)
    world.clock_ahead = -3600.0
    for _ in range(8):
        world.servers[0].add(requests=15)
        assert isinstance(world.look(15).arrived, Known)
    world.servers[0].add(requests=15)
    assert world.look(15).arrived == FirstLook()
    world.servers[0].add(requests=60)
    assert value_of(world.look(15).arrived) == pytest.approx(4.0)


def test_newer_names_of_a_server_begin_at_zero_too() -> None:
    server = Server("llama-0", {"sglang_num_running_reqs": 0, "sglang_num_queue_reqs": 0})
    world = SignalsWorld([server], spec(Runtime.SGLANG))
    world.look()
    assert value_of(world.look(15).arrived) == 0.0
    server.series["sglang_num_requests_total"] = 30.0
    signals = world.look(15)
    assert value_of(signals.served) == pytest.approx(2.0)
    assert signals.work is not None
    assert signals.work.requests == 30


# --- tenants ----------------------------------------------------------------------------------------------------------


class Tenants:
    """One pod whose tokens are labelled by tenant."""

    def __init__(self, **tokens: float) -> None:
        self.world = SignalsWorld([vllm("llama-0")], spec(metrics=MetricSettings(tenant_label="tenant")))
        self.tokens = tokens

    def look(self, seconds: float = 15) -> Signals:
        world, server = self.world, self.world.servers[0]
        world.now += round(seconds * SECOND)
        series = {metric: value for metric, value in server.series.items() if metric != TOKENS}
        parts = [
            replace(server, series={TOKENS: value}, labels={TOKENS: {"tenant": name}} if name != "nobody" else {})
            for name, value in self.tokens.items()
        ]
        world.servers = [replace(server, series=series), *parts]
        answer = world.answer()
        world.servers = [server]
        world.memory, signals = looking.look(world.memory, world.asked, find(world.asked, answer, world.now), world.now)
        return signals

    def done(self) -> dict[str, float | None]:
        return {name: work.generation_tokens for name, work in self.look().tenants.items()}


def test_a_tenant_that_comes_begins_at_zero() -> None:
    tenants = Tenants(search=1000.0)
    tenants.look()
    tenants.tokens |= {"search": 1200.0, "mail": 300.0}
    assert tenants.done() == {"search": 200.0, "mail": 300.0}


def test_tenants_that_are_told_apart_from_now_on_have_not_done_all_of_it_now() -> None:
    tenants = Tenants(nobody=9_000_000.0)
    tenants.look()
    tenants.tokens = {"search": 6_000_000.0, "mail": 3_000_100.0}
    assert tenants.done() == {}
    tenants.tokens = {"search": 6_000_050.0, "mail": 3_000_100.0}
    assert tenants.done() == {"search": 50.0, "mail": 0.0}


def test_a_tenant_whose_series_were_away_for_a_look_goes_on_from_where_it_was() -> None:
    tenants = Tenants(search=1000.0, mail=8000.0)
    tenants.look()
    tenants.tokens = {"search": 1000.0}
    tenants.look()
    tenants.tokens = {"search": 1100.0, "mail": 8020.0}
    assert tenants.done()["mail"] == 20.0


def test_tenants_of_a_server_that_began_anew_begin_anew() -> None:
    tenants = Tenants(search=1000.0, mail=8000.0)
    tenants.look()
    tenants.world.servers[0].started = tenants.world.now + 5 * SECOND
    tenants.tokens = {"search": 40.0}
    assert tenants.done() == {"search": 40.0}
    tenants.tokens = {"search": 40.0, "mail": 30.0}
    assert tenants.done() == {"search": 0.0, "mail": 30.0}


def test_a_pod_keeps_the_counts_of_so_many_tenants_and_no_more() -> None:
    tenants = Tenants()
    for number in range(40):
        tenants.tokens = {f"t{number}-{index}": 1.0 for index in range(40)}
        tenants.look()
    [memory] = tenants.world.memory.pods.values()
    assert len(memory.look.tenants) <= 1000


def test_a_hundred_tenants_are_no_explosion() -> None:
    tenants = Tenants(**{f"t{index}": 1.0 for index in range(300)})
    tenants.look()
    tenants.tokens["t7"] = 4.0
    assert tenants.look().availability is Availability.FOUND
    tenants.tokens |= {f"u{index}": 1.0 for index in range(9000)}
    assert "more than 1000 series" in tenants.look().message


def test_names_of_tenants_are_kept_as_far_as_a_name_goes() -> None:
    tenants = Tenants(**{"t" * 10_000: 0.0})
    tenants.look()
    tenants.tokens = {"t" * 10_000: 5.0}
    assert tenants.done() == {"t" * 253: 5.0}


def test_a_minute_of_which_a_server_did_not_tell_its_latencies_teaches_nothing() -> None:
    world = a_world()
    told = {"uid-llama-0": {"first_token": {2.0: 10.0, math.inf: 10.0}}}
    world.memory = looking.end_minute(world.memory, world.asked, told, world.now)
    for _ in range(4):
        world.servers[0].add(requests=15, generation_tokens=15_000)
        world.look(15)
    asleep = looking.end_minute(world.memory, world.asked, None, world.now)
    assert not asleep.learned.levels
    after = {"uid-llama-0": {"first_token": {2.0: 70.0, math.inf: 70.0}}}
    learned = looking.end_minute(world.memory, world.asked, after, world.now).learned
    assert [one.kept for one in learned.levels.values()] == [1.0]
