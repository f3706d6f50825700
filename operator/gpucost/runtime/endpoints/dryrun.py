"""`gpucost operator --dry-run` for InferenceEndpoints: what one pass would do, asked of the API server and not done.

The load is measured as the operator measures it, with what it has learned so far from the ledger, which is only read. A
rate needs two looks at its counter, so a dry run takes some seconds longer where an endpoint's servers count.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from gpucost.core.clock import SECOND, Micros
from gpucost.core.serving.plan import plan
from gpucost.core.serving.signals.model import Availability, Signals, value_of
from gpucost.core.serving.work_json import Memory
from gpucost.effects.apply import Result
from gpucost.effects.scaling import scale
from gpucost.ledger import LedgerError
from gpucost.ledger.reader import Reader
from gpucost.runtime.endpoints.accounts import Accounts
from gpucost.runtime.endpoints.controller import EndpointController
from gpucost.runtime.endpoints.keeping import PREFIX, take
from gpucost.runtime.endpoints.serving import Serving
from gpucost.runtime.serving_feed import ServingFeed
from gpucost.runtime.settings import Settings
from gpucost.sources.promql import PromQL

log = logging.getLogger(__name__)

_PATIENCE: Micros = 90 * SECOND
"""A scrape a minute is the longest that Prometheus is usually set to."""


async def measure_endpoints(serving: Serving, accounts: Accounts, settings: Settings, engine: PromQL | None) -> None:
    """Know the load of all endpoints, and who holds requests; nothing is written."""
    if not serving.endpoints.records:
        return
    every = int(settings.metrics_seconds * SECOND)
    feed = serving.listen(engine, every=every, allowed=settings.metrics_queries)
    marks, remembered = await asyncio.to_thread(_recorded, settings)
    take(marks, feed, serving.advisor)
    accounts.past.load(remembered, {})
    serving.advisor.ready_time_of = accounts.unit_costs.ready_time
    accounts.holders.engine = engine
    await look(feed)
    await accounts.holders.once()


def _recorded(settings: Settings) -> tuple[Mapping[str, str], Mapping[str, Memory]]:
    """What endpoints have taught so far, as the ledger has it."""
    try:
        with Reader(settings.ledger_url).snapshot(settings.cluster_name) as snapshot:
            return snapshot.marks(PREFIX), snapshot.endpoint_memories()
    except LedgerError as error:
        log.warning("replicas are judged by what is measured now: what was learned is not known (%s)", error)
        return {}, {}


async def look(feed: ServingFeed, patience: Micros = _PATIENCE) -> None:
    """Look until a second look has told the rates of all, or would tell none any more."""
    begun = feed.now()
    while True:
        await feed.once()
        learning = [one for one in feed.asked() if _is_first(feed.of(one.uid))]
        if not learning or feed.now() - begun + feed.every > patience:
            return
        await asyncio.sleep(feed.every / SECOND)


def _is_first(signals: Signals | None) -> bool:
    return signals is not None and signals.availability is Availability.LEARNING


async def print_endpoints(
    controller: EndpointController, out: TextIO, signals_of: Callable[[str], Signals | None] = lambda _uid: None
) -> int:
    """Print it; the number of changes that the API server would refuse."""
    refused = planned = 0
    records = controller.endpoints.records
    for key in sorted(records):
        record = records[key]
        decision = plan(await controller.gather(record), controller.now())
        action = decision.action
        if action is None:
            ready = next(one for one in decision.conditions if one.type == "Ready")
            wanted = decision.status.get("desiredReplicas")
            number = f" ({wanted} replicas)" if wanted is not None else ""
            print(f"{key}: nothing to do: {ready.reason}{number}: {ready.message}", file=out)
        else:
            planned += 1
            result, said = await scale(controller.client, controller.targets.path(action.ref, key.namespace), action)
            accepted = result is Result.APPLIED
            refused += not accepted
            verdict = "would" if accepted else f"would, but is {result.value}"
            print(
                f"{key}: {verdict} scale {action.ref} {action.before} -> {action.replicas} ({action.reason}): "
                f"{action.message}{'' if accepted else f': {said}'}",
                file=out,
            )
        for line in _measured(signals_of(record.uid)):
            print(f"    {line}", file=out)
    if records:
        print(f"{len(records)} InferenceEndpoints, {planned} changes, {refused} of them refused", file=out)
    return refused


def _measured(signals: Signals | None) -> Iterator[str]:
    """The load that the decision rests on."""
    if signals is None:
        return
    if not signals.availability.available:
        yield f"load unknown ({signals.availability}): {signals.message}"
        return
    named = (("arrive", signals.arrived), ("are served", signals.served))
    figures = [f"{value:.2f} requests/s {name}" for name, one in named if (value := value_of(one)) is not None]
    counted = (("wait", signals.waiting), ("run", signals.running))
    figures += [f"{value:.0f} {name}" for name, one in counted if (value := value_of(one)) is not None]
    yield f"load: {', '.join(figures)}"
    each = signals.capacity.requests_per_second
    yield f"capacity: {'not known' if each is None else f'{each:.2f} requests/s for each replica'}" + (
        "" if each is None else f" ({signals.capacity.evidence.value})"
    )
