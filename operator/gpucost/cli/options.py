"""The flags of `kubectl cost`: the same everywhere, before and after the name of a command."""

from __future__ import annotations

from collections.abc import Callable
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


def current() -> Options:
    """The flags of the command that runs. Raises `UsageError` for flags that exclude each other."""
    options = Options(**click.get_current_context().ensure_object(dict))
    if options.namespace and options.all_namespaces:
        raise click.UsageError("-n and -A exclude each other: one namespace, or all of them")
    return options


def without_namespace(options: Options, *, selector: bool = True) -> Options:
    """The same for a command about nodes, which belong to no namespace; `selector` False when -l cannot help either."""
    if options.namespace:
        raise click.UsageError("nodes belong to no namespace: leave out -n")
    if options.selector and not selector:
        raise click.UsageError("what nobody holds has no labels: leave out -l")
    return options


def plain(options: Options) -> Options:
    """The same for a command that neither selects pods nor shows rates: such a flag would change nothing, silently."""
    for flag, given in (("-l", options.selector), ("--rate", options.rate)):
        if given:
            raise click.UsageError(f"{flag} has no meaning here: leave it out")
    return options


def shared(command: F) -> F:
    """Add the flags to a command; a flag after the command's name goes before one in front of it."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    store = context.ensure_object(dict)
    name = str(parameter.name)
    if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        store[name] = value
    else:
        store.setdefault(name, value)


def _option(*names: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, expose_value=False, callback=_remember, **settings)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _option("-n", "--namespace", metavar="NAME", help="One namespace."),
    _option("-A", "--all-namespaces", is_flag=True, help="All namespaces."),
    _option("-l", "--selector", metavar="LABELS", help="Only pods with these labels, such as team=nlp."),
    _option(
        "--window",
        default=DEFAULT_WINDOW,
        metavar="SPAN",
        help="7d, 24h, today, yesterday, week, lastweek, month, lastmonth or START,END (UTC).  [default: 7d]",
    ),
    _option("--rate", type=click.Choice(RATES), help="Show cost per hour, day or month instead of sums."),
    _option("--sort-by", type=click.Choice(SORTS), default="cost", metavar="COLUMN", help=f"{', '.join(SORTS)}."),
    _option("--idle/--no-idle", default=None, help="Show or hide capacity that nobody holds."),
    _option(
        "-o", "--output", type=click.Choice(FORMATS), default="table", metavar="FORMAT", help=f"{', '.join(FORMATS)}."
    ),
    _option("--no-headers", is_flag=True, help="Leave out the column headers."),
    _option("--context", metavar="NAME", help="Context of the kubeconfig."),
    _option("--kubeconfig", metavar="FILE", help="The kubeconfig file."),
    _option(
        "--api-url",
        metavar="URL",
        envvar="GPUCOST_API_URL",
        help="Ask the operator itself, such as http://127.0.0.1:9003, instead of the API server (GPUCOST_API_URL).",
    ),
)
