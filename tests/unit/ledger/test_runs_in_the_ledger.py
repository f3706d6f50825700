"""Runs and skipped runs survive a restart, in both databases; the book adds up old records and forgets what is gone."""

from __future__ import annotations

import asyncio

from gpucost.core.clock import DAY, HOUR
from gpucost.core.report import Amounts
from gpucost.core.training.runs.folding import KEPT, MOST, fold
from gpucost.core.training.runs.run import MISSED, NOTHING_NEW, REUSED, Result, Run, Saving
from gpucost.ledger import Ledger, LedgerError
from gpucost.ledger.runs import Books
from gpucost.runtime.runs.book import RunBook

BERT = Run(
    uid="tj-1",
    namespace="research",
    name="bert-1",
    created=5,
    digest="d1",
    exact=True,
    version="7",
    parent="parent",
    due=4,
    result=Result.COMPLETE,
    reason="Complete",
    message="the training run is complete",
    ended=9,
    cost=10**15,
    said="loss=0.1",
    checkpoint="checkpoint of step 7",
    outputs=("claim/out at /out",),
)
SKIP = Saving("parent", "research", HOUR, NOTHING_NEW, "nothing new", 1, 10**20)


def nothing_new(number: int, saved: int | None = 2) -> Saving:
    return Saving("parent", "research", number * HOUR, NOTHING_NEW, f"skip {number}", 1, saved)


def test_what_is_written_comes_back_as_it_was(url: str) -> None:
    amounts = Amounts(cost=10**25, gpu_time=3)
    with Ledger(url) as ledger:
        books = Books({"tj-1": BERT}, {("parent", HOUR, NOTHING_NEW): SKIP}, {"tj-1": amounts})
        ledger.runs.record(books)
        ledger.runs.record(books)
        ledger.runs.record(Books({"tj-2": Run("tj-2", "research", "gpt", 1)}))
    with Ledger(url) as ledger, Ledger(url, cluster="other") as other:
        found = ledger.runs.load()
        assert found.runs == {"tj-1": BERT, "tj-2": Run("tj-2", "research", "gpt", 1)}
        assert found.savings == {("parent", HOUR, NOTHING_NEW): SKIP}
        assert found.amounts == {"tj-1": amounts}
        assert other.runs.load().runs == {}
        ledger.runs.forget(["tj-1", "parent"])
        assert ledger.runs.load() == Books({"tj-2": Run("tj-2", "research", "gpt", 1)})


def test_old_records_are_added_up_and_their_sums_stay() -> None:
    records = [nothing_new(n, None if n % 5 == 0 else n) for n in range(1, MOST + 2)]
    kept, dropped = fold(records)
    assert len(kept) == KEPT + 2
    assert sum(one.times for one in kept) == len(records)
    assert sum(one.saved or 0 for one in kept) == sum(one.saved or 0 for one in records)
    assert sum(one.times for one in kept if one.saved is None) == sum(one.saved is None for one in records)
    assert {one.due for one in dropped} | {one.due for one in kept} == {one.due for one in records}
    assert {one.due for one in dropped} & {one.due for one in kept} == set()
    assert fold(kept) == (kept, [])


def test_a_book_reopened_is_the_book_that_was_closed(url: str) -> None:
    async def session() -> None:
        with Ledger(url) as ledger:
            book = written_to(ledger)
            book.put(BERT)
            book.book([nothing_new(n) for n in range(1, MOST + 20)])
            book.book([Saving("tj-3", "research", 0, REUSED, "", 1, 7)])
            assert await book.flush()
            await book.tidy(frozenset({"parent"}), DAY, None)
            assert await book.flush()
            again = RunBook()
            again.load(ledger.runs.load())
            assert again.savings("parent") == book.savings("parent")
            assert again.saved() == {"skipped-runs": 2 * (MOST + 19), "duplicates": 7}
            assert again.children("parent") == [BERT]
            assert again.same("research", "d1") == [BERT]
            assert again.same("other", "d1") == []

    asyncio.run(session())


def test_a_due_time_is_booked_once_whatever_is_said_later() -> None:
    book = RunBook()
    book.book([nothing_new(1, 5)])
    book.book([nothing_new(1, 9)])
    assert book.savings("parent") == [nothing_new(1, 5)]


def test_what_the_ledger_did_not_take_is_tried_again() -> None:
    taken: list[Books] = []

    async def fail(_: Books) -> None:
        raise LedgerError("away")

    async def take(new: Books) -> None:
        taken.append(new)

    async def session() -> None:
        book = RunBook(write=fail)
        book.put(BERT)
        book.book([SKIP])
        assert not await book.flush()
        book.write = take
        assert await book.flush()
        assert await book.flush()
        assert [(list(new.runs), list(new.savings)) for new in taken] == [(["tj-1"], [("parent", HOUR, NOTHING_NEW)])]

    asyncio.run(session())


def test_runs_are_forgotten_long_after_they_and_their_schedule_are_gone(url: str) -> None:
    async def session() -> None:
        with Ledger(url) as ledger:
            book = written_to(ledger)
            book.put(BERT)
            book.put(Run("old", "research", "gpt", 1, digest="d1", result=Result.FAILED, ended=2))
            book.book([nothing_new(1), Saving("gone", "research", 3, MISSED)])
            await book.flush()
            await book.tidy(frozenset({"parent"}), 90 * DAY, 30 * DAY)
            assert ledger.runs.load().runs.keys() == {"tj-1"}
            assert {uid for uid, *_ in ledger.runs.load().savings} == {"parent"}
            assert book.same("research", "d1") == [BERT]
            await book.tidy(frozenset(), 90 * DAY, 30 * DAY)
            assert ledger.runs.load().is_empty

    asyncio.run(session())


def written_to(ledger: Ledger) -> RunBook:
    async def write(new: Books) -> None:
        ledger.runs.record(new)

    async def forget(uids: object) -> None:
        ledger.runs.forget(list(uids))  # type: ignore[call-overload]

    return RunBook(write=write, forget=forget)
