"""Shows what could be saved, and what was: by namespace and by what saved it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import click

from gpucost.cli import figures, footers, recommended_view
from gpucost.cli.formats import as_document, model_as_json, model_as_yaml, print_csv
from gpucost.cli.grid import Grid, markdown, print_grid, print_line
from gpucost.cli.options import Options
from gpucost.cli.windows import when
from gpucost.core.clock import parse_rfc3339
from gpucost.web.schema_runs import Saving, SavingList

_TITLES = ["NAMESPACE", "BY", "WORKLOADS", "COST", "OTHERWISE", "SAVED"]


def show(document: SavingList, options: Options) -> None:
    """Print in the format asked for."""
    _FORMATS[options.output](document, options)


def _money(text: str, document: SavingList) -> str:
    return figures.money(Decimal(text), document.currency)


def _rows(document: SavingList) -> list[list[str]]:
    return [_row(one, document) for one in document.items]


def _row(one: Saving, document: SavingList) -> list[str]:
    partly = one.unknown > 0
    otherwise, saved = (
        figures.money(Decimal(text), document.currency, at_least=partly) for text in (one.otherwise, one.saved)
    )
    return [one.namespace, one.policy, str(one.workloads), _money(one.cost, document), otherwise, saved]


def _table(document: SavingList, options: Options) -> None:
    recommended_view.show(document, headers=not options.no_headers, cut=options.output == "table")
    if not document.items:
        print_line(f"Nothing was saved {when(options.window)}: nothing that was applied.")
        print_line("To save on training: kubectl cost estimate -f job.yaml, and spec.placement.policy")
    else:
        print_line(f"{_money(document.total, document)} saved {when(options.window)}", "bold")
        print_line()
        rows = _rows(document)
        grid = Grid(_TITLES, rows, [""] * len(rows), names=2)
        print_grid(grid, headers=not options.no_headers, cut=options.output == "table")
        for line in footers.legend([cell for row in rows for cell in row]):
            print_line(line, "dim")
        print_line()
    for line in _footer(document, options):
        print_line(line, "dim")


def _footer(document: SavingList, options: Options) -> list[str]:
    start, end = parse_rfc3339(document.window.start), parse_rfc3339(document.window.end)
    against = sorted({one.against for one in document.items})
    lines = [f"Measured against {one}" for one in against]
    for one in document.items:
        for other in one.also:
            lines.append(f"{one.namespace}, {one.policy}: {_money(other.saved, document)} against {other.against}")
    lines.append(f"Window: {options.window}, {figures.span(start, end)}")
    return [*lines, footers.quality_line(document.quality, document.currency)]


def _markdown(document: SavingList, options: Options) -> None:
    if document.recommendations:
        click.echo(f"{recommended_view.as_markdown(document)}\n")
    click.echo(markdown(_TITLES, _rows(document), names=2))
    click.echo()
    click.echo("  \n".join(_footer(document, options)))


def _csv(document: SavingList, options: Options) -> None:
    titles = ("namespace", "policy", "workloads", "unknown", "cost", "otherwise", "saved", "against")
    print_csv(titles, as_document(document)["items"], headers=not options.no_headers)


_FORMATS: dict[str, Callable[[SavingList, Options], None]] = {
    "table": _table,
    "wide": _table,
    "json": model_as_json,
    "yaml": model_as_yaml,
    "csv": _csv,
    "markdown": _markdown,
}
