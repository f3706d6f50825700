"""Signals of many endpoints cost few requests, and whatever fails freezes those whose it is and no others."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gpucost.core.clock import MINUTE, SECOND, Instant
from gpucost.core.serving.signals import looking
from gpucost.core.serving.signals.joining import NAME, NOW, PART, STAMPS, SUMS
from gpucost.core.serving.signals.model import Asked, Availability, Evidence, PodRef, Signals, value_of
from gpucost.core.serving.spec import EndpointSpec, MetricSettings, Runtime, Slo, TargetRef
from gpucost.runtime.metrics import Figures
from gpucost.runtime.serving_feed import NO_ENGINE, NOT_ALLOWED, ServingFeed
from gpucost.sources.promql import PromQL
from support.feed_world import engine_with

BORN: Instant = 1_790_000_000 * SECOND
VLLM = EndpointSpec(TargetRef("Deployment", "llama"), Runtime.VLLM, slo=Slo())
_PART = re.compile(r'label_replace\(topk\(1001, \((?P<query>.*?)\n\)\), "gpucost_question", "(?P<index>\d+)", "", ""\)')


def custom(**queries: str) -> EndpointSpec:
    return replace(VLLM, runtime=Runtime.CUSTOM, metrics=MetricSettings(queries))


@dataclass
class Feeds:
    """Endpoints with one pod each, by name, and an engine that answers for all of them."""

    specs: dict[str, EndpointSpec]
    now: Instant = BORN
    requests: float = 0.0
    """What every server has counted."""
    answers: dict[str, Any] = field(default_factory=dict)
    """Of users' own queries: a list of results, or (status, error)."""
    trouble: tuple[int, str] | None = None
    feed: ServingFeed = field(init=False)

    def at(self, engine: PromQL | None, *, allowed: bool = True) -> Feeds:
        self.feed = ServingFeed(self.asked, engine, Figures(), lambda: self.now, allowed=allowed)
        return self

    def asked(self) -> list[Asked]:
        return [
            Asked(f"uid-{name}", "chat", spec, (PodRef(f"pod-{name}", f"{name}-0", BORN - 5 * MINUTE),))
            for name, spec in self.specs.items()
        ]

    def of(self, name: str) -> Signals:
        found = self.feed.of(f"uid-{name}")
        assert found is not None
        return found

    async def look(self, times: int = 2) -> None:
        for _ in range(times):
            self.now += 15 * SECOND
            await self.feed.once()

    def answer(self, query: str) -> Any:
        if self.trouble is not None:
            return self.trouble
        if "gpucost_question" in query:
            return self._custom(query)
        if PART not in query:
            return []
        found = [_result({PART: NOW}, self.now / SECOND)]
        for name in self.specs:
            pod = {"namespace": "chat", "pod": f"{name}-0"}
            found.append(_result({**pod, PART: STAMPS}, self.now / SECOND))
            values = {"request_success_total": self.requests, "num_requests_running": 1.0, "num_requests_waiting": 0.0}
            for metric, value in values.items():
                found.append(_result({**pod, PART: SUMS, NAME: f"vllm:{metric}", "model_name": "m"}, value))
        return found

    def _custom(self, query: str) -> Any:
        found: list[Any] = []
        for part in _PART.finditer(query):
            answer = self.answers.get(part["query"], [])
            if isinstance(answer, tuple):
                return answer
            found += [_result({**labels, "gpucost_question": part["index"]}, value) for labels, value in answer]
        return found


def _result(labels: dict[str, str], value: float) -> dict[str, Any]:
    return {"metric": labels, "value": [0, str(value)]}


async def test_any_number_of_endpoints_is_one_request_a_pass() -> None:
    feeds = Feeds({f"llama-{index}": VLLM for index in range(200)})
    with engine_with(feeds.answer) as (engine, promql):
        feeds.at(promql)
        await feeds.look(1)
        feeds.requests = 30
        await feeds.look(1)
        assert len(engine.asked) == 2
    assert value_of(feeds.of("llama-7").arrived) == 2.0
    assert all(feeds.of(name).availability is Availability.FOUND for name in feeds.specs)


async def test_an_engine_in_trouble_freezes_and_keeps_what_was_learned() -> None:
    feeds = Feeds({"llama": VLLM})
    with engine_with(feeds.answer) as (_, promql):
        feeds.at(promql)
        for _ in range(30):
            feeds.requests += 30
            await feeds.look(1)
        known = feeds.of("llama").capacity
        assert known.evidence is Evidence.EXPLORED
        feeds.trouble = (500, "oh: sum(secret_of_another_tenant)")
        await feeds.look(1)
    signals = feeds.of("llama")
    assert signals.availability is Availability.SOURCE_ERROR
    assert signals.frozen == "Prometheus does not answer (HTTP 500); the operator's log has the reason"
    assert (signals.unknown_since, signals.capacity) == (feeds.now, known)
    again = Feeds({"llama": VLLM}, now=feeds.now).at(None)
    again.feed.load(feeds.feed.learned())
    await again.look(1)
    assert again.of("llama").capacity.requests_per_second == known.requests_per_second


