"""A ledger that is full, damaged or away: told at once, waited out, and nothing is lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import text

from gpucost.core.clock import MINUTE
from gpucost.ledger import Ledger, LedgerFenced
from gpucost.runtime import accounting
from gpucost.runtime.accounting import OBSERVED_UNTIL
from gpucost.runtime.ledger_state import LedgerOverflow, LedgerState
from gpucost.runtime.opening import open_ledger
from gpucost.runtime.settings import Settings
from unit.runtime.test_marks_and_facts import Scene


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def scene(path):
    with Ledger(f"sqlite:///{path}") as ledger:
        made = Scene(ledger)
        made.told = []
        made.books.state = LedgerState(lambda: made.at, post=lambda note: tell(made, note))
        yield made


async def tell(scene, note):
    scene.told.append((note.reason, note.warning))


def room(ledger, pages):
    """Let the file have so many pages more; SQLite answers as on a disk that is full."""

    def limit(db):
        used = db.connection.execute(text("PRAGMA page_count")).scalar()
        db.connection.execute(text(f"PRAGMA max_page_count={used + pages}"))

    ledger._database.read(limit)


async def test_a_full_disk_is_told_once_and_writing_goes_on_when_there_is_room(scene):
    assert await scene.books.flush()
    room(scene.ledger, 0)
    for number in range(300):
        scene.pod(f"p{number}")
    for _ in range(3):
        assert not await scene.books.flush()
    condition = scene.books.state.condition
    assert "the ledger has not been written since 2026-11-01T00:10:00Z: " in condition
    assert "disk is full; free space on its volume or enlarge it" in condition
    assert (scene.books.figures.ledger_up, scene.books.figures.ledger_waiting) == (False, 301)
    assert scene.told == [("LedgerUnavailable", True)]

    room(scene.ledger, 10_000)
    scene.at += MINUTE
    assert await scene.books.flush()
    assert len(scene.written()) == 300
    assert scene.books.state.condition is None
    assert (scene.books.figures.ledger_up, scene.books.figures.ledger_waiting) == (True, 0)
    assert scene.told == [("LedgerUnavailable", True), ("LedgerBack", False)]


async def test_what_does_not_fit_in_memory_is_left_to_a_new_start(scene, monkeypatch):
    monkeypatch.setattr(accounting, "_KEPT_FACTS", 250)
    assert await scene.books.flush()
    marked = scene.ledger.marks()[OBSERVED_UNTIL]
    room(scene.ledger, 0)
    for number in range(300):
        scene.pod(f"p{number}")
    assert not await scene.books.flush()
    room(scene.ledger, 10_000)
    scene.at += MINUTE
    with pytest.raises(LedgerOverflow, match="starting anew to fill it in"):
        await scene.books.flush()
    assert scene.ledger.marks()[OBSERVED_UNTIL] == marked  # recovery begins where everything was written
    assert scene.written() == set()


async def test_a_fenced_operator_ends_and_can_still_close(scene, path):
    with Ledger(f"sqlite:///{path}"):
        scene.pod("p1")
        with pytest.raises(LedgerFenced):
            await scene.books.flush()
        await scene.books.close()


async def test_a_damaged_file_is_waited_out_with_the_remedy_at_hand(path):
    path.write_text("no database" * 1000)
    said, state = [], LedgerState(lambda: 0)
    settings = Settings(ledger_url=f"sqlite:///{path}")
    opening = asyncio.create_task(
        open_ledger(settings, state, may_write=lambda: True, say=said.append, retry_seconds=0.01)
    )
    while len(said) < 3:
        await asyncio.sleep(0.01)
    assert "waiting for the ledger: " in said[-1]
    assert "file is not a database; this is another kind of file" in said[-1]
    assert state.condition is not None
    path.unlink()
    (await asyncio.wait_for(opening, 30)).close()
    assert state.condition is None


async def test_another_writer_is_not_waited_out(path):
    state = LedgerState(lambda: 0)
    with pytest.raises(LedgerFenced):
        await open_ledger(Settings(ledger_url=f"sqlite:///{path}"), state, may_write=lambda: False, say=lambda _: None)
    with suppress(FileNotFoundError):
        path.unlink()
