"""What nodes offer and pods hold, in GPUs' worth: device plugins' units and allocated claims put together.

The records of the cluster name devices; the ledger counts GPUs' worth (`core.gpus`, `core.dra`). What cannot be known
(a MIG profile that no table has, a claim whose devices nobody describes) stays `Unknown` with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from gpucost.core.capacity import capacity_type, traits
from gpucost.core.dra import GPU_DRIVERS, Claim, Device, DeviceId, Holding, holding, physical
from gpucost.core.gpus import DEFAULT_RESOURCES, Layout, held, is_gpu
from gpucost.core.model import Node, NodeFact, Pod, Unknown
from gpucost.core.offer import offer
from gpucost.sources.devices import SliceRecord
from gpucost.sources.reflector import Change

_NOTHING = Holding(0)


@dataclass
class Holdings:
    """Answers for nodes and pods; `slices` and `claims` are the mirrors' own dictionaries."""

    resources: Sequence[str] = DEFAULT_RESOURCES
    drivers: Sequence[str] = GPU_DRIVERS
    slices: dict[str, SliceRecord] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    _layouts: dict[str, Layout] = field(default_factory=dict)
    """By UID of the node, where it offers GPUs by a device plugin."""
    _devices: dict[DeviceId, Device] = field(default_factory=dict)
    _slices_on: dict[str, set[str]] = field(default_factory=dict)
    """UIDs of slices by name of the node."""
    _claims_of: dict[str, set[str]] = field(default_factory=dict)
    """UIDs of claims by that of a pod that has reserved them."""

    # --- changes ------------------------------------------------------------------------------------------------------

    def slice_changed(self, change: Change[SliceRecord]) -> str:
        """Devices appeared, changed or went; the name of the node concerned."""
        record = change.new or change.old
        assert record is not None
        here = self._slices_on.setdefault(record.node, set())
        here.add(record.uid) if change.new is not None else here.discard(record.uid)
        for device in change.old.devices if change.old is not None else ():
            self._devices.pop(device.id, None)
        for device in self._on(record.node):  # another slice may describe the same device
            self._devices[device.id] = device
        return record.node

    def claim_changed(self, change: Change[Claim]) -> set[str]:
        """A claim was allocated, reserved or released; the UIDs of the pods that hold something else now."""
        before = set(change.old.pods) if change.old is not None else set()
        after = set(change.new.pods) if change.new is not None else set()
        claim = change.new or change.old
        assert claim is not None
        for uid in before - after:
            self._claims_of.get(uid, set()).discard(claim.uid)
            if not self._claims_of.get(uid):
                self._claims_of.pop(uid, None)
        for uid in after:
            self._claims_of.setdefault(uid, set()).add(claim.uid)
        return before | after

    def forget_node(self, uid: str) -> None:
        """A node is gone."""
        self._layouts.pop(uid, None)

    # --- answers ------------------------------------------------------------------------------------------------------

    def node_fact(self, node: Node) -> NodeFact:
        """Life, size and traits of a node."""
        found, offered = traits(node.labels), self._layout(node)
        through_claims = physical(self._on(node.name), self.drivers)
        capacity, whole = offered.capacity + through_claims, offered.physical + through_claims
        return NodeFact(
            uid=node.uid,
            name=node.name,
            start=node.created,
            end=node.ended,
            capacity=replace(node.capacity, gpus=capacity),
            instance_type=found.instance_type,
            gpu_model=found.gpu_model or self._model(node.name),
            region=found.region,
            zone=found.zone,
            capacity_type=capacity_type(node.labels),
            physical_gpus=whole if whole != capacity else 0,
            stranded_gpus=offered.stranded,
        )

    def layout_of(self, node_uid: str) -> Layout | None:
        """How a node offered GPUs by its device plugin when it last did."""
        return self._layouts.get(node_uid)

    def problem(self, node: Node) -> str:
        """Why nobody can tell how a node's GPUs are offered; empty when that is known."""
        return self._layout(node).problem

    def of_pod(self, pod: Pod, node_uid: str) -> Holding | Unknown:
        """GPUs' worth that a pod on a node holds."""
        units = {name: count for name, count in pod.devices.items() if is_gpu(name, self.resources)}
        by_claim = self._by_claims(pod.uid)
        if isinstance(by_claim, Unknown) or not units:
            return by_claim
        offered = self._layouts.get(node_uid)
        if offered is None:  # a node that was gone before we came
            return Holding(sum(units.values()) + by_claim.gpus, by_claim.note)
        if offered.problem:
            return Unknown(offered.problem)
        try:
            return Holding(held(units, offered) + by_claim.gpus, by_claim.note)
        except ValueError as error:
            return Unknown(str(error))

    def units(self, pod: Pod) -> int:
        """Devices (GPUs, slices, replicas) that a pod holds, whatever each is worth."""
        plugin = sum(count for name, count in pod.devices.items() if is_gpu(name, self.resources))
        claims = (self.claims[uid] for uid in self._claims_of.get(pod.uid, ()) if uid in self.claims)
        return plugin + sum(device.driver in self.drivers for claim in claims for device in claim.devices)

    def _by_claims(self, pod_uid: str) -> Holding | Unknown:
        uids = self._claims_of.get(pod_uid)
        if not uids:
            return _NOTHING
        return holding((self.claims[uid] for uid in uids if uid in self.claims), self._devices, self.drivers)

    # --- nodes --------------------------------------------------------------------------------------------------------

    def _layout(self, node: Node) -> Layout:
        offered = offer(node.devices, node.labels, self.resources)
        if offered is None:  # a plugin that restarts offers nothing for a while: what pods hold is worth what it was
            return Layout(physical=node.capacity.gpus, capacity=node.capacity.gpus)
        self._layouts[node.uid] = offered
        return offered

    def _on(self, node: str) -> Iterable[Device]:
        """Devices of the newest generation of each pool: while a driver publishes anew, the old slices stay."""
        found = [self.slices[uid] for uid in sorted(self._slices_on.get(node, ())) if uid in self.slices]
        newest: dict[tuple[str, str], int] = {}
        for record in found:
            newest[record.pool] = max(record.generation, newest.get(record.pool, 0))
        return (device for record in found if record.generation == newest[record.pool] for device in record.devices)

    def _model(self, node: str) -> str:
        return next((device.model for device in self._on(node) if device.id.driver in self.drivers), "")
