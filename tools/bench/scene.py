"""The cluster of the promises: 1,000 GPU nodes and 10,000 bound GPU pods, with GPU series in a real Prometheus.

Half of the nodes have 16 GPUs and 12 pods, the other half 8 GPUs and 8 pods; every pod holds one GPU and is a workload
of its own, which is the most there can be.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gpucost.runtime.settings import Settings
from local import GpuNode, LocalCluster, OperatorProcess, namespace, wait_for
from local.objects import pod

NODES = 1000
NAMESPACES = 20
BIG, SMALL = 12, 8  # pods on a node of 16 and of 8 GPUs
PODS = NODES // 2 * (BIG + SMALL)
METRICS = (
    ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 1.0),
    ("DCGM_FI_DEV_GPU_UTIL", 100.0),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", 0.9),
    ("DCGM_FI_PROF_DRAM_ACTIVE", 0.7),
    ("DCGM_FI_DEV_FB_USED", 60_000.0),
    ("DCGM_FI_DEV_POWER_USAGE", 600.0),
)
"""What the operator reads of a dcgm-exporter that is set up as it comes, and the values at full activity."""


_QUICKER_IN_TESTS = ("tick_seconds", "report_seconds", "prometheus_window_seconds", "writes_per_second")


def say(text: str) -> None:
    """Progress, on stderr, with the time since the start."""
    print(f"[{time.monotonic() - _BEGAN:5.0f} s] {text}", file=sys.stderr, flush=True)


_BEGAN = time.monotonic()


def settings(**other: str) -> dict[str, str]:
    """The operator's settings as shipped: `OperatorProcess` has quick ones for tests."""
    shipped = {name.upper(): str(Settings.model_fields[name].default) for name in _QUICKER_IN_TESTS}
    return {f"GPUCOST_{key}": value for key, value in {**shipped, **other}.items()}


def operator(cluster: LocalCluster, name: str, **other: str) -> OperatorProcess:
    """An operator under the chart's RBAC with a ledger of its own, not yet started.

    It runs from byte code, as the image holds it; the first one of a cluster makes it.
    """
    byte_code = {"PYTHONPYCACHEPREFIX": str(cluster.work_folder / "byte-code"), "PYTHONDONTWRITEBYTECODE": ""}
    return OperatorProcess(cluster, {**settings(**other), **byte_code}, name=name)


def trainingjob(name: str, space: str, *, paused: bool) -> dict[str, Any]:
    """A TrainingJob of one GPU; a paused one waits for a window that is open for an hour a year."""
    resources = {"limits": {"nvidia.com/gpu": "1"}}
    container = {"name": "train", "image": "registry.example.com/train:1", "resources": resources}
    spec: dict[str, Any] = {"template": {"spec": {"containers": [container]}}}
    if paused:
        window = {"start": "0 3 29 2 *", "duration": "1h", "placement": "Spot"}
        spec["schedule"] = {"timeZone": "UTC", "windows": [window], "outside": "Pause"}
    return {
        "apiVersion": "gpucost.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name, "namespace": space},
        "spec": spec,
    }


def trainingjobs_path(space: str) -> str:
    """Collection of TrainingJobs of a namespace."""
    return f"/apis/gpucost.dev/v1alpha1/namespaces/{space}/trainingjobs"


def make_namespaces(cluster: LocalCluster, *names: str) -> None:
    """Create namespaces and wait until pods can be made in them."""
    cluster.api.many(("POST", "/api/v1/namespaces", namespace(name)) for name in names)
    for name in names:
        path = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        wait_for(lambda path=path: cluster.api.find(path), 60, f"service account of {name}")  # type: ignore[misc]


def populate(cluster: LocalCluster) -> None:
    """Make the nodes and the pods, and wait until every pod runs."""
    spaces = [f"team-{number:02}" for number in range(NAMESPACES)]
    make_namespaces(cluster, *spaces)
    cluster.add_nodes(_nodes())
    say(f"{NODES} nodes")
    cluster.add_pods(_pods(spaces))
    say(f"{PODS} pods created")
    wait_for(lambda: running_pods(cluster) >= PODS, 240, f"{PODS} pods Running", interval=1.0)
    say(f"{PODS} pods running")


def running_pods(cluster: LocalCluster) -> int:
    """Number of pods that run, all namespaces."""
    page = cluster.api.get("/api/v1/pods?fieldSelector=status.phase%3DRunning&resourceVersion=0")
    return len(page.get("items") or ())


def _nodes() -> Iterator[GpuNode]:
    for number in range(NODES):
        capacity_type = "spot" if number % 4 < 2 else "on-demand"
        if number % 2:
            yield GpuNode(name=f"gpu-{number:04}", capacity_type=capacity_type)
        else:
            yield GpuNode(name=f"gpu-{number:04}", gpus=16, instance_type="gpu-16", capacity_type=capacity_type)


def _pods(spaces: list[str]) -> Iterator[dict[str, Any]]:
    for node in range(NODES):
        for slot in range(SMALL if node % 2 else BIG):
            space = spaces[(node + slot) % len(spaces)]
            yield pod(f"train-{node:04}-{slot:02}", space, nodeName=f"gpu-{node:04}")


class Exporter:
    """GPU series of all pods at one address, different at every scrape as real ones are; made up."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._random = random.Random(20261124)
        self._series = [self._of(p) for p in self._running()]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _running(self) -> list[dict[str, Any]]:
        return [p for p in self._cluster.api.list("/api/v1/pods?resourceVersion=0") if p["spec"].get("nodeName")]

    def _of(self, one: dict[str, Any]) -> tuple[str, float]:
        metadata, node = one["metadata"], one["spec"]["nodeName"]
        gpu = int(metadata["name"].rpartition("-")[2]) if metadata["name"].startswith("train-") else 0
        labels = {
            "gpu": gpu,
            "UUID": f"GPU-{metadata['uid']}",
            "device": f"nvidia{gpu}",
            "modelName": "NVIDIA H100 80GB HBM3",
            "Hostname": node,
            "namespace": metadata["namespace"],
            "pod": metadata["name"],
            "container": "main",
        }
        return ",".join(f'{key}="{value}"' for key, value in labels.items()), self._random.uniform(0.2, 0.95)

    def exposition(self) -> str:
        """One scrape."""
        lines = []
        for labels, mean in self._series:
            share = min(1.0, max(0.0, self._random.gauss(mean, 0.05)))
            lines += [f"{name}{{{labels}}} {share * scale:.4f}" for name, scale in METRICS]
        return "\n".join(sorted(lines)) + "\n"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.exposition().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        return Handler

    def scraped(self) -> None:
        """Let Prometheus scrape this, and wait until it has every series."""
        self._cluster.add_scrape_target("dcgm-exporter", f"127.0.0.1:{self._server.server_port}")
        query = f"{self._cluster.prometheus_url}/api/v1/query?query=count({METRICS[0][0]})"

        def complete() -> bool:
            with urllib.request.urlopen(query, timeout=10) as answer:
                found = json.load(answer)["data"]["result"]
            return bool(found) and int(found[0]["value"][1]) >= len(self._series)

        wait_for(complete, 60, "Prometheus has every GPU series", interval=0.5)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
