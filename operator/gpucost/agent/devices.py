"""Which GPUs and MIG instances are there, looked up anew for every reading.

An administrator may change the MIG layout, a GPU may fall off the bus and come back: a list made at the start would
go on naming things that are gone. Only what a GPU never changes (its name, its address) is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any

import pynvml

from gpucost.agent.nvml import Nvml

_NO_SUCH_PROFILE = ("NOT_SUPPORTED", "INVALID_ARGUMENT", "FUNCTION_NOT_FOUND")
_NO_SUCH_SLOT = ("NOT_FOUND", "INVALID_ARGUMENT")
_GIB = 1 << 30
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Gpu:
    """A physical GPU."""

    index: int
    uuid: str
    name: str
    bus_id: str
    minor: int
    """N of /dev/nvidiaN, which need not be the index."""
    mig: bool
    gpm: bool
    """Whether it counts what its engines do (GPM: Hopper and later)."""
    handle: Any = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        """What failures are counted under."""
        return str(self.index)


@dataclass(frozen=True, slots=True)
class Instance:
    """A GPU instance of MIG; its compute instances share its memory and its counters."""

    gpu: Gpu
    id: int
    profile: str
    uuids: tuple[str, ...]
    """UUIDs of its MIG devices, one per compute instance."""
    placement: tuple[int, int] | None
    """Profile's number and first memory slice, of which DRA drivers make device names; None when it may not be seen."""
    handle: Any = field(compare=False, repr=False)


Device = Gpu | Instance


class Scanner:
    """Finds the devices of the node."""

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._fixed: dict[str, tuple[str, str, int]] = {}
        self._mig: dict[str, bool] = {}
        self._profiles: dict[tuple[str, int], str] = {}

    def scan(self) -> list[Device]:
        """Every GPU followed by its MIG instances; a GPU that does not answer is left out, and counted."""
        found: list[Device] = []
        for index in range(self._nvml.count()):
            gpu = self._gpu(index)
            if gpu is not None:
                found.append(gpu)
                found.extend(self._instances(gpu) if gpu.mig else ())
        return found

    def _gpu(self, index: int) -> Gpu | None:
        key, ask = str(index), self._nvml.ask
        handle = ask(key, "nvmlDeviceGetHandleByIndex", index)
        uuid = ask(key, "nvmlDeviceGetUUID", handle) if handle is not None else None
        if not uuid:
            return None
        mode = ask(key, "nvmlDeviceGetMigMode", handle, expected=("NOT_SUPPORTED",))
        mig = bool(mode and mode[0])
        if self._mig.setdefault(uuid, mig) != mig:
            self._nvml.forget(key)
            self._mig[uuid] = mig
        fixed = self._fixed.get(uuid) or self._look_up(key, uuid, handle)
        if fixed is None:
            return None
        name, bus_id, minor = fixed
        return Gpu(index, uuid, name, bus_id, minor, mig, self._counts(key, handle), handle)

    def _look_up(self, key: str, uuid: str, handle: Any) -> tuple[str, str, int] | None:
        name = self._nvml.ask(key, "nvmlDeviceGetName", handle)
        pci = self._nvml.ask(key, "nvmlDeviceGetPciInfo", handle)
        minor = self._nvml.ask(key, "nvmlDeviceGetMinorNumber", handle)
        if name is None or pci is None:
            return None
        self._fixed[uuid] = (name, _text(pci.busId), int(key) if minor is None else minor)
        return self._fixed[uuid]

    def _counts(self, key: str, handle: Any) -> bool:
        expected = ("NOT_SUPPORTED", "FUNCTION_NOT_FOUND")
        support = self._nvml.ask(key, "nvmlGpmQueryDeviceSupport", handle, expected=expected)
        return bool(support and support.isSupportedDevice)

    def _instances(self, gpu: Gpu) -> Iterator[Instance]:
        """GPU instances in order of their ids, each with all of its compute instances."""
        devices: dict[int, list[tuple[str, Any]]] = {}
        for slot in range(self._nvml.ask(gpu.key, "nvmlDeviceGetMaxMigDeviceCount", gpu.handle) or 0):
            handle = self._nvml.ask(
                gpu.key, "nvmlDeviceGetMigDeviceHandleByIndex", gpu.handle, slot, expected=_NO_SUCH_SLOT
            )
            if handle is None:
                continue
            uuid = self._nvml.ask(gpu.key, "nvmlDeviceGetUUID", handle)
            number = self._nvml.ask(gpu.key, "nvmlDeviceGetGpuInstanceId", handle)
            if uuid and number is not None:
                devices.setdefault(number, []).append((uuid, handle))
        for number, parts in sorted(devices.items()):
            yield self._instance(gpu, number, parts)

    def _instance(self, gpu: Gpu, number: int, parts: list[tuple[str, Any]]) -> Instance:
        handle = parts[0][1]
        placement = self._placement(gpu, number)
        profile = (placement and self._profile(gpu, placement[0])) or self._computed_profile(gpu, handle)
        return Instance(gpu, number, profile, tuple(uuid for uuid, _ in parts), placement, handle)

    def _placement(self, gpu: Gpu, number: int) -> tuple[int, int] | None:
        instance = self._nvml.ask(gpu.key, "nvmlDeviceGetGpuInstanceById", gpu.handle, number)
        info = self._nvml.ask(gpu.key, "nvmlGpuInstanceGetInfo", instance) if instance is not None else None
        return None if info is None else (info.profileId, info.placement.start)

    def _profile(self, gpu: Gpu, profile_id: int) -> str:
        """Name such as `1g.10gb+me`, which only this question tells exactly; empty when it is not answered."""
        known = self._profiles.get((gpu.uuid, profile_id))
        if known is None:
            known = self._profiles[gpu.uuid, profile_id] = self._look_up_profile(gpu, profile_id)
        return known

    def _look_up_profile(self, gpu: Gpu, profile_id: int) -> str:
        for number in range(pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT):  # not all of them exist on a GPU
            info = self._nvml.ask(
                gpu.key, "nvmlDeviceGetGpuInstanceProfileInfo", gpu.handle, number, expected=_NO_SUCH_PROFILE
            )
            if info is not None and info.id == profile_id:
                return _text(info.name).removeprefix("MIG ")
        return ""

    def _computed_profile(self, gpu: Gpu, handle: Any) -> str:
        attributes = self._nvml.ask(gpu.key, "nvmlDeviceGetAttributes", handle)
        memory = self._nvml.ask(gpu.key, "nvmlDeviceGetMemoryInfo", gpu.handle)
        if attributes is None or not memory or not memory.total:
            return ""
        return profile_name(attributes.gpuInstanceSliceCount, attributes.memorySizeMB, memory.total)


def profile_name(slices: int, memory_mib: int, total: int) -> str:
    """Name of a MIG profile from its compute slices and memory; `total` is the whole GPU's memory in bytes.

    The memory in a profile's name is nominal: eighths of the GPU's size in GB, rounded half up (`3g.71gb` of 141 GB).
    """
    eighths = ceil(memory_mib * _MIB * 8 / total)
    return f"{slices}g.{floor(eighths / 8 * ceil(total / _GIB) + 0.5)}gb"


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
