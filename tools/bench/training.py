"""`gpucost simulate training`: 1,000 starts of a trace of 27 days at ticks of 10 minutes, every policy, on one core.

Every run is a process of its own, without help of other cores for linear algebra. What is timed is what a user waits
for once Python has started: reading the trace, playing it, writing the result as JSON.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure
from bench.scene import say

NAME = "simulate training"
PROMISE = 20
RUNS = 3
_TICKS = 27 * 24 * 6
_JOB = "--work-hours 48 --deadline-hours 52.17 --changeover 12 --spot-price 0.9731 --on-demand-price 3.06"
_ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_PROGRAM = r"""
import io, json, re, sys, time
import gpucost.simulate.training, gpucost.simulate.schema
from gpucost.cli.simulate import training
real, sys.stdout = sys.stdout, io.StringIO()
began = time.process_time()
training.main(args=sys.argv[1:], standalone_mode=False)
taken = time.process_time() - began
memory = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024  # ru_maxrss has the parent's
found = json.loads(sys.stdout.getvalue())
assert all(row["runs"] == 1000 for row in found["policies"])
real.write(json.dumps([taken, memory]))
"""


def measure() -> Iterator[Figure]:
    """Run the bench."""
    with tempfile.TemporaryDirectory(prefix="gpucost-bench-") as folder:
        path = Path(folder, "trace.json")
        path.write_text(json.dumps({"metadata": {"gap_seconds": 600}, "data": _spells()}))
        for name, more, promise in (
            ("1,000 starts of 27 days, all policies", ["--no-omniscient"], PROMISE),
            ("the same with the optimum", [], None),
        ):
            say(f"simulate training: {name}")
            samples = [_run(path, more) for _ in range(RUNS)]
            times, memory = zip(*samples, strict=True)
            yield Figure(bench=NAME, name=name, unit="s CPU", samples=times, promise=promise)
            yield Figure(bench=NAME, name=f"{name}, peak memory", unit="MiB", samples=memory, worst_counts=True)


def _spells() -> list[int]:
    """Spot that comes and goes in spells, most of them short and some of a day, as recorded traces have them."""
    chance, data, up = random.Random(27), list[int](), False
    while len(data) < _TICKS:
        up = not up
        data += [int(up)] * min(144, round(chance.paretovariate(0.6)))
    return data[:_TICKS]


def _run(path: Path, more: list[str]) -> tuple[float, float]:
    """Seconds and MiB of one run."""
    program = [sys.executable, "-c", _PROGRAM, "--trace", str(path), *_JOB.split(), "-o", "json", *more]
    done = subprocess.run(program, capture_output=True, text=True, check=True, env=os.environ | _ONE_CORE)
    taken, memory = json.loads(done.stdout)
    return taken, memory
