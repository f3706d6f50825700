"""Writes docs/results/training.md: what every policy costs on recorded spot traces, beside what was promised.

    GPUCOST_SPOT_TRACES=FOLDER python -m bench.training_policies [--runs 50] [--rows FILE] [--output FILE]

FOLDER holds traces as `gpucost simulate training` takes them, in any folders below it. Traces of a folder that have
the same length and tick are zones of one region; a trace that knows more than one node is also played for gangs of 4
and 16. With `--rows`, finished settings are kept in a file and an interrupted run goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from bench import machine
from bench.training_report import MORE, TARGET, WORK_HOURS, Row, report
from gpucost.core.clock import HOUR, MINUTE
from gpucost.simulate.schema import result
from gpucost.simulate.traces import Trace, read
from gpucost.simulate.training import Job, Question, simulate

FOLDER = "GPUCOST_SPOT_TRACES"
GRID = tuple((ratio, (12, 3, 6, 24)) for ratio in (0.92, 0.80, 0.70, 0.95))
"""Work by time until the deadline, and minutes of changeover."""
GANGS = (1, 4, 16)
SPOT, ON_DEMAND = Decimal("0.9731"), Decimal("3.06")
"""A p3.2xlarge when the traces were taken."""
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Setting:
    """One table row to be."""

    name: str
    files: tuple[str, ...]
    nodes: int
    ratio: float
    changeover: int
    runs: int


def settings(folder: Path, runs: int) -> list[Setting]:
    """Every set of traces with every ratio and changeover; more runs where the average is promised."""
    every = list(sets(folder))
    return [
        Setting(*one, ratio, delay, runs * MORE if (ratio, delay) == TARGET else runs)
        for ratio, delays in GRID
        for delay in delays
        for one in every
    ]


def sets(folder: Path) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """Traces to be played together: what they are called, their files, and nodes of the gang."""
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise SystemExit(f"{FOLDER}: no traces (*.json) in {folder}")
    for parent, found in groupby(paths, key=lambda path: path.parent):
        traces = [(str(path), _trace(path)) for path in found]
        where = str(parent.relative_to(folder))
        for path, trace in traces:
            most = int(trace.nodes.max())
            for nodes in GANGS:
                if nodes <= max(1, most):
                    gang = f", gang of {nodes}" if most > 1 else ""
                    yield f"{where}: {Path(path).stem}{gang}", (path,), nodes
        alike = [path for path, trace in traces if _kind(trace) == _kind(traces[0][1])]
        for count in sorted({2, len(alike)}):
            if 1 < count <= len(alike):
                yield f"{where}: {count} zones", tuple(alike[:count]), 1


def _trace(path: Path) -> Trace:
    return read([(path.name, path.read_bytes())])[0]


def _kind(trace: Trace) -> tuple[int, int]:
    return len(trace.nodes), trace.tick


def play(setting: Setting) -> Row:
    """Play one setting."""
    traces = read([(path, Path(path).read_bytes()) for path in setting.files])
    deadline = round(WORK_HOURS * HOUR / setting.ratio)
    job = Job(WORK_HOURS * HOUR, deadline, setting.changeover * MINUTE, SPOT, ON_DEMAND, setting.nodes)
    outcomes = simulate(traces, job, Question(("auto", "uniformProgress", "greedy"), setting.runs, seed=1))
    rows = {row.policy: row.model_dump() for row in result(outcomes).policies}
    return Row(setting.name, setting.nodes, len(traces), setting.ratio, setting.changeover, rows)


def traces_folder(parser: argparse.ArgumentParser) -> Path:
    """The folder that the environment names."""
    folder = os.environ.get(FOLDER)
    if not folder or not Path(folder).is_dir():
        parser.error(f"{FOLDER} must name a folder with traces")
    return Path(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="random starts of each setting")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--rows", type=Path, help="keep finished settings there, and go on from it")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "training.md")
    options = parser.parse_args(arguments)
    wanted = settings(traces_folder(parser), options.runs)
    rows = _rows(wanted, options.rows, options.jobs)
    options.output.write_text(report(rows, options.runs, machine.sentence(machine.describe())))
    print(f"wrote {options.output}")
    return 0


def _rows(wanted: Sequence[Setting], kept: Path | None, jobs: int) -> list[Row]:
    found = _kept(kept)
    open_ = [setting for setting in wanted if _key(setting) not in found]
    with ProcessPoolExecutor(jobs) as pool:
        for done, (setting, row) in enumerate(zip(open_, pool.map(play, open_), strict=True), 1):
            found[_key(setting)] = asdict(row)
            print(f"{done} of {len(open_)}: {setting.name}, {setting.ratio}, {setting.changeover} min", file=sys.stderr)
            if kept is not None:
                kept.write_text(json.dumps(found))
    return [Row(**found[_key(setting)]) for setting in wanted]


def _key(setting: Setting) -> str:
    return f"{setting.name} {setting.ratio} {setting.changeover} {setting.runs}"


def _kept(path: Path | None) -> dict[str, dict[str, Any]]:
    return json.loads(path.read_text()) if path is not None and path.is_file() else {}


if __name__ == "__main__":
    sys.exit(main())
