"""The last XID of each GPU: the driver's number for what went wrong with it.

NVML tells them as events, so what happened before the agent began is not known; 0 means none since then.
"""

from __future__ import annotations

from collections.abc import Iterable
from ctypes import c_void_p, cast
from typing import Any

import pynvml

from gpucost.agent.devices import Gpu
from gpucost.agent.nvml import Nvml

_MOST_EVENTS = 256
"""Taken per reading: a GPU that fails without end must not stop the others from being read."""


class XidWatch:
    """Waits, without waiting, for errors of the GPUs."""

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._events: Any = None
        self._last: dict[str, int] = {}
        self._asked: set[str] = set()

    def poll(self, gpus: Iterable[Gpu]) -> None:
        """Take in what happened since the last time, after watching GPUs that are new."""
        present = list(gpus)
        for gpu in present:
            if gpu.uuid not in self._asked:
                self._watch(gpu)
        by_handle = {_address(gpu.handle): gpu for gpu in present}
        for _ in range(_MOST_EVENTS if self._last else 0):
            event = self._nvml.ask("", "nvmlEventSetWait_v2", self._events, 0, expected=("TIMEOUT",))
            if event is None:
                return
            struck = by_handle.get(_address(event.device))
            if struck is not None and event.eventType == pynvml.nvmlEventTypeXidCriticalError:
                self._last[struck.uuid] = event.eventData

    def last(self, gpu: Gpu) -> int | None:
        """Number of the last error, 0 for none; None when the GPU cannot be watched."""
        return self._last.get(gpu.uuid)

    def close(self) -> None:
        """Stop watching."""
        if self._events is not None:
            self._nvml.do("", "nvmlEventSetFree", self._events)
        self._events = None
        self._last.clear()
        self._asked.clear()

    def _watch(self, gpu: Gpu) -> None:
        self._asked.add(gpu.uuid)
        if self._events is None:
            self._events = self._nvml.ask("", "nvmlEventSetCreate")
        if self._events is None:
            return
        kind = pynvml.nvmlEventTypeXidCriticalError
        if self._nvml.do(gpu.key, "nvmlDeviceRegisterEvents", gpu.handle, kind, self._events):
            self._last[gpu.uuid] = 0


def _address(handle: Any) -> int | None:
    return cast(handle, c_void_p).value
