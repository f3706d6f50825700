"""What is booked of replicas over passes and restarts, and what is gathered of the GPUs that endpoints need."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from gpucost.api.inference_status import InferenceEndpointStatus
from gpucost.core.clock import DAY, HOUR, MINUTE
from gpucost.core.model import CapacityType, Key, Node, NodeFact, Owner, Pod, Resources, Unknown
from gpucost.core.money import PICO
from gpucost.core.sampling import Window
from gpucost.core.serving.behavior import Past
from gpucost.core.serving.counterfactual import compared
from gpucost.core.serving.plan import plan
from gpucost.core.serving.selecting import selecting
from gpucost.core.serving.signals.model import (
    Availability,
    Evidence,
    Known,
    ReplicaCapacity,
    Signals,
)
from gpucost.core.serving.spec import EndpointSpec, Mode, Runtime, TargetRef
from gpucost.core.serving.state import EndpointState, Measured, Rival, Target, Wish
from gpucost.core.signals import MEMORY_USED
from gpucost.core.timeline import Interval
from gpucost.core.training.estimating.market import Quote
from gpucost.core.training.estimating.ranges import Range
from gpucost.core.usage import Held, Sample
from gpucost.ledger import LedgerError
from gpucost.ledger.replicas import SAVED, Booked, Note
from gpucost.runtime.endpoints.footprints import Footprints, declared_gib
from gpucost.runtime.endpoints.otherwise import BEFORE, HPA, ReplicaBook
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.market import MarketView
from gpucost.runtime.world import Custom, World, custom_record
from gpucost.sources.reflector import Change

T0 = 20_000 * DAY
H100 = "NVIDIA-H100-80GB-HBM3"


def record(**changes: Any) -> Custom:
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "llama"}, "runtime": "triton", "mode": "Auto"}
    metadata = {"name": "llama", "namespace": "prod", "uid": "iep-1", "generation": 1, "annotations": {}}
    body = {"kind": "InferenceEndpoint", "metadata": {**metadata, **changes}, "spec": spec}
    return custom_record(body)


def signals(arrived: float, each: float = 10.0, evidence: Evidence = Evidence.SATURATED) -> Signals:
    capacity = ReplicaCapacity(evidence, requests_per_second=each)
    known = Known(arrived, T0, arrived, arrived)
    return Signals(T0, Availability.FOUND, "found", arrived=known, capacity=capacity)


class Clock:
    """An hour hand that tests set."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now


# --- replicas ---------------------------------------------------------------------------------------------------------


class Kept:
    """A ledger in memory, which can be away."""

    def __init__(self) -> None:
        self.hours: dict[tuple[str, int, bool], Booked] = {}
        self.notes: dict[tuple[str, str], str] = {}
        self.away = False

    async def write(self, hours: Iterable[Booked], notes: Iterable[Note]) -> None:
        if self.away:
            raise LedgerError("away")
        self.hours |= {(one.uid, one.hour.hour, one.hour.applied): one for one in hours}
        self.notes |= {(one.kind, one.uid): one.said for one in notes}

    async def read(self, span: Interval, _namespace: str | None) -> list[Booked]:
        return [one for (_, hour, _), one in self.hours.items() if span.start <= hour < span.end]

    def of(self, kind: str) -> dict[str, str]:
        return {uid: said for (known, uid), said in self.notes.items() if known == kind}


def book_of(clock: Clock, kept: Kept, load: float = 10.0) -> ReplicaBook:
    """A book that has just started."""
    book = ReplicaBook(clock, lambda _uid: signals(load), kept.write, kept.read)
    book.load(kept.hours.values(), kept.of(BEFORE), kept.of(HPA), kept.of(SAVED))
    return book


def state(replicas: int, wanted: int, mode: Mode = Mode.AUTO, **changes: Any) -> EndpointState:
    spec = EndpointSpec(TargetRef("Deployment", "llama"), Runtime.VLLM, 1, 20, mode)
    found = EndpointState(
        key=Key("prod", "llama"),
        uid="iep-1",
        generation=1,
        spec=spec,
        target=Target("dep", "1", replicas),
        measured=Measured(True, "MetricsFound"),
        wish=Wish(wanted, "FallingLoad", ""),
        replica_hourly=Decimal(6),
        past=Past(begun=T0 - HOUR),
    )
    return replace(found, **changes)


def watch(book: ReplicaBook, clock: Clock, minutes: int, *args: Any, **kwargs: Any) -> None:
    """A look a minute at something that does not change."""
    for _ in range(minutes):
        seen = state(*args, **kwargs)
        book.look(record(), seen, plan(seen, clock.now))
        clock.now += MINUTE


