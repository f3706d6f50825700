"""A cost provider over a real ledger without an operator: facts in, answers out, at a time that a test chooses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpucost.core.books import Fact
from gpucost.core.clock import Instant
from gpucost.core.model import NodeFact, PriceFact, Workload
from gpucost.core.report import Explanation, Report
from gpucost.core.selector import Selector
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger
from gpucost.web.provider import Unsupported
from support.ledger_world import at, busy, node, pod, price

NOW = at(10)
WORLD: tuple[Fact, ...] = (
    node("n1", gpus=8, name="gpu-0", capacity_type="spot", gpu_model="H100", instance_type="p5.48xlarge"),
    price("20.10", node_uid="n1", capacity_type="spot", source="PriceBook/team"),
    pod("bert-0", 0, 2, gpus=4, node_uid="n1", workload="bert", labels={"gpucost.dev/team": "nlp", "app": "bert"}),
    busy("bert-0", 0.61),
    pod("sweep-0", 0, 3, gpus=2, node_uid="n1", workload="sweep", labels={"gpucost.dev/team": "nlp"}),
    node("n2", gpus=1, name="gpu-1", gpu_model="L4"),
    price("0.978", node_uid="n2", source="built-in list 2026-11-01"),
    pod("chat-0", gpus=1, node_uid="n2", namespace="serving", workload="chat", labels={"app": "chat"}),
    busy("chat-0", 0.34),
    node("n3", gpus=0, cpus=8, name="cpu-0"),
    pod("web-0", cpus=2, node_uid="n3", namespace="serving", workload="web"),
)
"""The world of `unit/web/cost_example.py`, as facts; it begins at `ledger_world.T0`."""


@dataclass
class LedgerOnly:
    """Answers from a ledger as of `at`."""

    ledger: Ledger
    at: Instant = NOW

    @classmethod
    def of(cls, folder: Path, facts: Iterable[Fact] = WORLD, *, now: Instant = NOW, settled: bool = True) -> LedgerOnly:
        """A new ledger in a folder; `settled` stores the charges of the hours that are over."""
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        ledger.record(facts)
        if settled:
            ledger.settle(now)
        return cls(ledger, now)

    def now(self) -> Instant:
        return self.at

    async def report(
        self, span: Interval, *, by: str, namespace: str | None = None, selector: Selector | None = None
    ) -> Report:
        try:
            return self.ledger.report(span, now=self.at, by=by, namespace=namespace, selector=selector)
        except ValueError as error:
            raise Unsupported(str(error)) from None

    async def workloads(self, namespace: str) -> Sequence[Workload]:
        return self.ledger.workloads(namespace)

    async def knows(self, namespace: str, what: Workload) -> bool:
        return self.ledger.knows(namespace, what)

    async def explain(self, namespace: str, workload: Workload, span: Interval) -> Explanation:
        return self.ledger.explain(namespace, workload, span, now=self.at)

    async def lifetime(self, namespace: str, workload: Workload) -> Interval | None:
        return self.ledger.lifetime(namespace, workload, self.at)

    async def nodes_like(self, span: Interval, names: Collection[str]) -> list[tuple[NodeFact, tuple[PriceFact, ...]]]:
        return self.ledger.nodes_like(span, names)

    def ready(self) -> None:
        """A ledger is always ready."""
