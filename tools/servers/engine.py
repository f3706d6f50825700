"""A SIMULATION of one replica of vLLM: continuous batching with a queue in front, told under vLLM's metric names.

A request waits for a place in the batch, is read (prefill), and then written token by token; the more requests share
the batch, the longer each token takes. So throughput rises with concurrency up to a limit, and beyond it requests wait,
which is what right-sizing has to find out from the metrics alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LABELS = ("namespace", "pod", "model_name", "engine", "tenant")
"""The last one is empty, which is the same as absent, but for requests that say who asks: a gateway may add it."""
FIRST_TOKEN_BOUNDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
BETWEEN_BOUNDS = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0),
)
REQUEST_BOUNDS = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0),
    *(40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
_CHUNK = 8
"""Tokens that are written at a time: fewer would only cost this machine's time."""


@dataclass(frozen=True)
class Hardware:
    """What one replica can do."""

    places: int = 8
    """Requests in the batch at most (`max_num_seqs`)."""
    prefill_rate: float = 20_000.0
    """Prompt tokens a second."""
    token_seconds: float = 0.004
    """Time between two tokens of a request that is alone."""
    crowding: float = 1.0
    """How much longer that takes with a full batch, as a part of it."""

    def between_tokens(self, running: int) -> float:
        """Seconds from token to token with so many requests in the batch."""
        return self.token_seconds * (1 + self.crowding * (running - 1) / max(self.places - 1, 1))


class Metrics:
    """vLLM's metrics of several replicas; a real one has its own, and Prometheus adds the pod."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        gauge, counter = self._gauge, self._counter
        self.running = gauge("num_requests_running", "Number of requests in model execution batches.")
        self.waiting = gauge("num_requests_waiting", "Number of requests waiting to be processed.")
        self.kv_cache = gauge("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.")
        self.kv_cache_before = gauge("gpu_cache_usage_perc", "GPU KV-cache usage. 1 means 100 percent usage.")
        self.prompt_tokens = counter("prompt_tokens", "Number of prefill tokens processed.")
        self.generation_tokens = counter("generation_tokens", "Number of generation tokens processed.")
        self.cache_queries = counter("prefix_cache_queries", "Prefix cache queries, in terms of number of tokens.")
        self.cache_hits = counter("prefix_cache_hits", "Prefix cache hits, in terms of number of cached tokens.")
        self.success = Counter(
            "vllm:request_success",
            "Count of successfully processed requests.",
            (*LABELS, "finished_reason"),
            registry=self.registry,
        )
        self.first_token = self._histogram("time_to_first_token_seconds", FIRST_TOKEN_BOUNDS)
        self.between_tokens = self._histogram("inter_token_latency_seconds", BETWEEN_BOUNDS)
        self.queue_time = self._histogram("request_queue_time_seconds", REQUEST_BOUNDS)
        self.prefill_time = self._histogram("request_prefill_time_seconds", REQUEST_BOUNDS)
        self.decode_time = self._histogram("request_decode_time_seconds", REQUEST_BOUNDS)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"vllm:{name}", text, LABELS, registry=self.registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"vllm:{name}", text, LABELS, registry=self.registry)

    def _histogram(self, name: str, bounds: tuple[float, ...]) -> Histogram:
        return Histogram(f"vllm:{name}", f"Histogram of {name}.", LABELS, registry=self.registry, buckets=bounds)

    def all(self) -> Iterator[Gauge | Counter | Histogram]:
        """Every metric."""
        yield from (one for one in vars(self).values() if isinstance(one, Gauge | Counter | Histogram))


@dataclass
class Engine:
    """One replica, named as its pod."""

    namespace: str
    pod: str
    model: str
    hardware: Hardware
    metrics: Metrics
    has_old_names: bool = False
    """Whether it tells its KV cache as older versions did."""
    running: int = 0
    waiting: int = 0
    _places: asyncio.Semaphore = field(init=False)
    _own: tuple[str, ...] = field(init=False)
    _labels: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.hardware.places)
        self._own = (self.namespace, self.pod, self.model, "0")
        self._labels = (*self._own, "")
        for metric in self.metrics.all():  # as vLLM does: everything is there from the start, at zero
            if metric is self.metrics.success:
                for reason in ("stop", "length", "abort", "error", "repetition"):
                    metric.labels(*self._labels, reason)
            elif metric is not (self.metrics.kv_cache if self.has_old_names else self.metrics.kv_cache_before):
                metric.labels(*self._labels)

    @property
    def load(self) -> int:
        """Requests that are there."""
        return self.running + self.waiting

    def forget(self) -> None:
        """Take its series away: the pod is gone."""
        for metric in self.metrics.all():
            metric.remove_by_labels(dict(zip(LABELS, self._own, strict=False)))

    async def answer(self, prompt_tokens: int, max_tokens: int, tenant: str = "") -> AsyncGenerator[int, None]:
        """Tokens as they come; the caller waits between them."""
        begun, labels = time.monotonic(), (*self._own, tenant)
        async with self._place():
            waited = time.monotonic() - begun
            await asyncio.sleep(prompt_tokens / self.hardware.prefill_rate)
            read = time.monotonic() - begun
            self.metrics.first_token.labels(*labels).observe(read)
            self._count_prompt(labels, prompt_tokens)
            written = 0
            while written < max_tokens:
                chunk = min(_CHUNK, max_tokens - written)
                step = self.hardware.between_tokens(self.running)
                await asyncio.sleep(step * chunk)
                between = self.metrics.between_tokens.labels(*labels)
                for _ in range(chunk if written else chunk - 1):  # before a request's first token there is none
                    between.observe(step)
                written += chunk
                self.metrics.generation_tokens.labels(*labels).inc(chunk)
                yield chunk
            # As vLLM does: times are told at the end, and of a request whose client has gone away there is none.
            self.metrics.queue_time.labels(*labels).observe(waited)
            self.metrics.prefill_time.labels(*labels).observe(read - waited)
            self.metrics.decode_time.labels(*labels).observe(time.monotonic() - begun - read)
            self.metrics.success.labels(*labels, "length").inc()

    def _count_prompt(self, labels: tuple[str, ...], tokens: int) -> None:
        self.metrics.prompt_tokens.labels(*labels).inc(tokens)
        self.metrics.cache_queries.labels(*labels).inc(tokens)
        self.metrics.cache_hits.labels(*labels).inc(tokens // 4)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        self.waiting += 1
        self._tell()
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        self._tell()
        try:
            yield
        finally:
            self.running -= 1
            self._places.release()
            self._tell()

    def _tell(self) -> None:
        cache = self.metrics.kv_cache_before if self.has_old_names else self.metrics.kv_cache
        cache.labels(*self._labels).set(min(self.running / self.hardware.places * 0.9, 1.0))
        self.metrics.running.labels(*self._labels).set(self.running)
        self.metrics.waiting.labels(*self._labels).set(self.waiting)
