"""Endpoints over workloads of other projects: whose pods are theirs, what these cost, and who else scales them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local import queues, wait_for
from local.webhooks import JOINED
from support import session_cluster
from support.foreign_kinds import define, make, owner, path
from support.operator_world import COSTS, Json, Team, costs, fetch
from support.served import Served, load

if TYPE_CHECKING:
    from support.live import Live

pytestmark = pytest.mark.cluster

LWS = "leaderworkerset.x-k8s.io/v1"
ROLLOUT = "argoproj.io/v1alpha1"
KEDA, KEDA_HTTP = "keda.sh/v1alpha1", "http.keda.sh/v1alpha1"
KNATIVE, KSERVE = "serving.knative.dev/v1", "serving.kserve.io/v1beta1"


@pytest.fixture
def served(team: Team) -> Served:
    team.add_node(gpus=8)
    return Served(team)


def until_booked_on(live: Live, team: Team, *workloads: str) -> None:
    """Wait until the team's costs are booked on these workloads and no others."""
    seen: list[set[str]] = []

    def is_so() -> bool:
        found = costs(live.api_url, team.namespace, "workload", "1h")
        seen[:] = [{item["key"].removeprefix(f"{team.namespace}/") for item in found["items"]}]
        return seen == [set(workloads)]

    wait_for(is_so, 15, lambda: f"booked on {workloads}: {seen}")


# --- groups of pods ---------------------------------------------------------------------------------------------------


def groups(served: Served, replicas: int) -> Json:
    """A LeaderWorkerSet of groups of two pods with a GPU each, once its webhooks are asked in this namespace."""
    template = served.team.template(gpus=1)
    template["metadata"]["labels"] = {"app": served.name}
    spec = {"replicas": replicas, "leaderWorkerTemplate": {"size": 2, "workerTemplate": template}}

    def with_defaults() -> bool:
        tried = make(served.team, "LeaderWorkerSet", LWS, served.name, spec=spec, query="?dryRun=All")
        return "networkConfig" in tried["spec"]

    wait_for(with_defaults, 20, "its controller fills in what it cannot do without")
    return make(served.team, "LeaderWorkerSet", LWS, served.name, spec=spec)


def test_groups_of_pods_are_replicas_and_cost_what_all_their_pods_cost(live: Live, served: Served) -> None:
    """The real controller of LeaderWorkerSets makes the pods: leaders of one StatefulSet, workers of one each."""
    team = served.team
    session_cluster.with_controller(queues.LWS)
    team.cluster.api.merge(f"/api/v1/namespaces/{team.namespace}", {"metadata": {"labels": {JOINED: "true"}}})
    groups(served, 1)
    target = {"apiVersion": LWS, "kind": "LeaderWorkerSet", "name": served.name}
    served.serve(scaleTargetRef=target, minReplicas=2)
    wait_for(lambda: len(served.pods()) == 4, 60, lambda: f"two groups: {served.status()}")
    wait_for(lambda: served.status().get("cost", {}).get("hourly") == "27.52", 30, lambda: f"costs: {served.status()}")
    until_booked_on(live, team, f"LeaderWorkerSet/{served.name}")
    unit = fetch(f"{live.api_url}{COSTS}/namespaces/{team.namespace}/unitcosts/{served.name}?window=1h")
    assert (unit["workload"], unit["hourly"]) == (f"LeaderWorkerSet/{served.name}", "27.520000")
    names = {pod["metadata"]["name"] for pod in served.pods()}

    def explained() -> set[str]:
        where = f"{COSTS}/namespaces/{team.namespace}/allocations/lws.{served.name}?window=1h"
        return {line["pod"] for line in fetch(f"{live.api_url}{where}")["lines"]}

    wait_for(lambda: explained() == names, 20, lambda: f"all pods are booked on it: {explained()}")

    served.annotate(paused_replicas="1")
    [note] = wait_for(lambda: [one for one in served.events("ReplicasRightSized") if "2 -> 1" in one], 30, "fewer")
    assert "13.76" in note, "a replica costs what its two pods cost"

    inner = Served(team, "inner")
    inner.serve(scaleTargetRef={"kind": "StatefulSet", "name": served.name}, minReplicas=3)
    conflict = inner.until("Ready", "Conflict")["message"]
    assert conflict.startswith(f"LeaderWorkerSet {served.name} sets the replicas of StatefulSet/{served.name}")


def test_pods_are_found_by_their_owners_or_else_by_the_selector_of_the_workload(live: Live, served: Served) -> None:
    """Rollouts of Argo: the pods of one name it by the hash of its ReplicaSet, those of the other name nothing."""
    team, other = served.team, Served(served.team, "other")
    define(team, "Rollout", ROLLOUT, scale=True)
    for one, name, labels in (
        (served, f"{served.name}-abc12", {"rollouts-pod-template-hash": "abc12"}),
        (other, "anything", {}),
    ):
        body = make(team, "Rollout", ROLLOUT, one.name, spec={"replicas": 1})
        status = {"status": {"replicas": 1, "selector": f"app={one.name}"}}
        team.cluster.api.merge(f"{path(team, 'Rollout', ROLLOUT, one.name)}/status", status)
        owned_set(one, name, owner(body), labels)
        one.serve(scaleTargetRef={"apiVersion": ROLLOUT, "kind": "Rollout", "name": one.name}, minReplicas=3)
    for one in (served, other):
        where = path(team, "Rollout", ROLLOUT, one.name)

        def is_done(one: Served = one, where: str = where) -> bool:
            replicas = team.cluster.api.get(where)["spec"]["replicas"]
            return replicas == 3 and one.status().get("cost", {}).get("hourly") == "6.88"

        wait_for(is_done, 40, lambda one=one: f"it is scaled and costs something: {one.status()}")
    until_booked_on(live, team, f"Rollout/{served.name}", f"Rollout/{other.name}")


