"""Where and when spot capacity was seen, and when a try is worth its trouble again.

A try of spot is a real move with a real changeover, so most of what is known comes for nothing: from the stays of every
run that wants the same nodes, from spot nodes that were bought for somebody else, and from room on nodes that are
there. A try that failed is followed by a pause that doubles with each failure, until somebody is seen to get a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.capacity import CAPACITY_LABELS
from gpucost.core.clock import DAY, HOUR, MINUTE, Instant, Micros
from gpucost.core.model import CapacityType, Node, Pod, Resources
from gpucost.core.training.auto.stays import Cause, Stay
from gpucost.core.training.deadline.outlook import Span

ZONE = "topology.kubernetes.io/zone"
_ZONES = frozenset({ZONE, "failure-domain.beta.kubernetes.io/zone"})
_FRESH = 30 * MINUTE
"""How long a node that was bought says that another one could be."""
_FIRST_PAUSE, _LONGEST_PAUSE = 30 * MINUTE, 4 * HOUR
HORIZON = 3 * DAY
"""How far back stays tell of capacity."""
_LOOKED_UP = MINUTE
_MOST_SPANS = 64
_CHOOSERS = frozenset(CAPACITY_LABELS)


@dataclass(frozen=True, slots=True)
class Seen(Span):
    """Spot capacity in a span: there, or asked for in vain."""

    zone: str = ""


@dataclass(frozen=True, slots=True)
class Spot:
    """What is known of spot capacity for one run now."""

    available: bool | None
    """None: nobody knows; trying is how to learn it."""
    last_seen: Instant | None = None
    last_refused: Instant | None = None
    refusals: int = 0
    """Tries in a row that failed."""
    try_at: Instant | None = None
    """Before this instant another try is not worth its trouble."""
    spans: tuple[Seen, ...] = ()
    zones: tuple[tuple[str, Instant, bool], ...] = ()
    """What was seen last in each zone: when, and whether it was there."""


def pool_keys(selectors: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Label keys of the user's own pools, which only choose a capacity type."""
    return tuple(sorted({key for selector in selectors for key in selector}))


def wants_of(selector: Mapping[str, str], requests: Resources, pools: Iterable[str] = ()) -> str:
    """What a worker needs of its node, apart from capacity type and zone, as a text that can be compared.

    `pools` are further label keys that only choose a capacity type.
    """
    leave = _CHOOSERS | _ZONES | frozenset(pools)
    labels = sorted(f"{key}={value}" for key, value in selector.items() if key not in leave)
    return ",".join([f"gpus={requests.gpus}", *labels])


def pause_after(refusals: int) -> Micros:
    """How long to wait after so many tries in a row that failed."""
    return min(_FIRST_PAUSE << min(max(refusals, 1) - 1, 10), _LONGEST_PAUSE)


@dataclass(frozen=True)
class Room:
    """A living spot node: what of it is free, and since when it is there."""

    node: Node
    free: Resources

    def fits(self, selector: Mapping[str, str], requests: Resources, pools: Iterable[str] = ()) -> bool:
        """Whether it is a node that a worker could have, free or not."""
        leave = _CHOOSERS | frozenset(pools)
        chosen = all(self.node.labels.get(key) == value for key, value in selector.items() if key not in leave)
        return chosen and _holds(self.node.capacity, requests)

    def has_room(self, requests: Resources) -> bool:
        """Whether a worker would find room on it now."""
        return self.node.ready and not self.node.is_leaving and _holds(self.free, requests)


def _holds(there: Resources, needed: Resources) -> bool:
    return (
        there.gpus >= needed.gpus
        and there.cpu_milli >= needed.cpu_milli
        and (there.memory >= needed.memory or not there.memory)
    )


@dataclass(frozen=True, slots=True)
class Known:
    """What the stays of all runs that want the same tell of one zone, or of all."""

    spans: tuple[Seen, ...] = ()
    """Disjoint, in order of time."""
    last_good: Instant | None = None
    last_bad: Instant | None = None
    refusals: int = 0
    """Tries that failed since the last that did not."""
    zones: tuple[tuple[str, Instant, bool], ...] = ()


