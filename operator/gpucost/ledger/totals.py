"""What every pass of the operator asks for: running totals and present rates, from open hours plus settled sums.

Computed once for an instant. The hours before the present one are booked once and kept; the present one is booked up to
the instant, which is what a pass costs.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from gpucost.core.booking import IDLE, STRANDED
from gpucost.core.books import Books
from gpucost.core.clock import Instant, from_datetime, to_datetime
from gpucost.core.model import CapacityType, Category, Gpus, NodeKind, Workload
from gpucost.core.money import Pico
from gpucost.core.pricing import priced_gpus
from gpucost.core.report import Amounts, Row
from gpucost.core.timeline import Interval
from gpucost.ledger.charges import Sum, zero
from gpucost.ledger.settled import NOTHING, NodeSum, Sums, Unheld, WorkloadKey, key_of, plus


@dataclass(frozen=True, slots=True)
class NodeTotal:
    """Cost of one living node since its start: what pods held of it, what idled and what nobody could be given."""

    uid: str
    name: str
    used: Amounts
    idle: Amounts
    stranded: Amounts
    hourly: Pico | None
    """Price of the node per hour."""
    price_source: str
    kind: NodeKind = NodeKind.NODE
    instance_type: str = ""
    gpus: Gpus = 0
    """GPUs that the price is for, however they are cut up and handed out."""


@dataclass
class Live:
    """What somebody's pods cost per hour right now; `hourly` None as soon as one of them has no price."""

    hourly: Pico | None = 0
    pods: int = 0
    category: Category | None = None
    workload: Workload | None = None
    """Whose these pods are, if they are one's."""

    def take(self, rate: Pico | None, category: Category) -> None:
        """Add a pod."""
        self.hourly = None if rate is None or self.hourly is None else self.hourly + rate
        self.pods += 1
        self.category = category if self.category is None else min(self.category, category)


_NOBODY = Live()


def month_start(now: Instant) -> Instant:
    """First instant of the month, UTC."""
    return from_datetime(to_datetime(now).replace(day=1, hour=0, minute=0, second=0, microsecond=0))


def _known_sum(total: Pico | None, rate: Pico | None) -> Pico | None:
    return None if total is None or rate is None else total + rate


@dataclass
class Rates:
    """Who holds what right now, and at which rate."""

    pods: dict[str, Pico | None] = field(default_factory=dict)
    nodes: dict[str, Pico | None] = field(default_factory=dict)
    idle: Pico | None = 0
    stranded: Pico | None = 0
    idle_of: dict[str, Pico | None] = field(default_factory=dict)
    """By node."""

    @classmethod
    def of(cls, books: Books, now: Instant) -> Rates:
        """Rates of everything that lives at an instant."""
        rates = cls()
        for node in books.alive(Interval(now, now + 1)):
            parts = books.hourly(node.uid, now)
            known = [rate for rate in parts.values() if rate is not None]
            rates.nodes[node.uid] = sum(known) if len(known) == len(parts) else None
            idle = rates.idle_of[node.uid] = parts.pop(IDLE, 0)
            rates.idle = _known_sum(rates.idle, idle)
            rates.stranded = _known_sum(rates.stranded, parts.pop(STRANDED, 0))
            rates.pods.update(parts)
        return rates


