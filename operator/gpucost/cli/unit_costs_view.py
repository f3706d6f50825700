"""Shows what tokens and requests of inference endpoints cost: a line for each, or all about one.

The parts of an endpoint's cost add up to it, so they are shown with all six decimals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import click

from gpucost.cli import figures, footers
from gpucost.cli.figures import UNKNOWN
from gpucost.cli.formats import as_document, model_as_json, model_as_yaml, print_csv
from gpucost.cli.grid import Grid, markdown, print_grid, print_line
from gpucost.cli.options import Options
from gpucost.cli.windows import when
from gpucost.core.clock import SECOND, format_duration, parse_rfc3339
from gpucost.web.schema_endpoints import PARTS, ColdStart, ComparedCost, UnitCost, UnitCostList, UnitPrices

_TITLES = ["ENDPOINT", "COST", "HOURLY", "MTOK IN", "MTOK OUT", "REQUEST", "IDLE"]
_WIDE = [*_TITLES, "STARTING", "UNKNOWN", "CACHE", "READY P95", "LAST REPLICA", "WORKLOAD"]
_PART = ["PART", "WHAT", "SHARE", "COST"]
_ABOUT = {
    "input": "reading prompts, by prefill time",
    "output": "writing answers, by decode time",
    "serving": "serving; the runtime does not tell prefill from decode",
    "idle": "pods without a request",
    "starting": "pods that were not ready yet",
    "unknown": "work not measured, or no price",
}


def show_all(document: UnitCostList, options: Options, *, with_namespace: bool) -> None:
    """A line for each endpoint."""
    if options.output in _PROGRAMS:
        _PROGRAMS[options.output](document, options)
        return
    if not document.items:
        print_line("No InferenceEndpoint is known there.")
        print_line("To have one: kubectl explain inferenceendpoint.spec, and -A for all namespaces")
        return
    wide = options.output != "table"
    titles = (["NAMESPACE"] if with_namespace else []) + (_WIDE if wide else _TITLES)
    rows = [_row(one, wide=wide, with_namespace=with_namespace) for one in document.items]
    names = 2 if with_namespace else 1
    if options.output == "markdown":
        click.echo(markdown(titles, rows, names=names))
        return
    grid = Grid(titles, rows, [""] * len(rows), names=names)
    print_grid(grid, headers=not options.no_headers, cut=not wide)
    for line in (*footers.legend([cell for row in rows for cell in row]), *_list_footer(document, options)):
        print_line(line, "dim")


def _list_footer(document: UnitCostList, options: Options) -> list[str]:
    start, end = parse_rfc3339(document.window.start), parse_rfc3339(document.window.end)
    quality = document.items[0].quality
    return [
        f"Prices per unit include idle and starting pods. Window: {options.window}, {figures.span(start, end)}",
        footers.quality_line(quality, document.currency),
    ]


def _row(one: UnitCost, *, wide: bool, with_namespace: bool) -> list[str]:
    shares = {part.part: part.share for part in one.parts}
    nothing_known = shares.get("unknown") == 1
    average = one.average

    def price(text: str | None, none: str = UNKNOWN) -> str:
        return _money(text, one.currency, none)

    row = [one.metadata.namespace or ""] if with_namespace else []
    row += [
        one.metadata.name,
        price(one.cost, figures.UNPRICED),
        price(one.hourly, figures.UNPRICED),
        price(average.per_million_input_tokens),
        price(average.per_million_output_tokens),
        price(average.per_request),
        figures.UNKNOWN if nothing_known else figures.percent(shares.get("idle")),
    ]
    if wide:
        cold = one.cold_start
        row += [
            figures.UNKNOWN if nothing_known else figures.percent(shares.get("starting")),
            figures.percent(shares.get("unknown")),
            figures.percent(one.units.cache_hits, none=UNKNOWN),
            _seconds(cold.ready_seconds_p95),
            cold.choice,
            one.workload,
        ]
    return row


def _money(text: str | None, currency: str, none: str = UNKNOWN) -> str:
    """A price: what is below a cent with three digits that count."""
    if text is None:
        return none
    amount = Decimal(text)
    if amount == 0 or abs(amount) >= Decimal("0.01"):
        return figures.money(amount, currency)
    return figures.money(amount, currency, places=min(9, 2 - amount.adjusted()))


def _seconds(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else format_duration(round(seconds) * SECOND)


# --- one endpoint -----------------------------------------------------------------------------------------------------


def show(document: UnitCost, options: Options) -> None:
    """All about one endpoint."""
    if options.output in _PROGRAMS:
        _PROGRAMS[options.output](document, options)
        return
    if options.output == "markdown":
        click.echo(markdown(_PART, _parts(document), names=2))
        return
    cost = figures.UNPRICED if document.cost is None else figures.money(Decimal(document.cost), document.currency)
    head = f"InferenceEndpoint/{document.metadata.name} in {document.metadata.namespace}: {cost} {when(options.window)}"
    print_line(head, "bold")
    for line in _facts(document):
        print_line(f"  {line}")
    for heading, titles, rows in _sections(document):
        print_line()
        print_line(heading, "bold")
        grid = Grid(titles, rows, [""] * len(rows), names=2 if titles[1] == "WHAT" else 1)
        print_grid(grid, headers=not options.no_headers, cut=options.output == "table")
    print_line()
    for line in _cold(document.cold_start, document.currency):
        print_line(line)
    start, end = parse_rfc3339(document.window.start), parse_rfc3339(document.window.end)
    print_line(f"Window: {figures.span(start, end)}, whole hours", "dim")
    print_line(footers.quality_line(document.quality, document.currency), "dim")


def _facts(document: UnitCost) -> Iterator[str]:
    units = document.units
    yield f"Served by the pods of {document.workload}"
    counts = [
        f"{name} {_number(count)}"
        for name, count in (
            ("requests", units.requests),
            ("input tokens", units.input_tokens),
            ("output tokens", units.output_tokens),
        )
    ]
    yield ", ".join(counts)
    if units.cache_hits is not None:
        yield f"{figures.percent(units.cache_hits)} of the prompt tokens were found in the prefix cache"
    if not units.complete:
        yield "Some pods did not tell their work: prices per unit are upper limits"
    if document.comparison is not None:
        yield from _compared(document.comparison, document.currency)


def _compared(found: ComparedCost, currency: str) -> Iterator[str]:
    saved = Decimal(found.saved)
    amount = figures.money(abs(saved), currency)
    verdict = f"{amount} saved" if saved >= 0 else f"{amount} more was paid here"
    yield f"At {found.name} the same work costs {figures.money(Decimal(found.theirs), currency)}: {verdict}"
    if found.cheaper_when_full is False:
        yield "  Full replicas are dearer too: at this GPU price it never breaks even"
    elif found.even_requests_per_hour is not None:
        yield f"  Breaks even at {found.even_requests_per_hour:,.0f} requests an hour"


def _sections(document: UnitCost) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    total = figures.UNPRICED if document.cost is None else _exact(document.cost, document.currency)
    rows = [*_parts(document), ["TOTAL", "as the ledger has it", "", total]]
    yield "What was paid for", _PART, rows
    kinds = (
        ("average", document.average, "with idle and starting pods"),
        ("serving", document.serving, "without idle and starting pods"),
        ("marginal", document.marginal, "of more work, once replicas are full"),
    )
    titles = ["PRICE", "WHAT", "MTOK IN", "MTOK OUT", "MTOK", "REQUEST"]
    yield "Prices per unit", titles, [[name, what, *_priced(one, document.currency)] for name, one, what in kinds]
    if document.tenants:
        rows = [[one.tenant, _exact(one.cost, document.currency), _number(one.requests)] for one in document.tenants]
        yield "Who asked", ["TENANT", "COST", "REQUESTS"], rows


def _parts(document: UnitCost) -> list[list[str]]:
    return [
        [part.part, _ABOUT.get(part.part, ""), figures.percent(part.share), _exact(part.cost, document.currency)]
        for part in document.parts
    ]


def _priced(prices: UnitPrices, currency: str) -> list[str]:
    tokens = (prices.per_million_input_tokens, prices.per_million_output_tokens, prices.per_million_tokens)
    return [_money(text, currency) for text in (*tokens, prices.per_request)]


def _exact(text: str, currency: str) -> str:
    return figures.money(Decimal(text), currency, places=6)


def _number(count: float | None) -> str:
    return UNKNOWN if count is None else f"{count:,.0f}"


def _cold(cold: ColdStart, currency: str) -> Iterator[str]:
    if cold.starts:
        limit = " at most (nobody saw them start)" if cold.upper_limit else ""
        p50, p95 = _seconds(cold.ready_seconds_p50), _seconds(cold.ready_seconds_p95)
        cost = _money(cold.cost, currency)
        yield f"Starts: {cold.starts}, ready in {p50} (p50), {p95} (p95){limit}; one costs {cost}"
    else:
        yield "Starts: none was seen yet"
    after = f" after {_seconds(cold.idle_after_seconds)}" if cold.choice != "Keep" else ""
    saving = "" if cold.saving_monthly is None else f", {figures.money(Decimal(cold.saving_monthly), currency)} a month"
    yield f"Last replica: {cold.choice}{after}{saving}: {cold.message}"


# --- for programs -----------------------------------------------------------------------------------------------------


def _csv(document: UnitCost | UnitCostList, options: Options) -> None:
    items = document.items if isinstance(document, UnitCostList) else (document,)
    lines = [
        {
            "namespace": one.metadata.namespace,
            "endpoint": one.metadata.name,
            "workload": one.workload,
            "cost": one.cost,
            **{part: next((p.cost for p in one.parts if p.part == part), "0.000000") for part in PARTS},
            **as_document(one.average),
            **as_document(one.units),
        }
        for one in items
    ]
    print_csv(list(lines[0]) if lines else ["namespace", "endpoint"], lines, headers=not options.no_headers)


_PROGRAMS: dict[str, Callable[[UnitCost | UnitCostList, Options], None]] = {
    "json": model_as_json,
    "yaml": model_as_yaml,
    "csv": _csv,
}
