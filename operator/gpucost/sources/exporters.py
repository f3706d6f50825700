"""GPU exporters asked directly, for clusters that have no Prometheus.

dcgm-exporter and the node agent are found by their pods' labels, each is asked for /metrics every few seconds, and the
mean of what they said between two ticks goes the same way as an answer of Prometheus. Everything is bounded: how many
are asked, how many at once, for how long, and how much each may say. Beyond some two hundred nodes Prometheus is the
better tool.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from gpucost.core.clock import Instant
from gpucost.core.signals import METRICS
from gpucost.core.usage import SCRAPED_NODE, Sample
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable

log = logging.getLogger(__name__)

PORT = 9400
PORT_NAME = "metrics"

_TIMEOUT_SECONDS = 5.0
_AT_ONCE = 16
_MOST_BYTES = 8 * 1024 * 1024
_LOOK_AGAIN_SECONDS = 60.0
_STALE_SECONDS = 120.0
_STARTS = tuple(f"{name}{end}" for name in METRICS for end in "{ ")

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A metric and its sorted labels."""


class ExporterError(Exception):
    """An exporter did not answer with metrics; one line."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """An exporter; `node` is empty for one that was named in the settings, which may speak for every node."""

    node: str
    url: str
    namespace: str = ""
    pod: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod} on {self.node} ({self.url})" if self.pod else self.url


@dataclass
class ExporterSource:
    """Finds and asks exporters; `close()` it."""

    client: KubeClient
    selectors: tuple[str, ...] = ()
    """Label selectors, each asked for by itself; a pod that any of them selects is an exporter."""
    targets: tuple[str, ...] = ()
    """Further exporters by their URL."""
    namespaces: tuple[str, ...] = ()
    """Where exporters' pods may be; empty: anywhere."""
    most: int = 200
    last_success: Instant | None = None
    up: int = 0
    down: frozenset[Target] = frozenset()
    left_out: int = 0
    stale: int = 0
    """Samples whose own time stamp was too old, so far."""
    samples: int = 0
    name: str = "exporters"
    _found: list[Target] = field(default_factory=list)
    _looked: float | None = None
    _sums: dict[Series, list[float]] = field(default_factory=dict)
    _session: aiohttp.ClientSession | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def keep(self, period: float) -> None:
        """Ask every `period` seconds, for ever: more than one value makes a mean."""
        while True:
            await asyncio.sleep(period)
            await self.ask()

    async def read(self, now: Instant) -> Mapping[str, list[Sample]]:
        """Every series, averaged over what was heard since the last call; what is silent is missing."""
        await self.ask()
        sums, self._sums = self._sums, {}
        answers: dict[str, list[Sample]] = {name: [] for name in METRICS}
        for (metric, labels), (total, count) in sums.items():
            answers[metric].append(Sample(dict(labels), total / count))
        if sums:
            self.last_success = now
        return answers

    async def ask(self) -> None:
        """Ask every exporter once and add up what they say."""
        async with self._asking:
            targets = await self._targets()
            limit = asyncio.Semaphore(_AT_ONCE)
            answers = await asyncio.gather(*(self._ask(target, limit) for target in targets))
            for answer in answers:
                for series, value in answer or ():
                    entry = self._sums.setdefault(series, [0.0, 0])
                    entry[0] += value
                    entry[1] += 1
            self.up = sum(answer is not None for answer in answers)
            self.down = frozenset(t for t, answer in zip(targets, answers, strict=True) if answer is None)

    async def _ask(self, target: Target, limit: asyncio.Semaphore) -> list[tuple[Series, float]] | None:
        """What one exporter says; None when it cannot be understood, which is said once."""
        try:
            async with limit:
                text = await self._fetch(target.url)
            found = list(self._read(text, target))
        except ExporterError as error:
            if target not in self.down:
                log.warning("exporter %s: %s; its GPUs are unknown", target, error)
            return None
        if target in self.down:
            log.info("exporter %s answers again", target)
        self.samples += len(found)
        return found

    async def _fetch(self, url: str) -> str:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers={"User-Agent": "gpucost", "Accept": "text/plain"})
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        try:
            async with self._session.get(url, timeout=timeout, allow_redirects=False) as response:
                if response.status != 200:
                    raise ExporterError(f"answers {response.status}")
                return (await _bounded(response)).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ExporterError(str(error) or "no answer in time") from None

    def _read(self, text: str, target: Target) -> Iterator[tuple[Series, float]]:
        oldest = time.time() - _STALE_SECONDS
        for metric, labels, value, stamp in parse(text):
            if stamp is not None and stamp < oldest:
                self.stale += 1
                continue
            own = {"instance": target.url, **({SCRAPED_NODE: target.node} if target.node else {})}
            yield (metric, tuple(sorted({**labels, **own}.items()))), value

    # --- finding ------------------------------------------------------------------------------------------------------

    async def _targets(self) -> list[Target]:
        clock = time.monotonic()
        if self.selectors and (self._looked is None or clock - self._looked > _LOOK_AGAIN_SECONDS):
            self._looked = clock
            try:
                self._found = await self._find()
            except (ApiError, Unreachable) as error:
                log.warning("GPU exporters cannot be looked for: %s", error)
        return [*(Target("", url) for url in self.targets), *self._found]

    async def _find(self) -> list[Target]:
        found: set[Target] = set()
        for selector in self.selectors:
            query = {"labelSelector": selector, "fieldSelector": "status.phase=Running", "resourceVersion": "0"}
            answer = await self.client.get(paths.PODS, query)
            found.update(target for body in answer.get("items") or () if (target := target_of(body)) is not None)
        allowed = sorted(t for t in found if not self.namespaces or t.namespace in self.namespaces)
        left_out = max(0, len(allowed) - self.most)
        if left_out and not self.left_out:
            log.warning(
                "%d GPU exporters are too many to ask directly, %d are left out and their GPUs unknown: "
                "set GPUCOST_PROMETHEUS_URL",
                len(allowed),
                left_out,
            )
        self.left_out = left_out
        return allowed[: self.most]


