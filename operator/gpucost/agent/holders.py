"""From the names that device plugins and DRA drivers give to devices, to the GPU or MIG instance that is meant.

Each has its own way: `GPU-…` and `MIG-…` UUIDs (NVIDIA's plugin), with `::3` for a time-sliced or MPS replica,
`nvidia0`, `nvidia0/gi1` and `…/vgpu2` (GKE), `MIG-GPU-…/1/0` (drivers before 470), `gpu-0` and `gpu-0-mig-…` (DRA). A
name that fits no device of the node is somebody else's device, or something new; it is counted and never guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gpucost.agent.devices import Device, Gpu, Instance
from gpucost.agent.podresources import Claim, Container

_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ANY_UUID = re.compile(f"(?:GPU|MIG)-{_UUID}")
_OLD_MIG = re.compile(f"MIG-(GPU-{_UUID})/([0-9]+)/[0-9]+")
_DEVICE_FILE = re.compile("nvidia([0-9]+)(?:/gi([0-9]+))?(?:/vgpu[0-9]+)?")
_DRA_GPU = re.compile("gpu-([0-9]+)")
_DRA_MIG = re.compile("gpu-([0-9]+)-mig-([0-9]+)-([0-9]+)-[0-9]+")
"""Minor number, profile, first memory slice, number of slices."""
_DRA_NAMED_MIG = re.compile("gpu-([0-9]+)-mig-[0-9]*[a-z][0-9a-z-]*-([0-9]+)-([0-9]+)")
"""Newer drivers: minor number, name of the profile, profile, first memory slice."""
_DRA_DRIVER = "gpu.nvidia.com"
_RESOURCES = "nvidia.com/"


@dataclass(frozen=True, slots=True)
class Holder:
    """A container that holds a device, and the claim through which it does."""

    namespace: str
    pod: str
    container: str
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds what; several holders of one device share it."""

    holders: Mapping[Device, tuple[Holder, ...]] = field(default_factory=dict)
    unmatched: Mapping[str, int] = field(default_factory=dict)
    """Devices of NVIDIA's that are none of this node's, by resource or DRA driver."""


def holders(containers: Iterable[Container], devices: Iterable[Device]) -> Held:
    """Holders of every device. A container with several replicas of one GPU holds it once."""
    index = _Index(devices)
    found: dict[Device, dict[Holder, None]] = {}
    unmatched: Counter[str] = Counter()
    for each in containers:
        plain = Holder(each.namespace, each.pod, each.name)
        for resource, name in each.devices:
            device = index.by_id(name)
            if device is not None:
                found.setdefault(device, {})[plain] = None
            elif resource.startswith(_RESOURCES):
                unmatched[resource] += 1
        for claim in each.claims:
            device = index.by_claim(claim)
            if device is not None:
                found.setdefault(device, {})[Holder(each.namespace, each.pod, each.name, claim)] = None
            elif claim.driver == _DRA_DRIVER:
                unmatched[claim.driver] += 1
    return Held({device: tuple(each) for device, each in found.items()}, dict(unmatched))


class _Index:
    """Devices of the node by everything that a name may speak of."""

    def __init__(self, devices: Iterable[Device]) -> None:
        self.uuids: dict[str, Device] = {}
        self.minors: dict[int, Gpu] = {}
        self.numbers: dict[tuple[int, int], Instance] = {}
        self.placements: dict[tuple[int, int, int], Instance] = {}
        for device in devices:
            if isinstance(device, Gpu):
                self.uuids[device.uuid] = self.minors[device.minor] = device
            else:
                self._add(device)

    def _add(self, instance: Instance) -> None:
        minor = instance.gpu.minor
        self.numbers[minor, instance.id] = instance
        self.uuids.update(dict.fromkeys(instance.uuids, instance))
        if instance.placement is not None:
            self.placements[minor, *instance.placement] = instance

    def by_id(self, name: str) -> Device | None:
        """Device that a device plugin calls so."""
        if old := _OLD_MIG.match(name):
            parent = self.uuids.get(old[1])
            return self.numbers.get((parent.minor, int(old[2]))) if isinstance(parent, Gpu) else None
        if uuid := _ANY_UUID.match(name):
            return self.uuids.get(uuid[0])
        if file := _DEVICE_FILE.fullmatch(name):
            minor = int(file[1])
            return self.minors.get(minor) if file[2] is None else self.numbers.get((minor, int(file[2])))
        return None

    def by_claim(self, claim: Claim) -> Device | None:
        """Device of a claim: by a UUID in its CDI names where there is one, else by NVIDIA's name of the device."""
        for name in claim.cdi:
            if (uuid := _ANY_UUID.search(name)) and uuid[0] in self.uuids:
                return self.uuids[uuid[0]]
        return self._by_device_name(claim.device) if claim.driver == _DRA_DRIVER else None

    def _by_device_name(self, name: str) -> Device | None:
        if whole := _DRA_GPU.fullmatch(name):
            return self.minors.get(int(whole[1]))
        part = _DRA_MIG.fullmatch(name) or _DRA_NAMED_MIG.fullmatch(name)
        return self.placements.get((int(part[1]), int(part[2]), int(part[3]))) if part else None
