"""Costs as the objects that OpenCost's clients read.

They expect the cost of a row in parts, for CPU, GPU and memory. Ours has none: a pod pays for the share of the node
that its scarcest resource takes. So the one amount is told in three, in the proportion of what was held, weighted by
OpenCost's base prices; volumes and load balancers, which have costs of their own, apart. The parts add up to the
total.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from gpucost.core.clock import HOUR, MINUTE, format_rfc3339
from gpucost.core.grouping import ASSET, LABEL, NO_LABEL
from gpucost.core.model import NodeKind
from gpucost.core.money import MICRO, Micro, apportion
from gpucost.core.report import Amounts, NodeUse, Report, Row
from gpucost.core.shares import PRESETS
from gpucost.core.timeline import Interval
from gpucost.web.opencost_query import CONTROLLERS, Query
from gpucost.web.rounding import round_together

IDLE = "__idle__"
STRANDED = "__stranded__"
UNALLOCATED = "__unallocated__"
_WEIGHTS = PRESETS["opencost"]
_NONE = frozenset({"Pod", ""})
"""Kinds of workloads that are no controllers: a pod of its own."""
_ZERO = (
    "cpuCostAdjustment", "gpuCostAdjustment", "ramCostAdjustment", "pvCostAdjustment", "loadBalancerCostAdjustment",
    "networkCostAdjustment", "cpuCostIdle", "gpuCostIdle", "ramCostIdle", "networkTransferBytes", "networkReceiveBytes",
    "networkCost", "networkCrossZoneCost", "networkCrossRegionCost", "networkInternetCost", "pvBytes", "pvByteHours",
    "sharedCost", "externalCost",
)  # fmt: skip


@dataclass
class Heap:
    """Rows of a report that share a name in the answer."""

    name: str
    properties: dict[str, Any]
    amounts: dict[NodeKind, Amounts] = field(default_factory=dict)

    def take(self, properties: Mapping[str, Any], asset: NodeKind, amounts: Amounts) -> None:
        """Add a row; properties in which rows differ are not told."""
        same = {key: value for key, value in self.properties.items() if properties.get(key) == value}
        self.properties = same
        self.amounts[asset] = self.amounts.get(asset, Amounts()) + amounts

    @property
    def total(self) -> Amounts:
        """Everything."""
        return sum(self.amounts.values(), Amounts())


def allocations(report: Report, query: Query, span: Interval, cluster: str) -> dict[str, dict[str, Any]]:
    """One set of the answer, by name, dearest first; `span` is what was asked for, also where it has not happened."""
    heaps = _heaps(report, query, cluster)
    everything = not query.filters
    rest = _unheld(report, query, cluster) if everything and (query.include_idle or query.share_idle) else []
    costs = _rounded([*heaps, *rest])
    if query.share_idle and heaps:
        costs = _shared(costs, len(heaps))
        rest = []
    last = None if query.limit is None else query.offset + query.limit
    shown = [*list(zip(heaps, costs, strict=False))[query.offset : last], *zip(rest, costs[len(heaps) :], strict=False)]
    return {heap.name: _object(heap, cost, report.span, span) for heap, cost in shown}


def _rounded(heaps: Sequence[Heap]) -> list[Micro]:
    booked = [heap.total.cost for heap in heaps]
    return round_together(booked, sum(booked))


def _shared(costs: Sequence[Micro], number: int) -> list[Micro]:
    """Hand out what nobody held in proportion to cost; where nothing has a cost, evenly."""
    own, total = costs[:number], sum(costs)
    known = sum(own)
    return apportion([Fraction(total * cost, known) if known else Fraction(total, number) for cost in own], total)


def _heaps(report: Report, query: Query, cluster: str) -> list[Heap]:
    """Rows by the name that they have in the answer, dearest first."""
    heaps: dict[str, Heap] = {}
    for row in report.rows:
        known = _known(row, query.by, cluster)
        if all(condition.accepts(_value(condition.property, known)) for condition in query.filters):
            name = "/".join(_name(part, known) for part in query.named)
            properties = _properties(known)
            heaps.setdefault(name, Heap(name, properties)).take(properties, known[ASSET], row.amounts)
    return sorted(heaps.values(), key=lambda heap: (-heap.total.cost, heap.name))


def _known(row: Row, by: str, cluster: str) -> dict[str, Any]:
    """What a row is of, by grouping."""
    known: dict[str, Any] = dict(zip(by.split(","), row.parts, strict=True))
    known[ASSET] = NodeKind(known[ASSET])
    known["cluster"] = cluster
    if row.namespace:
        known["namespace"] = row.namespace
    if row.workload is not None and row.workload.kind not in _NONE:
        known["controllerKind"], known["controller"] = row.workload.kind.lower(), row.workload.name
    return known


def _value(part: str, known: Mapping[str, Any]) -> str:
    """A property as filters see it; empty when there is none."""
    value = str(known.get(part, ""))
    return "" if part.startswith(LABEL) and value == NO_LABEL else value


def _name(part: str, known: Mapping[str, Any]) -> str:
    """A part of a row's name, as OpenCost makes it."""
    if part in CONTROLLERS:
        return known["controller"] if known.get("controllerKind") == part else UNALLOCATED
    value = _value(part, known) or UNALLOCATED
    return f"{known['controllerKind']}:{value}" if part == "controller" and value != UNALLOCATED else value


