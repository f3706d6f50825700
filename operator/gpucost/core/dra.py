"""GPUs held through ResourceClaims: from allocated devices to GPUs' worth, split evenly where pods share a claim.

A device is a whole GPU or a MIG slice of one (`core.mig`). A claim that several pods have reserved is one set of
devices: each pod counts for an equal part, because nothing tells who uses how much. What a device is worth that is
neither is unknown, and then so is what its pods hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from gpucost.core.mig import card_of
from gpucost.core.model import Gpus, Unknown

WHOLE, SLICE = "gpu", "mig"

GPU_DRIVERS: tuple[str, ...] = ("gpu.nvidia.com", "gpu.amd.com", "gpu.intel.com")
"""Drivers whose devices are GPUs; those of others (network cards, say) are not priced."""


class DeviceId(NamedTuple):
    """Identity of a device: names are unique within a pool of a driver."""

    driver: str
    pool: str
    name: str


@dataclass(frozen=True, slots=True)
class Device:
    """A device that a node offers."""

    id: DeviceId
    type: str = ""
    """`gpu`, `mig`, or whatever else the driver says; empty where it says nothing."""
    model: str = ""
    profile: str = ""
    """MIG profile, such as `3g.40gb`."""
    uuid: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether it is a GPU and no part of one; drivers without MIG publish no type."""
        return self.type in {"", WHOLE} and not self.profile


@dataclass(frozen=True, slots=True)
class Claim:
    """A ResourceClaim: its allocated devices, and the UIDs of the pods that have reserved it."""

    uid: str
    name: str
    namespace: str
    devices: tuple[DeviceId, ...] = ()
    pods: tuple[str, ...] = ()


class Holding(NamedTuple):
    """What a pod holds through its claims."""

    gpus: Gpus
    note: str = ""


def worth(device: Device) -> Gpus | Unknown:
    """GPUs' worth of a device."""
    if device.is_whole:
        return 1
    if not device.profile:
        return Unknown(f"device {device.id.name} is of type {device.type!r}, whose part of a GPU is not known")
    try:
        return card_of(device.model, None, frozenset({device.profile})).part(device.profile)
    except ValueError as error:
        return Unknown(f"device {device.id.name}: {error}")


def physical(devices: Iterable[Device], drivers: Sequence[str] = GPU_DRIVERS) -> int:
    """GPUs in a node, by its devices: the whole ones, of which slices are parts."""
    return sum(1 for device in devices if device.id.driver in drivers and device.is_whole)


def holding(
    claims: Iterable[Claim], devices: Mapping[DeviceId, Device], drivers: Sequence[str] = GPU_DRIVERS
) -> Holding | Unknown:
    """What one pod holds through the claims that it has reserved."""
    gpus: Gpus = 0
    notes: list[str] = []
    for claim in sorted(claims, key=lambda one: (one.namespace, one.name)):
        whole = _claim_worth(claim, devices, drivers)
        if isinstance(whole, Unknown):
            return whole
        if not whole:
            continue
        sharers = max(1, len(claim.pods))
        gpus += Fraction(whole, sharers) if sharers > 1 else whole
        if sharers > 1:
            notes.append(f"1/{sharers} of claim {claim.name}, which {sharers} pods share")
    return Holding(gpus, "; ".join(notes))


def _claim_worth(claim: Claim, devices: Mapping[DeviceId, Device], drivers: Sequence[str]) -> Gpus | Unknown:
    total: Gpus = 0
    for one in claim.devices:
        if one.driver not in drivers:
            continue
        device = devices.get(one)
        if device is None:
            return Unknown(f"device {one.name} of claim {claim.name} is in no ResourceSlice")
        part = worth(device)
        if isinstance(part, Unknown):
            return part
        total += part
    return total
