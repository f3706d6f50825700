"""The text of docs/results/training.md: tables of played settings, and whether each promise was kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

WORK_HOURS = 48
TARGET = (0.92, 12)
"""Ratio of work to time, and minutes of changeover, of the first promise."""
LEAST = 0.55
TOLERANCE = 0.03
MOST = 105
MORE = 2
"""Times the runs, at the setting whose average is promised."""

_HEAD = """# Training on spot with a deadline: what the policies cost

Made by `GPUCOST_SPOT_TRACES=FOLDER python -m bench.training_policies --runs {runs}` on {machine}.

{hours} h of work, prices 3.06 and 0.9731 an hour. Each setting is played from {runs} random starts of its trace
({more} times as many at C/R 0.92, d 12 min), the same for every policy. Columns tell what is saved in % of
on-demand from the beginning; in parentheses stands the share of the gap between `greedy` (0) and the optimum with
the future known (1) that a policy closes, `-` where that gap is under 1 % of the on-demand cost. C/R is work by
time until the deadline, d the changeover. `auto` knows of a trace only what came before.

The traces are those of the authors of *Can't Be Late* (NSDI'24), which are not part of this repository.
"""
_TAIL = """
## Beside the published figures

Reference figures on other windows of the same collections, C/R 0.92, d 12 min, saved in % (share of the gap): 2022
greedy 14.5, the authors' class 19.8 (.31), optimum 31.3; 2023 25.2, 33.5 (.46), 43.0; gangs 18.5, 25.4 (.46), 33.4.

Here on the same settings: {compared}.

Windows, zones and starts differ, so that these are not the same runs; where a zone flickers, the class falls under
greedy on our windows.
"""


@dataclass(frozen=True)
class Row:
    """A played setting; `policies` are rows of the simulator's result."""

    name: str
    nodes: int
    zones: int
    ratio: float
    changeover: int
    policies: dict[str, dict[str, Any]]

    def gap(self, policy: str) -> float | None:
        """Share of the gap that a policy closes."""
        found: float | None = self.policies[policy]["gap_closed"]
        return found

    @property
    def auto(self) -> dict[str, Any]:
        """What `auto` did."""
        return self.policies["auto"]


def report(rows: Sequence[Row], runs: int, machine: str) -> str:
    """The whole page."""
    target = [row for row in rows if (row.ratio, row.changeover) == TARGET]
    parts = [
        _HEAD.format(runs=runs, machine=machine.rstrip("."), hours=WORK_HOURS, more=MORE),
        "## Promises\n",
        _promises(rows, target),
        "\n## Average over the traces, by setting\n",
        _averages(rows),
        *(_table(rows, ratio, delay) for ratio, delay in dict.fromkeys((row.ratio, row.changeover) for row in rows)),
        _TAIL.format(compared=_compared(target)),
    ]
    return "\n".join(parts)


def _promises(rows: Sequence[Row], target: Sequence[Row]) -> str:
    worse = [row for row in rows if _behind(row) > TOLERANCE]
    dearest = max(rows, key=lambda row: row.auto["max_cost_over_on_demand_percent"])
    least = min(rows, key=lambda row: row.auto["saving_percent"])
    missed = sum(row.auto["deadlines_missed"] for row in rows)
    traces = [row for row in target if row.zones == 1 == row.nodes]
    average, everything = _mean(traces, lambda row: row.gap("auto")), _mean(target, lambda row: row.gap("auto"))
    most = dearest.auto["max_cost_over_on_demand_percent"]
    furthest = max(rows, key=_behind)
    theirs, at = f"uniformProgress {_mean(traces, lambda row: row.gap('uniformProgress')):.3f}", _where(furthest)
    lines = [
        ("Promise", "Measured", ""),
        ("---", "---", "---"),
        (
            f"at C/R 0.92, d 12 min, {LEAST} of the gap closed on average",
            f"{average:.3f} over the {len(traces)} traces, {theirs}; with gangs and several zones {everything:.3f}",
            _verdict(average >= LEAST),
        ),
        (
            f"nowhere worse than uniformProgress by more than {TOLERANCE}",
            f"{len(worse)} of {len(rows)} settings worse; furthest behind by {max(0.0, _behind(furthest)):.3f}{at}",
            _verdict(not worse),
        ),
        ("no deadline missed", f"{missed} of {sum(row.auto['runs'] for row in rows):,} runs", _verdict(missed == 0)),
        (
            "mean cost below on-demand on every trace",
            f"least saved {least.auto['saving_percent']:.2f} %{_where(least)}",
            _verdict(least.auto["saving_percent"] > 0),
        ),
        (f"no run above {MOST} % of on-demand", f"dearest {most:.2f} % ({dearest.name})", _verdict(most <= MOST)),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _where(row: Row) -> str:
    return f" ({row.name}, {row.ratio:.2f}, {row.changeover} min)"


def _verdict(kept: bool) -> str:
    return "kept" if kept else "**missed**"


def _behind(row: Row) -> float:
    ours, theirs = row.gap("auto"), row.gap("uniformProgress")
    return -1.0 if ours is None or theirs is None else theirs - ours


def _mean(rows: Sequence[Row], of: Callable[[Row], float | None]) -> float:
    values = [value for row in rows if (value := of(row)) is not None]
    return fmean(values) if values else float("nan")


def _averages(rows: Sequence[Row]) -> str:
    lines = ["| C/R | d, min | uniformProgress | auto | runs |", "|---|---|---|---|---|"]
    for ratio, delay in dict.fromkeys((row.ratio, row.changeover) for row in rows):
        some = [row for row in rows if (row.ratio, row.changeover) == (ratio, delay)]
        theirs = _mean(some, lambda row: row.gap("uniformProgress"))
        ours = _mean(some, lambda row: row.gap("auto"))
        lines.append(
            f"| {ratio:.2f} | {delay} | {theirs:.2f} | {ours:.2f} | {sum(row.auto['runs'] for row in some):,} |"
        )
    return "\n".join(lines)


def _table(rows: Sequence[Row], ratio: float, delay: int) -> str:
    lines = [
        f"\n## C/R {ratio:.2f}, d {delay} min\n",
        "| Trace | greedy | uniformProgress | auto | optimum | dearest run | missed |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if (row.ratio, row.changeover) == (ratio, delay):
            one = row.policies
            cells = (
                row.name,
                f"{one['greedy']['saving_percent']:.1f}",
                *(f"{one[p]['saving_percent']:.1f} ({_share(row.gap(p))})" for p in ("uniformProgress", "auto")),
                f"{one['omniscient']['saving_percent']:.1f}",
                f"{one['auto']['max_cost_over_on_demand_percent']:.1f} %",
                str(one["auto"]["deadlines_missed"]),
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _compared(target: Sequence[Row]) -> str:
    found = []
    for name, mine in (
        ("2022", [r for r in target if "2022" in r.name]),
        ("2023", [r for r in target if "2023" in r.name and r.zones == 1 and "gang" not in r.name]),
        ("gangs", [r for r in target if r.nodes > 1]),
    ):
        if mine:
            saved = {p: fmean(row.policies[p]["saving_percent"] for row in mine) for p in mine[0].policies}
            gap = saved["omniscient"] - saved["greedy"]
            share = (saved["uniformProgress"] - saved["greedy"]) / gap if gap else 0.0
            found.append(
                f"{name} greedy {saved['greedy']:.1f}, class {saved['uniformProgress']:.1f} ({share:.2f}), "
                f"optimum {saved['omniscient']:.1f}"
            )
    return "; ".join(found)
