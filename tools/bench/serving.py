"""How fast the cost API answers over loopback: a day by namespace, of a cluster of 10,000 pods.

The operator's provider over a real ledger of a day of settled hours and an open one, behind a web application of one
route. Each request is one of a client with its connection kept open, as a dashboard has. The clock is moved on between
the requests of the cold series, so that none of their answers is at hand; in the other series it runs as it does.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import aiohttp
from aiohttp import web

from bench import ledger as scene_of_ledger
from bench.figures import Figure
from bench.scene import say
from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND, Instant
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger
from gpucost.runtime.provider import LedgerProvider

NAME = "serving"
REQUESTS = 300
COLD = 30
_PROMISE_MS = 100.0
_END = scene_of_ledger.T0 + 26 * HOUR + 20 * MINUTE


def measure() -> list[Figure]:
    """Run the bench in this process."""
    say("serving: a day of 10,000 pods by namespace")
    with (
        tempfile.TemporaryDirectory(prefix="gpucost-bench-") as folder,
        Ledger(f"sqlite:///{Path(folder) / 'ledger.db'}") as ledger,
    ):
        nodes = list(scene_of_ledger._nodes())
        prices = {node.uid: [scene_of_ledger._price(node)] for node in nodes}
        ledger.record([*nodes, *scene_of_ledger._pods()], prices=prices)
        ledger.settle(_END)
        return asyncio.run(_served(ledger))


class _Clock:
    """The bench's present: the ledger's last instant, running on, and moved on at will."""

    def __init__(self) -> None:
        self._began = time.monotonic_ns()
        self.ahead = 0

    def __call__(self) -> Instant:
        return _END + self.ahead + (time.monotonic_ns() - self._began) // 1000


async def _served(ledger: Ledger) -> list[Figure]:
    clock = _Clock()
    accounting = SimpleNamespace(ledger=ledger, flush=_nothing, call=asyncio.to_thread, sampling=None)
    provider = LedgerProvider(lambda: accounting, clock, lambda: None)  # type: ignore[arg-type, return-value]

    async def answer(_: web.Request) -> web.Response:
        now = provider.now()
        report = await provider.report(Interval(now - DAY, now), by="namespace")
        rows = {row.key: str(row.amounts.cost) for row in report.rows}
        return web.json_response({"code": 200, "data": [rows]})

    application = web.Application()
    application.router.add_get("/allocation/compute", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as client:
            first = await _timed(client)
            cold = [await _timed(client, lambda: _on(clock)) for _ in range(COLD)]
            warm = [await _timed(client) for _ in range(REQUESTS)]
    finally:
        await runner.cleanup()
    return [
        Figure(bench=NAME, name="first request after a start", unit="ms", samples=(first,)),
        Figure(bench=NAME, name="requests of which nothing is at hand", unit="ms", samples=tuple(cold)),
        Figure(bench=NAME, name=f"p50 of {REQUESTS} requests", unit="ms", samples=(statistics.median(warm),)),
        Figure(
            bench=NAME,
            name=f"p99 of {REQUESTS} requests",
            unit="ms",
            samples=(statistics.quantiles(warm, n=100)[98],),
            promise=_PROMISE_MS,
        ),
    ]


def _on(clock: _Clock) -> None:
    clock.ahead += 7 * SECOND


async def _nothing() -> bool:
    return True


async def _timed(client: aiohttp.ClientSession, before: Callable[[], None] = lambda: None) -> float:
    before()
    started = time.perf_counter()
    async with client.get("/allocation/compute", params={"window": "24h", "aggregate": "namespace"}) as response:
        assert response.status == 200
        await response.read()
    return (time.perf_counter() - started) * 1000
