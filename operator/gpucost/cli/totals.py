"""Adding up rows that are shown, when what is shown is less than what was answered. Exact: decimals stay decimals."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from gpucost.web.schema import Costs

ZERO = "0.000000"
_SUMMED = (
    "gpu_hours",
    "gpu_hours_measured",
    "gpu_hours_active",
    "cpu_core_hours",
    "memory_gib_hours",
    "active",
    "held",
    "unknown_activity",
    "non_gpu",
    "spot",
    "on_demand",
)


def fixed(amount: Decimal) -> str:
    """Six decimals, as the API writes amounts."""
    return f"{amount:.6f}"


def sum_costs(rows: Sequence[Costs]) -> Costs:
    """The sum of rows; a cost is null when all are, an hourly rate when any is, coverage is the lowest one."""
    sums = {name: sum((Decimal(getattr(row, name)) for row in rows), Decimal(0)) for name in _SUMMED}
    costs = [Decimal(row.cost) for row in rows if row.cost is not None]
    rates = [Decimal(row.hourly) for row in rows if row.hourly is not None]
    covered = [row.coverage for row in rows if row.coverage is not None]
    measured = sums["gpu_hours_measured"]
    return Costs(
        cost=fixed(sum(costs, Decimal(0))) if costs or not rows else None,
        hourly=fixed(sum(rates, Decimal(0))) if len(rates) == len(rows) else None,
        gpu_utilization=round(float(sums["gpu_hours_active"] / measured), 6) if measured else None,
        coverage=min(covered, default=None),
        **{name: fixed(amount) for name, amount in sums.items()},
    )