def totals(kept: Kept, *, applied: bool) -> Any:
    return compared(one.hour for one in kept.hours.values())[0 if applied else 1]


def test_what_was_there_before_is_remembered_over_a_restart() -> None:
    """An hour at 8, then 3 for an hour, at 6 a replica-hour: 5 x 6 = 30 saved. A restart in between changes nothing.

    The restart comes a minute after the last look was written: that minute is lost to both sides.
    """
    clock, kept = Clock(), Kept()
    book = book_of(clock, kept)
    watch(book, clock, 60, 8, 8)
    asyncio.run(book.flush())
    again = book_of(clock, kept)
    watch(again, clock, 61, 3, 3)
    asyncio.run(again.flush())
    found = totals(kept, applied=True)
    assert found.known == 2 * HOUR - MINUTE
    assert found.against_before == 30 * PICO
    assert again.saved() == 30 * PICO
    assert book_of(clock, kept).saved() == 30 * PICO


def test_how_many_there_were_before_is_written_before_it_can_be_lost() -> None:
    clock, kept = Clock(), Kept()
    book = book_of(clock, kept)
    assert not book.is_pressing
    watch(book, clock, 1, 8, 8)
    assert book.is_pressing
    asyncio.run(book.flush())
    assert not book.is_pressing
    again = book_of(clock, kept)  # a crash moments after it took over
    watch(again, clock, 121, 3, 3)
    assert again.saved() > 0


def test_a_note_that_cannot_be_read_keeps_nobody_from_starting() -> None:
    book = ReplicaBook(Clock(), lambda _uid: None)
    book.load((), {"a": "8"}, {"a": "nonsense", "b": "[1]", "c": "[3, 5, []]"}, {})
    assert set(book._shadows) == {"c"}


def test_while_it_recommends_nothing_is_called_saved() -> None:
    clock, kept = Clock(), Kept()
    book = book_of(clock, kept)
    watch(book, clock, 61, 8, 3, Mode.RECOMMEND)
    asyncio.run(book.flush())
    assert totals(kept, applied=True) is None
    assert book.saved() == 0
    assert totals(kept, applied=False).possible > 0


@pytest.mark.parametrize("changes", [{"rivals": (Rival("HorizontalPodAutoscaler", "x"),)}, {"mode": Mode.OFF}])
def test_who_does_not_set_the_number_saves_nothing(changes: dict[str, Any]) -> None:
    clock, kept = Clock(), Kept()
    book = book_of(clock, kept)
    watch(book, clock, 5, 8, 8)
    mode = changes.pop("mode", Mode.AUTO)
    watch(book, clock, 61, 2, 2, mode, **changes)
    asyncio.run(book.flush())
    assert book.saved() == 0
    assert kept.of(BEFORE) == {"iep-1": ""}
    watch(book, clock, 2, 2, 2)
    assert book.saved() == 0, "taken over anew at 2"


def test_an_autoscaler_that_nobody_sees_goes_along() -> None:
    """A load of 5 replicas' worth: an HPA would keep 6 or 7 (5/0.8), a replica-hour of which costs 6."""
    clock, kept = Clock(), Kept()
    book = book_of(clock, kept, load=50.0)
    watch(book, clock, 121, 6, 6)
    asyncio.run(book.flush())
    found = totals(kept, applied=True)
    assert 0 <= found.against_hpa <= 2 * 6 * PICO
    assert kept.of(HPA)


def test_a_ledger_that_is_away_loses_nothing() -> None:
    clock, kept = Clock(), Kept()
    book = book_of(clock, kept)
    watch(book, clock, 2, 8, 8)
    watch(book, clock, 119, 3, 3)
    kept.away = True
    with pytest.raises(LedgerError):
        asyncio.run(book.flush())
    kept.away = False
    asyncio.run(book.flush())
    assert totals(kept, applied=True).known == 2 * HOUR
    span = Interval(T0, T0 + DAY)
    assert sum(one.hour.known for one in asyncio.run(book.hours(span, "prod"))) == 2 * HOUR


# --- GPUs -------------------------------------------------------------------------------------------------------------


