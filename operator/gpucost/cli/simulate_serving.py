"""`gpucost simulate serving`: a recorded trace of requests played through the operator's own replica policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

import click

from gpucost.cli.simulations import open_timeline, progress, read_file, refusing

if TYPE_CHECKING:
    from gpucost.simulate.serving import Step, Timeline

POLICIES = ("gpucost", "hpa", "kpa", "keda", "static")
_MOST = 10**9
_LONGEST = 86_400
_SETTINGS = {"help_option_names": ["-h", "--help"]}

_EPILOG = """\b
Examples:
  gpucost simulate serving --trace requests.csv --replica-throughput 40 \\
    --ready-seconds 180 --gpu-price 4
  gpucost simulate serving --trace requests.csv --replica-throughput 40 \\
    --ready-seconds 600 --gpu-price 4 --target-late 0.005 --frontier -o json
  gpucost simulate serving --trace requests.csv --replica-throughput 12.5 \\
    --ready-seconds 60 --gpu-price 2.5 --policy gpucost --timeline steps.jsonl

A trace is CSV with the columns start_seconds and requests_per_second, at a fixed step. Policies are tuned on the first
--train-days; results cover the rest. What is played and what the columns mean: docs/guide/simulate-serving.md. Exit
code 2 when it cannot be played, with every reason as one line on stderr, such as
requests.csv:17: requests_per_second: -1 is negative; a rate is 0 or more."""


class _Number(click.ParamType[Any]):
    """A finite number within bounds; the lower may be left out of them."""

    name = "number"

    def __init__(self, least: float, most: float, *, above: bool = False) -> None:
        self.least, self.most, self.above = least, most, above

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not self.least <= number <= self.most or (self.above and number == self.least):
            low = f"above {self.least:g}" if self.above else f"of at least {self.least:g}"
            self.fail(f"{value} is not a number {low} and up to {self.most:,g}", param, ctx)
        return number


@click.command("serving", epilog=_EPILOG, context_settings=_SETTINGS, short_help="Replicas of an inference server.")
@click.option("--trace", required=True, metavar="FILE", help="Requests: CSV start_seconds,requests_per_second.")
@click.option(
    "--replica-throughput",
    required=True,
    type=_Number(0, _MOST, above=True),
    metavar="R",
    help="Requests a second that a ready replica serves.",
)
@click.option(
    "--ready-seconds",
    required=True,
    type=_Number(0, _LONGEST),
    metavar="S",
    help="From creating a replica until it serves, rounded up to steps of 15 s.",
)
@click.option("--gpu-price", required=True, type=_Number(0, _MOST), metavar="P", help="Per hour, of a replica.")
@click.option(
    "--target-late",
    type=_Number(0, 1),
    default=0.001,
    show_default=True,
    metavar="F",
    help="Part of the requests that may be late on the training days.",
)
@click.option(
    "--train-days",
    type=_Number(0, 10_000, above=True),
    default=7,
    show_default=True,
    metavar="D",
    help="Days at the trace's beginning on which policies are tuned.",
)
@click.option("--frontier", is_flag=True, help="Rows for at least 8 settings of each policy, from cheap to safe.")
@click.option(
    "--policy",
    type=click.Choice([*POLICIES, "all"]),
    default="all",
    show_default=True,
    help="What to play; gpucost is the operator's.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N", help="Of the noise.")
@click.option("--timeline", metavar="FILE", help="Write there every step of the chosen settings, as JSON lines.")
@click.option(
    "-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True, help="Format."
)
def serving(
    *,
    trace: str,
    replica_throughput: float,
    ready_seconds: float,
    gpu_price: float,
    target_late: float,
    train_days: float,
    frontier: bool,
    policy: str,
    seed: int,
    timeline: str | None,
    output: str,
) -> None:
    """What an inference server would have cost, and how many requests had been late, by replica policy.

    The policy gpucost is the operator's. Every policy is tuned on the first days of the trace, by the same tuner, and
    all are played on the rest with the same arrivals.
    """
    core, files = import_module("gpucost.simulate.serving"), import_module("gpucost.simulate.arrivals")
    endpoint = core.Endpoint(replica_throughput, ready_seconds, Decimal(str(gpu_price)))
    chosen = POLICIES if policy == "all" else (policy,)
    question = core.Question(chosen, target_late, train_days, frontier, seed)
    with ExitStack() as opened, refusing(files.BadTrace, core.BadQuestion):
        read = files.read(trace, read_file(trace))
        lines = None if timeline is None else _writer(opened.enter_context(open_timeline(timeline)))
        outcomes = core.simulate(read, endpoint, question, timeline=lines, progress=progress())
    if output == "json":
        click.echo(import_module("gpucost.simulate.serving_schema").as_json(outcomes), nl=False)
        return
    import_module("gpucost.cli.simulate_serving_view").show(read, endpoint, question, outcomes)


class _Lines:
    """Writes a step when the next one has told what was late of it."""

    def __init__(self, target: IO[str], policy: str) -> None:
        self.target, self.policy = target, policy
        self.open: dict[str, Any] | None = None

    def step(self, one: Step, late_before: float) -> None:
        if self.open is not None:
            self.last(late_before)
        self.open = {
            "policy": self.policy,
            "step": one.step,
            "arrived": one.arrived,
            "served": one.served,
            "late": 0.0,
            "ready": one.ready,
            "billed": one.billed,
        }

    def last(self, late: float) -> None:
        if self.open is not None:
            self.target.write(json.dumps({**self.open, "late": late}) + "\n")
            self.open = None


def _writer(target: IO[str]) -> Callable[[str], Timeline]:
    def of_policy(policy: str) -> Timeline:
        return _Lines(target, policy)

    return of_policy
