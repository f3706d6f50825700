"""The result of `gpucost allocate` as JSON and CSV, in the form that others rely on (docs/reference/allocation.md).

Money and hours are decimal strings; what is not known is null.
"""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec

from gpucost.core.clock import HOUR, format_rfc3339
from gpucost.core.money import MICRO, format_micro
from gpucost.core.offline_report import Line
from gpucost.core.timeline import Interval
from gpucost.offline.allocate import Answer, Question, Unpriced

COLUMNS = (
    "key",
    "cost",
    "gpuHours",
    "cpuCoreHours",
    "memoryGiBHours",
    "active",
    "held",
    "unknownActivity",
    "nonGpu",
    "gpuUtilization",
    "coverage",
)


def document(answer: Answer, question: Question) -> dict[str, Any]:
    """The result as JSON values."""
    report = answer.report
    return {
        "currency": answer.currency,
        "window": _window(answer.window),
        "split": question.split.value,
        **_weights(question),
        "by": question.by,
        "rows": [_row(line) for line in report.lines],
        "idle": {"cost": format_micro(report.idle_cost), "gpuHours": format_micro(report.idle_gpu)},
        "stranded": {"cost": format_micro(report.stranded_cost), "gpuHours": format_micro(report.stranded_gpu)},
        "total": {"cost": format_micro(report.total_cost), "gpuHours": format_micro(report.total_gpu)},
        "difference": format_micro(round(report.difference * MICRO)),
        "unpriced": [_unpriced(item) for item in answer.unpriced],
        "notes": answer.notes,
    }


def as_json(answer: Answer, question: Question) -> str:
    """The result as JSON text."""
    return msgspec.json.format(msgspec.json.encode(document(answer, question)), indent=2).decode() + "\n"


def as_csv(answer: Answer) -> str:
    """Rows, then `idle`, `stranded` and `total`, told apart by the column `kind`; null is empty."""
    report = answer.report
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(("kind", *COLUMNS))
    for line in report.lines:
        values = _row(line)
        writer.writerow(("row", *("" if values[name] is None else values[name] for name in COLUMNS)))
    rest = {
        "idle": (report.idle_cost, report.idle_gpu),
        "stranded": (report.stranded_cost, report.stranded_gpu),
        "total": (report.total_cost, report.total_gpu),
    }
    for name, (cost, gpu) in rest.items():
        writer.writerow((name, "", format_micro(cost), format_micro(gpu), *[""] * (len(COLUMNS) - 3)))
    return target.getvalue()


def hours(spans: list[Interval]) -> str:
    """How long some spans are, in hours."""
    return format_micro(round(sum(span.length for span in spans) * MICRO / HOUR))


def _row(line: Line) -> dict[str, Any]:
    return {
        "key": line.key,
        "cost": None if line.cost is None else _text(line.cost),
        "gpuHours": _text(line.gpu),
        "cpuCoreHours": _text(line.cpu),
        "memoryGiBHours": _text(line.memory),
        "active": _text(line.active),
        "held": _text(line.held),
        "unknownActivity": _text(line.unknown),
        "nonGpu": _text(line.non_gpu),
        "gpuUtilization": line.utilization,
        "coverage": line.coverage,
    }


def _text(amount: int) -> str:
    """`format_micro` for what is never negative and often nothing; a report may have a million of them."""
    if not amount:
        return "0.000000"
    digits = f"{amount:07}"
    return f"{digits[:-6]}.{digits[-6:]}"


def _window(span: Interval) -> dict[str, str]:
    return {"start": format_rfc3339(span.start), "end": format_rfc3339(span.end)}


def _weights(question: Question) -> dict[str, Any]:
    if question.weights is None:
        return {}
    weights = question.weights
    named = {"gpu": weights.gpu, "cpu": weights.cpu, "memoryGiB": weights.memory}
    return {"weights": {name: _decimal(str(float(weight))) for name, weight in named.items()}}


def _decimal(text: str) -> str:
    return text.removesuffix(".0")


def _unpriced(item: Unpriced) -> dict[str, Any]:
    return {
        "node": item.node,
        "name": item.name,
        "hours": hours(item.spans),
        "intervals": [_window(span) for span in item.spans],
    }
