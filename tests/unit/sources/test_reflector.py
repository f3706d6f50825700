"""The mirror stays right whatever the connection does."""

import asyncio
import contextlib
from dataclasses import dataclass

import pytest

from gpucost.core.clock import SECOND
from gpucost.kube.client import KubeClient
from gpucost.sources import reflector as module
from gpucost.sources.reflector import Change, Reflector
from support.faulty_apiserver import FaultyApiServer, answer, cut, watch


@dataclass(frozen=True)
class Thing:
    uid: str
    version: str


def body(uid, version="1"):
    return {"metadata": {"uid": uid, "resourceVersion": version}}


def bookmark(version, *, initial=False):
    note = {"annotations": {"k8s.io/initial-events-end": "true"}} if initial else {}
    return ("BOOKMARK", {"metadata": {"resourceVersion": version, **note}})


def parse(raw):
    if raw.get("broken"):
        raise AttributeError("shape") if raw["broken"] == "shape" else KeyError("spec")
    return Thing(raw["metadata"]["uid"], raw["metadata"]["resourceVersion"])


@contextlib.asynccontextmanager
async def mirror(*steps, path="/things", now=lambda: 77):
    async with FaultyApiServer(list(steps)) as server:
        client = KubeClient(login_with=server.login)
        changes: list[Change] = []
        reflector = Reflector(client, path, parse, changes.append, now)
        task = asyncio.create_task(reflector.run())
        try:
            yield reflector, changes, server
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.close()


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_initial_state_is_complete_when_the_server_says_so():
    first = watch(("ADDED", body("a")), ("ADDED", body("b")), bookmark("5", initial=True), hold=True)
    async with mirror(first) as (reflector, changes, server):
        await asyncio.wait_for(reflector.synced.wait(), 5)
        assert set(reflector.items) == {"a", "b"}
        assert [c.new.uid for c in changes] == ["a", "b"]
        assert server.requests[0].query["sendInitialEvents"] == "true"


async def test_a_stream_that_ends_goes_on_from_where_it_was():
    first = watch(("ADDED", body("a")), bookmark("5", initial=True), ("MODIFIED", body("a", "6")))
    second = watch(("DELETED", body("a", "7")), hold=True)
    async with mirror(first, second) as (reflector, changes, server):
        await until(lambda: not reflector.items and changes)
        assert server.requests[1].query["resourceVersion"] == "6"
        assert changes[-1].new is None
        assert changes[-1].seen


async def test_an_expired_version_relists_and_reports_what_went_missing_unseen():
    first = watch(("ADDED", body("a")), ("ADDED", body("b")), bookmark("5", initial=True))
    gone = watch(("ERROR", {"kind": "Status", "code": 410, "message": "too old"}))
    again = watch(("ADDED", body("b")), bookmark("9", initial=True), hold=True)
    async with mirror(first, gone, again) as (reflector, changes, _):
        await until(lambda: reflector.relists == 2 and set(reflector.items) == {"b"})
        assert changes[-1] == Change(Thing("a", "1"), None, None, seen=False, last_seen=77)


async def test_an_unchanged_object_in_a_relist_changes_nothing():
    first = watch(("ADDED", body("a")), bookmark("5", initial=True))
    again = watch(("ADDED", body("a")), bookmark("9", initial=True), hold=True)
    async with mirror(first, answer(410, {"code": 410}), again) as (reflector, changes, _):
        await until(lambda: reflector.relists == 2 and reflector.resource_version == "9")
        assert len(changes) == 1


async def test_a_silent_stream_is_given_up_and_taken_up_again(monkeypatch):
    monkeypatch.setattr(module, "_SILENCE_SECONDS", 0.2)
    first = watch(("ADDED", body("a")), bookmark("5", initial=True), hold=True)
    second = watch(("ADDED", body("b", "6")), hold=True)
    async with mirror(first, second) as (reflector, _, _server):
        await until(lambda: set(reflector.items) == {"a", "b"})


async def test_a_broken_connection_and_a_server_error_are_survived():
    good = watch(("ADDED", body("a")), bookmark("5", initial=True), hold=True)
    async with mirror(cut, answer(500, {"message": "etcd"}), good) as (reflector, _, _server):
        await until(reflector.synced.is_set)
        assert reflector.failures == 0


async def test_a_server_without_streaming_lists_is_listed_in_pages():
    refused = answer(422, {"reason": "Invalid", "message": "sendInitialEvents is forbidden"})
    page1 = answer(200, {"metadata": {"continue": "x", "resourceVersion": "5"}, "items": [body("a")]})
    page2 = answer(200, {"metadata": {"resourceVersion": "5"}, "items": [body("b")]})
    async with mirror(refused, page1, page2, watch(hold=True)) as (reflector, _, server):
        await until(lambda: len(server.requests) >= 4)
        assert set(reflector.items) == {"a", "b"}
        assert server.requests[2].query["continue"] == "x"
        assert server.requests[3].query["resourceVersion"] == "5"


