"""From volumes, claims and Services to the ledger's facts: what costs by the hour beside nodes.

A volume costs from its creation until it is deleted: held by its claim while there is one, idle otherwise (a released
volume that nobody deletes is paid for as well). A load balancer costs while a Service has its address.
To the arithmetic each is a node that one pod holds whole (`NodeFact.kind`), so everything that is true of the cost of
nodes is true of theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gpucost.core.category import category_of
from gpucost.core.clock import Instant
from gpucost.core.model import (
    Gap,
    NodeFact,
    NodeKind,
    PodFact,
    PriceFact,
    Resources,
    Workload,
)
from gpucost.core.resizing import resized
from gpucost.core.timeline import Interval
from gpucost.runtime.recorder import BROKEN_WATCH, Recorder
from gpucost.runtime.recovery import UNSEEN, Past
from gpucost.sources.assets import ClaimRecord, ServiceRecord, VolumeRecord
from gpucost.sources.reflector import Change

_LIFE = "#"
"""A Service that is given a load balancer again has `UID#1`, then `UID#2`: each of them has one life."""


@dataclass
class Assets:
    """Records what changes; `volumes`, `claims` and `services` are the mirrors' own dictionaries."""

    recorder: Recorder
    now: Callable[[], Instant]
    prices_of: Callable[[NodeFact], list[PriceFact]]
    waiting: bool = False
    """Whether `recover` is still to come: only the ledger knows since when things are, so nothing is concluded."""
    volumes: dict[str, VolumeRecord] = field(default_factory=dict)
    claims: dict[str, ClaimRecord] = field(default_factory=dict)
    services: dict[str, ServiceRecord] = field(default_factory=dict)
    things: dict[str, NodeFact] = field(default_factory=dict)
    """Last fact of every volume and load balancer that has not ended."""
    holders: dict[str, PodFact] = field(default_factory=dict)
    """Last fact of every claim and Service that holds one."""
    _former: Counter[str] = field(default_factory=Counter)
    """How many load balancers a Service had before, by its UID."""
    _volume_of: dict[str, str] = field(default_factory=dict)
    """UID of the volume by that of its claim."""

    # --- changes ------------------------------------------------------------------------------------------------------

    def volume_changed(self, change: Change[VolumeRecord]) -> None:
        """A volume appeared, was bound, was released, was resized or went."""
        if change.old is not None and change.old.claim:
            self._volume_of.pop(change.old.claim, None)
        if change.new is None:
            assert change.old is not None
            self._thing_ended(change.old.uid, self._end(change), gap=not change.seen)
            return
        if change.new.claim:
            self._volume_of[change.new.claim] = change.new.uid
        if self.waiting:
            return
        self._thing(_volume_fact(change.new))
        self._bind(change.new)

    def claim_changed(self, change: Change[ClaimRecord]) -> None:
        """A claim appeared or went."""
        if self.waiting:
            return
        if change.new is None:
            assert change.old is not None
            self._holder_ended(change.old.uid, self._end(change), gap=not change.seen)
            return
        volume = self.volumes.get(self._volume_of.get(change.new.uid, ""))
        if volume is not None:
            self._hold(_claim_fact(change.new, volume))

    def service_changed(self, change: Change[ServiceRecord]) -> None:
        """A Service got a load balancer, or lost it."""
        if self.waiting:
            return
        if change.new is None or change.new.balanced is None:
            if change.old is not None and change.old.balanced is not None:
                uid = self._balancer(change.old.uid)
                self._holder_ended(uid, self._end(change), gap=not change.seen)
                self._thing_ended(uid, self._end(change), gap=not change.seen)
            return
        uid, since = self._balancer(change.new.uid), change.new.balanced
        self._thing(_balancer_fact(change.new, uid, since))
        self._hold(_service_fact(change.new, uid, since))

    def _balancer(self, service: str) -> str:
        former = self._former[service]
        return f"{service}{_LIFE}{former}" if former else service

    def _end(self, change: Change[VolumeRecord] | Change[ClaimRecord] | Change[ServiceRecord]) -> Instant:
        return self.now() if change.seen or change.new is not None else change.last_seen

    def _bind(self, volume: VolumeRecord) -> None:
        claim = self.claims.get(volume.claim)
        if claim is not None:
            self._hold(_claim_fact(claim, volume))

    # --- facts --------------------------------------------------------------------------------------------------------

    def _thing(self, fact: NodeFact) -> None:
        known = self.things.get(fact.uid)
        fact = resized(known, fact, self.now())
        if known != fact:
            self.things[fact.uid] = fact
            self.recorder.add(fact)
            self._price(fact)

    def _price(self, fact: NodeFact) -> None:
        self.recorder.price(fact.uid, self.prices_of(fact))

    def _hold(self, fact: PodFact) -> None:
        known = self.holders.get(fact.uid)
        if known is not None:  # what was recorded of its beginning stays
            fact = replace(fact, start=known.start) if known.node_uid == fact.node_uid else fact
        if known != fact:
            self.holders[fact.uid] = fact
            self.recorder.add(fact)

    def _thing_ended(self, uid: str, end: Instant, *, gap: bool) -> None:
        fact = self.things.pop(uid, None)
        if fact is not None:
            self._count(fact)
            self._ended(replace(fact, end=max(end, fact.start)), BROKEN_WATCH if gap else "")

    def _count(self, ended: NodeFact) -> None:
        if ended.kind is NodeKind.LOAD_BALANCER:
            self._former[_service_of(ended.uid)] += 1

    def _holder_ended(self, uid: str, end: Instant, *, gap: bool) -> None:
        fact = self.holders.pop(uid, None)
        if fact is not None:
            self._ended(replace(fact, end=max(end, fact.start), end_reason="Deleted"), BROKEN_WATCH if gap else "")

    def _ended(self, fact: NodeFact | PodFact, gap: str) -> None:
        self.recorder.add(fact)
        end = fact.end
        if gap and end is not None and end < self.now():
            self.recorder.add(Gap(fact.uid, Interval(end, self.now()), gap))

    def reprice(self) -> None:
        """Prices have changed: give everything its timeline again."""
        for fact in self.things.values():
            self._price(fact)

    # --- after a start ------------------------------------------------------------------------------------------------

    def recover(self, past: Past) -> None:
        """Take up what the ledger knows; what is gone since ended at some time after it was last seen."""
        self.waiting = False
        self._former.update(map(_service_of, past.former_balancers))
        for uid, holder in past.open_holders.items():
            if uid in self.claims or self._balances(uid):
                self.holders[uid] = holder
            else:
                self._ended(replace(holder, end=max(past.observed_until, holder.start), end_reason="vanished"), UNSEEN)
        for uid, thing in past.open_assets.items():
            if uid in self.volumes or self._balances(uid):
                self.things[uid] = thing
            else:
                self._count(thing)
                self._ended(replace(thing, end=max(past.observed_until, thing.start)), UNSEEN)
        for volume in self.volumes.values():
            self.volume_changed(Change(volume, volume))
        for service in self.services.values():
            self.service_changed(Change(service, service))
        self.reprice()

    def _balances(self, uid: str) -> bool:
        service = self.services.get(_service_of(uid))
        return service is not None and service.balanced is not None


