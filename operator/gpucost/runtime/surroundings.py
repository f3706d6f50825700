"""What a pass over a run gets to know of its surroundings: stays, prices, notices, and what was seen of spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from gpucost.core.actions import Action, PatchJob
from gpucost.core.clock import Instant, Micros, parse_duration
from gpucost.core.model import Job, Node, Pod, Resources, Workload
from gpucost.core.money import PICO, Pico
from gpucost.core.timeline import Interval
from gpucost.core.training import memory, observe
from gpucost.core.training.auto.sightings import wants_of
from gpucost.core.training.waste import lost_cost
from gpucost.ledger import Ledger
from gpucost.runtime.accounting import Accounting, Totals
from gpucost.runtime.assets import Assets
from gpucost.runtime.going import NodesGoing
from gpucost.runtime.prices import Prices
from gpucost.runtime.progress import RunHistories
from gpucost.runtime.rates import Rates
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.stays import RunStays, pools_of
from gpucost.runtime.world import TRAINING_JOB, Custom, World
from gpucost.runtime.zones import Zones
from gpucost.sources.records import pod_requests


@dataclass
class Surroundings:
    """Gathers it for one run (`of`) and for all of them (`around`)."""

    world: World
    stays: RunStays
    rates: Rates
    zones: Zones
    going: NodesGoing
    totals: Callable[[], Totals]
    now: Callable[[], Instant]

    def of(self, record: Custom, job: Job | None) -> dict[str, Any]:
        """Fields of `TrainingState`."""
        pods = self.world.pods_of(job) if job is not None else ()
        self.stays.reported(record.uid, self.stays.progress_of(record.key))
        row = self.totals().workloads.get((record.namespace, Workload(TRAINING_JOB, record.name)))
        known = row.amounts.known_cost if row is not None else None
        return {
            "stays": self.stays.of(record.uid),
            "pin": self.zones.pin(record, job, self._nodes(pods)),
            "requests": pods[0].requests if pods else _template_requests(record),
            "rates": self.rates.of(record.uid, pods, row, self.now()),
            "spent": Decimal(known or 0) / PICO,
        }

    def _nodes(self, pods: Sequence[Pod]) -> list[Node]:
        names = (pod.node_name for pod in pods if pod.node_name is not None)
        return [self.world.node_by_name[name] for name in names if name in self.world.node_by_name]

    def around(self) -> dict[str, Any]:
        """Fields of `TrainingContext`."""
        return {"notices": self.going.notices(), "market": self.stays.market()}

    def tidy(self) -> None:
        """Forget what is gone."""
        self.rates.forget(self.world.trainingjob_uids)

    def done(self, record: Custom, action: Action) -> None:
        """An action was carried out: a try of spot that failed is something that others learn from."""
        if not isinstance(action, PatchJob):
            return
        metadata: Any = action.patch.get("metadata") or {}
        if (metadata.get("annotations") or {}).get(memory.SPOT_REFUSED_AT) is None:
            return
        job = self.world.job_of(record)
        pods = self.world.pods_of(job) if job is not None else ()
        since = observe.unscheduled_since(pods)
        if job is not None and since is not None:
            self.stays.refused(record, since, wants_of(job.node_selector, pods[0].requests, pools_of(record)))


def _template_requests(record: Custom) -> Resources:
    try:
        return pod_requests(record.part("template", "spec"))
    except (AttributeError, KeyError, TypeError, ValueError):
        return Resources()


def surroundings_of(
    recorder: Recorder,
    assets: Assets,
    prices: Prices,
    *,
    going: NodesGoing,
    progress: RunHistories,
    totals: Callable[[], Totals],
) -> Surroundings:
    """Wire them to the recorder, which tells of pods."""
    world = recorder.world
    stays = RunStays(world, recorder.now, going, progress.of, saves_every=_saves_every)
    recorder.on_training_pod, recorder.on_vanished = stays.pod_seen, stays.pod_vanished

    def node_news(name: str) -> None:
        """Whose pods are on the node looks again."""
        for pod in tuple(world.pods.values()):
            job = world.jobs.get(pod.owner.uid) if pod.node_name == name and pod.owner is not None else None
            for key in world.claimants(job) if job is not None else ():
                world.on_dirty(key)

    going.on_news = node_news
    rates = Rates(prices, recorder.nodes, world.node_by_name)
    return Surroundings(world, stays, rates, Zones(assets, prices), going, totals, recorder.now)


def _saves_every(record: Custom) -> Micros | None:
    text = record.part("checkpoint").get("interval")
    try:
        return parse_duration(text) if text else None
    except (TypeError, ValueError):
        return None


async def with_stays(stays: RunStays, accounting: Accounting, ledger: Ledger) -> None:
    """Begin with what the ledger knows of stays, and write there from now on."""
    stays.load(await accounting.call(ledger.stays.all))
    stays.write = lambda changes: accounting.call(partial(ledger.stays.record, changes))
    stays.forget = lambda horizon: accounting.call(partial(ledger.stays.forget, stays.world.trainingjob_uids, horizon))

    async def cost(namespace: str, name: str, span: Interval) -> Pico | None:
        question = partial(ledger.report, span, now=stays.now(), by="workload", namespace=namespace)
        report = await accounting.call(question)
        row = next((row for row in report.rows if row.workload == Workload(TRAINING_JOB, name)), None)
        return None if row is None else lost_cost(row.amounts)

    stays.cost = cost
