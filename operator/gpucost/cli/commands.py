"""The commands of `kubectl cost`."""

from __future__ import annotations

import click

from gpucost.cli import costs_view, diff_view, endpoint_explained_view, explain_view, idle_view
from gpucost.cli.costs_view import OF_A_NAMESPACE, View
from gpucost.cli.endpoints import endpoint
from gpucost.cli.estimate import estimate, predict
from gpucost.cli.export_days import cost_export
from gpucost.cli.options import NO_NAMESPACE, PRINTED, SETTINGS, current, flags, shared
from gpucost.cli.questions import Asker, names
from gpucost.cli.resume import resume
from gpucost.cli.runs import report, savings, simulate
from gpucost.cli.windows import before
from gpucost.core.grouping import LABEL
from gpucost.core.serving.spec import INFERENCE_ENDPOINT

_EXAMPLES = """\b
Examples:
  kubectl cost                                   the last 7 days, by namespace
  kubectl cost workload -n research              who spends it
  kubectl cost explain TrainingJob/bert -n research
  kubectl cost idle                    what costs money for nothing
  kubectl cost diff                    what costs more than the week before
  kubectl cost estimate -f job.yaml    what a TrainingJob will cost
  kubectl cost report run bert         what a run has cost for what
  kubectl cost endpoint chat           what its tokens and requests cost
  kubectl cost namespace --window month --rate day
  kubectl cost namespace -o csv > costs.csv
"""


@click.group(
    "cost",
    context_settings=SETTINGS,
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
    context_settings=SETTINGS,
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
    context_settings=SETTINGS,
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
    context_settings=SETTINGS,
    short_help="Cost by pod.",
    epilog="\b\nExamples:\n  kubectl cost pod -n research --sort-by wasted\n"
    "  kubectl cost pod bert-0 -n research -o wide",
)
@click.argument("name", required=False)
@shared
def pod(name: str | None) -> None:
    """Cost by pod, of all or of NAME. Without -n or -A: the namespace of the kubeconfig's context."""
    asker = Asker(current())
    answer = asker.costs("pod", asker.namespaces_of(everywhere=False))
    costs_view.show(View(answer, asker.options, name=name))


@cost.command(
    context_settings=SETTINGS,
    short_help="Cost by node.",
    epilog="\b\nExamples:\n  kubectl cost node --window today\n  kubectl cost node gpu-0 -o json",
)
@click.argument("name", required=False)
@flags("all_namespaces", "selector", "window", "rate", "sort_by", "idle", *PRINTED)
def node(name: str | None) -> None:
    """What pods held of each node, of all or of NAME, and what nobody held.

    Nodes belong to no namespace, so this takes the right to list costs of all of them.
    """
    asker = Asker(current(NO_NAMESPACE))
    costs_view.show(View(asker.costs("node", None), asker.options, name=name))


@cost.command(
    context_settings=SETTINGS,
    short_help="Cost by cost driver.",
    epilog="\b\nExamples:\n  kubectl cost category --window month\n  kubectl cost category training -n research",
)
@click.argument("name", required=False)
@shared
def category(name: str | None) -> None:
    """Cost by what drives it: training, inference, data, infrastructure, other; of all or of NAME.

    The label gpucost.dev/category on a pod overrides what is detected.
    """
    asker = Asker(current())
    answer = asker.costs("category", asker.namespaces_of(everywhere=True))
    costs_view.show(View(answer, asker.options, name=name))


@cost.command(
    context_settings=SETTINGS,
    short_help="Cost by the value of a label.",
    epilog="\b\nExamples:\n  kubectl cost label gpucost.dev/team --window month\n"
    "  kubectl cost label team nlp -n research",
)
@click.argument("key")
@click.argument("value", required=False)
@shared
def label(key: str, value: str | None) -> None:
    """Cost by the value that pods have for the label KEY, or of VALUE alone; `(none)` is what lacks the label.

    The operator keeps gpucost.dev/* and the labels of its setting GPUCOST_LABELS.
    """
    asker = Asker(current())
    answer = asker.costs(f"{LABEL}{key}", asker.namespaces_of(everywhere=True))
    costs_view.show(View(answer, asker.options, name=value))


