"""No series, stale, a counter that began anew and a true zero are told apart, and only zero lets replicas go."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.serving.signals import looking
from gpucost.core.serving.signals.joining import find
from gpucost.core.serving.signals.model import (
    Availability,
    CounterReset,
    FirstLook,
    Known,
    NoSeries,
    Signals,
    Stale,
    Unusable,
    Work,
    value_of,
)
from gpucost.core.serving.spec import MetricSettings, Runtime
from support.signals_world import BORN, Server, SignalsWorld, spec, vllm


def world_of(count: int, **more: float) -> SignalsWorld:
    world = SignalsWorld([vllm(f"llama-{index}", **more) for index in range(count)])
    world.look()
    return world


def test_a_server_without_a_request_is_a_true_zero_and_may_go() -> None:
    signals = world_of(2).look(15)
    assert signals.arrived == Known(0.0, signals.at, 0.0, 0.0)
    assert signals.availability is Availability.FOUND
    assert signals.frozen == ""


def test_a_rate_is_the_difference_of_two_scrapes() -> None:
    world = world_of(2)
    for server in world.servers:
        server.add(requests=30, generation_tokens=6000, prompt_tokens=1500)
    signals = world.look(15)
    assert value_of(signals.served) == pytest.approx(4.0)
    assert value_of(signals.generation_tokens) == pytest.approx(800.0)
    assert signals.work == Work(requests=60, generation_tokens=12000, prompt_tokens=3000)
    assert signals.since == signals.at - 15 * SECOND


def test_what_arrives_is_what_ends_and_what_is_there_more_than_before() -> None:
    world = world_of(1)
    world.servers[0].add(requests=15)
    world.servers[0].series |= {"vllm:num_requests_running": 20, "vllm:num_requests_waiting": 10}
    assert value_of(world.look(15).arrived) == pytest.approx(3.0)


def test_no_series_is_not_zero_and_freezes() -> None:
    world = world_of(2)
    world.look(15)
    world.unscraped = {"llama-0", "llama-1"}
    signals = world.look(15)
    assert signals.arrived == NoSeries()
    assert signals.availability is Availability.MISSING
    assert signals.frozen
    assert signals.unknown_since == world.now


def test_a_scrape_that_is_too_old_is_stale_by_the_engines_own_clock() -> None:
    world = SignalsWorld([vllm("llama-0"), vllm("llama-1")], clock_ahead=3600.0)
    world.look()
    world.look(15)
    for server in world.servers:
        server.scraped = world.now
    assert isinstance(world.look(100).arrived, Known)
    signals = world.look(50)
    assert signals.arrived == Stale(150 * SECOND)
    assert signals.availability is Availability.STALE
    assert signals.frozen == "arrived: stale for 150 s, for all of 2 pods"


def test_a_counter_that_began_anew_freezes_for_one_look() -> None:
    world = world_of(1)
    world.servers[0].add(requests=100)
    world.look(15)
    world.servers[0].series["vllm:request_success_total"] = 5.0
    world.servers[0].started = world.now + 5 * SECOND
    signals = world.look(15)
    assert signals.arrived == CounterReset()
    assert signals.availability is Availability.RESET
    assert signals.frozen
    assert signals.is_partial
    assert signals.work is not None
    assert signals.work.requests == 5.0
    world.servers[0].add(requests=30)
    after = world.look(15)
    assert value_of(after.served) == pytest.approx(2.0)
    assert after.frozen == ""


def test_the_first_look_knows_no_rate() -> None:
    signals = SignalsWorld([vllm("llama-0")]).look()
    assert signals.arrived == FirstLook()
    assert signals.availability is Availability.LEARNING
    assert signals.work is None
    assert signals.frozen


def test_a_pod_that_started_since_the_last_look_began_at_zero() -> None:
    world = world_of(1)
    fresh = vllm("llama-1")
    fresh.started = world.now + 5 * SECOND
    fresh.add(requests=20)
    world.servers.append(fresh)
    signals = world.look(15)
    assert value_of(signals.pods["uid-llama-1"].served) == pytest.approx(2.0)
    assert signals.work is not None
    assert signals.work.requests == 20


def test_between_two_scrapes_the_last_rate_holds_and_nothing_is_counted_twice() -> None:
    world = world_of(1)
    world.servers[0].add(requests=30)
    first = world.look(15)
    world.servers[0].scraped = first.at
    world.now += 7000  # the answer took longer than the one before
    second = world.look(15)
    assert value_of(second.served) == value_of(first.served)
    assert second.work == Work(requests=0, prompt_tokens=0, generation_tokens=0)


def test_one_silent_pod_does_not_block_and_is_not_taken_for_an_idle_one() -> None:
    world = world_of(5)
    for index, server in enumerate(world.servers):
        server.add(requests=15 * (index + 1))
    world.unscraped = {"llama-0"}
    signals = world.look(15)
    assert signals.served == Known(17.5, signals.at, least=14.0, most=19.0)
    assert signals.silent == ("llama-0",)
    assert signals.frozen == ""
    assert signals.is_partial


def test_with_too_many_silent_pods_replicas_may_only_rise() -> None:
    world = world_of(5)
    world.unscraped = {"llama-0", "llama-1"}
    signals = world.look(15)
    assert signals.availability is Availability.FOUND
    assert signals.frozen == "2 of 5 pods say nothing: llama-0, llama-1"


def test_of_two_pods_one_may_be_silent_but_not_the_only_one() -> None:
    two, one = world_of(2), world_of(1)
    two.unscraped, one.unscraped = {"llama-0"}, {"llama-0"}
    assert two.look(15).frozen == ""
    assert one.look(15).frozen


def test_nothing_is_expected_of_a_pod_that_is_not_ready() -> None:
    world = world_of(2)
    world.servers.append(Server("llama-2", is_ready=False))
    signals = world.look(15)
    assert signals.silent == ()
    assert not signals.is_partial


def test_series_of_an_earlier_pod_of_the_same_name_are_not_its_own() -> None:
    world = world_of(1)
    old = world.servers[0]
    old.scraped = world.now
    world.servers[0] = replace(old, uid="uid-new", started=world.now + 5 * SECOND)
    assert world.look(15).arrived == NoSeries()


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_value_that_cannot_be_is_unknown(value: float) -> None:
    world = world_of(1)
    world.servers[0].series["vllm:num_requests_waiting"] = value
    signals = world.look(15)
    assert isinstance(signals.waiting, Unusable)
    assert not signals.availability.available
    assert signals.frozen


def test_a_cache_usage_above_one_is_unknown_but_blocks_nothing() -> None:
    world = world_of(1)
    world.servers[0].series["vllm:kv_cache_usage_perc"] = 37.0
    signals = world.look(15)
    assert isinstance(signals.kv_cache, Unusable)
    assert signals.frozen == ""


def test_old_and_new_names_count_while_an_upgrade_rolls() -> None:
    world = world_of(2)
    old = world.servers[0]
    old.series["vllm:gpu_cache_usage_perc"] = old.series.pop("vllm:kv_cache_usage_perc") + 0.4
    assert value_of(world.look(15).kv_cache) == pytest.approx(0.3)


def test_a_gauge_that_is_gone_after_an_upgrade_freezes() -> None:
    world = world_of(1)
    world.servers[0].series["vllm:queue_depth"] = world.servers[0].series.pop("vllm:num_requests_waiting")
    signals = world.look(15)
    assert signals.waiting == NoSeries()
    assert signals.availability is Availability.MISSING
    assert signals.message == "waiting: no series, for all of 1 pods"


def test_only_the_model_that_is_asked_for_counts() -> None:
    world = world_of(2)
    world.spec = spec(metrics=MetricSettings(model_name="llama"))
    world.servers[1].model = "mistral"
    world.look(15)
    for server in world.servers:
        server.add(requests=30)
    assert value_of(world.look(15).pods["uid-llama-0"].served) == pytest.approx(2.0)
    world.servers[0].model = "llama-3"
    signals = world.look(15)
    assert signals.availability is Availability.MISSING
    assert "no series of 'llama'; the pods serve" in signals.message
    assert "llama-3" in signals.message


def test_thousands_of_series_for_one_pod_are_refused_and_said() -> None:
    world = world_of(1)
    metric = "vllm:num_requests_running"
    extra = [Server("llama-0", {metric: 1.0}, model=f"m{index}") for index in range(3000)]
    asked = world.asked
    world.servers += extra
    _, signals = looking.look(world.memory, asked, find(asked, world.answer(), world.now), world.now)
    assert signals.availability is Availability.TOO_MANY
    assert "more than 64 series for each metric of one pod" in signals.message
    assert signals.frozen == signals.message


def test_unknown_time_has_one_beginning_until_it_ends() -> None:
    world = world_of(1)
    world.look(15)
    world.unscraped = {"llama-0"}
    begun = world.look(15).unknown_since
    assert world.look(300).unknown_since == begun
    world.memory, signals = looking.nothing(world.memory, world.asked, Availability.SOURCE_ERROR, "x", world.now)
    assert signals.unknown_since == begun
    world.unscraped = set()
    world.look(15)
    assert world.look(15).unknown_since is None


def test_a_gap_of_looks_is_work_but_no_rate() -> None:
    world = world_of(1)
    world.servers[0].add(requests=600)
    signals = world.look(600)
    assert signals.served == FirstLook()
    assert signals.work is not None
    assert signals.work.requests == 600


def lazy(**series: float) -> SignalsWorld:
    server = Server("llama-0", {"sglang:num_running_reqs": 0, "sglang:num_queue_reqs": 0, **series})
    world = SignalsWorld([server], spec(Runtime.SGLANG))
    world.look()
    return world


def test_a_server_that_creates_its_counters_with_the_first_request_is_idle_before() -> None:
    world = lazy()
    assert value_of(world.look(15).arrived) == 0.0
    world.servers[0].series["sglang:num_requests_total"] = 30.0
    assert value_of(world.look(15).served) == pytest.approx(2.0)


def test_a_counter_that_is_missing_beside_others_is_no_zero() -> None:
    world = lazy(**{"sglang:generation_tokens_total": 500.0})
    assert world.look(15).arrived == NoSeries()


def test_a_missing_counter_is_no_zero_while_requests_run() -> None:
    world = lazy()
    world.servers[0].series["sglang:num_running_reqs"] = 4
    assert world.look(15).arrived == NoSeries()


def test_triton_tells_how_many_wait_by_the_time_they_have_waited() -> None:
    names = ("request_success", "queue_duration_us", "request_duration_us")
    server = Server("llama-0", {f"nv_inference_{name}": 0.0 for name in names})
    world = SignalsWorld([server], spec(Runtime.TRITON))
    world.look()
    server.series |= {
        "nv_inference_request_success": 150.0,
        "nv_inference_queue_duration_us": 45e6,
        "nv_inference_request_duration_us": 120e6,
    }
    signals = world.look(15)
    assert value_of(signals.arrived) == pytest.approx(10.0)
    assert value_of(signals.waiting) == pytest.approx(3.0)
    assert value_of(signals.running) == pytest.approx(5.0)


def test_triton_that_tells_how_many_wait_is_believed_before_they_are_served() -> None:
    """A real one's figures, early in a burst of 30: by the time that those who are served have waited it would be 2."""
    names = ("request_success", "queue_duration_us", "request_duration_us", "pending_request_count")
    server = Server("llama-0", {f"nv_inference_{name}": 0.0 for name in names})
    world = SignalsWorld([server], spec(Runtime.TRITON))
    world.look()
    server.series |= {
        "nv_inference_request_success": 7.0,
        "nv_inference_queue_duration_us": 2_362_356.0,
        "nv_inference_request_duration_us": 3_105_928.0,
        "nv_inference_pending_request_count": 22.0,
    }
    signals = world.look(1)
    assert value_of(signals.waiting) == 22.0
    assert value_of(signals.running) == pytest.approx(0.743572)
    assert value_of(signals.arrived) == pytest.approx(29.0)


