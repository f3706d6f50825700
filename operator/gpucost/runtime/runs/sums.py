"""What a schedule has cost: the sum of its runs, those that are deleted too.

A run that exists is read from the totals of the pass. One that is deleted is asked for by name until the hours in which
it may have held anything are settled; then its amounts are written down and added up, so that a schedule of years does
not make every pass longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from gpucost.core.clock import HOUR, Instant
from gpucost.core.model import Workload
from gpucost.core.money import Pico
from gpucost.core.report import Amounts, Row
from gpucost.core.training.runs.run import Run
from gpucost.runtime.runs.book import RunBook
from gpucost.runtime.world import TRAINING_JOB, Custom, World

Name = tuple[str, Workload]


@dataclass
class RunSums:
    """Sums over the runs of every schedule that exists."""

    world: World
    book: RunBook
    _gone: dict[str, Instant] = field(default_factory=dict)
    """Since when a run was not there any more."""

    def asked(self) -> list[Name]:
        """Deleted runs that the totals are needed of."""
        return [_name(run) for run in self._deleted()]

    def freeze(self, workloads: Mapping[Name, Row], settled_until: Instant | None, now: Instant) -> None:
        """Write down what deleted runs have cost whose last hours are settled."""
        deleted = {run.uid: run for run in self._deleted()}
        self._gone = {uid: self._gone.get(uid, now) for uid in deleted}
        for uid, run in deleted.items():
            if (settled_until or 0) >= self._gone[uid] + HOUR:
                row = workloads.get(_name(run))
                self.book.put(run, row.amounts if row is not None else Amounts())

    def rows(self, workloads: Mapping[Name, Row]) -> dict[Name, Row]:
        """What each schedule has cost, as the totals show a workload."""
        found = {}
        for record in self._schedules():
            done = self.book.sum_of(record.uid)
            rows = [Row(key=record.uid, amounts=done)] if done is not None else []
            rows += [row for run in self.book.open_children(record.uid) if (row := workloads.get(_name(run)))]
            if rows:
                found[record.namespace, Workload(TRAINING_JOB, record.name)] = _sum(record, rows)
        return found

    def _schedules(self) -> Iterator[Custom]:
        wanted = set(self.book.parents)
        return (record for record in self.world.trainingjobs.values() if record.uid in wanted)

    def _deleted(self) -> Iterator[Run]:
        """Those whose amounts are not written down yet."""
        living = self.world.trainingjob_uids
        for record in self._schedules():
            yield from (run for run in self.book.open_children(record.uid) if run.uid not in living)


def _name(run: Run) -> Name:
    return run.namespace, Workload(TRAINING_JOB, run.name)


def _sum(record: Custom, rows: list[Row]) -> Row:
    hourly: Pico | None = 0
    for row in rows:
        hourly = None if hourly is None or row.hourly is None else hourly + row.hourly
    total = sum((row.amounts for row in rows), Amounts())
    last = replace(rows[-1], key=record.name, amounts=total, hourly=hourly, pods=sum(row.pods for row in rows))
    return replace(last, namespace=record.namespace, workload=Workload(TRAINING_JOB, record.name), name="")
