"""Costs as a `Table`, which is what plain kubectl asks for: `kubectl get allocations -n research`.

Shape: Kubernetes API reference, `Table` of `meta.k8s.io/v1`. Amounts have two decimals here, as people read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from gpucost.web.schema import Allocation, AllocationList, Costs, Explanation, Line, Metadata, Remainder

ACCEPT = "as=Table"

_COLUMNS: tuple[tuple[str, str, int, str], ...] = (
    ("Name", "name", 0, "Workload, as kind.name."),
    ("GPU-Hours", "", 0, "GPUs held times hours."),
    ("Util", "", 0, "Share of the measured GPU time in which the GPUs computed."),
    ("Cost", "", 0, "Cost in the window."),
    ("Wasted", "", 0, "Cost of GPUs that were held and measured as not computing."),
    ("Hourly", "", 0, "Cost per hour right now."),
    ("Currency", "", 1, "Currency of the amounts."),
    ("CPU-Hours", "", 1, "CPU cores held times hours."),
    ("Memory-GiB-Hours", "", 1, "Memory held times hours."),
    ("Spot", "", 1, "The part of the cost that was spot capacity."),
    ("On-Demand", "", 1, "The part of the cost that was on-demand capacity."),
    ("Coverage", "", 1, "Share of the time that had a price."),
)
_LINE_COLUMNS: tuple[tuple[str, str, int, str], ...] = (
    ("Pod", "", 0, "Name of the pod."),
    ("Node", "", 0, "Name of the node."),
    ("Start", "date-time", 0, "First instant."),
    ("Hours", "", 0, "Length in hours."),
    ("Share", "", 0, "The pod's share of the node."),
    ("Price", "", 0, "Price of the node per hour."),
    ("Cost", "", 0, "Hours x share x price."),
    ("Capacity", "", 1, "Capacity type of the node."),
    ("Source", "", 1, "Where the price comes from."),
)


def of_list(document: AllocationList, include_object: str) -> dict[str, Any]:
    """A list as a table; idle and stranded capacity come last, where there is any."""
    rows = [_row(_cells(item, item.metadata.name, document.currency), item, include_object) for item in document.items]
    for name, remainder in (("(idle)", document.idle), ("(stranded)", document.stranded)):
        if Decimal(remainder.cost or 0) or Decimal(remainder.gpu_hours):
            cells = _remainder_cells(name, remainder, document.currency)
            rows.append(_row(cells, Metadata(name=name.strip("()")), include_object))
    return table(_COLUMNS, rows)


def of_explanation(document: Explanation, include_object: str) -> dict[str, Any]:
    """An explanation as a table: its lines, and their sum."""
    meta = document.metadata
    rows = [_row(_line_cells(line), meta, include_object) for line in document.lines]
    total = document.total.cost or "unpriced"
    rows.append(_row(["(total)", "", "", "", "", "", total, "", ""], meta, include_object))
    return table(_LINE_COLUMNS, rows)


def table(columns: tuple[tuple[str, str, int, str], ...], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A `Table`; columns are name, format, priority and description."""
    definitions = [
        {"name": name, "type": "string", "format": form, "description": about, "priority": priority}
        for name, form, priority, about in columns
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": ""},
        "columnDefinitions": definitions,
        "rows": rows,
    }


def lines(columns: Sequence[str], rows: Iterable[tuple[Metadata, Sequence[str]]]) -> dict[str, Any]:
    """A `Table` of columns that their names explain, with a line for each object."""
    definitions = tuple((name, "name" if name == "Name" else "", 0, name) for name in columns)
    shown = []
    for meta, cells in rows:
        partial = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": meta.model_dump(exclude_none=True),
        }
        shown.append({"cells": list(cells), "object": partial})
    return table(definitions, shown)


def fixed(text: str | None, places: int, *, none: str = "-") -> str:
    """An amount with so many decimals."""
    return none if text is None else f"{Decimal(text):.{places}f}"


def _row(cells: list[str], source: Allocation | Metadata, include_object: str) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": cells}
    meta = source if isinstance(source, Metadata) else source.metadata
    if include_object == "Metadata":
        fields = meta.model_dump(exclude_none=True)
        row["object"] = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": fields}
    elif include_object == "Object" and isinstance(source, Allocation):
        row["object"] = source.model_dump(mode="json", by_alias=True)
    return row


def _cells(costs: Costs, name: str, currency: str) -> list[str]:
    return [
        name,
        fixed(costs.gpu_hours, 1),
        _percent(costs.gpu_utilization, held=bool(Decimal(costs.gpu_hours))),
        fixed(costs.cost, 2, none="unpriced"),
        _wasted(costs),
        fixed(costs.hourly, 2, none="unpriced"),
        currency,
        fixed(costs.cpu_core_hours, 1),
        fixed(costs.memory_gib_hours, 1),
        fixed(costs.spot, 2),
        fixed(costs.on_demand, 2),
        _percent(costs.coverage),
    ]


def _remainder_cells(name: str, remainder: Remainder, currency: str) -> list[str]:
    cost = fixed(remainder.cost, 2, none="unpriced")
    hourly = fixed(remainder.hourly, 2, none="unpriced")
    return [name, fixed(remainder.gpu_hours, 1), "-", cost, cost, hourly, currency, "", "", "", "", ""]


def _line_cells(line: Line) -> list[str]:
    price = "unpriced" if line.hourly is None else line.hourly
    return [
        line.pod,
        line.node,
        line.start,
        line.hours,
        line.share,
        price,
        line.cost or "unpriced",
        line.capacity_type,
        line.price_source,
    ]


def _wasted(costs: Costs) -> str:
    if not Decimal(costs.gpu_hours):
        return "-"
    return fixed(costs.held, 2) if Decimal(costs.gpu_hours_measured) else "unknown"


def _percent(ratio: float | None, *, held: bool = False) -> str:
    if ratio is None:
        return "unknown" if held else "-"
    return f"{ratio:.0%}"
