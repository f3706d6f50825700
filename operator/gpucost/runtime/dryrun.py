"""`gpucost operator --dry-run`: one full pass over everything, told instead of done.

The same caches, the same decisions; creations and patches go to the API server as a server-side dry run, so what it
would refuse is told too. Nothing is stored anywhere: no Lease, no status; of the ledger only what runs have said is
read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TextIO

from gpucost.core.actions import Decision
from gpucost.core.clock import format_rfc3339
from gpucost.core.training.progress import Progress
from gpucost.effects.apply import Outcome, apply
from gpucost.ledger import LedgerError
from gpucost.ledger.reader import Reader
from gpucost.runtime.settings import Settings
from gpucost.runtime.training import TrainingController

log = logging.getLogger(__name__)

_STOPPING = frozenset({"EarlyStopped", "BudgetExceeded"})
_ABOUT_TO_STOP = frozenset({"Warned", "WaitingForCheckpoint", "Recommended", "Skipped", "ThresholdReached"})
_WORDS = {True: "True", False: "False", None: "Unknown"}


def recorded_histories(settings: Settings) -> dict[str, Progress]:
    """What the runs have said, as the ledger has it; nothing of the ledger is written or locked. Empty without one."""
    try:
        with Reader(settings.ledger_url).snapshot(settings.cluster_name) as snapshot:
            return snapshot.progress()
    except LedgerError as error:
        log.warning("rules of early stopping judge nothing: what runs have said is not known (%s)", error)
        return {}


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
        for line in lines_of(decision, outcomes):
            print(line, file=out)
    print(f"{len(records)} TrainingJobs, {planned} actions, {refused} of them refused by the API server", file=out)
    return refused


def lines_of(decision: Decision, outcomes: Iterable[Outcome]) -> Iterable[str]:
    """What is printed about one TrainingJob."""
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
    for one in decision.conditions:
        if (one.type in _STOPPING and one.status is not False) or one.reason in _ABOUT_TO_STOP:
            yield f"    {one.type} {_WORDS[one.status]} ({one.reason}): {one.message}"
    yield from (f"{decision.target}: would book {one.kind}: {one.message}" for one in decision.records)
    if decision.wake_at is not None:
        yield f"    next look at {format_rfc3339(decision.wake_at)}"
