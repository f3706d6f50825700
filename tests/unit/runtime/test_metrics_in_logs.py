"""What the operator makes of a run's log and of its last words."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gpucost.core.clock import SECOND
from gpucost.core.model import ContainerEnd, Key
from gpucost.core.training.progress import LOG, TERMINATION
from gpucost.core.training.push import Push
from gpucost.kube.client import KubeClient
from gpucost.runtime import log_feed
from gpucost.runtime.feeds import Subject
from gpucost.runtime.log_feed import LogFeed
from gpucost.sources import run_log
from support.feed_world import FeedWorld
from support.log_endpoint import LogServer, Written
from support.progress_world import BERT

LOSS = {"log": {"pattern": r"step (?P<step>\d+) loss=(?P<loss>\S+)"}}


@pytest.fixture
def world() -> FeedWorld:
    return FeedWorld()


@asynccontextmanager
async def reading(world: FeedWorld, server: LogServer) -> AsyncIterator[LogFeed]:
    async with server.server() as api:
        client = KubeClient(login_with=api.login)
        yield world.logs(client)
        await client.close()


def write(world: FeedWorld, server: LogServer, step: int, loss: object) -> None:
    world.later(10)
    server.written.write(world.now, f"step {step} loss={loss}")


async def test_a_log_is_read_bit_by_bit_and_feeds_the_history(world: FeedWorld) -> None:
    server = LogServer()
    world.run(LOSS)
    async with reading(world, server) as feed:
        for step in range(3):
            write(world, server, step, step / 2)
        await feed.once()
        write(world, server, 3, "nan")
        await feed.once()  # not due yet
        world.later()
        await feed.once()
        await feed.once()
    assert [one.step for one in world.reports()] == [0, 1, 2, 3]
    assert world.reports()[0].at == server.written.entries[0][0]
    assert math.isnan(world.values("loss")[-1])
    assert {one.source for one in world.reports()} == {LOG}
    assert len(server.asked) == 2
    assert world.doubts() == {}


async def test_after_a_restart_reading_goes_on_behind_the_last_report(world: FeedWorld) -> None:
    server = LogServer()
    world.run(LOSS)
    async with reading(world, server) as feed:
        write(world, server, 1, 1)
        await feed.once()
        known = dict(world.histories._known)
        write(world, server, 2, 2)
        world.begin()
        world.histories.load(known)
        await world.logs(feed.client).once()
    assert [one.step for one in world.reports()] == [1, 2]


async def test_it_is_read_once_more_when_the_pod_has_ended_and_then_no_more(world: FeedWorld) -> None:
    server = LogServer()
    world.run(LOSS)
    async with reading(world, server) as feed:
        await feed.once()
        write(world, server, 9, 0.1)
        world.ends(phase="Failed")
        for _ in range(4):
            world.later()
            await feed.once()
    assert world.values("loss") == [0.1]
    assert len(server.asked) == 2


async def test_what_was_said_before_a_restart_of_the_container_is_not_lost(world: FeedWorld) -> None:
    server = LogServer()
    world.run(LOSS)
    async with reading(world, server) as feed:
        write(world, server, 1, 1)
        await feed.once()
        write(world, server, 2, "inf")
        server.earlier["train"], server.logs["train"] = server.written, Written()
        world.ends(ContainerEnd("train", world.now), phase="Running")
        write(world, server, 1, 1.5)
        for _ in range(3):
            world.later()
            await feed.once()
    assert [one.step for one in world.reports()] == [1, 2, 1]
    assert [query.get("previous") for query in server.asked] == [None, "true", None, None, None]


async def test_the_last_lines_of_a_pod_that_was_replaced_come_before_its_successors(world: FeedWorld) -> None:
    server = LogServer(by_pod={"bert-0": Written(), "bert-1": Written()})
    world.run(LOSS)
    async with reading(world, server) as feed:
        world.later(10)
        server.by_pod["bert-0"].write(world.now, "step 1 loss=1")
        await feed.once()
        server.by_pod["bert-0"].write(world.now + SECOND, "step 2 loss=nan")
        world.ends(phase="Failed")
        world.pod(name="bert-1", phase="Pending")
        world.later(20)
        await feed.once()
        assert [one.step for one in world.reports()] == [1, 2]
        world.pod(name="bert-1")
        server.by_pod["bert-1"].write(world.now, "step 1 loss=2")
        for _ in range(3):
            world.later(20)
            await feed.once()
    assert [one.step for one in world.reports()] == [1, 2, 1]
    assert server.paths.count("/api/v1/namespaces/research/pods/bert-0/log") == 2
    assert world.doubts() == {}


async def test_with_several_containers_the_first_one_is_read_or_the_one_that_is_named(world: FeedWorld) -> None:
    server = LogServer(logs={"train": Written(), "sidecar": Written()})
    world.run(LOSS)
    world.run({"log": {**LOSS["log"], "container": "sidecar"}}, Key("research", "gpt"))
    async with reading(world, server) as feed:
        world.later(10)
        server.logs["train"].write(world.now, "step 1 loss=1")
        server.logs["sidecar"].write(world.now, "step 2 loss=2")
        for _ in range(2):
            world.later()
            await feed.once()
    assert world.values("loss") == [1]
    assert world.values("loss", Key("research", "gpt")) == [2]


@pytest.mark.parametrize(
    ("refusal", "field", "reason", "words"),
    [
        ((403, "forbidden"), "spec.metrics.log", "Forbidden", "progress.logs"),
        ((400, "container nope is not valid for pod bert-0"), "spec.metrics.log.container", "LogRefused", "nope"),
        ((502, "dial tcp 10.0.0.1:10250: refused"), "spec.metrics.log", "SourceUnreachable", "10250"),
    ],
)
async def test_a_log_that_cannot_be_read_says_why_and_is_asked_for_less_often(
    world: FeedWorld, refusal: tuple[int, str], field: str, reason: str, words: str
) -> None:
    server = LogServer(refusal=refusal)
    world.run(LOSS)
    async with reading(world, server) as feed:
        for _ in range(12):
            await feed.once()
            world.later()
    doubt = world.doubts()[field]
    assert (doubt.reason, words in doubt.message) == (reason, True)
    assert len(server.asked) <= 5
    assert world.reports() == ()


async def test_a_container_that_is_being_made_is_no_reason_for_doubt(world: FeedWorld) -> None:
    server = LogServer(refusal=(400, 'container "train" in pod "bert-0" is waiting to start: ContainerCreating'))
    world.run(LOSS)
    async with reading(world, server) as feed:
        await feed.once()
        server.refusal = None
        write(world, server, 1, 1)
        world.later()
        await feed.once()
    assert world.values("loss") == [1]


async def test_a_pattern_that_nothing_matches_is_told(world: FeedWorld) -> None:
    server = LogServer()
    world.run(LOSS)
    async with reading(world, server) as feed:
        server.written.write(world.now, "Loss: 1.0")
        await feed.once()
    assert world.doubts()["spec.metrics.log.pattern"].reason == "NoMatch"


async def test_what_the_run_says_itself_counts_before_its_log(world: FeedWorld) -> None:
    server = LogServer()
    world.run(LOSS)
    async with reading(world, server) as feed:
        record = world.world.trainingjobs[BERT]
        world.histories.hear(record, Push(metrics={"loss": 0.5}, step=10), "push")
        write(world, server, 10, 0.51)
        await feed.once()
        assert world.values("loss") == [0.5]
        world.later(360)
        write(world, server, 99, 0.25)
        await feed.once()
    assert world.values("loss") == [0.5, 0.25]


async def test_a_clock_that_is_ahead_does_not_make_the_future(world: FeedWorld) -> None:
    server = LogServer()
    world.run(LOSS)
    async with reading(world, server) as feed:
        server.written.write(world.now + 3600 * SECOND, "step 1 loss=1")
        await feed.once()
    assert world.reports()[0].at == world.now


# --- last words -------------------------------------------------------------------------------------------------------


async def last_words(world: FeedWorld, message: str, metrics: dict | None = None, container: str = "train") -> None:
    world.run(metrics or {"terminationMessage": True})
    async with reading(world, LogServer()) as feed:
        world.ends(ContainerEnd(container, world.now, message))
        for _ in range(3):
            world.later()
            await feed.once()


async def test_last_words_are_metrics_once(world: FeedWorld) -> None:
    await last_words(world, '{"eval_loss": 0.21, "step": 1000, "note": "done", "auc": "nan"}')
    (report,) = world.reports()
    assert (report.source, report.step, report.metrics["eval_loss"]) == (TERMINATION, 1000, 0.21)
    assert math.isnan(report.metrics["auc"])


async def test_last_words_in_the_form_of_a_message(world: FeedWorld) -> None:
    body = '{"trainerStatus": {"progressPercentage": 100, "metrics": [{"name": "acc", "value": "0.9"}]}, "step": 5}'
    await last_words(world, body)
    assert [(one.step, one.progress, one.metrics) for one in world.reports()] == [(5, 1.0, {"acc": 0.9})]


async def test_last_words_that_the_pattern_finds(world: FeedWorld) -> None:
    metrics = {**LOSS, "terminationMessage": True}
    await last_words(world, "Traceback ...\nstep 7 loss=0.5\nstep 8 loss=0.25\n", metrics)
    assert [(one.step, one.metrics) for one in world.reports()] == [(8, {"loss": 0.25})]


@pytest.mark.parametrize(
    ("message", "words"),
    [('{"eval_loss": 0.21, "hist', "cuts it off"), ('{"trainerStatus": 7}', "trainerStatus"), ("{" * 4096, "no JSON")],
)
async def test_last_words_that_make_no_sense_say_so(world: FeedWorld, message: str, words: str) -> None:
    await last_words(world, message)
    assert words in world.doubts()["spec.metrics.terminationMessage"].message
    assert world.reports() == ()


async def test_words_of_another_container_and_plain_words_are_nothing(world: FeedWorld) -> None:
    metrics = {"log": {**LOSS["log"], "container": "train"}, "terminationMessage": True}
    await last_words(world, '{"eval_loss": 1}', metrics, container="sidecar")
    await last_words(world, "killed")
    assert world.reports() == ()
    assert "spec.metrics.terminationMessage" not in world.doubts()


async def test_what_is_not_asked_for_any_more_is_not_doubted(world: FeedWorld) -> None:
    await last_words(world, '{"trainerStatus": 7}')
    assert world.doubts()
    world.run({"log": LOSS["log"]}, generation=2)
    async with reading(world, LogServer(refusal=(403, "forbidden"))) as feed:
        await feed.once()
        assert set(world.doubts()) == {"spec.metrics.log"}
        world.run({"push": "Off"}, generation=3)
        await feed.once()
    assert world.board.of(BERT) is None


async def test_lines_of_long_ago_that_the_run_has_told_itself_are_no_news_after_a_restart(world: FeedWorld) -> None:
    server = LogServer()
    world.run(LOSS)
    async with reading(world, server) as feed:
        record = world.world.trainingjobs[BERT]
        for step in range(3):
            write(world, server, step, 1.0)
            world.histories.hear(record, Push(metrics={"loss": 1.0}, step=step), "push")
        await feed.once()
        known = dict(world.histories._known)
        world.later(900)  # a long evaluation, in which nothing is said; meanwhile the operator starts anew
        world.begin()
        world.histories.load(known)
        await world.logs(feed.client).once()
    assert [one.source for one in world.reports()] == ["push"] * 3


async def test_a_log_that_is_costly_to_read_is_read_in_parts_and_nothing_of_it_is_lost(
    world: FeedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log, "MOST_BUSY", 0.0)
    server = LogServer()
    world.run(LOSS)
    async with reading(world, server) as feed:
        for step in range(4):
            write(world, server, step, "1.0 " + "x" * 30_000)
        begun = len(server.asked)
        for _ in range(20):
            await feed.once()
            world.now += SECOND
            for standing in feed._standing.values():
                standing.due = 0
    assert len(server.asked) > begun + 3
    assert [one.step for one in world.reports()] == [0, 1, 2, 3]


async def test_all_logs_together_take_a_fifth_of_a_core_at_most(
    world: FeedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_feed, "_MOST_BUSY", 0.0)
    server = LogServer(by_pod={f"run-{index}-0": Written() for index in range(20)})
    for index in range(20):
        world.run(LOSS, Key("research", f"run-{index}"))
        for second in range(50):
            server.by_pod[f"run-{index}-0"].write(world.now + second * SECOND, f"step {second} loss=0.5")
    async with reading(world, server) as feed:
        await feed.once()
        first = len(server.paths)
        assert 1 <= first < 20  # those that were begun before the pass had enough
        assert feed.rest() >= 4 * feed.busy > 0
        for _ in range(20):
            await feed.once()
    assert len(set(server.paths)) == 20


async def test_one_run_whose_log_breaks_the_reader_keeps_no_other_from_being_read(
    world: FeedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = LogServer()
    gpt = Key("research", "gpt")
    world.run(LOSS)
    world.run(LOSS, gpt)
    whole = LogFeed._read

    async def broken(self: LogFeed, subject: Subject, *rest: Any) -> Any:
        return 1 // 0 if subject.record.key == BERT else await whole(self, subject, *rest)

    monkeypatch.setattr(LogFeed, "_read", broken)
    async with reading(world, server) as feed:
        write(world, server, 1, 0.5)
        await feed.once()
    assert world.values("loss", gpt) == [0.5]
    assert world.figures.errors["metric logs"] == 1
