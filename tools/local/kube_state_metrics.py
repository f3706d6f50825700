"""The real kube-state-metrics beside a local cluster, scraped by its Prometheus."""

from __future__ import annotations

from pathlib import Path

from local.programs import program
from local.workbench import Workbench

JOB = "kube-state-metrics"
RESOURCES = "nodes,pods,jobs,replicasets"
LABELS = "nodes=[*],pods=[*]"
ANNOTATIONS = "nodes=[gpucost.dev/hourly-price]"


def start(cluster: Workbench) -> str:
    """Run it, wait until it serves series, let Prometheus scrape it; returns its address."""
    port, telemetry = cluster.port(), cluster.port()
    command: list[str | Path] = [
        program(JOB),
        f"--kubeconfig={cluster.kubeconfig}",
        "--host=127.0.0.1",
        f"--port={port}",
        "--telemetry-host=127.0.0.1",
        f"--telemetry-port={telemetry}",
        f"--resources={RESOURCES}",
        f"--metric-labels-allowlist={LABELS}",
        f"--metric-annotations-allowlist={ANNOTATIONS}",
    ]
    address = f"127.0.0.1:{port}"
    cluster.helper(JOB, command).start().wait_until_answers(f"http://{address}/metrics", 30)
    cluster.add_scrape_target(JOB, address)
    return address
