"""Shows costs by namespace or workload, in every format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import click

from gpucost.cli import figures, footers
from gpucost.cli.columns import Entry, columns, remainder_entry, row_entry, total_entry
from gpucost.cli.failures import Failure
from gpucost.cli.figures import Rate
from gpucost.cli.formats import as_document, print_csv, print_json, print_yaml
from gpucost.cli.grid import Grid, markdown, print_grid, print_line
from gpucost.cli.options import Options
from gpucost.cli.questions import Answer
from gpucost.cli.totals import fixed, sum_costs
from gpucost.cli.windows import length, when
from gpucost.core.clock import HOUR, parse_rfc3339
from gpucost.core.grouping import LABEL, NO_LABEL
from gpucost.web.schema import Allocation, AllocationList, Metadata, Remainder, Row

OF_A_NAMESPACE = frozenset({"workload", "pod"})
"""Groupings whose rows belong to one namespace each; the others show capacity that nobody holds too."""
_ON_ONE_SCREEN = 12


@dataclass(frozen=True, slots=True)
class View:
    """An answer and how it is to be shown."""

    answer: Answer
    options: Options
    name: str | None = None
    """Only rows of this name."""
    summary: bool = False
    """One screen: a headline, the most expensive rows, what to ask next."""

    @property
    def document(self) -> AllocationList:
        """The costs."""
        return self.answer.document

    @property
    def shows_namespaces(self) -> bool:
        """Whether rows need a column for their namespace."""
        return self.document.by in OF_A_NAMESPACE and self.answer.namespace is None

    @property
    def rate(self) -> Rate | None:
        """How sums become rates, where that was asked for."""
        if self.options.rate is None:
            return None
        if self.answer.fallback:
            raise Failure(f"--rate needs the cost API, which does not answer: {self.answer.fallback}")
        return Rate(self.options.rate, Fraction(length(self.document.window), HOUR))


def show(view: View) -> None:
    """Print an answer in the format asked for."""
    rows = _sorted(_named(view), view.options.sort_by)
    _FORMATS[view.options.output](view, rows)


# --- what is shown ----------------------------------------------------------------------------------------------------


def _named(view: View) -> list[Allocation]:
    """Rows of the name asked for; a name that is not there is a `Failure` that lists those that are."""
    if view.name is None:
        return list(view.document.items)
    wanted = view.name.lower()
    by = view.document.by
    found = [row for row in view.document.items if wanted in _names_of(row)]
    if not found:
        there = ", ".join(sorted({shown_name(row, by) for row in view.document.items})[:5]) or "none"
        raise Failure(f"no cost of {by} {view.name} in {_where(view)} {_when(view)}; there is: {there}")
    return found


def _names_of(row: Allocation) -> set[str]:
    workload = (row.workload or "").lower()
    names = {row.key, row.key.partition("/")[2], row.metadata.name, workload, workload.partition("/")[2]}
    return {name.lower() for name in names} - {""}


def _sorted(rows: Sequence[Allocation], column: str) -> list[Allocation]:
    """Most first, except names and utilization; what is not known comes last."""
    value = _SORT_KEYS[column]
    known = [row for row in rows if value(row) is not None]
    unknown = [row for row in rows if value(row) is None]
    return sorted(known, key=value, reverse=column not in {"name", "utilization"}) + unknown


def _decimal(field: str) -> Callable[[Allocation], Any]:
    def value(row: Allocation) -> Decimal | None:
        text = getattr(row, field)
        return None if text is None else Decimal(text)

    return value


_SORT_KEYS: dict[str, Callable[[Allocation], Any]] = {
    "cost": _decimal("cost"),
    "name": lambda row: row.key,
    "wasted": _decimal("held"),
    "hourly": _decimal("hourly"),
    "gpu-hours": _decimal("gpu_hours"),
    "utilization": lambda row: row.gpu_utilization,
}


def _entries(view: View, rows: Sequence[Allocation]) -> list[Entry]:
    """Lines of the table: rows, capacity that nobody holds, the total."""
    document = view.document
    width = 2 if view.shows_namespaces else 1
    shown = _fold(rows) if view.summary else rows
    entries = [row_entry(row, _names(view, row), measured=not view.answer.fallback) for row in shown]
    idle = [
        remainder_entry(remainder, (name, "")[:width])
        for name, remainder in (("idle", document.idle), ("stranded", document.stranded))
        if _matters(remainder) and _wants_idle(view)
    ]
    complete = view.name is None and (idle or not _matters(document.idle))
    costs = document.total if complete else sum_costs(rows)
    entries += idle
    return [*entries, total_entry(entries, costs, ("TOTAL", "")[:width])]


def _fold(rows: Sequence[Allocation]) -> Sequence[Allocation]:
    """The most expensive rows, and one for all others."""
    if len(rows) <= _ON_ONE_SCREEN:
        return rows
    rest = rows[_ON_ONE_SCREEN - 1 :]
    name = f"{len(rest)} others"
    other = Allocation(
        metadata=Metadata(name=name),
        key=name,
        namespace=name,
        workload=None,
        category=None,
        pods=sum(row.pods for row in rest),
        **sum_costs(rest).model_dump(),
    )
    return [*rows[: _ON_ONE_SCREEN - 1], other]


def _wants_idle(view: View) -> bool:
    if view.name is not None:
        return False
    return view.options.idle if view.options.idle is not None else view.document.by not in OF_A_NAMESPACE


def _matters(remainder: Remainder) -> bool:
    return remainder.cost is None or Decimal(remainder.cost) > 0 or Decimal(remainder.gpu_hours) > 0


def _names(view: View, row: Allocation) -> tuple[str, ...]:
    name = shown_name(row, view.document.by)
    return (row.namespace or "", name) if view.shows_namespaces else (name,)


def shown_name(row: Row, by: str) -> str:
    """What a row is called in a table: its key without the namespace, a node by its name."""
    if by == "pod":
        return row.key.partition("/")[2] or row.key
    return (row.workload if by == "workload" else row.node) or row.key


def title_of(by: str) -> str:
    """Title of the column of names: `NAMESPACE`, or the last part of a label's key."""
    return by.rpartition(":")[2].rpartition("/")[2].upper()


