"""What a process uses, and what the operator says about itself: read from /proc and /metrics."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from local import LocalCluster, OperatorProcess, wait_for

T = TypeVar("T")
MIB = 1024
QUIET = 2.0
"""Seconds without a query after which those of a pass are over."""


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


def queries(cluster: LocalCluster) -> int:
    """Instant queries that Prometheus itself has counted."""
    with urllib.request.urlopen(f"{cluster.prometheus_url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return int(metric(text, r"prometheus_http_requests_total\{code=\"200\",handler=\"/api/v1/query\"\}"))


@dataclass(frozen=True)
class Beat:
    """The beginning of a pass; `at` and `cpu` in seconds, `asked` the queries that Prometheus has counted."""

    at: float
    cpu: float
    asked: int


def next_pass(cluster: LocalCluster, operator: OperatorProcess, timeout: float) -> Beat:
    """Wait until a pass begins, and until it has asked everything.

    Prometheus is watched, whom every pass asks first: reading the operator's own metrics would cost it more processor
    time than a good part of the pass that is to be measured.
    """
    before = queries(cluster)
    wait_for(lambda: queries(cluster) > before, timeout, "the next pass", interval=0.1)
    beat = Beat(time.monotonic(), operator.cpu_seconds(), before)
    last, since = queries(cluster), time.monotonic()
    while time.monotonic() - since < QUIET:
        time.sleep(0.1)
        if (asked := queries(cluster)) != last:
            last, since = asked, time.monotonic()
        if since - beat.at > timeout:
            raise TimeoutError(f"the operator asks Prometheus without a pause: {last - before} queries in {timeout} s")
    return beat


def cpu_during(operator: OperatorProcess, action: Callable[[], T]) -> tuple[float, T]:
    """Processor seconds that the operator uses while an action lasts, and the action's result."""
    before = operator.cpu_seconds()
    result = action()
    return operator.cpu_seconds() - before, result


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
