"""What ends between two passes is exported to its end, and published as ended."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.model import CapacityType, Category, NodeFact, Owner, Pod, PriceFact, Resources, Workload
from gpucost.core.money import PICO
from gpucost.ledger import Ledger
from gpucost.runtime.accounting import Totals
from gpucost.runtime.figures import fill
from gpucost.runtime.metrics import Figures
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.world import World
from gpucost.sources.reflector import Change

T0 = 1_793_491_200 * SECOND
BERT = ("research", Workload("Job", "bert"))
HELD = ("research", "Job", "bert", "training", "onDemand", "unknown")


def test_a_job_that_lived_between_two_passes_is_counted_whole() -> None:
    clock = T0 + HOUR // 2
    world = World()
    recorder = Recorder(world, lambda: clock, lambda _fact, _node: [])
    recorder.adopt_node(NodeFact("n1", "gpu-0", T0, None, Resources(8000, 0, 8)))
    pod = Pod(
        "p1",
        "p1",
        "research",
        T0,
        Resources(1000, 0, 8),
        Owner("Job", "bert", "j1"),
        node_name="gpu-0",
        bound=T0,
        devices={"nvidia.com/gpu": 8},
    )
    recorder.pod_changed(Change(pod, None, None, seen=True))
    facts, _, _ = recorder.drain()
    with Ledger("sqlite://") as ledger:
        ledger.record([*recorder.nodes.values(), *facts, PriceFact("n1", T0, 6, CapacityType.ON_DEMAND, "test")])  # type: ignore[arg-type]
        ended = recorder.endings.lately(clock)
        assert ended == {BERT: Category.TRAINING}
        now = T0 + HOUR
        totals = Totals(now, ledger.workload_totals(now, ended), by_capacity=ledger.capacity_totals(now, ended))
    figures = Figures()
    fill(figures, totals, world, ended)
    assert figures.cost[HELD] == 3 * PICO
    assert (totals.workloads[BERT].hourly, totals.workloads[BERT].pods) == (0, 0)

    clock += 16 * MINUTE
    assert recorder.endings.lately(clock) == {}


def test_the_price_of_a_gpu_is_that_of_a_card_however_it_is_shared() -> None:
    """Four replicas of each of two GPUs: to Kubernetes a node of eight."""
    node = NodeFact("n1", "gpu-0", T0, None, Resources(8000, 0, 2), instance_type="g6.12xlarge")
    fraction = NodeFact("n2", "gpu-1", T0, None, Resources(8000, 0, Fraction(1, 4)), instance_type="g6f.2xlarge")
    prices = [PriceFact(uid, T0, Decimal(6), CapacityType.ON_DEMAND, "test") for uid in ("n1", "n2")]
    figures, now = Figures(), T0 + HOUR
    with Ledger("sqlite://") as ledger:
        ledger.record([node, fraction, *prices])
        fill(figures, Totals(now, nodes=ledger.node_totals(now)), World(), {})
    assert dict(figures.gpu_price) == {
        ("gpu-0", "g6.12xlarge", "test"): 3.0,
        ("gpu-1", "g6f.2xlarge", "test"): 24.0,
    }
