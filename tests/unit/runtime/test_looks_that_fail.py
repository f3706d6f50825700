"""Whatever becomes of a look, nobody goes on by what an earlier one has said, and nobody pays for another's trouble."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gpucost.core.clock import MINUTE, SECOND, Instant
from gpucost.core.model import Key
from gpucost.core.serving.signals.joining import NAME, NOW, PART, STAMPS, SUMS, Group
from gpucost.core.serving.signals.model import Asked, Availability, PodRef, Signals, Stale, value_of
from gpucost.core.serving.spec import EndpointSpec, MetricSettings, Runtime, Slo, TargetRef
from gpucost.core.serving.state import Measured, Wish
from gpucost.core.usage import Sample
from gpucost.runtime.endpoints.advisor import Advisor
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.metrics import Figures
from gpucost.runtime.serving_feed import FAILED, ServingFeed, _needed
from gpucost.runtime.world import World, custom_record
from gpucost.sources.promql import PrometheusError

BORN: Instant = 1_790_000_000 * SECOND
VLLM = EndpointSpec(TargetRef("Deployment", "llama"), Runtime.VLLM, slo=Slo())
CUSTOM = replace(VLLM, runtime=Runtime.CUSTOM)


def custom(query: str) -> EndpointSpec:
    return replace(CUSTOM, metrics=MetricSettings({"requestsPerSecond": query}))


@dataclass
class Engine:
    """Answers about one server in each namespace, unless a test has it fail."""

    namespaces: tuple[str, ...] = ()
    now: Instant = BORN
    requests: float = 0.0
    trouble: Callable[[str], Exception | None] = lambda _query: None
    asked: list[str] = field(default_factory=list)

    async def query(self, promql: str) -> list[Sample]:
        self.asked.append(promql)
        if (error := self.trouble(promql)) is not None:
            raise error
        if "gpucost_question" in promql:
            return [Sample({"gpucost_question": index}, 5.0) for index in re.findall(r'question", "(\d+)"', promql)]
        found = [Sample({PART: NOW}, self.now / SECOND)]
        for namespace in self.namespaces:
            pod = {"namespace": namespace, "pod": "llama-0"}
            found.append(Sample({**pod, PART: STAMPS}, self.now / SECOND))
            values = {"request_success_total": self.requests, "num_requests_running": 1.0, "num_requests_waiting": 0.0}
            found += [Sample({**pod, PART: SUMS, NAME: f"vllm:{name}"}, value) for name, value in values.items()]
        return found


class Feed:
    """A feed about an endpoint in each of some namespaces."""

    def __init__(self, **specs: EndpointSpec) -> None:
        self.specs = specs
        self.engine = Engine(tuple(specs))
        self.heard: list[tuple[str, Availability]] = []
        self.feed = ServingFeed(self.asked, self.engine, Figures(), lambda: self.engine.now, heard=self.hear)  # type: ignore[arg-type]

    def asked(self) -> list[Asked]:
        pods = (PodRef("pod", "llama-0", BORN - 5 * MINUTE),)
        return [Asked(name, name, spec, pods) for name, spec in self.specs.items()]

    def hear(self, asked: Asked, signals: Signals) -> None:
        self.heard.append((asked.uid, signals.availability))

    def of(self, uid: str) -> Signals:
        found = self.feed.of(uid)
        assert found is not None
        return found

    async def look(self, times: int = 1, seconds: int = 15) -> None:
        for _ in range(times):
            self.engine.now += seconds * SECOND
            self.engine.requests += 30
            await self.feed.once()


async def test_an_endpoint_whose_look_fails_is_frozen_until_one_succeeds() -> None:
    feed = Feed(good=VLLM, bad=VLLM)
    await feed.look(3)
    assert feed.of("bad").frozen == ""
    heard, failing = feed.feed.heard, {"bad"}

    def hear(asked: Asked, signals: Signals) -> None:
        if asked.uid in failing and signals.availability is Availability.FOUND:
            raise ArithmeticError("a policy that cannot count")
        heard(asked, signals)

    feed.feed.heard = hear
    await feed.look()
    assert feed.of("bad").frozen == FAILED
    assert value_of(feed.of("bad").arrived) is None
    assert feed.heard[-1] == ("bad", Availability.SOURCE_ERROR)
    assert feed.of("good").frozen == ""
    failing.clear()
    await feed.look()
    assert (feed.of("bad").frozen, feed.of("bad").unknown_since) == ("", None)


async def test_an_error_that_nobody_expects_freezes_those_who_were_asked_for_and_the_pass_goes_on() -> None:
    feed = Feed(chat=VLLM, sgl=replace(VLLM, runtime=Runtime.SGLANG), own=custom("q"))
    await feed.look(3)
    feed.engine.trouble = lambda query: KeyError("metric") if "vllm" in query else None
    await feed.look()
    assert feed.of("chat").frozen == FAILED
    assert value_of(feed.of("own").arrived) == 5.0
    feed.engine.trouble = lambda query: KeyError("metric") if "question" in query else None
    await feed.look()
    assert feed.of("own").frozen == FAILED
    assert feed.of("chat").frozen == ""


async def test_a_look_that_nobody_repeats_is_not_believed_for_ever() -> None:
    feed = Feed(chat=VLLM)
    await feed.look(3)
    feed.engine.now += 2 * MINUTE
    assert feed.of("chat").frozen == ""
    feed.engine.now += SECOND
    signals = feed.of("chat")
    assert (signals.availability, signals.arrived) == (Availability.STALE, Stale(121 * SECOND))
    assert signals.frozen == "the load was looked at last 121 s ago"
    assert signals.unknown_since == signals.at


def test_what_was_asked_for_by_an_old_look_is_not_asked_for_any_more() -> None:
    now = BORN
    endpoints = Endpoints(World())
    metadata = {"name": "llama", "namespace": "chat", "uid": "iep", "creationTimestamp": "2026-11-30T00:00:00Z"}
    spec = {"scaleTargetRef": {"name": "llama"}, "runtime": "vllm", "capacity": {"requestsPerSecond": "10"}}
    endpoints.changed(custom_record({"kind": "InferenceEndpoint", "metadata": metadata, "spec": spec}))
    advisor = Advisor(endpoints, lambda: now, lambda _key: None)
    assert advisor.of("iep")[0].reason == "FirstLook"
    [asked] = advisor.asked()
    advisor.heard(asked, Signals(now, Availability.FOUND, ""))
    assert advisor.of("iep")[0].known
    now += 2 * MINUTE + SECOND
    measured, wish = advisor.of("iep")
    assert (measured.known, measured.reason, measured.since, wish) == (False, "MetricsStale", BORN, None)
    assert measured.frozen


def test_what_was_learned_is_kept_while_the_mode_is_off() -> None:
    endpoints = Endpoints(World())
    metadata = {"name": "llama", "namespace": "chat", "uid": "iep", "creationTimestamp": "2026-11-30T00:00:00Z"}
    spec = {"scaleTargetRef": {"name": "llama"}, "runtime": "vllm"}
    body = {"kind": "InferenceEndpoint", "metadata": metadata, "spec": spec}
    endpoints.changed(custom_record(body))
    advisor = Advisor(endpoints, lambda: BORN, lambda _key: None)
    feed = ServingFeed(advisor.asked, None, Figures(), lambda: BORN, living=endpoints.keys.keys)
    learned = {"levels": [[141, 10.0, 0.0, 0.0, 0.3]], "at": 1, "inTokens": True, "work": 600.0, "requests": 3.0}
    feed.load({"iep": learned})
    advisor.states["iep"] = object()
    endpoints.changed(custom_record({**body, "spec": {**spec, "mode": "Off"}}))
    feed._forget(advisor.asked())
    assert feed.learned() == {"iep": learned}
    assert "iep" in advisor.states
    endpoints.gone(Key("chat", "llama"))
    feed._forget(advisor.asked())
    assert feed.learned() == {}
    assert advisor.states == {}


async def test_nothing_that_was_known_of_another_workload_is_set_on_this_one() -> None:
    """The target is corrected from an idle workload to a busy one, and is decided about before it is looked at."""
    endpoints = Endpoints(World())
    metadata = {"name": "llama", "namespace": "chat", "uid": "iep", "creationTimestamp": "2026-11-30T00:00:00Z"}
    spec = {"scaleTargetRef": {"name": "idle"}, "runtime": "vllm", "capacity": {"requestsPerSecond": "10"}}
    body = {"kind": "InferenceEndpoint", "metadata": metadata, "spec": spec}
    endpoints.changed(custom_record(body))
    advisor = Advisor(endpoints, lambda: BORN, lambda _key: None)
    feed = ServingFeed(advisor.asked, None, Figures(), lambda: BORN, heard=advisor.heard, living=endpoints.keys.keys)
    await feed.once()
    learned = {"levels": [[141, 10.0, 0.0, 0.0, 0.3]], "at": 1, "inTokens": True, "work": 600.0, "requests": 3.0}
    feed.load({"iep": learned})
    advisor.states["iep"] = object()
    advisor.answers["iep"] = Measured(True, "MetricsFound"), Wish(1, "FallingLoad", "nobody asks")
    assert advisor.of("iep")[1] is not None
    endpoints.changed(custom_record({**body, "spec": {**spec, "scaleTargetRef": {"name": "busy"}}}))
    measured, wish = advisor.of("iep")
    assert (measured.known, wish) == (False, None)
    await feed.once()
    assert advisor.of("iep")[1] is None
    assert (feed.learned(), advisor.states) == ({}, {})


# --- one namespace's trouble ------------------------------------------------------------------------------------------


async def test_a_namespace_with_too_many_series_keeps_no_other_from_being_looked_at() -> None:
    feed = Feed(**{f"n{index}": VLLM for index in range(8)})
    too_many = PrometheusError("no", status=422, detail="query processing would load too many samples")

    def trouble(query: str) -> Exception | None:
        named = re.search(r'namespace=~"([^"]*)"', query)
        return too_many if named is not None and "n5" in named[1].split("|") else None

    await feed.look(3)
    feed.engine.trouble = trouble
    await feed.look(2)
    assert {name for name in feed.specs if feed.of(name).frozen} == {"n5"}
    assert feed.of("n5").availability is Availability.SOURCE_ERROR
    asked = len(feed.engine.asked)
    await feed.look()
    assert len(feed.engine.asked) - asked <= 2, "it is known whose fault it is"
    feed.engine.trouble = lambda _query: None
    await feed.look(10)
    assert feed.of("n5").frozen == ""


async def test_an_engine_that_is_away_is_not_asked_in_parts() -> None:
    feed = Feed(**{f"n{index}": VLLM for index in range(8)})
    feed.engine.trouble = lambda _query: PrometheusError("connection refused")
    await feed.look()
    assert len(feed.engine.asked) == 1
    assert all(feed.of(name).frozen for name in feed.specs)


async def test_a_query_that_takes_too_long_takes_the_time_of_the_others_only_now_and_then() -> None:
    feed = Feed(slow=custom("slow"), quick=custom("quick"))
    late = PrometheusError("late", timed_out=True)
    feed.engine.trouble = lambda query: late if "slow" in query else None
    await feed.look()
    assert (
        feed.of("slow").message
        == "spec.metrics.queries.requestsPerSecond: Prometheus refuses the query: it takes too long"
    )
    asked = sum("slow" in one for one in feed.engine.asked)
    await feed.look(6)
    assert sum("slow" in one for one in feed.engine.asked) == asked
    assert value_of(feed.of("quick").arrived) == 5.0
    await feed.look(3)
    assert sum("slow" in one for one in feed.engine.asked) > asked


# --- buckets ----------------------------------------------------------------------------------------------------------


def test_the_buckets_of_one_namespace_or_version_are_not_those_of_another() -> None:
    spec = replace(VLLM, slo=Slo(ttft_p95=800_000))
    asked = [Asked("a", "chat", spec), Asked("b", "odd", spec)]
    histogram = "vllm:time_to_first_token_seconds"
    bounds = {
        ("chat", histogram): {"0.5": 3.0, "0.75": 1.0, "1": 1.0, "1.0": 2.0, "+Inf": 3.0},
        ("odd", histogram): {"0.79": 1.0, "+Inf": 1.0},
    }
    needed = _needed(Group(Runtime.VLLM), asked, bounds)
    assert needed == {histogram: {"0.5", "0.75", "1", "1.0", "0.79", "+Inf"}}
