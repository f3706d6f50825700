"""A control plane that may be broken, one for each worker, and an operator that may be killed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from local import LocalCluster, OperatorProcess
from support.operator_world import Team, team_in

QUICK = {"GPUCOST_IDENTITY": "operator", "GPUCOST_TICK_SECONDS": "1"}


@pytest.fixture(scope="session")
def arena() -> Iterator[LocalCluster]:
    """A cluster of one's own: each test in it starts its own operator, and leaves none running."""
    with LocalCluster("arena", audit=True) as cluster:
        yield cluster


@pytest.fixture
def team(arena: LocalCluster) -> Iterator[Team]:
    """A fresh namespace with nodes of its own."""
    with team_in(arena) as fresh:
        yield fresh


@pytest.fixture
def operator(arena: LocalCluster, operator_factory: Callable[..., OperatorProcess]) -> OperatorProcess:
    """An operator with an empty ledger, not yet started; one identity, as a restarted container has."""
    return operator_factory(arena, QUICK, name=f"op-{secrets.token_hex(3)}")
