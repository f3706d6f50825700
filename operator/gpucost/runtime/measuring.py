"""Which sources measure, by the settings: Prometheus, exporters asked directly, the metrics server."""

from __future__ import annotations

import time
from collections.abc import Callable

from gpucost.core.clock import SECOND, Instant
from gpucost.kube.client import KubeClient
from gpucost.runtime.caches import Caches
from gpucost.runtime.metrics import Figures
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.sampling import Sampling, Source
from gpucost.runtime.settings import Settings
from gpucost.sources.exporters import ExporterSource
from gpucost.sources.metrics_server import MetricsServerSource
from gpucost.sources.prometheus import UseSource, UtilisationSource
from gpucost.sources.promql import PromQL


def engine_of(settings: Settings) -> PromQL | None:
    """The connection to Prometheus, shared by everyone who asks it; None where there is none."""
    return PromQL(settings.prometheus_url) if settings.prometheus_url else None


def sampling_of(
    settings: Settings,
    *,
    client: KubeClient,
    caches: Caches,
    recorder: Recorder,
    figures: Figures,
    now: Callable[[], Instant],
    engine: PromQL | None,
) -> Sampling:
    """Everything that is asked once a tick."""
    window = settings.prometheus_window_seconds
    exporters = _exporters(settings, client)
    gpus: list[Source] = [UtilisationSource(engine, window)] if engine is not None else []
    use: list[Source] = [UseSource(engine, window)] if engine is not None else []
    if exporters is not None:
        gpus.append(exporters)
    return Sampling(
        pods=caches.pods.items,
        recorder=recorder,
        figures=figures,
        now=now,
        monotonic=lambda: time.monotonic_ns() // 1000,
        gpus=gpus,
        use=[*use, MetricsServerSource(client)] if settings.pod_use == "auto" else [],
        window=window * SECOND,
        longest=max(10 * window, 20 * int(settings.tick_seconds)) * SECOND,
        engine=engine,
        exporters=exporters,
    )


def _exporters(settings: Settings, client: KubeClient) -> ExporterSource | None:
    if settings.scrape == "never" or (settings.scrape == "auto" and settings.prometheus_url):
        return None
    return ExporterSource(
        client,
        selectors=settings.scrape_selector_list,
        targets=settings.scrape_target_list,
        namespaces=settings.scrape_namespace_list,
        most=settings.scrape_most,
    )
