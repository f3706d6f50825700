"""Exporters that are asked directly: real HTTP servers on loopback, and what keeps one from harming the rest."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from gpucost.core.usage import ENGINE_ACTIVE, GPU_UTIL, SCRAPED_NODE
from gpucost.kube.errors import Unreachable
from gpucost.sources import exporters
from gpucost.sources.exporters import ExporterError, ExporterSource, parse, target_of

LABELS = 'gpu="0",UUID="GPU-1",modelName="NVIDIA H100 80GB HBM3",namespace="research",pod="bert-0"'


def line(value: object, metric: str = ENGINE_ACTIVE, labels: str = LABELS) -> str:
    return f"{metric}{{{labels}}} {value}\n"


class Exporter:
    """Serves what the test says, or a status."""

    def __init__(self) -> None:
        self.text, self.status, self.asked = line(0.5), 200, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = outer.text.encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"


@contextmanager
def serving() -> Iterator[Exporter]:
    exporter = Exporter()
    thread = Thread(target=exporter.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield exporter
    exporter.server.shutdown()
    thread.join()
    exporter.server.server_close()


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    with serving() as one:
        yield one


class Client:
    """The API server's list of pods, by label selector."""

    def __init__(self, **pods: list[dict[str, Any]]) -> None:
        self.pods, self.asked, self.down = pods, [], False

    async def get(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        self.asked.append((path, query["labelSelector"], query["fieldSelector"]))
        if self.down:
            raise Unreachable("GET /api/v1/pods: refused")
        return {"items": self.pods.get(query["labelSelector"], [])}


def pod(name: str, port: int | None, *, node: str = "n1", ip: str = "127.0.0.1", namespace: str = "gpu") -> Any:
    ports = [] if port is None else [{"name": "health", "containerPort": 1}, {"name": "metrics", "containerPort": port}]
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": node, "containers": [{"ports": ports}]},
        "status": {"podIP": ip},
    }


@pytest.fixture
async def source(exporter: Exporter) -> AsyncIterator[ExporterSource]:
    asked = ExporterSource(Client(), targets=(exporter.url,))  # type: ignore[arg-type]
    yield asked
    await asked.close()


async def test_a_named_exporter_is_asked_and_may_speak_for_every_node(exporter: Exporter, source: Any) -> None:
    exporter.text = "# HELP x\n" + line(0.5) + line(40, GPU_UTIL) + line(1, "DCGM_FI_DEV_XID_ERRORS") + "other 1\n"
    found = await source.read(7)
    [sample] = found[ENGINE_ACTIVE]
    assert sample.value == 0.5
    assert sample.labels["pod"] == "bert-0"
    assert sample.labels["instance"] == exporter.url
    assert SCRAPED_NODE not in sample.labels
    assert [one.value for one in found[GPU_UTIL]] == [40.0]
    assert (source.last_success, source.up, source.samples) == (7, 1, 2)


async def test_the_mean_of_everything_heard_since_the_last_pass_counts(exporter: Exporter, source: Any) -> None:
    for value in (0.2, 0.4):
        exporter.text = line(value)
        await source.ask()
    exporter.text = line(0.9)
    assert (await source.read(1))[ENGINE_ACTIVE][0].value == pytest.approx(0.5)
    exporter.text = line(0.1)
    assert (await source.read(2))[ENGINE_ACTIVE][0].value == pytest.approx(0.1)


async def test_exporters_are_found_by_their_pods_and_speak_for_their_node(exporter: Exporter) -> None:
    selector = "app.kubernetes.io/name=dcgm-exporter"
    client = Client(**{selector: [pod("dcgm-x", exporter.port)], "app=other": [pod("dcgm-x", exporter.port)]})
    source = ExporterSource(client, selectors=(selector, "app=other"))  # type: ignore[arg-type]
    for _ in range(2):
        [sample] = (await source.read(1))[ENGINE_ACTIVE]
        assert sample.labels[SCRAPED_NODE] == "n1"
    await source.close()
    assert exporter.asked == 2
    assert client.asked == [("/api/v1/pods", name, "status.phase=Running") for name in (selector, "app=other")]


