"""CPU and memory of pods: Prometheus' own engine tells what the queries mean; the metrics server's answers are read."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gpucost.core.clock import SECOND, parse_rfc3339
from gpucost.core.needs import CPU, MEMORY, SINCE
from gpucost.kube.errors import ApiError
from gpucost.sources.metrics_server import MetricsServerSource, NoMetricsServer
from gpucost.sources.prometheus import UseSource
from local.programs import program

UID = "0b8f6f5e-3d7a-4c1e-9a53-0d6f5c1b2a34"
GIB = 2**30
CGROUP = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice/cri-1.scope"
NOW = parse_rfc3339("2026-11-01T00:05:00Z")


class Engine:
    """Keeps the questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def query(self, promql: str) -> list[Any]:
        self.asked.append(promql)
        return []


def cadvisor(container: str = "main", **more: str) -> dict[str, str]:
    """Labels of a container as the kubelet's cAdvisor gives them."""
    return {"namespace": "research", "pod": "bert-0", "container": container, "id": CGROUP, "job": "kubelet", **more}


def labelled(labels: dict[str, str], name: str = "") -> str:
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()) if value) + "}"


async def means(tmp_path: Path, metric: str, rows: list[tuple[dict[str, str], str]], want: dict[str, float]) -> None:
    """What Prometheus makes of our query for a metric, five minutes after series in steps of 15 s began."""
    engine = Engine()
    await UseSource(engine, window=60).read(0)  # type: ignore[arg-type]
    [promql] = [query for query in engine.asked if metric in query]
    evaluate(tmp_path, promql, metric, rows, want)


def evaluate(
    tmp_path: Path, promql: str, metric: str, rows: list[tuple[dict[str, str], str]], want: dict[str, float]
) -> None:
    """Let promtool compare."""
    expected = [{"labels": labels, "value": value} for labels, value in want.items()]
    series = [{"series": labelled(labels, metric), "values": values} for labels, values in rows]
    asked = {"expr": promql, "eval_time": "5m", "exp_samples": expected}
    test = {"interval": "15s", "input_series": series, "promql_expr_test": [asked]}
    file = tmp_path / "test.json"  # JSON is YAML
    file.write_text(json.dumps({"tests": [test], "fuzzy_compare": True}))
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout


POD_BY_UID = labelled({"namespace": "research", "pod": "bert-0", "uid": UID.replace("-", "_")})


async def test_cores_are_summed_over_containers_and_nothing_is_counted_twice(tmp_path: Path) -> None:
    rows = [
        (cadvisor(), "0+15x40"),  # one core
        (cadvisor("sidecar"), "0+7.5x40"),
        (cadvisor(job="second-scrape"), "0+15x40"),
        (cadvisor("POD"), "0+150x40"),
        (cadvisor(""), "0+22.5x40"),  # the pod's own cgroup
    ]
    await means(tmp_path, "container_cpu_usage_seconds_total", rows, {POD_BY_UID: 1.5})


async def test_memory_is_the_mean_of_the_window_and_pods_of_one_name_are_told_apart(tmp_path: Path) -> None:
    other = "/kubepods/burstable/pod11111111-2222-3333-4444-555555555555/abc"
    rows = [
        (cadvisor(), f"{GIB}x40"),
        (cadvisor("sidecar", id=CGROUP + "2"), f"{GIB}x40"),
        (cadvisor(id=other), f"{3 * GIB}x40"),
    ]
    second = labelled({"namespace": "research", "pod": "bert-0", "uid": "11111111-2222-3333-4444-555555555555"})
    await means(tmp_path, "container_memory_working_set_bytes", rows, {POD_BY_UID: 2 * GIB, second: 3 * GIB})


async def test_without_a_cgroup_the_name_remains(tmp_path: Path) -> None:
    named = labelled({"namespace": "research", "pod": "bert-0"})
    await means(tmp_path, "container_memory_working_set_bytes", [(cadvisor(id=""), f"{GIB}x40")], {named: GIB})


# --- metrics server ---------------------------------------------------------------------------------------------------


class Api:
    """An API server with, or without, the resource metrics API."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items, self.asked, self.missing = list(items), 0, False

    async def get(self, path: str) -> dict[str, Any]:
        self.asked += 1
        assert path == "/apis/metrics.k8s.io/v1beta1/pods"
        if self.missing:
            raise ApiError(404, message="the server could not find the requested resource")
        return {"items": self.items}


def metrics(*usages: tuple[str, str], timestamp: str = "2026-11-01T00:04:50Z") -> dict[str, Any]:
    containers = [{"name": "c", "usage": {"cpu": cpu, "memory": memory}} for cpu, memory in usages]
    metadata = {"name": "bert-0", "namespace": "research"}
    return {"metadata": metadata, "timestamp": timestamp, "window": "20.5s", "containers": containers}


async def test_the_metrics_server_is_summed_over_containers_with_the_time_it_measured() -> None:
    source = MetricsServerSource(Api(metrics(("1500m", "1Gi"), ("250000000n", "512Mi"))))  # type: ignore[arg-type]
    found = await source.read(NOW)
    since = str((parse_rfc3339("2026-11-01T00:04:50Z") - 20_500_000) // SECOND)
    assert [(one.labels, one.value) for one in found[CPU]] == [
        ({"namespace": "research", "pod": "bert-0", SINCE: since}, 1.75)
    ]
    assert [one.value for one in found[MEMORY]] == [1.5 * GIB]
    assert source.last_success == NOW


@pytest.mark.parametrize(
    "item",
    [metrics(("1", "1Gi"), timestamp="2026-11-01T00:01:00Z"), metrics(("much", "1Gi")), {"metadata": {}}, {}],
    ids=["stale", "no quantity", "no time", "nothing"],
)
async def test_what_is_stale_or_cannot_be_read_is_left_out(item: dict[str, Any]) -> None:
    source = MetricsServerSource(Api(item))  # type: ignore[arg-type]
    assert await source.read(NOW) == {CPU: [], MEMORY: []}
    assert source.last_success is None


async def test_where_there_is_no_metrics_server_it_is_asked_rarely() -> None:
    api = Api(metrics(("1", "1Gi")))
    api.missing = True
    source = MetricsServerSource(api)  # type: ignore[arg-type]
    with pytest.raises(NoMetricsServer, match="could not find the requested resource"):
        await source.read(NOW)
    api.missing = False
    assert await source.read(NOW + 60 * SECOND) == {}
    assert api.asked == 1
    assert (await source.read(NOW + 301 * SECOND)).keys() == {CPU, MEMORY}
    assert api.asked == 2
