"""What a node's labels say about how it is paid for and what is in it.

Every provider spells this differently, and several spellings meet on one node (Karpenter on EKS, the NVIDIA device
plugin on GKE). The rest of the core asks one question and gets one answer; the spellings stay here.
Label names as documented by Karpenter, EKS, GKE, AKS and NVIDIA's GPU feature discovery.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from gpucost.core.model import CapacityType

Labels = Mapping[str, str]
Override = tuple[Labels, CapacityType]
"""Labels that a node must have, and what a node that has them all is."""

KARPENTER = "karpenter.sh/capacity-type"
EKS = "eks.amazonaws.com/capacityType"
GKE_SPOT = "cloud.google.com/gke-spot"
GKE_PREEMPTIBLE = "cloud.google.com/gke-preemptible"
GKE_PROVISIONING = "cloud.google.com/gke-provisioning"
AKS = "kubernetes.azure.com/scalesetpriority"

CAPACITY_LABELS: Mapping[str, Mapping[str, CapacityType]] = {
    KARPENTER: {
        "spot": CapacityType.SPOT,
        "on-demand": CapacityType.ON_DEMAND,
        "reserved": CapacityType.RESERVED,
    },
    EKS: {
        "SPOT": CapacityType.SPOT,
        "ON_DEMAND": CapacityType.ON_DEMAND,
        "CAPACITY_BLOCK": CapacityType.RESERVED,
    },
    GKE_SPOT: {"true": CapacityType.SPOT},
    GKE_PREEMPTIBLE: {"true": CapacityType.SPOT},
    GKE_PROVISIONING: {
        "spot": CapacityType.SPOT,
        "preemptible": CapacityType.SPOT,
        "standard": CapacityType.ON_DEMAND,
        "reservation": CapacityType.RESERVED,
    },
    AKS: {"spot": CapacityType.SPOT, "regular": CapacityType.ON_DEMAND},
}
"""Meaning of each value of each capacity-type label, the most specific label first."""


class Provider(StrEnum):
    """Who makes the nodes, and so which labels select them."""

    KARPENTER = "karpenter"
    EKS = "eks"
    GKE = "gke"
    AKS = "aks"


_SIGNS: tuple[tuple[Provider, str], ...] = (
    (Provider.KARPENTER, "karpenter.sh/"),
    (Provider.EKS, "eks.amazonaws.com/"),
    (Provider.GKE, "cloud.google.com/gke-"),
    (Provider.AKS, "kubernetes.azure.com/"),
)


@dataclass(frozen=True, slots=True)
class Traits:
    """What a node is; a trait that no label tells is empty."""

    instance_type: str = ""
    gpu_model: str = ""
    """Such as `H100-80GB-HBM3`, `A100-40GB`, `L4`: upper case, without the brand."""
    region: str = ""
    zone: str = ""


def labelled_capacity(labels: Labels, overrides: Sequence[Override] = ()) -> CapacityType | None:
    """What labels, or a node selector, say of the capacity type; None when they say nothing that is known."""
    for selector, kind in overrides:
        if selector and all(labels.get(key) == value for key, value in selector.items()):
            return kind
    for key, meaning in CAPACITY_LABELS.items():
        if (kind_of := meaning.get(labels.get(key, ""))) is not None:
            return kind_of
    return None


def capacity_type(labels: Labels, overrides: Sequence[Override] = ()) -> CapacityType:
    """How a node is paid for; on-demand where no label says otherwise, as the providers do it."""
    return labelled_capacity(labels, overrides) or CapacityType.ON_DEMAND


def provider_of(labels: Labels) -> Provider | None:
    """Who made a node; Karpenter's labels win over those of the cloud it runs on."""
    for provider, prefix in _SIGNS:
        if any(key.startswith(prefix) for key in labels):
            return provider
    return None


def detect_provider(nodes: Iterable[Labels]) -> Provider | None:
    """Who makes the nodes of a cluster: the provider of most nodes, but Karpenter wherever it has made one.

    Karpenter's own controller runs on nodes that the cloud made, so these say nothing about where work should go.
    """
    found = Counter(provider for labels in nodes if (provider := provider_of(labels)) is not None)
    if Provider.KARPENTER in found:
        return Provider.KARPENTER
    return min(found, key=lambda provider: (-found[provider], provider), default=None)


