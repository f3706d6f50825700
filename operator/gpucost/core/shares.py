"""What a pod's needs are as a share of a node: the splits of a node's price that one may choose from.

Shares are integers over one denominator per node, so that sums of them are exact without rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import lcm
from typing import Protocol

from gpucost.core.model import Gpus, NodeFact, NodeKind, Resources


class Split(Protocol):
    """A way to divide a node among those who hold parts of it."""

    def unit(self, node: NodeFact, gpus: Iterable[Gpus]) -> int:
        """Units of share that the whole node has, fine enough for whoever holds such amounts of GPUs."""

    def units(self, needs: Resources, node: NodeFact, unit: int) -> int:
        """Share of whoever has such needs, from 0 to `unit`."""

    def stranded(self, node: NodeFact, unit: int) -> int:
        """Share that nobody can be given."""


class DominantShare:
    """The largest of the shares of GPUs, CPU and memory, over the resources that the node has."""

    def unit(self, node: NodeFact, gpus: Iterable[Gpus]) -> int:
        """See `Split`."""
        size = node.capacity
        if node.kind is not NodeKind.NODE:
            return 1
        parts = lcm(size.gpus.denominator, *(amount.denominator for amount in gpus))
        return lcm(int(size.gpus * parts) or 1, size.cpu_milli or 1, size.memory or 1)

    def units(self, needs: Resources, node: NodeFact, unit: int) -> int:
        """See `Split`; at most the whole node."""
        size = node.capacity
        if node.kind is not NodeKind.NODE:
            return unit
        share = 0
        if size.gpus:
            share = int(min(needs.gpus, size.gpus) * unit // size.gpus)
        if size.cpu_milli:
            share = max(share, min(needs.cpu_milli, size.cpu_milli) * (unit // size.cpu_milli))
        if size.memory:
            share = max(share, min(needs.memory, size.memory) * (unit // size.memory))
        return share

    def stranded(self, node: NodeFact, unit: int) -> int:  # noqa: ARG002
        """None: its money is in the shares of those who hold the rest."""
        return 0


DOMINANT = DominantShare()
