"""The result of `gpucost simulate training` for people: one table, and below it what was played."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from gpucost.cli.figures import NOT_APPLICABLE
from gpucost.cli.grid import Grid, print_grid, print_line
from gpucost.core.clock import SECOND, format_duration
from gpucost.simulate.traces import Trace
from gpucost.simulate.training import OMNISCIENT, Job, Outcome

_TITLES = ("POLICY", "COST", "SAVED%", "GAP", "MISSED", "STARTS", "SPOT-H", "OD-H", "WORST%")


def show(traces: Sequence[Trace], job: Job, outcomes: Sequence[Outcome]) -> None:
    """Print the outcomes."""
    styles = ["dim" if one.policy == OMNISCIENT else "bold" if one.policy == "auto" else "" for one in outcomes]
    print_grid(Grid(_TITLES, [_cells(one) for one in outcomes], styles))
    first = outcomes[0]
    gang = f"a gang of {job.nodes}" if job.nodes > 1 else "one node"
    zones = f"{len(traces)} zones" if len(traces) > 1 else "one zone"
    span = format_duration(len(traces[0].nodes) * traces[0].tick)
    print_line()
    print_line(
        f"{first.runs:,} runs: {format_duration(job.work)} of work in {format_duration(job.deadline)} · {gang} · "
        f"changeover {format_duration(job.changeover)} · {zones}, {span} in ticks of {traces[0].tick / SECOND:g} s"
    )
    print_line(f"On-demand alone costs {float(first.on_demand_cost):,.2f} · spot is {_share(job)} of its price")
    print_line("GAP: share of greedy to omniscient closed · STARTS: changeovers paid · WORST%: dearest run / on-demand")


def _share(job: Job) -> str:
    return f"{float(Fraction(job.spot_price) / Fraction(job.on_demand_price)):.1%}"


def _cells(one: Outcome) -> tuple[str, ...]:
    whole = one.on_demand_cost
    return (
        one.policy,
        f"{float(one.mean_cost):,.2f}",
        f"{float((1 - one.mean_cost / whole) * 100):.1f}",
        NOT_APPLICABLE if one.gap_closed is None else f"{float(one.gap_closed):.2f}",
        f"{one.missed:,}",
        f"{float(one.mean_switches):.1f}",
        f"{float(one.spot_hours):.1f}",
        f"{float(one.on_demand_hours):.1f}",
        f"{float(one.largest_cost / whole * 100):.1f}",
    )