def owned_set(served: Served, name: str, by: Json, labels: dict[str, str]) -> None:
    """A ReplicaSet as another controller makes it; the real one makes its pod."""
    labels = {"app": served.name, **labels}
    template = served.team.template(gpus=1)
    template["metadata"]["labels"] = labels
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name, "namespace": served.team.namespace, "labels": labels, "ownerReferences": [by]}
    body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}
    served.team.cluster.api.create(f"/apis/apps/v1/namespaces/{served.team.namespace}/replicasets", body)


# --- who else scales them ---------------------------------------------------------------------------------------------


def owned_by(served: Served, body: Json) -> None:
    """Make the Deployment another controller's."""
    where = f"/apis/apps/v1/namespaces/{served.team.namespace}/deployments/{served.name}"
    served.team.cluster.api.merge(where, {"metadata": {"ownerReferences": [owner(body)]}})


def test_whoever_scales_or_has_made_a_workload_is_named_and_not_fought(served: Served) -> None:
    team = served.team
    knative, kserve = Served(team, "knative"), Served(team, "kserve")
    for kind, version in (("ScaledObject", KEDA), ("Revision", KNATIVE), ("InferenceService", KSERVE)):
        define(team, kind, version)
    for one in (served, knative, kserve):
        one.deploy(1)
    scaled: dict[str, Any] = {"scaleTargetRef": {"name": served.name}}
    make(team, "ScaledObject", KEDA, "their-scaler", spec=scaled)
    owned_by(knative, make(team, "Revision", KNATIVE, "knative-00001"))
    owned_by(kserve, make(team, "InferenceService", KSERVE, "kserve"))
    kserve.autoscale()
    # The operator asks with every pass for kinds that were not there, and this pass may be the first one with KEDA.
    wait_for(lambda: team.cluster.api.list(path(team, "ScaledObject", KEDA)), 10, "the scaler is there")
    served.serve(mode="Recommend")
    wait_for(
        lambda: "ScaledObject their-scaler" in served.condition("Ready").get("message", ""),
        30,
        lambda: f"seen beside a recommendation: {served.status()}",
    )
    for one in (served, knative, kserve):
        (one.change if one is served else one.serve)(mode="Auto", minReplicas=2)
    told = {one.name: one.until("Ready", "Conflict")["message"] for one in (served, knative, kserve)}
    assert told[served.name].startswith(f"ScaledObject their-scaler sets the replicas of Deployment/{served.name}")
    assert told["knative"] == (
        "Revision knative-00001 sets the replicas of Deployment/knative: "
        "Revision knative-00001 has made it: set the number there, or use mode Recommend here"
    )
    assert "HorizontalPodAutoscaler their-hpa and InferenceService kserve set the replicas" in told["kserve"]
    assert "gpucost.dev/owner-leaves-replicas: 'true'" in told["kserve"]
    assert {one.replicas() for one in (served, knative, kserve)} == {1}

    team.cluster.api.delete(path(team, "ScaledObject", KEDA, "their-scaler"))
    team.cluster.api.delete(f"{kserve.autoscalers()}/their-hpa")
    for one in (knative, kserve):
        one.annotate(owner_leaves_replicas="true")
    served.until_replicas(2)
    kserve.until_replicas(2)
    assert knative.replicas() == 1
    assert knative.condition("Ready")["reason"] == "Conflict"


def test_an_interceptor_that_scales_nothing_itself_holds_requests(served: Served) -> None:
    """KEDA's HTTP add-on: an HTTPScaledObject that routes to the workload and leaves its replicas alone."""
    team = served.team
    define(team, "HTTPScaledObject", KEDA_HTTP)
    spec = {"hosts": ["llama.example.com"], "scaleTargetRef": {"kind": "Deployment", "name": served.name}}
    make(team, "HTTPScaledObject", KEDA_HTTP, "route", spec=spec)
    served.deploy(1)
    zero = {"enabled": True, "idleAfter": "1s", "holder": {"type": "KedaHttp", "name": "route"}}
    served.serve(metrics=load(0), capacity={"requestsPerSecond": "10"}, scaleToZero=zero)
    kept = wait_for(lambda: served.status().get("coldStart", {}).get("kept"), 60, lambda: f"it says: {served.status()}")
    assert kept.startswith(f"HTTPScaledObject route scales Deployment/{served.name} itself: annotate it with")
    assert served.replicas() == 1

    skip = {"metadata": {"annotations": {"httpscaledobject.keda.sh/skip-scaledobject-creation": "true"}}}
    team.cluster.api.merge(path(team, "HTTPScaledObject", KEDA_HTTP, "route"), skip)
    served.until_replicas(0, timeout=60)
