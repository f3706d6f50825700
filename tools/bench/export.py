"""The FOCUS export of a day at the size of the other benches: time and memory of the command, as a process of its own.

The ledger is filled with facts and settled by its own code; nothing is simulated but what happened in the cluster.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figures import Figure
from bench.ledger import T0, ledger_facts
from bench.scene import say
from gpucost.core.clock import HOUR, MINUTE
from gpucost.ledger import Ledger

NAME = "export"
TURNS = 3
_MIB = 1 << 20


def measure() -> list[Figure]:
    """Run the bench in processes of their own."""
    say("export: a day of the big cluster")
    with tempfile.TemporaryDirectory(prefix="gpucost-bench-") as folder:
        url = f"sqlite:///{folder}/ledger.db"
        _fill(url)
        return [figure for case in _CASES for figure in _case(url, Path(folder), *case)]


_CASES = (
    ("Parquet, a row a day", ("--format", "parquet")),
    ("CSV, a row a day", ("--format", "csv")),
    ("Parquet, a row an hour", ("--format", "parquet", "--granularity", "hour")),
)


def _fill(url: str) -> None:
    nodes, pods, prices = ledger_facts()
    with Ledger(url) as ledger:
        ledger.record([*nodes, *pods], prices=prices)
        ledger.settle(T0 + 24 * HOUR + 3 * MINUTE)


def _case(url: str, folder: Path, name: str, options: tuple[str, ...]) -> list[Figure]:
    runs = [_run(url, folder / f"{name}-{turn}", options) for turn in range(TURNS)]
    again = [_run(url, folder / f"{name}-0", options) for _ in range(TURNS)]
    size = sum(path.stat().st_size for path in (folder / f"{name}-0").rglob("focus.*"))
    return [
        Figure(bench=NAME, name=f"{name}: a day", unit="s CPU", samples=tuple(cpu for cpu, _ in runs)),
        Figure(bench=NAME, name=f"{name}: a day that is there", unit="s CPU", samples=tuple(cpu for cpu, _ in again)),
        Figure(bench=NAME, name=f"{name}: memory", unit="MiB", samples=tuple(rss for _, rss in runs)),
        Figure(bench=NAME, name=f"{name}: size", unit="MiB", samples=(size / _MIB,)),
    ]


_PROGRAM = """
import atexit, re
from pathlib import Path
from gpucost.cli.main import gpucost

def tell():
    peak = re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
    print("used", sum(__import__("os").times()[:2]), int(peak) / 1024)

atexit.register(tell)
gpucost()
"""


def _run(url: str, to: Path, options: tuple[str, ...]) -> tuple[float, float]:
    """Processor seconds and peak memory (MiB) of one run, start-up of Python included."""
    command = [sys.executable, "-c", _PROGRAM, "export", "focus", "--ledger-url", url, "--to", str(to), *options]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    _, seconds, peak = told.splitlines()[-1].split()
    return float(seconds), float(peak)
