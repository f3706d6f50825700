"""Answers of the cost API, from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from gpucost.core.clock import Instant
from gpucost.core.model import NodeFact, PriceFact, Workload
from gpucost.core.report import Explanation, Report
from gpucost.core.selector import Selector
from gpucost.core.timeline import Interval
from gpucost.ledger import LedgerError
from gpucost.runtime.accounting import Accounting
from gpucost.runtime.answers import Answers, step
from gpucost.web.provider import NotReady

T = TypeVar("T")


@dataclass
class LedgerProvider:
    """A `CostProvider` over the operator's accounting; `problem()` says why it cannot answer yet."""

    accounting: Callable[[], Accounting | None]
    clock: Callable[[], Instant]
    problem: Callable[[], str | None]
    answers: Answers = field(default_factory=Answers)

    def now(self) -> Instant:
        """The present, in steps: what is asked within one is answered once."""
        return step(self.clock())

    async def report(
        self, span: Interval, *, by: str, namespace: str | None = None, selector: Selector | None = None
    ) -> Report:
        """See `CostProvider`."""
        books, now = self._accounting(), self.now()
        question = partial(books.ledger.report, span, now=now, by=by, namespace=namespace, selector=selector)
        key = (span, by, namespace, selector)
        result = await self.answers.get(now, key, lambda: self._ask(books, question))
        return replace(result, quality=books.aged(result.quality))

    async def workloads(self, namespace: str) -> Sequence[Workload]:
        """See `CostProvider`."""
        books = self._accounting()
        return await self._ask(books, partial(books.ledger.workloads, namespace))

    async def knows(self, namespace: str, what: Workload) -> bool:
        """See `CostProvider`."""
        books = self._accounting()
        return await self._ask(books, partial(books.ledger.knows, namespace, what))

    async def explain(self, namespace: str, workload: Workload, span: Interval) -> Explanation:
        """See `CostProvider`."""
        books = self._accounting()
        question = partial(books.ledger.explain, namespace, workload, span, now=self.clock())
        result = await self._ask(books, question)
        return replace(result, quality=books.aged(result.quality))

    async def lifetime(self, namespace: str, workload: Workload) -> Interval | None:
        """Since when a workload has held anything, and until when; None when it never has."""
        books = self._accounting()
        return await self._ask(books, partial(books.ledger.lifetime, namespace, workload, self.clock()))

    async def nodes_like(self, span: Interval, names: Collection[str]) -> list[tuple[NodeFact, tuple[PriceFact, ...]]]:
        """Nodes in a span of the type of those that are named, with their prices over time."""
        books = self._accounting()
        return await self._ask(books, partial(books.ledger.nodes_like, span, names))

    def ready(self) -> None:
        """Raise `NotReady` while the operator is starting."""
        self._accounting()

    def _accounting(self) -> Accounting:
        problem = self.problem()
        books = self.accounting()
        if problem is not None or books is None:
            raise NotReady(problem or "the operator is starting")
        return books

    @staticmethod
    async def _ask(books: Accounting, question: Callable[[], T]) -> T:
        """What was watched until now is written first, so that an answer never lags behind what people saw."""
        await books.flush()
        try:
            return await books.call(question)
        except LedgerError as error:
            raise NotReady(str(error)) from None
