"""Writes docs/results/serving.md: what replica policies cost on recorded traffic, beside what was promised.

    GPUCOST_SERVING_TRACES=FOLDER python -m bench.serving_policies [--rows FILE] [--sizes 5 10 20 2] [--output FILE]

FOLDER holds traces as `gpucost simulate serving` takes them (*.csv; files with other columns are left out). Each is
played with replicas of such a size that so many are busy on average, and with each ready time. With `--rows`, finished
settings are kept in a file and an interrupted run goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

from bench import machine
from bench.serving_report import READY, SIZE, Row, pictures, report
from gpucost.simulate.arrivals import DAY_SECONDS, Requests, read
from gpucost.simulate.problems import BadTrace
from gpucost.simulate.serving import POLICIES, Endpoint, Question, simulate

FOLDER = "GPUCOST_SERVING_TRACES"
ROOT = Path(__file__).resolve().parents[2]
TRAIN_DAYS = 7.0


def traces(folder: Path) -> list[Requests]:
    """What can be played: traces that are longer than the training days."""
    found = []
    for path in sorted(folder.rglob("*.csv")):
        try:
            trace = read(path.name, path.read_bytes())
        except BadTrace as problem:
            print(f"left out: {problem.lines[0]}", file=sys.stderr)
            continue
        if trace.seconds > TRAIN_DAYS * DAY_SECONDS:
            found.append(trace)
    if not found:
        raise SystemExit(f"{FOLDER}: no traces of more than {TRAIN_DAYS:g} days (*.csv) in {folder}")
    return found


def play(trace: Requests, size: float, ready: float, seed: int) -> Row:
    """All policies in one setting, and the processor time of all of them."""
    endpoint = Endpoint(float(trace.rates.mean()) / size, ready, Decimal(1))
    began = time.process_time()
    outcomes = simulate(trace, endpoint, Question(POLICIES, frontier=True, seed=seed))
    used = time.process_time() - began
    points: dict[str, list[list[float]]] = {}
    for one in outcomes:
        points.setdefault(one.policy, []).append([one.late, one.hours, one.changes])
    return Row(trace.name, size, ready, seed, points, used)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=float, nargs="+", default=[SIZE], help="replicas that are busy on average")
    parser.add_argument("--ready", type=float, nargs="+", default=list(READY), help="ready times in seconds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the noise")
    parser.add_argument("--rows", type=Path, help="keep finished settings there, and go on from it")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "serving.md")
    options = parser.parse_args(arguments)
    folder = os.environ.get(FOLDER)
    if not folder or not Path(folder).is_dir():
        parser.error(f"{FOLDER} must name a folder with traces")
    rows = list(_rows(traces(Path(folder)), options))
    options.output.write_text(report(rows, machine.sentence(machine.describe())))
    for name, text in pictures(rows).items():
        (options.output.parent / name).write_text(text)
    print(f"wrote {options.output}")
    return 0


def _rows(wanted: Sequence[Requests], options: argparse.Namespace) -> list[Row]:
    kept: Path | None = options.rows
    found: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept is not None and kept.is_file() else {}
    rows = []
    for trace, size, seed, ready in product(wanted, options.sizes, options.seeds, options.ready):
        key = f"{trace.name} {size:g} {ready:g} {seed}"
        if key not in found:
            found[key] = asdict(play(trace, size, ready, seed))
            print(f"played {key}", file=sys.stderr)
            if kept is not None:
                kept.write_text(json.dumps(found))
        rows.append(Row(**found[key]))
    return rows


if __name__ == "__main__":
    sys.exit(main())
