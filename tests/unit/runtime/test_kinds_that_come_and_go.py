"""JobSet and Kueue may come, go, be forbidden or fall silent while the operator runs; nothing else depends on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from gpucost.kube.client import KubeClient
from gpucost.runtime import optional_kinds
from gpucost.runtime.optional_kinds import OptionalKinds
from gpucost.runtime.world import World
from support.faulty_apiserver import FaultyApiServer, answer, watch
from support.jobset_objects import JOBSET

JOBSETS, WORKLOADS = "/apis/jobset.x-k8s.io/v1alpha2", "/apis/kueue.x-k8s.io/v1beta1"
INITIAL = {"metadata": {"resourceVersion": "20", "annotations": {"k8s.io/initial-events-end": "true"}}}
PLACE = {
    "apiVersion": "kueue.x-k8s.io/v1beta1",
    "metadata": {"uid": "w1", "name": "job-bert", "namespace": "research", "resourceVersion": "3"},
    "spec": {"active": True},
}


class Cluster:
    """What the server serves at the moment; `refuse` is a status for everything else than discovery."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self.refuse, self.broken = 0, 0

    async def step(self, request: web.Request) -> web.StreamResponse:
        if self.broken:
            return await answer(self.broken, {})(request)
        kind = self.kinds.get(request.path)
        if kind:
            return await answer(200, {"resources": [{"kind": kind}]})(request)
        if request.path.rpartition("/")[0] not in self.kinds:
            return await answer(404, {"reason": "NotFound"})(request)
        if self.refuse:
            return await answer(self.refuse, {"reason": "Forbidden"})(request)
        body = JOBSET if request.path.endswith("jobsets") else PLACE
        return await watch(("ADDED", body), ("BOOKMARK", INITIAL))(request)


@contextlib.asynccontextmanager
async def operator() -> AsyncIterator[tuple[Cluster, World, OptionalKinds]]:
    cluster, world = Cluster(), World()
    async with FaultyApiServer([cluster.step]) as server:
        client = KubeClient(login_with=server.login)
        kinds = OptionalKinds(client, world, lambda: 7)
        try:
            yield cluster, world, kinds
        finally:
            await kinds.close()
            await client.close()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_cluster_without_them_starts_without_waiting() -> None:
    async with operator() as (_, world, kinds):
        await asyncio.wait_for(kinds.first(), 2)
        assert (world.jobsets, world.absent_kinds) == ({}, frozenset({"JobSet"}))


async def test_what_is_there_is_known_before_the_first_decision() -> None:
    async with operator() as (cluster, world, kinds):
        cluster.kinds = {JOBSETS: "JobSet", WORKLOADS: "Workload"}
        await kinds.first()
        assert set(world.jobsets) == {"js1"}
        assert set(world.entries) == {"w1"}, "the older version is served, and enough"


async def test_a_kind_installed_later_is_watched_and_a_removed_one_forgotten(monkeypatch: Any) -> None:
    monkeypatch.setattr(optional_kinds, "_BROKEN", 0)
    async with operator() as (cluster, world, kinds):
        await kinds.first()
        cluster.kinds = {JOBSETS: "JobSet"}
        await kinds.look()
        await until(lambda: world.jobsets and not world.absent_kinds)
        cluster.kinds = {}
        await until(lambda: kinds.kinds[0].mirror.failures)
        await kinds.look()
        assert (world.jobsets, world.jobset_by_key, world.absent_kinds) == ({}, {}, frozenset({"JobSet"}))
        cluster.kinds = {JOBSETS: "JobSet"}
        await kinds.look()
        await until(lambda: world.jobsets and not world.absent_kinds)


async def test_a_server_that_does_not_answer_makes_nobody_forget_anything(monkeypatch: Any) -> None:
    monkeypatch.setattr(optional_kinds, "_BROKEN", 0)
    async with operator() as (cluster, world, kinds):
        cluster.kinds = {JOBSETS: "JobSet"}
        await kinds.first()
        cluster.broken = 403
        await until(lambda: kinds.kinds[0].mirror.failures)
        await kinds.look()
        assert set(world.jobsets) == {"js1"}
        assert not world.absent_kinds


async def test_a_kind_that_may_not_be_read_holds_nobody_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(optional_kinds, "_FIRST_SECONDS", 0.2)
    async with operator() as (cluster, world, kinds):
        cluster.kinds, cluster.refuse = {JOBSETS: "JobSet"}, 403
        await asyncio.wait_for(kinds.first(), 5)
        assert "JobSet" in world.absent_kinds
