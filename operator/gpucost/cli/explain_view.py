"""Shows the arithmetic behind one workload's cost, stretch by stretch, in every format.

The lines end in a total that is exactly their sum: amounts have all six decimals here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

import click

from gpucost.cli import figures, footers
from gpucost.cli.figures import UNPRICED
from gpucost.cli.formats import as_document, print_csv, print_json, print_yaml
from gpucost.cli.grid import Grid, markdown, print_grid, print_line
from gpucost.cli.options import Options
from gpucost.core.clock import DAY, format_duration, parse_rfc3339
from gpucost.core.grouping import NAMESPACE
from gpucost.web.schema import Explanation, Line

_TITLES = ("FROM", "TO", "HOURS", "SHARE", "PRICE/H", "COST")
_WIDE = ("POD", "NODE", "FROM", "TO", "HOURS", "SHARE", "OF", "CAPACITY", "SOURCE", "UTIL%", "PRICE/H", "COST")
_SHORT_FRACTION = 7


def show(document: Explanation, options: Options) -> None:
    """Print an explanation in the format asked for."""
    _FORMATS[options.output](document, options)


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(document: Explanation, options: Options) -> None:
    _title(document)
    if not document.lines:
        print_line("It held nothing in that time. Try a longer window: --window month")
    else:
        _stretches(document, headers=not options.no_headers)
    _ending(document)


def _wide(document: Explanation, options: Options) -> None:
    _title(document)
    rows = _wide_rows(document)
    styles = [""] * (len(rows) - 1) + ["bold"]
    print_grid(Grid(_WIDE, rows, styles, names=2), headers=not options.no_headers, cut=False)
    _ending(document)


def _markdown(document: Explanation, _: Options) -> None:
    click.echo(f"**{document.workload}**{_where(document)}, {_span(document)}\n")
    click.echo(markdown(_WIDE, _wide_rows(document), names=2))
    click.echo(f"\n{footers.quality_line(document.quality, document.currency)}")


def _title(document: Explanation) -> None:
    print_line(f"{document.workload}{_where(document)}, {_span(document)}", "bold")
    print_line()


def _where(document: Explanation) -> str:
    namespace = document.metadata.namespace
    return f" in {namespace}" if namespace and not document.workload.startswith(f"{NAMESPACE}/") else ""


def _span(document: Explanation) -> str:
    return figures.span(parse_rfc3339(document.window.start), parse_rfc3339(document.window.end))


def _stretches(document: Explanation, *, headers: bool) -> None:
    """A heading for each stay of a pod on a node, and below it one line for each stretch."""
    cells = [_cells(document, line) for line in document.lines]
    total = ["TOTAL", "", _hours(document), "", "", figures.money(_cost(document), document.currency, places=6)]
    widths = [max(len(row[i]) for row in [list(_TITLES), *cells, total]) for i in range(len(_TITLES))]
    if headers:
        print_line(_aligned(_TITLES, widths), "bold")
    pairs = zip(document.lines, cells, strict=True)
    for heading, members in groupby(pairs, key=lambda pair: _heading(pair[0])):
        print_line(heading)
        for _, row in members:
            print_line(_aligned(row, widths))
    print_line(_aligned(total, widths, indent=""), "bold")


def _heading(line: Line) -> str:
    return f"{line.pod} on {line.node}, {line.share_of}, {line.capacity_type}, {line.price_source or UNPRICED}"


def _aligned(cells: Sequence[str], widths: Sequence[int], indent: str = "  ") -> str:
    """Times to the left, numbers to the right."""
    first = cells[0].ljust(widths[0] + 2 - len(indent))
    rest = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(_after(cells, widths))]
    return indent + "  ".join([first, *rest])


def _after(cells: Sequence[str], widths: Sequence[int]) -> zip[tuple[str, int]]:
    return zip(cells[1:], widths[1:], strict=True)


def _cells(document: Explanation, line: Line) -> list[str]:
    return [
        _moment(document, line.start),
        _moment(document, line.end),
        line.hours,
        _share(line.share),
        _price(line, document.currency),
        figures.money(None if line.cost is None else Decimal(line.cost), document.currency, places=6),
    ]


def _wide_rows(document: Explanation) -> list[list[str]]:
    rows = []
    for line in document.lines:
        start, end, hours, share, price, cost = _cells(document, line)
        utilization = figures.percent(line.gpu_active, none=figures.UNKNOWN if line.gpus else "-")
        source = line.price_source or "-"
        about = [share, line.share_of, line.capacity_type, source, utilization, price, cost]
        rows.append([line.pod, line.node, start, end, hours, *about])
    total = figures.money(_cost(document), document.currency, places=6)
    return [*rows, ["TOTAL", "", "", "", _hours(document), "", "", "", "", "", "", total]]


def _moment(document: Explanation, text: str) -> str:
    """Month, day and time; the year too when the window is so long that it matters."""
    window = document.window
    long = parse_rfc3339(window.end) - parse_rfc3339(window.start) > 365 * DAY
    moment = figures.moment(parse_rfc3339(text), seconds=True)
    return moment if long else moment[5:]


def _share(fraction: str) -> str:
    """An exact fraction while it is short, else a percentage."""
    if len(fraction) <= _SHORT_FRACTION:
        return fraction
    over, _, under = fraction.partition("/")
    return f"{Decimal(over) / Decimal(under or 1):.4%}"


def _price(line: Line, currency: str) -> str:
    if line.hourly is None:
        return UNPRICED
    price = Decimal(line.hourly)
    exponent = price.as_tuple().exponent
    return figures.money(price, currency, places=max(2, -exponent) if isinstance(exponent, int) else 2)


def _hours(document: Explanation) -> str:
    return f"{sum((Decimal(line.hours) for line in document.lines), Decimal(0)):.6f}"


def _cost(document: Explanation) -> Decimal | None:
    return None if document.total.cost is None else Decimal(document.total.cost)


def _ending(document: Explanation) -> None:
    """What is not in the sum, and where the numbers come from."""
    unpriced = [line for line in document.lines if line.cost is None]
    print_line()
    if unpriced:
        hours = sum((Decimal(line.hours) for line in unpriced), Decimal(0))
        nodes = ", ".join(sorted({line.node for line in unpriced}))
        print_line(f"Not in the total: {figures.quantity(str(hours), 2)} hours on unpriced nodes ({nodes})")
    for start, end in _pauses(document):
        print_line(f"Held nothing {figures.span(start, end)}, {format_duration(end - start)}")
    for gap in document.gaps:
        span = figures.span(parse_rfc3339(gap.start), parse_rfc3339(gap.end))
        print_line(f"Not observed {span}: {gap.reason}")
    print_line(footers.quality_line(document.quality, document.currency), "dim")


def _pauses(document: Explanation) -> list[tuple[int, int]]:
    """Spans between the first and the last stretch in which no pod held anything: waiting, paused or interrupted."""
    pauses = []
    until: int | None = None
    for start, end in sorted((parse_rfc3339(line.start), parse_rfc3339(line.end)) for line in document.lines):
        if until is not None and start > until:
            pauses.append((until, start))
        until = end if until is None else max(until, end)
    return pauses


# --- for programs -----------------------------------------------------------------------------------------------------


def _as_document(document: Explanation) -> dict[str, Any]:
    whole = as_document(document)
    return {
        "currency": whole["currency"],
        "namespace": document.metadata.namespace,
        "workload": whole["workload"],
        "window": whole["window"],
        "cost": whole["total"]["cost"],
        "lines": whole["lines"],
        "total": whole["total"],
        "gaps": whole["gaps"],
        "quality": whole["quality"],
    }


def _json(document: Explanation, _: Options) -> None:
    print_json(_as_document(document))


def _yaml(document: Explanation, _: Options) -> None:
    print_yaml(_as_document(document))


def _csv(document: Explanation, options: Options) -> None:
    titles = [field.alias or name for name, field in Line.model_fields.items()]
    print_csv(titles, [as_document(line) for line in document.lines], headers=not options.no_headers)


_FORMATS: dict[str, Callable[[Explanation, Options], None]] = {
    "table": _table,
    "wide": _wide,
    "json": _json,
    "yaml": _yaml,
    "csv": _csv,
    "markdown": _markdown,
}
