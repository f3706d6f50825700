"""How long a (re)started operator needs until everything has been looked at once, in the big cluster.

Every repetition is a fresh process with an empty ledger: the worst case, because every node and every pod is new to it
and is written down before the first pass.
"""

from __future__ import annotations

import json
import subprocess
import sys

from bench.figures import Figure
from bench.process import elapsed, status_mib
from bench.scene import operator, say
from local import LocalCluster, OperatorProcess
from local.programs import REPOSITORY

NAME = "start-up"
REPEAT = 5
SECONDS, MEMORY = 5.0, 200.0  # promises


def measure(cluster: LocalCluster) -> list[Figure]:
    """Run the bench in the populated cluster."""
    say(f"start-up: {REPEAT} times, after one to warm up")
    alone = [_caches(cluster) for _ in range(REPEAT + 1)][1:]
    runs = [_start(cluster, f"bench-start-{turn}") for turn in range(REPEAT + 1)][1:]
    again = _start_again(cluster)
    return [
        _figure("process start to first complete pass", "s", [r[0] for r in runs], SECONDS),
        _figure("  processor time of it", "s", [r[1] for r in runs]),
        _figure("  resident memory after it", "MiB", [r[2] for r in runs], MEMORY, worst=True),
        _figure("  resident memory, highest", "MiB", [r[3] for r in runs]),
        _figure("the same with a ledger that knows the cluster", "s", again, SECONDS),
        _figure("caches alone, to synced", "s", [a["seconds"] for a in alone]),
        _figure("  processor time of it", "s", [a["cpu"] for a in alone], name="caches alone, processor time"),
        _figure("  memory of it", "MiB", [a["mib"] for a in alone], name="caches alone, memory"),
    ]


def _figure(
    label: str,
    unit: str,
    samples: list[float],
    promise: float | None = None,
    *,
    worst: bool = False,
    name: str = "",
) -> Figure:
    return Figure(
        bench=NAME, name=name or label, unit=unit, samples=tuple(samples), promise=promise, worst_counts=worst
    )


def _start(cluster: LocalCluster, name: str) -> tuple[float, float, float, float]:
    process = operator(cluster, name)
    try:
        return _timed(process)
    finally:
        process.stop()


def _timed(process: OperatorProcess) -> tuple[float, float, float, float]:
    """Seconds to ready, processor seconds, resident MiB, highest resident MiB."""
    taken = elapsed(process.start)
    pid = process.pid
    return taken, process.cpu_seconds(), status_mib(pid, "VmRSS"), status_mib(pid, "VmHWM")


def _start_again(cluster: LocalCluster) -> list[float]:
    process = operator(cluster, "bench-again")
    taken = []
    for _ in range(REPEAT + 1):
        try:
            taken.append(_timed(process)[0])
        finally:
            process.stop()
    return taken[1:]


def _caches(cluster: LocalCluster) -> dict[str, float]:
    tools = f"{REPOSITORY / 'tools'}"
    done = subprocess.run(
        [sys.executable, "-m", "bench.caches_alone"],
        env={**cluster.env(), "PYTHONPATH": tools},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"bench.caches_alone ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found
