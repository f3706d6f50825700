"""From charges to rows of a FOCUS data set ("Cost and Usage" 1.3), as a pure mapping.

The ledger's charge is the specification's *allocated charge*: one node's cost in one period, split over the pods that
held it. What the specification asks of such a split holds here by construction, not by rounding luck: costs are the
booked ones, and quantities and ratios are rounded together (largest remainder), so the rows of one origin add up to it
exactly.

What has no price has no row: the specification forbids both a null cost and a zero that stands for "not known". Such
time is counted beside the rows (`unpriced`), and told by whoever writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from gpucost.core.booking import IDLE, STRANDED
from gpucost.core.clock import HOUR, Instant, Micros, from_datetime, to_datetime
from gpucost.core.focus_columns import PLACES
from gpucost.core.focus_terms import Terms
from gpucost.core.model import CapacityType, Gpus, NodeKind, Resources
from gpucost.core.money import PICO, Pico, apportion_over, half_even
from gpucost.core.report import Amounts
from gpucost.core.shares import SplitKind
from gpucost.core.timeline import Interval

Row = Mapping[str, Any]
"""Values by column: text, Decimal, instants as integers of microseconds, JSON as text; None is null."""

_METHOD = "gpucost/"
REVISION = 1
"""Grows with every change of what rows say: days that were exported before are written again."""
_GIB = 1 << 30
_MIB_PER_GIB = 1024
_NOTHING = Decimal(0).scaleb(-PLACES)
_UNHELD = {IDLE: "idle", STRANDED: "stranded"}


class Thing(NamedTuple):
    """What is paid for by the hour, with the traits that a row tells."""

    uid: str
    name: str
    kind: NodeKind
    capacity: Resources
    gpus: Gpus
    """GPUs in the machine; `capacity.gpus` are those that can be held."""
    instance_type: str
    gpu_model: str
    region: str
    zone: str


class Holder(NamedTuple):
    """A pod as rows tell it; `labels` is JSON text."""

    uid: str
    namespace: str
    name: str
    workload_kind: str
    workload: str
    category: str
    labels: str


class Part(NamedTuple):
    """What one pod, or nobody (`holder` None), owes of an origin."""

    uid: str
    holder: Holder | None
    amounts: Amounts


@dataclass(frozen=True, slots=True)
class Origin:
    """One thing under one capacity type in one period, and the parts into which its cost was split."""

    thing: Thing
    capacity_type: CapacityType
    period: Interval
    terms: Terms
    parts: tuple[Part, ...]

    @property
    def cost(self) -> Pico:
        """Sum of the parts, as booked."""
        return sum(part.amounts.cost for part in self.parts)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who speaks: what the ledger does not know and the data set must name."""

    cluster: str
    currency: str = "USD"
    account: str = "gpucost"
    account_name: str = ""
    provider: str = "gpucost"
    host: str = ""
    """Name of the provider of the machines; empty: recognised by their instance types."""
    split: SplitKind = SplitKind.DOMINANT
    """How the ledger divides nodes."""


def unpriced(origin: Origin) -> Micros:
    """Time of the thing in the period in which nobody knew its price."""
    return origin.terms.unpriced


def rows_of(origin: Origin, issuer: Issuer) -> Iterator[Row]:
    """Rows of an origin: one for each part of which some time had a price."""
    told = [part for part in origin.parts if part.amounts.known_cost is not None]
    if not told:
        return
    common = _common(origin, issuer)
    hours, ratios = _apportioned(origin, told)
    consumed = _consumed(origin, told)
    for part, quantity, ratio, used in zip(told, hours, ratios, consumed, strict=True):
        yield {
            **common,
            **_costs(origin, part.amounts.cost, quantity),
            **_allocation(part, quantity, ratio),
            **_own(part),
            "ConsumedQuantity": _decimal(used),
            "ChargeDescription": _description(origin.thing, part),
        }


# --- what the rows of an origin have in common ------------------------------------------------------------------------


def _common(origin: Origin, issuer: Issuer) -> dict[str, Any]:
    thing, provider = origin.thing, issuer.provider
    return {
        **_account(issuer),
        **_periods(origin.period),
        **_service(thing.kind),
        **_sku(thing, origin.capacity_type),
        "AllocatedMethodId": f"{_METHOD}{issuer.split}",
        "AvailabilityZone": thing.zone or None,
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ConsumedUnit": _consumed_unit(thing),
        "ContractedUnitPrice": origin.terms.contracted,
        "HostProviderName": issuer.host or host_of(thing.instance_type) or provider,
        "InvoiceIssuerName": provider,
        "ListUnitPrice": origin.terms.listed,
        "PricingCategory": _PRICING[origin.capacity_type],
        "PricingUnit": "Hours",
        "ProviderName": provider,
        "PublisherName": provider,
        "RegionId": thing.region or None,
        "RegionName": thing.region or None,
        "ResourceId": thing.uid,
        "ResourceName": thing.name,
        "ResourceType": thing.kind.value,
        "ServiceProviderName": provider,
        "Tags": _tags(issuer.cluster, thing.gpu_model, origin.capacity_type),
        "x_CapacityType": origin.capacity_type.value,
        "x_GpuModel": thing.gpu_model or None,
    }


