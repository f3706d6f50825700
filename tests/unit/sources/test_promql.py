"""A PromQL engine as sources ask it: answers, counters, ranges longer than an engine allows, and clear errors."""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from gpucost.core.clock import MINUTE, SECOND
from gpucost.sources.promql import PrometheusError, PromQL


@contextmanager
def engine(answer):
    """A stand-in for an engine on loopback: `answer(path, parameters)` gives the result, or (status, text)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            found = answer(url.path, {key: values[0] for key, values in parse_qs(url.query).items()})
            status, text = found if isinstance(found, tuple) else (200, json.dumps({"data": {"result": found}}))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield PromQL(f"http://127.0.0.1:{server.server_port}/")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def every_point(path, asked):
    """Each instant asked for, as one value that is the instant itself."""
    assert path == "/api/v1/query_range"
    start, end, step = float(asked["start"]), float(asked["end"]), float(asked["step"].removesuffix("s"))
    points = [start + step * index for index in range(int((end - start) // step) + 1)]
    assert len(points) <= 11_000
    return [{"metric": {"node": "n1"}, "values": [[point, str(point)] for point in points]}]


async def test_a_query_gives_every_series_as_it_is_and_counts():
    answer = [
        {"metric": {"a": "1"}, "value": [1, "2.5"]},
        {"metric": {"a": "2"}, "value": [1, "NaN"]},
        {"metric": {"a": "3"}},
        "what",
    ]
    with engine(lambda *_: answer) as promql:
        found = await promql.query("up")
    assert [(dict(one.labels), str(one.value)) for one in found] == [({"a": "1"}, "2.5"), ({"a": "2"}, "nan")]
    assert math.isnan(found[1].value)
    assert (promql.queries, promql.samples) == (1, 2)


async def test_a_query_may_ask_for_an_instant():
    seen = []
    with engine(lambda _, asked: seen.append(asked) or []) as promql:
        await promql.query("up", 1_700_000_000 * SECOND + SECOND // 2)
        await promql.query("up")
    assert seen == [{"query": "up", "time": "1700000000.500"}, {"query": "up"}]


@pytest.mark.parametrize("points", [1, 2, 10_000, 10_001, 25_000])
async def test_a_long_range_is_asked_for_in_pieces_and_has_every_point_once(points):
    start = 1_700_000_000 * SECOND
    with engine(every_point) as promql:
        (series,) = await promql.query_range("up", start, start + (points - 1) * MINUTE, MINUTE)
    assert [at for at, _ in series.samples] == [start + MINUTE * index for index in range(points)]
    assert promql.queries == -(-points // 10_000)
    assert promql.samples == points


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((400, "parse error"), "400"),
        ((200, "<html>"), "127.0.0.1"),
        ((200, "[]"), "127.0.0.1"),
        ((200, '{"data": {"result": 5}}'), "PromQL engine"),
    ],
)
async def test_what_is_no_answer_is_one_clear_line(answer, words):
    with engine(lambda *_: answer) as promql, pytest.raises(PrometheusError, match=words) as error:
        await promql.query("up")
    assert "\n" not in str(error.value)


async def test_an_error_tells_neither_the_password_nor_what_was_asked():
    promql = PromQL("http://user:hunter2@127.0.0.1:9/prom", timeout=1)
    with pytest.raises(PrometheusError) as raised:
        await promql.query('secret{team="x"}')
    told = str(raised.value)
    assert told.startswith("http://127.0.0.1:9/prom: ")
    assert "refused" in told
    for word in ("hunter2", "user", "secret", "0x"):
        assert word not in told


async def test_the_password_still_reaches_the_engine():
    asked = []

    def answer(path, _parameters):
        asked.append(path)
        return [{"metric": {}, "value": [1, "1"]}]

    with engine(answer) as found:
        named = PromQL(found.url.replace("//", "//user:hunter2@"))
        assert [one.value for one in await named.query("up")] == [1]
    assert asked == ["/api/v1/query"]
