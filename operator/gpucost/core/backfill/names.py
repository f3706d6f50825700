"""Names of Kubernetes as kube-state-metrics writes them, and back.

A label or resource name loses every character that Prometheus does not allow (`nvidia.com/mig-3g.40gb` becomes
`nvidia_com_mig_3g_40gb`), and labels become snake case. What was lost is found again by asking for the names that
matter; there is no other way back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gpucost.core import capacity, owners
from gpucost.core.gpus import DEFAULT_RESOURCES

_OURS = "gpucost.dev/"
_NODE_LABELS = (
    *capacity.CAPACITY_LABELS,
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "karpenter.k8s.aws/instance-gpu-name",
    "karpenter.k8s.aws/instance-gpu-memory",
    "karpenter.azure.com/sku-gpu-name",
    "karpenter.sh/nodepool",
    "cloud.google.com/gke-accelerator",
    "eks-node-viewer/instance-price",
    "nvidia.com/gpu.product",
    "nvidia.com/gpu.memory",
    "nvidia.com/gpu.count",
    "nvidia.com/gpu.replicas",
    "nvidia.com/gpu.sharing-strategy",
    "nvidia.com/mig.strategy",
    "nvidia.com/mig.config",
)
_POD_LABELS = (
    "app.kubernetes.io/name",
    "job-name",
    "batch.kubernetes.io/job-name",
    *sorted(owners.LABELS),
    f"{_OURS}category",
)
_SNAKE = re.compile(r"([a-z0-9])([A-Z])")


def sanitized(name: str) -> str:
    """A label name as kube-state-metrics writes it, without the prefix."""
    plain = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return _SNAKE.sub(r"\1_\2", plain).lower()


_NODE = {f"label_{sanitized(name)}": name for name in _NODE_LABELS}
_POD = {f"label_{sanitized(name)}": name for name in _POD_LABELS}
_OURS_PREFIX = f"label_{sanitized(_OURS)}"


def node_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of a node that mean something to us, by their own names."""
    return _known(labels, _NODE)


def pod_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of a pod that mean something to us, by their own names."""
    return _known(labels, _POD)


def _known(labels: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, value in labels.items():
        if key in names:
            found[names[key]] = value
        elif key.startswith(_OURS_PREFIX):
            found[_OURS + key.removeprefix(_OURS_PREFIX).replace("_", "-")] = value
    return found


def resource_name(text: str, patterns: Iterable[str] = DEFAULT_RESOURCES) -> str:
    """The name of a GPU resource: `nvidia_com_gpu` is `nvidia.com/gpu`; what fits no name or pattern stays as it is."""
    for pattern in patterns:
        plain, _, rest = pattern.partition("*")
        if not rest and "*" not in pattern and sanitized(pattern) == text:
            return pattern
        if pattern.endswith("*") and text.startswith(sanitized(plain)):
            return plain + _mig(text.removeprefix(sanitized(plain)))
    return text


def _mig(profile: str) -> str:
    """`3g_40gb` is `3g.40gb`, `1g_10gb_me_shared` is `1g.10gb.me.shared`."""
    return profile.replace("_", ".")


def resource_matcher(patterns: Iterable[str] = DEFAULT_RESOURCES) -> str:
    """A regular expression for CPU, memory and the GPU resources by their recorded names."""
    gpus = (sanitized(pattern.replace("*", "ANY")).replace("any", ".+") for pattern in patterns)
    return "|".join(("cpu", "memory", *gpus))
