"""A local Kubernetes control plane for tests, the demo and benches: a TEST TOOL, not part of the product.

The API server, the scheduler, the controllers and Prometheus are the real programs; only the nodes, the kubelet
and the GPU utilisation are simulated. Nothing here needs a container engine, and nothing outlives its owner.
"""

from local.cluster import Cluster, KubectlError
from local.control_plane import LocalCluster, StartError
from local.objects import GpuNode, gpu_node, namespace
from local.operator_process import OperatorProcess, install_chart
from local.programs import MissingProgram
from local.waiting import TimedOut, wait_for

__all__ = [
    "Cluster",
    "GpuNode",
    "KubectlError",
    "LocalCluster",
    "MissingProgram",
    "OperatorProcess",
    "StartError",
    "TimedOut",
    "gpu_node",
    "install_chart",
    "namespace",
    "wait_for",
]
