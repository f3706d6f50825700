"""Costs read from the status of TrainingJobs, for when the cost API does not answer.

The operator writes `status.cost` as it goes, so what was known before it went away is still there. These are totals
since each job began, not of a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

from gpucost.cli.totals import ZERO, fixed, sum_costs
from gpucost.core.training.runs.child import parent_of
from gpucost.web.schema import Allocation, AllocationList, Metadata, Quality, Remainder, Window

_NEVER = "1970-01-01T00:00:00Z"


def from_statuses(items: Iterable[Mapping[str, Any]], by: str) -> AllocationList:
    """A list of TrainingJobs as a list of costs; `by` is namespace or workload.

    The runs of a schedule are in the cost of the schedule, with those that are deleted: they are not listed beside it.
    """
    items = _without_runs_of_schedules(items)
    rows = [_row(item) for item in items if (item.get("status") or {}).get("cost")]
    if by == "namespace":
        rows = _by_namespace(rows)
    as_of = [(item.get("status") or {}).get("cost", {}).get("asOf") for item in items]
    latest = max((text for text in as_of if text), default=_NEVER)
    nothing = Remainder(cost=ZERO, hourly=ZERO, gpu_hours=ZERO)
    return AllocationList(
        currency=_currency(items),
        window=Window(start=_NEVER, end=latest),
        by=by,
        items=tuple(sorted(rows, key=lambda row: (row.cost is None, -Decimal(row.cost or 0)))),
        idle=nothing,
        stranded=nothing,
        total=sum_costs(rows),
        difference=ZERO,
        quality=Quality(as_of=latest),
    )


def _without_runs_of_schedules(items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    listed = list(items)
    uids = {item["metadata"].get("uid") for item in listed}
    return [item for item in listed if (parent := parent_of(item["metadata"])) is None or parent[1] not in uids]


def _currency(items: Iterable[Mapping[str, Any]]) -> str:
    found = ((item.get("status") or {}).get("cost", {}).get("currency") for item in items)
    return next((text for text in found if text), "USD")


def _row(item: Mapping[str, Any]) -> Allocation:
    metadata, cost = item["metadata"], item["status"]["cost"]
    name, namespace = metadata["name"], metadata["namespace"]
    held, total = Decimal(cost.get("wasted") or 0), Decimal(cost.get("total") or 0)
    return Allocation(
        metadata=Metadata(name=f"trainingjob.{name}", namespace=namespace),
        key=f"{namespace}/TrainingJob/{name}",
        namespace=namespace,
        workload=f"TrainingJob/{name}",
        category="training",
        pods=0,
        cost=fixed(total) if cost.get("total") is not None else None,
        hourly=cost.get("hourly") and fixed(Decimal(cost["hourly"])),
        gpu_hours=fixed(Decimal(cost.get("gpuHours") or 0)),
        gpu_hours_measured=ZERO,
        gpu_hours_active=ZERO,
        cpu_core_hours=ZERO,
        memory_gib_hours=ZERO,
        active=ZERO,
        held=fixed(held),
        unknown_activity=fixed(total - held),
        non_gpu=ZERO,
        spot=fixed(Decimal(cost.get("spot") or 0)),
        on_demand=fixed(Decimal(cost.get("onDemand") or 0)),
        gpu_utilization=None,
        coverage=float(cost["coverage"]) if cost.get("coverage") is not None else None,
    )


def _by_namespace(rows: Sequence[Allocation]) -> list[Allocation]:
    def namespace(row: Allocation) -> str:
        return row.namespace or ""

    result = []
    for name, members in groupby(sorted(rows, key=namespace), key=namespace):
        costs = sum_costs(list(members)).model_dump()
        labels = {"key": name, "namespace": name, "workload": None, "category": None, "pods": 0}
        result.append(Allocation(metadata=Metadata(name=name, namespace=name), **labels, **costs))
    return result