def _properties(known: Mapping[str, Any]) -> dict[str, Any]:
    names = ("cluster", "node", "namespace", "controllerKind", "controller", "pod")
    labels = {key.removeprefix(LABEL): known[key] for key in known if key.startswith(LABEL) and _value(key, known)}
    return {name: known[name] for name in names if name in known} | ({"labels": labels} if labels else {})


def _unheld(report: Report, query: Query, cluster: str) -> list[Heap]:
    """What nobody held, and what could not be given to anybody: each in one row, or one for each node."""
    rests = [(IDLE, report.idle.amounts), (STRANDED, report.stranded.amounts)]
    if not query.idle_by_node:
        return [_rest(name, {"cluster": cluster}, NodeKind.NODE, amounts) for name, amounts in rests if _any(amounts)]
    return [heap for use in report.nodes for heap in _of_node(use, cluster)]


def _of_node(use: NodeUse, cluster: str) -> Iterable[Heap]:
    properties = {"cluster": cluster, "node": use.node.name, "providerID": use.node.uid}
    for name, amounts in ((IDLE, use.idle), (STRANDED, use.stranded)):
        if _any(amounts):
            yield _rest(f"{use.node.name}/{name}", properties, use.node.kind, amounts)


def _rest(name: str, properties: dict[str, Any], asset: NodeKind, amounts: Amounts) -> Heap:
    return Heap(name, properties, {asset: amounts})


def _any(amounts: Amounts) -> bool:
    return bool(amounts.cost or amounts.held_time)


# --- one object -------------------------------------------------------------------------------------------------------


def _object(heap: Heap, cost: Micro, happened: Interval, asked: Interval) -> dict[str, Any]:
    total = heap.total
    minutes = Fraction(min(total.held_time, happened.length), MINUTE)
    unpriced = total.known_cost is None
    parts = _parts(heap, cost)
    row: dict[str, Any] = {
        "name": heap.name,
        "properties": heap.properties,
        "window": _times(asked),
        **_times(happened),
        "minutes": _number(minutes),
        **_amounts(total, minutes / 60),
        **{name: None if unpriced else part / MICRO for name, part in parts.items()},
        **dict.fromkeys(_ZERO, 0),
        "pvs": None,
        "lbAllocations": None,
        "rawAllocationOnly": None,
        "totalCost": None if unpriced else cost / MICRO,
        "totalEfficiency": _efficiency(total),
    }
    return row


def _times(span: Interval) -> dict[str, str]:
    return {"start": format_rfc3339(span.start), "end": format_rfc3339(span.end)}


def _parts(heap: Heap, cost: Micro) -> dict[str, Micro]:
    """A row's cost by what it is for, which adds up to it: assets of their own, the rest by weighted resources."""
    node = heap.amounts.get(NodeKind.NODE, Amounts())
    costs = {kind: amounts.cost for kind, amounts in heap.amounts.items()}
    booked = sum(costs.values())
    names = ("cpuCost", "gpuCost", "ramCost", "pvCost", "loadBalancerCost")
    if not booked:
        return {**dict.fromkeys(names, 0), "cpuCost": cost}
    others = [Fraction(costs.get(kind, 0)) for kind in (NodeKind.VOLUME, NodeKind.LOAD_BALANCER)]
    exact = [part * costs.get(NodeKind.NODE, 0) for part in _split(node)] + others
    return dict(zip(names, apportion([part * cost / booked for part in exact], cost), strict=True))


def _split(amounts: Amounts) -> tuple[Fraction, Fraction, Fraction]:
    """Shares of CPU, GPU and memory: resource-hours times OpenCost's base price; all CPU where nothing was held."""
    cpu = Fraction(amounts.cpu_time, 1000) * _WEIGHTS.cpu
    gpu = Fraction(amounts.gpu_time) * _WEIGHTS.gpu
    memory = Fraction(amounts.memory_time, 1024) * _WEIGHTS.memory
    whole = cpu + gpu + memory
    return (cpu / whole, gpu / whole, memory / whole) if whole else (Fraction(1), Fraction(0), Fraction(0))


def _amounts(total: Amounts, length: Fraction) -> dict[str, float | None]:
    """Resources as hours and as means over the time held; what we do not measure apart is null."""
    cpu = Fraction(total.cpu_time, 1000 * HOUR)
    gpu = Fraction(total.gpu_time, HOUR)
    memory = Fraction(total.memory_time * 2**20, HOUR)
    cores, gpus, size = (hours / length if length else Fraction(0) for hours in (cpu, gpu, memory))
    used = total.gpu_utilization
    return {
        "cpuCores": _number(cores),
        "cpuCoreRequestAverage": _number(cores),
        "cpuCoreUsageAverage": None,
        "cpuCoreHours": _number(cpu),
        "cpuEfficiency": None,
        "gpuCount": _number(gpus),
        "gpuRequestAverage": _number(gpus),
        "gpuUsageAverage": None if used is None else _number(gpus * used),
        "gpuHours": _number(gpu),
        "gpuEfficiency": _efficiency(total),
        "ramBytes": _number(size),
        "ramByteRequestAverage": _number(size),
        "ramByteUsageAverage": None,
        "ramByteHours": _number(memory),
        "ramEfficiency": None,
    }


def _efficiency(total: Amounts) -> float | None:
    return None if total.gpu_utilization is None else _number(min(total.gpu_utilization, Fraction(1)))


def _number(value: Fraction) -> float:
    """Six decimals."""
    return round(value * MICRO) / MICRO
