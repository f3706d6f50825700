"""What the engines did between two readings, from the GPU's own counters (GPM, Hopper and later).

A sample is a snapshot of counters; the share of time in between two is exact, whatever its length. Each device keeps
its last snapshot and one buffer to take the next into, so nothing is allocated while nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pynvml

from gpucost.agent.devices import Device, Gpu
from gpucost.agent.nvml import Nvml

METRICS: Mapping[int, str] = {
    pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL: "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    pynvml.NVML_GPM_METRIC_SM_UTIL: "DCGM_FI_PROF_SM_ACTIVE",
    pynvml.NVML_GPM_METRIC_SM_OCCUPANCY: "DCGM_FI_PROF_SM_OCCUPANCY",
    pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL: "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
    pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL: "DCGM_FI_PROF_DRAM_ACTIVE",
}
"""GPM's metrics, in percent, and the names of DCGM for them, 0..1."""

Key = tuple[str, int | None]


@dataclass(slots=True)
class _Pair:
    """Two buffers of one device; `taken` says whether `last` holds a snapshot."""

    last: Any
    spare: Any
    taken: bool = False


class Gpm:
    """Snapshots of every device that has such counters."""

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._pairs: dict[Key, _Pair] = {}
        self._question = pynvml.c_nvmlGpmMetricsGet_t()

    def read(self, device: Device) -> dict[str, float]:
        """Values (0..1 when sound) since the previous reading of this device; empty at the first one."""
        gpu, instance = (device, None) if isinstance(device, Gpu) else (device.gpu, device.id)
        if not gpu.gpm:
            return {}
        pair = self._pair((gpu.uuid, instance), gpu.key)
        if pair is None or not self._snapshot(gpu, instance, pair.spare):
            self._drop((gpu.uuid, instance))  # what comes next must not be compared with something old
            return {}
        values = self._compare(gpu, instance, pair) if pair.taken else {}
        pair.last, pair.spare, pair.taken = pair.spare, pair.last, True
        return values

    def keep_only(self, devices: Iterable[Device]) -> None:
        """Forget devices that are gone: an instance made anew under the same number counts from the beginning."""
        there = {(d.uuid, None) if isinstance(d, Gpu) else (d.gpu.uuid, d.id) for d in devices}
        for key in [key for key in self._pairs if key not in there]:
            self._drop(key)

    def close(self) -> None:
        """Give all buffers back."""
        self.keep_only(())

    def _pair(self, key: Key, gpu: str) -> _Pair | None:
        if key not in self._pairs:
            buffers = [self._nvml.ask(gpu, "nvmlGpmSampleAlloc") for _ in range(2)]
            if None in buffers:
                return None
            self._pairs[key] = _Pair(*buffers)
        return self._pairs[key]

    def _snapshot(self, gpu: Gpu, instance: int | None, buffer: Any) -> bool:
        if instance is None:
            return self._nvml.ask(gpu.key, "nvmlGpmSampleGet", gpu.handle, buffer) is not None
        part = f"/{instance}"
        return self._nvml.ask(gpu.key, "nvmlGpmMigSampleGet", gpu.handle, instance, buffer, key=part) is not None

    def _compare(self, gpu: Gpu, instance: int | None, pair: _Pair) -> dict[str, float]:
        question = self._question
        question.version, question.numMetrics = pynvml.NVML_GPM_METRICS_GET_VERSION, len(METRICS)
        question.sample1, question.sample2 = pair.last, pair.spare
        for place, number in enumerate(METRICS):
            question.metrics[place].metricId = number
        key = "" if instance is None else f"/{instance}"
        if self._nvml.ask(gpu.key, "nvmlGpmMetricsGet", question, key=key) is None:
            return {}
        answers = question.metrics[: len(METRICS)]
        return {METRICS[each.metricId]: each.value / 100 for each in answers if each.nvmlReturn == pynvml.NVML_SUCCESS}

    def _drop(self, key: Key) -> None:
        pair = self._pairs.pop(key, None)
        if pair is not None:
            for buffer in (pair.last, pair.spare):
                self._nvml.do("", "nvmlGpmSampleFree", buffer)
