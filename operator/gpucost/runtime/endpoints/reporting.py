"""The status of InferenceEndpoints: written by the worker that has decided, when it says something new.

Figures that move all the time (costs, latencies, the words of a recommendation) are no news by themselves: they are
written with the next news, or when the pass over all costs finds a write worth its place in the common budget.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.actions import Condition
from gpucost.core.clock import Instant
from gpucost.core.model import Key
from gpucost.core.serving.spec import INFERENCE_ENDPOINT
from gpucost.effects.status import conditions_json, write_status
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.metrics import Figures
from gpucost.runtime.world import Custom

log = logging.getLogger(__name__)

_FLOWING = frozenset({"cost", "slo", "capacity", "coldStart", "readyTimeP95Seconds", "advice", "savings"})
_FLOWING_WORDS = frozenset({"message", "savingPerHour", "asOf", "confidence"})
_FIRST_PRICE = "perRequest"
"""Of the costs, that a request has a price at all is news."""
_WRITE_SECONDS = 15.0

Part = Callable[[Custom], Mapping[str, Any]]


@dataclass
class StatusWriter:
    """Writes statuses."""

    client: KubeClient
    figures: Figures
    now: Callable[[], Instant]
    mark: Callable[[Key], None]
    """Have an endpoint looked at."""
    cost_of: Callable[[Custom], Mapping[str, Any] | None] = lambda _record: None
    """`status.cost` of an endpoint as of now; None: nothing is known yet."""
    parts: list[Part] = field(default_factory=list)
    """Further fields of the status, each from one part of the operator; a mapping is merged into one of that name."""
    due: set[Key] = field(default_factory=set)
    """Endpoints whose cost is worth a write."""

    async def publish_cost(self, record: Custom) -> bool:
        """Have the status written with the cost as of now, by the worker that takes the key next."""
        self.due.add(record.key)
        self.mark(record.key)
        return True

    def forget(self, key: Key) -> None:
        """The endpoint is gone."""
        self.due.discard(key)

    def status_of(self, record: Custom, status: Mapping[str, Any], conditions: Iterable[Condition]) -> dict[str, Any]:
        """The whole status as it should be stored."""
        stored = record.status.get("conditions") or ()
        shown = conditions_json(conditions, stored, generation=record.generation, now=self.now())
        found: dict[str, Any] = {"observedGeneration": record.generation, **status, "conditions": shown}
        cost = self.cost_of(record)
        if cost is not None:
            found["cost"] = dict(cost)
        for part in self.parts:
            for name, value in part(record).items():
                old = found.get(name)
                found[name] = {**old, **value} if isinstance(old, Mapping) and isinstance(value, Mapping) else value
        return found

    async def write(self, record: Custom, status: Mapping[str, Any], conditions: Iterable[Condition]) -> bool:
        """Write the status when it says something new; whether it was written."""
        new = self.status_of(record, status, conditions)
        if _essence(new) == _essence(record.status) and record.key not in self.due:
            return False
        metadata = {"name": record.name, "namespace": record.namespace, "uid": record.uid}
        path = paths.inferenceendpoint(record.namespace, record.name)
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await write_status(self.client, path=path, kind=INFERENCE_ENDPOINT, metadata=metadata, status=new)
        except (ApiError, Unreachable, TimeoutError) as error:
            if not (isinstance(error, ApiError) and error.status in {404, 409}):
                log.warning("%s: status not written: %s", record.key, error or "no answer in time")
                self.figures.errors["status"] += 1
            return False
        self.due.discard(record.key)
        return True


def _essence(status: Mapping[str, Any]) -> dict[str, Any]:
    """A status without what changes all the time."""
    found = {name: value for name, value in status.items() if name not in _FLOWING}
    if isinstance(told := found.get("recommendation"), Mapping):
        found["recommendation"] = {name: value for name, value in told.items() if name not in _FLOWING_WORDS}
    found["isPriced"] = _FIRST_PRICE in (status.get("cost") or {})
    if isinstance(cold := status.get("coldStart"), Mapping) and cold.get("kept"):
        found["kept"] = cold["kept"]
    conditions = found.get("conditions") or ()
    found["conditions"] = [
        {name: value for name, value in one.items() if name != "message" or one.get("type") == "Ready"}
        for one in conditions
    ]
    return found
