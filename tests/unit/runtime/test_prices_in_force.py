"""Prices in force in the operator: across restarts, jumps, exported prices and commitments."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from gpucost.core.clock import HOUR, MINUTE, SECOND, Instant
from gpucost.core.exported import KARPENTER_LABEL, KARPENTER_PRICE, OPENCOST_TOTAL
from gpucost.core.model import Node, PriceFact, Resources
from gpucost.core.pricelist import SOURCE
from gpucost.core.quarantine import ACCEPT
from gpucost.ledger import Ledger, LedgerError
from gpucost.runtime.assets import Assets
from gpucost.runtime.metrics import Figures
from gpucost.runtime.price_memory import MARK, decode
from gpucost.runtime.price_status import status_of
from gpucost.runtime.price_watch import PERIOD, PriceWatch
from gpucost.runtime.prices import Prices
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.world import World, custom_record
from gpucost.sources.exported_prices import PricesSeen
from gpucost.sources.promql import PrometheusError, RangeSeries, Series
from gpucost.sources.reflector import Change

T0 = 1_793_491_200 * SECOND  # 2026-11-01T00:00:00Z
ZONE = "topology.kubernetes.io/zone"
LABELS = {
    "node.kubernetes.io/instance-type": "p5.48xlarge",
    "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
    ZONE: "z1",
}


class Accounting:
    """Calls the ledger at once, where the real one has a thread for it."""

    def __init__(self) -> None:
        self.ledger = Ledger("sqlite://", cluster="c", currency="USD")

        self.away = False

    async def call(self, function: Any) -> Any:
        if self.away:
            raise LedgerError("cannot connect")
        return function()


class Exporter:
    """A PromQL engine with prices of one offering and of nodes by name."""

    def __init__(self) -> None:
        self.karpenter: float | None = None
        self.opencost: dict[str, float] = {}
        self.past: list[tuple[Instant, float]] = []
        self.down = False
        self.asked: list[tuple[str, ...]] = []

    async def read(self, instance_types: Any) -> PricesSeen:
        if self.down:
            raise PrometheusError("http://prometheus: connection refused")
        self.asked.append(tuple(instance_types))
        karpenter = [] if self.karpenter is None else [Series(self._labels(), self.karpenter)]
        opencost = [Series({"node": name}, value) for name, value in self.opencost.items()]
        return PricesSeen(karpenter, {OPENCOST_TOTAL: opencost} if opencost else {})

    async def history(self, _types: Any, start: Instant, end: Instant, _step: int) -> Any:
        samples = tuple((at, value) for at, value in self.past if start <= at <= end)
        return ([RangeSeries(self._labels(), samples)] if samples else []), {}

    @staticmethod
    def _labels() -> dict[str, str]:
        return {"__name__": KARPENTER_PRICE, "instance_type": "p5.48xlarge", "capacity_type": "on-demand", "zone": "z1"}


@dataclass
class Scene:
    """An operator's prices, with a clock that the test moves; `restart` forgets what is not in the ledger."""

    at: Instant = T0
    world: World = field(default_factory=World)
    accounting: Accounting = field(default_factory=Accounting)
    exporter: Exporter | None = None
    currency: str = "USD"
    prices: Prices = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.prices = Prices(self.world, self.currency)
        self.prices.memory = decode(self.accounting.ledger.marks().get(MARK, ""))
        self.recorder = Recorder(self.world, lambda: self.at, self.prices.of)
        self.figures = Figures()
        assets = Assets(self.recorder, lambda: self.at, self.prices.of_asset)
        self.watch = PriceWatch(self.prices, self.recorder, assets, self.figures, lambda: self.at, self.exporter)
        self.prices.reload()
        for node in self.world.nodes.values():
            self.recorder.node_changed(Change(None, node))

    def book(self, name: str = "b", annotations: dict[str, str] | None = None, **spec: Any) -> None:
        metadata = {"uid": f"book-{name}", "name": name, "generation": 1, "annotations": annotations or {}}
        self.world.pricebooks[name] = custom_record({"kind": "PriceBook", "metadata": metadata, "spec": spec})
        self.watch.dirty = True

    def node(self, uid: str = "n1", created: Instant = T0, *, price: str | None = None, **labels: str) -> Node:
        old = self.world.nodes.get(uid)
        new = Node(uid, f"node-{uid}", created, Resources(8000, 0, 8), {**LABELS, **labels}, price_annotation=price)
        self.world.nodes[uid] = new
        self.recorder.node_changed(Change(old, new))
        return new

    def node_gone(self, uid: str) -> None:
        self.recorder.node_changed(Change(self.world.nodes.pop(uid), None, seen=True))

    async def tick(self, later: int = 0) -> None:
        self.at += later
        await self.watch.tick(self.accounting)  # type: ignore[arg-type]

    def timeline(self, uid: str = "n1") -> list[tuple[float, Decimal | None]]:
        """Hours after the start and prices; what the recorder would write now."""
        self.recorder.drain()
        fact, node = self.prices.lives[uid]
        assert node is not None
        return [((one.start - T0) / HOUR, one.hourly) for one in self.prices.of(fact, node)]

    def record(self) -> None:
        """Write what there is to write, as the real accounting does every second."""
        facts, prices, _ = self.recorder.drain()
        self.accounting.ledger.record(facts, prices=prices)

    def written(self) -> dict[str, list[PriceFact]]:
        return self.recorder.drain()[1]

    def condition(self, kind: str, name: str = "b") -> dict[str, Any]:
        status = status_of(self.world.pricebooks[name], self.prices, self.at)
        assert status is not None
        return next(one for one in status["conditions"] if one["type"] == kind)


