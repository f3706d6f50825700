"""Money of endpoints put together: their work, what it cost per unit, and whether the last replica is worth keeping.

`Accounts` is the one thing that the operator's parts know of it. It listens to the looks at endpoints, and gives the
controller the numbers that go before every recommendation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial

from gpucost.core.clock import HOUR, Instant, Micros, floor_to
from gpucost.core.model import Pod, Workload
from gpucost.core.serving.cold_start import Advice
from gpucost.core.serving.signals.model import Asked, ReplicaCapacity, Signals
from gpucost.core.serving.spec import EndpointSpec
from gpucost.core.timeline import Interval
from gpucost.kube.client import KubeClient
from gpucost.ledger import Ledger
from gpucost.ledger.workload_hours import WorkloadHours
from gpucost.runtime.accounting import Accounting
from gpucost.runtime.endpoints.holders import Holders
from gpucost.runtime.endpoints.past import EndpointsPast
from gpucost.runtime.endpoints.serving import Serving
from gpucost.runtime.endpoints.unit_costs import UnitCosts, replica_hourly
from gpucost.runtime.serving_feed import ServingFeed
from gpucost.runtime.world import Custom

log = logging.getLogger(__name__)


class Accounts:
    """The parts that account for endpoints."""

    def __init__(
        self, serving: Serving, client: KubeClient, now: Callable[[], Instant], *, currency: str, keep: Micros | None
    ) -> None:
        """Nothing is opened here."""
        self.serving = serving
        records = serving.endpoints.records
        self.past = EndpointsPast(now, self._pods, self._size, living=self._living, keep=keep)
        self.unit_costs = UnitCosts(
            now,
            self.past,
            records,
            serving.endpoints.spec_of,
            self._capacity,
            shares_gpu=self._shares_gpu,
            size_of=self._size_of,
            currency=currency,
        )
        self.holders = Holders(
            client,
            now,
            records,
            serving.endpoints.spec_of,
            keys=serving.endpoints.keys,
            advice_of=self._advice,
            quiet_of=lambda uid: self.past.of(uid).quiet,
            signals_of=serving.signals_of,
            pods_of=serving.endpoints.replicas_of,
            figures=serving.figures,
        )
        self.past.asleep = self.holders.asleep
        serving.controller.demand_of = self.holders.demand_of
        serving.controller.after_scaling.append(self.holders.scaled)
        serving.writer.parts += (self.unit_costs.shown, self.holders.shown)

    def heard(self, asked: Asked, signals: Signals) -> None:
        """A look at an endpoint."""
        try:
            self.past.heard(asked, signals)
        except Exception:  # accounts must not keep the replicas from following the load
            log.exception("%s: what the endpoint did is not accounted for", asked.uid)
            self.serving.figures.errors["endpoint accounts"] += 1

    def listen(self, feed: ServingFeed) -> None:
        """Hear every look of a feed before anybody else, and tell the policy how long replicas take to be ready."""
        following = feed.heard

        def both(asked: Asked, signals: Signals) -> None:
            self.heard(asked, signals)
            following(asked, signals)

        feed.heard = both
        self.serving.advisor.ready_time_of = self.unit_costs.ready_time

    async def begin(self, accounting: Accounting, ledger: Ledger) -> None:
        """Begin with what the ledger knows, and write there from now on."""
        store, now = ledger.endpoints, self.past.now
        hour = floor_to(now(), HOUR)
        self.past.load(await accounting.call(store.memories), await accounting.call(lambda: store.since(hour)))
        self.past.write = lambda hours, known: accounting.call(partial(store.record, hours, known))
        self.past.forget = lambda horizon: accounting.call(partial(store.forget, self._living(), horizon))

        async def costs(namespace: str, workload: Workload, span: Interval) -> WorkloadHours:
            found = await accounting.call(partial(ledger.workload_hours, namespace, workload, span, now=now()))
            return replace(found, quality=accounting.aged(found.quality))

        self.unit_costs.costs = costs
        self.unit_costs.hours = lambda uid, span: accounting.call(partial(store.hours, uid, span))

    async def tidy(self) -> None:
        """What a pass over everything does here."""
        await self.past.tidy()
        await self.unit_costs.refresh()

    # --- what the parts ask -------------------------------------------------------------------------------------------

    def _living(self) -> list[str]:
        return list(self.serving.endpoints.keys)

    def _pods(self, asked: Asked) -> Sequence[Pod]:
        return self.serving.endpoints.replicas_of(asked.namespace, asked.spec.target)

    def _capacity(self, uid: str) -> ReplicaCapacity:
        signals = self.serving.signals_of(uid)
        return ReplicaCapacity() if signals is None else signals.capacity

    def _advice(self, namespace: str, uid: str, spec: EndpointSpec) -> Advice:
        row = self.serving.totals().of(namespace, spec.target.workload)
        return self.unit_costs.advice(namespace, uid, spec, replica_hourly(row, self._size_of(namespace, spec)))

    def last_replica(self, record: Custom, spec: EndpointSpec) -> tuple[Advice, Micros]:
        """Whether the last replica is worth keeping, and for how long it was watched to know that."""
        advice = self._advice(record.namespace, record.uid, spec)
        return advice, self.past.of(record.uid).quiet.quiet.watched

    def _size(self, asked: Asked) -> Fraction:
        return self._size_of(asked.namespace, asked.spec)

    def _size_of(self, namespace: str, spec: EndpointSpec) -> Fraction:
        return self.serving.endpoints.group_size(namespace, spec.target)

    def _shares_gpu(self, namespace: str, spec: EndpointSpec) -> bool:
        """Whether others could use the GPU memory of a replica that sleeps: a device that is shared by time."""
        pods = self.serving.endpoints.pods_of(namespace, spec.target)
        return any(name.endswith(".shared") for pod in pods for name in pod.devices)
