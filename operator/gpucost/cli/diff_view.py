"""Compares what two windows cost, row by row: what grew, what shrank, what is new and what is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import click

from gpucost.cli import figures, footers
from gpucost.cli.costs_view import OF_A_NAMESPACE, shown_name, title_of
from gpucost.cli.failures import Failure
from gpucost.cli.figures import NOT_APPLICABLE, UNKNOWN, Rate
from gpucost.cli.formats import as_document, print_csv, print_json, print_yaml
from gpucost.cli.grid import Grid, markdown, print_grid, print_line
from gpucost.cli.options import Options
from gpucost.cli.questions import Answer
from gpucost.cli.totals import fixed
from gpucost.cli.windows import length
from gpucost.core.clock import HOUR, format_duration, parse_rfc3339
from gpucost.web.schema import Allocation, AllocationList, Remainder, Window

_SORTS = ("cost", "name")


@dataclass(frozen=True, slots=True)
class Limit:
    """By how much the total may grow: an amount, or a share of what it was."""

    amount: Decimal
    percent: bool
    text: str


def parse_limit(text: str) -> Limit:
    """`100` or `20%`. Raises `UsageError` for anything else."""
    number = text.strip().removesuffix("%")
    try:
        amount = Decimal(number)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise click.BadParameter(
            f"{text!r} is neither an amount such as 100 nor a share such as 20%", param_hint="--fail-above"
        )
    return Limit(amount, text.strip().endswith("%"), text.strip())


@dataclass(frozen=True, slots=True)
class Pair:
    """One line: what it cost then and now; None when that is not known, 0 when it was not there."""

    names: tuple[str, ...]
    row: Allocation | None
    old: Decimal | None
    new: Decimal | None
    there_before: bool = True
    there_now: bool = True

    @property
    def change(self) -> Decimal | None:
        """New less old; None when one of them is not known."""
        return None if self.old is None or self.new is None else self.new - self.old

    @property
    def ratio(self) -> Decimal | None:
        """Change as a part of what it was; None when it was nothing or is not known."""
        return self.change / self.old if self.change is not None and self.old else None

    @property
    def state(self) -> str:
        """new, gone, changed, same or unknown."""
        if not self.there_before:
            return "new"
        if not self.there_now:
            return "gone"
        if self.change is None:
            return "unknown"
        return "changed" if self.change else "same"


@dataclass(frozen=True, slots=True)
class Change:
    """Two answers to the same question, about an older and a newer window."""

    before: Answer
    now: Answer
    options: Options

    def __post_init__(self) -> None:
        for answer in (self.before, self.now):
            if answer.fallback:
                raise Failure(f"a comparison needs the cost API, which does not answer: {answer.fallback}")
        if self.options.sort_by not in _SORTS:
            raise click.UsageError(f"--sort-by of a comparison is {' or '.join(_SORTS)}, by change or by name")

    @property
    def by(self) -> str:
        """The grouping."""
        return self.now.document.by

    @property
    def currency(self) -> str:
        """Currency of all amounts."""
        return self.now.document.currency

    @property
    def shows_namespaces(self) -> bool:
        """Whether rows need a column for their namespace."""
        return self.by in OF_A_NAMESPACE and self.now.namespace is None

    def amount(self, text: str | None, window: Window) -> Decimal | None:
        """An amount, as a sum or as a rate over its own window."""
        if text is None:
            return None
        if self.options.rate is None:
            return Decimal(text)
        return Rate(self.options.rate, Fraction(length(window), HOUR)).of_sum(Decimal(text))

    def rows(self) -> list[Pair]:
        """Every row of either window, largest change first, or by name."""
        old = {row.key: row for row in self.before.document.items}
        new = {row.key: row for row in self.now.document.items}
        pairs = [self._pair(old.get(key), new.get(key)) for key in dict.fromkeys([*new, *old])]
        by_name = self.options.sort_by == "name"
        return sorted(pairs, key=lambda pair: pair.names if by_name else (*_by_change(pair), pair.names))

    def _pair(self, old: Allocation | None, new: Allocation | None) -> Pair:
        row = new or old
        assert row is not None
        name = shown_name(row, self.by)
        names = (row.namespace or "", name) if self.shows_namespaces else (name,)
        return Pair(
            names, row, self._cost(old, self.before), self._cost(new, self.now), old is not None, new is not None
        )

    def _cost(self, row: Allocation | None, answer: Answer) -> Decimal | None:
        return Decimal(0) if row is None else self.amount(row.cost, answer.document.window)

    def unheld(self) -> list[tuple[str, Pair]]:
        """Capacity that nobody held, where it is shown."""
        wanted = self.options.idle if self.options.idle is not None else self.by not in OF_A_NAMESPACE
        return [(name, self._rest(name)) for name in ("idle", "stranded") if wanted and self._occurs(name)]

    def _rest(self, name: str) -> Pair:
        old, new = (
            self.amount(_rest(each.document, name).cost, each.document.window) for each in (self.before, self.now)
        )
        return Pair((name, "")[: 1 + self.shows_namespaces], None, old, new)

    def _occurs(self, name: str) -> bool:
        return any(Decimal(_rest(each.document, name).cost or 0) for each in (self.before, self.now))

    def total(self) -> Pair:
        """What is shown, added up; what is not known is left out."""
        shown = [*self.rows(), *(pair for _, pair in self.unheld())]
        old, new = ([pair.old for pair in shown], [pair.new for pair in shown])
        return Pair(("TOTAL", "")[: 1 + self.shows_namespaces], None, _sum(old), _sum(new))

    def over(self, limit: Limit) -> str | None:
        """One line when the total grew by more than a limit."""
        total = self.total()
        old, new = total.old or Decimal(0), total.new or Decimal(0)
        allowed = old * limit.amount / 100 if limit.percent else limit.amount
        if new - old <= allowed:
            return None
        grown = figures.money(new - old, self.currency)
        share = f" ({_percent(total)})" if old else ""
        return f"over the limit: the total grew by {grown}{share}, and --fail-above is {limit.text}"


def _rest(document: AllocationList, name: str) -> Remainder:
    found: Remainder = getattr(document, name)
    return found


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known or not amounts else None


def _by_change(pair: Pair) -> tuple[bool, Decimal]:
    return pair.change is None, -abs(pair.change or Decimal(0))


def show(change: Change) -> None:
    """Print a comparison in the format asked for."""
    _FORMATS[change.options.output](change)


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(change: Change) -> None:
    titles, rows, styles = _cells(change)
    if len(rows) == 1:
        print_line("Neither window has any cost.")
        print_line("Try longer ones: --window month")
    else:
        grid = Grid(titles, rows, styles, names=1 + change.shows_namespaces)
        print_grid(grid, headers=not change.options.no_headers, cut=change.options.output == "table")
    for line in _footer(change):
        print_line(line, "dim")


def _cells(change: Change) -> tuple[list[str], list[list[str]], list[str]]:
    per = f"/{change.options.rate.upper()}" if change.options.rate else ""
    names = ["NAMESPACE"] if change.shows_namespaces else []
    titles = [*names, title_of(change.by), f"BEFORE{per}", f"NOW{per}", "CHANGE", "CHANGE%"]
    pairs = change.rows()
    unheld = [pair for _, pair in change.unheld()]
    styles = [""] * len(pairs) + ["dim"] * len(unheld) + ["bold"]
    return titles, [_row(change, pair) for pair in (*pairs, *unheld, change.total())], styles


def _row(change: Change, pair: Pair) -> list[str]:
    old = figures.money(pair.old, change.currency) if pair.there_before else NOT_APPLICABLE
    new = figures.money(pair.new, change.currency) if pair.there_now else NOT_APPLICABLE
    return [*pair.names, old, new, _signed(pair.change, change.currency), _percent(pair)]


def _signed(amount: Decimal | None, currency: str) -> str:
    if amount is None:
        return UNKNOWN
    return ("+" if amount > 0 else "") + figures.money(amount, currency)


def _percent(pair: Pair) -> str:
    if pair.state in {"new", "gone"}:
        return pair.state
    if pair.ratio is None:
        return UNKNOWN if pair.change is None else NOT_APPLICABLE
    return f"{pair.ratio:+.0%}" if pair.change else "0%"


def _footer(change: Change) -> list[str]:
    old, new = change.before.document, change.now.document
    lines = [f"Before: {_span(old.window)}", f"Now: {_span(new.window)}"]
    lengths = [length(each.window) for each in (old, new)]
    if lengths[0] != lengths[1] and change.options.rate is None:
        first, second = map(format_duration, lengths)
        lines.append(f"The windows differ in length ({first} and {second}): compare rates with --rate day")
    return [*lines, footers.quality_line(new.quality, change.currency, new.difference)]


def _span(window: Window) -> str:
    return figures.span(parse_rfc3339(window.start), parse_rfc3339(window.end))


# --- other formats ----------------------------------------------------------------------------------------------------


def _markdown(change: Change) -> None:
    titles, rows, _ = _cells(change)
    click.echo(markdown(titles, rows, names=1 + change.shows_namespaces))
    click.echo()
    click.echo("  \n".join(_footer(change)))


def _as_document(change: Change) -> dict[str, Any]:
    old, new = (as_document(each.document) for each in (change.before, change.now))
    unheld = dict(change.unheld())
    return {
        "currency": change.currency,
        "by": change.by,
        "namespace": change.now.namespace,
        "rate": change.options.rate,
        "window": new["window"],
        "against": old["window"],
        "rows": [_bare(pair) for pair in change.rows()],
        **{name: _amounts(unheld[name]) if name in unheld else None for name in ("idle", "stranded")},
        "total": _amounts(change.total()),
        "quality": new["quality"],
    }


def _bare(pair: Pair) -> dict[str, Any]:
    row = pair.row
    assert row is not None
    labels = {name: getattr(row, name) for name in ("key", "namespace", "workload", "category", "node")}
    return {**labels, "state": pair.state, **_amounts(pair)}


def _amounts(pair: Pair) -> dict[str, Any]:
    """Exact amounts; what is not known is null."""
    old, new, change = (None if each is None else fixed(each) for each in (pair.old, pair.new, pair.change))
    return {"old": old, "new": new, "change": change, "changePercent": _ratio(pair)}


def _ratio(pair: Pair) -> float | None:
    return None if pair.ratio is None else round(float(pair.ratio * 100), 4)


def _json(change: Change) -> None:
    print_json(_as_document(change))


def _yaml(change: Change) -> None:
    print_yaml(_as_document(change))


def _csv(change: Change) -> None:
    document = _as_document(change)
    rest = [{"key": f"({name})", **document[name]} for name in ("idle", "stranded", "total") if document[name]]
    titles = ["key", "namespace", "workload", "category", "node", "state", "old", "new", "change", "changePercent"]
    print_csv(titles, [*document["rows"], *rest], headers=not change.options.no_headers)


_FORMATS: dict[str, Callable[[Change], None]] = {
    "table": _table,
    "wide": _table,
    "json": _json,
    "yaml": _yaml,
    "csv": _csv,
    "markdown": _markdown,
}