def world_of(
    *, model: str = H100, devices: dict[str, int] | None = None, gpus: Any = 1
) -> tuple[Endpoints, Footprints]:
    """Two replicas on one node, and a market with two GPUs."""
    world, clock = World(), Clock()
    endpoints = Endpoints(world)
    node = Node("n1", "gpu-0", 0, Resources(gpus=8))
    world.node_by_name["gpu-0"] = node
    endpoints.changed(record())
    for name in ("llama-a", "llama-b"):
        owner = Owner("Deployment", "llama", "dep", "apps/v1")
        pod = Pod(
            f"uid-{name}",
            name,
            "prod",
            T0,
            Resources(gpus=gpus),
            owner,
            node_name="gpu-0",
            bound=T0,
            ready_since=T0,
            devices=devices or {"nvidia.com/gpu": 1},
        )
        world.pods[pod.uid] = pod
        endpoints.pod_changed(Change(None, pod))
    fact = NodeFact("n1", "gpu-0", 0, None, Resources(gpus=8), gpu_model=model)
    quotes = tuple(
        Quote(name, CapacityType.ON_DEMAND, Range.of(Fraction(price)), "PriceBook/team", nodes=1)
        for name, price in ((H100, "6.88"), ("NVIDIA-L4", "0.80"))
    )
    view = MarketView(quotes, frozenset({H100}))
    return endpoints, Footprints(endpoints, lambda: {"n1": fact}, lambda: view, clock)


HELD = {("prod", name): Held(f"uid-{name}", 1) for name in ("llama-a", "llama-b")}


def feed(found: Footprints, memory: dict[str, float], active: dict[str, float | Unknown], hours: int = 30) -> None:
    samples = [Sample({"namespace": "prod", "pod": name, "UUID": name}, value) for name, value in memory.items()]
    for hour in range(hours):
        span = Window(T0 + hour * HOUR, T0 + (hour + 1) * HOUR)
        found.take({MEMORY_USED: samples}, HELD, active, span)


QUIET: dict[str, float | Unknown] = {"uid-llama-a": 0.04, "uid-llama-b": 0.02}


def test_from_samples_to_advice() -> None:
    endpoints, found = world_of()
    feed(found, {"llama-a": 6000.0, "llama-b": 5000.0}, QUIET)
    ((_, kept),) = found.known.items()
    assert (kept.memory_mib, kept.busy(0.99), kept.measured) == (6000.0, 0.05, 30 * HOUR)
    one = next(iter(endpoints.records.values()))
    spec = endpoints.specs[one.key].value
    assert spec is not None
    advice = found.advice(one, spec)
    assert advice.best is not None
    assert advice.best.name == "L4"
    assert advice.monthly == 2 * Fraction("6.08") * 730
    shown = found.shown(one)["advice"]
    assert (shown["gpu"], shown["savesPerMonth"], shown["confidence"]) == ("L4", "8876.80", "Low")
    (note,) = found.news(one)
    assert note.reason == "CheaperAlternative"
    assert note.message.startswith("on L4: 8876.80 USD a month less (confidence Low): it needs")
    assert list(found.news(replace(one, status={"advice": shown}))) == [], "it was told"
    InferenceEndpointStatus.model_validate({"advice": shown}, extra="forbid")
    again = world_of()[1]
    assert again.shown(one) == {}, "nothing measured, nothing advised"
    again.load({note.uid: note.said for note in found.notes()} | {"broken": "{}"})
    assert again.known == found.known
    assert [note.kind for note in found.notes()] == [], "once an hour"
    assert [note.kind for note in found.notes(at_once=True)] == ["footprint"], "and when the operator ends"


def test_what_was_measured_first_does_not_wait_for_an_hour_because_nothing_was_known_before() -> None:
    _, found = world_of()
    assert found.notes() == []
    feed(found, {"llama-a": 6000.0, "llama-b": 5000.0}, QUIET, hours=1)
    assert [note.kind for note in found.notes()] == ["footprint"]


def test_nodes_are_selected_by_the_label_that_they_have_and_not_by_a_name_of_ours() -> None:
    endpoints, found = world_of()
    one = next(iter(endpoints.records.values()))
    spec = endpoints.specs[one.key].value
    assert spec is not None
    product, kind = "nvidia.com/gpu.product", "node.kubernetes.io/instance-type"
    own = {product: H100, kind: "p5.48xlarge"}
    world = endpoints.world
    world.node_by_name["gpu-0"] = replace(world.node_by_name["gpu-0"], labels=own)
    assert found.selecting(one, spec, "L4") == {product: "NVIDIA-L4", kind: None}, "none there: as it would be called"
    for name, labels in {
        "pcie": {product: "NVIDIA-H100-PCIe"},
        "l4": {product: "NVIDIA-L4-24GB", kind: "g6.xlarge"},
        "a100": {product: "NVIDIA-A100-SXM4-80GB", "cloud.google.com/gke-accelerator": "nvidia-a100-80gb"},
    }.items():
        world.nodes[name] = Node(name, name, 0, Resources(gpus=8), labels)
    assert found.selecting(one, spec, "L4") == {product: "NVIDIA-L4-24GB", kind: None}
    assert found.selecting(one, spec, "H100 PCIE") == {product: "NVIDIA-H100-PCIe", kind: None}
    gke = {"cloud.google.com/gke-accelerator": "nvidia-a100-80gb", product: None, kind: None}
    assert found.selecting(one, spec, "A100 80GB") == gke


