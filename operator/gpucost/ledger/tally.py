"""A report in the making: what it tells apart, and what has been added up so far.

Nearly all charges of a report are of pods between which it does not tell apart, so they are summed up by what it does
look at, and only then does anybody work out in which row they belong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from gpucost.core.booking import NOBODY
from gpucost.core.books import Books
from gpucost.core.grouping import LABEL, By, Group, Holder, dimensions, group_of
from gpucost.core.model import NodeKind, PodFact, Workload
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


class _Alike(dict[Any, tuple[PodFact, Sum]]):
    """Sums of pods on nodes of one kind that nothing in a report tells apart, each with one of the pods."""

    def __init__(self, look: Callable[[PodFact], Any]) -> None:
        self._look = look

    def whose(self, pod: PodFact) -> Sum:
        """The sum that a pod's charges belong to."""
        key = self._look(pod)
        found = self.get(key)
        if found is None:
            found = self[key] = pod, zero()
        return found[1]


def take_booked(tally: Tally, books: Books, span: Interval) -> None:
    """Book a span. Sums come first, and then whose they are: there are thousands of pods of a few dozen owners."""
    look = _looks(tally)
    alike = {kind: _Alike(look) for kind in NodeKind}
    unheld = defaultdict[str, dict[str, Sum]](lambda: {who: zero() for who in sorted(NOBODY)})
    by_node = tally.by_node
    tally.nodes += books.add_up(span, lambda node: Sink(alike[node.kind].whose, unheld[node.uid if by_node else ""]))
    for node_uid, nobody in unheld.items():
        for who, total in nobody.items():
            tally.take_unheld(who, node_uid, total)
    for same in alike.values():
        for pod, total in same.values():
            tally.take(holder_of(books, pod), total)


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


def _looks(tally: Tally) -> Callable[[PodFact], Any]:
    """What a report needs to know of a pod, as something to compare; the kind of its node aside."""
    return attrgetter(*dict.fromkeys(_ATTRIBUTES[name] for name in sorted(tally.needed - {"asset"})))


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
