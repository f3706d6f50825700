"""`gpucost prices` against a real API server: applied, applied again, exported, and refused in the server's words."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gpucost.cli.main import gpucost_group
from local import LocalCluster

pytestmark = pytest.mark.cluster

BOOKS = "/apis/gpucost.dev/v1alpha1/pricebooks"


@pytest.fixture
def book(cluster: LocalCluster) -> Iterator[str]:
    """A name for a PriceBook, which goes with the test."""
    name = f"csv-{secrets.token_hex(4)}"
    yield name
    cluster.api.delete(f"{BOOKS}/{name}")


def run(cluster: LocalCluster, *arguments: str | Path) -> Result:
    words = ["prices", *map(str, arguments), "--kubeconfig", str(cluster.kubeconfig)]
    return CliRunner().invoke(gpucost_group, words, prog_name="gpucost")


def test_a_table_is_applied_changed_and_exported(cluster: LocalCluster, book: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    # A type of this test only: the session's cluster is shared, and its books price the nodes of all.
    file.write_text(f"instanceType,hourly\n{book}.large,55.04\n{book}.small,1\n")
    applied = run(cluster, "import", file, "--name", book, "--apply")
    assert (applied.exit_code, applied.stdout) == (0, f"pricebook.gpucost.dev/{book} applied\n"), applied.stderr

    file.write_text(f"instanceType,hourly\n{book}.large,49.54\n")
    assert run(cluster, "import", file, "--name", book, "--apply").exit_code == 0
    stored = cluster.api.get(f"{BOOKS}/{book}")["spec"]["prices"]
    assert [(one["instanceType"], one["hourly"]) for one in stored] == [(f"{book}.large", "49.54")]

    exported = run(cluster, "export", book)
    assert exported.stdout == f"instanceType,hourly,currency\n{book}.large,49.54,USD\n"


def test_a_field_of_somebody_else_is_not_taken_over(cluster: LocalCluster, book: str, tmp_path: Path) -> None:
    price = {"instanceType": f"{book}.large", "hourly": "1"}
    cluster.api.create(
        BOOKS,
        {
            "apiVersion": "gpucost.dev/v1alpha1",
            "kind": "PriceBook",
            "metadata": {"name": book},
            "spec": {"prices": [price]},
        },
    )
    file = tmp_path / "prices.csv"
    file.write_text(f"instanceType,hourly\n{book}.large,2\n")
    refused = run(cluster, "import", file, "--name", book, "--apply")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "conflict" in refused.stderr
    assert "--force-conflicts" in refused.stderr


def test_a_book_that_is_not_there_is_one_clear_line(cluster: LocalCluster) -> None:
    name = f"csv-{secrets.token_hex(4)}"
    missing = run(cluster, "export", name)
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert missing.stderr == f"Error: no PriceBook '{name}' in this cluster; `kubectl get pricebooks` lists them\n"
