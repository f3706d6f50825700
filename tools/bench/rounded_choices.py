"""What it costs that the operator rounds its questions: exact and rounded choices of `auto` on recorded spot traces.

    GPUCOST_SPOT_TRACES=FOLDER python -m bench.rounded_choices [--ratio 0.92] [--changeover 12] [--runs 80]

Prints a table for docs/results/deadlines.md. The rounded policy asks the maps of `core/training/deadline/remembered`,
one run at a time, as the operator does.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from pathlib import Path
from statistics import fmean
from typing import TypeVar, cast

import numpy as np

from bench.training_policies import ON_DEMAND, SPOT, Setting, sets, traces_folder
from bench.training_report import WORK_HOURS
from gpucost.core.clock import HOUR, MINUTE
from gpucost.core.training.deadline import policies
from gpucost.core.training.deadline.availability import Sky
from gpucost.core.training.deadline.choosing import within
from gpucost.core.training.deadline.guard import Allowed, allowed
from gpucost.core.training.deadline.remembered import Remembered
from gpucost.core.training.deadline.runs import Codes, Runs, Terms, Zones
from gpucost.simulate.traces import read
from gpucost.simulate.training import Job, Question, simulate

EXACT, ROUNDED = "auto", "rounded"

Columns = TypeVar("Columns", Runs, Allowed)
Saved = tuple[float, int, float]
"""Percent of on-demand, deadlines missed, and the dearest run in percent of on-demand."""


class Rounded:
    """`auto` with rounded questions, for places with one zone."""

    def __init__(self, terms: Terms) -> None:
        self.terms, self.remembered = terms, Remembered()

    def decide(self, runs: Runs, sky: Sky) -> tuple[Codes, Zones]:
        """One run after the other, each with a question of its own."""
        safe = allowed(runs, self.terms)
        modes = [self._one(_row(runs, place), sky, _row(safe, place)) for place in range(len(runs.mode))]
        return np.array(modes, dtype=np.int8), np.zeros(len(modes), dtype=np.int16)

    def _one(self, run: Runs, sky: Sky, safe: Allowed) -> int:
        mode, _ = within(run, safe, self.remembered.mode(self.terms, run, sky, safe), 0)
        return mode


def _row(columns: Columns, place: int) -> Columns:
    return type(columns)(*(getattr(columns, field.name)[place : place + 1] for field in fields(columns)))


def play(setting: Setting) -> dict[str, Saved]:
    """What exact and rounded choices save on the same starts."""
    cast(dict[str, object], policies.POLICIES)[ROUNDED] = Rounded
    traces = read([(path, Path(path).read_bytes()) for path in setting.files])
    deadline = round(WORK_HOURS * HOUR / setting.ratio)
    job = Job(WORK_HOURS * HOUR, deadline, setting.changeover * MINUTE, SPOT, ON_DEMAND, setting.nodes)
    question = Question((EXACT, ROUNDED), setting.runs, seed=1, with_optimum=False)
    return {
        one.policy: (
            100 * (1 - float(one.mean_cost / one.on_demand_cost)),
            one.missed,
            100 * float(one.largest_cost / one.on_demand_cost),
        )
        for one in simulate(traces, job, question)
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratio", type=float, default=0.92, help="work by time until the deadline")
    parser.add_argument("--changeover", type=int, default=12, help="minutes")
    parser.add_argument("--runs", type=int, default=80, help="random starts of each trace")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args(arguments)
    wanted = [
        Setting(name, files, nodes, options.ratio, options.changeover, options.runs)
        for name, files, nodes in sets(traces_folder(parser))
        if len(files) == nodes == 1
    ]
    with ProcessPoolExecutor(options.jobs) as pool:
        found = list(pool.map(play, wanted))
    print("| Trace | exact, saved % | rounded, saved % | rounded: missed | dearest run |")
    print("|---|---|---|---|---|")
    for setting, saved in zip(wanted, found, strict=True):
        percent, missed, dearest = saved[ROUNDED]
        print(f"| {setting.name} | {saved[EXACT][0]:.2f} | {percent:.2f} | {missed} | {dearest:.1f} % |")
    means = [fmean(saved[policy][0] for saved in found) for policy in (EXACT, ROUNDED)]
    print(f"| mean | {means[0]:.2f} | {means[1]:.2f} | | |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
