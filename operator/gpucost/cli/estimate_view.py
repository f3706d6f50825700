"""Shows estimates: each run with what it rests on, and the ways that cost less below it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from gpucost.cli import figures
from gpucost.cli.figures import NOT_APPLICABLE, UNPRICED
from gpucost.cli.formats import as_document, print_csv, print_json, print_yaml
from gpucost.cli.grid import Grid, markdown, print_grid, print_line, width
from gpucost.cli.options import Options
from gpucost.cli.totals import fixed
from gpucost.core.clock import SECOND, format_rfc3339
from gpucost.core.training.estimating.alternatives import Alternative
from gpucost.core.training.estimating.estimate import Estimate
from gpucost.core.training.estimating.ranges import Range
from gpucost.core.training.estimating.telling import decimal
from gpucost.web.schema_estimates import AlternativeWay, Bounds, EstimateDocument, EstimatedRun

if TYPE_CHECKING:
    from gpucost.cli.estimate import Prices, Run

_GB = 10**9
_PLACES = {"OnDemand": "on demand", "Spot": "on spot", "Scheduled": "by schedule", "Auto": "on spot or on demand"}


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything that is shown."""

    runs: Sequence[Run]
    prices: Prices
    total: Range | None
    limit: Decimal | None


def show(shown: Shown, options: Options) -> None:
    """Print in the format asked for."""
    _FORMATS[options.output](shown, options)


def money(amount: Fraction | None, currency: str) -> str:
    """An amount as people read it."""
    return figures.money(None if amount is None else _exact(amount), currency)


def _exact(amount: Fraction) -> Decimal:
    return Decimal(decimal(amount, 6))


def _between(value: Range, show_one: Callable[[Fraction], str]) -> str:
    """` (low - high)`, nothing where both are the same."""
    low, high = show_one(value.low), show_one(value.high)
    return f" ({low} - {high})" if low != high else ""


def _hours(value: Fraction) -> str:
    return f"{float(value):,.1f}"


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(shown: Shown, options: Options) -> None:
    for index, run in enumerate(shown.runs):
        if index:
            print_line()
        _one(run, shown.prices.currency, options)
    if len(shown.runs) > 1:
        print_line()
        print_line(f"Together: {_amount(shown.total, shown.prices.currency)}", "bold")
    print_line()
    for line in _footer(shown):
        print_line(line, "dim")


def _one(run: Run, currency: str, options: Options) -> None:
    base = run.found.estimate
    print_line(f"{_title(run)}: {_amount(base.cost, currency)}", "bold")
    for line in _facts(base, currency):
        print_line(f"  {line}")
    for warning in run.found.warnings:
        print_line(f"  Warning: {warning}", "yellow")
    if run.found.alternatives:
        print_line()
        titles, rows, styles = _cells(run, currency, wide=options.output == "wide")
        print_grid(Grid(titles, rows, styles), headers=not options.no_headers, cut=options.output == "table")
        print_line()
    for name, lines in (("Assumes", base.assumes), ("Not known", base.unknown)):
        for line in lines:
            _wrapped(f"  {name}: {line}")


def _wrapped(text: str) -> None:
    """A sentence over as many lines as it needs, indented below its first word."""
    for line in textwrap.wrap(text, min(width(), 100), subsequent_indent="    "):
        print_line(line, "dim")


def _title(run: Run) -> str:
    name = run.document.name or run.document.file
    return f"TrainingJob/{name}" + (f" in {run.namespace}" if run.namespace else "")


def _amount(cost: Range | None, currency: str) -> str:
    if cost is None:
        return UNPRICED
    return f"about {money(cost.typical, currency)}{_between(cost, lambda one: money(one, currency))}"


def _facts(base: Estimate, currency: str) -> Iterator[str]:
    setup = base.setup
    model = setup.gpu_model or "GPUs of an unknown model"
    rate = f", {money(base.hourly.typical, currency)} an hour" if base.hourly is not None else ""
    yield f"{setup.gpus} x {model} {_PLACES[setup.placing]}{rate}"
    if base.hours is not None and base.ends is not None:
        end = figures.moment(base.ends[1])
        yield f"{_hours(base.hours.typical)} hours{_between(base.hours, _hours)}, done by about {end} UTC"
    if base.memory is not None:
        fits = "fits" if base.memory.fits else "does not fit"
        yield f"Memory: {base.memory.needed / _GB:,.0f} GB for the model in {base.memory.there / _GB:,.0f} GB: {fits}"


def _cells(run: Run, currency: str, *, wide: bool) -> tuple[list[str], list[list[str]], list[str]]:
    titles = ["OR", "COST", "SAVES", "HOURS"] + (["LOW", "HIGH", "DONE BY", "HOW", "MIND"] if wide else [])
    rows = [_row(one, currency, wide=wide) for one in run.found.alternatives]
    return titles, rows, ["" if one.is_cheaper else "dim" for one in run.found.alternatives]


def _row(one: Alternative, currency: str, *, wide: bool) -> list[str]:
    found = one.estimate
    late = "" if found.on_time is not False else ", late"
    saves = NOT_APPLICABLE if not one.saves else money(one.saves, currency)
    cells = [
        f"{one.change}{late}",
        money(found.cost.typical if found.cost else None, currency),
        saves,
        _hours(found.hours.typical) if found.hours else NOT_APPLICABLE,
    ]
    if wide and found.cost is not None:
        end = figures.moment(found.ends[1]) if found.ends is not None else NOT_APPLICABLE
        cells += [money(found.cost.low, currency), money(found.cost.high, currency), end, one.how, one.caveat]
    return cells


