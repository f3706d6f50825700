"""A SIMULATION of NVIDIA's dcgm-exporter, for tests and the demo: the figures it serves are made up.

It reads nodes and pods from the API server and serves, for every GPU of every node, the series that a real exporter
serves, with utilisation taken from annotations of the pod that holds the GPU:

    gpucost.dev/simulated-utilization: "0.61"     0..1, read again at every scrape (default: --utilization)
    gpucost.dev/simulated-fault: "nan"            what real exporters do wrong; several, separated by commas:
        nan, negative, overflow     every value of the pod's GPUs is NaN, -1 or 4294967295
        engine-zero                 all profiling counters (GR_ENGINE_ACTIVE and so on) read 0 under load
        missing, missing:5          none, or all but the first GPUs but five, of the pod's GPUs are reported
        stale                       values and their time stamps stay as they were first seen
        renamed                     labels exported_pod, exported_namespace, exported_container and hostname
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local.api_client import ApiClient
from local.workbench import Workbench

Object = dict[str, Any]
PREFIX = "gpucost.dev/simulated-"
RESOURCE = "nvidia.com/gpu"
JOB = "dcgm-exporter"
BAD = {"nan": math.nan, "negative": -1.0, "overflow": 4294967295.0}
IDLE_WATTS, BUSY_WATTS = 70.0, 630.0
HELP = {
    "DCGM_FI_DEV_GPU_UTIL": "GPU utilization (in %).",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": "Ratio of time the graphics engine is active.",
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": "Ratio of cycles the tensor pipe is active.",
    "DCGM_FI_PROF_DRAM_ACTIVE": "Ratio of cycles the memory interface is active.",
    "DCGM_FI_DEV_FB_USED": "Framebuffer memory used (in MiB).",
    "DCGM_FI_DEV_POWER_USAGE": "Power draw (in W).",
}


@dataclass(frozen=True)
class Sample:
    """One line of the exposition; `stamp` in milliseconds since the epoch, None for now."""

    metric: str
    labels: tuple[tuple[str, str], ...]
    value: float
    stamp: int | None = None

    def __str__(self) -> str:
        labels = ",".join(f'{key}="{value}"' for key, value in self.labels)
        value = "NaN" if math.isnan(self.value) else f"{self.value:g}" if self.value < 1e6 else f"{self.value:.0f}"
        return f"{self.metric}{{{labels}}} {value}" + (f" {self.stamp}" if self.stamp is not None else "")


@dataclass
class Exporter:
    """Turns pods and nodes into samples; remembers which GPUs a pod holds, for as long as it holds them."""

    default_utilization: float = 0.85
    _held: dict[str, list[int]] = field(default_factory=dict)
    _frozen: dict[str, list[Sample]] = field(default_factory=dict)

    def samples(self, nodes: list[Object], pods: list[Object]) -> Iterator[Sample]:
        """Samples of all GPUs; pods that do not run hold none."""
        running = [p for p in pods if p["status"].get("phase") == "Running" and gpus_of(p["spec"])]
        living = {p["metadata"]["uid"] for p in running}
        for memory in (self._held, self._frozen):
            for gone in memory.keys() - living:
                del memory[gone]
        for node in nodes:
            yield from self._node(node, [p for p in running if p["spec"].get("nodeName") == node["metadata"]["name"]])

    def _node(self, node: Object, pods: list[Object]) -> Iterator[Sample]:
        count = int(node["status"].get("capacity", {}).get(RESOURCE, 0))
        holders = self._assign(count, pods)
        for pod in pods:
            yield from self._pod(node, pod)
        for index in range(count):
            if index not in holders:
                yield from _gpu(node, index, {}, 0.0)

    def _assign(self, count: int, pods: list[Object]) -> set[int]:
        taken = {gpu for pod in pods for gpu in self._held.get(pod["metadata"]["uid"], ())}
        for pod in sorted(pods, key=lambda p: (p["status"].get("startTime", ""), p["metadata"]["uid"])):
            uid, wanted = pod["metadata"]["uid"], gpus_of(pod["spec"])
            if uid not in self._held:
                free = [gpu for gpu in range(count) if gpu not in taken]
                self._held[uid] = free[:wanted]
                taken.update(free[:wanted])
        return taken

    def _pod(self, node: Object, pod: Object) -> Iterator[Sample]:
        uid, faults = pod["metadata"]["uid"], faults_of(pod)
        fresh = list(self._fresh(node, pod, faults))
        if "stale" not in faults:
            yield from fresh
            return
        now = int(time.time() * 1000)
        kept = self._frozen.setdefault(uid, [Sample(s.metric, s.labels, s.value, now) for s in fresh])
        yield from kept

    def _fresh(self, node: Object, pod: Object, faults: dict[str, str]) -> Iterator[Sample]:
        held = self._held[pod["metadata"]["uid"]]
        if "missing" in faults:
            held = held[: len(held) - int(faults["missing"] or len(held))] if faults["missing"] else []
        bad = next((BAD[name] for name in faults if name in BAD), None)
        for index in held:
            for sample in _gpu(node, index, _holder(pod), self._utilization(pod), renamed="renamed" in faults):
                value = sample.value if bad is None else bad
                if "engine-zero" in faults and sample.metric.startswith("DCGM_FI_PROF_"):
                    value = 0.0
                yield Sample(sample.metric, sample.labels, value)

    def _utilization(self, pod: Object) -> float:
        text = pod["metadata"].get("annotations", {}).get(f"{PREFIX}utilization")
        try:
            return min(1.0, max(0.0, float(text)))
        except (TypeError, ValueError):
            return self.default_utilization


def gpus_of(spec: Object) -> int:
    """GPUs that a pod's containers are limited to."""
    return sum(int(c.get("resources", {}).get("limits", {}).get(RESOURCE, 0)) for c in spec.get("containers", ()))


