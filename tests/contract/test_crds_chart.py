"""The chart on the real API server: what it renders is valid, and its rights are exactly those it means to give."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from subprocess import run

import pytest

from local import LocalCluster
from local.programs import program

pytestmark = pytest.mark.cluster

CHART = Path(__file__).parents[2] / "charts" / "gpucost"


def helm(cluster: LocalCluster, *arguments: str) -> str:
    done = run(
        [str(program("helm")), *arguments], env=cluster.env(), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def release(cluster: LocalCluster, namespace: str) -> Iterator[str]:
    """The chart, installed without what there can be only one of in a cluster."""
    name = f"r{secrets.token_hex(4)}"
    only_ours = "crds.enabled=false,costApi.enabled=false,rbac.aggregateClusterRoles=false,replicaCount=0"
    helm(cluster, "install", name, str(CHART), "-n", namespace, "--set", f"{only_ours},fullnameOverride={name}")
    yield name
    helm(cluster, "uninstall", name, "-n", namespace)


@pytest.mark.parametrize(
    "values",
    [
        "prometheus.url=http://prometheus:9090",
        "replicaCount=0,service.externalName=localhost,service.port=9443,annotations.nodes=true",
        "ledger.urlSecret.name=db,ledger.urlSecret.key=url,replicaCount=2,settings.logFormat=json",
        "ledger.persistence.enabled=false,costApi.enabled=false,crds.keep=false",
        "agent.enabled=true,agent.podUid=true,agent.runtimeClassName=nvidia,agent.priorityClassName=system-node-critical",
    ],
)
def test_the_api_server_accepts_everything_the_chart_renders(
    cluster: LocalCluster, namespace: str, values: str
) -> None:
    text = helm(cluster, "template", f"r{secrets.token_hex(4)}", str(CHART), "-n", namespace, "--set", values)
    applied = cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-", input=text
    )
    assert applied.count("serverside-applied (server dry run)") == text.count("\nkind: ")


def may(cluster: LocalCluster, account: str, *question: str) -> bool:
    return cluster.kubectl("auth", "can-i", *question, "--as", account, check=False).strip().startswith("yes")


def test_the_operator_may_do_its_work_and_nothing_else(cluster: LocalCluster, namespace: str, release: str) -> None:
    account = f"system:serviceaccount:{namespace}:{release}"
    everywhere = ("--all-namespaces",)
    allowed = [
        ("watch", "pods", *everywhere),
        ("list", "nodes"),
        ("patch", "namespaces"),
        ("create", "jobs.batch", *everywhere),
        ("patch", "jobs.batch", *everywhere),
        ("create", "services", *everywhere),
        ("create", "events.events.k8s.io", *everywhere),
        ("watch", "trainingjobs.gpucost.dev", *everywhere),
        ("patch", "trainingjobs.gpucost.dev", "--subresource=status", *everywhere),
        ("delete", "trainingjobs.gpucost.dev", *everywhere),  # runs that it has made itself, beyond their history limit
        ("patch", "pricebooks.gpucost.dev", "--subresource=status"),
        ("patch", "inferenceendpoints.gpucost.dev", "--subresource=status", *everywhere),
        ("patch", "deployments.apps", "--subresource=scale", *everywhere),
        ("get", "deployments.apps", *everywhere),  # who owns the workload of an endpoint
        ("watch", "horizontalpodautoscalers.autoscaling", *everywhere),
        ("create", "leases.coordination.k8s.io", "-n", namespace),
        ("update", "leases.coordination.k8s.io/gpucost-operator", "-n", namespace),
    ]
    refused = [
        ("get", "secrets", *everywhere),
        ("delete", "jobs.batch", *everywhere),
        ("delete", "pods", *everywhere),
        ("create", "pods", *everywhere),
        ("patch", "nodes"),
        ("patch", "trainingjobs.gpucost.dev", *everywhere),
        ("patch", "inferenceendpoints.gpucost.dev", *everywhere),
        ("patch", "deployments.apps", *everywhere),
        ("list", "deployments.apps", *everywhere),
        ("update", "leases.coordination.k8s.io/another", "-n", namespace),
        ("create", "leases.coordination.k8s.io", "-n", "default"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
    ]
    assert [question for question in allowed if not may(cluster, account, *question)] == []
    assert [question for question in refused if may(cluster, account, *question)] == []


def test_an_upgrade_changes_only_what_was_asked(cluster: LocalCluster, namespace: str, release: str) -> None:
    account = f"system:serviceaccount:{namespace}:{release}"
    helm(cluster, "upgrade", release, str(CHART), "-n", namespace, "--reuse-values", "--set", "annotations.nodes=true")
    assert may(cluster, account, "patch", "nodes")
    assert not may(cluster, account, "delete", "jobs.batch", "--all-namespaces")
