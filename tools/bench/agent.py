"""What the node agent costs the node that it runs on: processor time at the shipped period, and memory.

There is no GPU here. The driver's library is the tests' stand-in, loaded by the real pynvml, so the figures are those
of the agent itself, of pynvml and of gRPC; what a real driver takes for its answers comes on top, and
`tools/agent_on_gpu.py` measures it where there is one.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.figures import Figure
from bench.process import status_mib
from local.programs import REPOSITORY

sys.path.append(str(REPOSITORY / "tests"))  # where the stand-ins are

from support.agent_process import AgentProcess
from support.kubelet import Kubelet, Pod
from support.nvml import Gpus, State, build, gpu, mig, uuid

NAME = "agent"
REPEAT, SPAN_SECONDS, SCRAPE_SECONDS = 3, 40.0, 10.0
SHARE, MEMORY = 1.0, 100.0
"""Promises: percent of a core at the shipped period of 10 s, MiB."""
GPUS, SLICES = 8, 7


def measure() -> Iterator[Figure]:
    """Two nodes at once: eight whole GPUs, and eight that are cut into seven each."""
    whole = [gpu(index) for index in range(GPUS)]
    cut = [state for index in range(GPUS) for state in _cut(index)]
    slices = [(index, slot) for index in range(GPUS) for slot in range(SLICES)]
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = build(folder)
        nodes = {
            "8 GPUs, 8 pods": _node(
                stack, folder / "whole", library, whole, [uuid("GPU", each) for each in range(GPUS)]
            ),
            "56 MIG instances, 56 pods": _node(
                stack, folder / "cut", library, cut, [uuid("MIG", 100 * index + slot) for index, slot in slices]
            ),
        }
        shares = _shares(nodes)
        for node, agent in nodes.items():
            note = "without the driver's own time: there is no GPU here"
            yield Figure(
                bench=NAME, name=f"processor, {node}", unit="% of a core", samples=tuple(shares[node]),
                promise=SHARE, note=note,
            )  # fmt: skip
            peak = status_mib(agent.process.pid, "VmHWM")
            yield Figure(bench=NAME, name=f"memory, {node}", unit="MiB", samples=(peak,), promise=MEMORY)
            seconds = agent.value("gpucost_agent_read_duration_seconds") or 0.0
            yield Figure(bench=NAME, name=f"duration of a reading, {node}", unit="ms", samples=(seconds * 1000,))


def _cut(index: int) -> Iterator[State]:
    yield gpu(index, mig=1, profile0="19:MIG 1g.10gb")
    for slot in range(SLICES):
        yield mig(index, slot, slot + 7, **{f"gpm.{number}": 50 for number in (1, 2, 3, 5, 10)})


def _node(stack: ExitStack, folder: Path, library: Path, states: list[State], devices: list[str]) -> AgentProcess:
    folder.mkdir()
    gpus = Gpus(folder / "gpus")
    gpus.show(*states)
    kubelet = Kubelet(folder / "kubelet.sock")
    kubelet.show(*(Pod(f"pod-{place}", [device]) for place, device in enumerate(devices)))
    kubelet.start()
    stack.callback(kubelet.stop)
    agent = AgentProcess(folder, gpus.environment(library), "--kubelet-socket", str(kubelet.socket))
    stack.callback(agent.stop)
    return agent


def _shares(nodes: dict[str, AgentProcess]) -> dict[str, list[float]]:
    """Percent of a core of each agent over spans in which it is scraped as by Prometheus."""
    shares: dict[str, list[float]] = {node: [] for node in nodes}
    _scraped(nodes, SCRAPE_SECONDS)  # the start is over
    for _ in range(REPEAT):
        before = {node: _cpu_seconds(agent) for node, agent in nodes.items()}
        began = time.monotonic()
        _scraped(nodes, SPAN_SECONDS)
        passed = time.monotonic() - began
        for node, agent in nodes.items():
            shares[node].append(100 * (_cpu_seconds(agent) - before[node]) / passed)
    return shares


def _scraped(nodes: dict[str, AgentProcess], seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, SCRAPE_SECONDS))
        for agent in nodes.values():
            agent.get("/metrics")


def _cpu_seconds(agent: AgentProcess) -> float:
    """User and system time of the process, its ended threads included."""
    words = Path(f"/proc/{agent.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
