"""A node for the agent: GPUs by the stand-in library, a kubelet, and the agent as a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.agent_process import AgentProcess
from support.kubelet import Kubelet
from support.nvml import Gpus, NoCompiler, build

StartAgent = Callable[..., AgentProcess]


@dataclass(frozen=True)
class Node:
    """What an agent finds on its node."""

    folder: Path
    library: Path
    gpus: Gpus
    kubelet: Kubelet

    def environment(self) -> dict[str, str]:
        return {**self.gpus.environment(self.library), "NODE_NAME": "node-1"}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the stand-in for libnvidia-ml.so.1."""
    try:
        return build(tmp_path_factory.mktemp("nvml"))
    except NoCompiler as missing:
        pytest.skip(str(missing))


@pytest.fixture
def node(tmp_path: Path, library: Path) -> Iterator[Node]:
    """A node whose kubelet runs; `gpus.show` before an agent starts."""
    kubelet = Kubelet(tmp_path / "kubelet.sock")
    kubelet.start()
    yield Node(tmp_path, library, Gpus(tmp_path / "gpus"), kubelet)
    kubelet.stop()


@pytest.fixture
def start(node: Node, eventually: Callable[..., object]) -> Iterator[StartAgent]:
    """`start(*flags, ready=True)`: an agent that reads five times a second."""
    started: list[AgentProcess] = []

    def begin(*flags: str, ready: bool = True) -> AgentProcess:
        fast = ("--period", "0.2", "--kubelet-socket", str(node.kubelet.socket))
        agent = AgentProcess(node.folder, node.environment(), *fast, *flags)
        started.append(agent)
        if ready:
            eventually(lambda: agent.get("/readyz")[0] == 200, 20, lambda: f"agent not ready:\n{agent.log()}")
            eventually(lambda: (agent.value("gpucost_agent_reads_total") or 0) >= 2, 10, "a second reading")
        return agent

    yield begin
    for agent in started:
        agent.stop()
