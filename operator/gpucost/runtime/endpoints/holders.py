"""Looks at whoever holds requests for endpoints that may go to zero, and decides about zero and waking up.

A pass asks for the object of each holder, and for what all interceptors hold in one query. Only endpoints with
`scaleToZero` cost anything here.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import SECOND, Instant, parse_rfc3339
from gpucost.core.model import Key, Pod
from gpucost.core.serving.cold_start import Advice
from gpucost.core.serving.pausing import pause_of
from gpucost.core.serving.quiet_times import QuietTimes
from gpucost.core.serving.schedules import open_window
from gpucost.core.serving.signals.model import Signals, value_of
from gpucost.core.serving.spec import EndpointSpec, Holder, HolderKind, TargetRef
from gpucost.core.serving.state import Demand, EndpointState, Target
from gpucost.core.serving.zero import WAKE, Holding, Situation, reason_to_wake, zero_or_wake
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.metrics import Figures
from gpucost.runtime.world import Custom
from gpucost.sources import holders as source
from gpucost.sources.promql import PrometheusError, PromQL

log = logging.getLogger(__name__)

_EVERY_SECONDS = 10.0
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"

Seen = tuple[str, tuple[str, ...]]
"""What is wrong with a holder, and the hosts that it is for."""


@dataclass
class Holders:
    """What is known of each endpoint's holder, by UID."""

    client: KubeClient
    now: Callable[[], Instant]
    records: Mapping[Key, Custom]
    spec_of: Callable[[Key], EndpointSpec | None]
    keys: Mapping[str, Key]
    """Of the endpoints that exist, by UID."""
    advice_of: Callable[[Key, EndpointSpec], Advice]
    quiet_of: Callable[[str], QuietTimes]
    signals_of: Callable[[str], Signals | None]
    pods_of: Callable[[str, TargetRef], Sequence[Pod]]
    """Pods of a workload that have not ended."""
    figures: Figures
    engine: PromQL | None = None
    known: dict[str, Holding] = field(default_factory=dict)
    _replicas: dict[str, tuple[int, Instant | None]] = field(default_factory=dict)
    """Replicas when an endpoint was decided about last, and when the number was changed last."""

    # --- looking ------------------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Pass after pass; a failure of one is logged."""
        while True:
            try:
                await self.once()
            except Exception:  # the next pass may do better
                log.exception("holders of requests: the pass failed")
                self.figures.errors["holders"] += 1
            await asyncio.sleep(_EVERY_SECONDS)

    async def once(self) -> None:
        """One look at every holder."""
        wanted = list(self._wanted())
        for kept in (self.known, self._replicas):
            for uid in kept.keys() - self.keys.keys():
                del kept[uid]
        seen = {record.uid: await self._seen(record, spec, holder) for record, spec, holder in wanted}
        pending = await self._pending() if any(one.kind is HolderKind.KEDA_HTTP for _, _, one in wanted) else None
        for record, _, holder in wanted:
            found = seen[record.uid]
            if found is None:
                continue  # the API server did not answer: what was known grows old
            held = self._held(record.uid, holder, found[1], pending)
            before = self.known.get(record.uid)
            at = self.now()
            known_at = at if held is not None else before.known_at if before is not None else None
            self.known[record.uid] = Holding(at, found[0], held, known_at)

    def _wanted(self) -> Iterable[tuple[Custom, EndpointSpec, Holder]]:
        for key, record in tuple(self.records.items()):
            spec = self.spec_of(key)
            if spec is not None and spec.zero is not None and not record.deleting:
                yield record, spec, spec.zero.holder

    async def _seen(self, record: Custom, spec: EndpointSpec, holder: Holder) -> Seen | None:
        """None: nobody knows."""
        for path, words in source.paths(holder, record.namespace):
            try:
                body = await self.client.get(path)
            except ApiError as error:
                if error.status in {403, 404}:
                    if error.status == 403:
                        return f"the operator may not look at {words} {holder.name}: {error.message[:300]}", ()
                    continue
                return None
            except Unreachable:
                return None
            problem = source.problem_of(body, words, spec.target, record.key)
            if not problem and holder.kind is HolderKind.GATEWAY:
                return await self._ready(holder, holder.namespace or record.namespace)
            return problem, source.hosts_of(body)
        return source.missing(holder, record.namespace), ()

    async def _ready(self, holder: Holder, namespace: str) -> Seen | None:
        """A gateway without a ready pod holds nothing."""
        params = {"labelSelector": f"kubernetes.io/service-name={holder.name}"}
        try:
            listing = await self.client.get(_SLICES.format(namespace=namespace), params)
        except (ApiError, Unreachable):
            return None
        ready = source.has_ready(listing.get("items") or ())
        return ("" if ready else f"Service {holder.name} has no endpoint that is ready"), ()

    async def _pending(self) -> Mapping[str, float] | None:
        """What interceptors hold by host; None: nobody knows."""
        if self.engine is None:
            return None
        try:
            series = await self.engine.query(f"sum by (host) ({source.PENDING})")
        except PrometheusError as error:
            log.warning("what interceptors hold is not known: %s", error)
            return None
        found = {one.labels.get("host", ""): one.value for one in series if math.isfinite(one.value)}
        return found or None

    def _held(
        self, uid: str, holder: Holder, hosts: tuple[str, ...], pending: Mapping[str, float] | None
    ) -> float | None:
        """Requests that wait for an endpoint; a gateway tells by the annotation, or by the endpoint's own queries."""
        signals = self.signals_of(uid)
        own = [value_of(one) for one in (signals.waiting, signals.arrived)] if signals is not None else []
        known = [value for value in own if value is not None]
        if holder.kind is HolderKind.GATEWAY:
            return sum(known)
        if pending is None:
            return sum(known) if known else None
        return sum(known) + sum(count for host, count in pending.items() if not hosts or host in hosts)

    # --- deciding -----------------------------------------------------------------------------------------------------

    def demand_of(self, state: EndpointState, record: Custom) -> Demand | None:
        """The number that goes before every recommendation."""
        spec = state.spec
        if spec is None or spec.zero is None or not isinstance(state.target, Target):
            return None
        self._replicas[record.uid] = state.target.replicas, _scaled(state)
        return zero_or_wake(spec, self._situation(record, spec), pause_of(state.annotations), self.now())

    def _situation(self, record: Custom, spec: EndpointSpec) -> Situation:
        replicas, scaled = self._replicas[record.uid]
        pods = self.pods_of(record.namespace, spec.target)
        ready = [pod.ready_since for pod in pods if pod.ready_since is not None and pod.deleting is None]
        signals = self.signals_of(record.uid)
        window = open_window(spec.windows, self.now())[0]
        return Situation(
            replicas=replicas,
            holding=self.known.get(record.uid),
            advice=self.advice_of(record.key, spec),
            idle_since=self.quiet_of(record.uid).since,
            serving_since=max(ready, default=None),
            frozen="nothing was measured yet" if signals is None else signals.frozen,
            woken=_woken(record.annotations, self.now()),
            scaled=scaled,
            window_keeps=window is not None and bool(spec.windows[window.index].least),
        )

    def shown(self, record: Custom) -> Mapping[str, Any]:
        """Fields of `status`: what is wrong with the holder."""
        spec, known = self.spec_of(record.key), self.known.get(record.uid)
        if spec is None or spec.zero is None or known is None or not known.problem:
            return {}
        return {"coldStart": {"kept": known.problem[:1024]}}

    def asleep(self, uid: str) -> bool | None:
        """Of an endpoint without replicas: whether nobody asks; None: nobody knows, or it has some."""
        key = self.keys.get(uid)
        record = self.records.get(key) if key is not None else None
        spec = self.spec_of(record.key) if record is not None else None
        if record is None or spec is None or spec.zero is None or self._replicas.get(uid, (1, None))[0] != 0:
            return None
        return reason_to_wake(self._situation(record, spec), self.now()) is None


def _scaled(state: EndpointState) -> Instant | None:
    """When the number was changed last; the status as it was watched may lack a change of a moment ago."""
    text = state.status.get("lastScaleTime")
    known = [parse_rfc3339(str(text))] if text else []
    return max([*known, *(step.at for step in state.past.steps)], default=None)


def _woken(annotations: Mapping[str, str], now: Instant) -> Instant | None:
    """When somebody asked to be woken up; a time that cannot be read, or is to come, is now: rather once too often."""
    text = annotations.get(WAKE)
    if text is None:
        return None
    try:
        return min(parse_rfc3339(text) + SECOND, now)
    except ValueError:
        return now
