"""`gpucost allocate` over a day of pod lifetimes: processor time after imports, and memory of the whole process.

Every run is a process of its own, because memory is only given back when a process ends. What is timed is what a user
waits for once Python has started: reading the file, checking it, working it out, writing the result as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import scenarios
from bench.figures import Figure
from bench.scene import say

NAME = "allocate"
PROMISES: dict[int, tuple[float, float] | None] = {
    1_000: (0.1, 100),
    10_000: (0.13, 120),
    50_000: (0.66, 300),
    200_000: None,
}
"""Seconds and MiB by number of pods."""

RUNS = 5
_PROGRAM = r"""
import io, json, re, sys, time
import gpucost.offline.allocate, gpucost.offline.document
from gpucost.cli.allocate import allocate
real, sys.stdout = sys.stdout, io.StringIO()
began = time.process_time()
allocate.main(args=sys.argv[1:], standalone_mode=False)
taken = time.process_time() - began
memory = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024  # ru_maxrss has the parent's
found = json.loads(sys.stdout.getvalue())
real.write(json.dumps([taken, memory, found["difference"], len(found["rows"])]))
"""


def measure() -> Iterator[Figure]:
    """Run the bench."""
    medians: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="gpucost-bench-") as folder:
        for pods, promise in PROMISES.items():
            path = Path(folder, f"{pods}.json")
            size = scenarios.write(path, pods)
            say(f"allocate: {pods:,} pods, {size / 1e6:.1f} MB")
            samples = [_run(path) for _ in range(RUNS + 1)][1:]  # the first warms up the disk's cache
            times, memory = zip(*samples, strict=True)
            seconds, mib = promise or (None, None)
            time = Figure(bench=NAME, name=f"{pods:,} pods, time", unit="s CPU", samples=times, promise=seconds)
            medians[pods] = time.median
            yield time
            yield Figure(
                bench=NAME,
                name=f"{pods:,} pods, peak memory",
                unit="MiB",
                samples=memory,
                promise=mib,
                worst_counts=True,
            )
            path.unlink()
    growth = medians[200_000] / medians[50_000]
    yield Figure(
        bench=NAME,
        name="time for four times the pods (50,000 to 200,000)",
        unit="x",
        samples=(growth,),
        promise=5,
        note="one ratio of two medians; 4 is linear",
    )


def _run(path: Path) -> tuple[float, float]:
    """Seconds and MiB of one run; a result that does not add up is an error."""
    program = [sys.executable, "-c", _PROGRAM, str(path), "-o", "json"]
    output = subprocess.run(program, check=True, capture_output=True, text=True, timeout=300).stdout
    seconds, memory, difference, rows = json.loads(output)
    if difference != "0.000000" or not rows:
        raise AssertionError(f"{path.name}: difference {difference}, {rows} rows")
    return float(seconds), float(memory)
