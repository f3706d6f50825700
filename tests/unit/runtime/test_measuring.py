"""What a tick measures becomes facts; sources that fail, clocks that jump and restarts leave unknown, not wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from gpucost.core.clock import HOUR, MINUTE, SECOND, Instant
from gpucost.core.model import CapacityType, NeedFact, Node, Pod, PriceFact, Resources, UsageFact
from gpucost.core.money import PICO
from gpucost.core.needs import CPU
from gpucost.core.timeline import Interval
from gpucost.core.usage import ENGINE_ACTIVE, GPU_UTIL, Sample
from gpucost.ledger import Ledger
from gpucost.runtime.measuring import engine_of, sampling_of
from gpucost.runtime.metrics import Figures
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.sampling import Sampling
from gpucost.runtime.settings import Settings
from gpucost.runtime.world import World
from gpucost.sources.promql import PrometheusError
from gpucost.sources.reflector import Change

T0: Instant = 1_793_491_200 * SECOND
TICK = 30 * SECOND
GIB = 2**30
LABELS = {"namespace": "research", "pod": "p1", "UUID": "a"}


@dataclass
class Told:
    """A source that says what the test says, or fails."""

    name: str
    series: dict[str, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    down: bool = False
    last_success: Instant | None = None
    asked: int = 0

    async def read(self, now: Instant) -> dict[str, list[Sample]]:
        self.asked += 1
        if self.down:
            raise PrometheusError("http://prometheus: refused")
        self.last_success = now
        return {name: [Sample({**LABELS, **self.labels}, value)] for name, value in self.series.items()}


class Scene:
    """One pod with a GPU, measured by what the test says."""

    def __init__(self) -> None:
        self.at, self.clock = T0, 0
        self.world = World()
        self.recorder = Recorder(self.world, lambda: self.at, lambda _fact, _node: [])
        node = Node("n1", "gpu-0", T0 - HOUR, Resources(8000, 64 * GIB, 8), devices={"nvidia.com/gpu": 8})
        self.world.nodes["n1"] = node
        self.recorder.node_changed(Change(None, node))
        self.reserve("p1", Resources(1000, GIB, 1))
        self.figures = Figures()
        self.gpus, self.use = Told("prometheus", {ENGINE_ACTIVE: 0.5}), Told("prometheus, pods")
        self.sampling = Sampling(
            self.world.pods, self.recorder, self.figures, lambda: self.at, lambda: self.clock, [self.gpus], [self.use]
        )

    def reserve(self, uid: str, requests: Resources) -> None:
        """The pod reserves something, from now on."""
        old = self.world.pods.get(uid)
        units = {"nvidia.com/gpu": int(requests.gpus)}
        pod = Pod(uid, uid, "research", T0 - HOUR, requests, node_name="gpu-0", bound=T0 - HOUR, devices=units)
        self.world.pods[uid] = pod
        self.recorder.pod_changed(Change(old, pod))
        self.recorder.drain()

    async def tick(self, wall: int = TICK, monotonic: int | None = None) -> list[UsageFact | NeedFact]:
        self.at += wall
        self.clock += wall if monotonic is None else monotonic
        await self.sampling.sample()
        return self.sampling.drain()


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_activity_and_needs_come_from_one_tick(scene: Scene) -> None:
    scene.use.series = {CPU: 3.0}
    await scene.tick()
    assert await scene.tick() == []
    scene.gpus.series = {ENGINE_ACTIVE: 0.9}
    assert await scene.tick() == [UsageFact("p1", T0 + TICK, pytest.approx(0.7))]


async def test_what_the_first_tick_says_reaches_back_by_one_window(scene: Scene) -> None:
    scene.use.series = {CPU: 3.0}
    assert await scene.tick() == [
        UsageFact("p1", T0 - 30 * SECOND, 0.5),
        NeedFact("p1", T0 - 30 * SECOND, Resources(3000, GIB, 1)),
    ]


async def test_a_source_that_fails_leaves_activity_unknown_and_is_named_once(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.tick()
    scene.gpus.down = True
    assert await scene.tick() == [UsageFact("p1", T0 + TICK, None)]
    assert await scene.tick() == []
    assert [r.getMessage() for r in caplog.records] == ["not known from prometheus: http://prometheus: refused"]
    assert scene.figures.errors["prometheus"] == 2
    assert scene.figures.data_times["prometheus"] == T0 + TICK
    scene.gpus.down = False
    assert await scene.tick() == [UsageFact("p1", T0 + 3 * TICK, 0.5)]


async def test_two_sources_of_one_gpu_count_once_and_complete_each_other(scene: Scene) -> None:
    other = Told("exporters", {ENGINE_ACTIVE: 0.8, GPU_UTIL: 90.0}, {"instance": "http://10.0.0.7:9400/metrics"})
    scene.sampling.gpus = [scene.gpus, other]
    [fact] = await scene.tick()
    assert fact.gpu_active == 0.5  # type: ignore[union-attr]
    assert scene.figures.dropped == {("gpu", ENGINE_ACTIVE, "second exporter of one GPU"): 1}
    scene.gpus.down = True
    scene.at, scene.clock = scene.at + 5 * MINUTE - TICK, scene.clock + 5 * MINUTE - TICK
    assert (await scene.tick())[0].gpu_active == pytest.approx(0.8)  # type: ignore[union-attr]


async def test_the_next_source_of_use_is_asked_where_the_first_has_nothing(scene: Scene) -> None:
    second = Told("metrics server", {CPU: 2.0})
    scene.sampling.use = [scene.use, second]
    facts = await scene.tick()
    assert [fact.needs.cpu_milli for fact in facts if isinstance(fact, NeedFact)] == [2000]
    scene.use.series = {CPU: 0.5}
    await scene.tick()
    assert second.asked == 1


async def test_a_clock_that_goes_back_says_nothing_twice(scene: Scene) -> None:
    await scene.tick()
    assert await scene.tick(-HOUR, TICK) == []
    assert await scene.tick(TICK) == []
    assert scene.figures.errors["clock"] == 2
    assert await scene.tick(HOUR, HOUR) == [UsageFact("p1", T0 + TICK, None)]  # caught up, by a window of its own
    assert await scene.tick() == [UsageFact("p1", T0 + 2 * TICK, 0.5)]


async def test_time_that_a_clock_skipped_is_unknown(scene: Scene) -> None:
    scene.use.series = {CPU: 3.0}
    await scene.tick()
    facts = await scene.tick(HOUR, TICK)
    assert facts == [UsageFact("p1", T0 + TICK, None), NeedFact("p1", T0 + TICK, Resources(1000, GIB, 1))]
    assert [type(fact) for fact in await scene.tick()] == [UsageFact, NeedFact]


async def test_after_a_restart_the_request_counts_until_something_is_measured(scene: Scene) -> None:
    stopped = T0 - 10 * SECOND
    before = [
        NeedFact("p1", T0 - HOUR, Resources(2000, GIB, 1)),
        NeedFact("p1", T0 - MINUTE, Resources(3000, GIB, 1)),
    ]
    scene.sampling.begin(["p1"], before, stopped)
    assert scene.sampling.drain() == [
        UsageFact("p1", stopped, None),
        NeedFact("p1", stopped, Resources(1000, GIB, 1)),
    ]
    scene.use.series = {CPU: 3.0}
    assert await scene.tick() == [UsageFact("p1", stopped, 0.5), NeedFact("p1", T0, Resources(3000, GIB, 1))]


async def test_what_is_measured_changes_what_a_pod_owes(scene: Scene) -> None:
    """1 of 8 cores is requested and 4 are used: half of a node at 6 an hour for ten minutes, not an eighth."""
    scene.reserve("p1", Resources(1000, GIB, 0))
    prices = {"n1": [PriceFact("n1", T0 - HOUR, Decimal(6), CapacityType.ON_DEMAND, "test")]}
    with Ledger("sqlite://") as ledger:
        ledger.record([*scene.recorder.nodes.values(), *scene.recorder.written.values()], prices=prices)
        scene.use.series = {CPU: 4.0}
        scene.sampling.begin([], [], T0)
        for _ in range(20):
            ledger.record(await scene.tick())
        report = ledger.report(Interval(T0, scene.at), now=scene.at)
    assert sum(row.amounts.cost for row in report.rows) == PICO // 2


async def test_a_pod_of_which_half_the_devices_report_is_unknown(scene: Scene) -> None:
    scene.reserve("p1", Resources(1000, GIB, 2))
    assert await scene.tick() == []
    assert "p1" in scene.sampling.condensed


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "gpus", "use"),
    [
        ({}, ["exporters"], ["metrics server"]),
        ({"prometheus_url": "http://p:9090"}, ["prometheus"], ["prometheus, pods", "metrics server"]),
        ({"prometheus_url": "http://p:9090", "scrape": "always"}, ["prometheus", "exporters"], None),
        ({"scrape": "never", "pod_use": "off"}, [], []),
    ],
)
def test_sources_follow_the_settings(scene: Scene, settings: dict[str, str], gpus: list[str], use: list[str]) -> None:
    chosen = Settings(**settings)  # type: ignore[arg-type]
    caches = type("Caches", (), {"pods": type("Pods", (), {"items": {}})})
    made = sampling_of(
        chosen,
        client=None,  # type: ignore[arg-type]
        caches=caches,  # type: ignore[arg-type]
        recorder=scene.recorder,
        figures=scene.figures,
        now=lambda: T0,
        engine=engine_of(chosen),
    )
    assert [source.name for source in made.gpus] == gpus
    assert use is None or [source.name for source in made.use] == use


def test_lists_in_settings_are_split_and_targets_get_their_path() -> None:
    chosen = Settings(scrape_selectors="a=b,c=d; e=f", scrape_targets="http://a:9400, http://b/m", scrape_namespaces="")
    assert chosen.scrape_selector_list == ("a=b,c=d", "e=f")
    assert chosen.scrape_target_list == ("http://a:9400/metrics", "http://b/m")
    assert chosen.scrape_namespace_list == ()
