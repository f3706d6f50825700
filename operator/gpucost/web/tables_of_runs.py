"""Prices, reports of runs and savings as a `Table`, which is what plain kubectl asks for: `kubectl get savings`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from gpucost.web.schema import Metadata
from gpucost.web.schema_estimates import OfferList
from gpucost.web.schema_runs import RunReport, RunSimulation, SavingList
from gpucost.web.table import table


def of_offers(document: OfferList) -> dict[str, Any]:
    """A line per price."""
    columns = ("Name", "GPU", "Instance", "Capacity", "Low", "Typical", "High", "Source")
    rows = [
        (
            one.metadata,
            (
                one.metadata.name,
                one.gpu_model or "unknown",
                one.instance_type or "any",
                one.capacity_type,
                one.low,
                one.typical,
                one.high,
                one.source,
            ),
        )
        for one in document.items
    ]
    return _table(columns, rows)


def of_savings(document: SavingList) -> dict[str, Any]:
    """A line per namespace and means, and the sum."""
    columns = ("Name", "Policy", "Workloads", "Cost", "Otherwise", "Saved", "Currency")
    rows = [
        (
            one.metadata,
            (
                one.metadata.name,
                one.policy,
                str(one.workloads),
                _money(one.cost),
                _money(one.otherwise),
                _money(one.saved),
                document.currency,
            ),
        )
        for one in document.items
    ]
    rows.append((Metadata(name="total"), ("(total)", "", "", "", "", _money(document.total), document.currency)))
    return _table(columns, rows)


def of_run(document: RunReport) -> dict[str, Any]:
    """One line."""
    columns = ("Name", "State", "GPU-Hours", "Cost", "Saved", "Wasted", "Per-Step", "Currency")
    total = document.total
    wasted = sum((Decimal(one.cost) for one in document.waste if one.cost is not None), Decimal(0))
    step = document.progress.cost_per_step if document.progress is not None else None
    cells = (document.metadata.name, document.state, _money(total.gpu_hours), _money(total.cost), _money(total.saved))
    rest = (_money(str(wasted)), step or "-", document.currency)
    return _table(columns, [(document.metadata, cells + rest)])


def of_simulation(document: RunSimulation) -> dict[str, Any]:
    """A line per policy."""
    columns = ("Policy", "Cost-Low", "Cost-High", "Done-By", "Late", "Spot-Hours", "On-Demand-Hours")
    rows = [
        (
            document.metadata,
            (
                one.policy,
                _money(one.cost_low),
                _money(one.cost_high),
                one.done_by or "-",
                "yes" if one.missed else "no",
                _money(one.spot_hours),
                _money(one.on_demand_hours),
            ),
        )
        for one in document.courses
    ]
    return _table(columns, rows)


def _table(columns: Sequence[str], rows: Iterable[tuple[Metadata, Sequence[str]]]) -> dict[str, Any]:
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


def _money(text: str | None) -> str:
    return "unpriced" if text is None else f"{Decimal(text):.2f}"
