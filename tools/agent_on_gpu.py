"""What the node agent reads on a real GPU against what really ran there, at several duty cycles.

python tools/agent_on_gpu.py [--duty 0,25,50,75,100] [--seconds 60] [--period 10] [--json FILE]

A load of its own multiplies matrices for a part of each second and writes down when it was busy. The agent runs beside
it as it does on a node, and every reading is compared with the busy time of just that reading's period. Needs a GPU
with its driver, and torch or cupy for the load; says what is missing and ends with 0 where it cannot run, because a
machine without a GPU is no failure.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

UTIL = "DCGM_FI_DEV_GPU_UTIL"
ENGINE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
TENSOR = "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"
POWER = "DCGM_FI_DEV_POWER_USAGE"
SCALE = {UTIL: 100.0, ENGINE: 1.0, TENSOR: 1.0}
_CYCLE = 1.0
_SIZE = 8192
_PORT = 19400

Busy = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One reading: the duty cycle that was asked for, the share that was busy, and what the agent said."""

    duty: float
    ran: float
    utilisation: float | None
    engine: float | None
    tensor: float | None
    watts: float | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duty", default="0,25,50,75,100", help="duty cycles in percent")
    parser.add_argument("--seconds", type=float, default=60, help="time for each of them")
    parser.add_argument("--period", type=float, default=10, help="the agent's")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every reading there")
    parser.add_argument("--load", type=float, metavar="PERCENT", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if reason := missing():
        print(f"skipped: {reason}")
        return 0
    if options.load is not None:
        return run_load(options.load / 100, options.seconds)
    duties = [float(each) / 100 for each in options.duty.split(",")]
    rows, cpu = measure(duties, options.seconds, options.period)
    print(report(rows, cpu))
    if options.json:
        options.json.write_text(json.dumps({"agent_cpu_percent": cpu, "rows": [asdict(row) for row in rows]}, indent=2))
    return 0


def missing() -> str | None:
    """Why it cannot run here; None when it can."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return "no NVIDIA driver on this machine (libnvidia-ml.so.1)"
    if not any(importlib.util.find_spec(name) for name in ("torch", "cupy")):
        return "neither torch nor cupy is installed to put a load on the GPU: pip install torch"
    return None


# --- the load


def run_load(duty: float, seconds: float) -> int:
    """Multiply matrices for `duty` of each second; a line "begin end" on stdout for each stretch that was busy."""
    multiply = _multiplier()
    end = time.time() + seconds
    while (cycle := time.time()) < end:
        began = time.time()
        while time.time() - cycle < duty * _CYCLE:
            multiply()
        print(began, time.time() if duty else began, flush=True)
        time.sleep(max(0.0, cycle + _CYCLE - time.time()))
    return 0


def _multiplier() -> Callable[[], object]:
    """One multiplication that has ended when it returns."""
    if importlib.util.find_spec("torch"):
        torch: Any = importlib.import_module("torch")
        a = torch.randn(_SIZE, _SIZE, device="cuda", dtype=torch.float16)
        return lambda: (a @ a, torch.cuda.synchronize())
    cupy: Any = importlib.import_module("cupy")
    b = cupy.random.random((_SIZE, _SIZE), dtype=cupy.float32).astype(cupy.float16)
    return lambda: (b @ b, cupy.cuda.Device().synchronize())


def busy_share(busy: Sequence[Busy], start: float, end: float) -> float:
    """Share of `[start, end)` that lies in the stretches."""
    return sum(max(0.0, min(to, end) - max(since, start)) for since, to in busy) / (end - start)


# --- the measurement


def measure(duties: Sequence[float], seconds: float, period: float) -> tuple[list[Row], float]:
    """Every reading at every duty cycle, and percent of a core that the agent took."""
    with tempfile.TemporaryDirectory() as folder:
        agent = _agent(period)
        try:
            before, began = _until_read(0), time.time()
            rows = [row for duty in duties for row in _at(duty, seconds, period, Path(folder))]
            cpu = _value(_scrape(), "gpucost_agent_process_cpu_seconds_total") or 0.0
            used = cpu - (_value(before, "gpucost_agent_process_cpu_seconds_total") or 0.0)
            return rows, 100 * used / (time.time() - began)
        finally:
            agent.terminate()
            agent.wait(20)


def _agent(period: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from gpucost.cli.main import gpucost; gpucost()", "agent"]
    flags = ["--listen", f"127.0.0.1:{_PORT}", "--period", str(period), "--kubelet-socket", ""]
    return subprocess.Popen([*command, *flags])


def _at(duty: float, seconds: float, period: float, folder: Path) -> Iterator[Row]:
    log = folder / f"{duty}.txt"
    command = [sys.executable, __file__, "--load", str(duty * 100), "--seconds", str(seconds)]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, env=os.environ) as load:
        readings = []
        last = 0.0
        while load.poll() is None:
            found = _scrape()
            read = _value(found, "gpucost_agent_last_read_timestamp_seconds") or 0.0
            if read > last:
                readings.append(found)
                last = read
            time.sleep(0.2)
    busy = [(float(a), float(b)) for a, b in (line.split() for line in log.read_text().splitlines())]
    if busy:
        yield from _rows(duty, readings, busy, period)


def _rows(duty: float, readings: list[list[Any]], busy: list[Busy], period: float) -> Iterator[Row]:
    """Readings whose whole period lies within the load."""
    for found in readings:
        end = _value(found, "gpucost_agent_last_read_timestamp_seconds") or 0.0
        if busy[0][0] <= end - period and end <= busy[-1][0] + _CYCLE:
            share = busy_share(busy, end - period, end)
            scaled = {metric: _scaled(found, metric) for metric in SCALE}
            yield Row(duty, share, scaled[UTIL], scaled[ENGINE], scaled[TENSOR], _value(found, POWER))


def _until_read(already: float) -> list[Any]:
    deadline = time.time() + 60
    while time.time() < deadline:
        try:
            found = _scrape()
        except OSError:
            found = []
        if (_value(found, "gpucost_agent_reads_total") or 0.0) > already + 1:
            return found
        time.sleep(0.2)
    raise SystemExit("the agent did not read the GPU within a minute; its log is above")


def _scrape() -> list[Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{_PORT}/metrics", timeout=10) as answer:
        return [each for family in text_string_to_metric_families(answer.read().decode()) for each in family.samples]


def _value(found: list[Any], metric: str) -> float | None:
    """Value of GPU 0, or of a metric without GPUs."""
    values = [each.value for each in found if each.name == metric and each.labels.get("gpu", "0") == "0"]
    return values[0] if values else None


def _scaled(found: list[Any], metric: str) -> float | None:
    value = _value(found, metric)
    return None if value is None else value / SCALE[metric]


# --- what comes of it


def report(rows: Sequence[Row], cpu: float) -> str:
    """A table in Markdown, one line per duty cycle."""
    lines = [
        "| duty | readings | ran | GPU_UTIL | GR_ENGINE_ACTIVE | PIPE_TENSOR_ACTIVE | power |",
        "|---|---|---|---|---|---|---|",
    ]
    for duty in sorted({row.duty for row in rows}):
        some = [row for row in rows if row.duty == duty]
        cells = [_mean(some, name) for name in ("ran", "utilisation", "engine", "tensor")]
        watts = [row.watts for row in some if row.watts is not None]
        power = f"{statistics.mean(watts):.0f} W" if watts else "-"
        lines.append(f"| {duty:.0%} | {len(some)} | {' | '.join(cells)} | {power} |")
    worst = [abs(row.engine - row.ran) for row in rows if row.engine is not None]
    lines.append(
        f"\nLargest difference of GR_ENGINE_ACTIVE from what ran: {max(worst):.3f}" if worst else "\nNo engine time."
    )
    lines.append(f"The agent took {cpu:.2f} % of a core.")
    return "\n".join(lines)


def _mean(rows: Sequence[Row], name: str) -> str:
    values = [value for row in rows if (value := getattr(row, name)) is not None]
    return f"{statistics.mean(values):.3f}" if values else "-"


if __name__ == "__main__":
    sys.exit(main())