def faults_of(pod: Object) -> dict[str, str]:
    """The faults a pod asks for, with their argument or an empty string."""
    text = pod["metadata"].get("annotations", {}).get(f"{PREFIX}fault", "")
    parts = (part.strip().partition(":") for part in text.split(",") if part.strip())
    return {name: argument for name, _, argument in parts}


def _holder(pod: Object) -> dict[str, str]:
    container = next(c for c in pod["spec"]["containers"] if gpus_of({"containers": [c]}))
    metadata = pod["metadata"]
    return {"namespace": metadata["namespace"], "pod": metadata["name"], "container": container["name"]}


def _gpu(
    node: Object, index: int, holder: dict[str, str], utilization: float, *, renamed: bool = False
) -> Iterator[Sample]:
    labels = node["metadata"].get("labels", {})
    memory = float(labels.get("nvidia.com/gpu.memory", 81559))
    parts = (utilization * 0.4, utilization * 0.3)
    values = (utilization * 100, utilization, *parts, memory * utilization, IDLE_WATTS + BUSY_WATTS * utilization)
    described = {
        "gpu": str(index),
        "UUID": f"GPU-{uuid.uuid5(uuid.NAMESPACE_OID, node['metadata']['uid'] + str(index))}",
        "device": f"nvidia{index}",
        "modelName": labels.get("nvidia.com/gpu.product", "NVIDIA H100 80GB HBM3").replace("-", " "),
        "hostname" if renamed else "Hostname": node["metadata"]["name"],
        **{(f"exported_{key}" if renamed else key): value for key, value in holder.items()},
    }
    for metric, value in zip(HELP, values, strict=True):
        yield Sample(metric, tuple(described.items()), value)


def exposition(samples: list[Sample]) -> str:
    """The text format of Prometheus."""
    lines = ["# A simulation: these figures come from annotations, not from GPUs."]
    for metric, text in HELP.items():
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} gauge"]
        lines += [str(sample) for sample in samples if sample.metric == metric]
    return "\n".join(lines) + "\n"


def serve(client: ApiClient, exporter: Exporter, address: tuple[str, int]) -> None:
    """Serve /metrics until the process is stopped; 503 while the API server does not answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                nodes = client.list("/api/v1/nodes?resourceVersion=0")
                pods = client.list("/api/v1/pods?resourceVersion=0")
                status, text = 200, exposition(list(exporter.samples(nodes, pods)))
            except (OSError, RuntimeError, LookupError) as problem:
                status, text = 503, f"# {problem}\n"
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the log for problems."""

    ThreadingHTTPServer(address, Handler).serve_forever()


def start(cluster: Workbench, utilization: float = 0.85) -> str:
    """Run the simulation beside a local cluster and let its Prometheus scrape it; returns its address."""
    address = f"127.0.0.1:{cluster.port()}"
    command = [sys.executable, "-m", "local.dcgm_exporter", "--listen", address, "--utilization", str(utilization)]
    env = {**cluster.env(), "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    helper = cluster.helper(JOB, [*command, "--kubeconfig", str(cluster.kubeconfig)], env).start()
    helper.wait_until_answers(f"http://{address}/metrics")
    cluster.add_scrape_target(JOB, address)
    return address


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--listen", default="127.0.0.1:9400", help="HOST:PORT")
    parser.add_argument("--utilization", type=float, default=0.85, help="of pods without the annotation, 0..1")
    arguments = parser.parse_args()
    host, _, port = arguments.listen.rpartition(":")
    serve(ApiClient(arguments.kubeconfig), Exporter(arguments.utilization), (host, int(port)))


if __name__ == "__main__":
    main()
