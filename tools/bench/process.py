"""What a process uses, and what the operator says about itself: read from /proc and /metrics."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local import OperatorProcess, wait_for

MIB = 1024


def status_mib(pid: int | str, field: str) -> float:
    """A field of /proc/PID/status in MiB: `VmRSS` now, `VmHWM` at its highest."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(f"no {field} of process {pid}")
    return int(found.group(1)) / MIB


def metric(text: str, name: str) -> float:
    """Sum over all series of a metric in an exposition; 0 when there is none."""
    values = re.findall(rf"^{name}(?:\{{[^\n]*\}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for value in values)


@dataclass(frozen=True)
class Reading:
    """The operator at a moment; `at` and `cpu` in seconds."""

    at: float
    cpu: float
    ticks: int
    writes: int
    tick_seconds: float


def read(operator: OperatorProcess) -> Reading:
    """Processor time from the kernel, the rest from its own metrics."""
    text = operator.metrics()
    return Reading(
        at=time.monotonic(),
        cpu=metric(text, "process_cpu_seconds_total"),
        ticks=int(metric(text, "gpucost_ticks_total")),
        writes=int(metric(text, "gpucost_api_writes_total")),
        tick_seconds=metric(text, "gpucost_tick_duration_seconds"),
    )


def after_ticks(operator: OperatorProcess, last: Reading, ticks: int, timeout: float) -> Reading:
    """Wait until the operator has completed more passes, and read it at once."""

    def ahead() -> Reading | None:
        now = read(operator)
        return now if now.ticks >= last.ticks + ticks else None

    found = wait_for(ahead, timeout, f"{ticks} more passes", interval=0.25)
    assert found is not None
    return found


def elapsed(action: Callable[[], object]) -> float:
    """Seconds that an action takes by the clock on the wall."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def cpu_of(action: Callable[[], object]) -> float:
    """Processor seconds that an action takes in this process."""
    began = time.process_time()
    action()
    return time.process_time() - began
