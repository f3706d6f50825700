"""The door at which training runs report: the real application, with tokens that are made up."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import pytest

from gpucost.core.clock import SECOND, format_rfc3339
from gpucost.core.training.push import MOST_BYTES
from gpucost.web.app import BASE
from support.progress_world import BERT, GPT, Caller, ProgressWorld, calling


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async with calling(ProgressWorld()) as caller:
        yield caller


def seen(caller: Caller) -> list[float | None]:
    return [report.progress for report in caller.world.histories.of(BERT).reports]


async def test_a_report_becomes_part_of_the_history_and_marks_the_run(caller: Caller) -> None:
    code, answer = await caller.say(progressPercentage=50, metrics=[{"name": "loss", "value": "0.5"}])
    assert (code, answer) == (200, {"accepted": True, "checkpoint": False})
    (report,) = caller.world.histories.of(BERT).reports
    assert (report.at, report.progress, dict(report.metrics)) == (caller.world.now, 0.5, {"loss": 0.5})
    assert caller.world.marked == [BERT]
    assert caller.world.histories.of(GPT).reports == ()


async def test_metrics_that_are_not_finite_are_kept_and_looked_at_at_once(caller: Caller) -> None:
    await caller.say(progressPercentage=1)
    await caller.say(progressPercentage=2)
    assert caller.world.marked == [BERT]  # nothing new to decide so soon
    code, _ = await caller.send(b'{"trainerStatus": {"metrics": [{"name": "loss", "value": NaN}]}}')
    assert code == 200
    assert math.isnan(caller.world.histories.of(BERT).reports[-1].metrics["loss"])
    assert caller.world.marked == [BERT, BERT]


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "no token"),
        ({"Authorization": "Basic YTpi"}, "no token"),
        ({"Authorization": "Bearer "}, "no token"),
        ({"Authorization": "Bearer nonsense"}, "not valid here"),
    ],
)
async def test_without_a_valid_token_it_is_401(caller: Caller, headers: dict[str, str], words: str) -> None:
    code, answer = await caller.send({"trainerStatus": {}}, headers=headers)
    assert (code, answer["reason"], answer["details"]["kind"]) == (401, "Unauthorized", "trainingjobs")
    assert words in answer["message"]
    assert caller.headers["WWW-Authenticate"].startswith("Bearer")
    assert seen(caller) == []


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("research/gpt-0", "pod gpt-0 of TrainingJob gpt"),
        ("research/lonely", "pod lonely of no TrainingJob"),
        ("serving/bert-0", "in namespace serving"),
    ],
)
async def test_the_token_of_another_run_is_403(caller: Caller, token: str, words: str) -> None:
    caller.world.add_pod("lonely")
    code, answer = await caller.send({"trainerStatus": {"progressPercentage": 1}}, token=token)
    assert (code, words in answer["message"]) == (403, True), answer
    assert seen(caller) == []


async def test_a_pod_that_was_not_seen_yet_is_asked_to_try_again(caller: Caller) -> None:
    code, answer = await caller.send({"trainerStatus": {}}, token="research/new")
    assert (code, caller.headers["Retry-After"]) == (503, "5")
    assert "not seen yet" in answer["message"]


async def test_when_nobody_can_tell_whose_token_it_is_the_run_may_try_again(caller: Caller) -> None:
    caller.world.tokens.down = "the API server did not answer in time"
    code, answer = await caller.send({"trainerStatus": {}})
    assert (code, "did not answer in time" in answer["message"]) == (503, True)


async def test_too_fast_is_429_and_says_when_to_come_back(caller: Caller) -> None:
    codes = [(await caller.say(seconds=0.1, progressPercentage=i))[0] for i in range(8)]
    assert codes[:5] == [200] * 5
    assert set(codes[5:]) == {429}
    assert 1 <= int(caller.headers["Retry-After"]) <= 2
    assert (await caller.say(seconds=2, progressPercentage=9))[0] == 200
    assert caller.world.api.refused == {429: 3}


async def test_a_repetition_is_accepted_but_does_not_count(caller: Caller) -> None:
    when = format_rfc3339(caller.world.now)
    assert (await caller.say(progressPercentage=5, lastUpdatedTime=when))[1]["accepted"] is True
    code, answer = await caller.say(progressPercentage=5, lastUpdatedTime=when)
    assert (code, answer["accepted"]) == (200, False)
    assert "repetition" in answer["reason"]
    assert seen(caller) == [0.05]


async def test_a_repetition_from_a_clock_that_is_ahead_is_one_too(caller: Caller) -> None:
    ahead = {"lastUpdatedTime": format_rfc3339(caller.world.now + 3600 * SECOND), "progressPercentage": 1}
    for accepted in (True, False):
        caller.world.now += 5 * SECOND
        code, answer = await caller.send({"trainerStatus": ahead})
        assert (code, answer["accepted"]) == (200, accepted)
    assert (await caller.say(progressPercentage=2))[1]["accepted"] is True
    assert seen(caller) == [0.01, 0.02]


async def test_a_message_out_of_order_is_409(caller: Caller) -> None:
    now = caller.world.now
    await caller.say(progressPercentage=5, lastUpdatedTime=format_rfc3339(now))
    code, answer = await caller.say(progressPercentage=4, lastUpdatedTime=format_rfc3339(now - SECOND))
    assert (code, answer["reason"]) == (409, "Conflict")
    assert "out of order" in answer["message"]
    assert seen(caller) == [0.05]


async def test_progress_may_go_back_because_a_run_resumes_from_a_checkpoint(caller: Caller) -> None:
    for percentage in (40, 30, 35):
        assert (await caller.say(progressPercentage=percentage))[0] == 200
    assert seen(caller) == [0.4, 0.3, 0.35]


@pytest.mark.parametrize("size", [MOST_BYTES + 1, 2_000_000])
async def test_a_message_that_is_too_large_is_413(caller: Caller, size: int) -> None:
    code, answer = await caller.send(b" " * size)
    assert (code, "send fewer metrics" in answer["message"]) == (413, True)


async def test_a_broken_message_is_400_in_one_line_with_its_place(caller: Caller) -> None:
    code, answer = await caller.send(b'{"trainerStatus": {"progressPercentage": NaN}}')
    assert code == 400
    assert answer["details"]["causes"][0]["field"] == "trainerStatus.progressPercentage"
    assert "\n" not in answer["message"]


async def test_a_checkpoint_is_asked_for_until_one_comes(caller: Caller) -> None:
    histories = caller.world.histories
    histories.ask_checkpoint(BERT)
    assert (await caller.say(progressPercentage=1))[1]["checkpoint"] is True
    assert (await caller.say(progressPercentage=2))[1]["checkpoint"] is True
    caller.world.histories.write = keep_nothing
    caller.world.now += 5 * SECOND
    code, answer = await caller.send({"checkpoint": {"step": 7, "durationSeconds": 2}})
    assert (code, answer["checkpoint"], histories.is_asked(BERT)) == (200, False, False)
    saved = histories.of(BERT).saved
    assert saved is not None
    assert (saved.at, saved.step, saved.duration) == (caller.world.now, 7, 2 * SECOND)


async def keep_nothing(_changes: object) -> None:
    """A ledger that takes everything."""


async def test_a_checkpoint_counts_though_it_comes_with_words_that_were_said_before(caller: Caller) -> None:
    caller.world.histories.write = keep_nothing
    status = {"lastUpdatedTime": "2026-11-25T03:59:00Z", "progressPercentage": 50}
    assert (await caller.send({"trainerStatus": status}))[0] == 200
    for earlier in ("03:59:00", "03:58:00"):
        caller.world.now += 5 * SECOND
        saved = {"step": int(earlier[3:5]), "time": f"2026-11-25T{earlier}Z"}
        old = {**status, "lastUpdatedTime": f"2026-11-25T{earlier}Z"}
        code, answer = await caller.send({"trainerStatus": old, "checkpoint": saved})
        assert (code, answer["accepted"]) == (200, True)
    progress = caller.world.histories.of(BERT)
    assert [one.step for one in progress.checkpoints] == [58, 59]
    assert len(progress.reports) == 1


async def test_a_checkpoint_older_than_the_job_is_said_and_does_not_count(caller: Caller) -> None:
    code, answer = await caller.send({"checkpoint": {"time": "2026-01-01T00:00:00Z"}})
    assert (code, "before the TrainingJob was created" in answer["reason"]) == (200, True)
    assert caller.world.histories.of(BERT).checkpoints == ()


async def test_a_checkpoint_that_the_ledger_does_not_take_may_be_told_again(caller: Caller) -> None:
    code, answer = await caller.send({"checkpoint": {"step": 7}})  # there is no ledger here
    assert (code, "ledger" in answer["message"]) == (503, True)


async def test_a_run_that_is_gone_is_not_written_to(caller: Caller) -> None:
    caller.world.world.trainingjob_gone(BERT)
    code, answer = await caller.send({"trainerStatus": {"progressPercentage": 1}})
    assert (code, "of no TrainingJob" in answer["message"]) == (403, True)


async def test_the_token_of_a_run_opens_nothing_else(caller: Caller) -> None:
    headers = {"Authorization": "Bearer research/bert-0"}
    for path in (f"{BASE}/allocations", "/apis", "/training/", "/training/../apis"):
        async with caller.client.get(path, headers=headers) as response:
            assert response.status in {401, 404}, path


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ({"trainerStatus": {"lastUpdatedTime": "9999-12-31T23:59:59-14:00"}}, "trainerStatus.lastUpdatedTime"),
        ({"checkpoint": {"time": "0001-01-01T00:00:00+14:00"}}, "checkpoint.time"),
    ],
)
async def test_a_time_that_no_calendar_has_is_400_with_its_place(caller: Caller, message: object, place: str) -> None:
    code, answer = await caller.send(message)
    assert (code, place in answer["message"]) == (400, True)
    assert seen(caller) == []
