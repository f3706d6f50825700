"""The flags of `kubectl cost`: each means the same everywhere, before and after the name of a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from gpucost.core.window import DEFAULT_WINDOW

FORMATS = ("table", "wide", "json", "yaml", "csv", "markdown")
RATES = ("hour", "day", "month")
SORTS = ("cost", "name", "wasted", "hourly", "gpu-hours", "utilization")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Options:
    """Flags as given."""

    namespace: str | None = None
    all_namespaces: bool = False
    selector: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    output: str = "table"
    window: str = DEFAULT_WINDOW
    rate: str | None = None
    sort_by: str = "cost"
    idle: bool | None = None
    no_headers: bool = False
    api_url: str | None = None


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Of every command of `kubectl cost`."""
CLUSTER = ("context", "kubeconfig", "api_url")
PRINTED = ("output", "no_headers", *CLUSTER)
OF_A_RUN = ("namespace", *PRINTED)
"""Flags of a command about one TrainingJob."""

_GIVEN = "gpucost.flags"


def current(why: Mapping[str, str] | None = None) -> Options:
    """The flags of the command that runs. Raises `UsageError` for one that it does not have, for which `why` may give
    the words by name, and for flags that exclude each other."""
    context = click.get_current_context()
    hidden = {parameter.name for parameter in context.command.params if getattr(parameter, "hidden", False)}
    for name, flag in context.meta.get(_GIVEN, {}).items():
        if name in hidden:
            raise click.UsageError((why or {}).get(name, f"{flag} has no meaning here: leave it out"))
    options = Options(**context.ensure_object(dict))
    if options.namespace and options.all_namespaces:
        raise click.UsageError("-n and -A exclude each other: one namespace, or all of them")
    return options


NO_NAMESPACE = {
    "namespace": "nodes belong to no namespace: leave out -n",
    "selector": "what nobody holds has no labels: leave out -l",
}
"""Words for a command about nodes."""


def shared(command: F) -> F:
    """Add all flags to a command; a flag after the command's name goes before one in front of it."""
    return flags(*_OPTIONS)(command)


def flags(*names: str) -> Callable[[F], F]:
    """Add these flags to a command. The others are known to it too, so that it can say in its own words that they have
    no meaning there, wherever they are given; its help does not show them."""

    def add(command: F) -> F:
        for name, (spellings, settings) in reversed(_OPTIONS.items()):
            command = click.option(
                *spellings, expose_value=False, callback=_remember, hidden=name not in names, **settings
            )(command)
        return command

    return add


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    store = context.ensure_object(dict)
    name = str(parameter.name)
    if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        store[name] = value
        context.meta.setdefault(_GIVEN, {})[name] = parameter.opts[0]
    else:
        store.setdefault(name, value)


def _option(*names: str, **settings: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    return names, settings


_OPTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "namespace": _option("-n", "--namespace", metavar="NAME", help="One namespace."),
    "all_namespaces": _option("-A", "--all-namespaces", is_flag=True, help="All namespaces."),
    "selector": _option("-l", "--selector", metavar="LABELS", help="Only pods with these labels, such as team=nlp."),
    "window": _option(
        "--window",
        default=DEFAULT_WINDOW,
        metavar="SPAN",
        help="7d, 24h, today, yesterday, week, lastweek, month, lastmonth or START,END (UTC).  [default: 7d]",
    ),
    "rate": _option("--rate", type=click.Choice(RATES), help="Show cost per hour, day or month instead of sums."),
    "sort_by": _option(
        "--sort-by", type=click.Choice(SORTS), default="cost", metavar="COLUMN", help=f"{', '.join(SORTS)}."
    ),
    "idle": _option("--idle/--no-idle", default=None, help="Show or hide capacity that nobody holds."),
    "output": _option(
        "-o", "--output", type=click.Choice(FORMATS), default="table", metavar="FORMAT", help=f"{', '.join(FORMATS)}."
    ),
    "no_headers": _option("--no-headers", is_flag=True, help="Leave out the column headers."),
    "context": _option("--context", metavar="NAME", help="Context of the kubeconfig."),
    "kubeconfig": _option("--kubeconfig", metavar="FILE", help="The kubeconfig file."),
    "api_url": _option(
        "--api-url",
        metavar="URL",
        envvar="GPUCOST_API_URL",
        help="Ask the operator itself, such as http://127.0.0.1:9003, instead of the API server (GPUCOST_API_URL).",
    ),
}
