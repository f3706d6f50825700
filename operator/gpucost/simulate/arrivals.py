"""Traces of requests as files: read, checked, and laid out in steps with the noise of a seed.

Whatever is wrong is said with its place, `FILE:LINE: ...`, and what to do about it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from gpucost.core.serving.replicas.seen import STEP_SECONDS
from gpucost.simulate.problems import BadTrace

COLUMNS = ("start_seconds", "requests_per_second")
NOISE = 0.12
"""Coefficient of variation of the arrivals of a step."""
DAY_SECONDS = 86400
_MOST_STEPS = 10**6
_EVEN = 1e-6


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests a second, constant over each step of the trace."""

    name: str
    step: float
    """Seconds."""
    rates: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.rates) * self.step

    @property
    def steps(self) -> int:
        """Whole steps of 15 s that it covers."""
        return int(self.seconds / STEP_SECONDS + _EVEN)

    def arrivals(self, seed: int) -> NDArray[np.float64]:
        """Requests of each step of 15 s: the rate's integral, times Gamma noise."""
        edges = np.arange(self.steps + 1) * float(STEP_SECONDS)
        total = np.concatenate(([0.0], np.cumsum(self.rates) * self.step))
        exact = np.diff(np.interp(edges, np.arange(len(total)) * self.step, total))
        shape = 1 / NOISE**2
        noise = np.random.default_rng(seed).gamma(shape, 1 / shape, len(exact))
        found: NDArray[np.float64] = np.maximum(exact, 0.0) * noise
        return found


def read(name: str, data: bytes) -> Requests:
    """The trace in a file."""
    rows = _rows(name, data)
    problems: list[str] = []
    starts = _numbers(name, rows, 0, problems)
    rates = _numbers(name, rows, 1, problems)
    if not problems:
        _check_rates(name, rows, rates, problems)
        step = _check_steps(name, rows, starts, problems)
    if problems:
        raise BadTrace(problems)
    return Requests(PurePath(name).name, step, np.array(rates))


_Row = tuple[int, str, str]
"""Line, start, rate."""


def _rows(name: str, data: bytes) -> list[_Row]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadTrace([f"{name}: not UTF-8 text (byte {error.start}); a CSV file is expected"]) from None
    reader = csv.reader(io.StringIO(text))
    try:
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise BadTrace([f"{name}:{reader.line_num}: not CSV: {error}"]) from None
    if not lines:
        raise BadTrace([f"{name}: empty; expected is the header {','.join(COLUMNS)} and a line for each step"])
    header = [cell.strip() for cell in lines[0][1]]
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise BadTrace(
            [
                f"{name}:{lines[0][0]}: no column {column} among {', '.join(header)[:60]}; "
                f"the first line has to name {' and '.join(COLUMNS)}"
                for column in missing
            ]
        )
    places = [header.index(column) for column in COLUMNS]
    found = []
    for line, row in lines[1:]:
        cells = [row[place].strip() if place < len(row) else "" for place in places]
        found.append((line, cells[0], cells[1]))
    if len(found) < 2:
        raise BadTrace([f"{name}: {len(found)} steps; two at least are needed to know the length of a step"])
    return found


def _numbers(name: str, rows: Sequence[_Row], place: int, problems: list[str]) -> list[float]:
    found = []
    for row in rows:
        text = (row[1], row[2])[place]
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            problems.append(
                f"{name}:{row[0]}: {COLUMNS[place]}: {text[:40] or 'nothing'} is not a finite number; "
                "fill gaps (for example with the step before) or cut the trace there"
            )
        found.append(number)
    return found


def _check_rates(name: str, rows: Sequence[_Row], rates: Sequence[float], problems: list[str]) -> None:
    for row, rate in zip(rows, rates, strict=True):
        if rate < 0:
            problems.append(f"{name}:{row[0]}: {COLUMNS[1]}: {row[2]} is negative; a rate is 0 or more")
    if not problems and not any(rates):
        problems.append(f"{name}: {COLUMNS[1]}: no requests at all; there is nothing to serve")


def _check_steps(name: str, rows: Sequence[_Row], starts: Sequence[float], problems: list[str]) -> float:
    step = starts[1] - starts[0]
    if step <= 0:
        problems.append(f"{name}:{rows[1][0]}: {COLUMNS[0]}: {rows[1][1]} is not after {rows[0][1]}; sort by time")
        return step
    for before, after, row in zip(starts, starts[1:], rows[1:], strict=False):
        if abs(after - before - step) > _EVEN * max(step, 1.0):
            problems.append(
                f"{name}:{row[0]}: {COLUMNS[0]}: {row[1]} comes {after - before:g} s after the line before, but the "
                f"step is {step:g} s; every step has the same length and none is left out"
            )
    if step < 1 or len(starts) * step / STEP_SECONDS > _MOST_STEPS:
        problems.append(f"{name}: steps of {step:g} s over {len(starts):,} lines; 1 s to {_MOST_STEPS:,} steps of 15 s")
    return step
