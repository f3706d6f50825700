"""Inference servers as a PromQL engine would tell of them, with a clock that a test moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import MINUTE, SECOND, Instant
from gpucost.core.serving.signals import looking
from gpucost.core.serving.signals.joining import NAME, NOW, PART, SUMS, Answer, Group, find, read
from gpucost.core.serving.signals.joining import STAMPS as STAMP_PART
from gpucost.core.serving.signals.model import Asked, PodRef, Signals
from gpucost.core.serving.spec import EndpointSpec, Runtime, Slo, TargetRef
from gpucost.core.usage import Sample

BORN: Instant = 1_790_000_000 * SECOND
NAMESPACE = "chat"
VLLM = {"running": "vllm:num_requests_running", "waiting": "vllm:num_requests_waiting"}


def spec(runtime: Runtime = Runtime.VLLM, **more: Any) -> EndpointSpec:
    return EndpointSpec(TargetRef("Deployment", "llama"), runtime, **{"slo": Slo(2 * SECOND), **more})


@dataclass
class Server:
    """One pod: its counters grow as a test says."""

    name: str
    series: dict[str, float] = field(default_factory=dict)
    """By metric."""
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    """More labels of a metric's series."""
    scraped: Instant | None = None
    """None: at every look."""
    model: str = "llama"
    is_ready: bool = True
    started: Instant | None = BORN
    uid: str = ""

    def ref(self) -> PodRef:
        since = BORN + MINUTE if self.is_ready else None
        return PodRef(self.uid or f"uid-{self.name}", self.name, since, self.started)

    def add(self, **counters: float) -> None:
        """Let counters of vLLM grow: `requests=3`, `generation_tokens=900`."""
        names = {"requests": "vllm:request_success_total"}
        for name, value in counters.items():
            metric = names.get(name, f"vllm:{name}_total")
            self.series[metric] = self.series.get(metric, 0.0) + value


def vllm(name: str, running: float = 0, waiting: float = 0, **more: float) -> Server:
    """An idle server as vLLM is after its start: all counters are there, at zero."""
    counters = ("request_success_total", "prompt_tokens_total", "generation_tokens_total")
    series = {f"vllm:{counter}": 0.0 for counter in counters}
    series |= {VLLM["running"]: running, VLLM["waiting"]: waiting, "vllm:kv_cache_usage_perc": 0.1, **more}
    return Server(name, series)


@dataclass
class SignalsWorld:
    """Servers of one endpoint."""

    servers: list[Server]
    spec: EndpointSpec = field(default_factory=spec)
    now: Instant = BORN + 10 * MINUTE
    memory: looking.Memory = field(default_factory=looking.Memory)
    unscraped: set[str] = field(default_factory=set)
    """Names of pods of which there are no series."""
    clock_ahead: float = 0.0
    """Seconds by which the engine's clock is ahead of ours."""

    @property
    def asked(self) -> Asked:
        return Asked("uid-llama", NAMESPACE, self.spec, tuple(one.ref() for one in self.servers))

    def samples(self) -> list[Sample]:
        found = [Sample({PART: NOW}, self.now / SECOND + self.clock_ahead)]
        for one in self.servers:
            if one.name in self.unscraped:
                continue
            pod = {"namespace": NAMESPACE, "pod": one.name}
            stamp = (one.scraped if one.scraped is not None else self.now) / SECOND + self.clock_ahead
            found.append(Sample({**pod, PART: STAMP_PART}, stamp))
            for metric, value in one.series.items():
                more = one.labels.get(metric, {})
                found.append(Sample({**pod, NAME: metric, "model_name": one.model, PART: SUMS, **more}, value))
        return found

    def answer(self) -> Answer:
        return read(Group.of(self.asked), self.samples())

    def look(self, seconds: float = 0) -> Signals:
        """Let time pass and look."""
        self.now += round(seconds * SECOND)
        self.memory, signals = looking.look(
            self.memory, self.asked, find(self.asked, self.answer(), self.now), self.now
        )
        return signals
