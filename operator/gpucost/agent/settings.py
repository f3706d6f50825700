"""What an installation may want different; flags and `GPUCOST_AGENT_*` variables fill it in."""

from __future__ import annotations

from dataclasses import dataclass

KUBELET_SOCKET = "/var/lib/kubelet/pod-resources/kubelet.sock"


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Settings of one agent; an empty path turns off what is behind it."""

    node_name: str
    listen: tuple[str, int] = ("0.0.0.0", 9400)
    period: float = 10.0
    """Seconds between two readings, which is also the time that averages stand for."""
    kubelet_socket: str = KUBELET_SOCKET
    pod_logs: str = ""
    """The kubelet's folder of pod logs, whose names carry the UIDs that PodResources does not tell."""
    wait: bool = False
    """Wait for a driver instead of ending without one."""

    @property
    def stale_after(self) -> float:
        """Seconds after which a reading says nothing any more."""
        return 3 * self.period + 2.0
