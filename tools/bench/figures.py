"""One measured figure: its samples, what was promised, what it was last time. A single sample never stands alone
without saying so, because on a shared machine the spread says more than the number.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASELINE = Path(__file__).with_name("baseline.json")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Samples of one quantity, in `unit`; `promise` is an upper limit, of the median unless `worst_counts`."""

    bench: str
    name: str
    unit: str
    samples: tuple[float, ...]
    promise: float | None = None
    worst_counts: bool = False
    """Whether the promise is about every sample, not the median (memory, for instance)."""
    note: str = ""

    def __post_init__(self) -> None:
        if not self.samples:
            raise ValueError(f"{self.bench}, {self.name}: nothing was measured")

    @property
    def key(self) -> str:
        """Identity over runs."""
        return f"{self.bench}: {self.name}"

    @property
    def median(self) -> float:
        """Median of the samples."""
        return statistics.median(self.samples)

    @property
    def judged(self) -> float:
        """The value that the promise is about."""
        return max(self.samples) if self.worst_counts else self.median

    @property
    def kept(self) -> bool | None:
        """Whether the promise is kept; None when nothing was promised."""
        return None if self.promise is None else self.judged <= self.promise

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {
            "bench": self.bench,
            "name": self.name,
            "unit": self.unit,
            "samples": list(self.samples),
            "min": min(self.samples),
            "median": self.median,
            "max": max(self.samples),
            "promise": self.promise,
            "kept": self.kept,
            "note": self.note,
        }


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` (0..1) of the values do not exceed (nearest rank); raises ValueError without values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def number(value: float | None) -> str:
    """A figure with three significant digits, as far as they mean something; a dash for none."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}" if abs(value) >= 0.001 else f"{value:.1e}"


def verdict(figure: Figure) -> str:
    """`ok`, `MISSED`, or nothing when nothing was promised."""
    return {None: "", True: "ok", False: "MISSED"}[figure.kept]


def load_baseline(path: Path = BASELINE) -> dict[str, float]:
    """Medians of the recorded run by figure; empty when none was recorded."""
    if not path.exists():
        return {}
    found: dict[str, float] = json.loads(path.read_text())["medians"]
    return found


def save_baseline(figures: Iterable[Figure], machine: Mapping[str, Any], path: Path = BASELINE) -> None:
    """Record medians, keeping those of benches that did not run."""
    medians = {**load_baseline(path), **{figure.key: float(f"{figure.median:.4g}") for figure in figures}}
    path.write_text(json.dumps({"machine": dict(machine), "medians": medians}, indent=2) + "\n")


_HEAD = ("figure", "unit", "min", "median", "max", "n", "baseline", "promise", "")


def _cells(figure: Figure, baseline: Mapping[str, float]) -> tuple[str, ...]:
    return (
        figure.name,
        figure.unit,
        number(min(figure.samples)),
        number(figure.median),
        number(max(figure.samples)),
        str(len(figure.samples)),
        number(baseline.get(figure.key)),
        "" if figure.promise is None else f"<= {number(figure.promise)}",
        verdict(figure),
    )


def table(figures: Iterable[Figure], baseline: Mapping[str, float]) -> str:
    """All figures, one line each, below the names of their benches."""
    several = list(figures)
    rows = [_HEAD, *(_cells(figure, baseline) for figure in several)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines, bench = [_line(_HEAD, widths)], ""
    for figure, row in zip(several, rows[1:], strict=True):
        if figure.bench != bench:
            bench = figure.bench
            lines += ["", bench]
        lines.append(_line(row, widths))
    return "\n".join(lines + _notes(several))


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    left = [cells[0].ljust(widths[0]), cells[1].ljust(widths[1])]
    right = [cell.rjust(width) for cell, width in zip(cells[2:-1], widths[2:-1], strict=True)]
    return "  ".join([*left, *right, cells[-1]]).rstrip()


def _notes(figures: list[Figure]) -> list[str]:
    notes = [f"{figure.key}: {figure.note}" for figure in figures if figure.note]
    return ["", *notes] if notes else []