@pytest.mark.parametrize(
    ("key", "name", "value"),
    [
        ("karpenter.k8s.aws/instance-gpu-name", "L40S", "l40s"),
        ("karpenter.k8s.aws/instance-gpu-name", "A100 80GB", "a100"),
        ("karpenter.azure.com/sku-gpu-name", "T4", "T4"),
        ("cloud.google.com/gke-accelerator", "L4", "nvidia-l4"),
        ("cloud.google.com/gke-accelerator", "T4", "nvidia-tesla-t4"),
        ("nvidia.com/gpu.product", "T4", "Tesla-T4"),
    ],
)
def test_a_gpu_that_no_node_has_yet_is_called_as_whoever_makes_the_nodes_calls_it(
    key: str, name: str, value: str
) -> None:
    own = {key: "whatever", "nvidia.com/gpu.product": H100, "topology.kubernetes.io/zone": "a"}
    away = {} if key == "nvidia.com/gpu.product" else {"nvidia.com/gpu.product": None}
    assert selecting(name, own, None) == {key: value, **away}


@pytest.mark.parametrize(
    ("memory", "active", "what"),
    [
        ({"llama-a": 6000.0}, QUIET, "memory_mib"),
        ({"llama-a": 6000.0, "llama-b": 4294967295.0}, QUIET, "memory_mib"),
        ({"llama-a": 6000.0, "llama-b": 1.0}, {**QUIET, "uid-llama-b": Unknown("silent")}, "busy"),
        ({"llama-a": 6000.0, "llama-b": 1.0}, {"uid-llama-a": 0.1}, "busy"),
    ],
)
def test_a_silent_or_absurd_pod_leaves_the_figure_unknown(
    memory: dict[str, float], active: dict[str, float | Unknown], what: str
) -> None:
    _, found = world_of()
    feed(found, memory, active)
    kept = found.known["iep-1"]
    assert (kept.memory_mib if what == "memory_mib" else kept.busy(0.99)) is None


def test_the_load_tells_better_than_activity_where_a_limit_was_met() -> None:
    _, found = world_of()
    found.signals_of = lambda _uid: signals(4.0)  # of 2 x 10 that they serve
    feed(found, {"llama-a": 6000.0, "llama-b": 5000.0}, {"uid-llama-a": 1.0, "uid-llama-b": 1.0})
    assert found.known["iep-1"].busy(0.99) == 0.2
    _, found = world_of()
    found.signals_of = lambda _uid: signals(4.0, evidence=Evidence.EXPLORED)
    feed(found, {"llama-a": 6000.0, "llama-b": 5000.0}, {"uid-llama-a": 1.0, "uid-llama-b": 1.0})
    assert found.known["iep-1"].busy(0.99) == 1.0


def test_slices_are_known_and_shared_gpus_are_not_advised_about() -> None:
    endpoints, found = world_of(devices={"nvidia.com/mig-3g.40gb": 1}, gpus=Fraction(1, 2))
    feed(found, {"llama-a": 6000.0, "llama-b": 5000.0}, QUIET)
    one = next(iter(endpoints.records.values()))
    spec = endpoints.specs[one.key].value
    assert spec is not None
    advice = found.advice(one, spec)
    assert advice.best is not None
    assert advice.best.resource == "nvidia.com/mig-1g.10gb"
    endpoints, found = world_of(gpus=Fraction(1, 4))
    feed(found, {"llama-a": 6000.0, "llama-b": 5000.0}, QUIET)
    assert found.known == {}
    assert "shared" in found.advice(one, spec).reason


def test_memory_by_the_users_word() -> None:
    assert declared_gib(record(annotations={"gpucost.dev/gpu-memory": "20Gi"})) == 20
    assert declared_gib(record()) is None
    assert "20Gi" in str(declared_gib(record(annotations={"gpucost.dev/gpu-memory": "much"})))
