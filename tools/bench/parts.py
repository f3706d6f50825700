"""A full pass by its parts, without a cluster: which of them costs how much processor time.

Everything is the operator's own code, at the size of the big cluster; made up are the cluster's records and the answers
of Prometheus, which are bodies of HTTP answers as a real one sends them. A pass here has everything that a pass has but
the requests themselves, the custom resources and the writes to the API server.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import pstats
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from bench.figures import Figure
from bench.ledger import T0, ledger_facts
from bench.process import status_mib
from bench.scene import say
from gpucost.core.clock import HOUR, MINUTE, SECOND, Instant
from gpucost.core.model import Node, NodeFact, Pod, PodFact
from gpucost.core.signals import DRAM_ACTIVE, ENGINE_ACTIVE, GPU_UTIL, MEMORY_USED, POWER, TENSOR_ACTIVE
from gpucost.ledger import Ledger
from gpucost.runtime import collector
from gpucost.runtime.accounting import Accounting, Totals
from gpucost.runtime.figures import fill
from gpucost.runtime.metrics import Exposition, Figures, FiguresCollector
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.sampling import Sampling
from gpucost.runtime.world import World
from gpucost.sources.prometheus import UseSource, UtilisationSource
from gpucost.sources.promql import PromQL

NAME = "parts of a tick"
PERIOD = 30 * SECOND
PASSES = 8
BEGIN = 20 * MINUTE
"""Into the open hour: as much as is open on average, and a little less than at most."""
FEW = (ENGINE_ACTIVE, GPU_UTIL)
MANY = (ENGINE_ACTIVE, GPU_UTIL, TENSOR_ACTIVE, DRAM_ACTIVE, MEMORY_USED, POWER)
"""What a dcgm-exporter exports that is set up as it comes."""
_SCALE = {GPU_UTIL: 100.0, MEMORY_USED: 60_000.0, POWER: 600.0}


@dataclass
class Answers:
    """Stands in for the connection to Prometheus: answers each question by a body made before."""

    bodies: dict[str, bytes] = field(default_factory=dict)

    def custom_query(self, promql: str, params: object = None) -> Any:  # noqa: ARG002
        """The metric that a question names, read as the client reads it."""
        name = next((name for name in self.bodies if re.search(rf"\b{name}\b", promql)), None)
        return json.loads(self.bodies[name])["data"]["result"] if name is not None else []


@dataclass
class Pass:
    """Everything that takes part in a pass."""

    ledger: Ledger
    world: World
    answers: Answers
    metrics: tuple[str, ...]
    now: Instant = T0 + HOUR + BEGIN
    figures: Figures = field(default_factory=Figures)
    taken: dict[str, list[float]] = field(default_factory=dict)
    _random: random.Random = field(default_factory=lambda: random.Random(3))

    def __post_init__(self) -> None:
        clock = lambda: self.now  # noqa: E731
        recorder = Recorder(self.world, clock, lambda _fact, _node: [])
        recorder.reserved = {uid: pod.requests for uid, pod in self.world.pods.items()}
        engine = PromQL("http://prometheus.example")
        engine._connection = self.answers
        self.sampling = Sampling(
            pods=self.world.pods,
            recorder=recorder,
            figures=self.figures,
            now=clock,
            monotonic=clock,
            gpus=[UtilisationSource(engine)],
            use=[UseSource(engine)],
            engine=engine,
        )
        self.accounting = Accounting(self.ledger, recorder, None, self.figures, clock)  # type: ignore[arg-type]
        registry = CollectorRegistry()
        registry.register(FiguresCollector(self.figures, clock))
        self.exposition = Exposition(registry, self.figures)

    def run(self, profile: cProfile.Profile | None = None) -> None:
        """One pass, each part timed."""
        self._answer()
        self.now += PERIOD
        totals = Totals()

        def total() -> None:
            nonlocal totals
            self.ledger.settle(self.now)
            totals = self.accounting._compute(self.now, [])

        parts: dict[str, Callable[[], object]] = {
            "read and judge samples": lambda: asyncio.run(self.sampling.sample()),
            "write them": lambda: self.ledger.record(self.sampling.drain()),
            "totals": total,
            "figures": lambda: fill(self.figures, totals, self.world, {}),
        }
        began = time.process_time()
        for name, part in parts.items():
            self._time(name, part, profile)
        self.taken.setdefault("a pass", []).append(time.process_time() - began)
        self._time("a scrape of /metrics", self.scrape, None)
        self.answers.bodies.clear()

    def scrape(self) -> int:
        """Size of an exposition."""
        return sum(map(len, self.exposition.pieces()))

    def _time(self, name: str, part: Callable[[], object], profile: cProfile.Profile | None) -> None:
        began = time.process_time()
        if profile is not None:
            profile.runcall(part)
        else:
            part()
        self.taken.setdefault(name, []).append(time.process_time() - began)

    def _answer(self) -> None:
        shares = {uid: self._random.uniform(0.2, 0.95) for uid in self.world.pods}
        for metric in self.metrics:
            self.answers.bodies[metric] = _body(
                self._gpu(pod, metric, shares[pod.uid]) for pod in self.world.pods.values()
            )
        for metric, value in (("container_cpu_usage_seconds_total", 0.9), ("container_memory_working_set_bytes", 9e8)):
            self.answers.bodies[metric] = _body(
                ({"namespace": p.namespace, "pod": p.name, "uid": p.uid}, value) for p in self.world.pods.values()
            )

    def _gpu(self, pod: Pod, metric: str, share: float) -> tuple[dict[str, str], float]:
        node, gpu = pod.node_name or "", pod.name.rpartition("-")[2].lstrip("0") or "0"
        labels = {  # what is left by the question's `max by`
            "Hostname": node,
            "UUID": f"GPU-{pod.uid}",
            "gpu": gpu,
            "instance": f"{node}:9400",
            "job": "dcgm-exporter",
            "modelName": "NVIDIA H100 80GB HBM3",
            "namespace": pod.namespace,
            "pod": pod.name,
        }
        return labels, share * _SCALE.get(metric, 1.0)


def _body(series: Iterator[tuple[dict[str, str], float]] | Any) -> bytes:
    result = [{"metric": labels, "value": [1764115200.123, f"{value:.6f}"]} for labels, value in series]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


def _world(nodes: list[NodeFact], pods: list[PodFact]) -> World:
    names = {node.uid: node.name for node in nodes}
    return World(
        nodes={n.uid: Node(uid=n.uid, name=n.name, created=n.start, capacity=n.capacity) for n in nodes},
        pods={
            p.uid: Pod(
                uid=p.uid,
                name=p.name,
                namespace=p.namespace,
                created=p.start,
                requests=p.requests,
                node_name=names[p.node_uid],
                phase="Running",
                bound=p.start,
                started=p.start,
                devices={"nvidia.com/gpu": int(p.requests.gpus)},
            )
            for p in pods
        },
    )


def _passes(folder: Path, metrics: tuple[str, ...], profile: cProfile.Profile | None = None) -> Pass:
    nodes, pods, prices = ledger_facts()
    with Ledger(f"sqlite:///{folder / f'{len(metrics)}.db'}") as ledger:
        ledger.record([*nodes, *pods], prices=prices)
        ledger.settle(T0 + HOUR + BEGIN)
        one = Pass(ledger, _world(nodes, pods), Answers(), metrics)
        with collector.held_back():  # as the operator is after its first pass
            pass
        for turn in range(PASSES + 2):
            one.run(profile if turn > 1 else None)
        assert ledger.conservation(one.now) == 0, "money was lost"
    return one


def measure() -> list[Figure]:
    """Run the bench in this process."""
    say(f"parts of a tick: {PASSES} passes, with {len(FEW)} and with {len(MANY)} GPU metrics")
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="gpucost-bench-") as folder:
        for metrics in (FEW, MANY):
            one = _passes(Path(folder), metrics)
            figure = partial(Figure, bench=NAME, unit="s CPU")
            for name, samples in one.taken.items():
                figures.append(figure(name=f"{name}, {len(metrics)} GPU metrics", samples=tuple(samples[2:])))
            figures.append(
                Figure(
                    bench=NAME, name=f"size of a scrape, {len(metrics)}", unit="MiB", samples=(one.scrape() / 2**20,)
                )
            )
            figures.append(
                Figure(
                    bench=NAME,
                    name=f"memory with the bench itself, {len(metrics)}",
                    unit="MiB",
                    samples=(status_mib("self", "VmRSS"),),
                )
            )
    return figures


def main() -> None:
    """`python -m bench.parts [N]`: profile the passes and print the N most costly functions by their own time."""
    profile, most = cProfile.Profile(), int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory(prefix="gpucost-bench-") as folder:
        _passes(Path(folder), FEW, profile)
    pstats.Stats(profile).sort_stats("tottime").print_stats(most)


if __name__ == "__main__":
    main()
