"""The agent's process: a reading per period, and HTTP for those who want to know.

A driver may come later than the agent (it is installed by a DaemonSet, too) and may go for an update. With `wait` the
agent tries again, less and less often; without it, it says what is missing and ends with 2.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress

from aiohttp import web
from prometheus_client import generate_latest

from gpucost.agent.exposition import own_registry
from gpucost.agent.nvml import NoDriver
from gpucost.agent.settings import AgentSettings
from gpucost.agent.station import Station

log = logging.getLogger(__name__)

WRONG_USE = 2
_FIRST_PAUSE = 1.0
"""Seconds between the first two readings: counters say nothing before the second."""
_LONGEST_PAUSE = 60.0
_NEW_PROCESS_NEEDED = "LIB_RM_VERSION_MISMATCH"
"""The library in this process belongs to a driver that is no longer there."""


class Agent:
    """One agent; `run` returns the exit status."""

    def __init__(self, settings: AgentSettings) -> None:
        """Nothing is opened before `run`."""
        self._settings = settings
        self._station = Station(settings)
        self._registry = own_registry(self._station.figures)
        self._stop = asyncio.Event()
        self._pause = _FIRST_PAUSE
        self._problem: str | None = "starting"
        self._beat = time.monotonic()

    async def run(self) -> int:
        """Read and serve until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        async with self._served():
            try:
                return await self._turns()
            finally:
                await self._station.close()

    async def once(self) -> int:
        """Print one complete reading, which takes a second."""
        await self._station.open()
        try:
            await self._station.read()
            await asyncio.sleep(_FIRST_PAUSE)
            await self._station.read()
            sys.stdout.write((self._station.text() + generate_latest(self._registry)).decode())
        finally:
            await self._station.close()
        return 0

    async def _turns(self) -> int:
        while not self._stop.is_set():
            try:
                pause = await self._unless_stopped(self._turn())
            except NoDriver as missing:
                if not self._settings.wait or missing.code == _NEW_PROCESS_NEEDED:
                    raise
                pause = self._backoff(str(missing))
            self._beat = time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)
        return 0

    async def _unless_stopped(self, turn: Coroutine[None, None, float]) -> float:
        """Result of a turn, or 0 as soon as the end is asked for: the driver may hang for longer than there is time."""
        turning, stopping = asyncio.ensure_future(turn), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({turning, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if turning.done():
            return await turning
        turning.cancel()
        return 0.0

    async def _turn(self) -> float:
        """Open if necessary, and read; the pause before the next turn in seconds."""
        if not self._station.is_open:
            await self._station.open()
            self._pause, first = _FIRST_PAUSE, True
        else:
            first = False
        began = time.monotonic()
        await self._station.read()
        self._problem = None
        if first:
            return min(_FIRST_PAUSE, self._settings.period)
        return max(self._settings.period - (time.monotonic() - began), 0.1)

    def _backoff(self, problem: str) -> float:
        if problem != self._problem:
            log.warning("%s; waiting for it", problem)
            self._problem = problem
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        return pause

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _served(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, *self._settings.listen).start()
            yield
        finally:
            await runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        body = self._station.text() + generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _healthz(self, _: web.Request) -> web.Response:
        silent = time.monotonic() - self._beat
        hangs = silent > self._settings.stale_after + _LONGEST_PAUSE
        return _answer(f"a call of NVML has not come back for {silent:.0f} s" if hangs else None)

    async def _readyz(self, _: web.Request) -> web.Response:
        stale = None if self._station.is_fresh else "the last reading is too old"
        return _answer(self._problem or stale)


def _answer(problem: str | None) -> web.Response:
    return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)


def main(settings: AgentSettings, *, once: bool = False) -> int:
    """Run the agent; 0 when it was told to stop, 2 without a driver or with an address that is taken."""
    try:
        return asyncio.run(_main(settings, once=once))
    except NoDriver as missing:
        print(f"gpucost agent: {missing}", file=sys.stderr)
    except OSError as error:
        host, port = settings.listen
        print(f"gpucost agent: cannot listen on {host}:{port}: {error.strerror}; see --listen", file=sys.stderr)
    return WRONG_USE


async def _main(settings: AgentSettings, *, once: bool) -> int:
    agent = Agent(settings)
    return await (agent.once() if once else agent.run())
