"""Where a ledger may live: tests that use `url` or `ledgers` run against SQLite and against a PostgreSQL server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpucost.ledger import Ledger
from support.postgres import Server, fresh, new_server, prepare

BOTH = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The PostgreSQL server of this test process; tests that stop it start one of their own."""
    server = new_server()
    try:
        prepare(server, lambda url: Ledger(url).close())
        yield server
    finally:
        server.remove()


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty ledger's URL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/folder/ledger.db"
        return
    server: Server = request.getfixturevalue("postgres")
    name = fresh(server)
    yield server.url(name)
    server.drop(name)


@pytest.fixture(scope="session")
def clusters_in_postgres(postgres: Server) -> Callable[[], Ledger]:
    """Makes empty ledgers that share one database, each a cluster of its own."""
    url = postgres.url(fresh(postgres))
    return lambda: Ledger(url, cluster=secrets.token_hex(8))
