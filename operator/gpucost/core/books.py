"""A set of facts, indexed so that any node-hour can be booked from it; bookings are kept until a fact changes them.

The operator keeps one of these for the hours that are not settled yet; the ledger fills another from its tables when a
report or a late fact needs hours that are. Both book with the same code, which is why they agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from gpucost.core.activity import Activity, to_ppm
from gpucost.core.allocate import FOREVER, Lane, Stretch, lane, price_timeline
from gpucost.core.booking import Booking, book, hourly, hours
from gpucost.core.clock import HOUR, Instant, floor_to
from gpucost.core.model import Gap, NeedFact, NodeFact, PodFact, PriceFact, Resources, UsageFact
from gpucost.core.money import Pico
from gpucost.core.shares import DOMINANT, Split
from gpucost.core.summing import Sink, add_up, take
from gpucost.core.timeline import Interval, Timeline

Fact = NodeFact | PriceFact | PodFact | NeedFact | UsageFact | Gap


def merge_pod(old: PodFact | None, new: PodFact) -> PodFact:
    """What holds after both were written, in whichever order: an end that was seen is not unseen."""
    return old if old is not None and old.end is not None and new.end is None else new


def merge_node(old: NodeFact | None, new: NodeFact) -> NodeFact:
    """As `merge_pod`, but what is known of the node's traits may still improve."""
    return replace(new, end=old.end) if old is not None and old.end is not None and new.end is None else new


_NEVER: Timeline[Resources] = Timeline((), ())


def _drop_from(kept: dict[Instant, Any], start: Instant) -> None:
    """Drop what was computed for hours that an instant falls into or precedes."""
    for hour in [hour for hour in kept if hour + HOUR > start]:
        del kept[hour]


