"""How a pod template asks for nodes with another GPU: by the label that those nodes have, whoever makes them.

Nodes tell their GPU in labels of the cloud, of Karpenter, or of NVIDIA's GPU feature discovery. Whoever makes nodes on
demand knows its own label only, so that one goes first. What the template may have selected its present nodes by
(another of these labels, the instance type) is taken away: no node could satisfy both.
"""

from __future__ import annotations

from collections.abc import Mapping

_KARPENTER, _AZURE = "karpenter.k8s.aws/instance-gpu-name", "karpenter.azure.com/sku-gpu-name"
_GKE, _PRODUCT = "cloud.google.com/gke-accelerator", "nvidia.com/gpu.product"
_LABELS = (_KARPENTER, _AZURE, _GKE, _PRODUCT)
_INSTANCE_TYPE = "node.kubernetes.io/instance-type"
_PRODUCTS: Mapping[str, str] = {
    # The driver's name with dashes, as GPU feature discovery writes it; the first of several modules.
    "H200": "NVIDIA-H200",
    "H100": "NVIDIA-H100-80GB-HBM3",
    "H100 PCIE": "NVIDIA-H100-PCIe",
    "H100 NVL": "NVIDIA-H100-NVL",
    "A100": "NVIDIA-A100-SXM4-40GB",
    "A100 80GB": "NVIDIA-A100-SXM4-80GB",
    "L40S": "NVIDIA-L40S",
    "L40": "NVIDIA-L40",
    "A40": "NVIDIA-A40",
    "L4": "NVIDIA-L4",
    "A10G": "NVIDIA-A10G",
    "T4": "Tesla-T4",
    "V100": "Tesla-V100-SXM2-16GB",
    "V100 32GB": "Tesla-V100-SXM2-32GB",
}
_GKE_NAMES: Mapping[str, str] = {
    "H200": "nvidia-h200-141gb",
    "H100": "nvidia-h100-80gb",
    "A100": "nvidia-tesla-a100",
    "A100 80GB": "nvidia-a100-80gb",
    "L4": "nvidia-l4",
    "T4": "nvidia-tesla-t4",
    "V100": "nvidia-tesla-v100",
}

Labels = Mapping[str, str]


def selecting(name: str, own: Labels, there: Labels | None) -> dict[str, str | None]:
    """Entries of a `nodeSelector` for the GPU of that name (as data sheets have it); None takes an entry away.

    `own` are the labels of a node that the pods run on now, `there` those of a node that has the GPU, if there is one.
    """
    known = own if there is None else there
    key = next((key for key in _LABELS if known.get(key)), _PRODUCT)
    value = there[key] if there is not None and there.get(key) else _called(key, name)
    away = [other for other in (*_LABELS, _INSTANCE_TYPE) if other != key and own.get(other)]
    return {key: value, **dict.fromkeys(away)}


def _called(key: str, name: str) -> str:
    """What such a label says of a GPU that no node of the cluster has."""
    if key == _PRODUCT:
        return _PRODUCTS.get(name, name)
    if key == _GKE:
        return _GKE_NAMES.get(name, f"nvidia-{name.lower().replace(' ', '-')}")
    first = name.split(maxsplit=1)[0]
    return first.lower() if key == _KARPENTER else first
