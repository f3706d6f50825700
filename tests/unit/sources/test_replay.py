"""The API server's history is told to its end, or not at all."""

import pytest

from gpucost.kube.client import KubeClient
from gpucost.sources.replay import replay
from support.faulty_apiserver import FaultyApiServer, answer, cut, watch


def body(uid, version):
    return {"metadata": {"uid": uid, "resourceVersion": version}}


def bookmark(version):
    return ("BOOKMARK", {"metadata": {"resourceVersion": version}})


def present(version):
    return answer(200, {"metadata": {"resourceVersion": version}, "items": []})


async def told(*steps, since="3"):
    async with FaultyApiServer(list(steps)) as server:
        client = KubeClient(login_with=server.login)
        latest = await replay(client, "/things", since)
        await client.close()
        asked = [request.get("resourceVersion") for request in _queries(server) if request.get("watch")]
    return latest and {uid: (kind, item["metadata"]["resourceVersion"]) for uid, (kind, item) in latest.items()}, asked


def _queries(server):
    return [dict(request.query) for request in server.requests]


@pytest.mark.parametrize(
    "step", [answer(410, {"code": 410}), watch(("ERROR", {"code": 410, "message": "compacted"})), answer(403, {}), cut]
)
async def test_history_that_the_server_no_longer_has_or_does_not_tell_is_unknown(step):
    latest, _ = await told(present("9"), step)
    assert latest is None


async def test_the_last_state_of_every_object_is_kept():
    events = watch(("ADDED", body("a", "4")), ("ADDED", body("b", "5")), ("DELETED", body("a", "6")), hold=True)
    assert await told(present("6"), events) == ({"a": ("DELETED", "6"), "b": ("ADDED", "5")}, ["3"])


async def test_it_ends_with_the_bookmark_that_has_come_as_far_as_the_present():
    events = watch(("ADDED", body("a", "4")), bookmark("9"), hold=True)
    assert await told(present("9"), events) == ({"a": ("ADDED", "4")}, ["3"])


async def test_a_watch_that_ends_before_the_present_is_taken_up_again():
    first, second = watch(("ADDED", body("a", "4")), bookmark("5")), watch(("DELETED", body("a", "9")), hold=True)
    assert await told(present("9"), first, second) == ({"a": ("DELETED", "9")}, ["3", "5"])


async def test_a_server_that_has_nothing_more_to_tell_is_believed():
    assert await told(present("9"), watch(("ADDED", body("a", "4"))), watch()) == ({"a": ("ADDED", "4")}, ["3", "4"])


async def test_nothing_is_watched_when_nothing_has_happened():
    assert await told(present("3")) == ({}, [])