@pytest.mark.parametrize("how", [True, "shape"])
async def test_one_unreadable_object_does_not_stop_the_others(how):
    broken = {**body("x"), "broken": how}
    first = watch(("ADDED", broken), ("ADDED", body("a")), bookmark("5", initial=True), hold=True)
    async with mirror(first) as (reflector, _, _server):
        await asyncio.wait_for(reflector.synced.wait(), 5)
        assert set(reflector.items) == {"a"}
        assert reflector.rejected == 1


@pytest.mark.parametrize("how", [True, "shape"])
async def test_an_object_whose_last_state_cannot_be_read_is_gone_all_the_same(how):
    first = watch(
        ("ADDED", body("a")), bookmark("5", initial=True), ("DELETED", {**body("a", "6"), "broken": how}), hold=True
    )
    async with mirror(first) as (reflector, changes, _server):
        await until(lambda: len(changes) == 2)
        assert not reflector.items
        assert (changes[-1].old, changes[-1].new) == (Thing("a", "1"), None)
        assert reflector.rejected == 1


async def test_a_very_long_object_is_read_whole():
    big = {**body("a"), "data": "x" * 3_000_000}
    first = watch(("ADDED", big), bookmark("5", initial=True), hold=True)
    async with mirror(first) as (reflector, _, _server):
        await asyncio.wait_for(reflector.synced.wait(), 5)
        assert set(reflector.items) == {"a"}


async def test_a_server_that_ends_every_stream_at_once_is_not_asked_without_pause():
    first = watch(("ADDED", body("a")), bookmark("5", initial=True))
    async with mirror(first, watch()) as (_, _changes, server):
        await until(lambda: len(server.requests) >= 2)
        await asyncio.sleep(1.0)
        assert len(server.requests) <= 6


async def test_a_history_that_expires_again_and_again_is_not_listed_without_pause():
    async with mirror(answer(410, {"code": 410})) as (_, _changes, server):
        await until(lambda: len(server.requests) >= 2)
        await asyncio.sleep(1.0)
        assert len(server.requests) <= 6


async def test_a_listing_that_breaks_off_proves_nothing_of_what_it_had_not_come_to():
    clock = iter(range(1, 100))
    first = watch(
        ("ADDED", body("a")), ("ADDED", body("b")), bookmark("5", initial=True)
    )  # opened at 1, heard at 2, 3, 4
    gone = answer(410, {"code": 410})
    half = watch(("ADDED", body("b")))  # later
    again = watch(("ADDED", body("b")), bookmark("9", initial=True), hold=True)
    async with mirror(first, gone, half, again, now=lambda: next(clock)) as (reflector, changes, _):
        await until(lambda: set(reflector.items) == {"b"})
        assert changes[-1] == Change(Thing("a", "1"), None, None, seen=False, last_seen=4)


async def test_a_mirror_follows_only_while_it_is_whole_and_its_watch_is_open():
    first = watch(("ADDED", body("a")), bookmark("5", initial=True))
    async with mirror(cut, first, answer(500, {}), watch(hold=True)) as (reflector, _, server):
        assert not reflector.following
        await until(reflector.synced.is_set)
        await until(lambda: len(server.requests) >= 3 and reflector.failures > 0)
        assert not reflector.following
        await until(lambda: reflector.following)
        assert len(server.requests) >= 4


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.at = 1_000 * SECOND

    def __call__(self):
        return self.at


def later(clock, seconds, step):
    """A step of the server that takes place after the clock has moved on."""

    async def moved(request):
        clock.at += seconds * SECOND
        return await step(request)

    return moved


async def test_a_deletion_that_is_told_after_an_outage_happened_at_some_time_since_it_began():
    clock = Clock()
    begun = clock.at
    first = watch(("ADDED", body("a")), bookmark("5", initial=True))
    outage = later(clock, 120, answer(500, {"message": "etcd"}))
    back = watch(("DELETED", body("a", "7")), hold=True)
    async with mirror(first, outage, back, now=clock) as (reflector, changes, _):
        await until(lambda: not reflector.items and changes)
        assert (changes[-1].seen, changes[-1].last_seen) == (False, begun)
        assert changes[-1].body is not None


async def test_after_catching_up_deletions_are_seen_again():
    clock = Clock()
    first = watch(("ADDED", body("a")), ("ADDED", body("b")), bookmark("5", initial=True))
    outage = later(clock, 120, answer(500, {"message": "etcd"}))
    back = watch(("DELETED", body("a", "7")), bookmark("8"), ("DELETED", body("b", "9")), hold=True)
    async with mirror(first, outage, back, now=clock) as (reflector, changes, _):
        await until(lambda: not reflector.items and changes)
        assert [change.seen for change in changes if change.new is None] == [False, True]


async def test_a_stream_that_the_server_ended_in_order_missed_nothing():
    clock = Clock()
    first = watch(("ADDED", body("a")), bookmark("5", initial=True))
    quiet = later(clock, 290, watch())
    back = watch(("DELETED", body("a", "7")), hold=True)
    async with mirror(first, quiet, back, now=clock) as (reflector, changes, _):
        await until(lambda: not reflector.items and changes)
        assert changes[-1].seen
