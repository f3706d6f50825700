"""Reading the log of a run: nothing twice, nothing passed over, and nothing in it can hurt."""

from __future__ import annotations

import math
import random
import resource
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpucost.sources.run_log as module
from gpucost.api.metrics_sources import LogPattern
from gpucost.core.clock import SECOND, parse_rfc3339
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.sources.run_log import Find, LineSplitter, Log, LogRead, Place, finder, read_log
from support.log_endpoint import LogServer

T0 = parse_rfc3339("2026-11-25T04:00:00Z")
MS = SECOND // 1000
BERT = Log("research", "bert-0")
LOSS = finder(r"step (?P<step>\d+) loss=(?P<loss>\S+)|eval_loss=(?P<eval_loss>\S+)")


@pytest.fixture
def server() -> LogServer:
    return LogServer()


async def read(server: LogServer, place: Place = Place(), find: Find = LOSS, what: Log = BERT) -> LogRead:  # noqa: B008
    async with server.server() as api:
        client = KubeClient(login_with=api.login)
        try:
            return await read_log(client, what, place, find)
        finally:
            await client.close()


def steps(found: LogRead) -> list[int | None]:
    return [push.step for push in found.found]


async def test_lines_become_values_by_name_and_by_their_own_time(server: LogServer) -> None:
    server.written.write(T0, "epoch 1")
    server.written.write(T0 + 10 * SECOND, "step 7 loss=0.25 (fast)")
    server.written.write(T0 + 20 * SECOND, "eval_loss=0.5")
    first, second = (await read(server)).found
    assert (first.step, first.metrics, first.told_at) == (7, {"loss": 0.25}, T0 + 10 * SECOND)
    assert (second.step, second.metrics) == (None, {"eval_loss": 0.5})


async def test_what_is_written_close_together_is_one_report_and_the_last_value_counts(server: LogServer) -> None:
    for step in range(4):
        server.written.write(T0 + step * SECOND, f"step {step} loss={step}")
    server.written.write(T0 + 4 * SECOND, "eval_loss=9")
    server.written.write(T0 + 5 * SECOND, "step 5 loss=5")
    first, second = (await read(server)).found
    assert (first.step, first.metrics) == (3, {"loss": 3, "eval_loss": 9})
    assert (second.step, second.metrics) == (5, {"loss": 5})


async def test_going_on_reads_no_line_twice_though_a_kubelet_counts_whole_seconds(server: LogServer) -> None:
    server.written.write(T0 + 100 * MS, "step 1 loss=1")
    place = (await read(server)).place
    server.written.write(T0 + 900 * MS, "step 2 loss=2")
    again = await read(server, place)
    assert server.asked[-1]["sinceTime"] == "2026-11-25T04:00:00Z"
    assert steps(again) == [2]
    assert steps(await read(server, again.place)) == []


async def test_lines_with_one_and_the_same_time_are_told_apart_by_their_number(server: LogServer) -> None:
    for step in (1, 2):
        server.written.write(T0, f"step {step} loss=1")
    place = (await read(server)).place
    server.written.write(T0, "step 3 loss=1")
    found = await read(server, place)
    assert (place.lines, steps(found), found.place.lines) == (2, [3], 3)


async def test_a_line_that_is_still_being_written_waits_for_its_end(server: LogServer) -> None:
    server.written.write(T0, "step 1 loss=1")
    server.written.write(T0 + 6 * SECOND, "step 2 loss=0.", end=b"")
    found = await read(server)
    assert steps(found) == [1]
    server.written.entries[-1] = (T0 + 6 * SECOND, b"step 2 loss=0.75\n")
    assert (await read(server, found.place)).found[0].metrics == {"loss": 0.75}


async def test_after_a_rotation_reading_goes_on_where_it_was(server: LogServer) -> None:
    for step in range(10):
        server.written.write(T0 + 10 * step * SECOND, f"step {step} loss=1")
    place = (await read(server)).place
    server.written.entries[:] = []
    server.written.write(T0 + 100 * SECOND, "step 10 loss=1")
    assert steps(await read(server, place)) == [10]


