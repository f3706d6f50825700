"""`/healthz`, `/readyz` and `/metrics`.

Alive means that the loop still turns: a process whose loop has stopped is better restarted. Ready means that every
cache is complete and the first pass is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from gpucost.runtime.metrics import Exposition


@dataclass
class Health:
    """`alive()` and `ready()` return None when all is well, else what is wrong.

    `condition()` is trouble that does not stop anybody from asking: answers are still given, so it is only told.
    """

    alive: Callable[[], str | None]
    ready: Callable[[], str | None]
    exposition: Exposition
    condition: Callable[[], str | None] = lambda: None

    def app(self) -> web.Application:
        """The HTTP application."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(self.alive())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self.ready(), self.condition())

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/plain; version=0.0.4"})
        pieces = self.exposition.pieces()
        answer.content_length = sum(map(len, pieces))
        await answer.prepare(request)
        for piece in pieces:
            await answer.write(piece)
        return answer


def _answer(problem: str | None, condition: str | None = None) -> web.Response:
    fine = "ok" if condition is None else f"ok, but {condition}"
    return web.Response(text=f"{problem or fine}\n", status=503 if problem else 200)