def _footer(shown: Shown) -> list[str]:
    sources = sorted({quote.source for run in shown.runs for quote in run.found.estimate.prices})
    why = shown.prices.why_not_cluster
    named = f"Prices: {'; '.join(sources) or 'none known'}"
    lines = [named if not why else f"{named} · not those of a cluster: {' '.join(why.split())}"]
    if any(run.found.alternatives for run in shown.runs):
        lines.append("What to set, and what to mind: -o wide")
    return lines


# --- other formats ----------------------------------------------------------------------------------------------------


def _markdown(shown: Shown, options: Options) -> None:
    del options
    currency = shown.prices.currency
    for run in shown.runs:
        base = run.found.estimate
        click.echo(f"**{_title(run)}: {_amount(base.cost, currency)}**  ")
        click.echo("  \n".join(_facts(base, currency)))
        click.echo()
        for warning in run.found.warnings:
            click.echo(f"> {warning}\n")
        if run.found.alternatives:
            titles, rows, _ = _cells(run, currency, wide=False)
            click.echo(markdown(titles, rows))
            click.echo()
        notes = [f"Assumes: {one}" for one in base.assumes] + [f"Not known: {one}" for one in base.unknown]
        click.echo("  \n".join(notes))
        click.echo()
    if len(shown.runs) > 1:
        click.echo(f"**Together: {_amount(shown.total, currency)}**\n")
    click.echo("  \n".join(_footer(shown)))


def document(shown: Shown) -> EstimateDocument:
    """As the schema in docs/reference says."""
    over = None if shown.limit is None or shown.total is None else shown.total.typical > shown.limit
    return EstimateDocument(
        currency=shown.prices.currency,
        prices=shown.prices.why_not_cluster or "cluster",
        runs=tuple(_run(run) for run in shown.runs),
        total=_bounds(shown.total, 6),
        limit=None if shown.limit is None else fixed(shown.limit),
        over=over,
    )


def _run(run: Run) -> EstimatedRun:
    base = run.found.estimate
    memory = base.memory
    return EstimatedRun(
        name=run.document.name,
        namespace=run.namespace,
        file=f"{run.document.file}#{run.document.number}",
        memory_needed_gb=None if memory is None else decimal(Fraction(memory.needed, _GB), 1),
        memory_there_gb=None if memory is None else decimal(Fraction(memory.there, _GB), 1),
        assumes=base.assumes,
        unknown=base.unknown,
        warnings=run.found.warnings,
        price_sources=tuple(sorted({quote.source for quote in base.prices})),
        alternatives=tuple(_alternative(one) for one in run.found.alternatives),
        **_way(base),
    )


def _alternative(one: Alternative) -> AlternativeWay:
    return AlternativeWay(
        way=one.way,
        change=one.change,
        how=one.how,
        caveat=one.caveat,
        saves=None if one.saves is None else decimal(one.saves, 6),
        cheaper=one.is_cheaper,
        **_way(one.estimate),
    )


def _way(base: Estimate) -> dict[str, Any]:
    return {
        "gpus": base.setup.gpus,
        "gpu_model": base.setup.gpu_model or None,
        "placement": str(base.setup.placing),
        "hours": _bounds(base.hours, 3),
        "gpu_hours": _bounds(base.gpu_hours, 3),
        "cost": _bounds(base.cost, 6),
        "hourly": _bounds(base.hourly, 6),
        "spot_share": None if base.spot_share is None else round(float(base.spot_share), 4),
        "done_by": None if base.ends is None else format_rfc3339(base.ends[1] - base.ends[1] % SECOND),
        "on_time": base.on_time,
    }


def _bounds(value: Range | None, places: int) -> Bounds | None:
    if value is None:
        return None
    low, typical, high = (decimal(part, places) for part in value)
    return Bounds(low=low, typical=typical, high=high)


def _json(shown: Shown, options: Options) -> None:
    del options
    print_json(as_document(document(shown)))


def _yaml(shown: Shown, options: Options) -> None:
    del options
    print_yaml(as_document(document(shown)))


_COLUMNS = ("name", "namespace", "way", "change", "placement", "gpus", "gpuModel")
_BOUNDS = ("hours", "cost")


def _csv(shown: Shown, options: Options) -> None:
    """One line per run as it is, and one for each alternative."""
    rows = []
    for run in as_document(document(shown))["runs"]:
        for one in ({**run, "way": "asIs"}, *run["alternatives"]):
            spread = {
                f"{key}{part.capitalize()}": (one[key] or {}).get(part)
                for key in _BOUNDS
                for part in Bounds.model_fields
            }
            rows.append({**one, "name": run["name"], "namespace": run["namespace"], **spread})
    titles = [*_COLUMNS, *(f"{key}{part.capitalize()}" for key in _BOUNDS for part in Bounds.model_fields), "saves"]
    print_csv(titles, rows, headers=not options.no_headers)


_FORMATS: dict[str, Callable[[Shown, Options], None]] = {
    "table": _table,
    "wide": _table,
    "json": _json,
    "yaml": _yaml,
    "csv": _csv,
    "markdown": _markdown,
}
