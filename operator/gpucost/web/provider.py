"""What the cost API needs to know, in the terms of the core: the runtime answers with the ledger, tests by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gpucost.core.clock import Instant
from gpucost.core.model import Workload
from gpucost.core.report import Explanation, Report
from gpucost.core.selector import Selector
from gpucost.core.timeline import Interval


class NotReady(Exception):
    """The provider cannot answer yet or for now; the message is shown to the caller, who may try again."""


class Unsupported(Exception):
    """The provider cannot answer this question at all; the message names what it can answer."""


class CostProvider(Protocol):
    """Answers questions about cost. Every method may raise `NotReady`."""

    def now(self) -> Instant:
        """The instant up to which costs are known."""
        ...

    async def report(
        self, span: Interval, *, by: str, namespace: str | None = None, selector: Selector | None = None
    ) -> Report:
        """Cost of a span by a grouping (`core.grouping`); with `namespace` or `selector` only that, and no idle cost.

        `selector` looks at the labels of pods. Raises `Unsupported` for a combination that it cannot answer.
        """
        ...

    async def workloads(self, namespace: str) -> Sequence[Workload]:
        """Workloads of a namespace that have, or had, a cost."""
        ...

    async def knows(self, namespace: str, what: Workload) -> bool:
        """Whether a `Pod` or `Namespace` ever held anything, or, without a namespace, a `Node` was ever there."""
        ...

    async def explain(self, namespace: str, workload: Workload, span: Interval) -> Explanation:
        """The arithmetic behind one cost: of a workload, a `Pod`, a `Namespace`, or, without a namespace, a `Node`.

        One that has no cost in the span has no lines.
        """
        ...