def _titles(view: View) -> list[str]:
    title = title_of(view.document.by)
    return ["NAMESPACE", title] if view.shows_namespaces else [title]


def _cells(view: View, entries: Sequence[Entry], *, wide: bool) -> tuple[list[str], list[list[str]]]:
    shown = [column for column in columns(view.document.currency, view.rate) if wide or not column.wide]
    rows = [[*entry.names, *(column.show(entry) for column in shown)] for entry in entries]
    return _titles(view) + [column.title for column in shown], rows


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(view: View, rows: Sequence[Allocation]) -> None:
    if not rows and not _matters(view.document.idle):
        return _nothing(view)
    entries = _entries(view, rows)
    titles, cells = _cells(view, entries, wide=view.options.output == "wide")
    if view.summary:
        print_line(_headline(view, entries[-1]), "bold")
        print_line()
    styles = [{"total": "bold", "idle": "dim"}.get(entry.kind, "") for entry in entries]
    grid = Grid(titles, cells, styles, names=len(_titles(view)))
    print_grid(grid, headers=not view.options.no_headers, cut=view.options.output == "table")
    if hints := _hints(view, rows):
        print_line()
    for line in hints:
        print_line(line)
    for line in (*footers.legend([cell for row in cells for cell in row]), *_footer(view)):
        print_line(line, "dim")
    return None


def _headline(view: View, total: Entry) -> str:
    """What it cost, what it costs now, and how much of it was for nothing."""
    currency = view.document.currency
    spent = Decimal(total.costs.cost or 0)
    hourly = sum((Decimal(rate) for rate in total.rates if rate is not None), Decimal(0))
    monthly = figures.money(Rate("month", Fraction(1)).of_hourly(hourly), currency, places=0)
    amount = figures.money(None if total.costs.cost is None else spent, currency, at_least=total.is_partly_unpriced)
    now = figures.money(hourly, currency, at_least=None in total.rates)
    parts = [f"{amount} {_when(view)}", f"{now} an hour now, about {monthly} a month"]
    if total.wasted is not None and spent:
        least = "at least " if total.is_partly_unmeasured or total.is_partly_unpriced else ""
        parts.append(f"{least}{figures.percent(total.wasted / spent)} of it wasted")
    return " · ".join(parts)


def _hints(view: View, rows: Sequence[Allocation]) -> Sequence[str]:
    """What to ask or to do next, below the table."""
    if view.summary:
        return _next(rows)
    if view.document.by == "node" and _matters(view.document.idle):
        return ("Which of it idles: kubectl cost idle",)
    key = view.document.by.removeprefix(LABEL)
    if key != view.document.by and all(row.key == NO_LABEL for row in rows):
        return label_hints(key, view.document.labels)
    return ()


