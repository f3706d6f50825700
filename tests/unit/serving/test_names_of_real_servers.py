"""What real servers said after forty requests, as `servers.real` wrote it down, is what the presets read."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import generate_latest

from gpucost.core.serving.signals import presets
from gpucost.core.serving.signals.model import Work, value_of
from gpucost.core.serving.signals.presets import PRESETS
from gpucost.core.serving.spec import Runtime
from servers.engine import Engine, Hardware, Metrics
from servers.names import Metric, compare, differences, metrics_of, simulation
from support.signals_world import Server, SignalsWorld, spec

SAID = Path(__file__).resolve().parents[2] / "data/servers"
VLLM = (SAID / "vllm-0.32.0.prom").read_text()
TRITON = (SAID / "triton-2.51.0.prom").read_text()


def world_of(runtime: Runtime, text: str) -> SignalsWorld:
    """One server that has had no request, and one look later has had them all."""
    names = {name for name, _ in PRESETS[runtime].figure_of().items()}
    said = {name: one for name, one in metrics_of(text).items() if name in names}
    server = Server("llama-0", dict.fromkeys(said, 0.0))
    world = SignalsWorld([server], spec(runtime))
    world.look()
    server.series |= {name: one.value for name, one in said.items()}
    return world


@pytest.mark.parametrize(
    ("runtime", "text", "lacks"),
    [(Runtime.VLLM, VLLM, set()), (Runtime.TRITON, TRITON, {presets.FIRST_TOKEN})],
)
def test_a_real_server_tells_every_figure_under_the_first_of_its_names(
    runtime: Runtime, text: str, lacks: set[str]
) -> None:
    matches = compare(PRESETS[runtime], "", text)
    assert {one.figure for one in matches if one.name is None} == lacks
    assert all(one.name == one.known[0] for one in matches if one.name is not None)
    assert PRESETS[runtime].alive[0] in metrics_of(text)
    assert all(PRESETS[runtime].model_label in (one.after or Metric("")).labels for one in matches if one.name)


def test_what_vllm_counted_is_what_it_was_sent() -> None:
    """Forty prompts of 168 tokens, of which all but the first found a block of 128 again; 24 tokens each in answer."""
    work = world_of(Runtime.VLLM, VLLM).look(15).work
    assert work is not None
    assert (work.requests, work.prompt_tokens, work.generation_tokens) == (40, 40 * 168, 40 * 24)
    assert (work.cache_queries, work.cache_hits) == (40 * 168, 39 * 128)
    assert work.prefill_seconds is not None
    assert work.decode_seconds is not None
    assert 0 < work.prefill_seconds < work.decode_seconds


def test_what_triton_counted_is_what_it_was_sent() -> None:
    signals = world_of(Runtime.TRITON, TRITON).look(60)
    assert signals.work == Work(requests=40)
    assert value_of(signals.waiting) == 0.0
    assert 0.01 < (value_of(signals.running) or 0.0) < 1.0, "one instance, which worked for some seconds of the minute"


def test_the_simulation_of_vllm_says_nothing_otherwise_than_vllm() -> None:
    assert differences(simulation(), VLLM) == []


async def test_the_simulation_counts_clients_that_go_away_as_vllm_does() -> None:
    """What they were given and when it began is counted; that they ended, and their times, are not."""
    metrics = Metrics()
    engine = Engine("chat", "llama-0", "llama", Hardware(places=1, token_seconds=0.0001), metrics)
    whole = engine.answer(3, 24)
    assert [count async for count in whole] == [8, 8, 8]
    gone = engine.answer(3, 24)
    assert await anext(gone) == 8
    await gone.aclose()
    told = metrics_of(generate_latest(metrics.registry).decode())

    def value(name: str) -> float:
        return told[f"vllm:{name}"].value

    assert (value("request_success_total"), value("generation_tokens_total"), value("prompt_tokens_total")) == (
        1,
        32,
        6,
    )
    assert (value("time_to_first_token_seconds_count"), value("inter_token_latency_seconds_count")) == (2, 23 + 7)
    assert {value(f"request_{part}_time_seconds_count") for part in ("queue", "prefill", "decode")} == {1}
    assert value("num_requests_running") == 0


def test_a_difference_is_said() -> None:
    text = simulation().replace("vllm:num_requests_running", "vllm:requests_running")
    text = text.replace("# TYPE vllm:num_requests_waiting gauge", "# TYPE vllm:num_requests_waiting counter")
    text = text.replace('le="2560.0"', 'le="1280.0"')
    first, *others = differences(text, VLLM)
    assert first == "vllm:requests_running: the server has no such metric"
    assert [one.split(":")[1] for one in others] == ["num_requests_waiting", "time_to_first_token_seconds_bucket"]
