"""Prices, reports of runs and savings as a `Table`, which is what plain kubectl asks for: `kubectl get savings`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gpucost.web.schema import Metadata
from gpucost.web.schema_estimates import OfferList
from gpucost.web.schema_runs import RunReport, RunSimulation, SavingList
from gpucost.web.table import fixed, lines


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
    return lines(columns, rows)


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
                fixed(one.cost, 2, none="unpriced"),
                fixed(one.otherwise, 2, none="unpriced"),
                fixed(one.saved, 2, none="unpriced"),
                document.currency,
            ),
        )
        for one in document.items
    ]
    total = fixed(document.total, 2, none="unpriced")
    rows.append((Metadata(name="total"), ("(total)", "", "", "", "", total, document.currency)))
    return lines(columns, rows)


def of_run(document: RunReport) -> dict[str, Any]:
    """One line."""
    columns = ("Name", "State", "GPU-Hours", "Cost", "Saved", "Wasted", "Per-Step", "Currency")
    total = document.total
    wasted = sum((Decimal(one.cost) for one in document.waste if one.cost is not None), Decimal(0))
    step = document.progress.cost_per_step if document.progress is not None else None
    cells = (
        document.metadata.name,
        document.state,
        fixed(total.gpu_hours, 2, none="unpriced"),
        fixed(total.cost, 2, none="unpriced"),
        fixed(total.saved, 2, none="unpriced"),
    )
    rest = (fixed(str(wasted), 2), step or "-", document.currency)
    return lines(columns, [(document.metadata, cells + rest)])


def of_simulation(document: RunSimulation) -> dict[str, Any]:
    """A line per policy."""
    columns = ("Policy", "Cost-Low", "Cost-High", "Done-By", "Late", "Spot-Hours", "On-Demand-Hours")
    rows = [
        (
            document.metadata,
            (
                one.policy,
                fixed(one.cost_low, 2, none="unpriced"),
                fixed(one.cost_high, 2, none="unpriced"),
                one.done_by or "-",
                "yes" if one.missed else "no",
                fixed(one.spot_hours, 2, none="unpriced"),
                fixed(one.on_demand_hours, 2, none="unpriced"),
            ),
        )
        for one in document.courses
    ]
    return lines(columns, rows)