@dataclass(frozen=True)
class Market:
    """Everything seen of spot capacity in the cluster, gathered once for all runs."""

    rooms: tuple[Room, ...] = ()
    stays: Mapping[str, Sequence[Stay]] = field(default_factory=dict)
    """Stays of all runs, those that are gone too, by what they want."""
    _known: dict[tuple[str, str, Instant], Known] = field(default_factory=dict)
    """Answers that many runs share."""

    def spot(
        self,
        wants: str,
        selector: Mapping[str, str],
        requests: Resources,
        *,
        workers: int,
        refused: tuple[Instant, int] | None,
        now: Instant,
        pools: Sequence[str] = (),
    ) -> Spot:
        """What is known for a run; `refused`: when its own last try failed, and how many in a row had by then."""
        zone = next((selector[key] for key in _ZONES if key in selector), "")
        known = self._of(wants, zone, now)
        fitting = [room for room in self.rooms if room.fits(selector, requests, pools)]
        bought = [(room.node.created, room.node.labels.get(ZONE, "")) for room in fitting]
        last_good = _latest(known.last_good, *(at for at, _ in bought))
        last_bad = _latest(known.last_bad, refused[0] if refused is not None else None)
        zones = _newest([*known.zones, *((zone, at, True) for at, zone in bought)])
        room_for = sum(_count(room.free, requests) for room in fitting if room.has_room(requests))
        if room_for >= workers:
            return Spot(True, now, last_bad, 0, None, known.spans, zones)
        if last_bad is None or (last_good is not None and last_good > last_bad):
            fresh = last_good is not None and now - last_good < _FRESH
            return Spot(True if fresh else None, last_good, last_bad, 0, None, known.spans, zones)
        own = refused[1] if refused is not None and refused[0] > (last_good or 0) else 0
        others = known.refusals if last_good == known.last_good else 0
        refusals = max(own, others, 1)
        again = last_bad + pause_after(refusals)
        return Spot(False if now < again else None, last_good, last_bad, refusals, again, known.spans, zones)

    def _of(self, wants: str, zone: str, now: Instant) -> Known:
        """Looked up once a minute: what the past says does not change faster."""
        key = (wants, zone, now // _LOOKED_UP)
        if key not in self._known:
            self._known[key] = _known(self.stays.get(wants, ()), zone, now)
        return self._known[key]


def _known(stays: Sequence[Stay], zone: str, now: Instant) -> Known:
    seen = [one for one in _seen(stays, now) if not zone or one.zone in {"", zone}]
    good = [one.start for one in seen if one.available]
    bad = [one.end for one in seen if not one.available]
    last_good = max(good, default=None)
    refusals = sum(at > (last_good or 0) for at in bad)
    zones = _newest((one.zone, one.start if one.available else one.end, one.available) for one in seen)
    return Known(_disjoint(seen)[-_MOST_SPANS:], last_good, max(bad, default=None), refusals, zones)


def _seen(stays: Sequence[Stay], now: Instant) -> Iterator[Seen]:
    for stay in stays:
        if stay.capacity is not CapacityType.SPOT or (stay.ended or now) < now - HORIZON:
            continue
        if stay.bound is not None and (stay.ended is None or stay.ended > stay.bound):
            yield Seen(stay.bound, stay.ended or now, True, stay.zone)
        if stay.cause is Cause.UNAVAILABLE and stay.ended is not None and stay.ended > stay.start:
            yield Seen(stay.start, stay.ended, False, stay.zone)


def _disjoint(seen: Sequence[Seen]) -> tuple[Seen, ...]:
    """One history of many: there is capacity while anybody has it, and none while somebody asks for it in vain."""
    edges = sorted([(at, one.available, change) for one in seen for at, change in ((one.start, 1), (one.end, -1))])
    found: list[Seen] = []
    open_spans = {True: 0, False: 0}
    for index, (at, available, change) in enumerate(edges):
        open_spans[available] += change
        until = edges[index + 1][0] if index + 1 < len(edges) else at
        if until > at and (open_spans[True] or open_spans[False]):
            there = open_spans[True] > 0
            if found and found[-1].end == at and found[-1].available == there:
                found[-1] = Seen(found[-1].start, until, there)
            else:
                found.append(Seen(at, until, there))
    return tuple(found)


def _latest(*instants: Instant | None) -> Instant | None:
    return max((at for at in instants if at is not None), default=None)


def _count(free: Resources, needed: Resources) -> int:
    """How many workers a node has room for, by its GPUs, else by its CPUs."""
    if needed.gpus:
        return int(free.gpus // needed.gpus)
    return free.cpu_milli // needed.cpu_milli if needed.cpu_milli else 1


def _newest(told: Iterable[tuple[str, Instant, bool]]) -> tuple[tuple[str, Instant, bool], ...]:
    """The last that was seen in each zone."""
    last: dict[str, tuple[Instant, bool]] = {}
    for zone, at, available in told:
        if zone and (zone not in last or at >= last[zone][0]):
            last[zone] = (at, available)
    return tuple((zone, at, available) for zone, (at, available) in sorted(last.items()))


def rooms_of(nodes: Iterable[Node], pods: Iterable[Pod], kind_of: Mapping[str, CapacityType]) -> tuple[Room, ...]:
    """The spot nodes of a cluster with what is free on them; `kind_of` gives capacity types by name of the node."""
    spot = {node.name: node for node in nodes if kind_of.get(node.name) is CapacityType.SPOT}
    used: dict[str, Resources] = {}
    for pod in pods:
        if pod.node_name in spot and pod.phase not in {"Succeeded", "Failed"}:
            used[pod.node_name] = used.get(pod.node_name, Resources()) + pod.requests
    return tuple(Room(node, _rest(node.capacity, used.get(name, Resources()))) for name, node in sorted(spot.items()))


def _rest(whole: Resources, used: Resources) -> Resources:
    return Resources(
        cpu_milli=max(0, whole.cpu_milli - used.cpu_milli),
        memory=max(0, whole.memory - used.memory),
        gpus=max(0, whole.gpus - used.gpus),
    )
