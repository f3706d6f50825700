"""The operator's export: every settled day goes out by itself, failures are counted and tried again."""

from __future__ import annotations

import pytest

from gpucost.core.clock import DAY
from gpucost.export.errors import ExportError
from gpucost.ledger import Ledger
from gpucost.runtime.exporter import DailyExport, exporter_of
from gpucost.runtime.metrics import Figures
from gpucost.runtime.settings import Settings
from support.focus_world import SPOT, files, filled
from support.ledger_world import T0, at, pod


class Time:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def world(tmp_path):
    """A ledger of two days, and an export of it that has not begun."""
    url, to, clock = f"sqlite:///{tmp_path}/ledger.db", tmp_path / "out", Time()
    filled(url, SPOT, 51).close()
    settings = Settings(ledger_url=url, export_url=str(to), export_format="csv")
    return url, to, clock, DailyExport(lambda: exporter_of(settings), Figures(), lambda: at(51), clock)


async def settled_down(export):
    done = []
    while (before := dict(export.figures.exported)) is not None and await export.attempt():
        done.append({name: count - before.get(name, 0) for name, count in export.figures.exported.items()})
    return done


async def test_every_settled_day_goes_out_the_newest_first(world):
    _, to, _, export = world
    assert await export.attempt()
    assert {name.split("/")[2] for name in files(to)} == {"charge_date=2026-11-03"}
    assert await export.attempt()
    assert not await export.attempt()
    assert {name.split("/")[2] for name in files(to)} == {"charge_date=2026-11-02", "charge_date=2026-11-03"}
    assert export.figures.exported == {"written": 2}
    assert export.figures.data_times["export"] == T0 + 2 * DAY


async def test_a_day_goes_out_once_it_is_settled(world):
    url, _, _, export = world
    await settled_down(export)
    with Ledger(url) as ledger:
        ledger.settle(at(72.1))
    assert await export.attempt()
    assert export.figures.exported == {"written": 3}


async def test_a_late_correction_goes_out_when_its_day_is_looked_at_again(world):
    url, _, clock, export = world
    await settled_down(export)
    with Ledger(url) as ledger:
        ledger.record([pod("late", 3, 4, gpus=1)])
    assert not await export.attempt()
    clock.seconds += 6 * 3600
    await settled_down(export)
    assert export.figures.exported == {"written": 2, "replaced": 1}


async def test_a_restart_finds_what_is_there(world):
    url, to, clock, export = world
    await settled_down(export)
    settings = Settings(ledger_url=url, export_url=str(to), export_format="csv")
    again = DailyExport(lambda: exporter_of(settings), Figures(), lambda: at(51), clock)
    await settled_down(again)
    assert again.figures.exported == {}
    assert again.figures.data_times["export"] == T0 + 2 * DAY


async def test_a_failure_is_counted_told_once_and_tried_again(world, caplog):
    _, to, _, export = world
    to.write_text("a file where a folder should be")
    for _ in range(3):
        assert not await export.attempt()
    assert export.figures.errors["export"] == 3
    assert len([r for r in caplog.records if "cannot" in r.message]) == 1
    to.unlink()
    assert await export.attempt()
    assert export.problem is None


async def test_whatever_the_exporter_needs_may_come_later():
    attempts = []

    def make():
        attempts.append(1)
        raise ExportError("no credentials yet")

    export = DailyExport(make, Figures(), lambda: at(0))
    assert not await export.attempt()
    assert not await export.attempt()
    assert len(attempts) == 2
    assert export.figures.errors["export"] == 2


def test_days_of_long_ago_are_looked_at_once(world):
    _, _, clock, export = world
    export.now = lambda: T0 + 100 * DAY
    export._looked = {T0: 0.0, T0 + 90 * DAY: 0.0}
    clock.seconds = 10 * 3600
    assert export.due([T0, T0 + 90 * DAY]) == T0 + 90 * DAY
    assert export.due([T0]) is None