def target_of(body: Mapping[str, Any]) -> Target | None:
    """Where the exporter of a pod listens; None while the pod has no address."""
    metadata, spec, address = body["metadata"], body["spec"], (body.get("status") or {}).get("podIP")
    if not address:
        return None
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{_port(spec.get('containers') or ())}/metrics"
    return Target(spec.get("nodeName") or "", url, metadata["namespace"], metadata["name"])


def _port(containers: Iterable[Mapping[str, Any]]) -> int:
    """The port named `metrics`, else the one that dcgm-exporter uses."""
    ports = [port for container in containers for port in container.get("ports") or ()]
    return next((int(port["containerPort"]) for port in ports if port.get("name") == PORT_NAME), PORT)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > _MOST_BYTES:
            raise ExporterError(f"says more than {_MOST_BYTES // 1024**2} MiB")
    return bytes(body)


def parse(text: str) -> list[tuple[str, dict[str, str], float, float | None]]:
    """Samples of GPU metrics in the text format: name, labels, value, time stamp in seconds.

    Lines of other metrics, and of GPUs that no pod holds, are passed over unread: most of what an exporter says. Raises
    `ExporterError` for text that is not in the format.
    """
    wanted = [line for line in text.splitlines() if line.startswith(_STARTS) and 'pod="' in line]
    try:
        families = list(text_string_to_metric_families("\n".join(wanted) + "\n"))
    except (ValueError, IndexError, KeyError) as error:
        raise ExporterError(f"not in Prometheus' text format: {str(error)[:200]}") from None
    samples = [sample for family in families for sample in family.samples]
    return [(s.name, s.labels, float(s.value), _seconds(s.timestamp)) for s in samples]


def _seconds(stamp: Any) -> float | None:
    return None if stamp is None else float(stamp)
