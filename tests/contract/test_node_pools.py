"""The real Karpenter makes and removes nodes in the local cluster."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from local import LocalCluster, namespace, wait_for
from local.karpenter import CAPACITY_TYPE, CPU, Karpenter
from local.objects import Manifest, pod

pytestmark = pytest.mark.cluster

# The pool too: other tests put nodes of their own into this cluster, which would take the pods.
SPOT = {"nodeSelector": {CAPACITY_TYPE: "spot", "karpenter.sh/nodepool": "h100-spot"}}


@pytest.fixture
def team(cluster_with_karpenter: LocalCluster) -> Iterator[str]:
    name = f"t-{secrets.token_hex(5)}"
    cluster_with_karpenter.apply(namespace(name))
    yield name
    cluster_with_karpenter.api.delete(f"/api/v1/namespaces/{name}")


def node_of(karpenter: Karpenter, team: str, name: str) -> Manifest:
    api = karpenter.cluster.api

    def running() -> Manifest | None:
        found = api.get(f"/api/v1/namespaces/{team}/pods/{name}")
        return found if found["status"]["phase"] == "Running" else None

    placed = wait_for(running, 60, f"pod {name} runs")
    return api.get(f"/api/v1/nodes/{placed['spec']['nodeName']}")


def is_gone(karpenter: Karpenter, node: Manifest) -> bool:
    return karpenter.cluster.api.find(f"/api/v1/nodes/{node['metadata']['name']}") is None


def test_a_pod_that_selects_spot_gets_a_spot_node_that_goes_when_it_is_empty(karpenter: Karpenter, team: str) -> None:
    karpenter.cluster.add_pods([pod("train", team, gpus=8, **SPOT)])

    node = node_of(karpenter, team, "train")

    labels = node["metadata"]["labels"]
    assert labels[CAPACITY_TYPE] == "spot"
    assert labels["node.kubernetes.io/instance-type"] == "p5.48xlarge"
    assert node["status"]["capacity"]["nvidia.com/gpu"] == "8"
    assert node["status"]["capacity"]["cpu"] == "192"
    karpenter.cluster.api.delete(f"/api/v1/namespaces/{team}/pods/train")
    wait_for(lambda: is_gone(karpenter, node), 90, "the empty node goes")


def test_a_pod_that_selects_no_capacity_type_gets_an_on_demand_node(karpenter: Karpenter, team: str) -> None:
    # Its type is used by no other test, so that no spot node which is just empty can take the pod.
    kind = {"nodeSelector": {"node.kubernetes.io/instance-type": CPU.name}}
    karpenter.cluster.add_pods([pod("serve", team, gpus=0, **kind)])

    assert node_of(karpenter, team, "serve")["metadata"]["labels"][CAPACITY_TYPE] == "on-demand"


def test_an_interrupted_node_lets_its_pods_end_before_it_goes(karpenter: Karpenter, team: str) -> None:
    slow = {"gpucost.dev/simulated-shutdown": "2s"}
    karpenter.cluster.add_pods([pod("train", team, gpus=8, annotations=slow, **SPOT)])
    node = node_of(karpenter, team, "train")

    karpenter.interrupt(node["metadata"]["name"])

    def ended() -> Manifest | None:
        found = karpenter.cluster.api.get(f"/api/v1/namespaces/{team}/pods/train")
        return found["status"]["containerStatuses"][0]["state"].get("terminated")

    assert wait_for(ended, 30)["exitCode"] == 143
    wait_for(lambda: is_gone(karpenter, node), 60, "the interrupted node goes")


def test_a_lost_node_vanishes_at_once(karpenter: Karpenter, team: str) -> None:
    karpenter.cluster.add_pods([pod("train", team, gpus=8, **SPOT)])
    node = node_of(karpenter, team, "train")

    karpenter.lose(node["metadata"]["name"])

    assert is_gone(karpenter, node)
