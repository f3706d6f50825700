"""The operator runs as a process under the chart's RBAC, survives kill -9, and is reachable through the API server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from local import LocalCluster, OperatorProcess, wait_for
from local.operator_process import CRDS
from support.live import Live

pytestmark = pytest.mark.cluster


def test_the_shared_operator_is_ready_and_serves_its_metrics(live: Live) -> None:
    with urlopen(f"{live.metrics_url}/metrics", timeout=10) as answer:
        assert "gpucost_conservation_difference" in answer.read().decode()


def test_an_operator_can_be_killed_and_started_again_on_the_same_ledger(
    own_cluster: Callable[..., LocalCluster], operator_factory: Callable[..., OperatorProcess], tmp_path: Path
) -> None:
    cluster = own_cluster("killed", base=tmp_path)
    cluster.install_crds(CRDS)
    operator = operator_factory(cluster).start()
    first = operator.pid

    operator.kill9()
    assert not operator.running()
    operator.start()

    assert operator.pid != first
    assert operator.ledger.exists()
    assert operator.stop() == 0


def test_the_chart_without_a_replica_leaves_no_pod_of_the_operator(live: Live) -> None:
    pods = live.cluster.api.list("/api/v1/namespaces/gpucost-system/pods")

    assert pods == []


def test_the_cost_api_answers_through_the_api_server(live: Live) -> None:
    def available() -> bool:
        service = live.cluster.api.get("/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.cost.gpucost.dev")
        return any(c["type"] == "Available" and c["status"] == "True" for c in service["status"]["conditions"])

    wait_for(available, 60, "the aggregated API is available")
    resources = live.cluster.api.get("/apis/cost.gpucost.dev/v1alpha1")["resources"]
    assert "allocations" in {resource["name"] for resource in resources}
