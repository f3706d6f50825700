"""Fixtures that every test may use: the real control plane, a fresh namespace, waiting instead of sleeping."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local import LocalCluster, OperatorProcess, wait_for
from local import namespace as namespace_manifest
from local.karpenter import Karpenter
from support import session_cluster
from support.live import Live

LOG_TAIL = 6000
_operators = pytest.StashKey[list[OperatorProcess]]()


def pytest_configure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        session_cluster.open_session()


def pytest_unconfigure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        session_cluster.close_session()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show the operators' logs where a test with an operator fails."""
    report: pytest.TestReport = yield
    if report.failed:
        for process in item.stash.get(_operators, []):
            report.sections.append((f"log of {process.name}", process.log()[-LOG_TAIL:]))
    return report


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """`eventually(condition, timeout=30, message="")`: wait until the condition is truthy, and return its result."""
    return wait_for


@pytest.fixture(scope="session")
def cluster() -> LocalCluster:
    """The session's control plane with Prometheus, exporter and our custom resources, shared by all workers.

    No operator and no Karpenter run in it. Use `namespace` for everything namespaced, and random names for nodes.
    Tests that stop components start a cluster of their own (`own_cluster`).
    """
    return session_cluster.plain()


@pytest.fixture
def namespace(cluster: LocalCluster) -> Iterator[str]:
    """A fresh namespace of `cluster`, deleted afterwards without waiting for it."""
    yield from _namespace(cluster)


def _namespace(cluster: LocalCluster) -> Iterator[str]:
    name = f"t-{secrets.token_hex(5)}"
    cluster.api.create("/api/v1/namespaces", namespace_manifest(name))
    yield name
    cluster.api.delete(f"/api/v1/namespaces/{name}", gracePeriodSeconds=0)


@pytest.fixture(scope="session")
def cluster_with_karpenter() -> LocalCluster:
    """A second shared cluster, in which Karpenter makes and removes the nodes; `live` runs its operator there too."""
    return session_cluster.with_karpenter()


@pytest.fixture
def karpenter(cluster_with_karpenter: LocalCluster) -> Karpenter:
    """Karpenter of that cluster: its nodes, `interrupt`, `lose`."""
    return Karpenter(cluster_with_karpenter)


@pytest.fixture(scope="session")
def live(cluster_with_karpenter: LocalCluster) -> Live:
    """One operator for the session, under the chart's RBAC, in `cluster_with_karpenter`."""
    return Live(cluster_with_karpenter, session_cluster.operator_settings(cluster_with_karpenter))


@pytest.fixture
def live_namespace(live: Live) -> Iterator[str]:
    """A fresh namespace in the cluster of `live`, deleted afterwards without waiting for it."""
    yield from _namespace(live.cluster)


@pytest.fixture
def own_cluster() -> Iterator[Callable[..., LocalCluster]]:
    """`own_cluster("name", with_prometheus=True, ...)`: a cluster for one test, which may break it."""
    started: list[LocalCluster] = []

    def start(name: str = "own", **options: Any) -> LocalCluster:
        started.append(LocalCluster(name, **options))
        return started[-1].start()

    yield start
    for cluster in started:
        cluster.stop()


@pytest.fixture
def operator_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., OperatorProcess]]:
    """`operator_factory(cluster, env={...})`: an operator for one test, not yet started, stopped afterwards."""
    made = request.node.stash.setdefault(_operators, [])

    def make(cluster: LocalCluster, env: dict[str, str] | None = None, **options: Any) -> OperatorProcess:
        made.append(OperatorProcess(cluster, env, **options))
        return made[-1]

    yield make
    for process in made:
        process.stop()
