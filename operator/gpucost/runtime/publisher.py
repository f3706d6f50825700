"""Costs on the objects that people know: who gets a write this second.

After every tick each object's cost is compared with what the object shows. What is worth a write is sorted by how much
it changed and written within one budget; the rest is compared again at the next tick. What an object shows is read back
from the object itself, so a restart writes nothing again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from gpucost.core.clock import MINUTE, Instant, Micros, parse_rfc3339
from gpucost.core.model import Workload
from gpucost.core.money import MICRO, Micro, Pico, to_micro
from gpucost.core.present import PREFIX, confidence, cost_annotations
from gpucost.core.publish import Budget, Published, urgency
from gpucost.core.report import Row
from gpucost.core.training import jobset
from gpucost.effects.status import write_annotations
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.accounting import Totals
from gpucost.runtime.caches import Caches
from gpucost.runtime.world import TRAINING_JOB, Custom, World

_REFUSED_FOR = MINUTE
_WRITE_SECONDS = 10.0
"""How long one write may take with all its tries: a webhook that hangs must not stop the pass over everything else."""
_PASS_SECONDS = 30.0
"""How long one pass may write; what is left is compared again in the next one."""
_WHERE: Mapping[str, tuple[Callable[[str, str], str], str]] = {
    "Job": (paths.job, "batch/v1"),
    jobset.KIND: (paths.jobset, jobset.API_VERSION),
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """One object that may be written: what it shows, what it should show, and how to write it."""

    uid: str
    shown: Published | None
    new: Published
    write: Callable[[], Awaitable[bool]]


@dataclass
class Publisher:
    """Writes cost annotations and cost-only status updates."""

    client: KubeClient
    world: World
    caches: Caches
    currency: str
    interval: Micros
    budget: Budget
    with_nodes: bool
    write_status: Callable[[Custom], Awaitable[bool]]
    lost_of: Callable[[str, Workload], Pico] = lambda _namespace, _workload: 0
    """What the lost work of a workload has cost."""
    others: Callable[[Totals], Iterable[Target]] = lambda _totals: ()
    """Further objects that show a cost."""
    written: dict[str, Published] = field(default_factory=dict)
    """What was written since the start, by UID: newer than what a cache may still show."""

    refused: dict[str, Instant] = field(default_factory=dict)
    """When a write was refused last, by UID: it must not use up the budget of the others at every tick."""

    async def publish(self, totals: Totals) -> int:
        """Write what is worth it, most changed first, as far as the budget goes; the number of writes."""
        ranked, targets = [], list(self._targets(totals))
        for target in targets:
            if totals.at - self.refused.get(target.uid, 0) < _REFUSED_FOR:
                continue
            worth = urgency(self.written.get(target.uid) or target.shown, target.new, interval=self.interval)
            if worth is not None:
                ranked.append((worth, target))
        ranked.sort(key=lambda pair: (-pair[0], pair[1].uid))
        done, begun = 0, time.monotonic()
        for _, target in ranked:
            if time.monotonic() - begun > _PASS_SECONDS or not self.budget.take(totals.at):
                break
            if await target.write():
                self.written[target.uid] = target.new
            else:
                self.refused[target.uid] = totals.at
            done += 1
        self._forget({target.uid for target in targets})
        return done

    def _forget(self, shown: set[str]) -> None:
        alive = (
            shown
            | self.world.jobs.keys()
            | self.world.jobsets.keys()
            | self.world.nodes.keys()
            | self.caches.namespaces.items.keys()
        )
        alive |= {record.uid for record in self.world.trainingjobs.values()}
        for memory in (self.written, self.refused):
            for uid in memory.keys() - alive:
                del memory[uid]

    def _targets(self, totals: Totals) -> Iterable[Target]:
        yield from self._trainingjobs(totals)
        yield from self._jobs(totals)
        yield from self._namespaces(totals)
        yield from self.others(totals)
        if self.with_nodes:
            yield from self._nodes(totals)

    def _trainingjobs(self, totals: Totals) -> Iterable[Target]:
        for record in self.world.trainingjobs.values():
            row = totals.of(record.namespace, _workload(record))
            if row is not None and row.amounts.held_time:
                lost = self.lost_of(record.namespace, _workload(record))
                new = shown_as_status(row, totals.at, lost)
                yield Target(record.uid, shown_in_status(record.status), new, _bound(self.write_status, record))

    def _jobs(self, totals: Totals) -> Iterable[Target]:
        for job in self.world.shown_workloads():
            workload = self.world.workload_of_job(job)
            row = totals.workloads.get((job.namespace, workload))
            if row is not None and row.amounts.held_time:
                lost = self.lost_of(job.namespace, workload)
                values = cost_annotations(
                    row.amounts, hourly=row.hourly, currency=self.currency, now=totals.at, lost=lost
                )
                metadata = {"name": job.name, "namespace": job.namespace, "uid": job.uid}
                path, version = _WHERE[job.kind]
                write = self._annotate(path(job.namespace, job.name), version, job.kind, metadata, values)
                yield Target(job.uid, shown_in_annotations(job.annotations), shown(row, totals.at, lost), write)

    def _namespaces(self, totals: Totals) -> Iterable[Target]:
        for record in self.caches.namespaces.items.values():
            row = totals.namespaces.get(record.name)
            if row is not None and row.amounts.held_time:
                values = cost_annotations(
                    row.amounts, hourly=row.hourly, currency=self.currency, now=totals.at, month_to_date=row.amounts
                )
                metadata = {"name": record.name, "uid": record.uid}
                write = self._annotate(paths.namespace(record.name), "v1", "Namespace", metadata, values)
                yield Target(record.uid, shown_in_annotations(record.annotations), shown(row, totals.at), write)

    def _nodes(self, totals: Totals) -> Iterable[Target]:
        for uid, node in totals.nodes.items():
            if uid not in self.world.nodes:
                continue
            row = Row(key=uid, amounts=node.used + node.idle + node.stranded, hourly=node.hourly)
            values = cost_annotations(
                row.amounts, hourly=row.hourly, currency=self.currency, now=totals.at, price_source=node.price_source
            )
            metadata = {"name": node.name, "uid": uid}
            write = self._annotate(paths.node(node.name), "v1", "Node", metadata, values)
            yield Target(uid, None, shown(row, totals.at), write)

    def _annotate(
        self, path: str, api_version: str, kind: str, metadata: Mapping[str, str], values: Mapping[str, str]
    ) -> Callable[[], Awaitable[bool]]:
        async def write() -> bool:
            try:
                async with asyncio.timeout(_WRITE_SECONDS):
                    await write_annotations(
                        self.client,
                        path=path,
                        api_version=api_version,
                        kind=kind,
                        metadata=metadata,
                        annotations=values,
                    )
            except (ApiError, Unreachable, TimeoutError) as error:
                if not (isinstance(error, ApiError) and error.status in {404, 409}):
                    log.warning("annotations of %s not written: %s", path, error or "no answer in time")
                return False
            return True

        return write


def _bound(function: Callable[[Custom], Awaitable[bool]], record: Custom) -> Callable[[], Awaitable[bool]]:
    return lambda: function(record)


def _workload(record: Custom) -> Workload:
    return Workload(TRAINING_JOB, record.name)


def _state(amounts_confidence: str, hourly: Micro | None) -> str:
    """What makes a write urgent: beginning or ending to cost something, or another confidence."""
    return f"{amounts_confidence}/{'unknown' if hourly is None else 'running' if hourly else 'stopped'}"


def shown(row: Row, at: Instant, lost: Pico = 0) -> Published:
    """What an object should show; `lost` is the cost of work that has to be done again."""
    known = row.amounts.known_cost
    hourly = None if row.hourly is None else to_micro(row.hourly)
    total = None if known is None else to_micro(known)
    wasted = None if known is None else to_micro(min(row.amounts.held + lost, known))
    return Published(at, total, hourly, _state(confidence(row.amounts), hourly), wasted)


def shown_as_status(row: Row, at: Instant, lost: Pico = 0) -> Published:
    """The same for the status of a custom resource, which does not store how well it is known."""
    new = shown(row, at, lost)
    return replace(new, state=_state("", new.hourly))


def shown_in_annotations(annotations: Mapping[str, str]) -> Published | None:
    """What an object shows, None when it shows nothing that can be read."""
    try:
        at = parse_rfc3339(annotations[PREFIX + "as-of"])
        hourly = _micro(annotations.get(PREFIX + "cost-hourly"))
        total = _micro(annotations.get(PREFIX + "cost-total"))
        wasted = _micro(annotations.get(PREFIX + "cost-wasted"))
        return Published(at, total, hourly, _state(annotations[PREFIX + "confidence"], hourly), wasted)
    except (KeyError, ValueError):
        return None


def shown_in_status(status: Mapping[str, object]) -> Published | None:
    """What the status of a custom resource shows; its confidence is not stored, so it cannot make a write urgent."""
    cost = status.get("cost")
    if not isinstance(cost, dict) or "asOf" not in cost:
        return None
    try:
        hourly = _micro(cost.get("hourly"))
        at, total = parse_rfc3339(cost["asOf"]), _micro(cost.get("total"))
        return Published(at, total, hourly, _state("", hourly), _micro(cost.get("wasted")))
    except (TypeError, ValueError):
        return None


def _micro(text: str | None) -> Micro | None:
    if text is None:
        return None
    units, _, fraction = text.partition(".")
    return int(units) * MICRO + int(f"{fraction:0<6}"[:6])
