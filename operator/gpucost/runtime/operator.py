"""The operator's process: everything is put together here, started in order and stopped in reverse.

Order matters: nothing is decided before every cache is complete, nothing is written before the Lease is held, and what
happened while nobody watched is filled in before the first pass.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import socket
import sys
import time
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from pydantic import ValidationError

from gpucost.core.clock import SECOND
from gpucost.core.model import CapacityType
from gpucost.kube import paths
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.kube.login import LoginError
from gpucost.ledger import LedgerError
from gpucost.runtime import allocator, collector
from gpucost.runtime.accounting import Accounting
from gpucost.runtime.backfill import Backfill, backfill_of
from gpucost.runtime.costapi import keep_registered, open_doors
from gpucost.runtime.custom import MissingDefinitions, watch
from gpucost.runtime.dryrun import print_decisions, recorded_histories
from gpucost.runtime.endpoints.dryrun import measure_endpoints, print_endpoints
from gpucost.runtime.endpoints.keeping import Kept
from gpucost.runtime.exporter import DailyExport, exporter_of
from gpucost.runtime.feeding import feeds_of
from gpucost.runtime.health import Health
from gpucost.runtime.insights import RunInsights
from gpucost.runtime.lease import Lease, LeaseLost
from gpucost.runtime.logs import configure
from gpucost.runtime.measuring import engine_of, sampling_of
from gpucost.runtime.metrics import Exposition, FiguresCollector
from gpucost.runtime.opening import open_ledger
from gpucost.runtime.parts import Parts, now
from gpucost.runtime.passes import full_pass
from gpucost.runtime.price_memory import MARK, decode
from gpucost.runtime.provider import LedgerProvider
from gpucost.runtime.recovery import Past, recover, summary
from gpucost.runtime.reporting import intake_of, with_ledger, with_runs
from gpucost.runtime.sampling import Sampling
from gpucost.runtime.settings import Settings, address
from gpucost.runtime.surroundings import with_stays
from gpucost.runtime.tasks import Tasks
from gpucost.runtime.training import run_workers
from gpucost.runtime.world import TRAINING_JOB
from gpucost.sources.exported_prices import ExportedPrices
from gpucost.sources.promql import PromQL
from gpucost.sources.replay import replay

log = logging.getLogger(__name__)

_FLUSH_SECONDS = 1.0
_STALE_SECONDS = 120.0
_STOP_SECONDS = 5.0  # with the last write and the Lease's release, below ten
_KARPENTER = "/apis/karpenter.sh"
_KARPENTER_V1 = "/apis/karpenter.sh/v1"
_FATAL = (ApiError, LeaseLost, LedgerError, LoginError, MissingDefinitions, OSError, Unreachable, ValueError)


class Operator:
    """One operator; `run` returns when it is told to stop or raises what made it end."""

    def __init__(self, settings: Settings, *, dry_run: bool = False) -> None:
        """Nothing is opened before `run`."""
        self.settings = settings
        self.dry_run = dry_run
        self.identity = settings.identity or f"{socket.gethostname()}-{os.getpid()}"
        self.parts = Parts(settings, identity=self.identity, dry_run=dry_run)
        self.stop = asyncio.Event()
        self.tasks = Tasks(self.stop)
        self.accounting: Accounting | None = None
        self.ready = False
        self.state = "starting"
        self._beat = time.monotonic()

    # --- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Run until told to stop; the exit status."""
        self._on_signals()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.parts.client.close)
            if self.dry_run:
                return await self._dry_run(stack)
            await self._serve_health(stack)
            lease = await self._acquire(stack)
            if lease is None:
                return 0
            # Renewed from the beginning: on a busy machine the start alone may take longer than the Lease lasts.
            self.tasks.start(lease.keep(), "lease")
            stack.push_async_callback(self._stop_tasks)
            with collector.held_back():
                await self.tasks.unless_stopped(self._start(stack, lease))
            await self.stop.wait()
            self.state = "stopping"
            self.ready = False
            self.tasks.raise_ended()
        return 0

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop.set)

    async def _serve_health(self, stack: AsyncExitStack) -> None:
        parts = self.parts
        registry = CollectorRegistry()
        registry.register(FiguresCollector(parts.figures, now))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        exposition = Exposition(registry, parts.figures)
        health = Health(self._alive, self._not_ready, exposition, lambda: parts.ledger_state.condition)
        runner = web.AppRunner(health.app(), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, *address(self.settings.metrics_listen)).start()

    async def _acquire(self, stack: AsyncExitStack) -> Lease | None:
        """Wait for the Lease; None when told to stop meanwhile."""
        lease = Lease(
            self.parts.client,
            namespace=self.settings.namespace,
            name=self.settings.lease_name,
            identity=self.identity,
            now=now,
        )
        self.state = "standing by: another operator holds the Lease"
        acquiring = asyncio.create_task(lease.acquire())
        stopping = asyncio.create_task(self.stop.wait())
        await asyncio.wait({acquiring, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not acquiring.done():
            acquiring.cancel()
            return None
        await acquiring
        stack.push_async_callback(lease.release)
        self.parts.ledger_state.post = partial(lease.post, instance=self.identity)
        return lease

    def _say(self, state: str) -> None:
        self.state = state

    async def _start(self, stack: AsyncExitStack, lease: Lease) -> None:
        """Caches, the past, the first pass; then everything runs."""
        parts = self.parts
        started = time.monotonic()
        settings = self.settings
        ledger = await open_ledger(settings, parts.ledger_state, may_write=lambda: lease.held, say=self._say)
        engine = engine_of(settings)
        if engine is not None:
            parts.price_watch.source = ExportedPrices(engine)
        parts.runs.engine = engine
        sampling = sampling_of(
            settings,
            client=parts.client,
            caches=parts.caches,
            recorder=parts.recorder,
            figures=parts.figures,
            now=now,
            engine=engine,
        )
        sampling.on_quiet = parts.stopping.quiet.take
        sampling.on_series = parts.advising.take
        stack.push_async_callback(sampling.close)
        accounting = Accounting(
            ledger, parts.recorder, parts.caches, parts.figures, now, sampling, settings.details_kept
        )
        accounting.state = parts.ledger_state
        stack.push_async_callback(accounting.close)
        stack.push_async_callback(self._stop_tasks)  # before the ledger closes
        parts.prices.memory = decode(await accounting.call(lambda: ledger.marked(MARK) or ""))
        self.state = "waiting for the caches"
        node_version, pod_version = await accounting.versions()
        histories = asyncio.gather(
            self._history(parts.caches.nodes.path, node_version),
            self._history(parts.caches.pods.path, pod_version),
        )
        await self._sync()
        past = await accounting.past(*await histories)
        backfill = await self._catch_up(stack, accounting, past, engine)
        sampling.begin(past.open_pods, past.needs, past.observed_until)
        log.info(summary(past, parts.world.pods))
        self.accounting = accounting
        parts.controller.survey()
        await self._tick()
        log.info("first pass complete after %.1f s: %s", time.monotonic() - started, parts.figures.sizes)
        self.tasks.start(backfill.keep(), "history")
        for feed in feeds_of(settings, parts.progress, parts.board, parts.figures, client=parts.client, engine=engine):
            self.tasks.start(feed, "metrics of runs")
        loads = parts.serving.listen(
            engine, every=int(settings.metrics_seconds * SECOND), allowed=settings.metrics_queries
        )
        parts.accounts.listen(loads)
        learned = Kept(loads, parts.serving.advisor, accounting)
        await learned.load()
        self.tasks.start(learned.keep(), "what endpoints have taught")
        self.tasks.start(loads.keep(), "metrics of endpoints")
        await self._go_on(stack, sampling)

    async def _catch_up(
        self, stack: AsyncExitStack, accounting: Accounting, past: Past, engine: PromQL | None
    ) -> Backfill:
        """Take over what the ledger remembers, and write down what happened while nobody watched."""
        parts, ledger = self.parts, accounting.ledger
        await with_ledger(parts.progress, accounting, ledger)
        await with_stays(parts.stays, accounting, ledger)
        stack.push_async_callback(parts.progress.flush)
        await with_runs(parts.runs.book, accounting, ledger)
        stack.push_async_callback(parts.runs.book.flush)
        stack.push_async_callback(parts.stays.flush)
        await parts.advising.begin(accounting, ledger)
        stack.push_async_callback(parts.advising.close)
        await parts.accounts.begin(accounting, ledger)
        stack.push_async_callback(partial(parts.accounts.past.flush, at_once=True))
        parts.accounts.holders.engine = engine
        for fact, node in await accounting.call(
            lambda: ledger.ended_pods(kind=TRAINING_JOB, capacity_type=CapacityType.SPOT)
        ):
            parts.recorder.endings.note(fact, node)
        recover(parts.world, parts.recorder, past)
        parts.assets.recover(past)
        backfill = backfill_of(
            self.settings,
            ledger,
            client=parts.client,
            call=accounting.call,
            world=parts.world,
            prices=parts.prices,
            engine=engine,
        )
        await backfill.plan(past.observed_until, now(), parts.recorder.nodes.values(), watched=past.told_everything)
        accounting.caught_up = True
        await accounting.flush()
        return backfill

    async def _go_on(self, stack: AsyncExitStack, sampling: Sampling) -> None:
        """Start what runs from the first pass on, and open the doors."""
        parts = self.parts
        settings = self.settings
        intake = await intake_of(settings, parts.client, parts.progress, now)
        parts.controller.reporting = intake.reporting
        self.tasks.start(run_workers(parts.controller), "training")
        self.tasks.start(parts.serving.controller.run(), "serving")
        self.tasks.start(parts.accounts.holders.keep(), "holders of requests")
        self.tasks.start(self._flushes(), "flush")
        self.tasks.start(self._ticks(), "tick")
        if sampling.exporters is not None and settings.scrape_seconds < settings.tick_seconds:
            self.tasks.start(sampling.exporters.keep(settings.scrape_seconds), "exporters")
        if settings.export_url:
            self.tasks.start(DailyExport(lambda: exporter_of(settings), parts.figures, now).run(), "export")
        server = await open_doors(
            parts.client,
            self._provider(),
            settings,
            progress=intake.api,
            authority=intake.authority,
            insights=self._insights(),
        )
        stack.push_async_callback(server.stop)
        if server.front_proxy is not None:
            self.tasks.start(keep_registered(parts.client, server), "registration of the cost API")
        self.ready = True
        self.state = "running"

    async def _sync(self) -> None:
        """Start every watch and wait until all have shown everything."""
        parts = self.parts
        parts.caches.with_devices = await self._has(paths.DEVICE_API)
        parts.with_karpenter = await self._has(_KARPENTER)  # it makes spot nodes where there are none yet
        parts.caches.with_karpenter = parts.with_karpenter and await self._has(_KARPENTER_V1)
        for mirror in parts.caches.all:
            self.tasks.start(mirror.run(), f"watch {mirror.path}")
        await parts.resources.expect(parts.client)
        self.tasks.start(self._kopf(), "watch custom resources")
        await asyncio.gather(parts.caches.synced(), parts.resources.shown(parts.client), parts.optional.first())
        parts.prices.reload()
        parts.recorder.reprice()
        parts.assets.reprice()

    async def _kopf(self) -> None:
        """kopf takes the signals for itself; its end is ours."""
        await watch(self.parts.resources, stop=self.stop)

    async def _history(self, path: str, version: str) -> Any:
        return await replay(self.parts.client, path, version) if version else None

    async def _has(self, api: str) -> bool:
        """Whether the cluster serves an API group or version."""
        with suppress(ApiError):
            return bool(await self.parts.client.get(api))
        return False

    async def _dry_run(self, stack: AsyncExitStack) -> int:
        parts = self.parts
        stack.push_async_callback(self._stop_tasks)
        parts.runs.engine = engine_of(self.settings)
        await self.tasks.unless_stopped(self._sync())
        if self.stop.is_set():
            return 1
        parts.progress.load(await asyncio.to_thread(recorded_histories, self.settings))
        refused = await print_decisions(parts.controller, sys.stdout)
        await measure_endpoints(parts.serving, parts.accounts, self.settings, parts.runs.engine)
        refused += await print_endpoints(parts.serving.controller, sys.stdout, parts.serving.signals_of)
        return 1 if refused else 0

    # --- what goes on -------------------------------------------------------------------------------------------------

    async def _stop_tasks(self) -> None:
        await self.parts.optional.close()
        await self.tasks.end(_STOP_SECONDS)

    async def _flushes(self) -> None:
        parts = self.parts
        assert self.accounting is not None
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await self.accounting.flush()
            await parts.progress.flush()
            await parts.runs.book.flush()
            await parts.stays.flush()
            await parts.accounts.past.flush()

    async def _ticks(self) -> None:
        period = self.settings.tick_seconds
        while True:
            await asyncio.sleep(period * random.uniform(0.9, 1.0))
            try:
                await self._tick()
            except (LedgerError, ApiError, Unreachable) as error:
                self.parts.figures.errors["tick"] += 1
                log.warning("the pass was not completed: %s", error)

    async def _tick(self) -> None:
        assert self.accounting is not None
        await full_pass(self.parts, self.accounting)
        allocator.give_back()
        self._beat = time.monotonic()

    # --- what the parts ask -------------------------------------------------------------------------------------------

    def _provider(self) -> LedgerProvider:
        return LedgerProvider(lambda: self.accounting, now, self._cannot_answer)

    def _insights(self) -> RunInsights:
        parts = self.parts
        return RunInsights(
            self._provider(),
            parts.world,
            parts.market.view,
            parts.progress.of,
            parts.recorder.endings.interruptions_of,
            parts.stays.of,
            parts.runs.book.counted,
            parts.advising.recommending,
            units=parts.accounts.unit_costs,
        )

    def _alive(self) -> str | None:
        if self.ready and time.monotonic() - self._beat > _STALE_SECONDS + 2 * self.settings.tick_seconds:
            return f"no pass was completed for {time.monotonic() - self._beat:.0f} s"
        return None

    def _not_ready(self) -> str | None:
        return self._cannot_answer() or self.parts.caches.problem()

    def _cannot_answer(self) -> str | None:
        """Why the cost API has no answer yet; a broken watch makes it older, not wrong."""
        return None if self.ready else self.state


def main(*, dry_run: bool = False) -> int:
    """Entry point of `gpucost operator`: 0 after an orderly stop, 1 after a failure, 2 for a wrong set-up."""
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            print(f"gpucost operator: GPUCOST_{name}: {problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        return 2
    configure(log_format=settings.log_format, level="WARNING" if dry_run else settings.log_level)
    allocator.lean()

    async def operate() -> int:
        return await Operator(settings, dry_run=dry_run).run()

    try:
        return asyncio.run(operate())
    except (LoginError, MissingDefinitions) as error:
        print(f"gpucost operator: {error}", file=sys.stderr)
        return 2
    except _FATAL as error:
        print(f"gpucost operator: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