# --- what is in the node ----------------------------------------------------------------------------------------------

_INSTANCE = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
_REGION = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
_ZONE = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_GPU = (
    "nvidia.com/gpu.product",
    "karpenter.k8s.aws/instance-gpu-name",
    "karpenter.azure.com/sku-gpu-name",
    "cloud.google.com/gke-accelerator",
)
_GPU_MEMORY = ("nvidia.com/gpu.memory", "karpenter.k8s.aws/instance-gpu-memory")  # both in MiB

_BRANDS = frozenset({"", "NVIDIA", "TESLA", "SHARED"})
_MIG = re.compile(r"-MIG-\d+G\.\d+GB.*", re.IGNORECASE)
_SIZES = (16, 20, 24, 32, 40, 48, 64, 80, 94, 96, 141, 180, 192, 288)  # GB, as marketed
_SEVERAL_SIZES = frozenset({"A100", "V100", "H100", "H200", "A30"})
_GKE_NAMES = {"nvidia-tesla-a100": "A100-40GB"}  # GKE's name for the 40 GB model only


def traits(labels: Labels) -> Traits:
    """Instance type, GPU model and place of a node, from whichever label tells them.

    Under MIG's single strategy the label of the memory is that of a slice, so it says nothing about the model.
    """
    product = _first(labels, _GPU)
    return Traits(
        instance_type=_first(labels, _INSTANCE),
        gpu_model=gpu_model(product, memory_mib="" if _MIG.search(product) else _first(labels, _GPU_MEMORY)),
        region=_first(labels, _REGION),
        zone=_first(labels, _ZONE),
    )


def gpu_model(product: str, *, memory_mib: str = "") -> str:
    """Normalise a GPU's name: `NVIDIA-A100-SXM4-40GB` is `A100-SXM4-40GB`, `nvidia-tesla-t4` is `T4`.

    A model sold in several sizes gets its memory when the name lacks it. Words that tell variants apart are kept: a
    price list may name them. Empty stays empty.
    """
    if product in _GKE_NAMES:
        return _GKE_NAMES[product]
    words = [word for word in re.split(r"[^A-Z0-9.]+", _MIG.sub("", product).upper()) if word not in _BRANDS]
    if words and words[0] in _SEVERAL_SIZES and not any(re.fullmatch(r"\d+GB", word) for word in words):
        words += _marketed_size(memory_mib)
    return "-".join(words)


def _marketed_size(memory_mib: str) -> list[str]:
    """`81559` MiB are sold as 80 GB; nothing when it is no number."""
    if not memory_mib.isdigit() or int(memory_mib) == 0:
        return []
    gib = int(memory_mib) / 1024
    return [f"{min(_SIZES, key=lambda size: abs(size - gib))}GB"]


def _first(labels: Labels, keys: Iterable[str]) -> str:
    return next((labels[key] for key in keys if labels.get(key)), "")


# --- parts of a GPU ---------------------------------------------------------------------------------------------------

_FRACTIONS: Mapping[str, Fraction] = {
    "g6f.large": Fraction(1, 8),
    "g6f.xlarge": Fraction(1, 8),
    "g6f.2xlarge": Fraction(1, 4),
    "g6f.4xlarge": Fraction(1, 2),
    "gr6f.4xlarge": Fraction(1, 2),
    "Standard_NV6ads_A10_v5": Fraction(1, 6),
    "Standard_NV12ads_A10_v5": Fraction(1, 3),
    "Standard_NV18ads_A10_v5": Fraction(1, 2),
}
"""Instance types with a part of one GPU, as AWS (EC2 G6f) and Azure (NVadsA10 v5) document them.

To Kubernetes such a node has a whole GPU, and its labels name the whole model.
"""


def gpu_fraction(instance_type: str) -> Fraction | None:
    """The part of one GPU that an instance type has; None for those with whole GPUs, with none, or not known here."""
    return _FRACTIONS.get(instance_type)


def gpus_of(instance_type: str, gpus: int | Fraction) -> int | Fraction:
    """GPUs' worth of hardware in a node that shows `gpus`: never more than the instance type has."""
    part = gpu_fraction(instance_type)
    return part if part is not None and gpus else gpus
