"""How long a new TrainingJob waits for its Job, at twenty creations a second.

Timed from the moment before the TrainingJob is sent to the moment at which a watcher of Jobs, another client of the API
server, hears of the Job: what a user would measure, and a little more than what the operator takes.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from bench.figures import Figure, percentile
from bench.scene import make_namespaces, operator, say, trainingjob, trainingjobs_path
from local import LocalCluster, wait_for
from local.programs import program

NAME = "reaction"
SPACE = "reaction"
RATE = 20.0  # creations a second
OBJECTS = 200
WARM_UP = 20
RUNS = 3
PROMISE = 1.0


class JobWatch:
    """When each Job of a namespace was first heard of, by `time.monotonic`."""

    def __init__(self, cluster: LocalCluster, space: str) -> None:
        path = f"/apis/batch/v1/namespaces/{space}/jobs?watch=true"
        self.seen: dict[str, float] = {}
        self._process = subprocess.Popen(
            [program("kubectl"), "get", "--raw", path],
            env=cluster.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            at = time.monotonic()
            self.seen.setdefault(json.loads(line)["object"]["metadata"]["name"], at)

    def close(self) -> None:
        """End the watch."""
        self._process.terminate()
        self._process.wait(10)


@contextmanager
def _watching(cluster: LocalCluster) -> Iterator[JobWatch]:
    watch = JobWatch(cluster, SPACE)
    try:
        yield watch
    finally:
        watch.close()


def measure(cluster: LocalCluster) -> list[Figure]:
    """Run the bench in an empty cluster."""
    make_namespaces(cluster, SPACE)
    process = operator(cluster, "bench-reaction").start()
    try:
        with _watching(cluster) as watch:
            _create(cluster, watch, "warm", WARM_UP)
            say(f"reaction: {RUNS} times {OBJECTS} TrainingJobs at {RATE:.0f} a second")
            runs = [_create(cluster, watch, f"run{turn}", OBJECTS) for turn in range(RUNS)]
    finally:
        process.stop()
        cluster.api.delete(trainingjobs_path(SPACE), propagationPolicy="Background")
    return [
        _figure("TrainingJob to Job, p50", [percentile(waits, 0.50) for waits in runs]),
        _figure("TrainingJob to Job, p99", [percentile(waits, 0.99) for waits in runs], PROMISE),
        _figure("TrainingJob to Job, longest", [max(waits) for waits in runs]),
    ]


def _figure(name: str, samples: list[float], promise: float | None = None) -> Figure:
    note = f"each sample is one run of {OBJECTS}" if promise else ""
    return Figure(bench=NAME, name=name, unit="s", samples=tuple(samples), promise=promise, note=note)


def _create(cluster: LocalCluster, watch: JobWatch, prefix: str, count: int) -> list[float]:
    sent: dict[str, float] = {}

    def create(name: str) -> None:
        body = trainingjob(name, SPACE, paused=True)
        sent[name] = time.monotonic()
        cluster.api.create(trainingjobs_path(SPACE), body)

    with ThreadPoolExecutor(8) as pool:
        began, made = time.monotonic(), []
        for number in range(count):
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))  # the rate is what is asked for
            made.append(pool.submit(create, f"{prefix}-{number:03}"))
        for one in made:
            one.result()
    wait_for(lambda: sent.keys() <= watch.seen.keys(), 60, lambda: f"Jobs: {len(watch.seen)} of {len(sent)}")
    return [watch.seen[name] - at for name, at in sent.items()]
