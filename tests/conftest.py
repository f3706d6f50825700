"""Fixtures that every test may use: the real control plane, a fresh namespace, waiting instead of sleeping."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator

import pytest

from local import LocalCluster, wait_for
from local import namespace as namespace_manifest
from support import session_cluster


def pytest_configure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        session_cluster.open_session()


def pytest_unconfigure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        session_cluster.close_session()


@pytest.fixture
def eventually() -> Callable[..., object]:
    """`eventually(condition, timeout=30, message="")`: wait until the condition is truthy, and return its result."""
    return wait_for


@pytest.fixture(scope="session")
def cluster() -> LocalCluster:
    """The session's control plane with Prometheus and our custom resources, shared by all workers.

    Use `namespace` for everything namespaced, and random names for nodes. Tests that stop components or need empty
    nodes start a `LocalCluster` of their own.
    """
    return session_cluster.shared("tests")


@pytest.fixture
def namespace(cluster: LocalCluster) -> Iterator[str]:
    """A fresh namespace, deleted afterwards without waiting for it."""
    name = f"t-{secrets.token_hex(5)}"
    cluster.api.create("/api/v1/namespaces", namespace_manifest(name))
    yield name
    cluster.api.delete(f"/api/v1/namespaces/{name}", gracePeriodSeconds=0)