def label_hints(key: str, known: Sequence[str]) -> list[str]:
    """Why nothing has a label, and which labels there are."""
    ours = f"gpucost.dev/{key}"
    there = f"Labels that are known: {' · '.join(known)}" if known else "No pod has any label that is kept."
    meant = [f"Perhaps you mean: kubectl cost label {ours}"] if ours in known else []
    kept = "Kept are gpucost.dev/* and what GPUCOST_LABELS names (chart: settings.labels)."
    return [f"No pod in the window has the label {key}.", *meant, there, kept]


def _next(rows: Sequence[Allocation]) -> tuple[str, str]:
    """What to ask next."""
    where = f"-n {rows[0].namespace}" if rows and rows[0].namespace else "-A"
    return f"Who spends it:  kubectl cost workload {where}", f"For what:       kubectl cost explain KIND/NAME {where}"


def _footer(view: View) -> list[str]:
    document = view.document
    if view.answer.fallback:
        return [footers.status_line(view.answer.fallback, document.quality.as_of)]
    start, end = parse_rfc3339(document.window.start), parse_rfc3339(document.window.end)
    quality = footers.quality_line(document.quality, document.currency, document.difference)
    return [f"Window: {view.options.window}, {figures.span(start, end)}", quality]


def _nothing(view: View) -> None:
    """An empty answer says what to do next."""
    print_line(f"No cost in {_where(view)} {_when(view)}.")
    steps = ["a longer window: --window month"]
    if view.answer.namespace is not None:
        steps.insert(0, "all namespaces: -A")
    if view.options.selector:
        steps.insert(0, f"without -l {view.options.selector}")
    print_line(f"Try {' · '.join(steps)}")
    for line in _footer(view):
        print_line(line, "dim")


def _where(view: View) -> str:
    return f"namespace {view.answer.namespace}" if view.answer.namespace else "any namespace"


def _when(view: View) -> str:
    if view.answer.fallback:
        return "since each job began"
    return when(view.options.window)


# --- other formats ----------------------------------------------------------------------------------------------------


def _markdown(view: View, rows: Sequence[Allocation]) -> None:
    titles, cells = _cells(view, _entries(view, rows), wide=False)
    click.echo(markdown(titles, cells, names=len(_titles(view))))
    click.echo()
    click.echo("  \n".join(_footer(view)))


def _json(view: View, rows: Sequence[Allocation]) -> None:
    print_json(_as_document(view, rows))


def _yaml(view: View, rows: Sequence[Allocation]) -> None:
    print_yaml(_as_document(view, rows))


def _csv(view: View, rows: Sequence[Allocation]) -> None:
    """Plain numbers; capacity that nobody holds and the total have keys in parentheses."""
    document = _as_document(view, rows)
    lines = document["rows"] + [
        {"key": f"({name})", **document[name]}
        for name in ("idle", "stranded", "total")
        if view.name is None or name == "total"
    ]
    titles = list(document["rows"][0] if document["rows"] else ["key", *document["total"]])
    print_csv(titles, lines, headers=not view.options.no_headers)


def _as_document(view: View, rows: Sequence[Allocation]) -> dict[str, Any]:
    """An answer for programs: exact amounts as decimal strings; unknown is null."""
    document = view.document
    whole = as_document(document)
    total = whole["total"] if view.name is None else as_document(sum_costs(rows))
    result = {
        "currency": whole["currency"],
        "window": None if view.answer.fallback else whole["window"],
        "by": whole["by"],
        "namespace": view.answer.namespace,
        "source": "TrainingJob status" if view.answer.fallback else "cost API",
        "rows": [_bare(row) for row in rows],
        "idle": whole["idle"],
        "stranded": whole["stranded"],
        "total": total,
        "difference": whole["difference"],
        "quality": whole["quality"],
    }
    if view.rate is not None:
        for part in (*result["rows"], result["idle"], result["stranded"], result["total"]):
            part[f"costPer{view.rate.unit.capitalize()}"] = _rated(view.rate, part["cost"])
    return result


def _rated(rate: Rate, cost: str | None) -> str | None:
    return None if cost is None else fixed(rate.of_sum(Decimal(cost)))


def _bare(row: Allocation) -> dict[str, Any]:
    """A row without what makes it a Kubernetes object, its key first."""
    fields = row.model_dump(mode="json", by_alias=True, exclude={"api_version", "kind", "metadata"})
    labels = {name: fields.pop(name) for name in ("key", "namespace", "workload", "category", "node", "pods")}
    return {**labels, **fields}


_FORMATS: dict[str, Callable[[View, Sequence[Allocation]], None]] = {
    "table": _table,
    "wide": _table,
    "json": _json,
    "yaml": _yaml,
    "csv": _csv,
    "markdown": _markdown,
}
