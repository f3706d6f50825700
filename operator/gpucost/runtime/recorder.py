"""From changes of pods and nodes to the ledger's facts.

The recorder remembers only what it has not written yet. Facts are keyed by UID and carry the API server's times, so
writing them again after a crash changes nothing; what happened while nobody watched is filled in by `recovery`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gpucost.core.category import category_of
from gpucost.core.clock import HOUR, SECOND, Instant
from gpucost.core.doubt import UNKNOWN
from gpucost.core.dra import Holding
from gpucost.core.model import (
    CapacityType,
    Gap,
    NeedFact,
    Node,
    NodeFact,
    Pod,
    PodFact,
    PriceFact,
    Resources,
    Workload,
)
from gpucost.core.resizing import resized
from gpucost.core.timeline import Interval
from gpucost.runtime.doubts import Doubts
from gpucost.runtime.endings import Endings
from gpucost.runtime.holdings import Holdings
from gpucost.runtime.world import TRAINING_JOB, World
from gpucost.sources.records import last_touched, pod_record
from gpucost.sources.reflector import Change

log = logging.getLogger(__name__)

Fact = NodeFact | PodFact | NeedFact | Gap
Prices = dict[str, list[PriceFact]]
"""Price timelines by node UID, each replacing what was known."""

_CLOCK_SLACK = 2 * SECOND  # times of the API server have whole seconds
BROKEN_WATCH = "deleted while the watch was broken"
_KEEP_ENDED_NODES = 2 * HOUR
_NODE_PATIENCE = 10 * SECOND
_SETTLING = 10 * SECOND  # after it was bound, a pod's claims and devices may still come to be known


@dataclass
class Recorder:
    """Collects facts between two writes; `prices_of` gives a node's price timeline."""

    world: World
    now: Callable[[], Instant]
    prices_of: Callable[[NodeFact, Node], list[PriceFact]]
    holdings: Holdings = field(default_factory=Holdings)
    read_pod: Callable[[Mapping[str, Any]], Pod] = pod_record
    """How a Pod is read, with the labels that reports may group by."""
    nodes: dict[str, NodeFact] = field(default_factory=dict)
    written: dict[str, PodFact] = field(default_factory=dict)
    """Last fact of every pod that exists or has not ended."""
    workloads: dict[str, Workload] = field(default_factory=dict)
    """Resolved workloads of those pods: an owner may be deleted before its pods."""
    reserved: dict[str, Resources] = field(default_factory=dict)
    """What each of those pods reserves now; more or less than in its fact after a resize, or in a shared claim."""
    doubts: Doubts = field(default_factory=Doubts)
    skipped: Counter[str] = field(default_factory=Counter)
    endings: Endings = field(default_factory=Endings)
    on_training_pod: Callable[[Pod, PodFact, NodeFact], None] = lambda _pod, _fact, _node: None
    """Told every pod of a TrainingJob that is written down."""
    on_vanished: Callable[[PodFact, Instant], None] = lambda _fact, _end: None
    """Told every pod of a TrainingJob that went while nobody watched, and until when it can have been there."""
    _by_name: dict[str, list[str]] = field(default_factory=dict)
    _dirty: dict[str, Pod] = field(default_factory=dict)
    _elsewhere: set[str] = field(default_factory=set)
    """UIDs of pods that were seen on a second node."""
    _rearranged: set[str] = field(default_factory=set)
    """UIDs of nodes whose devices have changed."""
    _queue: list[Fact] = field(default_factory=list)
    _prices: Prices = field(default_factory=dict)

    # --- nodes --------------------------------------------------------------------------------------------------------

    def node_changed(self, change: Change[Node]) -> None:
        """A node appeared, changed or went."""
        if change.new is not None:
            self.node_seen(change.new)
            if change.old is not None and change.old.price_annotation != change.new.price_annotation:
                self._price_node(self.nodes[change.new.uid], change.new)
        elif change.old is not None:
            if change.seen:
                self.node_ended(change.old.uid, self.now())
            else:
                self.node_ended(change.old.uid, _last_proof(change), BROKEN_WATCH)

    def node_seen(self, node: Node) -> None:
        """A node as the API server shows it, or showed it before it went."""
        layout = self.holdings.layout_of(node.uid)
        known, shown = self.nodes.get(node.uid), self.holdings.node_fact(node)
        if layout != self.holdings.layout_of(node.uid):
            self._rearranged.add(node.uid)
        fact = resized(known, shown, self.now())
        if known is not None and replace(known, end=None) == fact:
            return
        self.nodes.pop(fact.uid, None)
        self.adopt_node(fact)
        self._queue.append(fact)
        self._price_node(fact, node)

    def resume_nodes(self, facts: Iterable[NodeFact]) -> None:
        """Know from the ledger what living nodes were: what they show now follows on that."""
        known = {fact.uid: fact for fact in facts}
        self.nodes.update(known)
        self._queue = [fact for fact in self._queue if not (isinstance(fact, NodeFact) and fact.uid in known)]
        for uid in known:
            node = self.world.nodes[uid]
            self.node_seen(node)
            self._price_node(self.nodes[uid], node)

    def _price_node(self, fact: NodeFact, node: Node) -> None:
        self._prices[fact.uid] = self._known_prices(fact, node, self.prices_of(fact, node))

    def _known_prices(self, fact: NodeFact, node: Node | None, prices: list[PriceFact]) -> list[PriceFact]:
        """What nobody can tell the parts of has no price: it would be charged to the wrong pods."""
        reason = self.holdings.problem(node) if node is not None else ""
        if reason and not fact.capacity.gpus:  # else it is known what they were, and only new pods are in doubt
            return [PriceFact(fact.uid, fact.start, None, fact.capacity_type, f"{UNKNOWN}{reason}")]
        return self.doubts.masked(fact.uid, prices)

    def node_ended(self, uid: str, end: Instant, gap: str | None = None) -> None:
        """A node's life is over; with `gap`, it ended at some time between `end` and now."""
        fact = self.nodes.get(uid)
        if fact is None or fact.end is not None:
            return
        end = max(end, fact.start)
        self.nodes[uid] = replace(fact, end=end)
        self._queue.append(self.nodes[uid])
        if gap and end < self.now():
            self._queue.append(Gap(uid, Interval(end, self.now()), gap))

    def adopt_node(self, fact: NodeFact) -> None:
        """Know a node from the ledger that the cluster does not show any more."""
        self.nodes.setdefault(fact.uid, fact)
        names = self._by_name.setdefault(fact.name, [])
        if fact.uid not in names:
            names.append(fact.uid)

    # --- pods ---------------------------------------------------------------------------------------------------------

    def pod_changed(self, change: Change[Pod]) -> None:
        """A pod appeared, changed or went."""
        if change.new is not None:
            self._dirty[change.new.uid] = change.new
        elif change.old is not None:
            self._dirty[change.old.uid] = self._last_state(change)

    def _last_state(self, change: Change[Pod]) -> Pod:
        assert change.old is not None
        last = self.read_pod(change.body) if change.body is not None else change.old
        if last.ended is None:
            end = max(self.now() if change.seen else _last_proof(change), last.bound or 0)
            last = replace(last, ended=end)
            if not change.seen and last.bound is not None and end < self.now():
                self._queue.append(Gap(last.uid, Interval(end, self.now()), BROKEN_WATCH))
        return last

    def pod_ended(self, pod: Pod, end: Instant, gap: str | None = None) -> None:
        """A pod is gone that no cache shows any more (after a restart)."""
        self._dirty[pod.uid] = replace(pod, ended=end)
        if gap and end < self.now():
            self._queue.append(Gap(pod.uid, Interval(end, self.now()), gap))

    def fact_ended(self, fact: PodFact, end: Instant, gap: str | None = None) -> None:
        """A pod of the ledger is gone without a trace."""
        end = max(end, fact.start)
        self._queue.append(replace(fact, end=end, end_reason="vanished"))
        self._forget_pod(fact.uid)
        if fact.workload.kind == TRAINING_JOB:
            self.on_vanished(fact, end)
        node, record = self.nodes.get(fact.node_uid), self.world.nodes.get(fact.node_uid)
        if self.doubts.recall([replace(fact, end=end)]) and node is not None and record is not None:
            self._price_node(node, record)
        if gap and end < self.now():
            self._queue.append(Gap(fact.uid, Interval(end, self.now()), gap))

    def adopt_pod(self, fact: PodFact, needs: Resources | None = None) -> None:
        """Know a pod from the ledger: its workload was resolved when its owner was still there."""
        self.written[fact.uid] = fact
        self.reserved[fact.uid] = needs or fact.requests
        self.workloads[fact.uid] = fact.workload

    def claims_changed(self, uids: Iterable[str]) -> None:
        """These pods hold something else through their claims."""
        for uid in uids:
            pod = self.world.pods.get(uid)
            if pod is not None and pod.ended is None:
                self._dirty.setdefault(uid, pod)

    def devices_changed(self, name: str) -> None:
        """A node offers other devices."""
        node = self.world.node_by_name.get(name)
        if node is not None:
            self.node_seen(node)
            self._rearranged.add(node.uid)

    def owners_changed(self, uids: Iterable[str]) -> None:
        """The owner of these pods has become known: resolve their workload again."""
        for uid in uids:
            pod = self.world.pods.get(uid)
            if pod is not None and pod.ended is None:
                self.workloads.pop(uid, None)
                self._dirty.setdefault(uid, pod)

    # --- what others found out ----------------------------------------------------------------------------------------

    def add(self, *facts: Fact) -> None:
        """Write facts with the next ones."""
        self._queue.extend(facts)

    def price(self, uid: str, prices: list[PriceFact]) -> None:
        """Make this the price timeline of something that costs by the hour."""
        self._prices[uid] = prices

    # --- writing ------------------------------------------------------------------------------------------------------

    def drain(self) -> tuple[list[Fact], Prices, bool]:
        """Everything to write, and whether that is all there is (no pod waits for its node to become known).

        Pods that have ended come first: after a start the caches show before what came after. A node's event follows
        its pod's within seconds. A pod whose node stays unknown for longer sits on one that was gone before we came; it
        must not hold back the marks, or a crash meanwhile would lose what happened to others.
        """
        facts, self._queue = self._queue, []
        self._look_again_at_pods()
        dirty, self._dirty = self._dirty, {}
        for pod in sorted(dirty.values(), key=lambda one: (one.ended is None, one.ended or one.created)):
            if pod.bound is None or pod.node_name is None:
                continue
            node = self._node_at(pod.node_name, pod.bound)
            if node is None:
                self._without_node(pod)
            else:
                facts += self._news_of(*self._first_place(pod, node))
        self._forget_nodes()
        prices, self._prices = self._prices, {}
        late = self.now() - _NODE_PATIENCE
        return facts, prices, all(pod.bound is not None and pod.bound < late for pod in self._dirty.values())

    def _news_of(self, pod: Pod, node: NodeFact) -> list[Fact]:
        """What is to be written of a pod."""
        fact = self._pod_fact(pod, node)
        if node.capacity_type is CapacityType.SPOT and fact.workload.kind == TRAINING_JOB:
            self.endings.note(fact, node.name)
        if fact.workload.kind == TRAINING_JOB:
            self.on_training_pod(pod, fact, node)
        fact, needs = self._stands(fact)
        news: list[Fact] = [*needs] if self.written.get(pod.uid) == fact else [fact, *needs]
        self._remember(fact)
        return news

    def _first_place(self, pod: Pod, node: NodeFact) -> tuple[Pod, NodeFact]:
        """A pod is bound once: one that is seen on a second node stays where it was, until it ends."""
        known = self.written.get(pod.uid)
        if known is None or known.node_uid == node.uid:
            return pod, node
        first = self.nodes.get(known.node_uid) or NodeFact(known.node_uid, "", known.start, None, Resources())
        if pod.uid not in self._elsewhere:
            self._elsewhere.add(pod.uid)
            self.skipped["second node"] += 1
            log.warning("pod %s/%s is seen on node %s too: it stays on its first", pod.namespace, pod.name, node.name)
        return replace(pod, bound=known.start), first

    def _look_again_at_pods(self) -> None:
        """Pods of nodes whose devices have changed may hold something else."""
        nodes, self._rearranged = self._rearranged, set()
        if nodes:
            self.claims_changed([fact.uid for fact in self.written.values() if fact.node_uid in nodes])

    def put_back(self, facts: list[Fact], prices: Prices) -> None:
        """Keep what could not be written for the next time."""
        self._queue = facts + self._queue
        self._prices = {**prices, **self._prices}

    def _without_node(self, pod: Pod) -> None:
        if pod.ended is None or pod.uid in self.world.pods:
            self._dirty[pod.uid] = pod  # the node's own event is still on its way
        else:
            self.skipped["node never seen"] += 1

    def _pod_fact(self, pod: Pod, node: NodeFact) -> PodFact:
        workload = self.workloads.get(pod.uid)
        if workload is None:
            workload = self.world.workload_of(pod)
            if self.world.is_resolved(pod):
                self.workloads[pod.uid] = workload
        assert pod.bound is not None
        held = self._held(pod, node)
        return PodFact(
            uid=pod.uid,
            namespace=pod.namespace,
            name=pod.name,
            workload=workload,
            category=category_of(
                namespace=pod.namespace,
                workload=workload,
                labels=pod.labels,
                gpus=held.gpus,
                program=pod.program,
            ),
            node_uid=node.uid,
            start=pod.bound,
            end=max(pod.ended, pod.bound) if pod.ended is not None else None,
            requests=replace(pod.requests, gpus=held.gpus),
            labels=pod.labels,
            end_reason=self._end_reason(pod, node),
            note=held.note,
        )

    def _held(self, pod: Pod, node: NodeFact) -> Holding:
        """GPUs' worth that a pod holds; where nobody can tell, none, and the node has no price meanwhile."""
        found = self.holdings.of_pod(pod, node.uid)
        held = self.doubts.held(found, self.written.get(pod.uid), self.reserved.get(pod.uid))
        record = self.world.nodes.get(node.uid)
        if self.doubts.note(node.uid, pod, held) and record is not None:
            self._price_node(node, record)
        return held

    def _stands(self, fact: PodFact) -> tuple[PodFact, list[NeedFact]]:
        """A fact as it is to be written. It keeps what the pod reserved at first; what it reserves later is a need."""
        known, before = self.written.get(fact.uid), self.reserved.get(fact.uid)
        self.reserved[fact.uid] = fact.requests
        now, resolved = self.now(), fact.uid in self.doubts.resolved
        self.doubts.resolved.discard(fact.uid)
        if known is None or resolved or fact.requests == known.requests == before:
            return fact, []
        if fact.end is None and now - fact.start < _SETTLING:  # claims and devices are watched beside the pods
            return fact, []
        needs = [] if fact.end is not None or fact.requests == before else [NeedFact(fact.uid, now, fact.requests)]
        return replace(fact, requests=known.requests), needs

    @staticmethod
    def _end_reason(pod: Pod, node: NodeFact) -> str:
        if pod.ended is None:
            return ""
        if pod.disruption is not None:
            return pod.disruption or "DisruptionTarget"
        if node.end is not None and node.end <= pod.ended + _CLOCK_SLACK:
            return "NodeGone"
        return pod.phase if pod.phase in {"Succeeded", "Failed"} else "Deleted"

    def _remember(self, fact: PodFact) -> None:
        if fact.end is not None and self.written.get(fact.uid) != fact:
            self.endings.ended[fact.namespace, fact.workload] = (self.now(), fact.category)
        if fact.end is None or fact.uid in self.world.pods:
            self.written[fact.uid] = fact
        else:
            self._forget_pod(fact.uid)

    def _forget_pod(self, uid: str) -> None:
        self.written.pop(uid, None)
        self.workloads.pop(uid, None)
        self.reserved.pop(uid, None)
        self._elsewhere.discard(uid)

    def _node_at(self, name: str, instant: Instant) -> NodeFact | None:
        """The node that bore a name at an instant; names are reused, UIDs are not."""
        lives = [self.nodes[uid] for uid in self._by_name.get(name, ())]
        fitting = [n for n in lives if n.start <= instant + _CLOCK_SLACK and (n.end is None or n.end >= instant)]
        return max(fitting, key=lambda n: n.start, default=None)

    def _forget_nodes(self) -> None:
        horizon = self.now() - _KEEP_ENDED_NODES
        for uid in [n.uid for n in self.nodes.values() if n.end is not None and n.end < horizon]:
            fact = self.nodes.pop(uid)
            self.doubts.forget_node(uid)
            self.holdings.forget_node(uid)
            names = self._by_name[fact.name]
            names.remove(uid)
            if not names:
                del self._by_name[fact.name]

    def reprice(self) -> None:
        """Prices have changed: give every living node its timeline again."""
        for fact in self.nodes.values():
            node = self.world.nodes.get(fact.uid)
            if fact.end is None and node is not None:
                self._price_node(fact, node)

    def repriced(self, timelines: Prices) -> None:
        """Timelines that have changed, of nodes that live or have ended lately."""
        for uid, steps in timelines.items():
            if uid in self.nodes:
                self._prices[uid] = self._known_prices(self.nodes[uid], self.world.nodes.get(uid), steps)


def _last_proof(change: Change[Node] | Change[Pod]) -> Instant:
    """Until when an object is known to have existed that went while nobody watched."""
    return max(change.last_seen, last_touched(change.body) if change.body is not None else 0)
