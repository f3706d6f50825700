"""The local control plane behaves like a real one in what the operator's accounting and moves rely on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime

import pytest

from local import GpuNode, LocalCluster, wait_for
from local.objects import Manifest, job, pod, run_for

pytestmark = pytest.mark.cluster


@pytest.fixture
def node(cluster: LocalCluster) -> Iterator[str]:
    """A GPU node that only this test's pods select."""
    name = f"gpu-{secrets.token_hex(4)}"
    cluster.add_nodes([GpuNode(name=name)])
    yield name
    cluster.api.delete(f"/api/v1/nodes/{name}")


def on(node: str) -> dict[str, object]:
    return {"nodeSelector": {"kubernetes.io/hostname": node}}


def read_pod(cluster: LocalCluster, namespace: str, name: str) -> Manifest | None:
    return cluster.api.find(f"/api/v1/namespaces/{namespace}/pods/{name}")


def run_pod(cluster: LocalCluster, namespace: str, node: str, name: str, **annotations: str) -> Manifest:
    wanted = {f"gpucost.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    cluster.add_pods([pod(name, namespace, annotations=wanted, **on(node))])

    def running() -> Manifest | None:
        found = read_pod(cluster, namespace, name)
        return found if found and found["status"]["phase"] == "Running" else None

    return wait_for(running, 20, f"pod {name} runs")


def seconds(later: str, earlier: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def ended(cluster: LocalCluster, namespace: str, name: str) -> Manifest:
    """The `terminated` state of a pod's container, read while the pod object still exists."""

    def state() -> Manifest | None:
        found = read_pod(cluster, namespace, name)
        assert found is not None, "the pod went before its container's end was shown"
        return found["status"]["containerStatuses"][0]["state"].get("terminated")

    return wait_for(state, 20, f"container of {name} ended", interval=0.02)


def test_the_real_scheduler_places_a_gpu_pod_and_it_runs(cluster: LocalCluster, namespace: str, node: str) -> None:
    found = run_pod(cluster, namespace, node, "train")

    assert found["spec"]["nodeName"] == node
    assert found["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]


def test_the_real_scheduler_says_why_a_pod_waits_for_gpus(cluster: LocalCluster, namespace: str, node: str) -> None:
    cluster.add_pods([pod("too-big", namespace, gpus=9, **on(node))])

    def reason() -> str:
        found = read_pod(cluster, namespace, "too-big")
        conditions = found["status"].get("conditions", []) if found else []
        return next((c["message"] for c in conditions if c["type"] == "PodScheduled"), "")

    assert "Insufficient nvidia.com/gpu" in wait_for(reason, 20)


@pytest.mark.parametrize(("exit_code", "count"), [(0, "succeeded"), (3, "failed")])
def test_a_job_ends_after_its_running_time_with_its_exit_code(
    cluster: LocalCluster, namespace: str, node: str, exit_code: int, count: str
) -> None:
    cluster.apply(job("train", namespace, annotations=run_for(1, exit_code), **on(node)))

    wait_for(lambda: cluster.api.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/train")["status"].get(count), 30)
    [done] = cluster.api.list(f"/api/v1/namespaces/{namespace}/pods?labelSelector=job-name=train")
    terminated = done["status"]["containerStatuses"][0]["state"]["terminated"]
    assert terminated["exitCode"] == exit_code
    assert seconds(terminated["finishedAt"], terminated["startedAt"]) == pytest.approx(1, abs=1)


def test_a_deleted_pod_shows_when_its_container_ended_before_it_goes(
    cluster: LocalCluster, namespace: str, node: str
) -> None:
    run_pod(cluster, namespace, node, "train", simulated_shutdown="2s")
    deleted = cluster.api.delete(f"/api/v1/namespaces/{namespace}/pods/train")

    terminated = ended(cluster, namespace, "train")

    asked = seconds(deleted["metadata"]["deletionTimestamp"], "1970-01-01T00:00:00Z") - 30  # the grace period
    assert seconds(terminated["finishedAt"], "1970-01-01T00:00:00Z") - asked == pytest.approx(2, abs=1)
    assert terminated["exitCode"] == 143
    wait_for(lambda: read_pod(cluster, namespace, "train") is None, 10, "pod object gone")


def test_a_container_that_ignores_sigterm_is_killed_when_its_grace_period_ends(
    cluster: LocalCluster, namespace: str, node: str
) -> None:
    run_pod(cluster, namespace, node, "stubborn", simulated_shutdown="10m")
    cluster.api.delete(f"/api/v1/namespaces/{namespace}/pods/stubborn", gracePeriodSeconds=2)

    assert ended(cluster, namespace, "stubborn")["exitCode"] == 137


def test_a_running_time_is_not_started_again_by_an_edit_of_the_pod(
    cluster: LocalCluster, namespace: str, node: str
) -> None:
    cluster.apply(job("train", namespace, annotations=run_for(3), **on(node)))
    pods = f"/api/v1/namespaces/{namespace}/pods"

    def running() -> str:
        found = cluster.api.list(pods)
        return found[0]["metadata"]["name"] if found and found[0]["status"]["phase"] == "Running" else ""

    name = wait_for(running, 20)
    counter = iter(range(1000))

    def done() -> bool:
        cluster.api.merge(f"{pods}/{name}", {"metadata": {"annotations": {"edited": str(next(counter))}}})
        return cluster.api.get(f"{pods}/{name}")["status"]["phase"] == "Succeeded"

    wait_for(done, 10, "the pod ends although it is edited all the time", interval=0.5)


def test_a_program_can_run_under_a_service_account_and_its_rbac(cluster: LocalCluster, namespace: str) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    cluster.api.create(accounts, {"metadata": {"name": "nobody"}})

    kubeconfig = cluster.service_account_kubeconfig(namespace, "nobody")

    who = cluster.kubectl(
        "--kubeconfig", str(kubeconfig), "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"
    )
    assert who == f"system:serviceaccount:{namespace}:nobody"
    answer = cluster.kubectl("--kubeconfig", str(kubeconfig), "auth", "can-i", "list", "pods", check=False)
    assert answer.strip() == "no"


def test_the_audit_log_tells_which_verbs_were_used(cluster: LocalCluster, namespace: str) -> None:
    assert f'"namespace":"{namespace}"' in cluster.audit_log.read_text() or wait_for(
        lambda: f'"name":"{namespace}"' in cluster.audit_log.read_text(), 10, "namespace in the audit log"
    )
