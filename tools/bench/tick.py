"""What one full pass costs in the big cluster, with utilisation that changes at every scrape.

The operator runs as shipped, only with a shorter period, so that there are enough passes to see a spread. Processor
time between two passes includes everything: the pass, the watches, the flushes of every second, this bench's scrapes.
"""

from __future__ import annotations

import itertools
import urllib.request
from pathlib import Path

from bench.figures import Figure
from bench.process import Reading, after_ticks, metric, read, status_mib
from bench.scene import operator, say
from local import LocalCluster

NAME = "full tick"
PERIOD = 10
TICKS = 6
WARM_UP = 2
CPU, MEMORY, QUERIES = 1.0, 300.0, 2.0  # promises; one query for each of two metrics


def measure(cluster: LocalCluster) -> list[Figure]:
    """Run the bench in the populated cluster, with Prometheus."""
    process = operator(cluster, "bench-tick", TICK_SECONDS=str(PERIOD))
    try:
        process.start()
        say(f"full tick: {TICKS} passes, one every {PERIOD} s")
        last = after_ticks(process, read(process), WARM_UP, 6 * PERIOD)
        asked, size = _queries(cluster), _size(process.ledger)
        readings = [last]
        for _ in range(TICKS):
            readings.append(after_ticks(process, readings[-1], 1, 4 * PERIOD))
        asked, size = _queries(cluster) - asked, _size(process.ledger) - size
        resident, highest = (status_mib(process.pid, field) for field in ("VmRSS", "VmHWM"))
    finally:
        process.stop()
    ticks = readings[-1].ticks - readings[0].ticks
    return [
        _figure("duration of a pass", "s", tuple(r.tick_seconds for r in readings[1:])),
        _figure("processor time from pass to pass", "s", _cpu(readings), CPU),
        _figure("resident memory", "MiB", (resident,), MEMORY),
        _figure("resident memory, highest", "MiB", (highest,), MEMORY),
        _figure("Prometheus queries per pass", "", (asked / ticks,), QUERIES),
        _figure("ledger growth per pass", "MiB", (size / ticks / 2**20,)),
    ]


def _figure(name: str, unit: str, samples: tuple[float, ...], promise: float | None = None) -> Figure:
    return Figure(bench=NAME, name=name, unit=unit, samples=samples, promise=promise)


def _cpu(readings: list[Reading]) -> tuple[float, ...]:
    pairs = itertools.pairwise(readings)
    return tuple((after.cpu - before.cpu) / (after.ticks - before.ticks) for before, after in pairs)


def _queries(cluster: LocalCluster) -> float:
    """Queries that Prometheus itself has counted: instant queries, whoever asked."""
    with urllib.request.urlopen(f"{cluster.prometheus_url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return metric(text, r"prometheus_http_requests_total\{code=\"200\",handler=\"/api/v1/query\"\}")


def _size(ledger: Path) -> int:
    """Bytes of a SQLite file and what is still in its log."""
    parts = (ledger, ledger.with_name(f"{ledger.name}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())