def _service_of(balancer: str) -> str:
    return balancer.partition(_LIFE)[0]


def _volume_fact(volume: VolumeRecord) -> NodeFact:
    return NodeFact(
        uid=volume.uid,
        name=volume.name,
        start=volume.created,
        end=None,
        capacity=Resources(storage=volume.size),
        instance_type=volume.storage_class,
        region=volume.region,
        zone=volume.zone,
        kind=NodeKind.VOLUME,
    )


def _claim_fact(claim: ClaimRecord, volume: VolumeRecord) -> PodFact:
    workload = Workload("PersistentVolumeClaim", claim.name)
    return PodFact(
        uid=claim.uid,
        namespace=claim.namespace,
        name=claim.name,
        workload=workload,
        category=category_of(namespace=claim.namespace, workload=workload, labels=claim.labels, gpus=0),
        node_uid=volume.uid,
        start=max(claim.created, volume.bound),
        end=None,
        requests=Resources(storage=volume.size),
        labels=claim.labels,
    )


def _balancer_fact(service: ServiceRecord, uid: str, since: Instant) -> NodeFact:
    return NodeFact(
        uid=uid,
        name=str(service.key),
        start=since,
        end=None,
        capacity=Resources(),
        instance_type=service.balancer_class,
        kind=NodeKind.LOAD_BALANCER,
    )


def _service_fact(service: ServiceRecord, uid: str, since: Instant) -> PodFact:
    workload = Workload("Service", service.name)
    return PodFact(
        uid=uid,
        namespace=service.namespace,
        name=service.name,
        workload=workload,
        category=category_of(namespace=service.namespace, workload=workload, labels=service.labels, gpus=0),
        node_uid=uid,
        start=since,
        end=None,
        requests=Resources(),
        labels=service.labels,
    )
