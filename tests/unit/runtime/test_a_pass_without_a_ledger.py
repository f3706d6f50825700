"""A pass is completed while the ledger is away: what needs it waits, and nothing waits with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpucost.core.clock import DAY, HOUR, format_rfc3339
from gpucost.core.model import Workload
from gpucost.core.report import Amounts, Row
from gpucost.core.training.runs.run import Run
from gpucost.kube.errors import Unreachable
from gpucost.ledger import Ledger, LedgerError, LedgerFenced
from gpucost.runtime.accounting import Accounting, Totals
from gpucost.runtime.parts import Parts, now
from gpucost.runtime.passes import full_pass
from gpucost.runtime.settings import Settings
from gpucost.runtime.world import custom_record


class Away(Accounting):
    """Its totals are known from before; of the ledger nothing is to be had."""

    error: LedgerError = LedgerError("cannot connect")

    async def call(self, function: Callable[[], Any]) -> Any:  # noqa: ARG002
        raise self.error

    async def totals(self, workloads: Any) -> Totals:  # noqa: ARG002
        row = Row("bert", Amounts(held_time=HOUR), 1)
        return Totals(at=now(), workloads={("research", Workload("TrainingJob", "bert")): row})


class NoServer:
    """The API server is of no matter here."""

    async def get(self, *_: Any, **__: Any) -> Any:
        raise Unreachable("not there")


@pytest.fixture
def parts() -> Parts:
    made = Parts(Settings(), identity="test", dry_run=False)
    made.client.get = NoServer().get  # type: ignore[method-assign]
    metadata = {"uid": "t1", "name": "bert", "namespace": "research", "creationTimestamp": format_rfc3339(now() - HOUR)}
    spec = {"template": {"spec": {"containers": [{"name": "train"}]}}, "budget": {"cost": "100"}}
    made.world.trainingjob_changed(custom_record({"kind": "TrainingJob", "metadata": metadata, "spec": spec}))
    return made


def away(parts: Parts, path: Path) -> Away:
    return Away(Ledger(f"sqlite:///{path}/ledger.db"), parts.recorder, parts.caches, parts.figures, now)


async def test_a_run_with_a_budget_that_began_meanwhile_does_not_hold_up_the_pass(parts: Parts, tmp_path: Path) -> None:
    await full_pass(parts, away(parts, tmp_path))
    assert parts.figures.ticks == 1
    assert parts.figures.errors["ledger"] >= 1
    assert parts.stopping.bases == {}


async def test_who_may_not_write_any_more_stops(parts: Parts, tmp_path: Path) -> None:
    accounting = away(parts, tmp_path)
    accounting.error = LedgerFenced("another operator writes")
    with pytest.raises(LedgerFenced):
        await full_pass(parts, accounting)


async def test_what_a_deleted_run_has_cost_is_not_concluded_from_totals_of_before(parts: Parts, tmp_path: Path) -> None:
    accounting = away(parts, tmp_path)
    parts.runs.book.put(Run("gone", "research", "bert-1", now() - DAY, parent="t1", due=now() - DAY))
    parts.sums._gone = {"gone": now() - 2 * HOUR}

    class Settled:
        """Its hours are settled, though nobody has got totals since the operator began."""

        settled_until = now()

    accounting.ledger = Settled()  # type: ignore[assignment]

    async def totals(_workloads: Any) -> Totals:
        return Totals()

    accounting.totals = totals  # type: ignore[method-assign]
    await full_pass(parts, accounting)
    assert parts.runs.book.amounts("gone") is None
