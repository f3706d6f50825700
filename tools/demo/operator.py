"""The operator of the demo: quick ticks, so that minutes show what usually takes hours."""

from __future__ import annotations

from local import LocalCluster
from local.operator_process import OperatorProcess


def run_operator(cluster: LocalCluster) -> OperatorProcess:
    """Install the chart and start the operator beside it."""
    settings = {"GPUCOST_CLUSTER_NAME": "demo", "GPUCOST_REPORT_SECONDS": "3"}
    return OperatorProcess(cluster, settings).start()
