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
from gpucost.core.serving.signals.model import Availability, Signals, Stale, Unusable, value_of
from gpucost.core.serving.spec import EndpointSpec, Holder, HolderKind, Runtime, TargetRef
from gpucost.core.serving.state import Demand, EndpointState, ScaleTarget, Target
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
"""What is wrong with a holder, and what the interceptor calls its routes."""


@dataclass
class Holders:
    """What is known of each endpoint's holder, by UID."""

    client: KubeClient
    now: Callable[[], Instant]
    records: Mapping[Key, Custom]
    spec_of: Callable[[Key], EndpointSpec | None]
    keys: Mapping[str, Key]
    """Of the endpoints that exist, by UID."""
    advice_of: Callable[[str, str, EndpointSpec], Advice]
    """By namespace, UID and specification."""
    quiet_of: Callable[[str], QuietTimes]
    signals_of: Callable[[str], Signals | None]
    pods_of: Callable[[str, TargetRef], Sequence[Pod]]
    """Pods of a workload that have not ended."""
    figures: Figures
    engine: PromQL | None = None
    known: dict[str, Holding] = field(default_factory=dict)
    _replicas: dict[str, tuple[int, Instant | None]] = field(default_factory=dict)
    """Replicas when an endpoint was decided about last, and when the number was changed last."""
    _begun: dict[str, Instant] = field(default_factory=dict)
    """Since when this process has wanted to know of an endpoint's holder."""
    _answers: dict[tuple[str, tuple[tuple[str, str], ...]], Mapping[str, Any] | ApiError | Unreachable] = field(
        default_factory=dict
    )
    """Of the API server in this pass."""

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
        for kept in (self.known, self._replicas, self._begun):
            for uid in kept.keys() - self.keys.keys():
                del kept[uid]
        self._answers.clear()
        seen = {record.uid: await self._seen(record, spec, holder) for record, spec, holder in wanted}
        pending = await self._pending() if any(one.kind is HolderKind.KEDA_HTTP for _, _, one in wanted) else None
        for record, spec, holder in wanted:
            found = seen[record.uid]
            if found is None:
                continue  # the API server did not answer: what was known grows old
            held = self._held(record.uid, spec, found[1], pending if holder.kind is HolderKind.KEDA_HTTP else {})
            before = self.known.get(record.uid)
            at = self.now()
            # A process that has begun a moment ago has not been in doubt for long.
            known_at = at if held is not None or before is None else before.known_at
            self.known[record.uid] = Holding(at, found[0], held, known_at)

    def _wanted(self) -> Iterable[tuple[Custom, EndpointSpec, Holder]]:
        for key, record in tuple(self.records.items()):
            spec = self.spec_of(key)
            if spec is not None and spec.zero is not None and not record.deleting:
                yield record, spec, spec.zero.holder

    async def _seen(self, record: Custom, spec: EndpointSpec, holder: Holder) -> Seen | None:
        """None: nobody knows. An object of a form that nobody expects is its endpoint's trouble alone."""
        try:
            return await self._looked_at(record, spec, holder)
        except Exception:
            log.exception("%s: its holder %s could not be looked at", record.key, holder.name)
            self.figures.errors["holders"] += 1
            return None

    async def _looked_at(self, record: Custom, spec: EndpointSpec, holder: Holder) -> Seen | None:
        for path, words in source.paths(holder, record.namespace):
            try:
                body = await self._get(path)
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
            return problem, source.routes_of(body)
        return source.missing(holder, record.namespace), ()

    async def _get(self, path: str, params: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Ask the API server once in a pass, however many endpoints have one holder."""
        question = path, tuple((params or {}).items())
        if question not in self._answers:
            try:
                self._answers[question] = await self.client.get(path, params)
            except (ApiError, Unreachable) as error:
                self._answers[question] = error
        found = self._answers[question]
        if isinstance(found, Exception):
            raise found
        return found

    async def _ready(self, holder: Holder, namespace: str) -> Seen | None:
        """A gateway without a ready pod holds nothing."""
        params = {"labelSelector": f"kubernetes.io/service-name={holder.name}"}
        try:
            listing = await self._get(_SLICES.format(namespace=namespace), params)
        except (ApiError, Unreachable):
            return None
        ready = source.has_ready(listing.get("items") or ())
        return ("" if ready else f"Service {holder.name} has no endpoint that is ready"), ()

    async def _pending(self) -> Mapping[str, float] | None:
        """What interceptors hold by route; None: nobody knows."""
        if self.engine is None:
            return None
        try:
            series = await self.engine.query(source.PENDING)
        except PrometheusError as error:
            log.warning("what interceptors hold is not known: %s", error)
            return None
        found: dict[str, float] = {}
        for labels, value in series:
            if math.isfinite(value):
                route = source.route_told(labels)
                found[route] = found.get(route, 0.0) + value
        return found or None

    def _held(
        self, uid: str, spec: EndpointSpec, routes: tuple[str, ...], pending: Mapping[str, float] | None
    ) -> float | None:
        """Requests that wait for an endpoint; a gateway tells by the annotation, or by the endpoint's own queries."""
        signals = self.signals_of(uid)
        own = (signals.waiting, signals.arrived) if signals is not None else ()
        known = [value for one in own if (value := value_of(one)) is not None]
        if pending is None:
            return sum(known) if known else None
        # Own queries that fail do not say that nobody waits; without series they do, while there are no pods.
        is_blind = signals is None or signals.availability is Availability.SOURCE_ERROR
        if spec.runtime is Runtime.CUSTOM and (is_blind or any(isinstance(one, Unusable | Stale) for one in own)):
            return None
        return sum(known) + sum(count for route, count in pending.items() if route in routes or not route)

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
        ready = [pod.serving_since for pod in pods if pod.serving_since is not None]
        signals = self.signals_of(record.uid)
        window = open_window(spec.windows, self.now())[0]
        begun = self._begun.setdefault(record.uid, self.now())
        return Situation(
            replicas=replicas,
            holding=self.known.get(record.uid) or Holding(begun, known_at=begun),
            advice=self.advice_of(record.namespace, record.uid, spec),
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

    def scaled(self, record: Custom, action: ScaleTarget) -> None:
        """The number was changed a moment ago."""
        if record.uid in self._replicas:
            self._replicas[record.uid] = action.replicas, self.now()

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
