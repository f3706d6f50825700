"""One reading: every device with the values that NVML gave for it, averaged over the period where NVML lets us.

Utilisation is the mean of the driver's own samples since the last reading, not the value of this very moment, which
for a training step of a second says nothing. A value that is missing is left out; it is never a zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pynvml

from gpucost.agent.devices import Device, Gpu, Scanner
from gpucost.agent.gpm import Gpm
from gpucost.agent.nvml import Nvml
from gpucost.agent.plausible import ENERGY, FB_FREE, FB_RESERVED, FB_USED, GPU_UTIL, POWER, XID, plausible
from gpucost.agent.xid import XidWatch

_MIB = 1 << 20
_MICROS = 1_000_000
_FIELDS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Field of NVML's union by value type."""

Pair = tuple[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """A device and its values by the metric's name."""

    device: Device
    values: Mapping[str, float]


class Reader:
    """Reads the node's devices; one reading after the other, from one thread at a time."""

    def __init__(self, nvml: Nvml, period: float) -> None:
        """`period`: seconds that the first reading, which has no predecessor, looks back."""
        self.dropped: Counter[tuple[str, str]] = Counter()
        """Values that cannot be true, by metric and reason."""
        self._nvml = nvml
        self._window = int(period * _MICROS)
        self._scanner = Scanner(nvml)
        self._gpm = Gpm(nvml)
        self._xid = XidWatch(nvml)
        self._seen: dict[str, int] = {}

    def read(self) -> list[Measured]:
        """All devices. Raises `NoDriver` when the driver itself is gone."""
        devices = self._scanner.scan()
        self._gpm.keep_only(devices)
        self._xid.poll([device for device in devices if isinstance(device, Gpu)])
        return [Measured(device, dict(self._sound(self._values(device)))) for device in devices]

    def close(self) -> None:
        """Give back what the library lent."""
        self._gpm.close()
        self._xid.close()

    def _values(self, device: Device) -> Iterator[Pair]:
        if isinstance(device, Gpu):
            yield from self._electric(device)
            if device.mig:  # its instances tell the rest
                return
            yield from self._utilisation(device)
            yield from self._memory(device.key, "", device.handle)
        else:
            yield from self._memory(device.gpu.key, f"/{device.id}", device.handle)
        yield from self._gpm.read(device).items()

    def _electric(self, gpu: Gpu) -> Iterator[Pair]:
        power = self._nvml.ask(gpu.key, "nvmlDeviceGetPowerUsage", gpu.handle)
        if power is not None:
            yield POWER, power / 1000
        energy = self._nvml.ask(gpu.key, "nvmlDeviceGetTotalEnergyConsumption", gpu.handle)
        if energy is not None:
            yield ENERGY, energy
        xid = self._xid.last(gpu)
        if xid is not None:
            yield XID, xid

    def _memory(self, gpu: str, part: str, handle: Any) -> Iterator[Pair]:
        memory = self._nvml.ask(
            gpu, "nvmlDeviceGetMemoryInfo", handle, pynvml.nvmlMemory_v2, key=part, expected=("FUNCTION_NOT_FOUND",)
        )
        if memory is not None:
            yield FB_RESERVED, memory.reserved / _MIB
        else:  # a driver before 510, which counts what it reserves as used
            memory = self._nvml.ask(gpu, "nvmlDeviceGetMemoryInfo", handle, key=part)
        if memory is not None:
            yield FB_USED, memory.used / _MIB
            yield FB_FREE, memory.free / _MIB

    def _utilisation(self, gpu: Gpu) -> Iterator[Pair]:
        samples = self._nvml.ask(
            gpu.key,
            "nvmlDeviceGetSamples",
            gpu.handle,
            pynvml.NVML_GPU_UTILIZATION_SAMPLES,
            self._seen.get(gpu.uuid, 0),
            expected=("NOT_FOUND",),  # none since the last reading
        )
        values = self._new(gpu.uuid, *samples) if samples else []
        sound = [value for _, value in self._sound((GPU_UTIL, value) for value in values)]
        if sound:
            yield GPU_UTIL, sum(sound) / len(sound)
        elif not values:
            rates = self._nvml.ask(gpu.key, "nvmlDeviceGetUtilizationRates", gpu.handle)
            if rates is not None:
                yield GPU_UTIL, rates.gpu

    def _new(self, uuid: str, kind: int, samples: list[Any]) -> list[float]:
        """Values after the newest one seen, not further back than the period."""
        if not samples or kind >= len(_FIELDS):
            return []
        newest = max(sample.timeStamp for sample in samples)
        since = max(self._seen.get(uuid, 0), newest - self._window)
        self._seen[uuid] = newest
        return [getattr(sample.sampleValue, _FIELDS[kind]) for sample in samples if sample.timeStamp > since]

    def _sound(self, values: Iterator[Pair]) -> Iterator[Pair]:
        for metric, value in values:
            checked = plausible(metric, value)
            if isinstance(checked, str):
                self.dropped[metric, checked] += 1
            else:
                yield metric, checked
