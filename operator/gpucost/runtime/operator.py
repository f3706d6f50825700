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
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from pydantic import ValidationError

from gpucost.core.capacity import Provider, detect_provider
from gpucost.core.clock import SECOND, Instant
from gpucost.core.model import CapacityType, Key, Workload
from gpucost.core.money import Pico
from gpucost.core.present import cost_status
from gpucost.core.publish import Budget
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.kube.login import LoginError
from gpucost.ledger import LedgerError
from gpucost.runtime import collector
from gpucost.runtime.accounting import Accounting, Totals
from gpucost.runtime.assets import Assets
from gpucost.runtime.backfill import backfill_of
from gpucost.runtime.caches import Caches
from gpucost.runtime.costapi import keep_registered, open_doors
from gpucost.runtime.custom import CustomResources, MissingDefinitions, watch
from gpucost.runtime.dryrun import print_decisions, recorded_histories
from gpucost.runtime.exporter import DailyExport, exporter_of
from gpucost.runtime.feeding import feeds_of
from gpucost.runtime.feeds import DoubtBoard
from gpucost.runtime.figures import fill
from gpucost.runtime.going import NodesGoing
from gpucost.runtime.health import Health
from gpucost.runtime.holdings import Holdings
from gpucost.runtime.insights import RunInsights
from gpucost.runtime.lease import Lease, LeaseLost
from gpucost.runtime.ledger_state import LedgerState
from gpucost.runtime.logs import configure
from gpucost.runtime.market import GpuMarket
from gpucost.runtime.measuring import engine_of, sampling_of
from gpucost.runtime.metrics import Exposition, Figures, FiguresCollector
from gpucost.runtime.opening import open_ledger
from gpucost.runtime.optional_kinds import OptionalKinds
from gpucost.runtime.price_memory import MARK, decode
from gpucost.runtime.price_status import report
from gpucost.runtime.price_watch import PriceWatch
from gpucost.runtime.prices import Prices
from gpucost.runtime.progress import RunHistories
from gpucost.runtime.provider import LedgerProvider
from gpucost.runtime.publisher import Publisher
from gpucost.runtime.queue import DirtyKeys
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.recovery import recover, summary
from gpucost.runtime.reporting import intake_of, with_ledger, with_runs
from gpucost.runtime.runs.keeper import RunKeeper
from gpucost.runtime.runs.observed import stored_cost
from gpucost.runtime.runs.sums import RunSums
from gpucost.runtime.sampling import Sampling
from gpucost.runtime.settings import Settings, address, listed
from gpucost.runtime.stopping import StoppingSources
from gpucost.runtime.surroundings import surroundings_of, with_stays
from gpucost.runtime.tasks import Tasks
from gpucost.runtime.training import TrainingController, run_workers
from gpucost.runtime.world import TRAINING_JOB, Custom, World
from gpucost.sources.exported_prices import ExportedPrices
from gpucost.sources.records import pod_record
from gpucost.sources.replay import replay

log = logging.getLogger(__name__)

_FLUSH_SECONDS = 1.0
_STALE_SECONDS = 120.0
_STOP_SECONDS = 5.0  # with the last write and the Lease's release, below ten
_KARPENTER = "/apis/karpenter.sh"
_KARPENTER_V1 = "/apis/karpenter.sh/v1"
_FATAL = (ApiError, LeaseLost, LedgerError, LoginError, MissingDefinitions, OSError, Unreachable, ValueError)


def now() -> Instant:
    """The present, UTC."""
    return time.time_ns() // 1000


