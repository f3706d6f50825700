"""A PromQL engine (Prometheus, Thanos, Mimir, VictoriaMetrics) as several sources ask it: few queries, each counted.

Utilisation, exported prices and history all need the same three things: a query that blocks must not keep the process
from ending, an answer that cannot be read must be one clear error, and the load that we cause must be known.
Values are handed on as they come, `NaN` and infinity included: what is absurd is for the core to say.
"""

from __future__ import annotations

import ast
import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from gpucost.core.clock import SECOND, Instant, Micros
from gpucost.core.usage import Sample

if TYPE_CHECKING:
    from prometheus_api_client import PrometheusConnect

T = TypeVar("T")

_TIMEOUT_SECONDS = 10
_BUSY = (429, 502, 503, 504)
"""Answers after which the same question may be put again at once; a query that timed out is not repeated."""
_UNAVAILABLE = 503
_REFUSED = re.compile(r"HTTP Status Code (?P<status>\d+) \((?P<body>b['\"].*)\)", re.DOTALL)
_USER = re.compile(r"//[^/@]*@")
_NOT_TOLD = re.compile(r" with url: \S+|<[^<>]* object at 0x[0-9a-f]+>: ")
"""Of the client's errors: the whole request, with queries of several users, and addresses in memory."""
_POINTS = 10_000
"""Engines refuse more than 11,000 points a series; a longer range is asked for in pieces."""


class PrometheusError(Exception):
    """The engine did not answer, or not with data; one line."""

    def __init__(self, message: str, *, status: int | None = None, detail: str = "", timed_out: bool = False) -> None:
        """`status` is the HTTP status of a refusal, and `detail` what the engine says is wrong with the query."""
        super().__init__(message)
        self.status, self.detail, self.timed_out = status, detail, timed_out

    @property
    def blames_the_query(self) -> bool:
        """Whether the query itself is wrong, or asks for more than the engine gives."""
        return self.status in {400, 422}

    @property
    def may_be_of_some(self) -> bool:
        """Whether the engine is there, and might answer a question about less."""
        return self.status is not None and (self.blames_the_query or self.timed_out)


Series = Sample
"""One series of an answer, with its value at the instant asked for."""


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """One series over a range: instants and values, the oldest first."""

    labels: Mapping[str, str]
    samples: tuple[tuple[Instant, float], ...]


