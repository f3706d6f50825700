"""The plan's patches are what a real API server, Job controller and scheduler accept and follow, for every provider."""

from __future__ import annotations

import http.client
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gpucost.core.actions import CreateJob, CreateService, PatchJob
from gpucost.core.capacity import AKS, EKS, GKE_SPOT, KARPENTER, Provider
from gpucost.core.model import Key
from gpucost.core.training.plan import TrainingContext, TrainingState, plan
from gpucost.core.training.spec import PlacementPolicy, PlacementSpec, TrainingSpec
from gpucost.sources.records import job_record, node_record, pod_record
from local import GpuNode, LocalCluster, wait_for
from local.api_client import ApiError

pytestmark = pytest.mark.cluster

LABELS = {
    Provider.KARPENTER: ({KARPENTER: "spot"}, {KARPENTER: "on-demand"}),
    Provider.EKS: ({EKS: "SPOT"}, {EKS: "ON_DEMAND"}),
    Provider.GKE: ({GKE_SPOT: "true"}, {}),
    Provider.AKS: ({AKS: "spot"}, {}),
}
TAINTS = {
    Provider.GKE: ({"key": GKE_SPOT, "value": "true", "effect": "NoSchedule"},),
    Provider.AKS: ({"key": AKS, "value": "spot", "effect": "NoSchedule"},),
}


@dataclass
class Run:
    """One TrainingJob on the real control plane, with nodes that only its pods can use."""

    cluster: LocalCluster
    namespace: str
    provider: Provider
    mark: str
    uid: str
    spec: TrainingSpec

    def path(self, kind: str = "jobs") -> str:
        group = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
        return f"{group}/namespaces/{self.namespace}/{kind}"

    def job(self) -> dict[str, Any] | None:
        return self.cluster.api.find(f"{self.path()}/bert")

    def step(self) -> TrainingState:
        body = self.job()
        pods = [] if body is None else self.cluster.api.list(self.path("pods"))
        nodes = self.cluster.api.list(f"/api/v1/nodes?labelSelector=mark%3D{self.mark}")
        state = TrainingState(
            Key(self.namespace, "bert"),
            self.uid,
            1,
            {},
            self.spec,
            job=None if body is None else job_record(body),
            pods=tuple(map(pod_record, pods)),
            service_exists=self.cluster.api.find(f"{self.path('services')}/bert") is not None,
        )
        known = {node.name: node for node in map(node_record, nodes)}
        for action in plan(state, TrainingContext(time.time_ns() // 1000, self.provider, known)).actions:
            self.write(action)
        return state

    def write(self, action: Any) -> None:
        match action:
            case CreateJob(manifest=manifest):
                self.cluster.api.create(f"{self.path()}?fieldManager=gpucost", dict(manifest))
            case CreateService(manifest=manifest):
                self.cluster.api.create(self.path("services"), dict(manifest))
            case PatchJob() as change:
                body: Any = change.patch
                version = {"uid": change.uid, "resourceVersion": change.resource_version}
                patch = {**body, "metadata": {**body["metadata"], **version}}
                self._merge(patch)

    def _merge(self, patch: dict[str, Any]) -> None:
        """A conflict means that the world moved: the next step decides again."""
        try:
            self.cluster.api.merge(f"{self.path()}/bert?fieldManager=gpucost", patch)
        except ApiError as error:
            if error.status != http.client.CONFLICT:
                raise

    def nodes(self) -> list[str]:
        """Names of the nodes on which both workers run; empty while they do not."""
        self.step()
        pods = [pod for pod in self.cluster.api.list(self.path("pods")) if pod["status"].get("phase") == "Running"]
        names = [pod["spec"]["nodeName"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return sorted(set(names)) if len(names) == 2 else []

    def runs_on(self, node: str) -> None:
        wait_for(lambda: self.nodes() == [f"{node}-{self.mark}"], 60, f"both workers run on the {node} node")


def template(mark: str) -> dict[str, Any]:
    """A pod template with scheduling wishes of its own, which every move must leave alone."""
    term = {"matchExpressions": [{"key": "mark", "operator": "In", "values": [mark]}]}
    required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    return {
        "spec": {
            "containers": [{"name": "train", "image": "example.com/train:1"}],
            "tolerations": [{"key": "mine", "operator": "Exists"}],
            "affinity": required,
            "terminationGracePeriodSeconds": 1,
        }
    }


@pytest.fixture(params=list(Provider))
def run(request: pytest.FixtureRequest, cluster: LocalCluster, namespace: str) -> Iterator[Run]:
    provider, mark = request.param, secrets.token_hex(4)
    spot, on_demand = LABELS[provider]
    base = {"mark": mark}
    cluster.add_nodes(
        [
            GpuNode(name=f"spot-{mark}", capacity_type="", labels={**base, **spot}, taints=TAINTS.get(provider, ())),
            GpuNode(name=f"dear-{mark}", capacity_type="", labels={**base, **on_demand}),
        ]
    )
    spec = TrainingSpec(template=template(mark), workers=2, gpus_per_worker=4)
    body = {
        "apiVersion": "gpucost.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "bert", "namespace": namespace},
        "spec": {"template": spec.template, "workers": 2, "gpusPerWorker": 4},
    }
    made = cluster.api.create(f"/apis/gpucost.dev/v1alpha1/namespaces/{namespace}/trainingjobs", body)
    yield Run(cluster, namespace, provider, mark, made["metadata"]["uid"], spec)
    for node in ("spot", "dear"):
        cluster.api.delete(f"/api/v1/nodes/{node}-{mark}")


def test_a_real_job_moves_to_spot_and_back(run: Run) -> None:
    run.runs_on("dear")
    first = run.job()
    assert first is not None
    run.spec = replace(run.spec, placement=PlacementSpec(PlacementPolicy.SPOT))
    run.runs_on("spot")
    run.spec = replace(run.spec, placement=PlacementSpec(PlacementPolicy.ON_DEMAND))
    run.runs_on("dear")
    last = run.job()
    assert last is not None
    assert last["spec"]["template"]["spec"] == first["spec"]["template"]["spec"]
    assert last["status"].get("failed", 0) == 0


def test_the_api_server_tells_who_suspended_last(cluster: LocalCluster, namespace: str) -> None:
    spec = TrainingSpec(template=template("none"), workers=2)
    body = {
        "apiVersion": "gpucost.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "bert", "namespace": namespace},
        "spec": {"template": spec.template, "workers": 2},
    }
    made = cluster.api.create(f"/apis/gpucost.dev/v1alpha1/namespaces/{namespace}/trainingjobs", body)
    run = Run(cluster, namespace, Provider.EKS, "none", made["metadata"]["uid"], spec)
    run.step()
    run.spec = replace(spec, suspend=True)
    wait_for(lambda: run.step() and suspender(run) == ["gpucost"], 20, "the operator has suspended the Job")
    for wanted in (False, True):
        cluster.api.merge(f"{run.path()}/bert?fieldManager=kubectl-patch", {"spec": {"suspend": wanted}})
    assert suspender(run) == ["kubectl-patch"]


def suspender(run: Run) -> list[str]:
    body = run.job()
    assert body is not None
    entries = body["metadata"]["managedFields"]
    return [entry["manager"] for entry in entries if "f:suspend" in entry["fieldsV1"].get("f:spec", {})]
