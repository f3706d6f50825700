"""Shows the arithmetic behind an endpoint's unit costs: its pods' cost, what became of each hour of it, and each price.

The first part is the explanation of the workload in the same window; the lines of the second add up to its total, the
prices of the third are quotients of sums of the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import click

from gpucost.cli import explain_view, figures
from gpucost.cli.formats import as_document, print_csv, print_json, print_yaml
from gpucost.cli.grid import Grid, markdown, print_grid, print_line
from gpucost.cli.options import Options
from gpucost.core.clock import parse_rfc3339
from gpucost.web.schema import Explanation
from gpucost.web.schema_endpoints import PARTS, HourPart, UnitCost

_HOURS = ("HOUR", "PART", "POD-HOURS", "OF", "WORK", "COST")
_PRICES = ("PRICE", "ARITHMETIC", "RESULT")
_EARLIER = "(earlier)"


def show(unit: UnitCost, paid: Explanation, options: Options) -> None:
    """Print it in the format asked for; `paid` is the explanation of the endpoint's workload in the same window."""
    _FORMATS[options.output](unit, paid, options)


def _table(unit: UnitCost, paid: Explanation, options: Options) -> None:
    name, namespace = unit.metadata.name, unit.metadata.namespace
    print_line(f"InferenceEndpoint/{name} in {namespace}, served by the pods of {unit.workload}", "bold")
    print_line()
    explain_view.show(paid, options)
    print_line()
    print_line("What the pods did for it, hour by hour", "bold")
    rows = list(_hour_rows(unit))
    _grid(_HOURS, [*rows, *_sums(unit)], options, names=2, bold=len(rows))
    print_line()
    print_line("Prices per unit", "bold")
    prices = list(_price_rows(unit))
    if prices:
        _grid(_PRICES, prices, options, names=2)
    else:
        print_line("None: no work is known that could be set against a cost.")
    if not unit.units.complete:
        print_line("Some pods did not tell their work: prices per unit are upper limits")


def _grid(
    titles: tuple[str, ...], rows: list[list[str]], options: Options, *, names: int, bold: int | None = None
) -> None:
    """Lines from `bold` on are in bold type."""
    styles = ["bold" if bold is not None and place >= bold else "" for place in range(len(rows))]
    print_grid(Grid(titles, rows, styles, names=names), headers=not options.no_headers, cut=False)


# --- hours ------------------------------------------------------------------------------------------------------------


def _hour_rows(unit: UnitCost) -> Iterator[list[str]]:
    """A line for each part of each hour."""
    for hour in unit.hours:
        when = _EARLIER if hour.start is None else figures.moment(parse_rfc3339(hour.start))[5:]
        for part in PARTS:
            cost = Decimal(getattr(hour, part))
            if cost:
                yield [when, part, *_times(hour, part), figures.money(cost, unit.currency, places=6)]


def _times(hour: HourPart, part: str) -> tuple[str, str, str]:
    """Pod-hours of a part, of how many, and which share of the time of work."""
    held, busy = Decimal(hour.pod_hours), Decimal(hour.busy_hours)
    told = busy + Decimal(hour.idle_hours) + Decimal(hour.starting_hours)
    own = {
        "idle": Decimal(hour.idle_hours),
        "starting": Decimal(hour.starting_hours),
        "unknown": max(Decimal(0), held - told),
    }.get(part, busy)
    return f"{own:.6f}", f"{max(held, told):.6f}", _work(hour, part)


def _work(hour: HourPart, part: str) -> str:
    if part not in {"input", "output"} or hour.prefill_seconds is None or hour.decode_seconds is None:
        return ""
    own = hour.prefill_seconds if part == "input" else hour.decode_seconds
    return f"{own:,.3f}/{hour.prefill_seconds + hour.decode_seconds:,.3f} s"


def _sums(unit: UnitCost) -> Iterator[list[str]]:
    for part in unit.parts:
        cost = Decimal(part.cost)
        if cost:
            yield ["SUM", part.part, "", "", "", figures.money(cost, unit.currency, places=6)]
    total = sum((Decimal(part.cost) for part in unit.parts), Decimal(0))
    yield ["TOTAL", "", "", "", "", figures.money(total, unit.currency, places=6)]


# --- prices -----------------------------------------------------------------------------------------------------------


def _price_rows(unit: UnitCost) -> Iterator[list[str]]:
    cost = {name: Decimal(0) for name in PARTS} | {part.part: Decimal(part.cost) for part in unit.parts}
    known = sum(cost.values()) - cost["unknown"]
    served = cost["input"] + cost["output"] + cost["serving"]
    units, average, serving = unit.units, unit.average, unit.serving
    both = (units.input_tokens or 0) + (units.output_tokens or 0)
    found = (
        (
            "average MTOK IN",
            f"{known} x {cost['input']}/{served}",
            units.input_tokens,
            average.per_million_input_tokens,
        ),
        (
            "average MTOK OUT",
            f"{known} x {cost['output']}/{served}",
            units.output_tokens,
            average.per_million_output_tokens,
        ),
        ("average MTOK", f"{known}", both, average.per_million_tokens),
        ("serving MTOK IN", f"{cost['input']}", units.input_tokens, serving.per_million_input_tokens),
        ("serving MTOK OUT", f"{cost['output']}", units.output_tokens, serving.per_million_output_tokens),
        ("serving MTOK", f"{served}", both, serving.per_million_tokens),
    )
    for name, amount, tokens, price in found:
        if price is not None:
            yield [name, f"{amount} / {tokens:,.0f} tokens x 1,000,000", _exactly(price, unit.currency)]
    for name, paid, price in (
        ("average REQUEST", known, average.per_request),
        ("serving REQUEST", served, serving.per_request),
    ):
        if price is not None:
            yield [name, f"{paid} / {units.requests:,.0f} requests", _exactly(price, unit.currency)]


def _exactly(text: str, currency: str) -> str:
    return figures.money(Decimal(text), currency, places=len(text.partition(".")[2]))


# --- other formats ----------------------------------------------------------------------------------------------------


def _markdown(unit: UnitCost, paid: Explanation, options: Options) -> None:
    explain_view.show(paid, options)
    click.echo()
    click.echo(markdown(_HOURS, [*_hour_rows(unit), *_sums(unit)], names=2))
    click.echo()
    click.echo(markdown(_PRICES, list(_price_rows(unit)), names=2))


def _csv(unit: UnitCost, _paid: Explanation, options: Options) -> None:
    titles = [field.alias or name for name, field in HourPart.model_fields.items()]
    print_csv(titles, [as_document(hour) for hour in unit.hours], headers=not options.no_headers)


def _json(unit: UnitCost, paid: Explanation, _: Options) -> None:
    print_json({"unitCost": as_document(unit), "explanation": as_document(paid)})


def _yaml(unit: UnitCost, paid: Explanation, _: Options) -> None:
    print_yaml({"unitCost": as_document(unit), "explanation": as_document(paid)})


_FORMATS: dict[str, Callable[[UnitCost, Explanation, Options], None]] = {
    "table": _table,
    "wide": _table,
    "json": _json,
    "yaml": _yaml,
    "csv": _csv,
    "markdown": _markdown,
}
