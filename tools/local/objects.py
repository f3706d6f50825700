"""Manifests of what tests and the demo put into a cluster: fake GPU nodes, namespaces, pods."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]

FAKE = "kwok.x-k8s.io/node"
_READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "simulated kubelet"}


@dataclass(frozen=True, kw_only=True)
class GpuNode:
    """A simulated node; quantities are Kubernetes quantities. `gpus` 0 makes a CPU node."""

    name: str
    gpus: int = 8
    gpu_model: str = "NVIDIA-H100-80GB-HBM3"
    gpu_memory_mib: int = 81559
    instance_type: str = "p5.48xlarge"
    capacity_type: str = "on-demand"
    region: str = "us-east-1"
    zone: str = "us-east-1a"
    cpu: str = "192"
    memory: str = "2048Gi"
    pods: str = "110"
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    taints: tuple[dict[str, str], ...] = ()
    devices: dict[str, str] = field(default_factory=dict)
    """Units of further extended resources, such as MIG slices."""


def gpu_node(spec: GpuNode, *, kubelet_port: int | None = None) -> Manifest:
    """A Node that the simulated kubelet adopts; with its port on loopback the API server finds logs there."""
    resources = {"cpu": spec.cpu, "memory": spec.memory, "pods": spec.pods, "ephemeral-storage": "1000Gi"}
    if spec.gpus:
        resources["nvidia.com/gpu"] = str(spec.gpus)
    resources.update(spec.devices)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": spec.name,
            "labels": {**_node_labels(spec), **spec.labels},
            "annotations": {FAKE: "fake", **spec.annotations},
        },
        "spec": {"taints": list(spec.taints), "providerID": f"kwok://{spec.name}"},
        # A kubelet registers its node with a status; being Ready from the start saves a write per node.
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [_READY],
            "phase": "Running",
            **(_endpoint(kubelet_port) if kubelet_port is not None else {}),
        },
    }


def _endpoint(port: int) -> Manifest:
    return {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }


def _node_labels(spec: GpuNode) -> dict[str, str]:
    labels = {
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": spec.instance_type,
        "karpenter.sh/capacity-type": spec.capacity_type,
        "topology.kubernetes.io/region": spec.region,
        "topology.kubernetes.io/zone": spec.zone,
    }
    if spec.gpus:
        labels["nvidia.com/gpu.product"] = spec.gpu_model
        labels["nvidia.com/gpu.count"] = str(spec.gpus)
        labels["nvidia.com/gpu.memory"] = str(spec.gpu_memory_mib)
        labels["nvidia.com/gpu.present"] = "true"
    return labels


def namespace(name: str, labels: dict[str, str] | None = None) -> Manifest:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}


def pod_spec(*, gpus: int = 1, image: str = "example.com/train:1", **extra: Any) -> Manifest:
    """The spec of a pod with one container that asks for GPUs."""
    resources: Manifest = {"requests": {"cpu": "1", "memory": "1Gi"}}
    if gpus:
        resources["limits"] = {"nvidia.com/gpu": str(gpus)}
    container = {"name": "main", "image": image, "resources": resources}
    return {"restartPolicy": "Never", "terminationGracePeriodSeconds": 30, "containers": [container], **extra}


def pod(name: str, namespace: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
    """A Pod; further arguments go to `pod_spec`."""
    metadata = {"name": name, "namespace": namespace, "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(**spec)}


def job(name: str, namespace: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
    """A batch/v1 Job with one pod; `annotations` are the pod template's."""
    template = {"metadata": {"annotations": annotations or {}}, "spec": pod_spec(**spec)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"backoffLimit": 0, "template": template},
    }


def run_for(seconds: float, exit_code: int = 0) -> dict[str, str]:
    """Pod annotations that make the simulated kubelet end the containers after a running time."""
    return {
        "pod-complete.stage.kwok.x-k8s.io/delay": f"{int(seconds * 1000)}ms",
        "gpucost.dev/simulated-exit-code": str(exit_code),
    }