def test_tenants_are_counted_apart_and_together() -> None:
    server = vllm("llama-0")
    world = SignalsWorld([server], spec(metrics=MetricSettings(tenant_label="tenant")))
    server.labels = {"vllm:generation_tokens_total": {"tenant": "search"}}
    other = replace(server, labels={"vllm:generation_tokens_total": {"tenant": "mail"}})
    metric = "vllm:generation_tokens_total"
    other.series = {metric: 0.0}

    def look(seconds: float) -> Signals:
        world.now += round(seconds * SECOND)
        world.servers = [server, other]
        answer = world.answer()
        world.servers = [server]
        world.memory, signals = looking.look(world.memory, world.asked, find(world.asked, answer, world.now), world.now)
        return signals

    look(0)
    server.series[metric], other.series[metric] = 300.0, 100.0
    signals = look(15)
    assert signals.work is not None
    assert signals.work.generation_tokens == 400.0
    assert {name: work.generation_tokens for name, work in signals.tenants.items()} == {"search": 300.0, "mail": 100.0}


def test_no_pod_at_all_is_unknown() -> None:
    signals = SignalsWorld([], now=BORN + MINUTE).look()
    assert signals.arrived == NoSeries()
    assert signals.message == "no pod of the target has been ready for long enough to say anything"
    assert signals.frozen


def test_unknown_time_begins_with_the_first_pod() -> None:
    world = SignalsWorld([])
    for _ in range(3):
        asleep = world.look(3600)
    world.servers = [Server("llama-0", is_ready=False)]
    starting = world.look(15)
    assert (asleep.unknown_since, starting.unknown_since) == (asleep.at, asleep.at)
