"""A report in the making: what it tells apart, and what has been added up so far.

Nearly all charges of a report are of pods between which it does not tell apart, so they are summed up by what it does
look at, and only then does anybody work out in which row they belong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any

from gpucost.core.allocate import Look
from gpucost.core.booking import NOBODY
from gpucost.core.books import Books
from gpucost.core.grouping import LABEL, By, Group, Holder, dimensions, group_of
from gpucost.core.model import NodeFact, NodeKind, PodFact, Workload
from gpucost.core.money import Pico
from gpucost.core.report import Amounts
from gpucost.core.selector import Selector
from gpucost.core.summing import Sink
from gpucost.core.timeline import Interval
from gpucost.ledger.charges import Sum, zero
from gpucost.ledger.settled import NOTHING, plus
from gpucost.ledger.totals import Live, Rates

_NEEDED: dict[str, frozenset[str]] = {
    "namespace": frozenset({"namespace"}),
    "workload": frozenset({"namespace", "kind", "workload", "category"}),
    "pod": frozenset({"namespace", "kind", "workload", "category", "pod"}),
    "node": frozenset({"namespace", "node"}),
    "category": frozenset({"namespace", "category"}),
    "asset": frozenset({"namespace", "asset"}),
}
_LABELS = frozenset({"labels"}) | _NEEDED["namespace"]


@dataclass
class Tally:
    """A report in the making."""

    by: By
    namespace: str | None
    selector: Selector | None
    groups: dict[str, Group] = field(default_factory=dict)
    sums: dict[str, Sum] = field(default_factory=dict)
    unheld: dict[str, dict[str, Sum]] = field(default_factory=lambda: {who: {} for who in NOBODY})
    """What idled and what was stranded, by node."""
    used: dict[str, Sum] = field(default_factory=dict)
    """By node, where the grouping tells nodes apart."""
    nodes: Pico = 0
    """What the nodes cost, by their own integration."""
    labels: set[str] = field(default_factory=set)

    @property
    def needed(self) -> frozenset[str]:
        """What the grouping and the selector look at."""
        needed = frozenset().union(*(_NEEDED.get(part, _LABELS) for part in dimensions(self.by)))
        return needed | _LABELS if self.selector is not None else needed

    @property
    def by_node(self) -> bool:
        """Whether the grouping tells nodes apart."""
        return "node" in dimensions(self.by)

    @property
    def by_label(self) -> bool:
        """Whether a label is grouped by."""
        return any(part.startswith(LABEL) for part in dimensions(self.by))

    @property
    def whole(self) -> bool:
        """Whether everything is asked for; only then is there idle cost, which belongs to nobody in particular."""
        return self.namespace is None and self.selector is None

    def wants(self, holder: Holder) -> bool:
        """Whether a holder is asked for."""
        if self.namespace is not None and holder.namespace != self.namespace:
            return False
        return self.selector is None or self.selector.matches(holder.labels)

    def take(self, holder: Holder, values: Sum | tuple[int, ...]) -> None:
        """Add what a holder owes, if it is asked for."""
        if self.wants(holder):
            group = group_of(self.by, holder)
            known = self.groups.setdefault(group.key, group)
            if _precedence(group) < _precedence(known):
                self.groups[group.key] = group  # pods that differ share a row: one answer in whatever order
            self.sums[group.key] = plus(self.sums.get(group.key, NOTHING), values)
            if self.by_label:
                self.labels.update(holder.labels)
            if self.by_node:
                self.used[holder.node_uid] = plus(self.used.get(holder.node_uid, NOTHING), values)

    def take_unheld(self, who: str, node_uid: str, values: Sum | tuple[int, ...]) -> None:
        """Add what idled on a node, or was stranded there."""
        nodes = self.unheld[who]
        nodes[node_uid] = plus(nodes.get(node_uid, NOTHING), values)

    def nobody(self, who: str) -> Amounts:
        """What idled, or was stranded, on all nodes."""
        return sum((Amounts(*total) for total in self.unheld[who].values()), Amounts())


def _precedence(group: Group) -> tuple[str, str, str]:
    workload = group.workload or Workload("", "")
    return (group.category or "", workload.kind, workload.name)


def holder_of(books: Books, pod: PodFact) -> Holder:
    """Whom a pod's charges are for."""
    node = books.nodes[pod.node_uid]
    return Holder(pod.namespace, pod.workload, pod.category, pod.name, pod.node_uid, node.name, pod.labels, node.kind)


def take_booked(tally: Tally, books: Books, span: Interval) -> None:
    """Book a span. Sums come first, and then whose they are: there are thousands of pods of a few dozen owners."""
    look, by_node = _looks(tally), tally.by_node
    alike = {kind: defaultdict[Any, Sum](zero) for kind in NodeKind}
    unheld = defaultdict[str, dict[str, Sum]](lambda: {who: zero() for who in sorted(NOBODY)})
    together = {kind: Sink(alike[kind], look, unheld[""]) for kind in NodeKind}

    def sink(node: NodeFact) -> Sink:
        return Sink(alike[node.kind], look, unheld[node.uid]) if by_node else together[node.kind]

    tally.nodes += books.add_up(span, sink)
    for node_uid, nobody in unheld.items():
        for who, total in nobody.items():
            if any(total):  # a node of which nothing idled is not told of
                tally.take_unheld(who, node_uid, total)
    for pod, total in _with_a_pod(alike, books, look):
        tally.take(holder_of(books, pod), total)


def _with_a_pod(alike: Mapping[NodeKind, dict[Any, Sum]], books: Books, look: Look) -> Iterator[tuple[PodFact, Sum]]:
    """Each of the sums with the first of the pods that it may be of."""
    missing = sum(map(len, alike.values()))
    for pod in books.pods.values():
        if not missing:
            return
        node = books.nodes.get(pod.node_uid)
        found = None if node is None else alike[node.kind].pop(look(pod), _NONE)
        if found:
            missing -= 1
            yield pod, found


_NONE: Sum = []


_ATTRIBUTES = {
    "namespace": "namespace",
    "kind": "workload",
    "workload": "workload",
    "category": "category",
    "pod": "name",
    "node": "node_uid",
    "labels": "uid",
}
"""Where a pod has what a report needs; labels are a pod's own."""


def _looks(tally: Tally) -> Look:
    """What a report needs to know of a pod, as something to compare; the kind of its node aside."""
    return _look(tally.needed - {"asset"})


@lru_cache
def _look(needed: frozenset[str]) -> Look:
    return attrgetter(*dict.fromkeys(_ATTRIBUTES[name] for name in sorted(needed)))


def live_of(books: Books, rates: Rates, tally: Tally) -> dict[str, Live]:
    """Present rates by the keys of the rows that they belong to."""
    look, keys, live = _looks(tally), dict[tuple[NodeKind, Any], str | None](), dict[str, Live]()
    for uid, rate in rates.pods.items():
        pod = books.pods[uid]
        same = (books.nodes[pod.node_uid].kind, look(pod))
        if same not in keys:
            holder = holder_of(books, pod)
            keys[same] = group_of(tally.by, holder).key if tally.wants(holder) else None
        key = keys[same]
        if key is not None:
            live.setdefault(key, Live()).take(rate, pod.category)
    return live
