"""One full pass over the cluster, as every tick makes it."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gpucost.core.model import Workload
from gpucost.ledger import LedgerError, LedgerFenced
from gpucost.runtime.accounting import Accounting
from gpucost.runtime.figures import fill
from gpucost.runtime.parts import Parts, now
from gpucost.runtime.price_status import report
from gpucost.runtime.world import TRAINING_JOB

log = logging.getLogger(__name__)


async def full_pass(parts: Parts, accounting: Accounting) -> None:
    """A full pass: sample, settle, total, look at every key, publish."""
    started = time.monotonic()
    await parts.resources.sweep(parts.client)
    await parts.optional.look()
    await _if_the_ledger_answers(parts, lambda: parts.price_watch.tick(accounting))
    await accounting.sample()
    await accounting.flush()
    await report(parts.client, parts.prices, now, ledger=parts.ledger_state.condition)
    workloads = [(r.namespace, Workload(TRAINING_JOB, r.name)) for r in parts.world.trainingjobs.values()]
    ended = parts.recorder.endings.lately(now())
    workloads += parts.serving.endpoints.workloads()
    totals = await accounting.totals([*workloads, *ended, *parts.sums.asked()])
    parts.totals = replace(totals, sums=parts.sums.rows(totals.workloads))
    settled = min(accounting.ledger.settled_until or 0, totals.at)  # totals of before say nothing of what came after
    parts.sums.freeze(totals.workloads, settled, now())
    await _if_the_ledger_answers(parts, lambda: parts.stopping.prepare(accounting, parts.totals))
    fill(parts.figures, parts.totals, parts.world, ended)
    parts.figures.saved |= parts.runs.book.saved() | parts.advising.saved()
    parts.figures.sizes["inferenceendpoint"] = len(parts.serving.endpoints.records)
    for key in parts.world.trainingjobs:
        parts.queue.mark(key)
    await _if_the_ledger_answers(
        parts,
        parts.progress.tidy,
        lambda: parts.runs.tidy(parts.settings.details_kept),
        parts.stays.book,
        parts.stays.tidy,
        parts.accounts.tidy,
        parts.advising.tick,
    )
    parts.surroundings.tidy()
    await parts.publisher.publish(parts.totals)
    parts.figures.data_times["kubernetes"] = min(m.last_heard for m in parts.caches.all)
    parts.figures.errors["unreadable objects"] = sum(m.rejected for m in parts.caches.all)
    parts.figures.errors["pods on nodes never seen"] = parts.recorder.skipped["node never seen"]
    parts.figures.errors["pods on two nodes"] = parts.recorder.skipped["second node"]
    parts.figures.tick_seconds = time.monotonic() - started
    parts.figures.ticks += 1


async def _if_the_ledger_answers(parts: Parts, *works: Callable[[], Awaitable[None]]) -> None:
    """What can wait for a ledger that is away: the rest of a pass does not wait with it."""
    for work in works:
        try:
            await work()
        except LedgerFenced:
            raise
        except LedgerError as error:
            parts.figures.errors["ledger"] += 1
            log.warning("put off until the ledger answers: %s", error)
