"""The commands of `kubectl cost`."""

from __future__ import annotations

import click

from gpucost.cli import costs_view, explain_view
from gpucost.cli.costs_view import View
from gpucost.cli.export_days import cost_export
from gpucost.cli.options import current, shared
from gpucost.cli.questions import Asker

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

_EXAMPLES = """\b
Examples:
  kubectl cost                                   the last 7 days, by namespace
  kubectl cost workload -n research              who spends it
  kubectl cost explain TrainingJob/bert -n research
  kubectl cost namespace --window month --rate day
  kubectl cost namespace -o csv > costs.csv
"""


@click.group(
    "cost",
    context_settings=_SETTINGS,
    invoke_without_command=True,
    epilog=_EXAMPLES,
    short_help="What workloads cost.",
)
@shared
@click.pass_context
def cost(context: click.Context) -> None:
    """What workloads on this cluster cost, what they waste, and why.

    Without a command: one screen, by namespace. Costs come from the gpucost operator; you see the namespaces in which
    the cluster's RBAC lets you list allocations.cost.gpucost.dev.
    """
    if context.invoked_subcommand is None:
        asker = Asker(current())
        answer = asker.costs("namespace", asker.namespaces_of(everywhere=True))
        costs_view.show(View(answer, asker.options, summary=True))


@cost.command(
    context_settings=_SETTINGS,
    short_help="Cost by namespace.",
    epilog="\b\nExamples:\n  kubectl cost namespace --sort-by wasted\n  kubectl cost namespace research --window today",
)
@click.argument("name", required=False)
@shared
def namespace(name: str | None) -> None:
    """Cost by namespace, of all you may see or of NAME."""
    asker = Asker(current())
    answer = asker.costs("namespace", name or asker.namespaces_of(everywhere=True))
    costs_view.show(View(answer, asker.options))


@cost.command(
    context_settings=_SETTINGS,
    short_help="Cost by workload.",
    epilog="\b\nExamples:\n  kubectl cost workload -A --idle\n"
    "  kubectl cost workload TrainingJob/bert -n research -o json",
)
@click.argument("name", required=False)
@shared
def workload(name: str | None) -> None:
    """Cost by workload: a TrainingJob, Job, Deployment, or a pod on its own.

    NAME is a name, or KIND/NAME. Without -n or -A: the namespace of the kubeconfig's context.
    """
    asker = Asker(current())
    answer = asker.costs("workload", asker.namespaces_of(everywhere=False))
    costs_view.show(View(answer, asker.options, name=name))


@cost.command(
    context_settings=_SETTINGS,
    short_help="The arithmetic behind a workload's cost.",
    epilog="\b\nExamples:\n  kubectl cost explain TrainingJob/bert -n research\n"
    "  kubectl cost explain tj/bert -n research --window 24h -o wide\n"
    "  kubectl cost explain job/sweep -n research -o csv",
)
@click.argument("workload", metavar="KIND/NAME")
@shared
def explain(workload: str) -> None:
    """The arithmetic behind a workload's cost: every stretch of time x share x price.

    The lines add up to exactly the cost that is reported. Kinds may be short: tj, deploy, sts.
    """
    kind, slash, name = workload.partition("/")
    if not (slash and kind and name) or "/" in name:
        raise click.UsageError(f"{workload!r} is not KIND/NAME, such as TrainingJob/bert or deploy/chat")
    asker = Asker(current())
    explain_view.show(asker.explanation(kind, name), asker.options)


cost.add_command(cost_export)
