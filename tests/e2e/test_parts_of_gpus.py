"""Slices, shared GPUs and devices held through claims that the real scheduler allocates: each pays its part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.operator_world import Team
from support.rates import until_rates

if TYPE_CHECKING:
    from support.live import Live

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
RESOURCES = "/apis/resource.k8s.io/v1"
DRIVER = "gpu.nvidia.com"
H100 = "NVIDIA-H100-80GB-HBM3"


def create_pod(team: Team, name: str, node: str, limits: Json | None = None, claim: str = "") -> None:
    resources: Json = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": limits or {}}
    spec: Json = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "containers": [{"name": "main", "image": "example.com/main:1", "resources": resources}],
    }
    if claim:
        spec["resourceClaims"] = [{"name": "gpu", "resourceClaimName": claim}]
        resources["claims"] = [{"name": "gpu"}]
    body = {"metadata": {"name": name, "namespace": team.namespace}, "spec": spec}
    team.cluster.api.create(team.path("pods"), {"apiVersion": "v1", "kind": "Pod", **body})


def sliced_node(team: Team, name: str, hourly: str, devices: Json, **labels: str) -> str:
    traits = {f"nvidia.com/gpu.{key}": value for key, value in labels.items()}
    return team.add_node(
        name=name, gpus=0, hourly=hourly, devices=devices, labels={"mark": team.mark, **traits}
    )  # the device plugin and GPU feature discovery write these


def test_slices_and_replicas_pay_their_part_of_the_gpu(live: Live, team: Team) -> None:
    sliced = sliced_node(team, "mig", "7", {"nvidia.com/mig-3g.40gb": "2"}, product=H100, count="1")
    shared = sliced_node(team, "shared", "4", {"nvidia.com/gpu": "4"}, product="NVIDIA-L4", count="1", replicas="4")
    create_pod(team, "slice-a", sliced, {"nvidia.com/mig-3g.40gb": "1"})
    create_pod(team, "slice-b", sliced, {"nvidia.com/mig-3g.40gb": "1"})
    for one in "abc":
        create_pod(team, f"replica-{one}", shared, {"nvidia.com/gpu": "1"})
    halves = dict.fromkeys(("slice-a", "slice-b"), "3.500000")
    until_rates(live, team, {**halves, **dict.fromkeys((f"replica-{one}" for one in "abc"), "1.000000")})


@pytest.fixture
def claimed(team: Team):
    """A node whose two GPUs are given by claims; their class and their slice go with it."""
    node = team.add_node(name="dra", gpus=0, hourly="8")
    device_class = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": f"gpu-{team.mark}"},
        "spec": {"selectors": [{"cel": {"expression": f"device.driver == '{DRIVER}'"}}]},
    }
    attributes = {"type": {"string": "gpu"}, "productName": {"string": "NVIDIA H100 80GB HBM3"}}
    devices = [{"name": f"gpu-{i}", "attributes": attributes} for i in range(2)]
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    resource_slice = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": f"slice-{team.mark}"},
        "spec": {"driver": DRIVER, "nodeName": node, "pool": pool, "devices": devices},
    }
    team.cluster.api.create(f"{RESOURCES}/deviceclasses", device_class)
    team.cluster.api.create(f"{RESOURCES}/resourceslices", resource_slice)
    yield node
    team.cluster.api.delete(f"{RESOURCES}/resourceslices/slice-{team.mark}")
    team.cluster.api.delete(f"{RESOURCES}/deviceclasses/gpu-{team.mark}")


def claim(team: Team, name: str) -> None:
    request = {"name": "gpu", "exactly": {"deviceClassName": f"gpu-{team.mark}"}}
    body = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": team.namespace},
        "spec": {"devices": {"requests": [request]}},
    }
    team.cluster.api.create(f"{RESOURCES}/namespaces/{team.namespace}/resourceclaims", body)


def test_pods_pay_for_the_devices_that_their_claims_were_given(live: Live, team: Team, claimed: str) -> None:
    claim(team, "own")
    claim(team, "common")
    create_pod(team, "alone", claimed, claim="own")
    create_pod(team, "first", claimed, claim="common")
    until_rates(live, team, {"alone": "4.000000", "first": "4.000000"})
    create_pod(team, "second", claimed, claim="common")  # from now on they share one GPU
    until_rates(live, team, {"alone": "4.000000", "first": "2.000000", "second": "2.000000"})
