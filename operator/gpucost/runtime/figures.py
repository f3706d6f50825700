"""Fill the exported figures from the totals of a tick."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gpucost.core.model import Category, NodeKind, Workload
from gpucost.core.money import PICO, Pico
from gpucost.core.report import Amounts
from gpucost.ledger import NodeTotal
from gpucost.runtime.accounting import Totals
from gpucost.runtime.metrics import Figures, Labels
from gpucost.runtime.world import TRAINING_JOB, World

Ended = Mapping[tuple[str, Workload], Category]
Holders = Iterable[tuple[Labels, Amounts]]
Unused = Iterable[tuple[Labels, NodeTotal]]


def fill(figures: Figures, totals: Totals, world: World, ended: Ended) -> None:
    """Take over what a tick computed; `ended` says what workloads were of which nothing lives any more."""
    holders, unused = list(_holders(totals, ended)), list(_unused(totals, world))
    figures.update_counter(figures.cost, dict(_costs(holders, unused)))
    figures.update_counter(figures.gpu_time, dict(_gpu_time(holders, unused)))
    figures.gpu_price = dict(_gpu_prices(totals))
    figures.conservation = totals.difference
    ours = (row for (_, workload), row in totals.workloads.items() if workload.kind == TRAINING_JOB)
    figures.saved = {"placement": sum(row.amounts.saved for row in ours)}
    figures.sizes = {
        "node": len(world.nodes),
        "pod": len(world.pods),
        "job": len(world.jobs),
        "trainingjob": len(world.trainingjobs),
        "pricebook": len(world.pricebooks),
    }


def _holders(totals: Totals, ended: Ended) -> Iterator[tuple[Labels, Amounts]]:
    for ((namespace, workload), kind), amounts in totals.by_capacity.items():
        row = totals.workloads.get((namespace, workload))
        category = (row.category if row is not None else None) or ended.get((namespace, workload))
        if category is not None:  # else it ended long ago, and its series with it
            yield (namespace, workload.kind, workload.name, category.value, kind.value), amounts


def _unused(totals: Totals, world: World) -> Iterator[tuple[Labels, NodeTotal]]:
    for uid, node in totals.nodes.items():
        if uid in world.nodes or node.kind is not NodeKind.NODE:
            yield ("", node.kind.value, node.name, "", ""), node


def _costs(holders: Holders, unused: Unused) -> Iterator[tuple[Labels, Pico]]:
    for labels, amounts in holders:
        if value := amounts.active:
            yield (*labels, "active"), value
        if value := amounts.held:
            yield (*labels, "held"), value
        if value := amounts.unknown_activity:
            yield (*labels, "unknown"), value
        if value := amounts.non_gpu:
            yield (*labels, "nonGpu"), value
    for labels, node in unused:
        yield (*labels, "idle"), node.idle.cost
        if node.stranded.cost:
            yield (*labels, "stranded"), node.stranded.cost


def _gpu_time(holders: Holders, unused: Unused) -> Iterator[tuple[Labels, int]]:
    for labels, amounts in holders:
        if amounts.gpu_time:
            yield (*labels, "active"), amounts.active_gpu_time
            yield (*labels, "held"), amounts.known_gpu_time - amounts.active_gpu_time
            yield (*labels, "unknown"), amounts.gpu_time - amounts.known_gpu_time
    for labels, node in unused:
        if node.idle.gpu_time:
            yield (*labels, "idle"), node.idle.gpu_time
        if node.stranded.gpu_time:
            yield (*labels, "stranded"), node.stranded.gpu_time


def _gpu_prices(totals: Totals) -> Iterator[tuple[Labels, float]]:
    for node in totals.nodes.values():
        if node.gpus and node.hourly is not None:
            yield (node.name, node.instance_type, node.price_source), float(node.hourly / node.gpus / PICO)
