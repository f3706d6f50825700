"""Puts together what asks for the metrics of runs: queries, logs and last words."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from gpucost.core.clock import SECOND
from gpucost.kube.client import KubeClient
from gpucost.runtime.feeds import DoubtBoard, Subjects
from gpucost.runtime.log_feed import LogFeed
from gpucost.runtime.metrics import Figures
from gpucost.runtime.progress import RunHistories
from gpucost.runtime.query_feed import QueryFeed
from gpucost.runtime.settings import Settings
from gpucost.sources.promql import PromQL


def feeds_of(
    settings: Settings,
    histories: RunHistories,
    board: DoubtBoard,
    figures: Figures,
    *,
    client: KubeClient,
    engine: PromQL | None,
) -> tuple[Coroutine[Any, Any, None], ...]:
    """Tasks that go on until they are cancelled."""
    subjects, every, now = Subjects(histories.world), round(settings.metrics_seconds * SECOND), histories.now
    queries = QueryFeed(subjects, histories, board, figures, now, engine, every, allowed=settings.metrics_queries)
    return queries.keep(), LogFeed(subjects, histories, board, figures, client, now, every).keep()