class Operator:
    """One operator; `run` returns when it is told to stop or raises what made it end."""

    def __init__(self, settings: Settings, *, dry_run: bool = False) -> None:
        """Nothing is opened before `run`."""
        self.settings = settings
        self.dry_run = dry_run
        self.identity = settings.identity or f"{socket.gethostname()}-{os.getpid()}"
        self.client = KubeClient(dry_run=dry_run)
        self.figures = Figures(writes=self.client.writes)
        self.world = World()
        self.queue = DirtyKeys(now)
        self.world.on_dirty = self.queue.mark
        self.prices = Prices(self.world, settings.currency)
        holdings = Holdings(listed(settings.gpu_resources, ","), listed(settings.gpu_drivers, ","))
        read_pod = partial(pod_record, kept=settings.kept_labels)
        self.recorder = Recorder(self.world, now, self.prices.of, holdings, read_pod)
        self.world.on_claimed = self.recorder.owners_changed
        self.assets = Assets(self.recorder, now, self.prices.of_asset, waiting=True)
        self.going = NodesGoing(now, self.recorder.nodes)
        self.caches = Caches.build(self.client, self.world, self.recorder, self.assets, self.going)
        self.optional = OptionalKinds(self.client, self.world, now)
        self.resources = CustomResources(self.world, on_prices=self._prices_changed)
        self.controller = TrainingController(
            world=self.world,
            client=self.client,
            queue=self.queue,
            figures=self.figures,
            now=now,
            provider=self.provider,
            cost_of=self.cost_of,
            interruptions_of=self.recorder.endings.interruptions_of,
            instance=self.identity,
        )
        self.progress = RunHistories(self.world, now, self.queue.mark, keep=settings.details_kept)
        self.controller.progress_of = self.progress.of
        self.runs = RunKeeper(self.world, self.client, now, self.progress.of, self._cost_so_far)
        self.controller.runs = self.runs
        self.sums = RunSums(self.world, self.runs.book)
        self.controller.ask_checkpoint = self.progress.ask_checkpoint
        self.stopping = StoppingSources(
            self.world, now, self.progress.of, lambda: self.totals, settings.currency, assume_new=dry_run
        )
        self.controller.stopping = self.stopping
        self.board = DoubtBoard(self.world, now, self.queue.mark)
        self.controller.doubts_of = self.board.of
        self.market = GpuMarket(self.prices, now)
        self.controller.market = self.market.view
        self.controller.surroundings = surroundings_of(
            self.recorder,
            self.assets,
            self.prices,
            going=self.going,
            progress=self.progress,
            totals=lambda: self.totals,
        )
        self.stays = self.controller.surroundings.stays
        self.stays.keep = settings.details_kept
        self.progress.interval_of = self.controller.intervals.get
        self.publisher = Publisher(
            client=self.client,
            world=self.world,
            caches=self.caches,
            currency=settings.currency,
            interval=int(settings.report_seconds * SECOND),
            budget=Budget(settings.writes_per_second, max(10.0, settings.tick_seconds * settings.writes_per_second)),
            with_nodes=settings.node_annotations,
            write_status=self.controller.publish_cost,
        )
        self.controller.may_write = self.publisher.budget.take
        self.stop = asyncio.Event()
        self.tasks = Tasks(self.stop)
        self.accounting: Accounting | None = None
        self.ledger_state = LedgerState(now)
        self.totals = Totals()
        self.ready = False
        self.state = "starting"
        self._beat = time.monotonic()
        self.price_watch = PriceWatch(self.prices, self.recorder, self.assets, self.figures, now)
        self._karpenter = False

    # --- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Run until told to stop; the exit status."""
        self._on_signals()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.client.close)
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
        registry = CollectorRegistry()
        registry.register(FiguresCollector(self.figures, now))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        exposition = Exposition(registry, self.figures)
        health = Health(self._alive, self._not_ready, exposition, lambda: self.ledger_state.condition)
        runner = web.AppRunner(health.app(), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, *address(self.settings.metrics_listen)).start()

    async def _acquire(self, stack: AsyncExitStack) -> Lease | None:
        """Wait for the Lease; None when told to stop meanwhile."""
        lease = Lease(
            self.client,
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
        self.ledger_state.post = partial(lease.post, instance=self.identity)
        return lease

    def _say(self, state: str) -> None:
        self.state = state

    async def _start(self, stack: AsyncExitStack, lease: Lease) -> None:
        """Caches, the past, the first pass; then everything runs."""
        started = time.monotonic()
        settings = self.settings
        ledger = await open_ledger(settings, self.ledger_state, may_write=lambda: lease.held, say=self._say)
        engine = engine_of(settings)
        if engine is not None:
            self.price_watch.source = ExportedPrices(engine)
        self.runs.engine = engine
        sampling = sampling_of(
            settings,
            client=self.client,
            caches=self.caches,
            recorder=self.recorder,
            figures=self.figures,
            now=now,
            engine=engine,
        )
        sampling.on_quiet = self.stopping.quiet.take
        stack.push_async_callback(sampling.close)
        accounting = Accounting(ledger, self.recorder, self.caches, self.figures, now, sampling, settings.details_kept)
        accounting.state = self.ledger_state
        stack.push_async_callback(accounting.close)
        stack.push_async_callback(self._stop_tasks)  # before the ledger closes
        self.prices.memory = decode((await accounting.call(ledger.marks)).get(MARK, ""))
        self.state = "waiting for the caches"
        node_version, pod_version = await accounting.versions()
        histories = asyncio.gather(
            self._history(self.caches.nodes.path, node_version), self._history(self.caches.pods.path, pod_version)
        )
        await self._sync()
        past = await accounting.past(*await histories)
        await with_ledger(self.progress, accounting, ledger)
        await with_stays(self.stays, accounting, ledger)
        stack.push_async_callback(self.progress.flush)
        await with_runs(self.runs.book, accounting, ledger)
        stack.push_async_callback(self.runs.book.flush)
        stack.push_async_callback(self.stays.flush)
        for fact, node in await accounting.call(
            lambda: ledger.ended_pods(kind=TRAINING_JOB, capacity_type=CapacityType.SPOT)
        ):
            self.recorder.endings.note(fact, node)
        recover(self.world, self.recorder, past)
        self.assets.recover(past)
        backfill = backfill_of(
            settings,
            ledger,
            client=self.client,
            call=accounting.call,
            world=self.world,
            prices=self.prices,
            engine=engine,
        )
        await backfill.plan(past.observed_until, now(), self.recorder.nodes.values(), watched=past.told_everything)
        accounting.caught_up = True
        await accounting.flush()
        sampling.begin(past.open_pods, past.needs, past.observed_until)
        log.info(summary(past, self.world.pods))
        self.accounting = accounting
        self.controller.survey()
        await self._tick()
        log.info("first pass complete after %.1f s: %s", time.monotonic() - started, self.figures.sizes)
        self.tasks.start(backfill.keep(), "history")
        for feed in feeds_of(settings, self.progress, self.board, self.figures, client=self.client, engine=engine):
            self.tasks.start(feed, "metrics of runs")
        await self._go_on(stack, sampling)

    async def _go_on(self, stack: AsyncExitStack, sampling: Sampling) -> None:
        """Start what runs from the first pass on, and open the doors."""
        settings = self.settings
        intake = await intake_of(settings, self.client, self.progress, now)
        self.controller.reporting = intake.reporting
        self.tasks.start(run_workers(self.controller), "training")
        self.tasks.start(self._flushes(), "flush")
        self.tasks.start(self._ticks(), "tick")
        if sampling.exporters is not None and settings.scrape_seconds < settings.tick_seconds:
            self.tasks.start(sampling.exporters.keep(settings.scrape_seconds), "exporters")
        if settings.export_url:
            self.tasks.start(DailyExport(lambda: exporter_of(settings), self.figures, now).run(), "export")
        server = await open_doors(
            self.client,
            self._provider(),
            settings,
            progress=intake.api,
            authority=intake.authority,
            insights=self._insights(),
        )
        stack.push_async_callback(server.stop)
        if server.front_proxy is not None:
            self.tasks.start(keep_registered(self.client, server), "registration of the cost API")
        self.ready = True
        self.state = "running"

    async def _sync(self) -> None:
        """Start every watch and wait until all have shown everything."""
        self.caches.with_devices = await self._has(paths.DEVICE_API)
        self._karpenter = await self._has(_KARPENTER)  # it makes spot nodes where there are none yet
        self.caches.with_karpenter = self._karpenter and await self._has(_KARPENTER_V1)
        for mirror in self.caches.all:
            self.tasks.start(mirror.run(), f"watch {mirror.path}")
        await self.resources.expect(self.client)
        self.tasks.start(self._kopf(), "watch custom resources")
        await asyncio.gather(self.caches.synced(), self.resources.shown(self.client), self.optional.first())
        self.prices.reload()
        self.recorder.reprice()
        self.assets.reprice()

    async def _kopf(self) -> None:
        """kopf takes the signals for itself; its end is ours."""
        await watch(self.resources, stop=self.stop)

    async def _history(self, path: str, version: str) -> Any:
        return await replay(self.client, path, version) if version else None

    async def _has(self, api: str) -> bool:
        """Whether the cluster serves an API group or version."""
        with suppress(ApiError):
            return bool(await self.client.get(api))
        return False

    async def _dry_run(self, stack: AsyncExitStack) -> int:
        stack.push_async_callback(self._stop_tasks)
        self.runs.engine = engine_of(self.settings)
        await self.tasks.unless_stopped(self._sync())
        if self.stop.is_set():
            return 1
        self.progress.load(await asyncio.to_thread(recorded_histories, self.settings))
        return 1 if await print_decisions(self.controller, sys.stdout) else 0

    # --- what goes on -------------------------------------------------------------------------------------------------

    async def _stop_tasks(self) -> None:
        await self.optional.close()
        await self.tasks.end(_STOP_SECONDS)

    async def _flushes(self) -> None:
        assert self.accounting is not None
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await self.accounting.flush()
            await self.progress.flush()
            await self.runs.book.flush()
            await self.stays.flush()

    async def _ticks(self) -> None:
        period = self.settings.tick_seconds
        while True:
            await asyncio.sleep(period * random.uniform(0.9, 1.0))
            try:
                await self._tick()
            except (LedgerError, ApiError, Unreachable) as error:
                self.figures.errors["tick"] += 1
                log.warning("the pass was not completed: %s", error)

    async def _tick(self) -> None:
        """A full pass: sample, settle, total, look at every key, publish."""
        assert self.accounting is not None
        started = time.monotonic()
        await self.resources.sweep(self.client)
        await self.optional.look()
        await self.price_watch.tick(self.accounting)
        await self.accounting.sample()
        await self.accounting.flush()
        await report(self.client, self.prices, now, ledger=self.ledger_state.condition)
        workloads = [(r.namespace, Workload(TRAINING_JOB, r.name)) for r in self.world.trainingjobs.values()]
        ended = self.recorder.endings.lately(now())
        totals = await self.accounting.totals([*workloads, *ended, *self.sums.asked()])
        self.totals = replace(totals, sums=self.sums.rows(totals.workloads))
        self.sums.freeze(totals.workloads, self.accounting.ledger.settled_until, now())
        await self.stopping.prepare(self.accounting, self.totals)
        fill(self.figures, self.totals, self.world, ended)
        self.figures.saved |= self.runs.book.saved()
        for key in self.world.trainingjobs:
            self.queue.mark(key)
        await self.progress.tidy()
        await self.runs.tidy(self.settings.details_kept)
        await self.stays.book()
        await self.stays.tidy()
        await self.publisher.publish(self.totals)
        self.figures.data_times["kubernetes"] = min(m.last_heard for m in self.caches.all)
        self.figures.errors["unreadable objects"] = sum(m.rejected for m in self.caches.all)
        self.figures.errors["pods on nodes never seen"] = self.recorder.skipped["node never seen"]
        self.figures.errors["pods on two nodes"] = self.recorder.skipped["second node"]
        self.figures.tick_seconds = time.monotonic() - started
        self.figures.ticks += 1
        self._beat = time.monotonic()

    # --- what the parts ask -------------------------------------------------------------------------------------------

    def _prices_changed(self) -> None:
        self.price_watch.dirty = True

    def provider(self) -> Provider | None:
        """Who makes the nodes of this cluster."""
        if self._karpenter:
            return Provider.KARPENTER
        return detect_provider(node.labels for node in self.world.nodes.values())

    def cost_of(self, record: Custom) -> Mapping[str, Any] | None:
        """`status.cost` of a TrainingJob as of the last tick; what is stored when nothing is known yet."""
        row = self.totals.of(record.namespace, Workload(TRAINING_JOB, record.name))
        if row is None or not row.amounts.held_time:
            return record.status.get("cost")
        return cost_status(
            row.amounts,
            hourly=row.hourly,
            currency=self.settings.currency,
            now=self.totals.at,
            lost=self.stays.lost(record.uid),
        )

    def _cost_so_far(self, key: Key) -> Pico | None:
        """What a run has cost: by the totals, else (in a dry run) by what its status says."""
        row = self.totals.of(key.namespace, Workload(TRAINING_JOB, key.name))
        if row is not None and row.amounts.held_time:
            return row.amounts.known_cost
        return stored_cost(self.world.trainingjobs.get(key))

    def _provider(self) -> LedgerProvider:
        return LedgerProvider(lambda: self.accounting, now, self._cannot_answer)

    def _insights(self) -> RunInsights:
        return RunInsights(
            self._provider(),
            self.world,
            self.market.view,
            self.progress.of,
            self.recorder.endings.interruptions_of,
            self.stays.of,
            self.runs.book.counted,
        )

    def _alive(self) -> str | None:
        if self.ready and time.monotonic() - self._beat > _STALE_SECONDS + 2 * self.settings.tick_seconds:
            return f"no pass was completed for {time.monotonic() - self._beat:.0f} s"
        return None

    def _not_ready(self) -> str | None:
        return self._cannot_answer() or self.caches.problem()

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
