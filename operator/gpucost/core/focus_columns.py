"""The columns of the FOCUS export, in one table: what writes files, what checks rows and the reference read it.

Names, types, levels and allowed values are those of the FinOps Open Cost and Usage Specification 1.3, data set "Cost
and Usage"; columns of our own begin with `x_`, as it wants. Its own columns come first, each group in alphabetical
order.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FOCUS_VERSION = "1.3"
PLACES = 12
"""Decimal places of every number: those in which the ledger books."""


class Kind(StrEnum):
    """Type of a column's values."""

    STRING = "String"
    DECIMAL = "Decimal"
    DATETIME = "Date/Time"
    JSON = "JSON"


class Level(StrEnum):
    """How far the specification asks for a column."""

    MANDATORY = "Mandatory"
    CONDITIONAL = "Conditional"
    RECOMMENDED = "Recommended"
    CUSTOM = "Custom"


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `meaning` says what gpucost puts there."""

    name: str
    kind: Kind
    level: Level
    nullable: bool
    meaning: str
    allowed: tuple[str, ...] = ()
    """The values that gpucost may write, all of them allowed by the specification; empty when it names none."""


_S, _D, _T, _J = Kind.STRING, Kind.DECIMAL, Kind.DATETIME, Kind.JSON
_M, _C, _R, _X = Level.MANDATORY, Level.CONDITIONAL, Level.RECOMMENDED, Level.CUSTOM

COLUMNS: tuple[Column, ...] = (
    Column(
        "AllocatedMethodDetails",
        _J,
        _R,
        True,
        "Part of the origin charge in `Elements[0].AllocatedRatio`; the parts of one origin add up to exactly 1.",
    ),
    Column(
        "AllocatedMethodId",
        _S,
        _C,
        True,
        "How the cost of a node was split.",
        ("gpucost/dominantShare", "gpucost/gpuOnly", "gpucost/weighted"),
    ),
    Column(
        "AllocatedResourceId",
        _S,
        _C,
        True,
        "UID of the pod (of the claim for a volume, of the Service for a load balancer); null for what nobody held.",
    ),
    Column("AllocatedResourceName", _S, _C, True, "`namespace/name` of the pod; null for what nobody held."),
    Column(
        "AllocatedTags",
        _J,
        _C,
        True,
        "The pod's labels, with `gpucost.dev/namespace`, `gpucost.dev/workload` and `gpucost.dev/category`.",
    ),
    Column("AvailabilityZone", _S, _R, True, "Zone of the node."),
    Column("BilledCost", _D, _M, False, "Cost as booked in the ledger; adds up to it exactly."),
    Column("BillingAccountId", _S, _M, False, "As set; `gpucost` when nothing is."),
    Column("BillingAccountName", _S, _M, True, "As set; the same as the ID when nothing is."),
    Column("BillingAccountType", _S, _C, False, "What a billing account is here.", ("Organization",)),
    Column("BillingCurrency", _S, _M, False, "ISO 4217 code of the currency of every cost."),
    Column("BillingPeriodEnd", _T, _M, False, "First instant of the next month, UTC."),
    Column("BillingPeriodStart", _T, _M, False, "First instant of the month, UTC."),
    Column("ChargeCategory", _S, _M, False, "Everything is use of something that costs by the hour.", ("Usage",)),
    Column(
        "ChargeClass",
        _S,
        _M,
        True,
        "Always null: a correction replaces the files of its day and adds no rows.",
        ("Correction",),
    ),
    Column("ChargeDescription", _S, _M, True, "The charge in words."),
    Column("ChargeFrequency", _S, _R, False, "How often such a charge comes.", ("Usage-Based",)),
    Column(
        "ChargePeriodEnd", _T, _M, False, "End of the day or hour, not included; of what is booked if that is less."
    ),
    Column("ChargePeriodStart", _T, _M, False, "Start of the day or hour, UTC."),
    Column("CommitmentDiscountCategory", _S, _C, True, "Always null, see `CommitmentDiscountId`.", ("Spend", "Usage")),
    Column(
        "CommitmentDiscountId",
        _S,
        _C,
        True,
        "Always null: the ledger knows that a node is reserved, not under which commitment.",
    ),
    Column("CommitmentDiscountName", _S, _C, True, "Always null."),
    Column("CommitmentDiscountQuantity", _D, _C, True, "Always null."),
    Column("CommitmentDiscountStatus", _S, _C, True, "Always null.", ("Used", "Unused")),
    Column("CommitmentDiscountType", _S, _C, True, "Always null."),
    Column("CommitmentDiscountUnit", _S, _C, True, "Always null."),
    Column("ConsumedQuantity", _D, _C, True, "What was held, in `ConsumedUnit`."),
    Column(
        "ConsumedUnit",
        _S,
        _C,
        True,
        "`GPU-Hours` of a node with GPUs, `Core-Hours` of one without, `GiB-Hours` of a volume, `Hours` of the rest.",
        ("GPU-Hours", "Core-Hours", "GiB-Hours", "Hours"),
    ),
    Column("ContractApplied", _J, _C, True, "Always null: the ledger knows of no contracts."),
    Column(
        "ContractedCost",
        _D,
        _M,
        False,
        "`ContractedUnitPrice` x `PricingQuantity`: the booked cost; of reserved nodes what they would cost without.",
    ),
    Column("ContractedUnitPrice", _D, _C, True, "Price of the whole node per hour; the mean where it changed."),
    Column("EffectiveCost", _D, _M, False, "The same as `BilledCost`: nothing is paid in advance in this data."),
    Column(
        "HostProviderName",
        _S,
        _M,
        False,
        "As set; else recognised by the name of the instance type; else the same as `ServiceProviderName`.",
    ),
    Column("InvoiceId", _S, _R, True, "Always null: the ledger issues no invoices."),
    Column("InvoiceIssuerName", _S, _M, False, "The same as `ServiceProviderName`."),
    Column(
        "ListCost",
        _D,
        _M,
        False,
        "`ListUnitPrice` x `PricingQuantity`: what the same would have cost on demand, where that is known.",
    ),
    Column("ListUnitPrice", _D, _C, True, "On-demand price of the whole node per hour; the price paid where unknown."),
    Column(
        "PricingCategory",
        _S,
        _C,
        True,
        "`Standard` on demand, `Dynamic` for spot, `Committed` for reserved.",
        ("Standard", "Dynamic", "Committed"),
    ),
    Column(
        "PricingQuantity",
        _D,
        _M,
        True,
        "Hours of the whole node: the charge's part of the priced hours of its origin, to which they add up exactly.",
    ),
    Column("PricingUnit", _S, _M, True, "Unit of `PricingQuantity`.", ("Hours",)),
    Column("ProviderName", _S, _M, False, "The same as `ServiceProviderName`, by which 1.3 replaces it."),
    Column("PublisherName", _S, _M, False, "The same as `ServiceProviderName`; deprecated in 1.3."),
    Column("RegionId", _S, _C, True, "Region of the node."),
    Column("RegionName", _S, _C, True, "The same as `RegionId`: nodes tell no other name."),
    Column("ResourceId", _S, _C, True, "UID of the node, volume or load balancer."),
    Column("ResourceName", _S, _C, True, "Its name."),
    Column("ResourceType", _S, _C, True, "What it is.", ("Node", "Volume", "LoadBalancer")),
    Column("ServiceCategory", _S, _M, False, "Class of the service.", ("Compute", "Storage", "Networking")),
    Column(
        "ServiceName",
        _S,
        _M,
        False,
        "What is used.",
        ("Kubernetes nodes", "Kubernetes volumes", "Kubernetes load balancers"),
    ),
    Column("ServiceProviderName", _S, _M, False, "As set; `gpucost` when nothing is."),
    Column(
        "ServiceSubcategory",
        _S,
        _R,
        False,
        "Class within `ServiceCategory`.",
        ("Virtual Machines", "Other (Storage)", "Application Networking"),
    ),
    Column("SkuId", _S, _C, True, "Instance type; where a node tells none, its GPUs; else its kind."),
    Column("SkuMeter", _S, _C, True, "What is metered.", ("Node hours", "Volume hours", "Load balancer hours")),
    Column("SkuPriceDetails", _J, _C, True, "`InstanceType`, `GpuCount`, `CoreCount`, `MemorySize`, `DiskSpace`."),
    Column("SkuPriceId", _S, _C, True, "`SkuId/region/capacity type`: what has a price of its own."),
    Column("SubAccountId", _S, _C, True, "The cluster."),
    Column("SubAccountName", _S, _C, True, "The cluster."),
    Column("SubAccountType", _S, _C, True, "What a sub account is here.", ("Cluster",)),
    Column("Tags", _J, _C, True, "Of the node: `gpucost.dev/cluster`, `/capacity-type` and `/gpu-model`."),
    Column("x_ActiveCost", _D, _X, False, "Part of the cost in which the GPUs held computed."),
    Column("x_CapacityType", _S, _X, False, "How the node was paid for.", ("onDemand", "spot", "reserved")),
    Column("x_Category", _S, _X, True, "Cost driver of the workload."),
    Column("x_CpuCoreHours", _D, _X, False, "CPU held, in core-hours."),
    Column(
        "x_GpuActiveHours", _D, _X, True, "GPU-hours that computed, of those measured; null when none was measured."
    ),
    Column("x_GpuHours", _D, _X, False, "GPU-hours held."),
    Column("x_GpuMeasuredHours", _D, _X, False, "GPU-hours whose activity was measured."),
    Column("x_GpuModel", _S, _X, True, "Model of the node's GPUs."),
    Column("x_HeldCost", _D, _X, False, "Part of the cost in which the GPUs held did not compute."),
    Column("x_HeldHours", _D, _X, False, "Hours in which it was held, with or without a price."),
    Column("x_IdleCost", _D, _X, False, "Cost of what nobody held; equals the cost where `x_State` is `idle`."),
    Column("x_MemoryGibHours", _D, _X, False, "Memory held, in GiB-hours."),
    Column("x_Namespace", _S, _X, True, "Namespace of the pod."),
    Column("x_NonGpuCost", _D, _X, False, "Cost of what holds no GPUs."),
    Column("x_PricedCoverage", _D, _X, True, "Priced part of the time held, 0..1; below 1 the cost is incomplete."),
    Column("x_State", _S, _X, False, "Who has it: a pod, nobody, or nobody can.", ("allocated", "idle", "stranded")),
    Column("x_StrandedCost", _D, _X, False, "Cost of GPU parts that nobody can be given."),
    Column("x_UnknownActivityCost", _D, _X, False, "Part of the cost in which nobody measured whether GPUs computed."),
    Column("x_UnpricedHours", _D, _X, False, "Hours held without a known price; they cost nothing here."),
    Column("x_WorkloadKind", _S, _X, True, "Kind of the workload, such as `TrainingJob`."),
    Column("x_WorkloadName", _S, _X, True, "Name of the workload."),
)

NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)

STATE_COSTS = (
    "x_ActiveCost",
    "x_HeldCost",
    "x_IdleCost",
    "x_NonGpuCost",
    "x_StrandedCost",
    "x_UnknownActivityCost",
)
"""These add up to `BilledCost` in every row."""

_INTRO = f"""\
# Columns of the FOCUS export