async def test_without_an_engine_it_is_said_what_to_do() -> None:
    feeds = Feeds({"llama": VLLM, "own": custom(requestsPerSecond="x")}).at(None)
    await feeds.look(1)
    assert {feeds.of(name).message for name in feeds.specs} == {NO_ENGINE}


async def test_users_queries_can_be_turned_off() -> None:
    feeds = Feeds({"llama": VLLM, "own": custom(requestsPerSecond="x")})
    with engine_with(feeds.answer) as (engine, promql):
        await feeds.at(promql, allowed=False).look()
    assert feeds.of("own").frozen == NOT_ALLOWED
    assert feeds.of("llama").availability is Availability.FOUND
    assert not any("gpucost_question" in one for one in engine.asked)


async def test_one_bad_query_holds_up_nobody_else() -> None:
    feeds = Feeds({"good": custom(requestsPerSecond="good"), "bad": custom(requestsPerSecond="bad")})
    feeds.answers = {"good": [({"pod": "good-0"}, 3.0)], "bad": (400, "no such function")}
    with engine_with(feeds.answer) as (_, promql):
        await feeds.at(promql).look(1)
    assert value_of(feeds.of("good").arrived) == 3.0
    bad = feeds.of("bad")
    assert bad.message == "spec.metrics.queries.requestsPerSecond: Prometheus refuses the query: no such function"
    assert bad.frozen == bad.message


async def test_thousands_of_series_of_one_query_are_refused() -> None:
    feeds = Feeds({"own": custom(requestsPerSecond="many")})
    feeds.answers = {"many": [({"request_id": f"r{index}"}, 1.0) for index in range(1001)]}
    with engine_with(feeds.answer) as (_, promql):
        await feeds.at(promql).look(1)
    signals = feeds.of("own")
    assert signals.availability is Availability.TOO_MANY
    assert "more than 1000 series, such as {request_id=" in signals.message


async def test_a_query_for_the_endpoint_as_one_is_its_load() -> None:
    spec = custom(requestsPerSecond="all", waiting="queue")
    feeds = Feeds({"own": spec})
    feeds.answers = {"all": [({}, 12.0)], "queue": [({}, 0.0)]}
    with engine_with(feeds.answer) as (_, promql):
        await feeds.at(promql).look(1)
        assert (value_of(feeds.of("own").arrived), value_of(feeds.of("own").waiting)) == (12.0, 0.0)
        assert feeds.of("own").frozen == ""
        feeds.answers = {}
        await feeds.look(1)
    assert feeds.of("own").availability is Availability.MISSING
    assert feeds.of("own").frozen


@pytest.mark.parametrize("engine_is_known", [True, False])
async def test_one_endpoint_that_fails_keeps_no_other_from_being_looked_at(*, engine_is_known: bool) -> None:
    own = custom(requestsPerSecond="all")
    feeds = Feeds({"bad": VLLM, "llama": VLLM, "bad-own": own, "own": own})
    feeds.answers = {"all": [({}, 12.0)]}
    heard: list[str] = []

    def hear(asked: Asked, _signals: Signals) -> None:
        if asked.uid.startswith("uid-bad"):
            raise ArithmeticError(asked.uid)
        heard.append(asked.uid)

    with engine_with(feeds.answer) as (_, promql):
        feeds.at(promql if engine_is_known else None).feed.heard = hear
        await feeds.look(1)
    assert heard == ["uid-llama", "uid-own"]
    assert feeds.feed.figures.errors["endpoint signals"] == 2


async def test_one_endpoint_whose_minute_fails_takes_nobody_else_s(monkeypatch: pytest.MonkeyPatch) -> None:
    own = custom(requestsPerSecond="all")
    feeds = Feeds({"bad": VLLM, "llama": VLLM, "bad-own": own, "own": own})
    ended: list[str] = []

    def end(memory: looking.Memory, asked: Asked, *_more: object) -> looking.Memory:
        if asked.uid.startswith("uid-bad"):
            raise ArithmeticError(asked.uid)
        ended.append(asked.uid)
        return memory

    monkeypatch.setattr(looking, "end_minute", end)
    with engine_with(feeds.answer) as (_, promql):
        await feeds.at(promql).look(1)
    assert ended == ["uid-llama", "uid-own"]
    assert feeds.feed.figures.errors["endpoint signals"] == 2


async def test_what_is_gone_is_forgotten() -> None:
    feeds = Feeds({"llama": VLLM})
    with engine_with(feeds.answer) as (_, promql):
        await feeds.at(promql).look(1)
        feeds.specs = {}
        await feeds.look(1)
    assert feeds.feed.of("uid-llama") is None