async def test_one_that_is_down_is_named_once_and_its_neighbour_goes_on(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with serving() as other:
        other.text = line(0.7, labels=LABELS.replace("GPU-1", "GPU-2"))
        pods = [pod("sound", other.port, node="n2"), pod("broken", exporter.port)]
        source = ExporterSource(Client(a=pods), selectors=("a",))  # type: ignore[arg-type]
        exporter.status = 503
        for _ in range(3):
            assert [one.value for one in (await source.read(1))[ENGINE_ACTIVE]] == [0.7]
        assert (source.up, [one.pod for one in source.down]) == (1, ["broken"])
        exporter.status = 200
        assert len((await source.read(1))[ENGINE_ACTIVE]) == 2
        await source.close()
    url = exporter.url
    assert [record.getMessage() for record in caplog.records if record.name == exporters.__name__] == [
        f"exporter gpu/broken on n1 ({url}): answers 503; its GPUs are unknown",
        f"exporter gpu/broken on n1 ({url}) answers again",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [(line("much"), "not in Prometheus' text format"), ("x" * 70_000, "says more than")],
    ids=["no number", "too long"],
)
async def test_what_cannot_be_read_is_nothing(
    exporter: Exporter, source: Any, text: str, problem: str, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.setattr(exporters, "_MOST_BYTES", 50_000)
    exporter.text = text
    assert not any((await source.read(1)).values())
    assert problem in caplog.text
    assert source.last_success is None


async def test_an_exporter_that_hangs_holds_nobody_up_for_long(monkeypatch: Any) -> None:
    monkeypatch.setattr(exporters, "_TIMEOUT_SECONDS", 0.2)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:  # accepts, and nobody serves
        source = ExporterSource(Client(), targets=(f"http://127.0.0.1:{silent.server_address[1]}/",))  # type: ignore[arg-type]
        begun = time.monotonic()
        assert not any((await source.read(1)).values())
        assert time.monotonic() - begun < 3
        await source.close()


async def test_no_more_than_the_bound_are_asked_and_the_rest_is_told(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    pods = [pod(f"dcgm-{number}", exporter.port, node=f"n{number}") for number in range(5)]
    source = ExporterSource(Client(a=pods), selectors=("a",), most=3)  # type: ignore[arg-type]
    assert len((await source.read(1))[ENGINE_ACTIVE]) == 3
    await source.close()
    assert (source.up, source.left_out) == (3, 2)
    assert "5 GPU exporters are too many to ask directly, 2 are left out" in caplog.text
    assert "set GPUCOST_PROMETHEUS_URL" in caplog.text


async def test_exporters_of_other_namespaces_are_not_asked_where_namespaces_are_given(exporter: Exporter) -> None:
    pods = [pod("dcgm", exporter.port), pod("fake", exporter.port, namespace="research")]
    source = ExporterSource(Client(a=pods), selectors=("a",), namespaces=("gpu",))  # type: ignore[arg-type]
    assert len((await source.read(1))[ENGINE_ACTIVE]) == 1
    await source.close()


async def test_while_the_api_server_is_away_the_known_ones_are_asked(exporter: Exporter, monkeypatch: Any) -> None:
    monkeypatch.setattr(exporters, "_LOOK_AGAIN_SECONDS", -1)
    client = Client(a=[pod("dcgm", exporter.port)])
    source = ExporterSource(client, selectors=("a",))  # type: ignore[arg-type]
    await source.read(1)
    client.down = True
    assert len((await source.read(2))[ENGINE_ACTIVE]) == 1
    await source.close()
    assert len(client.asked) == 2


async def test_a_sample_with_an_old_time_stamp_is_dropped_and_counted(exporter: Exporter, source: Any) -> None:
    old = int((time.time() - 600) * 1000)
    exporter.text = line(f"0.5 {old}") + line(f"40 {old + 590_000}", GPU_UTIL)
    found = await source.read(1)
    assert (found[ENGINE_ACTIVE], len(found[GPU_UTIL]), source.stale) == ([], 1, 1)


def test_where_an_exporter_listens() -> None:
    assert str(target_of(pod("x", 9500, ip="10.0.0.7"))) == "gpu/x on n1 (http://10.0.0.7:9500/metrics)"
    assert target_of(pod("x", None, ip="fd00::7")).url == "http://[fd00::7]:9400/metrics"  # type: ignore[union-attr]
    assert target_of(pod("x", 9400, ip="")) is None


def test_only_gpu_metrics_of_pods_are_read() -> None:
    free = line(0.1, labels='gpu="1",UUID="GPU-2"')
    text = free + line(0.3) + line(1, f"{ENGINE_ACTIVE}_TOTAL") + "DCGM_FI_DEV_SM_CLOCK{broken\n"
    assert [(metric, value) for metric, _, value, _ in parse(text)] == [(ENGINE_ACTIVE, 0.3)]
    with pytest.raises(ExporterError):
        parse(f'{ENGINE_ACTIVE}{{pod="x" 1\n')
