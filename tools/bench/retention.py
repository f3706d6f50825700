"""How large the ledger gets: days of 10,000 pods with their details, and what is left of them as roll-ups.

A year would take an hour to write, so some days are written and measured, first as details and then rolled up; a year
is those figures times the days of each kind. Every day is as large as any other, and the file grows evenly.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from bench.figures import Figure
from bench.process import cpu_of
from bench.scene import say
from gpucost.core.books import Fact
from gpucost.core.clock import DAY, HOUR, MINUTE, Instant, parse_rfc3339
from gpucost.core.model import (
    CapacityType,
    Category,
    NeedFact,
    NodeFact,
    PodFact,
    PriceFact,
    Resources,
    UsageFact,
    Workload,
)
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger
from gpucost.ledger.rollups import HOURLY

NAME = "retention"
T0 = parse_rfc3339("2026-11-02T00:00:00Z")
PODS = 10_000
"""Pods a day."""
DAYS = 4
DETAILS = 30
"""Days of details in the default settings."""
YEAR = 365
_NODES = 150
_GIB = 1 << 30
_PROMISE_MB = 2000.0


class Mix(NamedTuple):
    """Pods of one day by workload."""

    name: str
    workloads: int


MIXES = (Mix("2,000 workloads a day", 2000), Mix("every pod a workload of its own", PODS))


def measure() -> list[Figure]:
    """Run the bench in this process."""
    return [figure for mix in MIXES for figure in _measured(mix)]


def _measured(mix: Mix) -> list[Figure]:
    say(f"retention: {DAYS} days of {PODS:,} pods, {mix.name}")
    with tempfile.TemporaryDirectory(prefix="gpucost-bench-") as folder:
        path = Path(folder) / "ledger.db"
        with Ledger(f"sqlite:///{path}") as ledger:
            ledger.record(_nodes())
            sizes = [_size(path)]
            for day in range(DAYS):
                _write_day(ledger, day, mix)
                sizes.append(_size(path))
            now = T0 + DAYS * DAY + HOUR
            window = Interval(T0, T0 + DAYS * DAY)
            before = ledger.report(window, now=now, by="workload")
            rolling = cpu_of(lambda: ledger.retire(now, HOUR, seconds=3600))
            hourly = (_size(path) - sizes[0]) / DAYS / 1e6
            ledger.retire(now + HOUR, HOUR, hourly=0, seconds=3600)
            daily = (_size(path) - sizes[0]) / DAYS / 1e6
            after = ledger.report(window, now=now, by="workload")
            assert before.rows == after.rows, "a roll-up changed an answer"
            assert (before.total, after.difference) == (after.total, 0), "money was lost"
    details = [(b - a) / 1e6 for a, b in pairwise(sizes)]
    days = YEAR - DETAILS - HOURLY // DAY
    year = DETAILS * max(details) + HOURLY // DAY * hourly + days * daily
    promise = _PROMISE_MB if mix is MIXES[0] else None
    return [
        Figure(bench=NAME, name=f"a day of details, {mix.name}", unit="MB", samples=tuple(details)),
        Figure(bench=NAME, name=f"a day as sums by hour, {mix.name}", unit="MB", samples=(hourly,)),
        Figure(bench=NAME, name=f"a day as one sum, {mix.name}", unit="MB", samples=(daily,)),
        Figure(
            bench=NAME,
            name=f"a year, {mix.name}",
            unit="MB",
            samples=(year,),
            promise=promise,
            note=f"{DETAILS} days of details, {HOURLY // DAY} by hour, {days} by day; from {DAYS} days measured",
        ),
        Figure(bench=NAME, name=f"rolling up a day, {mix.name}", unit="s CPU", samples=(rolling / DAYS,)),
    ]


def _size(path: Path) -> int:
    """Bytes of the pages in use: the file's size, were it shrunk."""
    with closing(sqlite3.connect(path)) as database:
        pages, free, size = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def _nodes() -> Iterator[NodeFact]:
    for number in range(_NODES):
        size = Resources(cpu_milli=192_000, memory=2048 * _GIB, gpus=8)
        kind = CapacityType.SPOT if number % 2 else CapacityType.ON_DEMAND
        yield NodeFact(
            _uid("node", number),
            f"gpu-{number:04}",
            T0,
            None,
            size,
            instance_type="p5.48xlarge",
            gpu_model="NVIDIA-H100-80GB-HBM3",
            region="eu-central-1",
            zone="eu-central-1a",
            capacity_type=kind,
        )


def _uid(kind: str, number: int) -> str:
    """As long as Kubernetes makes them."""
    return f"{number:08x}-0000-4000-8000-{kind:>012}"


def _write_day(ledger: Ledger, day: int, mix: Mix) -> None:
    chance = random.Random(day)
    begin = T0 + day * DAY
    ledger.record(_prices(chance, begin))
    pods = sorted((_pod(chance, day, n, mix) for n in range(PODS)), key=lambda pod: pod.start)
    for hour in range(24):
        span = Interval(begin + hour * HOUR, begin + (hour + 1) * HOUR)
        ledger.record([fact for pod in pods if span.start <= pod.start < span.end for fact in _life(chance, pod)])
        ledger.settle(span.end + 3 * MINUTE)


def _prices(chance: random.Random, begin: Instant) -> Iterator[PriceFact]:
    """Of spot nodes a new one every hour."""
    for number in range(_NODES):
        spot = number % 2
        for hour in range(24 if spot else 1):
            hourly = Decimal(chance.randrange(20_000, 60_000)) / 1000
            kind = CapacityType.SPOT if spot else CapacityType.ON_DEMAND
            yield PriceFact(_uid("node", number), begin + hour * HOUR, hourly, kind, "PriceBook/prices")


def _pod(chance: random.Random, day: int, number: int, mix: Mix) -> PodFact:
    workload = number % mix.workloads
    begins = random.Random(day * PODS + workload).randrange(DAY - 4 * HOUR)
    start: Instant = T0 + day * DAY + begins + chance.randrange(30 * MINUTE)  # the pods of a Job start near each other
    name = f"train-experiment-{day:03}-{workload:05}"
    return PodFact(
        uid=_uid(f"pod{day}", number),
        namespace=f"team-{workload % 20:02}",
        name=f"{name}-{number // mix.workloads}-{number:05x}",
        workload=Workload("Job", name),
        category=Category.TRAINING,
        node_uid=_uid("node", chance.randrange(_NODES)),
        start=start,
        end=start + int(chance.expovariate(1 / (100 * MINUTE))),
        requests=Resources(cpu_milli=8000, memory=64 * _GIB, gpus=1),
        labels={
            "gpucost.dev/team": f"team-{workload % 20:02}",
            "app.kubernetes.io/name": "trainer",
            "job-name": name,
            "batch.kubernetes.io/controller-uid": _uid("job", workload),
        },
        end_reason="Succeeded",
    )


def _life(chance: random.Random, pod: PodFact) -> Iterator[Fact]:
    """A pod with what it counted for and its GPU's activity, which changes noticeably every quarter of an hour."""
    end = min(pod.end or pod.start, T0 + 10_000 * DAY)
    yield replace(pod, end=min(end, pod.start + 4 * HOUR))
    yield NeedFact(pod.uid, pod.start + MINUTE, Resources(cpu_milli=9500, memory=70 * _GIB, gpus=1))
    for start in range(pod.start, min(end, pod.start + 4 * HOUR), 15 * MINUTE):
        yield UsageFact(pod.uid, start, chance.uniform(0.2, 0.95))
