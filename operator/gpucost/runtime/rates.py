"""What a run costs per hour on spot and on on-demand capacity, from the prices of the nodes that it has or had last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from gpucost.core.clock import MINUTE, Instant
from gpucost.core.model import CapacityType, Node, NodeFact, Pod
from gpucost.core.money import PICO
from gpucost.core.report import Row
from gpucost.runtime.prices import Prices

_KEPT = MINUTE
Pair = tuple[Decimal, Decimal]


@dataclass
class Rates:
    """Prices of both capacity types for runs; those of a node are looked up once a minute."""

    prices: Prices
    facts: Mapping[str, NodeFact]
    """Nodes of the recorder, by UID."""
    nodes: Mapping[str, Node]
    """Living nodes, by name."""
    _of_node: dict[str, tuple[Instant, Pair | None]] = field(default_factory=dict)
    _last: dict[str, Pair] = field(default_factory=dict)

    def of(self, uid: str, pods: Sequence[Pod], row: Row | None, now: Instant) -> Pair | None:
        """Spot and on-demand price of a whole run per hour; what it was last while it has no nodes; None: unknown."""
        names = {pod.node_name for pod in pods if pod.node_name is not None and pod.ended is None}
        found = [self._node(self.nodes[name], now) for name in sorted(names) if name in self.nodes]
        known = [pair for pair in found if pair is not None]
        if known and len(known) == len(found):
            whole = sum(pair[0] for pair in known), sum(pair[1] for pair in known)
            self._last[uid] = self._share(whole, names, row, now)
        return self._last.get(uid)

    def _share(
        self, whole: tuple[Decimal | int, Decimal | int], names: set[str], row: Row | None, now: Instant
    ) -> Pair:
        """The run's part of its nodes, from what it pays per hour now."""
        spot, on_demand = Decimal(whole[0]), Decimal(whole[1])
        if row is None or not row.hourly:
            return spot, on_demand
        paid = sum((self._paid(self.nodes[name], now) for name in names if name in self.nodes), start=Decimal(0))
        part = Decimal(row.hourly) / PICO / paid if paid else Decimal(1)
        return spot * part, on_demand * part

    def _paid(self, node: Node, now: Instant) -> Decimal:
        pair, fact = self._node(node, now), self.facts.get(node.uid)
        if pair is None or fact is None:
            return Decimal(0)
        return pair[0] if fact.capacity_type is CapacityType.SPOT else pair[1]

    def _node(self, node: Node, now: Instant) -> Pair | None:
        cached = self._of_node.get(node.uid)
        if cached is None or now - cached[0] >= _KEPT:
            cached = self._of_node[node.uid] = now, self._looked_up(node)
        return cached[1]

    def _looked_up(self, node: Node) -> Pair | None:
        fact = self.facts.get(node.uid)
        if fact is None:
            return None
        here = self.prices.of(fact, node)[-1:]
        if not here or here[0].hourly is None:
            return None
        if fact.capacity_type is CapacityType.SPOT:
            return None if here[0].on_demand is None else (here[0].hourly, here[0].on_demand)
        spot = self._as_spot(fact, node)
        return None if spot is None else (spot, here[0].hourly)

    def _as_spot(self, fact: NodeFact, node: Node) -> Decimal | None:
        """What the same machine would cost as spot capacity."""
        labels = {key: value for key, value in node.labels.items() if not key.startswith("eks-node-viewer/")}
        other = replace(node, uid=f"{node.uid}?", price_annotation=None, labels=labels)
        twin = replace(fact, uid=other.uid, capacity_type=CapacityType.SPOT)
        found = self.prices.of_the_past(twin, other)[-1:]
        return found[0].hourly if found else None

    def forget(self, living: frozenset[str]) -> None:
        """Keep what is asked about: runs and nodes that exist."""
        self._last = {uid: pair for uid, pair in self._last.items() if uid in living}
        nodes = {node.uid for node in self.nodes.values()}
        self._of_node = {uid: one for uid, one in self._of_node.items() if uid in nodes}
