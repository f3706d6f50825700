"""The text of docs/results/serving.md: GPU-hours at equal late fraction, and whether each promise was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePath
from statistics import fmean

from bench.frontier import Panel, Point, hours_at, svg

READY = (60.0, 180.0, 600.0)
LATE = (0.001, 0.005, 0.01)
SIZE = 5.0
"""Replicas that are busy on average, unless told otherwise."""
RIVALS = ("hpa", "kpa", "keda")
LEAST_SAVED, MOST_BEHIND, MOST_SECONDS = 0.08, 0.01, 30.0

_HEAD = """# Replicas of an inference server: what the policies cost

Made by `GPUCOST_SERVING_TRACES=FOLDER python -m bench.serving_policies --sizes 5 10 20 2` on {machine}.

Every policy has hundreds of settings, from which the same tuner chooses on the first 7 days of a trace; the days after
that are what is shown. Figures are GPU-hours at equal late fraction, interpolated in the logarithm of it on each
policy's frontier of 8 to 25 settings, of which those that another beats in both are left out. `-`: no setting was that
safe. *Best* is the best of hpa, kpa and keda at that point; where none of them gets there, `static`. What is played is
described in the [guide](../guide/simulate-serving.md), what the policies do in [decisions](../decisions/replicas.md).

The trace is ServeGen's (Apache-2.0), which is not part of this repository. The Azure LLM trace of 2023 lasts an
hour, so it has no days to tune on.
"""


@dataclass(frozen=True)
class Row:
    """One setting, played with all policies; `points` are late fraction, GPU-hours and changes."""

    trace: str
    size: float
    ready: float
    seed: int
    points: Mapping[str, Sequence[Sequence[float]]]
    seconds: float

    def hours(self, policy: str, late: float) -> float | None:
        """GPU-hours of a policy at a late fraction."""
        return hours_at(self.line(policy), late)

    def line(self, policy: str) -> list[Point]:
        """Its frontier."""
        return [(point[0], point[1]) for point in self.points[policy]]

    def best(self, late: float) -> tuple[str, float] | None:
        """The best of the rivals, else static."""
        found = [(hours, name) for name in RIVALS if (hours := self.hours(name, late)) is not None]
        if not found and (static := self.hours("static", late)) is not None:
            found = [(static, "static")]
        return (min(found)[1], min(found)[0]) if found else None

    def saved(self, late: float) -> float | None:
        """How much less than the best, as a part of it."""
        own, best = self.hours("gpucost", late), self.best(late)
        return None if own is None or best is None else 1 - own / best[1]


def report(rows: Sequence[Row], machine: str) -> str:
    """The whole page."""
    parts = [_HEAD.format(machine=machine.rstrip(".")), "## Promises\n", _promises(rows)]
    for (trace, size, seed), group in groupby(rows, key=lambda row: (row.trace, row.size, row.seed)):
        mine = list(group)
        parts.append(f"\n## {PurePath(trace).stem}, {size:g} replicas busy on average{_seeded(seed)}\n")
        if seed == 0:
            parts.append(f"![Frontiers]({_picture(trace, size)})\n")
        parts.append(_table(mine))
    return "\n".join(parts) + "\n"


def pictures(rows: Sequence[Row]) -> dict[str, str]:
    """A picture for every trace and size, by file name."""
    found = {}
    for (trace, size, seed), group in groupby(rows, key=lambda row: (row.trace, row.size, row.seed)):
        if seed == 0:
            panels = [Panel(f"ready after {row.ready:g} s", {n: row.line(n) for n in row.points}) for row in group]
            found[_picture(trace, size)] = svg(panels)
    return found


def _picture(trace: str, size: float) -> str:
    return f"serving-{PurePath(trace).stem}-{size:g}.svg"


def _seeded(seed: int) -> str:
    return f", noise of seed {seed}" if seed else ""


def _promises(rows: Sequence[Row]) -> str:
    most = max(row.seconds for row in rows)
    lines = ["| Promise | Replicas | Measured | |", "|---|---|---|---|"]
    for size in dict.fromkeys(row.size for row in rows):
        lines += _promised([row for row in rows if row.size == size and row.seed == 0])
    lines.append(
        f"| 14 days at 15 s, all policies, in <= {MOST_SECONDS:.0f} s on one core | all | at most {most:.1f} s of "
        f"processor time, with `--frontier` | {_verdict(most <= MOST_SECONDS)} |"
    )
    return "\n".join(lines)


def _promised(rows: Sequence[Row]) -> list[str]:
    """What is promised of a number of replicas."""
    points = [(row, late) for row in rows for late in LATE]
    told = [(row, late, value) for row, late in points if (value := row.saved(late)) is not None]
    if not told:
        return []
    saved = [value for _, _, value in told]
    against = sum(1 for row, late, _ in told if _by_rival(row, late))
    average, least, size = fmean(saved), min(saved), rows[0].size
    reached = f"{average:.1%} over {len(saved)} of {len(points)} points, {against} of which an autoscaler reaches"
    wanted = f">= {LEAST_SAVED:.0%} fewer GPU-hours than the best of hpa, kpa and keda, on average"
    worst, most = f"{-least:+.1%} at the worst", f"at no point over {MOST_BEHIND:.0%} more"
    return [
        f"| {wanted} | {size:g} | {reached} | {_verdict(average >= LEAST_SAVED)} |",
        f"| {most} | {size:g} | {worst} | {_verdict(least >= -MOST_BEHIND)} |",
    ]


def _by_rival(row: Row, late: float) -> bool:
    best = row.best(late)
    return best is not None and best[0] != "static"


def _verdict(kept: bool) -> str:
    return "kept" if kept else "**missed**"


def _table(rows: Sequence[Row]) -> str:
    names = ("gpucost", *RIVALS, "static")
    lines = ["| Ready, s | Late | " + " | ".join(names) + " | against the best |", "|---|---|" + "---:|" * 6]
    for row in rows:
        for late in LATE:
            cells = [_hours(row.hours(name, late)) for name in names]
            lines.append(f"| {row.ready:g} | {late:.1%} | " + " | ".join(cells) + f" | {_against(row, late)} |")
    return "\n".join(lines)


def _hours(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _against(row: Row, late: float) -> str:
    saved, best = row.saved(late), row.best(late)
    return "-" if saved is None or best is None else f"{-saved:+.1%} ({best[0]})"
