"""What training runs say survives a restart, in both databases, and takes no more room than their histories."""

from __future__ import annotations

import math

from gpucost.core.clock import DAY, SECOND
from gpucost.core.training.curve import MOST_REPORTS
from gpucost.core.training.progress import Checkpoint, Progress, Report
from gpucost.ledger import Ledger, LedgerError
from gpucost.ledger.progress import RunChange
from support.progress_world import BERT, BORN, ProgressWorld

REPORT = Report(BORN, 7, 0.07, 90 * SECOND, {"loss": 0.1 + 0.2, "grad": math.inf, "neg": -math.inf})


def same(one: Report, other: Report) -> bool:
    """Equal, not-a-number included."""
    return repr(one) == repr(other)


def test_reports_and_checkpoints_come_back_as_they_were(url: str) -> None:
    odd = Report(BORN + 1, metrics={"loss": math.nan, "ä": 1e-300})
    saved = Checkpoint(BORN + 2, 7, 3 * SECOND)
    with Ledger(url) as ledger:
        ledger.sayings.record({"tj-1": RunChange([REPORT, odd], [saved]), "tj-2": RunChange([Report(BORN)])})
        ledger.sayings.record({"tj-1": RunChange([REPORT], [saved])})  # twice is once
    with Ledger(url) as ledger:
        found = ledger.sayings.progress()
        assert found.keys() == {"tj-1", "tj-2"}
        assert [same(*pair) for pair in zip(found["tj-1"].reports, (REPORT, odd), strict=True)] == [True, True]
        assert found["tj-1"].checkpoints == (saved,)
        assert ledger.sayings.progress(["tj-2", "tj-3"]) == {"tj-2": Progress((Report(BORN),))}


def test_clusters_do_not_see_each_other(url: str) -> None:
    with Ledger(url, cluster="one") as one, Ledger(url, cluster="two") as two:
        one.sayings.record({"tj-1": RunChange([REPORT])})
        assert two.sayings.progress() == {}
        assert two.sayings.forget((), BORN + DAY) == 0
        assert one.sayings.progress().keys() == {"tj-1"}


def test_runs_are_forgotten_when_they_are_gone_and_long_silent(url: str) -> None:
    with Ledger(url) as ledger:
        late = Checkpoint(BORN + 5 * DAY)
        ledger.sayings.record({
            "gone": RunChange([REPORT], [Checkpoint(BORN)]),
            "alive": RunChange([REPORT]),
            "saved lately": RunChange([REPORT], [late]),
        })  # fmt: skip
        assert ledger.sayings.forget({"alive"}, BORN + DAY) == 1
        assert ledger.sayings.progress().keys() == {"alive", "saved lately"}


async def test_a_long_run_is_kept_exactly_as_far_as_in_memory(url: str) -> None:
    world = ProgressWorld()
    with Ledger(url) as ledger:
        world.with_ledger(ledger)
        record = world.world.trainingjobs[BERT]
        for index in range(1_000):
            world.histories.tell(record, Report(BORN + index * SECOND, index, metrics={"loss": math.cos(index)}))
            if index % 50 == 0:
                assert await world.histories.flush()
        assert await world.histories.flush()
        known = world.histories.of(BERT)
        assert len(known.reports) <= MOST_REPORTS
    with Ledger(url) as ledger:
        again = ProgressWorld()
        again.with_ledger(ledger)
        assert again.histories.of(BERT) == known


async def test_what_a_failing_ledger_did_not_take_is_written_when_it_is_back(
    url: str,
) -> None:
    world, away = ProgressWorld(), True
    with Ledger(url) as ledger:
        world.with_ledger(ledger)
        write = world.histories.write
        assert write is not None

        async def faltering(changes: object) -> None:
            if away:
                raise LedgerError("no route to host")
            await write(changes)  # type: ignore[arg-type]

        world.histories.write = faltering
        record = world.world.trainingjobs[BERT]
        for index in range(400):
            world.histories.tell(record, Report(BORN + index * SECOND, index))
            if index % 20 == 0:
                assert not await world.histories.flush()
        away = False
        assert await world.histories.flush()
        assert ledger.sayings.progress()["tj-bert"] == world.histories.of(BERT)


async def test_runs_that_do_not_exist_any_more_leave_memory() -> None:
    world = ProgressWorld()
    world.histories.tell(world.world.trainingjobs[BERT], Report(BORN))
    world.histories._changes.clear()
    world.world.trainingjob_gone(BERT)
    await world.histories.tidy()
    assert world.histories._known == {}