def p5(hourly: str) -> dict[str, Any]:
    return {"prices": [{"instanceType": "p5.48xlarge", "hourly": hourly}]}


# --- jumps ------------------------------------------------------------------------------------------------------------


async def test_a_jump_in_a_book_is_held_back_until_it_is_accepted_and_a_restart_changes_nothing() -> None:
    scene = Scene()
    scene.node()
    scene.book(**p5("50"))
    await scene.tick()
    scene.book(**p5("5000"))
    await scene.tick()
    for _ in range(2):
        assert scene.timeline() == [(0, 50)]
        held = scene.condition("Quarantined")
        assert (held["status"], held["reason"]) == ("True", "Quarantined")
        assert "kubectl annotate --overwrite pricebook b gpucost.dev/accept-price-jump=5000" in held["message"]
        assert "5000 is held back, 50 is in force" in held["message"]
        assert scene.condition("Ready")["reason"] == "Quarantined"
        await scene.tick()
        assert scene.figures.quarantined["PriceBook/b"] == 1
        scene.restart()
    scene.book(annotations={ACCEPT: "5000"}, **p5("5000"))
    await scene.tick()
    assert scene.timeline() == [(0, 5000)]
    assert scene.condition("Ready")["status"] == "True"
    scene.restart()
    scene.book(**p5("5000"))  # the annotation may go
    await scene.tick()
    assert scene.timeline() == [(0, 5000)]
    assert scene.figures.quarantined["PriceBook/b"] == 0


async def test_an_edit_made_while_the_operator_was_down_is_held_back() -> None:
    scene = Scene()
    scene.node()
    scene.book(**p5("50"))
    await scene.tick()
    scene.book(**p5("0.5"))
    scene.restart()
    assert scene.timeline() == [(0, 50)]


async def test_a_book_that_cannot_be_used_for_a_while_is_not_forgotten() -> None:
    scene = Scene()
    scene.node()
    scene.book(**p5("50"))
    await scene.tick()
    scene.book(currency="EUR", **p5("50"))
    await scene.tick()
    scene.book(**p5("5000"))
    await scene.tick()
    assert scene.timeline() == [(0, 50)]


async def test_a_jump_of_an_annotation_is_held_back_until_it_is_set_anew() -> None:
    scene = Scene()
    scene.node(price="50")
    await scene.tick()
    scene.node(price="5000")
    await scene.tick()
    assert scene.written()["n1"] == [
        PriceFact("n1", T0, Decimal(50), scene.recorder.nodes["n1"].capacity_type, "annotation (jump held back)")
    ]
    assert scene.figures.quarantined["annotation"] == 1
    scene.restart()
    assert scene.timeline() == [(0, 50)]
    scene.node(price=None)
    scene.node(price="5000")
    await scene.tick()
    assert scene.timeline() == [(0, 5000)]
    assert scene.figures.quarantined["annotation"] == 0


