"""The log endpoint of an API server as a kubelet serves it, for logs that the local cluster's kubelet cannot have.

What a real kubelet does is kept: `sinceTime` counts whole seconds, every line carries the runtime's instant, a line
that is still being written has no newline, and a log begins anew when it is rotated or the container is restarted.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import web

from gpucost.core.clock import SECOND, Instant, floor_to, format_rfc3339, parse_rfc3339
from support.faulty_apiserver import FaultyApiServer

LOG = "/api/v1/namespaces/research/pods/bert-0/log"


@dataclass
class Written:
    """What one container has written: instants and bytes, with or without a newline at the end."""

    entries: list[tuple[Instant, bytes]] = field(default_factory=list)

    def write(self, at: Instant, text: str | bytes, end: bytes = b"\n") -> None:
        self.entries.append((at, (text.encode() if isinstance(text, str) else text) + end))


@dataclass
class LogServer:
    """Serves logs by container; `refusal` answers instead with (status, message)."""

    logs: dict[str, Written] = field(default_factory=lambda: {"train": Written()})
    earlier: dict[str, Written] = field(default_factory=dict)
    by_pod: dict[str, Written] = field(default_factory=dict)
    """Logs of pods with one container, where there are several pods."""
    refusal: tuple[int, str] | None = None
    prefix: bytes = b""
    """Words of the kubelet itself, before the log."""
    stall: bool = False
    """Send what there is and then nothing, without an end."""
    cut: bool = False
    """Send what there is and then break the connection."""
    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def written(self) -> Written:
        return self.logs["train"]

    def server(self) -> FaultyApiServer:
        return FaultyApiServer([self.handle])

    async def handle(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.paths.append(request.path)
        if not request.path.endswith("/log"):
            containers = [{"name": name} for name in self.logs]
            return web.json_response({"items": [{"spec": {"containers": containers}}]})
        self.asked.append(query)
        log, problem = self._chosen(query)
        if self.by_pod:
            log = self.by_pod.get(request.path.split("/")[-2])
        if log is None:
            status, message = problem
            return web.json_response({"kind": "Status", "message": message, "reason": "Refused"}, status=status)
        response = web.StreamResponse()
        await response.prepare(request)
        body = self.prefix + b"".join(self._lines(log, query))
        for start in range(0, len(body), 1 << 16):
            await response.write(body[start : start + (1 << 16)])
        if self.cut:
            assert request.transport is not None
            await asyncio.sleep(0.05)  # let the client have what there is
            request.transport.abort()
        if self.stall:
            await asyncio.Event().wait()
        return response

    def _chosen(self, query: dict[str, str]) -> tuple[Written | None, tuple[int, str]]:
        if self.refusal is not None:
            return None, self.refusal
        if "container" not in query and len(self.logs) > 1:
            names = " ".join(self.logs)
            return None, (400, f"a container name must be specified for pod bert-0, choose one of: [{names}]")
        name = query.get("container") or next(iter(self.logs))
        if name not in self.logs:
            return None, (400, f"container {name} is not valid for pod bert-0")
        if query.get("previous") == "true":
            found = self.earlier.get(name)
            return found, (400, f'previous terminated container "{name}" in pod "bert-0" not found')
        return self.logs[name], (0, "")

    @staticmethod
    def _lines(log: Written, query: dict[str, str]) -> list[bytes]:
        since = floor_to(parse_rfc3339(query["sinceTime"]), SECOND) if "sinceTime" in query else 0
        shown = [(at, text) for at, text in log.entries if at >= since]
        lines = [format_rfc3339(at).encode() + b" " + text for at, text in shown]
        return lines[-int(query["tailLines"]) :] if "tailLines" in query else lines
