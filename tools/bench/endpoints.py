"""A pass over 500 inference endpoints: what they say, what the policy makes of it, what is decided, what is told.

Everything is the operator's own code; made up are the answers of Prometheus, which are bodies as a real one sends them,
and the API server, which answers at once: the workloads as they are, and every write taken over. What is measured is
processor time of one pass with everything known before, at a load that changes a little from look to look.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bench.figures import Figure
from bench.scene import say
from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.model import Key, Owner, Pod
from gpucost.core.serving.signals.joining import NAME as METRIC
from gpucost.core.serving.signals.joining import NOW, PART, PEAKS, STAMPS, SUMS
from gpucost.core.serving.signals.presets import PRESETS
from gpucost.core.serving.spec import Runtime
from gpucost.runtime import collector
from gpucost.runtime.accounting import Totals
from gpucost.runtime.endpoints.serving import Serving
from gpucost.runtime.metrics import Figures
from gpucost.runtime.world import World, custom_record
from gpucost.sources.promql import PromQL
from gpucost.sources.reflector import Change

NAME = "endpoints"
PROMISE = 0.5
ENDPOINTS, PODS, PASSES = 500, 4, 12
WARM_UP = 3
_BEGIN = 1_764_500_000 * SECOND
_PRESET = PRESETS[Runtime.VLLM]
_GAUGES = {"vllm:num_requests_running": 12.0, "vllm:num_requests_waiting": 0.0, "vllm:kv_cache_usage_perc": 0.31}


@dataclass
class ApiServer:
    """Answers reads of `scale` and takes statuses over; every write is counted."""

    version: Iterator[int] = field(default_factory=lambda: count(1))
    replicas: dict[str, int] = field(default_factory=dict)
    statuses: int = 0
    serving: Serving | None = None

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Discovery, a workload, which nobody owns, or its scale."""
        if "/namespaces/" not in path:
            names = ("deployments", "deployments/scale")
            return {"resources": [{"name": name, "kind": "Deployment"} for name in names]}
        if not path.endswith("/scale"):
            return {"metadata": {"uid": f"{path}/scale"}}
        number = self.replicas.setdefault(path, PODS)
        metadata = {"uid": path, "resourceVersion": str(next(self.version))}
        return {"metadata": metadata, "spec": {"replicas": number}, "status": {"replicas": number, "selector": "a=b"}}

    async def merge(self, path: str, body: Mapping[str, Any], *, manager: str) -> dict[str, Any]:  # noqa: ARG002
        """Another number of replicas."""
        self.replicas[path] = body["spec"]["replicas"]
        return {}

    async def create(self, path: str, body: Mapping[str, Any], *, manager: str) -> dict[str, Any]:  # noqa: ARG002
        """An Event."""
        return {}

    async def apply(self, path: str, body: Mapping[str, Any], *, manager: str, force: bool = False) -> dict[str, Any]:  # noqa: ARG002
        """A status, which comes back by the watch."""
        self.statuses += 1
        metadata = body["metadata"]
        assert self.serving is not None
        record = self.serving.endpoints.records[Key(metadata["namespace"], metadata["name"])]
        self.serving.endpoints.changed(custom_record({**record.body, "status": body["status"]}))
        return {}


@dataclass
class Prometheus:
    """Stands in for the connection: the series of all pods as one body."""

    now: int = _BEGIN
    body: bytes = b""
    random: random.Random = field(default_factory=lambda: random.Random(7))
    counters: dict[tuple[str, str], float] = field(default_factory=dict)

    def custom_query(self, promql: str, params: object = None) -> Any:  # noqa: ARG002
        """What a question about load is answered."""
        return json.loads(self.body)["data"]["result"] if _PRESET.alive[0] in promql else []

    def scrape(self) -> None:
        """Another look: counters go on, gauges stay."""
        seconds = self.now / SECOND
        result = [_series(seconds, seconds, {PART: NOW})]
        for number in range(ENDPOINTS):
            for pod in range(PODS):
                result += self._pod(f"model-{number}-{pod}", seconds)
        self.body = json.dumps({"data": {"resultType": "vector", "result": result}}).encode()

    def _pod(self, pod: str, seconds: float) -> Iterator[dict[str, Any]]:
        place = {"namespace": "chat", "pod": pod}
        pace = self.random.uniform(0.9, 1.1)
        for part, figures in ((SUMS, _PRESET.sums), (PEAKS, _PRESET.peaks)):
            for names in figures.values():
                name = names[0]
                value = _GAUGES.get(name)
                if value is None:
                    self.counters[pod, name] = self.counters.get((pod, name), 0.0) + 75 * pace
                    value = self.counters[pod, name]
                yield _series(seconds, value, {METRIC: name, **place, "model_name": "llama", PART: part})
        yield _series(seconds, seconds - 2, {**place, PART: STAMPS})


