"""The operator of the demo: quick ticks, so that minutes show what usually takes hours."""

from __future__ import annotations

from local.operator_process import OperatorProcess
from local.workbench import Workbench


def run_operator(cluster: Workbench) -> OperatorProcess:
    """Install the chart and start the operator beside it."""
    settings = {"GPUCOST_CLUSTER_NAME": "demo", "GPUCOST_REPORT_SECONDS": "3"}
    return OperatorProcess(cluster, settings).start()
