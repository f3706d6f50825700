"""CPU and memory use of pods from the resource metrics API, for clusters that have no Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gpucost.core.clock import MINUTE, SECOND, Instant, parse_duration, parse_rfc3339
from gpucost.core.needs import CPU, MEMORY, SINCE
from gpucost.core.quantity import parse_quantity
from gpucost.core.usage import Sample
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable

PATH = "/apis/metrics.k8s.io/v1beta1/pods"

_PATIENCE_SECONDS = 8.0
_PAUSE = 5 * MINUTE
_STALE = 3 * MINUTE


class NoMetricsServer(Exception):
    """The API did not answer with data; one line."""


@dataclass
class MetricsServerSource:
    """Reads all pods in one request; where the API is missing it is asked again after five minutes only."""

    client: KubeClient
    last_success: Instant | None = None
    name: str = "metrics server"
    _not_before: Instant = 0

    async def read(self, now: Instant) -> Mapping[str, list[Sample]]:
        """One series for each pod, nothing during a pause; raises `NoMetricsServer`, which begins one."""
        if now < self._not_before <= now + _PAUSE:
            return {}
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                answer = await self.client.get(PATH)
        except (ApiError, Unreachable, TimeoutError) as error:
            self._not_before = now + _PAUSE
            raise NoMetricsServer(f"{PATH}: {error or 'no answer in time'}") from None
        found: dict[str, list[Sample]] = {CPU: [], MEMORY: []}
        for item in answer.get("items") or ():
            for name, sample in _samples(item, now):
                found[name].append(sample)
        if found[CPU]:
            self.last_success = now
        return found


def _samples(item: Mapping[str, Any], now: Instant) -> Iterator[tuple[str, Sample]]:
    """The sums over a pod's containers; nothing of one that is stale or cannot be read."""
    try:
        metadata = item["metadata"]
        at = parse_rfc3339(item["timestamp"])
        begun = at - parse_duration(str(item.get("window") or "30s"))
        usages = [container["usage"] for container in item["containers"]]
        cores = float(sum(parse_quantity(usage["cpu"]) for usage in usages))
        memory = float(sum(parse_quantity(usage["memory"]) for usage in usages))
        labels = {"namespace": metadata["namespace"], "pod": metadata["name"], SINCE: str(begun // SECOND)}
    except (KeyError, TypeError, ValueError):
        return
    if now - at <= _STALE:
        yield CPU, Sample(labels, cores)
        yield MEMORY, Sample(labels, memory)
