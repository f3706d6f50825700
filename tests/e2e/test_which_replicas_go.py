"""Which pods a scale-down removes, decided by the real ReplicaSet controller from the marks that are written."""

from __future__ import annotations

from typing import Any

import pytest

from local import wait_for
from support.operator_world import Team
from support.served import Served, load

pytestmark = pytest.mark.cluster
RBAC = "/apis/rbac.authorization.k8s.io/v1"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def answering(busy: list[str], others: list[str]) -> dict[str, Any]:
    """A load under which some pods answer somebody and the others nobody."""
    each = [f'label_replace(vector({int(name in busy)}), "pod", "{name}", "", "")' for name in (*busy, *others)]
    found = load(1)
    return {"queries": {**found["queries"], "running": " or ".join(each)}}


def may_patch_pods(team: Team) -> None:
    """What `endpoints.podDeletionCost: true` in the chart grants, in this namespace."""
    name, space = "marks-pods", team.namespace
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]}
    meta = {"name": name, "namespace": space}
    team.cluster.api.create(f"{RBAC}/namespaces/{space}/roles", {"kind": "Role", "metadata": meta, "rules": [rule]})
    account = {"kind": "ServiceAccount", "name": "gpucost", "namespace": "gpucost-system"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    binding = {"kind": "RoleBinding", "metadata": meta, "roleRef": role, "subjects": [account]}
    team.cluster.api.create(f"{RBAC}/namespaces/{space}/rolebindings", binding)


def test_a_scale_down_takes_those_that_answer_nobody_or_none(team: Team) -> None:
    team.add_node(gpus=8)
    served = Served(team)
    served.deploy(4)
    served.until_replicas(4)
    busy, free = (names := sorted(pod["metadata"]["name"] for pod in served.pods()))[:2], names[2:]
    served.serve(minReplicas=4, podDeletionCost=True, metrics=answering(busy, free))
    served.until("MetricsAvailable", "MetricsFound")

    served.annotate(paused_replicas="2")
    refused = served.until("Ready", "ScaleRefused")
    assert "endpoints.podDeletionCost" in refused["message"]
    assert served.replicas() == 4

    may_patch_pods(team)
    served.until_replicas(2)
    assert sorted(pod["metadata"]["name"] for pod in served.pods()) == busy
    assert not any(DELETION_COST in (pod["metadata"].get("annotations") or {}) for pod in served.pods())

    served.annotate(paused_replicas="1")
    refused = wait_for(
        lambda: (one := served.condition("Ready")).get("reason") == "ScaleRefused" and one, 30, "both answer somebody"
    )
    assert "0 of 1 replicas" in refused["message"]
    assert served.replicas() == 2
