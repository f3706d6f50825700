"""A dry run tells which runs would be made, skipped or not started again, from nothing but the objects that exist."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import Any

from gpucost.core.clock import HOUR, parse_rfc3339
from gpucost.core.model import Key
from gpucost.kube import paths
from gpucost.runtime.dryrun import print_decisions
from gpucost.runtime.metrics import Figures
from gpucost.runtime.queue import DirtyKeys
from gpucost.runtime.runs.book import RunBook
from gpucost.runtime.training import TrainingController
from support.runs_operator import Held, RunsOperator

CLICKS = {"name": "clicks", "version": "7"}


class Accepting(Held):
    """Takes every creation, as `dryRun=All` does, and keeps none."""

    async def create(self, path: str, body: Mapping[str, Any], *, manager: str) -> dict[str, Any]:  # noqa: ARG002
        return {**body, "metadata": {**body["metadata"], "uid": "never-stored"}}


def dry_run(operator: RunsOperator) -> list[str]:
    """The lines that one pass prints in a process that has just started."""
    operator.restart(RunBook())
    controller = TrainingController(
        world=operator.world,
        client=operator.api,  # type: ignore[arg-type]
        queue=DirtyKeys(lambda: operator.now),
        figures=Figures(),
        now=lambda: operator.now,
        provider=lambda: None,
        cost_of=lambda _record: None,
        interruptions_of=lambda _namespace, _workload: (),
        runs=operator.keeper,
    )
    out = io.StringIO()
    assert asyncio.run(print_decisions(controller, out)) == 0
    return out.getvalue().splitlines()


def test_it_tells_of_runs_that_would_be_made_skipped_and_not_started() -> None:
    operator = RunsOperator(api=Accepting(), costs={"zeta": 5_000_000_000_000})
    calendar = {"runs": {"cron": "0 2 * * *"}}
    for name, trained in (("nightly", "6"), ("idle", "7")):
        operator.add(name, dataset=CLICKS, schedule=calendar)
        operator.change(name, status={"runs": {"trainedVersion": trained}})
    operator.add("zeta", dataset=CLICKS)
    operator.begin("zeta")
    operator.now += HOUR
    operator.end("zeta")
    operator.change("zeta", status={"fingerprint": {"digest": _digest(operator), "exact": True}})
    operator.add("again", dataset=CLICKS, deduplication="Reuse")
    operator.api.objects[paths.trainingjob("research")] = {"items": []}
    operator.now = parse_rfc3339("2026-11-25T02:00:10Z")

    text = "\n".join(dry_run(operator))
    assert "research/nightly: would CreateTrainingJob (DatasetChanged): run nightly-29926200: " in text
    assert "research/idle: nothing to do: Scheduled" in text
    assert "research/idle: would book NothingNew: the run that was due at 2026-11-25T02:00:00Z is skipped" in text
    assert "research/again: nothing to do: Reused: the result of zeta (ended 2026-11-24T13:00:00Z" in text
    assert "cost 5.000000" in text
    assert operator.world.trainingjobs.keys() == {Key("research", n) for n in ("nightly", "idle", "zeta", "again")}


def _digest(operator: RunsOperator) -> str:
    run = operator.keeper.book.run("uid-research-zeta")
    assert run is not None
    return run.digest
