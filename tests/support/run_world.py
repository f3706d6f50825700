"""A training run whose costs were worked out by hand. Times are hours after `ledger_world.T0`.

    n1  on demand, 55.04 an hour    0    to 4      4    h x 55.04 = 220.16
    n2  spot, 21.60 an hour         4.25 to 8      3.75 h x 21.60 =  81.00   55.04 on demand: 206.40, saved 125.40
    n3  on demand, 55.04 an hour    8.5  to 10     1.5  h x 55.04 =  82.56
                                                                    383.72   all on demand 509.12

The whole node is the run's each time; n2 is lost at 8. It has saved a checkpoint at 4 and at 6.5, so
1.5 h x 21.60 = 32.40 were paid for work that was done again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpucost.core.books import Fact
from gpucost.core.clock import MINUTE, SECOND, format_rfc3339
from gpucost.core.model import Key, PriceFact, Workload
from gpucost.core.training.estimating.market import without_cluster
from gpucost.core.training.progress import Checkpoint, Progress, Report
from gpucost.core.training.state import Interruption
from gpucost.runtime.insights import RunInsights
from gpucost.runtime.market import MarketView
from gpucost.runtime.world import World, custom_record
from support.ledger_provider import LedgerOnly
from support.ledger_world import at, busy, node, pod, price

BERT = Workload("TrainingJob", "bert")
P5: dict[str, str] = {"gpu_model": "H100", "instance_type": "p5.48xlarge"}
LISTED = "built-in list 2026-11-01"


def _spot_price() -> PriceFact:
    found = price("21.60", 4.25, "n2", "spot", source="PriceBook/team")
    return replace(found, on_demand=price("55.04").hourly)


def _pod(uid: str, start: float, end: float, node_uid: str) -> Fact:
    return replace(pod(uid, start, end, gpus=8, node_uid=node_uid, name="bert-0"), workload=BERT)


FACTS: tuple[Fact, ...] = (
    node("n1", 0, 4, gpus=8, name="gpu-1", **P5),
    node("n2", 4.25, 8, gpus=8, name="spot-1", capacity_type="spot", **P5),
    node("n3", 8.5, 11, gpus=8, name="gpu-3", **P5),
    price("55.04", 0, "n1", source=LISTED),
    _spot_price(),
    price("55.04", 8.5, "n3", source=LISTED),
    _pod("b1", 0, 4, "n1"),
    _pod("b2", 4.25, 8, "n2"),
    _pod("b3", 8.5, 10, "n3"),
    busy("b1", 0.5),
    busy("b2", 0.9, 4.25),
    busy("b3", 1.0, 8.5),
)


def _said(hours: float, step: int, loss: float | None = None, progress: float | None = None) -> Report:
    metrics = {} if loss is None else {"eval_loss": loss, "lr": 0.001}
    return Report(at(hours), step=step, progress=progress, metrics=metrics)


PROGRESS = Progress(
    reports=(
        _said(0.5, 0, 4.0, 0.0),
        _said(4, 3500, 2.5, 0.5),
        _said(4.5, 3500, None, 0.5),
        _said(7, 6000, 2.1, 0.86),
        _said(8.75, 5500, None, 0.79),
        _said(10, 7000, 2.2, 1.0),
    ),
    checkpoints=(Checkpoint(at(4), 3500, MINUTE), Checkpoint(at(6.5), 5500, MINUTE)),
)
LOST = (Interruption("b2", at(8), "spot-1", "preempted"),)

STATUS: dict[str, Any] = {
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "Complete"},
        {"type": "Complete", "status": "True", "reason": "Complete"},
    ],
    "estimate": {"cost": "400.00", "costLow": "300.00", "costHigh": "500.00", "hours": "9.0", "gpus": 8},
}


def trainingjob(name: str = "bert", **fields: Any) -> dict[str, Any]:
    created = format_rfc3339(at(0) - 5 * SECOND)
    metadata = {"name": name, "namespace": "research", "uid": f"tj-{name}", "creationTimestamp": created}
    body = {"kind": "TrainingJob", "metadata": metadata, "spec": {"placement": {"policy": "Spot"}}, "status": STATUS}
    return {**body, **fields}


@dataclass
class RunWorld:
    """The run, in a ledger."""

    ledger: LedgerOnly
    insights: RunInsights
    world: World

    @classmethod
    def of(cls, folder: Path) -> RunWorld:
        ledger = LedgerOnly.of(folder, FACTS, now=at(12))
        world = World()
        for body in (trainingjob(), trainingjob("new")):
            record = custom_record(body)
            world.trainingjobs[record.key] = record
        market = MarketView(without_cluster(), frozenset({"H100"}))
        bert = Key("research", "bert")
        insights = RunInsights(
            costs=ledger,
            world=world,
            market=lambda: market,
            progress_of=lambda key: PROGRESS if key == bert else Progress(),
            interruptions_of=lambda _namespace, workload: LOST if workload == BERT else (),
        )
        return cls(ledger, insights, world)