@dataclass
class PromQL:
    """One engine; `url` is its base URL, without `/api/v1`."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    verify_tls: bool = True
    timeout: float = _TIMEOUT_SECONDS
    """Seconds that one query may take."""
    queries: int = 0
    samples: int = 0
    """Values read so far: what a query costs the engine, more or less."""
    _connection: PrometheusConnect | None = None
    _connecting: Lock = field(default_factory=Lock)

    @property
    def shown(self) -> str:
        """The URL without a user and a password: errors are logged, and told to users."""
        return _USER.sub("//", self.url)

    async def query(self, promql: str, at: Instant | None = None) -> list[Series]:
        """The value of every series now, or at an instant; `PrometheusError` when there is no answer."""
        result = await self._ask(lambda connection: connection.custom_query(promql, params=_at(at)))
        found = _all_series(result)
        self.samples += len(found)
        return found

    async def query_range(self, promql: str, start: Instant, end: Instant, step: Micros) -> list[RangeSeries]:
        """Values at `start`, `start + step` and so on to `end` at most; `PrometheusError` when there is no answer.

        Times are cut to whole seconds, which is what engines and their client take.
        """
        merged: dict[tuple[tuple[str, str], ...], RangeSeries] = {}
        for first, last in _pieces(start, end, step):
            for one in await self._ask(partial(_over, promql=promql, start=first, end=last, step=step)):
                series = _range_series(one)
                if series is None:
                    continue
                self.samples += len(series.samples)
                key = tuple(sorted(series.labels.items()))
                before = merged[key].samples if key in merged else ()
                merged[key] = RangeSeries(series.labels, before + series.samples)
        return list(merged.values())

    async def query_raw(self, selector: str, at: Instant) -> list[RangeSeries]:
        """The samples themselves that a range selector such as `up[1h]` holds, with their own times."""
        result = await self._ask(lambda connection: connection.custom_query(selector, params=_at(at)))
        found = [series for one in result if (series := _range_series(one)) is not None]
        self.samples += sum(len(series.samples) for series in found)
        return found

    async def _ask(self, question: Callable[[PrometheusConnect], Any]) -> Sequence[Any]:
        answer: Sequence[Any] = await _apart(partial(self._answer, question))
        return answer

    def _answer(self, question: Callable[[PrometheusConnect], Any]) -> Sequence[Any]:
        import requests  # noqa: PLC0415
        from prometheus_api_client.exceptions import PrometheusApiClientException  # noqa: PLC0415

        self.queries += 1
        try:
            result = question(self._connect())
        except PrometheusApiClientException as error:
            raise _refusal(self.shown, error) from None
        except requests.Timeout as error:
            raise PrometheusError(f"{self.shown}: {_first_line(error)}", timed_out=True) from None
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise PrometheusError(f"{self.shown}: {_first_line(error)}") from None
        if not isinstance(result, list):
            raise PrometheusError(f"{self.shown}: the answer is no list of series; is this the URL of a PromQL engine?")
        return result

    def _connect(self) -> PrometheusConnect:
        with self._connecting:
            if self._connection is None:
                from prometheus_api_client import PrometheusConnect  # noqa: PLC0415  (slow to import, not always used)
                from urllib3.util import Retry  # noqa: PLC0415

                self._connection = PrometheusConnect(
                    url=self.url.rstrip("/"),
                    headers=dict(self.headers),
                    disable_ssl=not self.verify_tls,
                    timeout=self.timeout,
                    retry=Retry(total=2, read=0, backoff_factor=0.1, status_forcelist=_BUSY, raise_on_status=False),
                )
            return self._connection


def _at(at: Instant | None) -> dict[str, str]:
    return {} if at is None else {"time": f"{at / SECOND:.3f}"}


def _over(connection: PrometheusConnect, *, promql: str, start: Instant, end: Instant, step: Micros) -> Any:
    return connection.custom_query_range(promql, _moment(start), _moment(end), f"{max(step // SECOND, 1)}s")


def _moment(instant: Instant) -> datetime:
    return datetime.fromtimestamp(instant // SECOND, UTC)


def _pieces(start: Instant, end: Instant, step: Micros) -> Iterator[tuple[Instant, Instant]]:
    """Spans of at most `_POINTS` steps, none of which shares a point with the next."""
    step = max(step // SECOND, 1) * SECOND
    while start <= end:
        last = min(end, start + (_POINTS - 1) * step)
        yield start, last
        start = last + step


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


def _all_series(result: Sequence[Any]) -> list[Series]:
    """Those of an answer that can be read: as a rule all, which is quicker without looking at each."""
    try:
        return [Series(one["metric"], float(one["value"][1])) for one in result]
    except (KeyError, IndexError, TypeError, ValueError):
        return [series for one in result if (series := _series(one)) is not None]


def _series(one: Any) -> Series | None:
    try:
        return Series(one["metric"], float(one["value"][1]))
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def _range_series(one: Any) -> RangeSeries | None:
    try:
        values = tuple((round(float(at) * SECOND), float(value)) for at, value in one["values"])
        return RangeSeries(one["metric"], values)
    except (KeyError, TypeError, ValueError):
        return None


def _refusal(url: str, error: Exception) -> PrometheusError:
    """The client's error is a sentence with the status and the body as Python writes bytes."""
    match = _REFUSED.fullmatch(str(error))
    status = int(match["status"]) if match else None
    detail = ""
    with suppress(ValueError, SyntaxError, AttributeError):
        detail = str(json.loads(ast.literal_eval(match["body"]))["error"]) if match else ""
    timed_out = status == _UNAVAILABLE and "timed out" in detail
    return PrometheusError(f"{url}: {_first_line(error)}", status=status, detail=detail[:300], timed_out=timed_out)


def _first_line(error: Exception) -> str:
    return _NOT_TOLD.sub("", (str(error) or type(error).__name__).splitlines()[0])[:300]