async def test_nothing_is_remembered_of_nodes_and_books_that_are_gone() -> None:
    scene = Scene()
    scene.node("a", price="50")
    scene.node("b", price="60")
    scene.book(**p5("50"))
    await scene.tick()
    scene.node_gone("a")
    del scene.world.pricebooks["b"]
    scene.watch.dirty = True
    await scene.tick()
    memory = decode(scene.accounting.ledger.marks()[MARK])
    assert (set(memory.own), memory.books) == ({"b"}, {})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"books": 3}', '{"books":{},"own":{"a":"x"},"karpenter":[],"opencost":{}}']
)
def test_a_memory_that_cannot_be_read_is_like_none(text: str) -> None:
    assert decode(text).encode() == decode("").encode()


# --- exported prices --------------------------------------------------------------------------------------------------


async def test_exported_prices_are_asked_for_every_few_minutes_and_survive_a_restart() -> None:
    scene = Scene(exporter=(exporter := Exporter()))
    scene.node()
    exporter.karpenter = 40.0
    await scene.tick(MINUTE)
    exporter.karpenter = 41.0
    await scene.tick(MINUTE)
    assert len(exporter.asked) == 1
    await scene.tick(HOUR)
    expected = [(0, 40), ((62 * MINUTE) / HOUR, 41)]
    assert scene.timeline() == expected
    scene.restart()
    assert scene.timeline() == expected
    assert exporter.asked[-1] == ("p5.48xlarge",)


async def test_a_first_start_finds_the_prices_of_the_past() -> None:
    scene = Scene(at=T0 + 10 * HOUR, exporter=(exporter := Exporter()))
    scene.node()
    exporter.karpenter = 42.0
    exporter.past = [(T0, 40.0), (T0 + HOUR, 40.0), (T0 + 3 * HOUR, 41.0), (T0 + 4 * HOUR, math.nan)]
    await scene.tick()
    assert scene.timeline() == [(0, 40), (3, 41), (10, 42)]
    assert scene.figures.dropped["prices", "", "price that is not a number"] == 1


async def test_opencost_is_asked_after_karpenter_and_before_the_list() -> None:
    scene = Scene(exporter=(exporter := Exporter()))
    scene.node()
    exporter.opencost = {"node-n1": 30.0, "somebody-else": 1.0}
    await scene.tick()
    assert scene.timeline() == [(0, 30)]
    exporter.karpenter = 40.0
    await scene.tick(HOUR)
    assert scene.timeline() == [(0, 30), (0.75, 40)]


async def test_an_engine_that_is_down_leaves_the_prices_as_they_were() -> None:
    scene = Scene(exporter=(exporter := Exporter()))
    scene.node()
    exporter.karpenter = 40.0
    await scene.tick()
    exporter.down = True
    await scene.tick(HOUR)
    assert scene.timeline() == [(0, 40)]
    assert scene.figures.errors["exported prices"] == 1


async def test_an_exported_price_that_jumps_is_held_back_and_counted() -> None:
    scene = Scene(exporter=(exporter := Exporter()))
    scene.node()
    for price in (40.0, 0.04):
        exporter.karpenter = price
        await scene.tick(PERIOD)
    assert scene.timeline() == [(0, 40)]
    assert scene.figures.quarantined["Karpenter"] == 1
    scene.book(annotations={ACCEPT: "0.04"}, **p5("0"))
    await scene.tick(PERIOD)
    assert scene.figures.quarantined["Karpenter"] == 0


async def test_karpenters_label_comes_before_its_metric() -> None:
    scene = Scene(exporter=(exporter := Exporter()))
    exporter.karpenter = 40.0
    scene.node(**{KARPENTER_LABEL: "39.5"})
    await scene.tick()
    assert scene.timeline() == [(0, Decimal("39.5"))]


def test_prices_in_dollars_mean_nothing_in_a_ledger_of_another_currency() -> None:
    scene = Scene(currency="EUR")
    scene.node(**{KARPENTER_LABEL: "39.5"})
    assert scene.timeline() == [(0, None)]
    dollars = Scene()
    dollars.node()
    assert dollars.written()["n1"][0].source == SOURCE


