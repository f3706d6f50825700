"""The real Prometheus scrapes servers that speak as vLLM does; the operator sees what was really served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from aiohttp import web

from gpucost.core.clock import MINUTE, SECOND, Instant
from gpucost.core.serving.signals.joining import Group
from gpucost.core.serving.signals.model import Asked, Availability, Known, PodRef, Signals, value_of
from gpucost.core.serving.spec import EndpointSpec, MetricSettings, Runtime, Slo, TargetRef
from gpucost.runtime.metrics import Figures
from gpucost.runtime.serving_feed import ServingFeed
from gpucost.sources.promql import PromQL
from gpucost.sources.serving_metrics import ask
from servers.engine import Hardware
from servers.load import Load
from servers.serving import Endpoint
from support.scraping_prometheus import prometheus_scraping

NAMESPACE = "chat"
SGLANG = Path(__file__).resolve().parents[1] / "data/servers/sglang-0.5.23-priorities.prom"
SPEC = EndpointSpec(TargetRef("Deployment", "llama"), Runtime.VLLM, slo=Slo(1 * SECOND, 50_000))


def now() -> Instant:
    return time.time_ns() // 1000


@asynccontextmanager
async def served(application: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@dataclass
class Scene:
    """Servers, the Prometheus that scrapes them, and the feed that asks it."""

    endpoint: Endpoint
    address: str
    prometheus: str
    spec: EndpointSpec = SPEC
    looks: list[Signals] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.feed = ServingFeed(lambda: [self.asked], PromQL(self.prometheus), Figures(), now)

    @property
    def asked(self) -> Asked:
        long_ago = now() - 10 * MINUTE
        refs = tuple(PodRef(f"uid-{name}", name, long_ago) for name in sorted(self.endpoint.engines))
        return Asked("uid-llama", NAMESPACE, self.spec, refs)

    async def look(self) -> Signals:
        await self.feed.once()
        found = self.feed.of("uid-llama")
        assert found is not None
        self.looks.append(found)
        return found

    async def until(self, availability: Availability, seconds: float = 15) -> Signals:
        deadline = time.monotonic() + seconds
        while (found := await self.look()).availability is not availability:
            assert time.monotonic() < deadline, found.message
            await asyncio.sleep(0.5)
        return found


@contextmanager
def twice_scraped(address: str) -> Iterator[str]:
    """As with a ServiceMonitor and a PodMonitor for the same pods."""
    with prometheus_scraping(("service", address), ("pod", address)) as url:
        yield url


async def test_what_is_measured_is_what_was_served() -> None:
    endpoint = Endpoint(NAMESPACE, hardware=Hardware(places=4))
    endpoint.set_pods({"llama-0": "", "llama-1": "old-names"})
    async with served(endpoint.application()) as address:
        with twice_scraped(address) as prometheus:
            scene = Scene(endpoint, address, prometheus)
            idle = await scene.until(Availability.FOUND)
            assert value_of(idle.arrived) == 0.0
            assert idle.frozen == ""
            load = Load(f"http://{address}", rate=10, late_after=1.0)
            running = asyncio.create_task(load.run(6))
            while not running.done():
                await asyncio.sleep(1)
                await scene.look()
            tally = await running
            await asyncio.sleep(2.5)  # the last scrape that brings news
            last = await scene.look()

            assert tally.failed == 0
            works = [one.work for one in scene.looks if one.work is not None]
            assert sum(one.requests or 0 for one in works) == tally.sent
            assert sum(one.generation_tokens or 0 for one in works) == tally.sent * load.max_tokens
            assert sum(one.prompt_tokens or 0 for one in works) == tally.sent * load.prompt_tokens
            assert max(value_of(one.arrived) or 0.0 for one in scene.looks) > 4
            assert all(0 <= (value_of(pod.kv_cache) or 0.0) <= 1 for pod in last.pods.values())
            assert isinstance(last.kv_cache, Known)

            endpoint.silent = {"llama-0"}
            await asyncio.sleep(2.5)
            one_silent = await scene.look()
            assert (one_silent.silent, one_silent.frozen) == (("llama-0",), "")
            endpoint.silent = {"llama-0", "llama-1"}
            missing = await scene.until(Availability.MISSING)
            assert missing.frozen
            assert "no series" in missing.message

            endpoint.silent = set()
            await scene.until(Availability.FOUND)
            endpoint.restart("llama-0")
            endpoint.restart("llama-1")
            assert (await scene.until(Availability.RESET)).frozen
            await scene.until(Availability.FOUND)

            for fault, said in (
                ("new-names", "the pods export vllm:finished_requests_total, vllm:sequences_running"),
                ("new-labels", "name the pods in the label 'pod_name': set spec.metrics.podLabel to it"),
                ("down", "no series of the target's pods at all: is their /metrics scraped?"),
            ):
                endpoint.set_pods(dict.fromkeys(endpoint.engines, fault))
                upgraded = await scene.until(Availability.MISSING)
                assert said in upgraded.message, "another reason than the one before"
                assert upgraded.frozen == upgraded.message
                endpoint.set_pods(dict.fromkeys(endpoint.engines, ""))
                await scene.until(Availability.FOUND)


async def test_what_is_wrong_with_the_series_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpucost.runtime.serving_feed._NO_REASON_STAYS", 2 * SECOND)
    endpoint = Endpoint(NAMESPACE)
    endpoint.set_pods({"llama-0": "silent"})
    async with served(endpoint.application()) as address:
        with prometheus_scraping(("pod", address)) as prometheus:
            scene = Scene(endpoint, address, prometheus)
            assert "is their /metrics scraped?" in (await scene.until(Availability.MISSING)).message
            endpoint.set_pods({"llama-0": "new-names"})
            for _ in range(30):
                if "have names changed?" in (await scene.look()).message:
                    break
                await asyncio.sleep(0.5)
            else:
                pytest.fail("what is wrong with the first series is not said")
            endpoint.set_pods({"llama-0": ""})
            await scene.until(Availability.FOUND)

            async def told(spec: EndpointSpec) -> Signals:
                other = Scene(endpoint, address, prometheus, spec)
                await other.look()
                return await other.look()

            wrong_runtime = await told(replace(SPEC, runtime=Runtime.SGLANG))
            assert "is spec.runtime vllm?" in wrong_runtime.message
            wrong_label = await told(replace(SPEC, metrics=MetricSettings(pod_label="exported_pod")))
            assert wrong_label.message.endswith("name the pods in the label 'pod': set spec.metrics.podLabel to it")
            wrong_model = await told(replace(SPEC, metrics=MetricSettings(model_name="mistral")))
            assert "no series of 'mistral'; the pods serve llama" in wrong_model.message

            custom = replace(SPEC, runtime=Runtime.CUSTOM)
            requests = 'sum by (pod) (rate(vllm:request_success_total{namespace="chat"}[10s]))'
            good = await told(replace(custom, metrics=MetricSettings({"requestsPerSecond": requests})))
            assert (good.availability, value_of(good.arrived)) == (Availability.FOUND, 0.0)
            broken = await told(replace(custom, metrics=MetricSettings({"requestsPerSecond": "rate(x[1m"})))
            assert "spec.metrics.queries.requestsPerSecond: no PromQL" in broken.message
            refused = await told(replace(custom, metrics=MetricSettings({"requestsPerSecond": "rate(x)"})))
            assert "Prometheus refuses the query" in refused.message
            absent = await told(replace(custom, metrics=MetricSettings({"requestsPerSecond": "nobody_has_this"})))
            assert (absent.availability, bool(absent.frozen)) == (Availability.MISSING, True)
            several = await told(
                replace(custom, metrics=MetricSettings({"requestsPerSecond": "vllm:request_success_total"}))
            )
            assert "several series of one pod" in several.message
            for one in (wrong_runtime, wrong_label, wrong_model, broken, refused, several):
                assert one.frozen == one.message


async def test_the_objective_comes_from_the_buckets_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpucost.runtime.serving_feed.MINUTE", 2 * SECOND)
    endpoint = Endpoint(NAMESPACE, hardware=Hardware(places=1, token_seconds=0.02))
    endpoint.set_pods({"llama-0": ""})
    async with served(endpoint.application()) as address:
        with prometheus_scraping(("pod", address)) as prometheus:
            scene = Scene(endpoint, address, prometheus)
            await scene.until(Availability.FOUND)
            load = Load(f"http://{address}", rate=4, late_after=1.0, max_tokens=20)
            running = asyncio.create_task(load.run(5))
            while not running.done():
                await asyncio.sleep(1)
                await scene.look()
            tally = await running
            await asyncio.sleep(2.5)
            await scene.look()
            last = await scene.look()
            assert tally.late > 0
            assert last.slo is not None
            assert last.slo.first_token is not None
            assert last.slo.first_token.count == tally.sent
            # the server's clock is the client's but for the way between them: one request at the limit may differ
            assert last.slo.first_token.at_least * tally.sent == pytest.approx(tally.in_time, abs=1.01)
            assert last.slo.between_tokens is not None
            assert last.slo.between_tokens.at_least == 1.0


async def test_parts_of_a_gauge_are_not_added_to_the_whole() -> None:
    """SGLang with priorities tells its queue whole (3 run, 7 wait) and once more by priority."""
    said = SGLANG.read_text().replace("{", '{namespace="chat",pod="llama-0",')

    async def tell(_request: web.Request) -> web.Response:
        return web.Response(text=said, headers={"Content-Type": "text/plain; version=0.0.4"})

    application = web.Application()
    application.router.add_get("/metrics", tell)
    async with served(application) as address:
        with twice_scraped(address) as prometheus:
            engine, group = PromQL(prometheus), Group(Runtime.SGLANG)
            deadline = time.monotonic() + 15
            while not (pods := (await ask(engine, group, ["chat"])).pods):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.5)
    values = {name: value for name, _, _, value in pods["chat", "llama-0"].series}
    assert values == {
        "sglang:num_running_reqs": 3.0,
        "sglang:num_queue_reqs": 7.0,
        "sglang:token_usage": 0.25,
        "sglang:num_requests_total": 1.0,
        "sglang:prompt_tokens_total": 10.0,
        "sglang:generation_tokens_total": 5.0,
        "sglang:cached_tokens_total": 4.0,
    }