@cost.command(
    context_settings=SETTINGS,
    short_help="Which nodes cost money for nothing.",
    epilog="\b\nExamples:\n  kubectl cost idle\n  kubectl cost idle --window 24h -o wide\n"
    "  kubectl cost idle -o csv > idle.csv",
)
@flags("all_namespaces", "window", "rate", "sort_by", *PRINTED)
def idle() -> None:
    """Which nodes and volumes cost money for nothing, now and in the window, worst first.

    Every dollar of a node is split: GPUs computed, were held without computing, nobody held them, they could not be
    given to anybody, or nobody measured. Below a node: the pods that held its GPUs without computing. You need the
    right to list costs of all namespaces.
    """
    asker = Asker(current(NO_NAMESPACE))
    idle_view.show(asker.nodes(sitters=idle_view.SITTERS), asker.options)


@cost.command(
    context_settings=SETTINGS,
    short_help="What costs more or less than before.",
    epilog="\b\nExamples:\n  kubectl cost diff                        the last 7 days and the 7 before\n"
    "  kubectl cost diff --by workload -n research --against lastmonth --rate day\n"
    "  kubectl cost diff --window 24h --fail-above 20%   1 when it grew by more",
)
@click.option(
    "--by",
    default="namespace",
    metavar="GROUPING",
    help="namespace (default), workload, pod, node, category, label:KEY.",
)
@click.option("--against", metavar="SPAN", help="The older window, as --window.  [default: the same length before]")
@click.option("--fail-above", metavar="LIMIT", help="Exit code 1 when the total grew by more, such as 100 or 20%.")
@shared
def diff(by: str, against: str | None, fail_above: str | None) -> None:
    """What costs more or less than in the window before, largest change first.

    New rows are those that cost nothing before, gone ones those that cost nothing any more.
    """
    limit = diff_view.parse_limit(fail_above) if fail_above else None
    options = current()
    if by == "node" and options.namespace:
        raise click.UsageError(NO_NAMESPACE["namespace"])
    asker = Asker(options)
    everywhere = by not in OF_A_NAMESPACE
    namespace = None if by == "node" else asker.namespaces_of(everywhere=everywhere)
    new = asker.costs(by, namespace)
    old = asker.over(against or before(new.document.window)).costs(by, new.namespace)
    change = diff_view.Change(old, new, asker.options)
    diff_view.show(change)
    if limit is not None and (problem := change.over(limit)):
        click.echo(problem, err=True)
        click.get_current_context().exit(1)


@cost.command(
    context_settings=SETTINGS,
    short_help="The arithmetic behind a cost.",
    epilog="\b\nExamples:\n  kubectl cost explain TrainingJob/bert -n research\n"
    "  kubectl cost explain tj/bert -n research --window 24h -o wide\n"
    "  kubectl cost explain pod/bert-0 -n research -o csv\n"
    "  kubectl cost explain node/gpu-0          who paid for this node\n"
    "  kubectl cost explain iep/llama -n chat   how its price per token comes about",
)
@click.argument("workload", metavar="KIND/NAME")
@flags("namespace", "window", *PRINTED)
def explain(workload: str) -> None:
    """The arithmetic behind a cost: every stretch of time x share x price.

    Of a workload, of a pod (pod/NAME), of a namespace (ns/NAME), or of a node (node/NAME): then also what nobody held.
    The lines add up to exactly the cost that is reported. Of an InferenceEndpoint (iep/NAME) also what its pods did in
    each hour, and how prices per token and request follow. Kinds may be short: tj, iep, deploy, sts.
    """
    kind, slash, name = workload.partition("/")
    if not (slash and kind and name) or "/" in name:
        raise click.UsageError(f"{workload!r} is not KIND/NAME, such as TrainingJob/bert or deploy/chat")
    asker = Asker(current())
    if names(kind, INFERENCE_ENDPOINT):
        unit = asker.unit_cost(asker.one_namespace(), name)
        paid = asker.over(f"{unit.window.start},{unit.window.end}").explanation(*unit.workload.split("/", 1))
        endpoint_explained_view.show(unit, paid, asker.options)
        return
    explain_view.show(asker.explanation(kind, name), asker.options)


cost.add_command(cost_export)
cost.add_command(endpoint)
cost.add_command(resume)
cost.add_command(estimate)
cost.add_command(predict)
cost.add_command(report)
cost.add_command(savings)
cost.add_command(simulate)
