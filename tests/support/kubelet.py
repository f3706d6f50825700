"""The kubelet's PodResources API v1 on a Unix socket, for an agent that asks who holds GPUs.

A real gRPC server; its messages are written byte by byte here, from the published field numbers, so that a mistake in
the agent's own definition of them cannot hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc


def _number(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _field(number: int, content: str | bytes) -> bytes:
    """A field of wire type 2: text, or a message."""
    data = content.encode() if isinstance(content, str) else content
    return _number(number << 3 | 2) + _number(len(data)) + data


@dataclass(frozen=True)
class Claim:
    """A device of a ResourceClaim."""

    name: str
    device: str
    driver: str = "gpu.nvidia.com"
    pool: str = "node-1"
    cdi: str = ""
    namespace: str = "research"

    def encoded(self) -> bytes:
        cdi = _field(1, _field(1, self.cdi)) if self.cdi else b""
        resource = cdi + _field(2, self.driver) + _field(3, self.pool) + _field(4, self.device) + _field(5, "share-0")
        return _field(2, self.name) + _field(3, self.namespace) + _field(4, resource)


@dataclass(frozen=True)
class Pod:
    """A pod of one container, and what that holds."""

    name: str
    devices: Sequence[str] = ()
    claims: Sequence[Claim] = ()
    resource: str = "nvidia.com/gpu"
    namespace: str = "research"
    container: str = "train"

    def encoded(self) -> bytes:
        cpus = _number(3 << 3 | 2) + b"\x03\x00\x01\x02"  # packed int64: CPUs 0, 1, 2, which the agent has to skip
        numa = _field(3, _field(1, _number(1 << 3) + _number(1)))
        groups = [_field(1, self.resource) + _field(2, device) + numa for device in self.devices]
        container = _field(1, self.container) + b"".join(_field(2, group) for group in groups) + cpus
        container += b"".join(_field(5, claim.encoded()) for claim in self.claims)
        return _field(1, self.name) + _field(2, self.namespace) + _field(3, container)


class Kubelet:
    """Serves a list of pods until it is stopped; `start` after `stop` is a restart, with a new socket."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.pods: list[Pod] = []
        self.error: grpc.StatusCode | None = None
        self._server: grpc.Server | None = None

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self._server = grpc.server(ThreadPoolExecutor(2))
        handler = grpc.unary_unary_rpc_method_handler(self._list)  # bytes in, bytes out
        service = grpc.method_handlers_generic_handler("v1.PodResourcesLister", {"List": handler})
        self._server.add_generic_rpc_handlers((service,))
        assert self._server.add_insecure_port(f"unix:{self.socket}")
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(None).wait(10)
            self._server = None
            self.socket.unlink(missing_ok=True)

    def show(self, *pods: Pod) -> None:
        """Let these pods hold what they say from now on."""
        self.pods = list(pods)

    def _list(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        assert request == b""
        if self.error is not None:
            context.abort(self.error, "not now")
        return b"".join(_field(1, pod.encoded()) for pod in self.pods)
