"""What node labels of the providers mean."""

from __future__ import annotations

import pytest

from gpucost.core.capacity import Provider, Traits, capacity_type, detect_provider, gpu_model, provider_of, traits
from gpucost.core.model import CapacityType

SPOT, ON_DEMAND, RESERVED = CapacityType.SPOT, CapacityType.ON_DEMAND, CapacityType.RESERVED


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"karpenter.sh/capacity-type": "spot"}, SPOT),
        ({"karpenter.sh/capacity-type": "on-demand"}, ON_DEMAND),
        ({"karpenter.sh/capacity-type": "reserved"}, RESERVED),
        ({"eks.amazonaws.com/capacityType": "SPOT"}, SPOT),
        ({"eks.amazonaws.com/capacityType": "ON_DEMAND"}, ON_DEMAND),
        ({"eks.amazonaws.com/capacityType": "CAPACITY_BLOCK"}, RESERVED),
        ({"cloud.google.com/gke-spot": "true"}, SPOT),
        ({"cloud.google.com/gke-preemptible": "true"}, SPOT),
        ({"cloud.google.com/gke-nodepool": "a"}, ON_DEMAND),
        ({"kubernetes.azure.com/scalesetpriority": "spot"}, SPOT),
        ({"kubernetes.azure.com/agentpool": "a"}, ON_DEMAND),
        ({"karpenter.sh/capacity-type": "on-demand", "eks.amazonaws.com/capacityType": "SPOT"}, ON_DEMAND),
        ({"cloud.google.com/gke-spot": "false"}, ON_DEMAND),
        ({}, ON_DEMAND),
    ],
)
def test_every_spelling_of_the_capacity_type_is_read(labels: dict[str, str], expected: CapacityType) -> None:
    assert capacity_type(labels) is expected


def test_a_selector_of_the_user_wins_over_the_labels_of_the_provider() -> None:
    labels = {"karpenter.sh/capacity-type": "on-demand", "pool": "cheap", "zone": "a"}
    assert capacity_type(labels, [({"pool": "cheap", "zone": "a"}, SPOT)]) is SPOT
    assert capacity_type(labels, [({"pool": "cheap", "zone": "b"}, SPOT)]) is ON_DEMAND
    assert capacity_type(labels, [({}, SPOT)]) is ON_DEMAND


def test_karpenter_counts_before_the_cloud_it_runs_on() -> None:
    both = {"eks.amazonaws.com/nodegroup": "system", "karpenter.sh/nodepool": "gpu"}
    assert provider_of(both) is Provider.KARPENTER
    eks = {"eks.amazonaws.com/nodegroup": "system"}
    assert detect_provider([eks, eks, both]) is Provider.KARPENTER
    assert detect_provider([eks, {"cloud.google.com/gke-nodepool": "x"}, eks]) is Provider.EKS
    assert detect_provider([{"kubernetes.azure.com/agentpool": "x"}]) is Provider.AKS
    assert detect_provider([{"kubernetes.io/os": "linux"}]) is None


@pytest.mark.parametrize(
    ("product", "memory", "expected"),
    [
        ("NVIDIA-H100-80GB-HBM3", "81559", "H100-80GB-HBM3"),
        ("NVIDIA-A100-SXM4-40GB", "", "A100-SXM4-40GB"),
        ("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", "", "A100-SXM4-40GB"),
        ("Tesla-T4-SHARED", "15360", "T4"),
        ("NVIDIA-L4", "23034", "L4"),
        ("h100", "81920", "H100-80GB"),
        ("a100", "40960", "A100-40GB"),
        ("a100", "lots", "A100"),
        ("nvidia-tesla-t4", "", "T4"),
        ("nvidia-tesla-a100", "", "A100-40GB"),
        ("nvidia-a100-80gb", "", "A100-80GB"),
        ("nvidia-h100-mega-80gb", "", "H100-MEGA-80GB"),
        ("", "", ""),
    ],
)
def test_gpu_models_get_one_name_from_all_spellings(product: str, memory: str, expected: str) -> None:
    assert gpu_model(product, memory_mib=memory) == expected


def test_traits_come_from_whichever_label_tells_them() -> None:
    labels = {
        "node.kubernetes.io/instance-type": "p5.48xlarge",
        "karpenter.k8s.aws/instance-gpu-name": "h100",
        "karpenter.k8s.aws/instance-gpu-memory": "81920",
        "topology.kubernetes.io/region": "us-east-1",
        "failure-domain.beta.kubernetes.io/zone": "us-east-1a",
    }
    assert traits(labels) == Traits("p5.48xlarge", "H100-80GB", "us-east-1", "us-east-1a")
    assert traits({}) == Traits()
