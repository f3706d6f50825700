"""The driver's library, asked so that a call that fails is counted, named and hurts nothing but its own value.

NVML answers differ by GPU, driver and permission: what one device refuses, its neighbour gives. So every question goes
through `ask`, which returns None where there is no answer, and remembers what a device can never answer.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import pynvml

log = logging.getLogger(__name__)

_NAMES = {
    value: name.removeprefix("NVML_ERROR_") for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_")
}
_NEVER = frozenset({"NOT_SUPPORTED", "FUNCTION_NOT_FOUND", "NO_PERMISSION"})
"""Errors that come again each time: the device, the driver or our rights would have to change."""
_REMEDIES = {
    "LIBRARY_NOT_FOUND": "libnvidia-ml.so.1 is not to be found; run on a GPU node with the container runtime 'nvidia', "
    "or put the folder of the driver's libraries into LD_LIBRARY_PATH",
    "DRIVER_NOT_LOADED": "the kernel module nvidia is not loaded; is this a GPU node, and is its driver installed?",
    "LIB_RM_VERSION_MISMATCH": "library and kernel module differ, as after a driver update; start the agent anew",
    "NO_PERMISSION": "the devices /dev/nvidia* may not be opened; run as root with the container runtime 'nvidia'",
}


class NoDriver(Exception):
    """NVML cannot be used; one line with the remedy. `code` is NVML's name of the error."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"no NVIDIA driver: {_REMEDIES.get(code, f'NVML says {code}')}")


class Nvml:
    """One connection to the driver, with counts of what was asked and of what failed."""

    def __init__(self) -> None:
        self.calls = 0
        self.failures: Counter[tuple[str, str, str]] = Counter()
        """By GPU index, call and NVML error."""
        self.driver_version = ""
        self.is_open = False
        self._refused: set[tuple[str, str]] = set()

    def open(self) -> None:
        """Load the library and connect. Raises `NoDriver`."""
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise NoDriver(error_name(error)) from None
        self.is_open = True
        self.driver_version = self.ask("", "nvmlSystemGetDriverVersion") or ""

    def close(self) -> None:
        """Disconnect; what is known about devices is forgotten."""
        self._refused.clear()
        if self.is_open:
            self.is_open = False
            self.do("", "nvmlShutdown")

    def count(self) -> int:
        """Number of GPUs. Raises `NoDriver`: without it there is nothing to ask."""
        self.calls += 1
        try:
            return int(pynvml.nvmlDeviceGetCount())
        except pynvml.NVMLError as error:
            raise NoDriver(error_name(error)) from None

    def ask(self, gpu: str, call: str, *arguments: Any, expected: tuple[str, ...] = (), key: str = "") -> Any:
        """Answer of `pynvml.<call>(*arguments)`, or None. `gpu` is the index that a failure is counted under.

        Errors in `expected` are answers, not failures. `key` tells parts of one GPU apart (its MIG instances).
        """
        return self._try(gpu, call, arguments, expected, key)[1]

    def do(self, gpu: str, call: str, *arguments: Any) -> bool:
        """The same for a call that answers nothing: whether it went well."""
        return self._try(gpu, call, arguments, (), "")[0]

    def _try(
        self, gpu: str, call: str, arguments: tuple[Any, ...], expected: tuple[str, ...], key: str
    ) -> tuple[bool, Any]:
        if (gpu + key, call) in self._refused:
            return False, None
        self.calls += 1
        try:
            return True, getattr(pynvml, call)(*arguments)
        except pynvml.NVMLError as error:
            name = error_name(error)
        except UnicodeDecodeError:
            name = "NOT_TEXT"
        if name not in expected:
            self._failed(gpu, key, call, name)
        return False, None

    def forget(self, gpu: str) -> None:
        """Ask a GPU again for what it refused: it works in another mode now."""
        self._refused = {(subject, call) for subject, call in self._refused if subject.partition("/")[0] != gpu}

    def _failed(self, gpu: str, key: str, call: str, name: str) -> None:
        failure = (gpu, call, name)
        if failure not in self.failures:
            level = logging.INFO if name in _NEVER else logging.WARNING
            log.log(level, "GPU %s: %s says %s; its series are left out (logged once)", gpu or "-", call, name)
        self.failures[failure] += 1
        if name in _NEVER:
            self._refused.add((gpu + key, call))


def error_name(error: Any) -> str:
    """NVML's own name of an error, such as `GPU_IS_LOST`."""
    return str(_NAMES.get(error.value, f"ERROR_{error.value}"))
