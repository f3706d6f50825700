"""GPU utilisation from any engine that speaks PromQL, one bulk query per metric and tick.

The average over the sampling window is asked for, not the last value: it describes the whole tick, and a series without
a fresh sample is absent from the answer instead of being repeated for five minutes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from gpucost.core.clock import Instant
from gpucost.core.usage import SCALE, Sample

if TYPE_CHECKING:
    from prometheus_api_client import PrometheusConnect

log = logging.getLogger(__name__)

T = TypeVar("T")

_TIMEOUT_SECONDS = 10


class PrometheusError(Exception):
    """The engine did not answer, or not with data; one line."""


@dataclass
class UtilisationSource:
    """Reads GPU series; `url` is the engine's base URL, `window` the averaging window in seconds."""

    url: str
    window: int = 60
    headers: Mapping[str, str] = field(default_factory=dict)
    verify_tls: bool = True
    queries: int = 0
    samples: int = 0
    last_success: Instant | None = None
    _connection: PrometheusConnect | None = None

    async def read(self, now: Instant) -> Mapping[str, list[Sample]]:
        """All series of every metric, averaged over the window that ends now.

        Raises `PrometheusError` when any metric could not be read: half an answer would look like silence of the rest.
        """
        answers = {}
        for metric in SCALE:
            answers[metric] = await _apart(partial(self._query, f"avg_over_time({metric}[{self.window}s])"))
            self.samples += len(answers[metric])
        if any(answers.values()):
            self.last_success = now
        return answers

    def _connect(self) -> PrometheusConnect:
        if self._connection is None:
            from prometheus_api_client import PrometheusConnect  # noqa: PLC0415  (slow to import, not always needed)

            self._connection = PrometheusConnect(
                url=self.url.rstrip("/"),
                headers=dict(self.headers),
                disable_ssl=not self.verify_tls,
                timeout=_TIMEOUT_SECONDS,
            )
        return self._connection

    def _query(self, promql: str) -> list[Sample]:
        import requests  # noqa: PLC0415
        from prometheus_api_client.exceptions import PrometheusApiClientException  # noqa: PLC0415

        self.queries += 1
        try:
            result = self._connect().custom_query(promql)
        except (PrometheusApiClientException, requests.RequestException, ValueError, KeyError) as error:
            raise PrometheusError(f"{self.url}: {_first_line(error)}") from None
        return [sample for series in result if (sample := _sample(series)) is not None]


async def _apart(work: Callable[[], T]) -> T:
    """Run something that blocks in a thread of its own that nobody waits for when the process ends.

    The threads of asyncio are joined at the end: an engine that hangs would keep the operator from stopping in time.
    """
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()
    Thread(target=_carry_out, args=(work, done), name="prometheus", daemon=True).start()
    return await asyncio.wrap_future(done)


def _carry_out(work: Callable[[], T], done: Future[T]) -> None:
    try:
        done.set_result(work())
    except PrometheusError as error:
        done.set_exception(error)
    finally:
        if not done.done():
            done.set_exception(PrometheusError("the query broke off; the log has the reason"))


def _sample(series: Any) -> Sample | None:
    try:
        return Sample(series["metric"], float(series["value"][1]))
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]