Generated from `operator/gpucost/core/focus_columns.py` by `make crds`. Data set "Cost and Usage" of FOCUS
{FOCUS_VERSION}. How to make and read the export: [guide](../guide/focus.md).

* `Decimal` has {PLACES} places: `decimal128(38, {PLACES})` in Parquet, a plain decimal in CSV. Never a float.
* `Date/Time` is UTC: a timestamp with microseconds in Parquet, `2026-11-03T00:00:00Z` in CSV.
* `JSON` is a string that holds a JSON object. Null is a null in Parquet and an empty field in CSV.
* An *origin* is one node (or volume, or load balancer) under one capacity type in one charge period. Its rows have the
  same `ResourceId`, `ChargePeriodStart` and `x_CapacityType`, and their costs, quantities and ratios add up to the
  origin's.

| Column | Type | Level | Null | What gpucost writes |
|---|---|---|---|---|
"""


def render_reference() -> str:
    """`docs/reference/focus.md`."""
    return _INTRO + "".join(f"{_line(column)}\n" for column in COLUMNS)


def _line(column: Column) -> str:
    values = f" One of {', '.join(f'`{value}`' for value in column.allowed)}." if len(column.allowed) > 1 else ""
    only = f" `{column.allowed[0]}`." if len(column.allowed) == 1 and not column.nullable else ""
    null = "yes" if column.nullable else "no"
    return f"| `{column.name}` | {column.kind} | {column.level} | {null} | {column.meaning}{values}{only} |"
