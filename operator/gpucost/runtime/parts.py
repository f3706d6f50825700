"""What an operator is made of: every part, put together and told about the others; nothing is opened here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from gpucost.core.capacity import Provider, detect_provider
from gpucost.core.clock import SECOND, Instant
from gpucost.core.model import Key, Workload
from gpucost.core.money import Pico
from gpucost.core.present import cost_status
from gpucost.core.publish import Budget
from gpucost.kube.client import KubeClient
from gpucost.runtime.accounting import Totals
from gpucost.runtime.assets import Assets
from gpucost.runtime.caches import Caches
from gpucost.runtime.custom import CustomResources
from gpucost.runtime.endpoints.accounts import Accounts
from gpucost.runtime.endpoints.advising import Advising
from gpucost.runtime.endpoints.serving import Serving
from gpucost.runtime.feeds import DoubtBoard
from gpucost.runtime.going import NodesGoing
from gpucost.runtime.holdings import Holdings
from gpucost.runtime.ledger_state import LedgerState
from gpucost.runtime.market import GpuMarket
from gpucost.runtime.metrics import Figures
from gpucost.runtime.optional_kinds import OptionalKinds
from gpucost.runtime.price_watch import PriceWatch
from gpucost.runtime.prices import Prices
from gpucost.runtime.progress import RunHistories
from gpucost.runtime.publisher import Publisher
from gpucost.runtime.queue import DirtyKeys
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.runs.keeper import RunKeeper
from gpucost.runtime.runs.observed import stored_cost
from gpucost.runtime.runs.sums import RunSums
from gpucost.runtime.settings import Settings, listed
from gpucost.runtime.stopping import StoppingSources
from gpucost.runtime.surroundings import surroundings_of
from gpucost.runtime.training import TrainingController
from gpucost.runtime.weighing import Weighing
from gpucost.runtime.world import TRAINING_JOB, Custom, World
from gpucost.sources.records import pod_record


def now() -> Instant:
    """The present, UTC."""
    return time.time_ns() // 1000


class Parts:
    """The parts of one operator, and the few answers that some give by asking others."""

    def __init__(self, settings: Settings, *, identity: str, dry_run: bool) -> None:
        """`identity` is the name under which this process holds the Lease and posts Events."""
        self.settings = settings
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
        self.serving = Serving(
            self.world,
            self.client,
            self.figures,
            now,
            currency=settings.currency,
            identity=identity,
            totals=lambda: self.totals,
        )
        self.caches = Caches.build(
            self.client, self.world, self.recorder, self.assets, self.going, endpoints=self.serving.endpoints
        )
        self.optional = OptionalKinds(self.client, self.world, now)
        self.optional.kinds += self.serving.kinds
        self.resources = CustomResources(self.world, on_prices=self._prices_changed, endpoints=self.serving.endpoints)
        self.controller = TrainingController(
            world=self.world,
            client=self.client,
            queue=self.queue,
            figures=self.figures,
            now=now,
            provider=self.provider,
            cost_of=self.cost_of,
            interruptions_of=self.recorder.endings.interruptions_of,
            instance=identity,
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
        self.advising = Advising(
            self.serving,
            lambda: self.recorder.nodes,
            self.market.view,
            now,
            self.serving.signals_of,
        )
        self.controller.choose = Weighing(now, limited=not dry_run).choose
        self.surroundings = surroundings_of(
            self.recorder,
            self.assets,
            self.prices,
            going=self.going,
            progress=self.progress,
            totals=lambda: self.totals,
        )
        self.controller.surroundings = self.surroundings
        self.stays = self.surroundings.stays
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
        self.publisher.lost_of = self.stays.lost_by
        self.publisher.others = self.serving.published
        keep = settings.details_kept
        self.accounts = Accounts(self.serving, self.client, now, currency=settings.currency, keep=keep)
        self.advising.recommending.last_replica_of = self.accounts.last_replica
        self.ledger_state = LedgerState(now)
        self.totals = Totals()
        self.price_watch = PriceWatch(self.prices, self.recorder, self.assets, self.figures, now)
        self.with_karpenter = False

    def _prices_changed(self) -> None:
        self.price_watch.dirty = True

    def provider(self) -> Provider | None:
        """Who makes the nodes of this cluster."""
        if self.with_karpenter:
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
