"""How fast `/allocation/compute` answers over loopback: a day by namespace, of a cluster of 10,000 pods.

The address that dashboards ask, over the operator's provider and a real ledger: a day of settled hours, and an open one
in which the utilisation of every GPU is written down each minute. In the settled hours in which a day's window begins
there is a mean every five minutes, as the operator writes them. Clients keep their connections open, as they do. The
clock is the bench's own: it stands still while the same is asked again, and moves on by a minute between the moments at
which two clients ask in turn: one for the whole hours of a day, one for a day to the minute. Between them the operator
has its pass, and it settles the hour when it is over; what they ask needs everything of one open hour, and of the
second a part of one settled hour, booked anew.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import aiohttp
from aiohttp import web

from bench import ledger as scene_of_ledger
from bench.figures import Figure, percentile
from bench.scene import say
from gpucost.core.clock import HOUR, MINUTE, Instant, format_rfc3339
from gpucost.core.model import PodFact, UsageFact
from gpucost.ledger import Ledger
from gpucost.runtime import collector
from gpucost.runtime.provider import LedgerProvider
from gpucost.web.opencost import create_app

NAME = "serving"
WINDOWS = ("24h", "today")
REPEATED = 300
FROM, UNTIL = 15, 115
"""Minutes since the open hour began at which somebody asks, while it ends and is settled and the next one begins."""
STARTS = 5
_PROMISE_MS = 100.0
_FIRST_MS = 300.0
_OPEN = scene_of_ledger.T0 + 26 * HOUR
_DAY = 24 * 60


@dataclass
class _Clock:
    """The bench's present."""

    now: Instant = _OPEN

    def __call__(self) -> Instant:
        return self.now


def measure() -> list[Figure]:
    """Run the bench in this process."""
    nodes, pods, prices = scene_of_ledger.ledger_facts()
    say(f"serving: a day of {len(pods):,} pods on {len(nodes):,} nodes by namespace")
    with tempfile.TemporaryDirectory(prefix="gpucost-bench-") as folder:
        url, clock = f"sqlite:///{Path(folder) / 'ledger.db'}", _Clock()
        with Ledger(url) as ledger:
            ledger.record([*nodes, *pods], prices=prices)
            shares = random.Random(7)
            for minute in range(0, 120, 5):
                _measured(ledger, pods, minute - _DAY, shares)
            ledger.settle(_OPEN + 5 * MINUTE)
            for minute in range(FROM):
                _measured(ledger, pods, minute, shares)
            clock.now = _OPEN + FROM * MINUTE
            again = asyncio.run(_again(ledger, clock))
            whole, cut = asyncio.run(_moments(ledger, clock, pods, shares))
        firsts = [asyncio.run(_first(url, clock)) for _ in range(STARTS)]
    return [
        *_figures(f"asked again {REPEATED} times", again),
        *_figures(f"whole hours, at {len(whole)} moments", whole),
        *_figures(f"to the minute, at {len(cut)} moments", cut, promised=False),
        Figure(bench=NAME, name="first after a start", unit="ms", samples=tuple(firsts), promise=_FIRST_MS),
    ]


def _figures(name: str, taken: list[float], *, promised: bool = True) -> Iterable[Figure]:
    yield Figure(bench=NAME, name=f"{name}: p50", unit="ms", samples=(statistics.median(taken),))
    promise = _PROMISE_MS if promised else None
    yield Figure(bench=NAME, name=f"{name}: p99", unit="ms", samples=(percentile(taken, 0.99),), promise=promise)
    yield Figure(bench=NAME, name=f"{name}: worst", unit="ms", samples=(max(taken),))


def _measured(ledger: Ledger, pods: list[PodFact], minute: int, shares: random.Random) -> None:
    """A utilisation of every pod, as a pass of the operator writes it."""
    ledger.record([UsageFact(pod.uid, _OPEN + minute * MINUTE, shares.uniform(0.3, 0.9)) for pod in pods])


async def _again(ledger: Ledger, clock: _Clock) -> list[float]:
    """The same questions, while the clock stands still."""
    async with _client(ledger, clock) as client:
        await _timed(client, WINDOWS[0])
        return [await _timed(client, WINDOWS[turn % len(WINDOWS)]) for turn in range(REPEATED)]


async def _moments(
    ledger: Ledger, clock: _Clock, pods: list[PodFact], shares: random.Random
) -> tuple[list[float], list[float]]:
    """A question a minute, with a pass of the operator between two: for whole hours and to the minute in turn."""
    taken: tuple[list[float], list[float]] = [], []
    async with _client(ledger, clock) as client:
        await _timed(client, _to_the_minute(clock.now))
        for minute in range(FROM, UNTIL):
            _measured(ledger, pods, minute, shares)
            clock.now = _OPEN + (minute + 1) * MINUTE
            ledger.settle(clock.now)
            ledger.namespace_totals(clock.now)
            window = WINDOWS[0] if minute % 2 else _to_the_minute(clock.now)
            taken[minute % 2 == 0].append(await _timed(client, window))
    return taken


def _to_the_minute(now: Instant) -> str:
    """A day that begins within an hour: of that hour, too, only a part is booked."""
    return f"{format_rfc3339(now - 24 * HOUR)},{format_rfc3339(now)}"


async def _first(url: str, clock: _Clock) -> float:
    """The first question to a ledger that was opened just now."""
    with Ledger(url) as ledger:
        async with _client(ledger, clock) as client:
            return await _timed(client, WINDOWS[0])


@asynccontextmanager
async def _client(ledger: Ledger, clock: _Clock) -> AsyncIterator[aiohttp.ClientSession]:
    accounting = SimpleNamespace(ledger=ledger, flush=_nothing, call=asyncio.to_thread, sampling=None)
    provider = LedgerProvider(lambda: accounting, clock, lambda: None)  # type: ignore[arg-type, return-value]
    runner = web.AppRunner(create_app(provider, cluster="bench", token=""), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession(f"http://{host}:{port}") as client:
            async with client.get("/healthz") as answer:
                assert answer.status == 200
            with collector.held_back():
                pass  # from here on the collector works as it does in an operator that has started
            yield client
    finally:
        await runner.cleanup()


async def _nothing() -> bool:
    return True


async def _timed(client: aiohttp.ClientSession, window: str) -> float:
    started = time.perf_counter()
    async with client.get("/allocation/compute", params={"window": window, "aggregate": "namespace"}) as response:
        document = await response.json()
    taken = (time.perf_counter() - started) * 1000
    assert response.status == 200, document
    assert document["data"][0]["team-00"]["totalCost"] > 0, "nothing cost anything"
    return taken
