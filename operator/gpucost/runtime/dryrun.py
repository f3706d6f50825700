"""`gpucost operator --dry-run`: one full pass over everything, told instead of done.

The same caches, the same decisions; creations and patches go to the API server as a server-side dry run, so what it
would refuse is told too. Nothing is stored anywhere: no Lease, no ledger, no status.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from gpucost.core.actions import Decision
from gpucost.core.clock import format_rfc3339
from gpucost.effects.apply import Outcome, apply
from gpucost.runtime.training import TrainingController


async def print_decisions(controller: TrainingController, out: TextIO) -> int:
    """Print what one pass would do; the number of actions that the API server would refuse."""
    refused = planned = 0
    controller.survey()
    records = [controller.world.trainingjobs[key] for key in sorted(controller.world.trainingjobs)]
    for record in records:
        await controller.prepare(record)
        decision = controller.decide(record)
        outcomes = [await apply(controller.client, action) for action in decision.actions]
        planned += len(outcomes)
        refused += sum(not outcome.ok for outcome in outcomes)
        for line in _lines(decision, outcomes):
            print(line, file=out)
    print(f"{len(records)} TrainingJobs, {planned} actions, {refused} of them refused by the API server", file=out)
    return refused


def _lines(decision: Decision, outcomes: Iterable[Outcome]) -> Iterable[str]:
    told = False
    for outcome in outcomes:
        told = True
        action = outcome.action
        verdict = "would" if outcome.ok else f"would, but is {outcome.result.value}"
        yield f"{decision.target}: {verdict} {type(action).__name__} ({action.reason}): {action.message}"
        yield from (f"    {problem}" for problem in outcome.problems if not outcome.ok)
    if not told:
        ready = next((c for c in decision.conditions if c.type == "Ready"), None)
        why = f": {ready.reason}{': ' + ready.message if ready.message else ''}" if ready else ""
        yield f"{decision.target}: nothing to do{why}"
    yield from (f"{decision.target}: would book {one.kind}: {one.message}" for one in decision.records)
    if decision.wake_at is not None:
        yield f"    next look at {format_rfc3339(decision.wake_at)}"
