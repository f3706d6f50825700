"""The result of `gpucost allocate` for people: one table, and below it what is not in the numbers."""

from __future__ import annotations

from decimal import Decimal

from gpucost.cli.figures import NOT_APPLICABLE, UNKNOWN, money, percent, quantity, span
from gpucost.cli.grid import Grid, print_grid, print_line
from gpucost.core.money import Micro, format_micro
from gpucost.core.offline_report import Line
from gpucost.offline.allocate import Answer, Question
from gpucost.offline.document import hours

_TITLES = ("COST", "ACTIVE", "HELD", "UNKNOWN", "NO-GPU", "GPU-HOURS", "UTIL%", "PRICED%")
_SHOWN = 5


def show(answer: Answer, question: Question) -> None:
    """Print the report."""
    report, currency = answer.report, answer.currency
    rows = [(line.key, *_cells(line, currency)) for line in report.lines]
    rest = {
        "idle": (report.idle_cost, report.idle_gpu),
        "stranded": (report.stranded_cost, report.stranded_gpu),
        "TOTAL": (report.total_cost, report.total_gpu),
    }
    for name, (cost, gpu) in rest.items():
        if cost or gpu or name == "TOTAL":
            none = [NOT_APPLICABLE] * 4
            tail = (quantity(format_micro(gpu)), NOT_APPLICABLE, NOT_APPLICABLE)
            rows.append((name, _amount(cost, currency), *none, *tail))
    styles = ["" for _ in report.lines] + ["dim"] * (len(rows) - len(report.lines) - 1) + ["bold"]
    print_grid(Grid((question.by.upper(), *_TITLES), rows, styles))
    print_line()
    print_line(f"Window: {span(*answer.window)} · split: {question.split.value} · difference {_difference(answer)}")
    _remarks(answer)


def _cells(line: Line, currency: str) -> tuple[str, ...]:
    partly = line.cost is not None and line.coverage < 1
    gpus = line.gpu > 0
    return (
        money(None if line.cost is None else _decimal(line.cost), currency, at_least=partly),
        *(
            NOT_APPLICABLE if line.cost is None else _amount(part, currency)
            for part in (line.active, line.held, line.unknown, line.non_gpu)
        ),
        quantity(format_micro(line.gpu)),
        percent(line.utilization, none=UNKNOWN if gpus else NOT_APPLICABLE),
        percent(line.coverage),
    )


def _remarks(answer: Answer) -> None:
    if not answer.report.lines:
        print_line("No pod held anything in this time.")
    for item in answer.unpriced[:_SHOWN]:
        print_line(f"Unpriced: node {item.node} ({item.name}) for {quantity(hours(item.spans))} hours")
    if len(answer.unpriced) > _SHOWN:
        print_line(f"  and {len(answer.unpriced) - _SHOWN} more nodes; -o json lists them all")
    for note in answer.notes[:_SHOWN]:
        print_line(f"Note: {note}")


def _difference(answer: Answer) -> str:
    return format_micro(round(answer.report.difference * 10**6))


def _decimal(amount: Micro) -> Decimal:
    return Decimal(amount).scaleb(-6)


def _amount(amount: Micro, currency: str) -> str:
    return money(_decimal(amount), currency)