_PRICING = {
    CapacityType.ON_DEMAND: "Standard",
    CapacityType.SPOT: "Dynamic",
    CapacityType.RESERVED: "Committed",
}
_SERVICES = {
    NodeKind.NODE: ("Compute", "Virtual Machines", "Kubernetes nodes", "Node hours"),
    NodeKind.VOLUME: ("Storage", "Other (Storage)", "Kubernetes volumes", "Volume hours"),
    NodeKind.LOAD_BALANCER: (
        "Networking",
        "Application Networking",
        "Kubernetes load balancers",
        "Load balancer hours",
    ),
}


def _account(issuer: Issuer) -> dict[str, Any]:
    return {
        "BillingAccountId": issuer.account,
        "BillingAccountName": issuer.account_name or issuer.account,
        "BillingAccountType": "Organization",
        "BillingCurrency": issuer.currency,
        "SubAccountId": issuer.cluster,
        "SubAccountName": issuer.cluster,
        "SubAccountType": "Cluster",
    }


def _periods(period: Interval) -> dict[str, Any]:
    month = billing_period(period.start)
    return {
        "BillingPeriodStart": month.start,
        "BillingPeriodEnd": month.end,
        "ChargePeriodStart": period.start,
        "ChargePeriodEnd": period.end,
    }


def billing_period(at: Instant) -> Interval:
    """The calendar month (UTC) around an instant."""
    first = to_datetime(at).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return Interval(from_datetime(first), from_datetime(following))


def _service(kind: NodeKind) -> dict[str, Any]:
    category, subcategory, name, meter = _SERVICES[kind]
    return {"ServiceCategory": category, "ServiceSubcategory": subcategory, "ServiceName": name, "SkuMeter": meter}


def _sku(thing: Thing, capacity_type: CapacityType) -> dict[str, Any]:
    size = thing.capacity
    sku = thing.instance_type or (f"{thing.gpus}x{thing.gpu_model}" if thing.gpu_model else thing.kind.value)
    details = {
        "InstanceType": thing.instance_type,
        "CoreCount": _number(Fraction(size.cpu_milli, 1000)),
        "GpuCount": _number(Fraction(thing.gpus)),
        "MemorySize": half_even(Fraction(size.memory, _GIB)),
        "DiskSpace": _number(Fraction(size.storage, _GIB)),
    }
    known = {key: value for key, value in details.items() if value}
    return {
        "SkuId": sku,
        "SkuPriceId": "/".join(part for part in (sku, thing.region, capacity_type.value) if part),
        "SkuPriceDetails": _json(known) if known else None,
    }


_HOSTS = (
    ("AWS", re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)?\.(\d*x?large|medium|small|micro|nano|metal(-\d+xl)?)")),
    ("Microsoft", re.compile(r"Standard_[A-Z]\S+")),
    (
        "Google Cloud",
        re.compile(r"[a-z]\d[a-z]?-(standard|highmem|highcpu|highgpu|megagpu|ultragpu|edgegpu|maxgpu)\S*"),
    ),
)


def host_of(instance_type: str) -> str:
    """Whose machine an instance type is, by the form of its name; empty where no form fits."""
    return next((host for host, form in _HOSTS if form.fullmatch(instance_type)), "")


@lru_cache(maxsize=1024)
def _tags(cluster: str, gpu_model: str, capacity_type: CapacityType) -> str:
    tags = {"gpucost.dev/capacity-type": capacity_type.value, "gpucost.dev/cluster": cluster}
    return _json({**tags, "gpucost.dev/gpu-model": gpu_model} if gpu_model else tags)


# --- what differs -----------------------------------------------------------------------------------------------------


def _apportioned(origin: Origin, told: Sequence[Part]) -> tuple[list[int], list[int]]:
    """Hours of the whole thing and ratios, both in units of 10^-12, in proportion to the booked cost."""
    weights = [part.amounts.cost for part in told]
    if not sum(weights):  # so little that it was rounded to nothing
        weights = [1] * len(told)
    total = sum(weights)
    hours = apportion_over([weight * origin.terms.priced * PICO for weight in weights], total * HOUR)
    return hours, apportion_over([weight * PICO for weight in weights], total)


def _consumed(origin: Origin, told: Sequence[Part]) -> list[int]:
    """Quantities held, in units of 10^-12 of `ConsumedUnit`."""
    unit = _consumed_unit(origin.thing)
    amounts = [part.amounts for part in told]
    if unit == "GPU-Hours":
        return apportion_over([a.gpu_time * PICO for a in amounts], HOUR)
    if unit == "Core-Hours":
        return apportion_over([a.cpu_time * PICO for a in amounts], 1000 * HOUR)
    if unit == "GiB-Hours":
        return apportion_over([origin.thing.capacity.storage * a.held_time * PICO for a in amounts], _GIB * HOUR)
    return apportion_over([a.held_time * PICO for a in amounts], HOUR)


