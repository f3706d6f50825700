"""The operator of the demo: quick ticks, so that minutes show what usually takes hours."""

from __future__ import annotations

from local import LocalCluster
from local.operator_process import OperatorProcess


def run_operator(cluster: LocalCluster) -> OperatorProcess:
    """Install the chart and start the operator beside it."""
    settings = {
        "GPUCOST_PROMETHEUS_URL": cluster.prometheus_url,
        "GPUCOST_PROMETHEUS_WINDOW_SECONDS": "15",
        "GPUCOST_CLUSTER_NAME": "demo",
    }
    return OperatorProcess(cluster, settings).install().start()
