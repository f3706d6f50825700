"""What one full pass costs in the big cluster, with utilisation that changes at every scrape.

The operator runs as shipped, only with a shorter period, so that there are enough passes to see a spread. Processor
time from the beginning of a pass to the beginning of the next includes everything: pass, watches, the flushes of every
second. A scrape of the operator's own metrics is measured apart.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from bench.figures import Figure
from bench.process import cpu_during, metric, next_pass, queries, status_mib
from bench.scene import operator, say
from local import LocalCluster, OperatorProcess

NAME = "full tick"
PERIOD = 10
TICKS = 6
WARM_UP = 2
SCRAPES = 3
CPU, MEMORY, QUERIES = (
    1.0,
    300.0,
    10.0,
)  # promises; one query for each of seven metrics, two of pods, now and then prices


def measure(cluster: LocalCluster) -> list[Figure]:
    """Run the bench in the populated cluster, with Prometheus."""
    process = operator(cluster, "bench-tick", TICK_SECONDS=str(PERIOD))
    try:
        process.start()
        say(f"full tick: {TICKS} passes, one every {PERIOD} s")
        return _passes(cluster, process) + _scrapes(process)
    finally:
        process.stop()


def _passes(cluster: LocalCluster, process: OperatorProcess) -> list[Figure]:
    for _ in range(WARM_UP):
        next_pass(cluster, process, 6 * PERIOD)
    size = _size(process.ledger)
    beats = [next_pass(cluster, process, 6 * PERIOD) for _ in range(TICKS + 1)]
    asked, size = queries(cluster) - beats[0].asked, _size(process.ledger) - size
    resident, highest = (status_mib(process.pid, field) for field in ("VmRSS", "VmHWM"))
    taken = tuple(after.cpu - before.cpu for before, after in itertools.pairwise(beats))
    return [
        _figure("processor time from pass to pass", "s", taken, CPU),
        _figure("resident memory", "MiB", (resident,), MEMORY),
        _figure("resident memory, highest", "MiB", (highest,), MEMORY),
        _figure("Prometheus queries per pass", "", (asked / len(beats),), QUERIES),
        _figure("ledger growth per pass", "MiB", (size / len(beats) / 2**20,)),
    ]


def _scrapes(process: OperatorProcess) -> list[Figure]:
    taken, durations = [], []
    for _ in range(SCRAPES):
        cpu, text = cpu_during(process, process.metrics)
        taken.append(cpu)
        durations.append(metric(text, "gpucost_tick_duration_seconds"))
    return [
        _figure("duration of a pass, by the clock", "s", tuple(durations)),
        _figure("processor time of a scrape of its metrics", "s", tuple(taken)),
        _figure("size of the scrape", "MiB", (len(text) / 2**20,)),
    ]


def _figure(name: str, unit: str, samples: tuple[float, ...], promise: float | None = None) -> Figure:
    return Figure(bench=NAME, name=name, unit=unit, samples=samples, promise=promise)


def _size(ledger: Path) -> int:
    """Bytes of a SQLite file and what is still in its log."""
    parts = (ledger, ledger.with_name(f"{ledger.name}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())