@dataclass
class Pass:
    """The open hours summed up to `now`, and the rates at `now`."""

    now: Instant
    version: int
    month: Instant
    open: Sums
    rates: Rates
    live: dict[WorkloadKey, Live]
    namespaces: dict[str, Live]
    _kinds: dict[WorkloadKey, Mapping[CapacityType, Amounts]] = field(default_factory=dict)
    """Totals of workloads since the beginning. A pass does not outlive a change of the settled sums."""

    @classmethod
    def of(cls, books: Books, now: Instant, watermark: Instant | None) -> Pass:
        """Sum up everything that is not settled."""
        month, earliest = month_start(now), books.earliest()
        since = watermark if watermark is not None else earliest
        unsettled = books.bookings(Interval(now if since is None else since, now))
        sums = Sums.of(unsettled, books, month)
        rates = Rates.of(books, now)
        live: dict[WorkloadKey, Live] = {}
        namespaces: dict[str, Live] = {}
        for uid, rate in rates.pods.items():
            pod = books.pods[uid]
            live.setdefault(key_of(pod), Live(workload=pod.workload)).take(rate, pod.category)
            namespaces.setdefault(pod.namespace, Live()).take(rate, pod.category)
        return cls(now, books.version, month, sums, rates, live, namespaces)

    @property
    def nodes(self) -> Iterable[str]:
        """UIDs of the living nodes."""
        return self.rates.nodes.keys()

    @property
    def difference(self) -> Pico:
        """Of the open hours."""
        return self.open.difference

    def workload_rows(self, settled: Sums, also: Iterable[WorkloadKey]) -> dict[tuple[str, Workload], Row]:
        """Totals since the beginning."""
        return {
            (key[0], whose): self._workload(key, whose, kinds) for key, whose, kinds in self._workloads(settled, also)
        }

    def _workload(self, key: WorkloadKey, whose: Workload, kinds: Mapping[CapacityType, Amounts]) -> Row:
        live = self.live.get(key, _NOBODY)
        amounts = next(iter(kinds.values())) if len(kinds) == 1 else sum(kinds.values(), Amounts())
        return Row("/".join(key), amounts, live.hourly, key[0], whose, live.category, live.pods)

    def _workloads(
        self, settled: Sums, also: Iterable[WorkloadKey]
    ) -> Iterator[tuple[WorkloadKey, Workload, Mapping[CapacityType, Amounts]]]:
        """Whatever lives or is asked for, with its totals by how nodes are paid for; added up once in a pass."""
        for key in dict.fromkeys([*self.live, *also]):
            live, kinds = self.live.get(key), self._kinds.get(key)
            if kinds is None:
                kinds = self._kinds[key] = self._added(settled.workloads.get(key), self.open.workloads.get(key))
            yield key, Workload(*key[1:]) if live is None or live.workload is None else live.workload, kinds

    def _added(
        self, before: Mapping[CapacityType, Sum] | None, present: Mapping[CapacityType, Sum] | None
    ) -> dict[CapacityType, Amounts]:
        if not before or not present:
            return {kind: Amounts._make(total) for kind, total in sorted((before or present or {}).items())}
        return {
            kind: Amounts._make(map(operator.add, before.get(kind, NOTHING), present.get(kind, NOTHING)))
            for kind in sorted(before.keys() | present.keys())
        }

    def capacity_amounts(
        self, settled: Sums, also: Iterable[WorkloadKey]
    ) -> dict[tuple[tuple[str, Workload], CapacityType], Amounts]:
        """Totals since the beginning, by how their nodes are paid for."""
        return {
            ((key[0], whose), kind): amounts
            for key, whose, kinds in self._workloads(settled, also)
            for kind, amounts in kinds.items()
        }

    def unheld_amounts(self, settled: Sums) -> dict[Unheld, Amounts]:
        """Totals of what idled and of what was stranded, by how the node is paid for."""
        before, present = settled.unheld, self.open.unheld
        return {
            key: Amounts(*plus(before.get(key, NOTHING), present.get(key, NOTHING)))
            for key in sorted({*before, *present})
        }

    def namespace_rows(self, settled: Sums) -> dict[str, Row]:
        """Totals of the month."""
        names = sorted({*settled.namespaces, *self.open.namespaces, *self.namespaces})
        return {name: self._namespace(name, settled) for name in names}

    def _namespace(self, name: str, settled: Sums) -> Row:
        total = zero()
        for sums in (settled, self.open):
            total = plus(total, sums.namespaces.get(name, NOTHING))
        live = self.namespaces.get(name, _NOBODY)
        return Row(key=name, amounts=Amounts(*total), hourly=live.hourly, namespace=name, pods=live.pods)

    def node_rows(self, settled: Sums, books: Books) -> dict[str, NodeTotal]:
        """Totals of living nodes."""
        return {uid: self._node(uid, rate, settled, books) for uid, rate in self.rates.nodes.items()}

    def _node(self, uid: str, rate: Pico | None, settled: Sums, books: Books) -> NodeTotal:
        used, idle, stranded = zero(), zero(), zero()
        for sums in (settled, self.open):
            part = sums.nodes.get(uid, NodeSum())
            used, idle, stranded = plus(used, part.used), plus(idle, part.idle), plus(stranded, part.stranded)
        price = books.timeline(uid).at(self.now)
        source = price.source if price is not None else ""
        fact = books.nodes[uid]
        return NodeTotal(
            uid=uid,
            name=fact.name,
            used=Amounts(*used),
            idle=Amounts(*idle),
            stranded=Amounts(*stranded),
            hourly=rate,
            price_source=source,
            kind=fact.kind,
            instance_type=fact.instance_type,
            gpus=priced_gpus(fact),
        )
