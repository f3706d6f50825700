"""What became of each node's money, as the API writes it: computing, held for nothing, idle, stranded, not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from gpucost.core.money import MICRO, Micro, format_micro, format_pico, to_micro
from gpucost.core.report import NodeUse, Report, Row
from gpucost.web import schema
from gpucost.web.rounding import hours, parts_of, ratio, round_together

Sitters = Mapping[str, Sequence[schema.Sitter]]


def splits(report: Report) -> tuple[schema.NodeSplit, ...]:
    """The nodes of a report, dearest first; their costs add up to its total."""
    uses = sorted(report.nodes, key=lambda use: (-use.cost, use.node.name, use.node.uid))
    costs = round_together([use.cost for use in uses], sum(use.cost for use in uses))
    return tuple(_split(use, cost) for use, cost in zip(uses, costs, strict=True))


def with_sitters(document: schema.AllocationList, report: Report, most: int) -> schema.AllocationList:
    """The same with up to `most` pods for each node that held GPUs for nothing; `report` is by node and pod."""
    found = _sitters(report.rows, most)
    nodes = (node.model_copy(update={"sitters": tuple(found.get(node.key, ()))}) for node in document.nodes)
    return document.model_copy(update={"nodes": tuple(nodes)})


def _split(use: NodeUse, cost: Micro) -> schema.NodeSplit:
    node, used, idle = use.node, use.used, use.idle
    pods = (used.active, used.held, used.unknown_activity, used.non_gpu)
    active, held, unknown, other, unheld, stranded = parts_of((*pods, idle.cost, use.stranded.cost), cost)
    return schema.NodeSplit(
        key=node.uid,
        name=node.name,
        kind=node.kind.value,
        instance_type=node.instance_type,
        gpu_model=node.gpu_model,
        gpus=format_micro(round(Fraction(node.capacity.gpus) * MICRO)),
        capacity_type=node.capacity_type.value,
        cost=None if (used + idle + use.stranded).known_cost is None else format_micro(cost),
        hourly=None if use.hourly is None else format_pico(use.hourly),
        idle_hourly=None if use.idle_hourly is None else format_pico(use.idle_hourly),
        gpu_hours=hours(used.gpu_time),
        idle_gpu_hours=hours(idle.gpu_time),
        active=format_micro(active),
        held=format_micro(held),
        unknown_activity=format_micro(unknown),
        non_gpu=format_micro(other),
        idle=format_micro(unheld),
        stranded=format_micro(stranded),
    )


def _sitters(rows: Iterable[Row], most: int) -> dict[str, list[schema.Sitter]]:
    """Pods that held GPUs for nothing, by UID of the node, worst first."""
    found: dict[str, list[schema.Sitter]] = {}
    for row in sorted(rows, key=lambda row: (-row.amounts.held, row.key)):
        node_uid, _, pod = row.key.partition("/")
        pods = found.setdefault(node_uid, [])
        if to_micro(row.amounts.held) > 0 and len(pods) < most:
            pods.append(_sitter(row, pod))
    return found


def _sitter(row: Row, pod: str) -> schema.Sitter:
    return schema.Sitter(
        pod=pod,
        workload=f"{row.workload.kind}/{row.workload.name}" if row.workload else None,
        held=format_micro(to_micro(row.amounts.held)),
        gpu_hours=hours(row.amounts.gpu_time),
        gpu_utilization=ratio(row.amounts.gpu_utilization),
        hourly=None if row.hourly is None else format_pico(row.hourly),
    )
