"""What was learned of endpoints goes to the ledger a few at a time, and comes back whole."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from test_endpoint_advice import BEGIN, Scene

from gpucost.core.clock import MINUTE, SECOND
from gpucost.ledger import Ledger, LedgerError
from gpucost.runtime.endpoints.keeping import EVERY, POLICY, Documents, Keeping
from gpucost.runtime.metrics import Figures
from gpucost.runtime.serving_feed import ServingFeed


class Shelf:
    """Takes documents, or is away."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], Any] = {}
        self.is_away = False

    async def record(self, documents: Documents, at: int) -> None:
        del at
        if self.is_away:
            raise LedgerError("away")
        self.documents |= documents

    async def forget(self, living: set[str], horizon: int) -> int:
        raise AssertionError((living, horizon))


def taught(scene: Scene) -> tuple[Keeping, Shelf]:
    scene.pods(3)
    for _ in range(4):
        scene.hear(12.0)
        scene.now += 15 * SECOND
    shelf = Shelf()
    feed = ServingFeed(scene.advisor.asked, None, Figures(), lambda: scene.now)
    keeping = Keeping(scene.advisor, feed, lambda: scene.now, shelf.record, shelf.forget)
    return keeping, shelf


def test_an_endpoint_is_written_every_half_hour_and_at_the_end() -> None:
    scene = Scene()
    keeping, _ = taught(scene)
    assert asyncio.run(keeping.flush()) == 0
    scene.now += EVERY
    assert asyncio.run(keeping.flush()) == 1
    assert asyncio.run(keeping.flush()) == 0
    assert asyncio.run(keeping.flush(everything=True)) == 1


def test_a_ledger_that_is_away_is_asked_again(monkeypatch: Any) -> None:
    scene = Scene()
    keeping, shelf = taught(scene)
    asyncio.run(keeping.flush())
    scene.now += EVERY
    shelf.is_away = True
    asyncio.run(keeping.flush())
    assert shelf.documents == {}
    shelf.is_away = False
    asyncio.run(keeping.flush())
    assert shelf.documents.keys() == {("iep", POLICY)}


def test_the_ledger_gives_back_what_it_was_given_and_forgets_what_is_long_gone(tmp_path: Path) -> None:
    scene = Scene()
    keeping, _ = taught(scene)
    documents = {(uid, POLICY): document for uid, document in keeping.advisor.learned().items()}
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        ledger.learned.record(documents, BEGIN)
        ledger.learned.record({("other", POLICY): {"form": 0}}, BEGIN + MINUTE)
        found = ledger.learned.all(POLICY)
        assert found == {"iep": documents["iep", POLICY], "other": {"form": 0}}
        assert ledger.learned.forget({"iep"}, BEGIN + 2 * MINUTE) == 1
        assert ledger.learned.all(POLICY).keys() == {"iep"}
    other = Scene(now=scene.now)
    other.advisor.load(found)
    assert other.advisor.learned() == {"iep": documents["iep", POLICY]}
