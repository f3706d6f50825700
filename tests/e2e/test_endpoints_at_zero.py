"""The last replica goes when nobody asks and somebody holds requests, and comes back when it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from local import wait_for
from support.operator_world import Team
from support.served import Served, load

pytestmark = pytest.mark.cluster

HOLDS = "gpucost.dev/holds"


@pytest.fixture
def served(team: Team) -> Served:
    team.add_node(gpus=8)
    return Served(team)


def gateway(team: Team) -> str:
    """A gateway's Service with an endpoint that is ready; it does not say yet for whom it holds requests."""
    metadata = {"name": "gateway", "namespace": team.namespace}
    ports = [{"port": 80, "protocol": "TCP"}]
    team.cluster.api.create(team.path("services"), {"metadata": metadata, "spec": {"ports": ports}})
    labels = {"kubernetes.io/service-name": "gateway"}
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{team.namespace}/endpointslices"
    body = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.7"], "conditions": {"ready": True}}],
        "ports": ports,
    }
    team.cluster.api.create(slices, body)
    return team.path("services", "gateway")


def test_the_last_replica_goes_only_with_a_holder_and_comes_back_when_it_is_woken(served: Served) -> None:
    service = gateway(served.team)
    served.deploy(1)
    holder = {"type": "Gateway", "name": "gateway"}
    zero = {"enabled": True, "idleAfter": "1s", "holder": holder}
    served.serve(metrics=load(0), capacity={"requestsPerSecond": "10"}, scaleToZero=zero)
    served.until("MetricsAvailable", "MetricsFound", 60)
    wait_for(lambda: served.condition("Ready")["reason"] == "Scaled", 60, lambda: f"it stays: {served.status()}")
    assert served.replicas() == 1

    said = {"metadata": {"annotations": {HOLDS: f"{served.team.namespace}/{served.name}"}}}
    served.team.cluster.api.merge(service, said)
    served.until_replicas(0, timeout=90)
    wait_for(lambda: any("no request for" in note for note in served.events("ReplicasRightSized")), 20, "it is told")
    asleep = "nobody asks; requests are held"
    wait_for(lambda: served.condition("Ready")["message"].startswith(asleep), 40, lambda: f"asleep: {served.status()}")
    assert served.condition("Ready")["reason"] == "ScaledToZero"

    zero["idleAfter"] = "1h"
    served.change(scaleToZero=zero)
    served.annotate(wake=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    served.until_replicas(1, timeout=60)
    told = wait_for(lambda: [one for one in served.status()["scalingHistory"] if one["reason"] == "Woken"], 20, "told")
    assert [(one["before"], one["after"]) for one in told] == [(0, 1)]

    zero["idleAfter"] = "1s"
    served.change(scaleToZero=zero)
    served.until_replicas(0, timeout=90)
    served.team.cluster.api.delete(service)
    served.until_replicas(1, timeout=60)
    wait_for(
        lambda: any("requests are not held any more" in note for note in served.events("ReplicasRightSized")),
        20,
        "it is told",
    )