def _series(seconds: float, value: float, labels: Mapping[str, str]) -> dict[str, Any]:
    return {"metric": dict(labels), "value": [seconds, str(value)]}


def measure() -> Iterator[Figure]:
    """Run the bench."""
    say(f"endpoints: {ENDPOINTS} with {PODS} pods each")
    passes, writes = asyncio.run(_passes())
    name = f"a pass over {ENDPOINTS} endpoints with {PODS} pods each"
    yield Figure(bench=NAME, name=name, unit="s CPU", samples=tuple(passes), promise=PROMISE)
    yield Figure(bench=NAME, name="statuses written in such a pass", unit="writes", samples=tuple(map(float, writes)))


async def _passes() -> tuple[list[float], list[int]]:
    prometheus, server, world, figures = Prometheus(), ApiServer(), World(), Figures()
    now = lambda: prometheus.now  # noqa: E731
    serving = Serving(world, server, figures, now, currency="USD", identity="bench", totals=Totals)  # type: ignore[arg-type]
    server.serving = serving
    serving.autoscalers.synced.set()
    _fill(serving)
    engine = PromQL("http://prometheus.example")
    engine._connection = prometheus
    feed = serving.listen(engine, every=15 * SECOND, allowed=True)
    taken, written = [], []

    async def look() -> None:
        prometheus.now += 15 * SECOND
        prometheus.scrape()
        before, began = server.statuses, time.process_time()
        await feed.once()
        for key in tuple(serving.endpoints.records):
            await serving.controller.process(key)
        taken.append(time.process_time() - began)
        written.append(server.statuses - before)

    with collector.held_back():  # as the operator is after its first pass
        for _ in range(WARM_UP):
            await look()
    del taken[:], written[:]
    for _ in range(PASSES):
        await look()
    known = sum(serving.advisor.of(uid)[1] is not None for uid in serving.endpoints.keys)
    assert known == ENDPOINTS, f"{known} of {ENDPOINTS} endpoints have a recommendation"
    return taken, written


def _fill(serving: Serving) -> None:
    for number in range(ENDPOINTS):
        name = f"model-{number}"
        spec = {
            "scaleTargetRef": {"name": name},
            "runtime": "vllm",
            "mode": "Auto",
            "capacity": {"requestsPerSecond": "8"},
            "slo": {"ttftP95": "2s"},
            "schedules": [{"start": "0 8 * * 1-5", "duration": "10h", "timeZone": "Europe/Berlin", "minReplicas": 2}],
        }
        metadata = {"name": name, "namespace": "chat", "uid": name, "creationTimestamp": "2025-01-01T00:00:00Z"}
        serving.endpoints.changed(custom_record({"kind": "InferenceEndpoint", "metadata": metadata, "spec": spec}))
        for pod in range(PODS):
            _add_pod(serving, name, pod)


def _add_pod(serving: Serving, name: str, number: int) -> None:
    pod = Pod(
        uid=f"{name}-{number}",
        name=f"{name}-{number}",
        namespace="chat",
        created=_BEGIN - 60 * MINUTE,
        owner=Owner("ReplicaSet", f"{name}-abc", name),
        labels={"pod-template-hash": "abc"},
        node_name="node",
        running=_BEGIN - 59 * MINUTE,
        ready_since=_BEGIN - 58 * MINUTE,
    )
    serving.world.pods[pod.uid] = pod
    serving.endpoints.pod_changed(Change(None, pod))
