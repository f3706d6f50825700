"""Gathers what every part recommends, for `kubectl cost savings`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from gpucost.core.clock import HOUR, Micros, floor_to
from gpucost.core.recommendations import (
    Recommendation,
    of_gpu,
    of_idle,
    of_last_replica,
    of_replicas,
    of_training,
    ranked,
)
from gpucost.core.report import Report
from gpucost.core.serving import cold_start as cold
from gpucost.core.serving.applying import held_back
from gpucost.core.serving.counterfactual import Compared, compared
from gpucost.core.serving.spec import EndpointSpec
from gpucost.core.timeline import Interval
from gpucost.ledger.replicas import Booked
from gpucost.runtime.endpoints.footprints import Footprints
from gpucost.runtime.endpoints.otherwise import ReplicaBook
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.world import Custom, World


@dataclass(frozen=True, slots=True)
class Applied:
    """What right-sizing has saved an endpoint in a window."""

    namespace: str
    seen: Compared


@dataclass
class Recommending:
    """The parts that recommend."""

    world: World
    endpoints: Endpoints
    book: ReplicaBook
    footprints: Footprints
    last_replica_of: Callable[[Custom, EndpointSpec], tuple[cold.Advice, Micros] | None] = lambda _record, _spec: None
    """Whether the last replica of an endpoint is worth keeping, and the time on which that rests."""

    async def look(self, report: Report, namespace: str | None) -> tuple[list[Applied], tuple[Recommendation, ...]]:
        """What was saved by replicas in the window of a report, and what could be saved.

        Replicas are booked by the hour: a window that begins within one has all of it.
        """
        by_uid: dict[str, list[Booked]] = {}
        span = Interval(floor_to(report.span.start, HOUR), report.span.end)
        for one in await self.book.hours(span, namespace):
            by_uid.setdefault(one.uid, []).append(one)
        seen = {uid: compared(one.hour for one in hours) for uid, hours in by_uid.items()}
        done = [
            Applied(hours[-1].namespace, applied)
            for uid, hours in by_uid.items()
            if (applied := seen[uid][0]) is not None
        ]
        possible = {uid: others for uid, (_, others) in seen.items()}
        return done, ranked(self._all(report, namespace, possible))

    def _all(
        self, report: Report, namespace: str | None, possible: Mapping[str, Compared | None]
    ) -> Iterator[Recommendation]:
        targets = set(self.endpoints.workloads())
        yield from self._of_endpoints(namespace, possible)
        for row in report.rows:
            if row.workload is not None and (row.namespace, row.workload) not in targets:
                yield from _present(of_idle(row))
        for record in tuple(self.world.trainingjobs.values()):
            if namespace in {None, record.namespace} and not record.deleting:
                yield from of_training(record.namespace, record.name, record.spec, record.status)

    def _of_endpoints(self, namespace: str | None, possible: Mapping[str, Compared | None]) -> Iterator[Recommendation]:
        for record in tuple(self.endpoints.records.values()):
            spec = self.endpoints.spec_of(record.key)
            if namespace not in {None, record.namespace} or record.deleting or spec is None:
                continue
            rivals = self.endpoints.rivals(record, spec)
            seen = possible.get(record.uid)
            why = held_back(spec, record.annotations, rivals)
            yield from _present(of_replicas(record.namespace, record.name, record.status, seen, rivals, why=why))
            if (last := self.last_replica_of(record, spec)) is not None:
                yield from _present(of_last_replica(record.namespace, record.name, spec, *last, rivals=rivals))
            advice = self.footprints.advice(record, spec)
            if advice.best is not None:
                target = spec.target.kind, spec.target.name
                nodes = self.footprints.selecting(record, spec, advice.best.name)
                yield from _present(of_gpu(record.namespace, record.name, target, advice, nodes))


def _present(one: Recommendation | None) -> Iterable[Recommendation]:
    return () if one is None else (one,)
