"""`kubectl cost report run`, `simulate` and `savings`: what runs have cost, would have cost, and what was saved."""

from __future__ import annotations

import click

from gpucost.cli import run_view, savings_view, simulation_view
from gpucost.cli.options import OF_A_RUN, PRINTED, SETTINGS, current, flags
from gpucost.cli.questions import Asker, bare
from gpucost.core.clock import parse_duration, parse_rfc3339

_A_RUN = ("TrainingJob", "bert or tj/bert")


@click.group(
    "report",
    context_settings=SETTINGS,
    short_help="What one run has cost for what.",
    epilog="\b\nExamples:\n  kubectl cost report run bert -n research",
)
@flags(*OF_A_RUN)
def report() -> None:
    """Reports about what is over, or going on."""


@report.command(
    "run",
    context_settings=SETTINGS,
    short_help="What a training run has cost for what.",
    epilog="\b\nExamples:\n  kubectl cost report run bert -n research\n"
    "  kubectl cost report run bert -n research -o markdown > bert.md\n"
    "  kubectl cost report run bert -n research -o json | jq .total.saved",
)
@click.argument("name")
@flags(*OF_A_RUN)
def run(name: str) -> None:
    """What the TrainingJob NAME has cost: per step, per improvement of its metrics, by place, and what was wasted.

    Saved is what the same time would have cost more on demand, at the prices of then.
    """
    asker = Asker(current())
    run_view.show(asker.run_report(bare(name, *_A_RUN)), asker.options)


@click.command(
    "simulate",
    context_settings=SETTINGS,
    short_help="What a run would have cost with a deadline.",
    epilog="\b\nExamples:\n  kubectl cost simulate bert --deadline 36h -n research\n"
    "  kubectl cost simulate bert --complete-by 2026-12-01T08:00:00Z",
)
@click.argument("name", metavar="JOB")
@click.option("--deadline", metavar="DURATION", help="From the start of the run, such as 36h.  [default: completeBy]")
@click.option("--complete-by", metavar="TIME", help="Instead: an instant, such as 2026-12-01T08:00:00Z.")
@click.option("--changeover", metavar="DURATION", help="What one change of nodes costs.  [default: measured, else 12m]")
@flags(*OF_A_RUN)
def simulate(name: str, deadline: str | None, complete_by: str | None, changeover: str | None) -> None:
    """What the TrainingJob JOB would have cost under Auto, on demand, and on spot capacity.

    The prices and the availability of its node type are those that were recorded. Where nobody knows whether spot
    capacity was there, the cost is a range.
    """
    if deadline and complete_by:
        raise click.UsageError("--deadline and --complete-by exclude each other")
    terms = {"deadline": _duration(deadline, "--deadline"), "changeover": _duration(changeover, "--changeover")}
    terms["completeBy"] = _moment(complete_by)
    asker = Asker(current())
    given = {key: value for key, value in terms.items() if value is not None}
    simulation_view.show(asker.simulation(bare(name, *_A_RUN), given), asker.options)


@click.command(
    "savings",
    context_settings=SETTINGS,
    short_help="What could be saved, and what was saved.",
    epilog="\b\nExamples:\n  kubectl cost savings --window month\n  kubectl cost savings -n research -o csv\n"
    "  kubectl cost savings -o json | jq -r '.recommendations[].command'",
)
@flags("namespace", "all_namespaces", "window", *PRINTED)
def savings() -> None:
    """What could be saved, ranked, each with the command that does it; and what was saved in the window.

    Recommendations rest on what was measured in the window. Nothing is applied by this command. What was saved is
    measured against what would have happened otherwise, by namespace and policy.
    """
    asker = Asker(current())
    savings_view.show(asker.savings(asker.namespaces_of(everywhere=True)), asker.options)


def _duration(text: str | None, flag: str) -> str | None:
    if text is None:
        return None
    try:
        if parse_duration(text) > 0:
            return text
    except ValueError:
        pass
    raise click.BadParameter(f"{text!r} is not a duration such as 36h or 90m", param_hint=flag)


def _moment(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        parse_rfc3339(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--complete-by") from None
    return text
