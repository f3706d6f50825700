"""Everything about InferenceEndpoints put together: registry, mirrors of autoscalers, controller, status.

`Serving` is the one thing that the operator's parts know of; it asks the others for totals and the budget of writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from gpucost.core.clock import Instant, Micros
from gpucost.core.money import PICO
from gpucost.core.present import cost_status
from gpucost.core.report import Row
from gpucost.core.serving.showing import measured_status
from gpucost.core.serving.signals.model import Signals
from gpucost.core.serving.spec import EndpointSpec
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.runtime.accounting import Totals
from gpucost.runtime.endpoints.advisor import Advisor
from gpucost.runtime.endpoints.controller import EndpointController
from gpucost.runtime.endpoints.least_used import LeastUsed
from gpucost.runtime.endpoints.makers import Makers
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.endpoints.reporting import StatusWriter
from gpucost.runtime.endpoints.targets import Targets
from gpucost.runtime.metrics import Figures
from gpucost.runtime.optional_kinds import Optional
from gpucost.runtime.publisher import Target, shown_as_status, shown_in_status
from gpucost.runtime.queue import DirtyKeys
from gpucost.runtime.serving_feed import ServingFeed
from gpucost.runtime.world import Custom, World
from gpucost.sources.autoscalers import HPA, SCALED_OBJECT, Scaler, hpa_record, scaled_object_record
from gpucost.sources.promql import PromQL
from gpucost.sources.reflector import Reflector


class Serving:
    """The parts that look after endpoints."""

    def __init__(
        self,
        world: World,
        client: KubeClient,
        figures: Figures,
        now: Callable[[], Instant],
        *,
        currency: str,
        identity: str,
        totals: Callable[[], Totals],
    ) -> None:
        """Nothing is opened here."""
        self.world, self.now, self.currency, self.totals = world, now, currency, totals
        self.figures = figures
        self.queue = DirtyKeys(now)
        self.endpoints = Endpoints(world, on_dirty=self.queue.mark)
        self.writer = StatusWriter(client, figures, now, self.queue.mark, cost_of=self.cost_of)
        self.controller = EndpointController(
            endpoints=self.endpoints,
            client=client,
            queue=self.queue,
            figures=figures,
            now=now,
            targets=Targets(client, now),
            writer=self.writer,
            unseen=Makers(client, self.endpoints, now).look,
            currency=currency,
            instance=identity,
            sees_rivals=self.sees_rivals,
            hourly_of=self.hourly_of,
        )
        self.least_used = LeastUsed(client, self.endpoints, now=now)
        self.controller.free_of = self.least_used.free
        self.controller.before_scaling.append(self.least_used.prepare)
        self.advisor = Advisor(self.endpoints, now, self.queue.mark)
        self.controller.load_of = self.advisor.of
        self.feed: ServingFeed | None = None
        self.writer.parts.append(self._measured)
        mirror = self.endpoints.scaler_changed
        self.autoscalers: Reflector[Scaler] = Reflector(client, "", hpa_record, mirror, now)
        self.scaled_objects: Reflector[Scaler] = Reflector(client, "", scaled_object_record, mirror, now)
        self.kinds = (
            Optional(HPA, (paths.AUTOSCALERS,), "horizontalpodautoscalers", self.autoscalers),
            Optional(SCALED_OBJECT, (paths.KEDA,), "scaledobjects", self.scaled_objects),
        )

    def sees_rivals(self) -> bool:
        """Whether all autoscalers are known: those of Kubernetes always exist, KEDA's where the cluster has it."""
        keda = self.kinds[1]
        return self.autoscalers.synced.is_set() and (keda.task is None or self.scaled_objects.synced.is_set())

    def listen(self, engine: PromQL | None, *, every: Micros, allowed: bool) -> ServingFeed:
        """The feed that asks for the load of all endpoints; `allowed` are queries of users."""
        self.feed = ServingFeed(
            self.advisor.asked, engine, self.figures, self.now, every, allowed=allowed, heard=self.advisor.heard
        )
        self.feed.living = self.endpoints.keys.keys
        self.advisor.stale_after = self.feed.stale_after
        return self.feed

    def signals_of(self, uid: str) -> Signals | None:
        """The last look at an endpoint; None before the first."""
        return self.feed.of(uid) if self.feed is not None else None

    def _measured(self, record: Custom) -> Mapping[str, Any]:
        """What the feed knows of an endpoint, as its status shows it."""
        spec = self.endpoints.spec_of(record.key)
        signals = self.signals_of(record.uid)
        return {} if spec is None or signals is None else measured_status(spec, signals)

    # --- money --------------------------------------------------------------------------------------------------------

    def _row(self, namespace: str, spec: EndpointSpec) -> Row | None:
        return self.totals().of(namespace, spec.target.workload)

    def hourly_of(self, namespace: str, spec: EndpointSpec) -> Decimal | None:
        """What one replica costs per hour: what all pods that hold resources cost, divided among the replicas."""
        row = self._row(namespace, spec)
        if row is None or row.hourly is None or not row.pods or not row.hourly:
            return None
        size = self.endpoints.group_size(namespace, spec.target)
        return Decimal(row.hourly) * size.numerator / size.denominator / row.pods / PICO

    def cost_of(self, record: Custom) -> Mapping[str, Any] | None:
        """`status.cost` of an endpoint as of the last pass; what is stored when nothing is known yet."""
        spec = self.endpoints.spec_of(record.key)
        row = self._row(record.namespace, spec) if spec is not None else None
        if row is None or not row.amounts.held_time:
            stored: Mapping[str, Any] | None = record.status.get("cost")
            return stored
        return cost_status(row.amounts, hourly=row.hourly, currency=self.currency, now=self.totals().at)

    def published(self, totals: Totals) -> Iterable[Target]:
        """Endpoints that show a cost, for the common budget of writes."""
        for record in self.endpoints.records.values():
            spec = self.endpoints.spec_of(record.key)
            row = self._row(record.namespace, spec) if spec is not None else None
            if row is not None and row.amounts.held_time:
                write = self._write(record)
                yield Target(record.uid, shown_in_status(record.status), shown_as_status(row, totals.at), write)

    def _write(self, record: Custom) -> Any:
        async def write() -> bool:
            return await self.writer.publish_cost(record)

        return write