def _consumed_unit(thing: Thing) -> str:
    if thing.kind is NodeKind.NODE:
        return "GPU-Hours" if thing.capacity.gpus else "Core-Hours"
    return "GiB-Hours" if thing.kind is NodeKind.VOLUME and thing.capacity.storage else "Hours"


def _costs(origin: Origin, cost: Pico, quantity: int) -> dict[str, Any]:
    terms, booked, hours = origin.terms, _decimal(cost), _decimal(quantity)
    listed = _product(terms.listed, quantity)
    committed = origin.capacity_type is CapacityType.RESERVED
    return {
        "BilledCost": booked,
        "EffectiveCost": booked,
        "ContractedCost": _product(terms.contracted, quantity) if committed else booked,
        "ListCost": booked if terms.listed == terms.contracted and not committed else listed,
        "PricingQuantity": hours,
    }


def _product(price: Decimal, quantity: int) -> Decimal:
    return _decimal(half_even(Fraction(price) * quantity))


def _allocation(part: Part, quantity: int, ratio: int) -> dict[str, Any]:
    holder = part.holder
    return {
        "AllocatedMethodDetails": (
            f'{{"Elements":[{{"AllocatedRatio":{_text(ratio)},"UsageUnit":"Hours","UsageQuantity":{_text(quantity)}}}]}}'
        ),
        "AllocatedResourceId": part.uid if holder is not None else None,
        "AllocatedResourceName": f"{holder.namespace}/{holder.name}" if holder is not None else None,
        "AllocatedTags": _holder_tags(holder) if holder is not None else None,
    }


@lru_cache(maxsize=4096)
def _holder_tags(holder: Holder) -> str:
    return _json(
        {
            **json.loads(holder.labels),
            "gpucost.dev/namespace": holder.namespace,
            "gpucost.dev/workload": f"{holder.workload_kind}/{holder.workload}",
            "gpucost.dev/category": holder.category,
        }
    )


def _own(part: Part) -> dict[str, Any]:
    amounts, holder, state = part.amounts, part.holder, _UNHELD.get(part.uid, "allocated")
    coverage = amounts.coverage
    return {
        "x_ActiveCost": _decimal(amounts.active),
        "x_Category": holder.category if holder else None,
        "x_CpuCoreHours": _hours(amounts.cpu_time, 1000),
        "x_GpuActiveHours": _hours(amounts.active_gpu_time) if amounts.known_gpu_time else None,
        "x_GpuHours": _hours(amounts.gpu_time),
        "x_GpuMeasuredHours": _hours(amounts.known_gpu_time),
        "x_HeldCost": _decimal(amounts.held),
        "x_HeldHours": _hours(amounts.held_time),
        "x_IdleCost": _decimal(amounts.cost if state == "idle" else 0),
        "x_MemoryGibHours": _hours(amounts.memory_time, _MIB_PER_GIB),
        "x_Namespace": holder.namespace if holder else None,
        "x_NonGpuCost": _decimal(amounts.non_gpu),
        "x_PricedCoverage": None if coverage is None else _decimal(half_even(coverage * PICO)),
        "x_State": state,
        "x_StrandedCost": _decimal(amounts.cost if state == "stranded" else 0),
        "x_UnknownActivityCost": _decimal(amounts.unknown_activity),
        "x_UnpricedHours": _hours(amounts.unpriced_time),
        "x_WorkloadKind": holder.workload_kind if holder else None,
        "x_WorkloadName": holder.workload if holder else None,
    }


def _description(thing: Thing, part: Part) -> str:
    if part.holder is None:
        what = "Nobody held" if part.uid == IDLE else "Nobody can be given"
        return f"{what} this part of {thing.kind.value} {thing.name}"
    return f"Pod {part.holder.namespace}/{part.holder.name} on {thing.kind.value} {thing.name}"


# --- numbers ----------------------------------------------------------------------------------------------------------


def _decimal(units: int) -> Decimal:
    return Decimal(units).scaleb(-PLACES) if units else _NOTHING


def _hours(micros: int, per_unit: int = 1) -> Decimal:
    return _decimal(apportion_over([micros * PICO], per_unit * HOUR)[0]) if micros else _NOTHING


def _text(units: int) -> str:
    """A non-negative number as JSON: no exponent and no zeros at its end."""
    whole, rest = divmod(units, PICO)
    return f"{whole}.{rest:0{PLACES}d}".rstrip("0").rstrip(".")


def _number(value: Fraction) -> int | float:
    """For JSON: an integer where it is one."""
    return int(value) if value.denominator == 1 else float(round(value, 6))


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
