"""What the operator uses while nothing happens: 1,000 TrainingJobs beside the big cluster, the shipped period of 30 s.

Half of the TrainingJobs run (their cost grows, so there is something to show), half wait for a window. "At rest" is
after every Job exists and every status says what it should.
"""

from __future__ import annotations

import itertools
import time

from bench.figures import Figure
from bench.process import metric, next_pass, status_mib
from bench.scene import make_namespaces, operator, say, trainingjob, trainingjobs_path
from local import LocalCluster, OperatorProcess, wait_for

NAME = "idle"
SPACE = "idle"
TRAININGJOBS = 1000
TICKS = 3
WRITES, MEMORY = 1.0, 300.0  # promises
SETTLED = 4.0  # writes a second: what is above that is still the beginning


def measure(cluster: LocalCluster) -> list[Figure]:
    """Run the bench in the populated cluster."""
    make_namespaces(cluster, SPACE)
    process = operator(cluster, "bench-idle")
    try:
        process.start()
        _create(cluster)
        _settle(cluster, process)
        return _at_rest(cluster, process)
    finally:
        process.stop()


def _at_rest(cluster: LocalCluster, process: OperatorProcess) -> list[Figure]:
    say(f"idle: {TICKS} passes, one every 30 s")
    began, written = time.monotonic(), _writes(process)
    beats = [next_pass(cluster, process, 90) for _ in range(TICKS + 1)]
    written, ended = _writes(process) - written, time.monotonic()
    minutes = tuple(60 * (b.cpu - a.cpu) / (b.at - a.at) for a, b in itertools.pairwise(beats))
    return [
        _figure("processor time per minute", "s", minutes),
        _figure("resident memory", "MiB", (status_mib(process.pid, "VmRSS"),), MEMORY),
        _figure("API writes per second", "1/s", (written / (ended - began),), WRITES),
    ]


def _figure(name: str, unit: str, samples: tuple[float, ...], promise: float | None = None) -> Figure:
    return Figure(bench=NAME, name=name, unit=unit, samples=samples, promise=promise)


def _writes(process: OperatorProcess) -> float:
    return metric(process.metrics(), "gpucost_api_writes_total")


def _create(cluster: LocalCluster) -> None:
    bodies = [trainingjob(f"tj-{n:04}", SPACE, paused=bool(n % 2)) for n in range(TRAININGJOBS)]
    cluster.api.many(("POST", trainingjobs_path(SPACE), body) for body in bodies)
    say(f"{TRAININGJOBS} TrainingJobs")


def _settle(cluster: LocalCluster, process: OperatorProcess) -> None:
    pods = f"/api/v1/namespaces/{SPACE}/pods?fieldSelector=status.phase%3DRunning"

    def run() -> bool:
        if not process.running():
            raise RuntimeError(f"the operator ended:\n{process.log()[-1000:]}")
        return len(cluster.api.list(pods)) >= TRAININGJOBS // 2

    wait_for(run, 120, "pods of TrainingJobs run", interval=1)
    say("their pods run")
    last, at = _writes(process), time.monotonic()

    def quiet() -> bool:
        nonlocal last, at
        before, since = last, at
        last, at = _writes(process), time.monotonic()
        return (last - before) / (at - since) <= SETTLED

    wait_for(quiet, 120, "the beginning is over", interval=5)