@dataclass
class Books:
    """Facts by their identities. Pods of a node that is not known (yet) cost nothing until it is."""

    nodes: dict[str, NodeFact] = field(default_factory=dict)
    pods: dict[str, PodFact] = field(default_factory=dict)
    prices: dict[str, dict[Instant, PriceFact]] = field(default_factory=dict)
    activities: dict[str, Activity] = field(default_factory=dict)
    needs: dict[str, Timeline[Resources]] = field(default_factory=dict)
    split: Split = DOMINANT
    pods_of: dict[str, dict[str, PodFact]] = field(default_factory=dict)
    version: int = 0
    """Grows with every change."""
    changes: int = 0
    """Grows with every change of who holds what at which price, which is not what GPUs do."""
    _lanes: dict[str, dict[Instant, Lane]] = field(default_factory=dict)
    _timelines: dict[str, Timeline[PriceFact]] = field(default_factory=dict)
    _full: dict[str, dict[Instant, Booking]] = field(default_factory=dict)
    _rates: dict[str, tuple[Stretch, dict[str, Pico | None]]] = field(default_factory=dict)
    """Rates of the stretch that was asked for last: they do not change within it."""

    # --- facts --------------------------------------------------------------------------------------------------------

    def put(self, facts: Iterable[Fact]) -> None:
        """Take in facts, in any order and as often as one likes. Gaps do not change cost and are not kept here."""
        needs: dict[str, dict[Instant, Resources]] = {}
        for fact in facts:
            match fact:
                case PodFact():
                    self._put_pod(fact)
                case UsageFact():
                    self._put_usage(fact)
                case NeedFact():
                    needs.setdefault(fact.pod_uid, {})[fact.start] = fact.needs
                case NodeFact():
                    self.nodes[fact.uid] = merge_node(self.nodes.get(fact.uid), fact)
                    self._changed(fact.uid)
                case PriceFact():
                    self.prices.setdefault(fact.node_uid, {})[fact.start] = fact
                    self._changed(fact.node_uid)
                case Gap():
                    pass
        for uid, steps in needs.items():
            self._put_needs(uid, steps)
        self.version += 1

    def replace_prices(self, node_uid: str, prices: Iterable[PriceFact]) -> None:
        """Forget a node's prices and take these."""
        self.prices[node_uid] = {price.start: price for price in prices}
        self._changed(node_uid)
        self.version += 1

    def _put_pod(self, fact: PodFact) -> None:
        old = self.pods.get(fact.uid)
        merged = merge_pod(old, fact)
        if old is not None and old.node_uid != merged.node_uid:
            self.pods_of[old.node_uid].pop(old.uid)
            self._changed(old.node_uid)
        self.pods[fact.uid] = merged
        self.pods_of.setdefault(merged.node_uid, {})[fact.uid] = merged
        self._changed(merged.node_uid)

    def _put_needs(self, uid: str, steps: dict[Instant, Resources]) -> None:
        self.needs[uid] = self.needs.get(uid, _NEVER).with_steps(steps)
        pod = self.pods.get(uid)
        if pod is not None:
            self._changed_from(pod.node_uid, min(steps))

    def _put_usage(self, fact: UsageFact) -> None:
        self.activities.setdefault(fact.pod_uid, Activity()).put(fact.start, to_ppm(fact.gpu_active))
        pod = self.pods.get(fact.pod_uid)
        if pod is not None:
            _drop_from(self._full.get(pod.node_uid, {}), fact.start)

    def _changed_from(self, node_uid: str, start: Instant) -> None:
        """Who holds how much changed from an instant on."""
        self.changes += 1
        _drop_from(self._lanes.get(node_uid, {}), start)
        _drop_from(self._full.get(node_uid, {}), start)

    def _changed(self, node_uid: str) -> None:
        self.changes += 1
        self._lanes.pop(node_uid, None)
        self._full.pop(node_uid, None)
        self._timelines.pop(node_uid, None)
        self._rates.pop(node_uid, None)

    # --- booking ------------------------------------------------------------------------------------------------------

    def timeline(self, node_uid: str) -> Timeline[PriceFact]:
        """Prices of a node in order."""
        known = self._timelines.get(node_uid)
        if known is None:
            known = self._timelines[node_uid] = price_timeline(self.prices.get(node_uid, {}).values())
        return known

    def lane(self, node_uid: str, hour: Instant) -> Lane:
        """Stretches of a node in a full hour; what has not ended is taken to last through it."""
        lanes = self._lanes.setdefault(node_uid, {})
        known = lanes.get(hour)
        if known is None:
            span = Interval(hour, hour + HOUR)
            pods = self.pods_of.get(node_uid, {}).values()
            near = (p for p in pods if p.start < span.end and (p.end is None or p.end > span.start))
            node, prices = self.nodes[node_uid], self.timeline(node_uid)
            known = lanes[hour] = lane(node, prices, near, span, needs=self.needs, split=self.split)
        return known

    def alive(self, span: Interval) -> Iterator[NodeFact]:
        """Nodes that exist at some time of a span, in a fixed order."""
        for uid in sorted(self.nodes):
            node = self.nodes[uid]
            if node.start < span.end and (FOREVER if node.end is None else node.end) > span.start:
                yield node

    def book(self, node_uid: str, span: Interval) -> Booking:
        """Book (part of) one hour of a node."""
        hour = floor_to(span.start, HOUR)
        whole = span.length == HOUR
        if whole and (known := self._full.get(node_uid, {}).get(hour)) is not None:
            return known
        booking = book(self.lane(node_uid, hour), self.timeline(node_uid), self.activities, span)
        if whole:
            self._full.setdefault(node_uid, {})[hour] = booking
        return booking

    def bookings(self, span: Interval) -> Iterator[Booking]:
        """Book a span, hour by hour and node by node."""
        for part in hours(span):
            for node in self.alive(part):
                yield self.book(node.uid, part)

    def add_up(self, span: Interval, sink: Callable[[NodeFact], Sink]) -> Pico:
        """Add the bookings of a span to the sums of those they are for; returns what the nodes cost by their prices."""
        return sum(self._add_up(node.uid, part, sink(node)) for part in hours(span) for node in self.alive(part))

    def _add_up(self, node_uid: str, span: Interval, sink: Sink) -> Pico:
        if span.length == HOUR:
            booking = self.book(node_uid, span)
            take(booking, self.pods, sink)
            return booking.cost
        lane = self.lane(node_uid, floor_to(span.start, HOUR))
        return add_up(lane, self.timeline(node_uid), self.activities, span, sink)

    def hourly(self, node_uid: str, at: Instant) -> dict[str, Pico | None]:
        """See `booking.hourly`."""
        lane = self.lane(node_uid, floor_to(at, HOUR))
        stretch = next((stretch for stretch, _, _ in lane.over(at, at + 1)), None)
        if stretch is None:
            return {}
        known = self._rates.get(node_uid)
        if known is None or known[0] is not stretch:
            known = self._rates[node_uid] = stretch, hourly(lane, at)
        return dict(known[1])

    def steady(self, at: Instant) -> Interval:
        """Time around an instant in which all rates are the same, as far as is known."""
        hour = floor_to(at, HOUR)
        start, end = hour, hour + HOUR
        for node in self.nodes.values():
            if node.start > at:
                end = min(end, node.start)
            for stretch, _, _ in self.lane(node.uid, hour).over(at, at + 1):
                start, end = max(start, stretch.start), min(end, stretch.end)
        return Interval(start, end)

    # --- life of the set ----------------------------------------------------------------------------------------------

    def earliest(self) -> Instant | None:
        """Start of the first node: nothing costs anything before."""
        return min((node.start for node in self.nodes.values()), default=None)

    def forget(self, before: Instant) -> None:
        """Drop what was over before an instant."""
        self._forget_pods(before)
        for uid in [n.uid for n in self.nodes.values() if n.end is not None and n.end <= before]:
            del self.nodes[uid]
            self.prices.pop(uid, None)
            self._changed(uid)
        for lanes in self._lanes.values():
            for hour in [hour for hour in lanes if hour < before]:
                del lanes[hour]
        for full in self._full.values():
            for hour in [hour for hour in full if hour < before]:
                del full[hour]
        self.version += 1

    def _forget_pods(self, before: Instant) -> None:
        for pod in [p for p in self.pods.values() if p.end is not None and p.end <= before]:
            del self.pods[pod.uid]
            self.activities.pop(pod.uid, None)
            self.needs.pop(pod.uid, None)
            siblings = self.pods_of[pod.node_uid]
            siblings.pop(pod.uid, None)
            if not siblings:
                del self.pods_of[pod.node_uid]
        for uid, activity in list(self.activities.items()):
            activity.forget(before)
            if uid not in self.pods and (activity.last_start() or 0) < before:
                del self.activities[uid]  # of a pod that never came to be known
        for uid, needs in list(self.needs.items()):
            if uid not in self.pods and needs.starts[-1] < before:
                del self.needs[uid]
            else:
                self.needs[uid] = needs.since(before)
