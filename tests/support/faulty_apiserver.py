"""A scripted API server for fault injection only: what the real one does rarely, on demand.

Each request takes the next step of the script; everything else is tested against the real API server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import kopf
from aiohttp import web
from aiohttp.test_utils import TestServer

Step = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class FaultyApiServer:
    """Answers requests in the order of its steps; the last step repeats."""

    steps: list[Step]
    requests: list[web.Request] = field(default_factory=list)
    server: TestServer | None = None

    async def __aenter__(self) -> FaultyApiServer:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self.server = TestServer(app, host="127.0.0.1")
        await self.server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.server is not None
        await self.server.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        step = self.steps[min(len(self.requests), len(self.steps)) - 1]
        return await step(request)

    def login(self) -> kopf.ConnectionInfo:
        assert self.server is not None
        return kopf.ConnectionInfo(server=f"http://127.0.0.1:{self.server.port}", token="t")


def answer(status: int, body: object, **headers: str) -> Step:
    async def step(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return step


def watch(*events: tuple[str, dict], hold: bool = False) -> Step:
    """Stream events, then end the stream or hold it open in silence."""

    async def step(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for kind, body in events:
            await response.write(json.dumps({"type": kind, "object": body}).encode() + b"\n")
        if hold:
            await asyncio.Event().wait()
        return response

    return step


def cut(_: web.Request) -> Awaitable[web.StreamResponse]:
    """Break the connection without an answer."""

    async def step() -> web.StreamResponse:
        assert _.transport is not None
        _.transport.abort()
        return web.Response()

    return step()
