"""The marks never promise more than is written, whatever interrupts the writing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from gpucost.core.clock import MINUTE, SECOND, Instant
from gpucost.core.model import Node, Owner, Pod, Resources
from gpucost.core.usage import ENGINE_ACTIVE, Sample
from gpucost.ledger import Ledger
from gpucost.runtime.accounting import NODES_VERSION, OBSERVED_UNTIL, PODS_VERSION, Accounting
from gpucost.runtime.metrics import Figures
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.sampling import Sampling
from gpucost.runtime.world import World
from gpucost.sources.reflector import Change

T0: Instant = 1_793_491_200 * SECOND


@dataclass
class Scene:
    """Books over a real ledger; watches that the test calls healthy or broken."""

    ledger: Ledger
    at: Instant = T0 + 10 * MINUTE

    def __post_init__(self) -> None:
        self.world = World()
        self.recorder = Recorder(self.world, lambda: self.at, lambda _fact, _node: [])
        self.nodes = SimpleNamespace(resource_version="7", following=True, items=self.world.nodes)
        self.pods = SimpleNamespace(resource_version="8", following=True, items=self.world.pods)
        caches = SimpleNamespace(nodes=self.nodes, pods=self.pods)
        self.books = Accounting(self.ledger, self.recorder, caches, Figures(), lambda: self.at, caught_up=True)  # type: ignore[arg-type]

    def pod(self, uid: str) -> None:
        node = Node("n1", "gpu-0", T0, Resources(8000, 0, 8), devices={"nvidia.com/gpu": 8})
        self.world.nodes["n1"] = node
        self.recorder.node_changed(Change(None, node))
        needs, held = Resources(1000, 0, 4), {"nvidia.com/gpu": 4}
        pod = Pod(uid, uid, "research", T0, needs, Owner("Job", "b", "j"), node_name="gpu-0", bound=T0, devices=held)
        self.world.pods[uid] = pod
        self.recorder.pod_changed(Change(None, pod))

    def written(self) -> set[str]:
        return {fact.uid for fact in self.ledger.open_pods()}


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Ledger("sqlite://") as ledger:
        yield Scene(ledger)


@pytest.fixture
async def busy(scene: Scene) -> AsyncIterator[threading.Event]:
    """The ledger's thread, at work on something else until the event is set."""
    free = threading.Event()
    scene.books._thread.submit(free.wait)
    yield free
    free.set()


async def test_a_stop_while_a_write_waits_for_its_turn_loses_nothing(scene: Scene, busy: threading.Event) -> None:
    scene.pod("p1")
    writing = asyncio.create_task(scene.books.flush())
    while scene.books._thread._work_queue.empty():  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    busy.set()
    assert await scene.books.flush()
    assert scene.written() == {"p1"}
    assert scene.ledger.marks()[PODS_VERSION] == "8"


async def test_a_start_that_is_broken_off_moves_no_mark(scene: Scene) -> None:
    scene.ledger.record((), marks={OBSERVED_UNTIL: "1", NODES_VERSION: "2", PODS_VERSION: "3"})
    scene.books.caught_up = False
    scene.pod("p1")
    assert await scene.books.flush()
    assert scene.ledger.marks() == {OBSERVED_UNTIL: "1", NODES_VERSION: "2", PODS_VERSION: "3"}


async def test_the_marks_stand_still_while_a_watch_is_broken(scene: Scene) -> None:
    await scene.books.flush()
    before = scene.ledger.marks()
    scene.pods.following = False
    scene.pods.resource_version = ""
    scene.at += MINUTE
    scene.pod("p1")
    await scene.books.flush()
    assert scene.written() == {"p1"}
    assert scene.ledger.marks() == before

    scene.pods.following = True
    scene.pods.resource_version = "9"
    scene.at += MINUTE
    await scene.books.flush()
    assert scene.ledger.marks()[OBSERVED_UNTIL] == str(scene.at)
    assert scene.ledger.marks()[PODS_VERSION] == "9"


async def test_after_a_quick_restart_a_steady_activity_is_known_again(scene: Scene) -> None:
    labels = {"namespace": "research", "pod": "p1"}

    async def read(_: Instant) -> dict[str, list[Sample]]:
        return {ENGINE_ACTIVE: [Sample({**labels, "UUID": str(gpu)}, 0.5) for gpu in range(4)]}

    stopped = scene.at - 10 * SECOND
    source = SimpleNamespace(name="prometheus", read=read, last_success=None)
    scene.books.sampling = Sampling(
        scene.world.pods, scene.recorder, Figures(), lambda: scene.at, lambda: scene.at, gpus=[source]
    )
    scene.pod("p1")
    await scene.books.flush()
    scene.books.sampling.begin({"p1"}, (), stopped)
    for _ in range(3):
        await scene.books.sample()
        await scene.books.flush()
        scene.at += 30 * SECOND
    known = scene.ledger._books.activities["p1"]
    assert known.at(scene.at) == 500_000
