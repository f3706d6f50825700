"""What an hour comes to is stored with it, and is what its charges add up to, whatever comes late."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import create_engine, text

from gpucost.core.clock import HOUR
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger, hour_sums
from gpucost.ledger.db import Db
from support.ledger_world import at, busy, node, pod, price

NOW = at(5.5)
A = pod("a", 0, 2, gpus=4)
WORLD = (node(gpus=8), price("8"), A, pod("b", 1, None, gpus=2), busy("a", 0.5))
SETTLED = Interval(at(0), at(5))


def stored(path) -> int:
    with create_engine(f"sqlite:///{path}").connect() as connection:
        return connection.execute(text("SELECT count(*) FROM hour_sums")).scalar_one()


def agree(path) -> bool:
    """Whether the hours as they are stored, or read where they are not, are what their charges add up to."""
    with create_engine(f"sqlite:///{path}").connect() as connection:
        db = Db(connection, "default")
        read, added_up = hour_sums.read(db, SETTLED), hour_sums._added_up(db, SETTLED)
    return read == added_up


def test_every_settled_hour_has_its_sums(tmp_path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(f"sqlite:///{path}") as ledger:
        ledger.record(WORLD)
        ledger.settle(NOW)
    assert (stored(path), agree(path)) == (SETTLED.length // HOUR, True)


@pytest.mark.parametrize(
    ("late", "left"),
    [(pod("c", 2, 4, gpus=2), 3), (replace(A, namespace="search"), 0), (replace(A, labels={"team": "nlp"}), 5)],
    ids=["another pod", "namespace", "label"],
)
def test_hours_that_change_lose_their_sums_and_get_them_again(tmp_path, late, left) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(f"sqlite:///{path}") as ledger:
        ledger.record(WORLD)
        ledger.settle(NOW)
        ledger.record([late])
        assert (stored(path), agree(path)) == (left, True)
        for _ in range(6):
            ledger.settle(NOW)
    assert (stored(path), agree(path)) == (5, True)
