"""What is known of endpoints: the objects, the pods of their workloads, and who else sets the same replicas.

Fed by watches; every change marks the keys that it may concern, and nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gpucost.api.convert import Converted
from gpucost.api.inference_convert import endpoint_spec
from gpucost.core.model import Key, Pod, Workload
from gpucost.core.serving.spec import INFERENCE_ENDPOINT, EndpointSpec, Mode, TargetRef
from gpucost.core.serving.state import Rival
from gpucost.runtime.world import Custom, World
from gpucost.sources.autoscalers import SCALED_OBJECT, Scaler
from gpucost.sources.reflector import Change

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
    specs: dict[Key, Converted[EndpointSpec]] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    """By UID."""
    _by_place: dict[Place, set[Key]] = field(default_factory=dict)
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
            self._by_place.setdefault(place_of(record.namespace, read.value.target), set()).add(record.key)
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
            place = place_of(key.namespace, read.value.target)
            keys = self._by_place.get(place, set())
            keys.discard(key)
            if not keys:
                self._by_place.pop(place, None)

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
        if record.owner is None or record.owner.kind == "Job":
            return
        owner = record.namespace, self.world.workload_of(record)
        if change.old is not None and change.new is not None and change.old.owner != change.new.owner:
            self.pod_changed(Change(change.old, None))
        members = self._pods.setdefault(owner, set())
        if change.new is not None:
            members.add(record.uid)
        else:
            members.discard(record.uid)
            if not members:
                del self._pods[owner]
        if change.old is None or change.new is None or _shape(change.old) != _shape(change.new):
            self._mark(self._keys_of(*owner))

    def _keys_of(self, namespace: str, workload: Workload) -> set[Key]:
        return self._by_place.get((namespace, "apps", workload.kind, workload.name), set())

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
        """Who else sets the replicas of its workload: autoscalers, and an endpoint that was there first."""
        here = self._scalers_by_place.get(place_of(record.namespace, spec.target), {})
        found = {_named(one) for one in here.values()}
        if spec.mode is Mode.AUTO:
            for key in self._others(record.key):
                other, read = self.records[key], self.specs[key].value
                older = (other.created, other.uid) < (record.created, record.uid)
                if read is not None and read.mode is Mode.AUTO and older and not other.deleting:
                    found.add(Rival(INFERENCE_ENDPOINT, key.name))
        return tuple(sorted(found))

    def pods_of(self, namespace: str, target: TargetRef) -> tuple[Pod, ...]:
        """Pods of a workload that have not ended, by who owns them."""
        uids = self._pods.get((namespace, target.workload), ())
        found = (self.world.pods.get(uid) for uid in sorted(uids))
        return tuple(pod for pod in found if pod is not None and pod.ended is None)

    def workloads(self) -> list[tuple[str, Workload]]:
        """The workloads of all endpoints, as costs are booked on them."""
        values = ((key.namespace, read.value) for key, read in self.specs.items())
        return [(space, spec.target.workload) for space, spec in values if spec is not None]


def _named(scaler: Scaler) -> Rival:
    """An autoscaler that KEDA has made is told by the name that its owner knows."""
    if scaler.owner is not None and scaler.owner.kind == SCALED_OBJECT:
        return Rival(SCALED_OBJECT, scaler.owner.name)
    return Rival(scaler.kind, scaler.name)


def _shape(pod: Pod) -> tuple[bool, bool, bool]:
    return pod.ready_since is not None, pod.deleting is not None, pod.ended is not None
