"""From what was seen of a span to facts and gaps, next to what better sources know.

The past is read from the newest span to the oldest, and nothing is carried along: a pod or node is recorded whole in
the span that shows its end, because its start is a value and not a sample. Whoever finds it again in an older span
finds it recorded. Facts with the API server's own times are never touched; one that ended at an unknown time within a
gap is made more exact, and its gap smaller.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from gpucost.core.backfill.seen import Seen, SeenNode, SeenPod
from gpucost.core.backfill.spans import SLACK, changed, joined, next_scrape, subtract
from gpucost.core.backfill.workloads import workload_of
from gpucost.core.capacity import capacity_type, traits
from gpucost.core.category import category_of
from gpucost.core.clock import Instant
from gpucost.core.gpus import NO_GPUS, Layout, held, is_gpu
from gpucost.core.model import Gap, NodeFact, NodeKind, PodFact, Resources, Unknown
from gpucost.core.offer import offer
from gpucost.core.timeline import Interval

UNWATCHED = "nobody watched, and no series of kube-state-metrics tells what happened"
ENDED = "it ended between two scrapes of kube-state-metrics"
BEGAN = "it began between two scrapes of kube-state-metrics"
NO_REQUESTS = "what the pod requested is not recorded"
NO_LAYOUT = "how the GPUs of the node were shared is not recorded"
NO_CAPACITY = "how large the node was is not recorded"
_OURS = frozenset({UNWATCHED, ENDED, BEGAN, NO_REQUESTS, NO_LAYOUT, NO_CAPACITY})
NOTE = "from kube-state-metrics"
VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class Known:
    """What better sources know of the same span."""

    until: Instant
    """From when on somebody watches again: nothing that is filled in lasts longer."""
    nodes: Sequence[NodeFact] = ()
    """Recorded nodes that lived in the span."""
    pods: Mapping[str, PodFact] = field(default_factory=dict)
    """Recorded pods, by UID: at least those that the span shows."""
    gaps: Mapping[str, Sequence[Gap]] = field(default_factory=dict)
    """Gaps by UID of node or pod."""
    alive: frozenset[str] = frozenset()
    """UIDs that the API server shows: it knows better."""
    watched: bool = False
    """Whether the API server told everything that happened in the span, so that nothing can be missing."""


@dataclass
class Filled:
    """What to write, and what was left out."""

    nodes: list[NodeFact] = field(default_factory=list)
    pods: list[PodFact] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    closed: list[Gap] = field(default_factory=list)
    """Gaps that are known better now, or not to be any."""
    seen: dict[str, SeenNode] = field(default_factory=dict)
    """The records behind `nodes`, by UID: their labels price them."""
    dropped: Counter[str] = field(default_factory=Counter)


def fill(seen: Seen, known: Known) -> Filled:
    """Facts and gaps of one span."""
    return _Filler(seen, known).run()


@dataclass
class _Filler:
    seen: Seen
    known: Known
    made: Filled = field(default_factory=Filled)
    lives: dict[str, NodeFact] = field(default_factory=dict)
    by_name: dict[str, list[str]] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)
    """How the GPUs of each life of a node are offered, by UID."""

    def run(self) -> Filled:
        self.made.dropped.update(self.seen.dropped)
        for fact in self.known.nodes:
            if fact.kind is NodeKind.NODE:
                self._live(fact)
        for node in self.seen.nodes:
            self._node(node)
        for pod in self.seen.pods:
            self._pod(pod)
        if not self.known.watched:
            for fact in list(self.lives.values()):
                self._unwatched(fact)
        return self.made

    def _live(self, fact: NodeFact) -> None:
        if fact.uid not in self.lives:
            self.by_name.setdefault(fact.name, []).append(fact.uid)
        self.lives[fact.uid] = fact

    # --- nodes --------------------------------------------------------------------------------------------------------

    def _node(self, node: SeenNode) -> None:
        fact = self._recorded(node)
        if fact is not None:
            self._arranged(fact, node)
        if fact is None:
            if not self.known.watched:
                self._new_node(node)
        elif fact.end is not None and (gap := self._gap_behind(fact.uid, fact.end)) is not None:
            end = min(max(node.last, fact.end), gap.span.end)
            fact = replace(fact, end=end)
            self._narrow(gap, end, next_scrape(self.seen, node.last))
            self.made.nodes.append(fact)
            self._live(fact)
        elif fact.uid == _made_up_uid(node) and node.created is None and node.first < fact.start:
            self._begins_earlier(node, fact)

    def _arranged(self, fact: NodeFact, node: SeenNode) -> None:
        """How a recorded node's GPUs are offered: labels may not be exported, what is recorded tells their worth."""
        layout = offer(node.devices, node.labels, self.seen.resources)
        if layout is not None and layout.capacity != fact.capacity.gpus and len(node.devices) == 1:
            [(name, units)] = node.devices.items()
            layout = Layout(fact.physical_gpus, fact.capacity.gpus, 0, {name: Fraction(fact.capacity.gpus) / units})
        if layout is not None and layout.capacity == fact.capacity.gpus:
            self.layouts[fact.uid] = layout

    def _recorded(self, node: SeenNode) -> NodeFact | None:
        """The same life of a node in better records: one name cannot be created twice within a second or two."""
        for uid in self.by_name.get(node.name, ()):
            fact = self.lives[uid]
            if node.created is not None:
                if abs(fact.start - node.created) <= SLACK:
                    return fact
            elif fact.uid == _made_up_uid(node) or (
                fact.start <= node.last and (fact.end is None or fact.end >= node.first - SLACK)
            ):
                return fact
        return None

    def _new_node(self, node: SeenNode) -> None:
        uid, start = _made_up_uid(node), node.created if node.created is not None else node.first
        start = min(start, node.last)
        end = min(node.last, self.known.until)
        if node.capacity is None:
            self._unknown(uid, Interval(start, end), NO_CAPACITY)
            return
        found, layout = traits(node.labels), offer(node.devices, node.labels, self.seen.resources) or NO_GPUS
        if layout.problem:
            self._unknown(uid, Interval(start, end), layout.problem)
        fact = NodeFact(
            uid=uid,
            name=node.name,
            start=start,
            end=end,
            capacity=replace(node.capacity, gpus=layout.capacity),
            instance_type=found.instance_type,
            gpu_model=found.gpu_model,
            region=found.region,
            zone=found.zone,
            capacity_type=capacity_type(node.labels),
            physical_gpus=layout.physical if layout.physical != layout.capacity else 0,
            stranded_gpus=layout.stranded,
        )
        self.layouts[uid] = layout
        self.made.nodes.append(fact)
        self.made.seen[uid] = node
        self._gap(uid, end, min(next_scrape(self.seen, end), self.known.until), ENDED)
        self._gap(uid, start, self.seen.span.start, UNWATCHED)
        if node.created is None:
            self._began(uid, node.first)
        self._live(fact)

    def _begins_earlier(self, node: SeenNode, fact: NodeFact) -> None:
        """A made-up node without a creation, seen in an older span too: it began before what was thought."""
        self._close(fact.uid, BEGAN)
        self._began(fact.uid, node.first)
        fact = replace(fact, start=node.first)
        self.made.nodes.append(fact)
        self.made.seen[fact.uid] = node
        self._live(fact)

    def _began(self, uid: str, first: Instant) -> None:
        self._gap(uid, first - self.seen.interval, first, BEGAN)

    def _unwatched(self, fact: NodeFact) -> None:
        """Bring a node's unwatched time up to date: the span is read now, except for its holes."""
        life = Interval(fact.start, fact.end if fact.end is not None else self.known.until)
        old = [gap for gap in self.known.gaps.get(fact.uid, ()) if gap.reason == UNWATCHED]
        new = [gap for gap in self.made.gaps if gap.uid == fact.uid and gap.reason == UNWATCHED]
        self.made.gaps = [gap for gap in self.made.gaps if gap not in new]
        left = subtract([gap.span for gap in (*old, *new)], self.seen.span)
        holes = [part for hole in self.seen.holes if (part := hole.clip(*life)) is not None]
        written, closed = changed(fact.uid, old, joined([*left, *holes]), UNWATCHED)
        self.made.gaps += written
        self.made.closed += closed

    # --- pods ---------------------------------------------------------------------------------------------------------

    def _pod(self, pod: SeenPod) -> None:
        if pod.uid in self.known.alive:
            return
        stored = self.known.pods.get(pod.uid)
        if stored is not None:
            self._improve(pod, stored)
        elif not self.known.watched:
            self._new_pod(pod)

    def _improve(self, pod: SeenPod, stored: PodFact) -> None:
        """A pod that is recorded: only what is marked unknown about it may change."""
        if stored.note == NOTE and pod.bound is None and pod.first is not None and pod.first < stored.start:
            self._close(pod.uid, BEGAN)
            self._gap(pod.uid, pod.first - self.seen.interval, pod.first, BEGAN)
            self.made.pods.append(replace(stored, start=pod.first))
        gap = self._gap_behind(pod.uid, stored.end) if stored.end is not None else None
        if gap is None:
            return
        exact = pod.ended
        if exact is not None and gap.span.start - SLACK <= exact <= gap.span.end + SLACK:
            self.made.closed.append(gap)
            end, reason = max(exact, stored.start), pod.phase or "Deleted"
        else:
            end, reason = min(max(pod.last, gap.span.start), gap.span.end), stored.end_reason
            self._narrow(gap, end, next_scrape(self.seen, pod.last))
        self.made.pods.append(replace(stored, end=end, end_reason=reason))

    def _new_pod(self, pod: SeenPod) -> None:
        start = pod.bound if pod.bound is not None else pod.first if pod.first is not None else pod.last
        if start >= self.known.until:
            return  # whoever watches again has seen it begin
        end, unknown_until, reason = self._end(pod, start)
        node = self._node_at(pod.node, start, end)
        if node is None:
            self.made.dropped["pod on a node that nobody recorded"] += 1
            return
        requests = self._requests(pod, node)
        if isinstance(requests, Unknown):
            for uid in (pod.uid, node.uid):
                self._unknown(uid, Interval(start, max(end, unknown_until)), requests.reason)
            return
        workload = workload_of(pod, self.seen)
        if pod.bound is None:
            self._began(pod.uid, start)
        self._gap(pod.uid, end, unknown_until, ENDED)
        self.made.pods.append(
            PodFact(
                uid=pod.uid,
                namespace=pod.namespace,
                name=pod.name,
                workload=workload,
                category=category_of(
                    namespace=pod.namespace,
                    workload=workload,
                    labels=pod.labels,
                    gpus=requests.gpus,
                    program=pod.program,
                ),
                node_uid=node.uid,
                start=start,
                end=end,
                requests=requests,
                labels=pod.labels,
                end_reason=reason,
                note=NOTE,
            )
        )

    def _requests(self, pod: SeenPod, node: NodeFact) -> Resources | Unknown:
        """What a pod requested, its devices in GPUs' worth of its node."""
        if pod.requests is None:
            return Unknown(NO_REQUESTS)
        units = {name: count for name, count in pod.devices.items() if is_gpu(name, self.seen.resources)}
        layout = self.layouts.get(node.uid)
        if layout is None and set(units) <= {"nvidia.com/gpu"} and not node.physical_gpus:
            return replace(pod.requests, gpus=sum(units.values()))
        if layout is None or layout.problem:
            return Unknown(layout.problem if layout is not None else NO_LAYOUT)
        try:
            return replace(pod.requests, gpus=held(units, layout))
        except ValueError as error:
            return Unknown(str(error))

    def _end(self, pod: SeenPod, start: Instant) -> tuple[Instant, Instant, str]:
        """When a pod ended, until when that is unknown (no later when it is exact), and why."""
        exact = pod.ended
        if exact is not None and exact >= start:
            return exact, exact, pod.phase or "Deleted"
        end = max(min(pod.last, self.known.until), start)
        return end, min(next_scrape(self.seen, pod.last), self.known.until), VANISHED

    def _node_at(self, name: str, start: Instant, end: Instant) -> NodeFact | None:
        """The life of a node that bore a name while a pod was on it."""
        lives = [self.lives[uid] for uid in self.by_name.get(name, ())]
        near = [
            node
            for node in lives
            if node.start <= max(start, end) + SLACK and (node.end is None or node.end >= start - SLACK)
        ]
        before = [node for node in near if node.start <= start + SLACK]
        return max(before, key=lambda node: node.start, default=min(near, key=lambda node: node.start, default=None))

    # --- gaps ---------------------------------------------------------------------------------------------------------

    def _gap(self, uid: str, start: Instant, end: Instant, reason: str) -> None:
        if start < end:
            self.made.gaps.append(Gap(uid, Interval(start, end), reason))

    def _unknown(self, uid: str, span: Interval, reason: str) -> None:
        """Mark what is known to have been there and cannot be priced; once, also when an older span shows it again."""
        self.made.dropped[reason] += 1
        if not any(gap.reason == reason and gap.span.start == span.start for gap in self.known.gaps.get(uid, ())):
            self._gap(uid, *span, reason)

    def _gap_behind(self, uid: str, end: Instant) -> Gap | None:
        """The gap that says that something ended nobody knows when after an instant, if the span may tell.

        One that says `ENDED` was made from series already, and from a newer span.
        """
        for gap in self.known.gaps.get(uid, ()):
            if gap.span.start == end and gap.reason not in _OURS and gap.span.clip(*self.seen.span) is not None:
                return gap
        return None

    def _narrow(self, gap: Gap, end: Instant, until: Instant) -> None:
        """Make a gap begin and end where the series say, never outside of itself."""
        span = gap.span.clip(end, until)
        if span is not None and span.start != gap.span.start:
            self.made.closed.append(gap)
        if span is None:
            self.made.closed.append(gap)
        elif span != gap.span:
            self.made.gaps.append(Gap(gap.uid, span, ENDED))

    def _close(self, uid: str, reason: str) -> None:
        self.made.closed += [gap for gap in self.known.gaps.get(uid, ()) if gap.reason == reason]


def _made_up_uid(node: SeenNode) -> str:
    """A UID for a node whose own nobody recorded: the same whenever the same life of the node is read again."""
    birth = str(node.created) if node.created is not None else node.machine
    return "ksm-" + hashlib.sha256(f"{node.name}\n{birth}".encode()).hexdigest()[:32]


def unwatched(nodes: Iterable[NodeFact], span: Interval) -> list[Gap]:
    """Gaps for nodes in a span that nobody watched and nobody has looked up (yet)."""
    lives = ((node.uid, Interval(node.start, span.end if node.end is None else node.end)) for node in nodes)
    return [Gap(uid, part, UNWATCHED) for uid, life in lives if (part := life.clip(*span)) is not None]