# --- commitments ------------------------------------------------------------------------------------------------------

COMMITTED = {"commitments": [{"name": "c", "instanceType": "p5.48xlarge", "count": 2, "hourly": "30"}]}


async def test_when_a_covered_node_ends_the_next_is_covered_and_written_anew() -> None:
    scene = Scene()
    scene.book(**COMMITTED)
    for position, uid in enumerate("abc"):
        scene.node(uid, T0 + position * MINUTE)
    await scene.tick(HOUR)
    assert scene.timeline("c") == [(2 / 60, Decimal("55.04"))]
    scene.node_gone("a")
    await scene.tick(MINUTE)
    written = scene.written()["c"]
    assert [(one.start, one.hourly) for one in written] == [(T0 + 2 * MINUTE, Decimal("55.04")), (T0 + HOUR, 30)]
    assert scene.condition("CommitmentsUsed")["status"] == "True"
    scene.node_gone("b")
    await scene.tick(MINUTE)
    unused = scene.condition("CommitmentsUsed")
    assert (unused["status"], unused["reason"]) == ("False", "Unused")
    assert unused["message"] == "c: 1 of 2 nodes, 30 an hour is paid and not used"
    status = status_of(scene.world.pricebooks["b"], scene.prices, scene.at)
    assert status is not None
    assert status["commitments"] == [{"name": "c", "used": 1, "count": 2, "unusedHourly": "30"}]


def test_a_ledger_that_cannot_be_written_is_told_where_prices_are_looked_at() -> None:
    scene = Scene()
    scene.book(**p5("55.04"))
    scene.prices.reload()
    assert scene.condition("CostsRecorded")["status"] == "True"
    told = status_of(scene.world.pricebooks["b"], scene.prices, scene.at, ledger="the disk is full")
    assert told is not None
    [recorded] = [one for one in told["conditions"] if one["type"] == "CostsRecorded"]
    assert (recorded["status"], recorded["reason"], recorded["message"]) == (
        "False", "LedgerUnavailable", "the disk is full",
    )  # fmt: skip


async def test_the_past_of_a_node_that_is_covered_now_does_not_change_with_time() -> None:
    scene = Scene()
    scene.book(**COMMITTED)
    for position, uid in enumerate("abc"):
        scene.node(uid, T0 + position * MINUTE)
    await scene.tick(HOUR)
    scene.node_gone("a")
    await scene.tick()
    before = scene.timeline("c")
    await scene.tick(24 * HOUR)  # the recorder has forgotten the node that ended
    scene.book(annotations={"x": "y"}, **COMMITTED)
    await scene.tick()
    assert scene.timeline("c") == before == [(2 / 60, Decimal("55.04")), (1, 30)]


async def test_after_a_restart_a_node_is_not_covered_for_the_time_in_which_older_ones_were() -> None:
    scene = Scene()
    scene.book(**COMMITTED)
    for position, uid in enumerate("abc"):
        scene.node(uid, T0 + position * MINUTE)
    await scene.tick(HOUR)
    scene.node_gone("a")
    await scene.tick()
    scene.record()
    scene.at += 24 * HOUR
    scene.restart()
    await scene.tick()
    assert scene.timeline("c") == [(2 / 60, Decimal("55.04")), (1, 30)]


async def test_without_commitments_nothing_is_kept_of_nodes_that_ended() -> None:
    scene = Scene()
    scene.node("a")
    scene.node("b")
    await scene.tick()
    scene.node_gone("a")
    await scene.tick()
    assert set(scene.prices.lives) == {"b"}


async def test_a_price_that_changes_while_the_ledger_is_away_holds_once_it_is_back() -> None:
    scene = Scene()
    scene.node()
    scene.book(**p5("50"))
    await scene.tick()
    scene.record()
    scene.book(**p5("60"))
    scene.accounting.away = True
    for _ in range(2):
        with pytest.raises(LedgerError):
            await scene.tick(MINUTE)
    assert scene.written() == {}
    scene.accounting.away = False
    await scene.tick(MINUTE)
    assert [one.hourly for one in scene.written()["n1"]] == [Decimal(60)]
