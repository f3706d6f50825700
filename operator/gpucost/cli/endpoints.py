"""`kubectl cost endpoint`: what tokens and requests of inference endpoints cost."""

from __future__ import annotations

import click

from gpucost.cli import unit_costs_view
from gpucost.cli.options import PRINTED, SETTINGS, current, flags
from gpucost.cli.questions import Asker, bare


@click.command(
    "endpoint",
    context_settings=SETTINGS,
    short_help="What tokens and requests cost.",
    epilog="\b\nExamples:\n  kubectl cost endpoint -A\n  kubectl cost endpoint chat -n serving\n"
    "  kubectl cost endpoint chat -n serving --window 7d -o json | jq .average",
)
@click.argument("name", required=False)
@flags("namespace", "all_namespaces", "window", *PRINTED)
def endpoint(name: str | None) -> None:
    """What a million tokens and a request cost at inference endpoints, of all or of NAME.

    NAME shows the parts of its cost, which add up to what the pods cost: reading prompts, writing answers, idle and
    starting pods; prices on average, while serving and at the limit; who asked; and whether the last replica is worth
    keeping while nobody does.
    """
    asker = Asker(current())
    if name is None:
        namespace = asker.namespaces_of(everywhere=False)
        found = asker.unit_costs(namespace)
        unit_costs_view.show_all(found, asker.options, with_namespace=namespace is None)
        return
    namespace = asker.one_namespace()
    unit_costs_view.show(asker.unit_cost(namespace, bare(name, "InferenceEndpoint", "chat or iep/chat")), asker.options)
