"""`kubectl cost export`: costs by day as CSV, asked of the cost API like everything that `kubectl cost` shows.

Whoever runs it sees what RBAC lets them see. FOCUS files of a whole cluster are made from the ledger (`cli.export`).
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import click

from gpucost.cli.failures import Failure
from gpucost.cli.options import CLUSTER, SETTINGS, Options, current, flags
from gpucost.cli.questions import Asker
from gpucost.core.clock import DAY, floor_to, format_rfc3339, to_datetime
from gpucost.core.timeline import Interval
from gpucost.core.window import WindowError, parse_window

_FIELDS = (
    "cost",
    "active",
    "held",
    "unknown_activity",
    "non_gpu",
    "spot",
    "on_demand",
    "gpu_hours",
    "gpu_hours_measured",
    "gpu_hours_active",
    "cpu_core_hours",
    "memory_gib_hours",
    "coverage",
)
_TITLES = ("day", "namespace", "workload", "category", "name", "currency", *_FIELDS)


@click.command(
    "export",
    context_settings=SETTINGS,
    short_help="Costs by day as CSV.",
    epilog="\b\nExamples:\n  kubectl cost export --window lastmonth > november.csv\n"
    "  kubectl cost export --by workload -n research --window 30d > research.csv",
)
@click.option("--by", type=click.Choice(("pod", "workload")), default="pod", show_default=True, help="A row a day for.")
@flags("namespace", "all_namespaces", "selector", "window", *CLUSTER)
def cost_export(by: str) -> None:
    """Costs by day and pod (or workload) as CSV, of what you may see.

    Days are UTC, the first and the last may be partial. What has no price has an empty cost. For FOCUS files of a whole
    cluster, see `gpucost export focus`.
    """
    options = current({"output": "the export is CSV: leave out -o"})
    try:
        span = parse_window(options.window, time.time_ns() // 1000)
    except WindowError as error:
        raise Failure(f"--window: {error}") from None
    text = io.StringIO()
    lines = csv.DictWriter(text, _TITLES, restval="", lineterminator="\n")
    lines.writeheader()
    for day in _cut(span):
        for row in _day_rows(options, by, day):
            lines.writerow(row)
        click.echo(text.getvalue(), nl=False)
        text.seek(0)
        text.truncate()


def _cut(span: Interval) -> Iterator[Interval]:
    start = span.start
    while start < span.end:
        end = min(floor_to(start, DAY) + DAY, span.end)
        yield Interval(start, end)
        start = end


def _day_rows(options: Options, by: str, day: Interval) -> Iterator[Mapping[str, str]]:
    asker = Asker(replace(options, window=f"{format_rfc3339(day.start)},{format_rfc3339(day.end)}"))
    answer = asker.costs(by, asker.namespaces_of(everywhere=True))
    if answer.fallback:
        raise Failure(f"costs by day need the cost API, which does not answer: {answer.fallback}")
    document = answer.document
    about = {"day": to_datetime(day.start).date().isoformat(), "currency": document.currency}
    for item in document.items:
        values = item.model_dump(mode="json", by_alias=False)
        yield about | {
            "namespace": item.namespace or "",
            "workload": item.workload or "",
            "category": item.category or "",
            "name": item.key.rpartition("/")[2],
            **{name: _cell(values[name]) for name in _FIELDS},
        }
    for name, rest in (("idle", document.idle), ("stranded", document.stranded)):
        if rest.cost is None or Decimal(rest.cost):
            yield about | {"name": name, "cost": _cell(rest.cost), "gpu_hours": rest.gpu_hours}


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
