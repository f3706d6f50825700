"""Facts as rows and back."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from gpucost.core.activity import to_ppm
from gpucost.core.model import (
    CapacityType,
    Category,
    EarlierSize,
    Gap,
    Gpus,
    NeedFact,
    NodeFact,
    NodeKind,
    PodFact,
    PriceFact,
    Resources,
    UsageFact,
    Workload,
)
from gpucost.core.timeline import Interval

Row = dict[str, Any]


def _size(amounts: Resources) -> Row:
    return {
        "cpu_milli": amounts.cpu_milli,
        "memory": amounts.memory,
        "gpus": str(amounts.gpus),
        "storage": amounts.storage,
    }


def _resources(row: Any) -> Resources:
    return Resources(cpu_milli=row.cpu_milli, memory=row.memory, gpus=_gpus(row.gpus), storage=row.storage)


def _gpus(text: str) -> Gpus:
    """Read `8` or `3/7`."""
    return Fraction(text) if "/" in text else int(text)


def node_row(fact: NodeFact) -> Row:
    """A node's row."""
    return {
        "uid": fact.uid,
        "name": fact.name,
        "start": fact.start,
        "ended": fact.end,
        **_size(fact.capacity),
        "instance_type": fact.instance_type,
        "gpu_model": fact.gpu_model,
        "region": fact.region,
        "zone": fact.zone,
        "capacity_type": fact.capacity_type.value,
        "kind": fact.kind.value,
        "physical_gpus": str(fact.physical_gpus),
        "stranded_gpus": str(fact.stranded_gpus),
        "earlier": json.dumps([_earlier_row(size) for size in fact.earlier], separators=(",", ":")),
    }


def _earlier_row(size: EarlierSize) -> Row:
    return {
        "until": size.until,
        **_size(size.capacity),
        "physical_gpus": str(size.physical_gpus),
        "stranded_gpus": str(size.stranded_gpus),
    }


def _earlier_sizes(text: str) -> tuple[EarlierSize, ...]:
    if text == "[]":
        return ()
    found = (SimpleNamespace(**size) for size in json.loads(text))
    return tuple(
        EarlierSize(one.until, _resources(one), _gpus(one.physical_gpus), _gpus(one.stranded_gpus)) for one in found
    )


def node_fact(row: Any) -> NodeFact:
    """A node from its row."""
    return NodeFact(
        uid=row.uid,
        name=row.name,
        start=row.start,
        end=row.ended,
        capacity=_resources(row),
        instance_type=row.instance_type,
        gpu_model=row.gpu_model,
        region=row.region,
        zone=row.zone,
        capacity_type=CapacityType(row.capacity_type),
        kind=NodeKind(row.kind),
        physical_gpus=_gpus(row.physical_gpus),
        stranded_gpus=_gpus(row.stranded_gpus),
        earlier=_earlier_sizes(row.earlier),
    )


def price_row(fact: PriceFact) -> Row:
    """A price's row; the amount as it was written."""
    return {
        "node_uid": fact.node_uid,
        "start": fact.start,
        "hourly": None if fact.hourly is None else f"{fact.hourly:f}",
        "capacity_type": fact.capacity_type.value,
        "source": fact.source,
        "on_demand": None if fact.on_demand is None else f"{fact.on_demand:f}",
    }


def price_fact(row: Any) -> PriceFact:
    """A price from its row."""
    hourly = None if row.hourly is None else Decimal(row.hourly)
    on_demand = None if row.on_demand is None else Decimal(row.on_demand)
    return PriceFact(row.node_uid, row.start, hourly, CapacityType(row.capacity_type), row.source, on_demand)


def pod_row(fact: PodFact) -> Row:
    """A pod's row."""
    return {
        "uid": fact.uid,
        "namespace": fact.namespace,
        "name": fact.name,
        "workload_kind": fact.workload.kind,
        "workload_name": fact.workload.name,
        "category": fact.category.value,
        "node_uid": fact.node_uid,
        "start": fact.start,
        "ended": fact.end,
        **_size(fact.requests),
        "labels": json.dumps(dict(fact.labels), sort_keys=True, separators=(",", ":")),
        "end_reason": fact.end_reason,
        "note": fact.note,
    }


def pod_fact(row: Any) -> PodFact:
    """A pod from its row."""
    return PodFact(
        uid=row.uid,
        namespace=sys.intern(row.namespace),
        name=row.name,
        workload=Workload(sys.intern(row.workload_kind), row.workload_name),
        category=Category(row.category),
        node_uid=row.node_uid,
        start=row.start,
        end=row.ended,
        requests=_resources(row),
        labels=json.loads(row.labels),
        end_reason=row.end_reason,
        note=row.note,
    )


def need_row(fact: NeedFact) -> Row:
    """The row of what a pod counts for."""
    return {"pod_uid": fact.pod_uid, "start": fact.start, **_size(fact.needs)}


def need_fact(row: Any) -> NeedFact:
    """What a pod counts for, from its row."""
    return NeedFact(row.pod_uid, row.start, _resources(row))


def usage_row(fact: UsageFact) -> Row:
    """A usage value's row, in millionths."""
    return {"pod_uid": fact.pod_uid, "start": fact.start, "ppm": to_ppm(fact.gpu_active)}


def gap_row(fact: Gap) -> Row:
    """A gap's row."""
    return {"uid": fact.uid, "start": fact.span.start, "ended": fact.span.end, "reason": fact.reason}


def gap_fact(row: Any) -> Gap:
    """A gap from its row."""
    return Gap(row.uid, Interval(row.start, row.ended), row.reason)
