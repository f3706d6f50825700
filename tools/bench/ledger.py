"""The ledger by itself, without a cluster: what writing, settling and summing up cost in processor time.

The same size as the cluster of the other benches, with a quarter of an hour of utilisation in the open hour.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from bench.figures import Figure
from bench.process import cpu_of
from bench.scene import BIG, NODES, SMALL, say
from gpucost.core.clock import HOUR, MINUTE, Instant, parse_rfc3339
from gpucost.core.model import CapacityType, Category, NodeFact, PodFact, PriceFact, Resources, UsageFact, Workload
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger

NAME = "ledger"
T0 = parse_rfc3339("2026-11-02T00:00:00Z")
HOURS = 3
PASSES = 7
SAMPLES = 15  # of utilisation, one a minute
GIB = 1 << 30


def measure() -> list[Figure]:
    """Run the bench in this process."""
    say(f"ledger: {HOURS} hours of {NODES} nodes")
    with tempfile.TemporaryDirectory(prefix="gpucost-bench-") as folder:
        return _measure(Path(folder))


def _measure(folder: Path) -> list[Figure]:
    nodes, pods, prices = ledger_facts()
    writes = []
    for turn in range(3):
        with Ledger(f"sqlite:///{folder / f'{turn}.db'}") as ledger:
            writes.append(cpu_of(lambda ledger=ledger: ledger.record([*nodes, *pods], prices=prices)))  # type: ignore[misc]
    with Ledger(f"sqlite:///{folder / '0.db'}") as ledger:
        _usage(ledger, T0)
        settles = []
        for hour in range(1, HOURS + 1):
            now = T0 + hour * HOUR + 3 * MINUTE
            settles.append(cpu_of(lambda now=now: ledger.settle(now)))  # type: ignore[misc]
        begin = T0 + HOURS * HOUR
        usage = _usage(ledger, begin)
        passes = [_pass(ledger, begin + 20 * MINUTE + turn * MINUTE // 2) for turn in range(PASSES)][1:]
        day = Interval(T0, begin + 30 * MINUTE)
        report = [cpu_of(lambda: ledger.report(day, now=day.end, by="namespace")) for _ in range(3)]
        assert ledger.conservation(day.end) == 0, "money was lost"
    return [
        _figure(f"write of {len(pods):,} pods and {len(nodes):,} nodes with prices", writes),
        _figure(f"write of one utilisation for {len(pods):,} pods", usage),
        _figure("settle of one hour", settles),
        _figure("all totals of a pass", passes),
        _figure(f"report of {HOURS} settled hours and the open one by namespace", report),
    ]


def ledger_facts() -> tuple[list[NodeFact], list[PodFact], dict[str, list[PriceFact]]]:
    """The big cluster as facts: nodes, pods and prices."""
    nodes, pods = list(_nodes()), list(_pods())
    return nodes, pods, {node.uid: [_price(node)] for node in nodes}


def _figure(name: str, samples: list[float]) -> Figure:
    return Figure(bench=NAME, name=name, unit="s CPU", samples=tuple(samples))


def _pass(ledger: Ledger, now: Instant) -> float:
    """What the operator asks in every pass."""

    def ask() -> None:
        ledger.settle(now)
        ledger.workload_totals(now)
        ledger.namespace_totals(now)
        ledger.node_totals(now)
        ledger.capacity_totals(now)
        ledger.conservation(now)

    return cpu_of(ask)


def _usage(ledger: Ledger, start: Instant) -> list[float]:
    shares = random.Random(7)
    taken = []
    for minute in range(SAMPLES):
        facts = [UsageFact(pod.uid, start + minute * MINUTE, shares.uniform(0.3, 0.9)) for pod in _pods()]
        taken.append(cpu_of(lambda facts=facts: ledger.record(facts)))  # type: ignore[misc]
    return taken


def _nodes() -> Iterator[NodeFact]:
    for number in range(NODES):
        size = Resources(cpu_milli=192_000, memory=2048 * GIB, gpus=8 if number % 2 else 16)
        yield NodeFact(f"n{number}", f"gpu-{number:04}", T0, None, size, instance_type="gpu", gpu_model="H100")


def _price(node: NodeFact) -> PriceFact:
    return PriceFact(node.uid, T0, Decimal("6.88") * int(node.capacity.gpus), CapacityType.ON_DEMAND, "bench")


def _pods() -> Iterator[PodFact]:
    for node in range(NODES):
        for slot in range(SMALL if node % 2 else BIG):
            name = f"train-{node:04}-{slot:02}"
            yield PodFact(
                uid=f"u-{name}",
                namespace=f"team-{(node + slot) % 20:02}",
                name=name,
                workload=Workload("Pod", name),
                category=Category.TRAINING,
                node_uid=f"n{node}",
                start=T0 + slot * MINUTE,
                end=None,
                requests=Resources(cpu_milli=1000, memory=GIB, gpus=1),
            )
