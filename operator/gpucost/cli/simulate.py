"""`gpucost simulate`: recorded traces played through the operator's own decisions, without a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from decimal import Decimal, InvalidOperation
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

import click

from gpucost.cli.simulate_serving import serving
from gpucost.cli.simulations import open_timeline, progress, read_file, refusing
from gpucost.core.clock import HOUR, MINUTE, Micros

if TYPE_CHECKING:
    from gpucost.simulate.play import Seen

POLICIES = ("auto", "uniformProgress", "greedy", "onDemand", "spotOnly")
_FORMATS = ("table", "json")
_SETTINGS = {"help_option_names": ["-h", "--help"]}
_DEFAULT_STARTS = 1000
_MOST = 10**6
_STATES = ("none", "spot", "onDemand")

_EPILOG = """\b
Examples:
  gpucost simulate training --trace us-west-2a.json --work-hours 48 \\
    --deadline-hours 52 --changeover 12 --spot-price 1 --on-demand-price 3
  gpucost simulate training --trace zone-a.json --trace zone-b.json \\
    --work-hours 48 --deadline-hours 60 --changeover 6 --spot-price 1 \\
    --on-demand-price 3 --policy auto -o json
  gpucost simulate training --trace pool.json --nodes 4 --starts all \\
    --work-hours 24 --deadline-hours 30 --changeover 12 --spot-price 4 \\
    --on-demand-price 12 --timeline runs.jsonl

A trace is {"metadata": {"gap_seconds": 600}, "data": [0, 1, …]}, the number of spot nodes to be had at each tick.
What is played and what the columns mean: docs/guide/simulate.md. Exit code 2 when it cannot be played, with every
reason as one line on stderr, such as zone-a.json: $.data[3]: -1 is not a number of nodes."""


class _Amount(click.ParamType[Any]):
    """A decimal number, exact."""

    name = "number"

    def __init__(self, *, zero: bool = False, unit: Micros | None = None) -> None:
        self.zero, self.unit = zero, unit

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal | Micros:
        if isinstance(value, Decimal):
            return value
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not number.is_finite() or number < 0 or number > _MOST or (number == 0 and not self.zero):
            least = "of at least 0" if self.zero else "above 0"
            self.fail(f"{value} is not a number {least} and up to {_MOST:,}", param, ctx)
        return number if self.unit is None else round(number * self.unit)


@click.group("simulate", context_settings=_SETTINGS, short_help="Play recorded traces through the policies.")
def simulate() -> None:
    """Play recorded traces through the operator's own policies. Needs no cluster.

    \b
    Examples:
      gpucost simulate training --trace us-west-2a.json --work-hours 48 \\
        --deadline-hours 52 --changeover 12 --spot-price 1 --on-demand-price 3
    """


simulate.add_command(serving)


@simulate.command("training", epilog=_EPILOG, context_settings=_SETTINGS, short_help="Training with a deadline.")
@click.option("--trace", "traces", multiple=True, required=True, metavar="FILE", help="Spot to be had; one per zone.")
@click.option("--work-hours", required=True, type=_Amount(unit=HOUR), metavar="H", help="Work, without changeovers.")
@click.option("--deadline-hours", required=True, type=_Amount(unit=HOUR), metavar="H", help="From start to deadline.")
@click.option(
    "--changeover",
    required=True,
    type=_Amount(zero=True, unit=MINUTE),
    metavar="MINUTES",
    help="From asking for nodes to new progress, lost work included.",
)
@click.option("--spot-price", required=True, type=_Amount(), metavar="P", help="Per hour, of all nodes of the job.")
@click.option("--on-demand-price", required=True, type=_Amount(), metavar="P", help="The same on demand.")
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="A gang: N or none.")
@click.option(
    "--policy",
    type=click.Choice([*POLICIES, "omniscient", "all"]),
    default="all",
    show_default=True,
    help="What to play; auto is the operator's.",
)
@click.option(
    "--start-ticks", type=click.IntRange(1), metavar="N", help=f"Random starts.  [default: {_DEFAULT_STARTS}]"
)
@click.option("--starts", type=click.Choice(["all"]), help="Every start from which the deadline lies inside the trace.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of the random starts.")
@click.option(
    "--omniscient/--no-omniscient",
    "with_optimum",
    default=True,
    help="Whether to work out the optimum with the future known, and gapClosed.  [default: yes]",
)
@click.option("--timeline", metavar="FILE", help="Write there what every run was on at every tick, as JSON lines.")
@click.option("-o", "--output", type=click.Choice(_FORMATS), default="table", show_default=True, help="Format.")
def training(
    *,
    traces: Sequence[str],
    work_hours: Micros,
    deadline_hours: Micros,
    changeover: Micros,
    spot_price: Decimal,
    on_demand_price: Decimal,
    nodes: int,
    policy: str,
    start_ticks: int | None,
    starts: str | None,
    seed: int,
    with_optimum: bool,
    timeline: str | None,
    output: str,
) -> None:
    """What a training run with a deadline would have cost on spot capacity, by policy.

    Many runs are played from different starts of a trace, each with every policy; the policy auto is the operator's.
    """
    if starts is not None and start_ticks is not None:
        raise click.UsageError("--start-ticks and --starts all exclude each other")
    if policy == "omniscient" and not with_optimum:
        raise click.UsageError("--policy omniscient and --no-omniscient exclude each other")
    core = import_module("gpucost.simulate.training")
    files = import_module("gpucost.simulate.traces")
    job = core.Job(work_hours, deadline_hours, changeover, spot_price, on_demand_price, nodes)
    chosen = POLICIES if policy == "all" else () if policy == "omniscient" else (policy,)
    count = None if starts is not None else start_ticks or _DEFAULT_STARTS
    question = core.Question(chosen, count, seed, with_optimum)
    with ExitStack() as opened, refusing(files.BadTrace, core.BadJob):
        read = files.read([(path, read_file(path)) for path in traces])
        seen = None if timeline is None else _writer(opened.enter_context(open_timeline(timeline)))
        outcomes = core.simulate(read, job, question, seen=seen, progress=progress())
    if output == "json":
        click.echo(import_module("gpucost.simulate.schema").as_json(outcomes), nl=False)
        return
    import_module("gpucost.cli.simulate_view").show(read, job, outcomes)


def _writer(target: IO[str]) -> Callable[[str], Seen]:
    """Writes what runs are on; `tick` counts from the trace's beginning, `zone` is the place of its trace."""

    def of_policy(policy: str) -> Seen:
        head = f'{{"policy": {json.dumps(policy)}, "run": '

        def write(tick: int, runs: Any, modes: Any, zones: Any) -> None:
            lines = [
                f'{head}{run}, "tick": {tick}, "state": "{_STATES[mode]}", "zone": {zone if mode == 1 else "null"}}}\n'
                for run, mode, zone in zip(runs.tolist(), modes.tolist(), zones.tolist(), strict=True)
            ]
            target.writelines(lines)

        return write

    return of_policy
