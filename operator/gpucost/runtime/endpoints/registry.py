"""What is known of endpoints: the objects, the pods of their workloads, and who else sets the same replicas.

Fed by watches; every change marks the keys that it may concern, and nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

from gpucost.api.convert import Converted
from gpucost.api.inference_convert import endpoint_spec
from gpucost.core.model import Key, Owner, Pod, Workload
from gpucost.core.owners import replicas_among
from gpucost.core.serving.makers import maker_of
from gpucost.core.serving.spec import INFERENCE_ENDPOINT, EndpointSpec, Mode, TargetRef
from gpucost.core.serving.state import Rival
from gpucost.runtime.world import Custom, World
from gpucost.sources.autoscalers import SCALED_OBJECT, Scaler
from gpucost.sources.reflector import Change

P = TypeVar("P")
M = TypeVar("M")

Place = tuple[str, str, str, str]
"""Namespace, API group, kind and name of a workload."""


def place_of(namespace: str, ref: TargetRef) -> Place:
    """Where a workload is; versions of one API group are views of the same object."""
    return namespace, ref.group, ref.kind, ref.name


@dataclass
class Endpoints:
    """Caches and indexes."""

    world: World
    records: dict[Key, Custom] = field(default_factory=dict)
    on_dirty: Callable[[Key], None] = lambda _key: None
    scalers: dict[str, Scaler] = field(default_factory=dict)
    """Autoscalers by UID, kept by their mirrors."""
    makers: dict[Place, Owner] = field(default_factory=dict)
    """Owners of the endpoints' targets, as far as they were looked up."""
    specs: dict[Key, Converted[EndpointSpec]] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    """By UID."""
    sizes: dict[tuple[str, Workload], Fraction] = field(default_factory=dict)
    """Pods of each replica, of workloads whose replicas are groups of pods, as they were seen last."""
    _by_place: dict[Place, set[Key]] = field(default_factory=dict)
    _by_workload: dict[tuple[str, Workload], set[Key]] = field(default_factory=dict)
    _scalers_by_place: dict[Place, dict[str, Scaler]] = field(default_factory=dict)
    _pods: dict[tuple[str, Workload], set[str]] = field(default_factory=dict)

    # --- changes ------------------------------------------------------------------------------------------------------

    def changed(self, record: Custom) -> None:
        """An endpoint appeared or changed."""
        old = self.records.get(record.key)
        if old is not None and (old.spec, old.annotations, old.uid) == (record.spec, record.annotations, record.uid):
            self.records[record.key] = record  # its status, which is our own word
            if old.status != record.status or old.deleting != record.deleting:
                self._forget_if_deleting(record)
            return
        if old is not None:
            self._unindex(old.key)
        self.records[record.key] = record
        self.keys[record.uid] = record.key
        self.specs[record.key] = read = endpoint_spec(record.body)
        if read.value is not None:
            target = read.value.target
            self._by_place.setdefault(place_of(record.namespace, target), set()).add(record.key)
            self._by_workload.setdefault((record.namespace, target.workload), set()).add(record.key)
        self._mark({record.key, *self._others(record.key)})

    def _forget_if_deleting(self, record: Custom) -> None:
        if record.deleting:
            self.on_dirty(record.key)

    def gone(self, key: Key) -> None:
        """An endpoint was deleted: another one that waits for the same workload looks again."""
        if key in self.records:
            others = self._others(key)
            self._unindex(key)
            del self.records[key]
            self._mark({key, *others})

    def _unindex(self, key: Key) -> None:
        self.keys.pop(self.records[key].uid, None)
        read = self.specs.pop(key, None)
        if read is not None and read.value is not None:
            _take(self._by_place, place_of(key.namespace, read.value.target), key)
            _take(self._by_workload, (key.namespace, read.value.target.workload), key)

    def scaler_changed(self, change: Change[Scaler]) -> None:
        """An autoscaler appeared, changed or went."""
        for record, there in ((change.old, False), (change.new, True)):
            if record is None:
                continue
            place = place_of(record.namespace, record.target)
            here = self._scalers_by_place.setdefault(place, {})
            if there:
                here[record.uid] = record
            else:
                here.pop(record.uid, None)
            if not here:
                del self._scalers_by_place[place]
            if change.old is None or change.new is None or change.old.target != change.new.target:
                self._mark(self._by_place.get(place, set()))

    def pod_changed(self, change: Change[Pod]) -> None:
        """A pod of some workload appeared, changed or went."""
        record = change.new or change.old
        assert record is not None
        if change.old is not None and change.new is not None and change.old.owner != change.new.owner:
            self.pod_changed(Change(change.old, None))
        if record.owner is None or record.owner.kind == "Job":
            return
        owner = record.namespace, self.world.workload_of(record)
        if change.new is not None:
            self._pods.setdefault(owner, set()).add(record.uid)
        else:
            _take(self._pods, owner, record.uid)
            self.world.adopted.pop(record.uid, None)
        if change.old is None or change.new is None or _shape(change.old) != _shape(change.new):
            self._mark(self._by_workload.get(owner, set()))

    def adopt(self, namespace: str, target: TargetRef, selected: Iterable[Pod]) -> None:
        """These pods stand for the replicas of a workload to which their owners do not lead: they count as its own.

        What belongs to the target of another endpoint, or to a run, stays where it is.
        """
        new = []
        for pod in selected:
            place = namespace, self.world.workload_of(pod)
            is_free = pod.owner is not None and pod.owner.kind != "Job" and not self._by_workload.get(place)
            if is_free and place[1] != target.workload:
                _take(self._pods, place, pod.uid)
                self.world.adopted[pod.uid] = target.workload
                self._pods.setdefault((namespace, target.workload), set()).add(pod.uid)
                new.append(pod.uid)
        if new:
            self.world.on_claimed(new)

    def _mark(self, keys: Iterable[Key]) -> None:
        for key in tuple(keys):
            self.on_dirty(key)

    # --- look-ups -----------------------------------------------------------------------------------------------------

    def spec_of(self, key: Key) -> EndpointSpec | None:
        """What an endpoint asks for; None: it is not known, or cannot be read."""
        read = self.specs.get(key)
        return None if read is None else read.value

    def _others(self, key: Key) -> set[Key]:
        spec = self.spec_of(key)
        if spec is None:
            return set()
        return self._by_place.get(place_of(key.namespace, spec.target), set()) - {key}

    def rivals(self, record: Custom, spec: EndpointSpec) -> tuple[Rival, ...]:
        """Who else sets the replicas of its workload: autoscalers, its owner, and an endpoint that was there first."""
        here = self._scalers_by_place.get(place_of(record.namespace, spec.target), {})
        found = {_named(one) for one in here.values()}
        maker = self.makers.get(place_of(record.namespace, spec.target))
        if maker is not None and (rival := maker_of(maker, record.annotations)) is not None:
            found.add(rival)
        if spec.mode is Mode.AUTO:
            for key in self._others(record.key):
                other, read = self.records[key], self.specs[key].value
                older = (other.created, other.uid) < (record.created, record.uid)
                if read is not None and read.mode is Mode.AUTO and older and not other.deleting:
                    found.add(Rival(INFERENCE_ENDPOINT, key.name))
        return tuple(sorted(found))

    def is_target(self, place: Place) -> bool:
        """Whether any endpoint is about a workload."""
        return place in self._by_place

    def pods_of(self, namespace: str, target: TargetRef) -> tuple[Pod, ...]:
        """Pods of a workload that have not ended, by who owns them."""
        uids = self._pods.get((namespace, target.workload), ())
        found = (self.world.pods.get(uid) for uid in sorted(uids))
        return tuple(pod for pod in found if pod is not None and pod.ended is None)

    def replicas_of(self, namespace: str, target: TargetRef) -> tuple[Pod, ...]:
        """Those of its pods that stand for a replica each; the others of a group serve through them."""
        return replicas_among(self.pods_of(namespace, target))

    def is_owned(self, namespace: str, target: TargetRef) -> bool:
        """Whether pods of a workload are known by who owns them."""
        uids = self._pods.get((namespace, target.workload), ())
        return any(uid not in self.world.adopted for uid in uids)

    def group_size(self, namespace: str, target: TargetRef) -> Fraction:
        """How many pods a replica has; while there is none, how many it had."""
        place = namespace, target.workload
        pods = self.pods_of(namespace, target)
        replicas = replicas_among(pods)
        if len(replicas) == len(pods):
            if pods:
                self.sizes.pop(place, None)
        elif replicas:
            self.sizes[place] = Fraction(len(pods), len(replicas))
        return self.sizes.get(place, Fraction(1))

    def workloads(self) -> list[tuple[str, Workload]]:
        """The workloads of all endpoints, as costs are booked on them."""
        values = ((key.namespace, read.value) for key, read in self.specs.items())
        return [(space, spec.target.workload) for space, spec in values if spec is not None]


def _named(scaler: Scaler) -> Rival:
    """An autoscaler that KEDA has made is told by the name that its owner knows."""
    if scaler.owner is not None and scaler.owner.kind == SCALED_OBJECT:
        return Rival(SCALED_OBJECT, scaler.owner.name)
    return Rival(scaler.kind, scaler.name)


def _take(members: dict[P, set[M]], place: P, one: M) -> None:
    """Take one out of its place, and the place with the last one."""
    here = members.get(place, set())
    here.discard(one)
    if not here:
        members.pop(place, None)


def _shape(pod: Pod) -> tuple[bool, bool, bool]:
    return pod.ready_since is not None, pod.deleting is not None, pod.ended is not None
