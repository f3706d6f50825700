"""Shows what a run would have cost with a deadline, policy by policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import click
from pydantic.alias_generators import to_camel

from gpucost.cli import figures
from gpucost.cli.formats import as_document, model_as_json, model_as_yaml, print_csv
from gpucost.cli.grid import Grid, markdown, print_grid, print_line
from gpucost.cli.options import Options
from gpucost.core.clock import parse_rfc3339
from gpucost.web.schema_runs import Course, RunSimulation


def show(document: RunSimulation, options: Options) -> None:
    """Print in the format asked for."""
    _FORMATS[options.output](document, options)


def _money(text: str | None, document: RunSimulation) -> str:
    return figures.money(None if text is None else Decimal(text), document.currency)


def _table(document: RunSimulation, options: Options) -> None:
    for index, line in enumerate(_head(document)):
        print_line(line, "" if index else "bold")
    print_line()
    titles, rows, styles = _cells(document)
    print_grid(Grid(titles, rows, styles), headers=not options.no_headers, cut=options.output == "table")
    print_line()
    for line in _footer(document):
        print_line(line, "dim")


def _head(document: RunSimulation) -> Iterator[str]:
    meta = document.metadata
    end = figures.moment(parse_rfc3339(document.window.end))
    yield f"TrainingJob/{meta.name} in {meta.namespace}, had it been due at {end} UTC"
    hours = figures.quantity(document.work_hours)
    yield f"  {hours} hours of work, {document.changeover_minutes:g} minutes for each change of nodes"
    yield f"  It has cost {_money(document.actual, document)}"


def _cells(document: RunSimulation) -> tuple[list[str], list[list[str]], list[str]]:
    titles = ["POLICY", "COST", "DONE BY", "SPOT-H", "ON-DEMAND-H", "CHANGES"]
    rows = [_row(one, document) for one in document.courses]
    return titles, rows, ["dim" if one.missed else "" for one in document.courses]


def _row(one: Course, document: RunSimulation) -> list[str]:
    low, high = _money(one.cost_low, document), _money(one.cost_high, document)
    cost = low if low == high else f"{low} - {high}"
    done = "never"
    if one.done_by is not None:
        done = figures.moment(parse_rfc3339(one.done_by)) + (" late" if one.missed else "")
    elif one.cost_low is not None:
        cost, done = f"from {low}", "perhaps never"
    spot, on_demand = figures.quantity(one.spot_hours), figures.quantity(one.on_demand_hours)
    return [one.policy, cost, done, spot, on_demand, str(one.switches)]


def _footer(document: RunSimulation) -> list[str]:
    known = figures.percent(document.known)
    lines = [f"{document.node_type}: whether spot capacity was there is known for {known} of the time"]
    return [*lines, *document.notes]


def _markdown(document: RunSimulation, options: Options) -> None:
    del options
    click.echo("  \n".join(line.strip() for line in _head(document)))
    click.echo()
    titles, rows, _ = _cells(document)
    click.echo(markdown(titles, rows))
    click.echo()
    click.echo("  \n".join(_footer(document)))


def _csv(document: RunSimulation, options: Options) -> None:
    rows = as_document(document)["courses"]
    print_csv([to_camel(name) for name in Course.model_fields], rows, headers=not options.no_headers)


_FORMATS: dict[str, Callable[[RunSimulation, Options], None]] = {
    "table": _table,
    "wide": _table,
    "json": model_as_json,
    "yaml": model_as_yaml,
    "csv": _csv,
    "markdown": _markdown,
}
