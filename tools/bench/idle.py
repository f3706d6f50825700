"""What the operator uses while nothing happens: 1,000 TrainingJobs beside the big cluster, the shipped period of 30 s.

Half of the TrainingJobs run (their cost grows, so there is something to show), half wait for a window. "At rest" is
after every Job exists and every status says what it should.
"""

from __future__ import annotations

import itertools

from bench.figures import Figure
from bench.process import Reading, after_ticks, read, status_mib
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
        say(f"idle: {TICKS} passes, one every 30 s")
        readings = [after_ticks(process, read(process), 1, 90)]
        for _ in range(TICKS):
            readings.append(after_ticks(process, readings[-1], 1, 90))
        resident = status_mib(process.pid, "VmRSS")
    finally:
        process.stop()
    pairs = list(itertools.pairwise(readings))
    return [
        _figure("processor time per minute", "s", tuple(60 * _rate(p, "cpu") for p in pairs)),
        _figure("resident memory", "MiB", (resident,), MEMORY),
        _figure("API writes per second", "1/s", tuple(_rate(p, "writes") for p in pairs), WRITES),
        _figure("duration of a pass", "s", tuple(r.tick_seconds for r in readings[1:])),
    ]


def _figure(name: str, unit: str, samples: tuple[float, ...], promise: float | None = None) -> Figure:
    return Figure(bench=NAME, name=name, unit=unit, samples=samples, promise=promise)


def _rate(pair: tuple[Reading, Reading], field: str) -> float:
    before, after = pair
    return float((getattr(after, field) - getattr(before, field)) / (after.at - before.at))


def _create(cluster: LocalCluster) -> None:
    bodies = [trainingjob(f"tj-{n:04}", SPACE, paused=bool(n % 2)) for n in range(TRAININGJOBS)]
    cluster.api.many(("POST", trainingjobs_path(SPACE), body) for body in bodies)
    say(f"{TRAININGJOBS} TrainingJobs")


def _settle(cluster: LocalCluster, process: OperatorProcess) -> None:
    pods = f"/api/v1/namespaces/{SPACE}/pods?fieldSelector=status.phase%3DRunning"
    wait_for(lambda: len(cluster.api.list(pods)) >= TRAININGJOBS // 2, 120, "pods of TrainingJobs run", interval=1)
    say("their pods run")
    last = read(process)

    def quiet() -> bool:
        nonlocal last
        before, last = last, read(process)
        return _rate((before, last), "writes") <= SETTLED

    wait_for(quiet, 120, "the beginning is over", interval=3)
