"""Shows what a run has cost for what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import click

from gpucost.cli import figures, footers
from gpucost.cli.figures import NOT_APPLICABLE, UNKNOWN
from gpucost.cli.formats import as_document, model_as_json, model_as_yaml, print_csv
from gpucost.cli.grid import Grid, markdown, print_grid, print_line
from gpucost.cli.options import Options
from gpucost.core.clock import format_duration, parse_rfc3339
from gpucost.web.schema_runs import MetricCost, Placed, RunReport, Waste

Section = tuple[str, list[str], list[list[str]]]
"""Heading, titles and rows."""


def show(document: RunReport, options: Options) -> None:
    """Print in the format asked for."""
    _FORMATS[options.output](document, options)


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _money(text: str | None, document: RunReport, *, none: str = "unpriced", places: int = 2) -> str:
    return none if text is None else figures.money(Decimal(text), document.currency, places=places)


def _small(text: str | None, document: RunReport) -> str:
    """A price of a step may be far below a cent."""
    amount = _amount(text)
    if amount is None:
        return UNKNOWN
    return figures.money(amount, document.currency, places=6 if 0 < abs(amount) < 1 else 2)


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(document: RunReport, options: Options) -> None:
    print_line(_headline(document), "bold")
    for line in _facts(document):
        print_line(f"  {line}")
    for heading, titles, rows in _sections(document, wide=options.output == "wide"):
        print_line()
        print_line(heading, "bold")
        styles = [""] * len(rows)
        print_grid(Grid(titles, rows, styles), headers=not options.no_headers, cut=options.output == "table")
    print_line()
    for line in _footer(document):
        print_line(line, "dim")


def _headline(document: RunReport) -> str:
    total, meta = document.total, document.metadata
    start, end = parse_rfc3339(document.window.start), parse_rfc3339(document.window.end)
    partly = total.coverage is not None and total.coverage < 1
    cost = figures.money(_amount(total.cost), document.currency, at_least=partly)
    took = format_duration(end - start)
    return f"TrainingJob/{meta.name} in {meta.namespace} ({document.state}): {cost} in {took}"


def _facts(document: RunReport) -> Iterator[str]:
    total = document.total
    spot, on_demand = _money(total.spot, document), _money(total.on_demand, document)
    yield f"{figures.quantity(total.gpu_hours)} GPU-hours, {figures.percent(total.gpu_utilization, none='?')} computing"
    yield f"{spot} on spot capacity, {on_demand} on demand"
    if total.all_on_demand is not None:
        yield f"Saved {_money(total.saved, document)} against {_money(total.all_on_demand, document)} all on demand"
    if (found := document.estimate) is not None:
        low, high = _money(found.cost_low, document, none="?"), _money(found.cost_high, document, none="?")
        yield f"Expected {_money(found.cost, document, none='?')} ({low} - {high}) before it ran"
    yield from _said(document)


def _said(document: RunReport) -> Iterator[str]:
    found = document.progress
    if found is None:
        yield "The run has reported nothing, so there is no cost per step"
    else:
        steps = f"step {found.last_step}" if found.last_step is not None else "no step"
        done = f", {figures.percent(found.progress)} done" if found.progress is not None else ""
        yield f"{steps}{done}; {_small(found.cost_per_step, document)} a step"
        if found.cost_before_first is not None and Decimal(found.cost_before_first):
            yield f"{_money(found.cost_before_first, document)} before the first report"
    saved = document.checkpoints
    if saved.count:
        every = f" about every {_span(saved.mean_interval_seconds)}" if saved.mean_interval_seconds else ""
        took = f", {_span(saved.mean_duration_seconds)} each" if saved.mean_duration_seconds else ""
        yield f"{saved.count} checkpoint{'s' if saved.count > 1 else ''}{every}{took}"


def _span(seconds: float) -> str:
    return format_duration(int(seconds * 10**6))


def _sections(document: RunReport, *, wide: bool) -> Iterator[Section]:
    if document.waste:
        yield "Paid for nothing", ["CAUSE", "WHAT", "TIMES", "COST"], [_waste(one, document) for one in document.waste]
    if document.metrics:
        titles = ["METRIC", "FIRST", "BEST", "LAST", "COST/UNIT", "SINCE BEST"]
        yield "Metrics", titles, [_metric(one, document) for one in document.metrics]
    titles = ["PLACE", "FROM", "TOOK", "GPUS", "COST"] + (["NODES"] if wide else [])
    yield "Where it was", titles, [_place(one, document, wide=wide) for one in document.placements]


def _waste(one: Waste, document: RunReport) -> list[str]:
    return [one.cause, one.about, NOT_APPLICABLE if one.count is None else str(one.count), _money(one.cost, document)]


def _metric(one: MetricCost, document: RunReport) -> list[str]:
    values = [f"{value:.4g}" for value in (one.first, one.best, one.last)]
    per = NOT_APPLICABLE if not one.improvement else _small(one.cost_per_improvement, document)
    return [one.name, *values, per, _money(one.cost_since_best, document, none=NOT_APPLICABLE)]


def _place(one: Placed, document: RunReport, *, wide: bool) -> list[str]:
    start, end = parse_rfc3339(one.start), parse_rfc3339(one.end)
    cells = [one.capacity_type, figures.moment(start), format_duration(end - start), f"{one.gpus:g}"]
    return [*cells, _money(one.cost, document)] + ([" ".join(one.nodes)] if wide else [])


def _footer(document: RunReport) -> list[str]:
    start, end = parse_rfc3339(document.window.start), parse_rfc3339(document.window.end)
    gaps = f" · {len(document.gaps)} not observed" if document.gaps else ""
    return [f"{figures.span(start, end)}{gaps}", footers.quality_line(document.quality, document.currency)]


# --- other formats ----------------------------------------------------------------------------------------------------


def _markdown(document: RunReport, options: Options) -> None:
    del options
    click.echo(f"**{_headline(document)}**\n")
    click.echo("\n".join(f"- {line}" for line in _facts(document)))
    for heading, titles, rows in _sections(document, wide=False):
        click.echo(f"\n{heading}:\n")
        click.echo(markdown(titles, rows))
    click.echo()
    click.echo("  \n".join(_footer(document)))


def _csv(document: RunReport, options: Options) -> None:
    """One line per place, per cause of waste and per metric, told apart by `part`, and the total."""
    rows: list[dict[str, Any]] = [
        {"part": "place", "name": one.capacity_type, **_flat(one)} for one in document.placements
    ]
    rows += [{"part": "waste", "name": one.cause, **_flat(one)} for one in document.waste]
    rows += [{"part": "metric", **_flat(one)} for one in document.metrics]
    rows.append({"part": "total", "name": document.metadata.name, **_flat(document.total)})
    titles = list(dict.fromkeys(key for row in rows for key in row))
    print_csv(titles, rows, headers=not options.no_headers)


def _flat(one: Placed | Waste | MetricCost | Any) -> dict[str, Any]:
    found: dict[str, Any] = as_document(one)
    return {key: " ".join(value) if isinstance(value, list) else value for key, value in found.items()}


_FORMATS: dict[str, Callable[[RunReport, Options], None]] = {
    "table": _table,
    "wide": _table,
    "json": model_as_json,
    "yaml": model_as_yaml,
    "csv": _csv,
    "markdown": _markdown,
}