async def test_the_life_before_a_restart_can_be_read_to_its_end(server: LogServer) -> None:
    server.earlier["train"] = server.written
    server.logs["train"] = type(server.written)()
    server.earlier["train"].write(T0, "step 1 loss=1")
    place = (await read(server, what=Log("research", "bert-0", previous=True))).place
    server.earlier["train"].write(T0 + SECOND, "step 2 loss=nan")
    server.written.write(T0 + 20 * SECOND, "step 1 loss=1")
    before = await read(server, place, what=Log("research", "bert-0", previous=True))
    assert math.isnan(before.found[0].metrics["loss"])
    assert steps(await read(server, before.place)) == [1]


async def test_a_line_of_ten_megabytes_costs_little_memory_and_hides_nothing(server: LogServer) -> None:
    server.written.write(T0, "step 1 loss=1")
    server.written.write(T0 + 10 * SECOND, b"x" * 10_000_000 + b" step 666 loss=0")
    server.written.write(T0 + 20 * SECOND, "step 2 loss=2")
    tracemalloc.start()
    splitter, most = LineSplitter(), 0
    for _ in range(200):
        assert list(splitter.feed(b"x" * 65536)) == []
        most = max(most, tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert most < 1_000_000
    found = await read(server)
    assert (steps(found), found.is_all) == ([1, 2], True)


async def test_a_log_larger_than_one_look_is_read_in_parts(server: LogServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1_000_000)
    for step in range(400):
        server.written.write(T0 + step * 10 * SECOND, f"step {step} loss=1 " + "y" * 10_000)
    place, seen = Place(T0 - SECOND), list[int | None]()
    for _ in range(20):
        found = await read(server, place)
        place, seen = found.place, seen + steps(found)
        if found.is_all:
            break
    assert seen == list(range(400))


async def test_a_line_without_an_end_is_gone_round(server: LogServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2_000_000)
    server.written.write(T0, b"z" * 3_000_000)
    server.written.write(T0 + 10 * SECOND, "step 2 loss=2")
    found = await read(server, Place(T0 - SECOND))
    assert (steps(found), found.is_all) == ([], False)
    assert steps(await read(server, found.place)) == [2]


async def test_a_second_with_too_much_in_it_is_not_read_again_and_again(server: LogServer) -> None:
    server.written.write(T0, "step 1 loss=1")
    server.written.write(T0 + 1, b"z" * 3_000_000)
    place = (await read(server)).place
    again = await read(server, place)
    assert again.size > 3_000_000
    third = await read(server, again.place)
    assert (third.size, third.place) == (0, again.place)
    server.written.write(T0 + SECOND, "step 2 loss=2")
    assert steps(await read(server, third.place)) == [2]


@pytest.mark.parametrize(
    "line", [b"step 3 loss=0.5 \xff\xfe\x80", b"\xc3( step 3 loss=0.5", b"step 3 loss=0.5\x00\x1b[0m \xe2\x82"]
)
async def test_bytes_that_are_no_text_harm_nothing(server: LogServer, line: bytes) -> None:
    server.written.write(T0, line)
    found = await read(server, find=finder(r"step (?P<step>\d+) loss=(?P<loss>[0-9.]+)"))
    assert (found.found[0].step, found.found[0].metrics) == (3, {"loss": 0.5})


async def test_not_a_number_and_infinity_are_findings_and_words_are_left_out(server: LogServer) -> None:
    server.written.write(T0, "step 1 loss=NaN")
    server.written.write(T0 + 10 * SECOND, "step 2 loss=-inf")
    server.written.write(T0 + 20 * SECOND, "step 3 loss=unknown")
    first, second, third = (await read(server)).found
    assert math.isnan(first.metrics["loss"])
    assert second.metrics == {"loss": -math.inf}
    assert (third.step, third.metrics, third.ignored) == (3, {}, ("loss: 'unknown' is no number",))


async def test_the_kubelets_own_words_are_no_log(server: LogServer) -> None:
    server.prefix = b"unable to retrieve container logs for containerd://abc\n"
    found = await read(server)
    assert found.found == ()
    assert found.foreign.startswith("unable to retrieve")


async def test_one_that_hangs_costs_its_time_and_what_came_counts(
    server: LogServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.3)
    server.stall = True
    server.written.write(T0, "step 1 loss=1")
    found = await read(server)
    assert (steps(found), found.is_all) == ([1], False)
    server.written.entries.clear()
    with pytest.raises(Unreachable):
        await read(server)


async def test_what_came_before_the_connection_broke_counts_and_is_not_read_again(server: LogServer) -> None:
    server.cut = True
    server.written.write(T0, "step 1 loss=1")
    found = await read(server)
    assert (steps(found), found.is_all) == ([1], False)
    found = await read(server, found.place)  # nothing new, and it breaks again
    server.cut = False
    server.written.write(T0 + SECOND // 2, "step 2 loss=2")
    assert steps(await read(server, found.place)) == [2]


async def test_a_refusal_keeps_its_status_and_words(server: LogServer) -> None:
    server.logs["sidecar"] = server.written
    with pytest.raises(ApiError, match="container name must be specified") as caught:
        await read(server)
    assert caught.value.status == 400


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 7), st.integers(1, 10))
def test_lines_do_not_depend_on_how_the_bytes_arrive(parts: list[bytes], size: int, limit: int) -> None:
    data = b"\n".join(parts)
    splitter = LineSplitter(limit)
    lines = [line for i in range(0, len(data), size) for line in splitter.feed(data[i : i + size])]
    whole = data.split(b"\n")
    assert lines == [line[:limit] for line in whole[:-1]]
    assert splitter.unfinished == whole[-1][:limit]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3_000_000), st.booleans()), min_size=1, max_size=40),
    st.lists(st.integers(1, 10), min_size=1, max_size=10),
)
async def test_however_often_it_is_read_every_line_counts_once(
    gaps: list[tuple[int, bool]], portions: list[int]
) -> None:
    """Lines at any distance, many at one instant, read after any portion of them was written."""
    server, place, seen, at = LogServer(), Place(), list[str](), T0
    found_texts: list[str] = []

    def remember(line: bytes) -> None:
        found_texts.append(line.decode())

    async with server.server() as api:
        client = KubeClient(login_with=api.login)
        for number, (gap, stays) in enumerate(gaps):
            at += 0 if stays else gap
            server.written.write(at, f"line {number}")
            seen.append(f"line {number}")
            if number % portions[number % len(portions)] == 0:
                place = (await read_log(client, BERT, place, remember)).place
        await read_log(client, BERT, place, remember)
        await client.close()
    assert found_texts == seen


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_expressions_that_are_made_to_take_memory_take_little_of_it() -> None:
    line = bytes(random.Random(1).choices(b"ab", k=60_000))
    kept, before = [], resident()
    for number in range(30):
        find = finder(rf"(?P<v>(?:[ab]*a[ab]{{{40 + number}}}c))|b(?P<w>.{{{100 + number}}}d)")
        assert find(line) is None
        kept.append(find)
    assert (resident() - before) / len(kept) < 1024 * 1024


@pytest.mark.parametrize(
    "pattern",
    [
        r"step (?P<step>\d+) loss=(?P<loss>\S+)",
        r"(?i)epoch[:\s]+(?P<epoch>\d+).*?(?:val_)?loss[:=\s]+(?P<loss>\w+)",
        r"(?P<loss>(?:.*?x){1000})y",
    ],
)
def test_what_is_accepted_can_be_used(pattern: str) -> None:
    assert LogPattern(pattern=pattern).pattern == pattern
    assert finder(pattern)(b"nothing") is None
