"""Volumes that the real controllers bind, and Services with an address, cost by the hour; what nobody holds idles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from local import wait_for
from support.operator_world import GROUP, Team
from support.rates import rates, until_rates

if TYPE_CHECKING:
    from support.live import Live

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
VOLUMES = "/api/v1/persistentvolumes"


@pytest.fixture
def priced(team: Team) -> Iterator[str]:
    """A class of storage and load balancers of the team's own, with prices."""
    kind = f"test.example/{team.mark}"
    body: Json = {
        "apiVersion": "gpucost.dev/v1alpha1",
        "kind": "PriceBook",
        "metadata": {"name": f"assets-{team.mark}"},
        "spec": {
            "storage": [{"storageClass": f"fast-{team.mark}", "perGiBMonth": "7.30"}],
            "loadBalancers": [{"loadBalancerClass": kind, "hourly": "0.50"}],
        },
    }
    team.cluster.api.create(f"{GROUP}/pricebooks", body)
    yield kind
    team.cluster.api.delete(f"{GROUP}/pricebooks/assets-{team.mark}")


@pytest.fixture
def volume(team: Team) -> Iterator[str]:
    """A volume of 100 GiB that is kept when its claim goes."""
    name = f"volume-{team.mark}"
    spec: Json = {
        "capacity": {"storage": "100Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": f"fast-{team.mark}",
        "persistentVolumeReclaimPolicy": "Retain",
        "csi": {"driver": "test.example", "volumeHandle": name},
    }
    team.cluster.api.create(
        VOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
    )
    yield name
    team.cluster.api.delete(f"{VOLUMES}/{name}")


def create_claim(team: Team, name: str) -> None:
    spec: Json = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": f"fast-{team.mark}",
        "resources": {"requests": {"storage": "100Gi"}},
    }
    metadata = {"name": name, "namespace": team.namespace}
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    team.cluster.api.create(team.path("persistentvolumeclaims"), body)


def test_a_claim_pays_for_its_volume_until_it_is_deleted(live: Live, team: Team, priced: str, volume: str) -> None:
    create_claim(team, "vectors")
    until_rates(live, team, {"vectors": "1.000000"})  # 100 GiB x 7.30 / 730 h
    team.cluster.api.delete(team.path("persistentvolumeclaims", "vectors"))

    def released() -> bool:
        return bool(team.cluster.api.get(f"{VOLUMES}/{volume}")["status"]["phase"] == "Released")

    wait_for(released, 30, "the volume is released")
    until_rates(live, team, {"vectors": "0.000000"})


def test_a_service_pays_for_its_load_balancer_once_it_has_an_address(live: Live, team: Team, priced: str) -> None:
    spec: Json = {"type": "LoadBalancer", "loadBalancerClass": priced, "ports": [{"port": 80}]}
    metadata = {"name": "web", "namespace": team.namespace}
    team.cluster.api.create(
        team.path("services"), {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    )
    assert rates(live, team) == {}
    address: Json = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    team.cluster.api.merge(team.path("services", "web") + "/status", address)
    until_rates(live, team, {"web": "0.500000"})
