"""The result of `gpucost simulate serving` for people: one table, and below it what was played."""

from __future__ import annotations

from collections.abc import Sequence

from gpucost.cli.grid import Grid, print_grid, print_line
from gpucost.simulate.arrivals import DAY_SECONDS, Requests
from gpucost.simulate.serving import Endpoint, Outcome, Question

_TITLES = ("POLICY", "GPU-H", "COST", "LATE%", "TRAINING%", "CHANGES", "SETTING")


def show(trace: Requests, endpoint: Endpoint, question: Question, outcomes: Sequence[Outcome]) -> None:
    """Print the outcomes."""
    own = [one.chosen and one.policy == "gpucost" for one in outcomes]
    styles = ["bold" if bold else "" if one.chosen else "dim" for one, bold in zip(outcomes, own, strict=True)]
    print_grid(Grid(_TITLES, [_cells(one, question) for one in outcomes], styles))
    days = trace.seconds / DAY_SECONDS
    print_line()
    print_line(
        f"{days - question.train_days:.4g} days after {question.train_days:g} of training · a replica serves "
        f"{endpoint.throughput:g} requests/s, {endpoint.ready_seconds:g} s after its creation, for "
        f"{endpoint.price:,} an hour"
    )
    print_line(
        f"Late: not served within the step of 15 s in which it arrives or the next · target {question.target:.3%}"
    )
    print_line(
        "TRAINING%: late on the training days, by which the setting was chosen · CHANGES: of the number of replicas"
    )


def _cells(one: Outcome, question: Question) -> tuple[str, ...]:
    mark = "*" if question.frontier and one.chosen else ""
    setting = ",".join(f"{name}={value:g}" for name, value in one.params.items())
    return (
        f"{one.policy}{mark}",
        f"{one.hours:,.1f}",
        f"{one.cost:,.2f}",
        f"{one.late * 100:.3f}",
        f"{one.late_in_training * 100:.3f}",
        f"{one.changes:,}",
        setting,
    )
