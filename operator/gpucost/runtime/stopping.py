"""What the rules of early stopping look at, beside what the run has said: its group, its cost, its quiet GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from gpucost.core.clock import HOUR, SECOND, Instant, parse_rfc3339
from gpucost.core.model import Key, Pod, Workload
from gpucost.core.money import PICO
from gpucost.core.report import Amounts, Row
from gpucost.core.timeline import Interval
from gpucost.core.training import observe
from gpucost.core.training.progress import Progress
from gpucost.core.training.spec import TrainingSpec
from gpucost.core.training.stopping.budget import Spending
from gpucost.core.training.stopping.idle import Span
from gpucost.core.training.stopping.spec import GROUPED
from gpucost.core.training.stopping.trials import Trial
from gpucost.runtime.accounting import Accounting, Totals
from gpucost.runtime.quiet import QuietHistory
from gpucost.runtime.world import TRAINING_JOB, Custom, World

_GROUPS_FOR = 5 * SECOND
_OURS = "gpucost.dev/"


@dataclass
class StoppingSources:
    """Asked by the controller at every pass; answers from memory."""

    world: World
    now: Callable[[], Instant]
    progress_of: Callable[[Key], Progress]
    totals: Callable[[], Totals]
    currency: str = "USD"
    bases: dict[str, Amounts] = field(default_factory=dict)
    """What a namesake had cost before, by UID: a run answers for its own cost only."""
    assume_new: bool = False
    """Nobody can be asked about namesakes: count everything (a dry run)."""
    quiet: QuietHistory = field(init=False)
    measured_since: Instant = field(init=False)
    _trials: dict[Key, Trial] = field(default_factory=dict)
    _groups: dict[tuple[str, str, str], tuple[Instant, list[Key]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.quiet = QuietHistory(self._watched_pods)
        self.measured_since = self.now()

    def of(self, record: Custom, spec: TrainingSpec | None, pods: Sequence[Pod]) -> dict[str, Any]:
        """The part of `TrainingState` that is about stopping."""
        mine = {key: value for key, value in record.annotations.items() if key.startswith(_OURS)}
        if spec is None or not spec.stopping:
            return {"annotations": mine}
        labels = {rule.kind.group for rule in spec.stopping.rules if isinstance(rule.kind, GROUPED)}
        return {
            "annotations": mine,
            "groups": {label: self._group(record, label) for label in labels},
            "spending": self._spending(record, pods),
            "quiet": self._quiet(pods) if spec.stopping.idle is not None else {},
        }

    # --- the group ----------------------------------------------------------------------------------------------------

    def _group(self, record: Custom, label: str) -> tuple[Trial, ...] | None:
        value = record.labels.get(label)
        if not value:
            return None
        others = (key for key in self._members(record.namespace, label, value) if key != record.key)
        return tuple(map(self._trial, others))

    def _trial(self, key: Key) -> Trial:
        """The same object for as long as the run says nothing new, for what it remembers of its curves."""
        known, progress = self._trials.get(key), self.progress_of(key)
        if known is None or known.progress is not progress:
            known = self._trials[key] = Trial(key.name, progress)
        return known

    def _members(self, namespace: str, label: str, value: str) -> list[Key]:
        """Listed anew every few seconds: thousands of runs that ask about each other must not cost their square."""
        now, place = self.now(), (namespace, label, value)
        known = self._groups.get(place)
        if known is None or now - known[0] >= _GROUPS_FOR or now < known[0]:
            self._list(label, now)
            known = self._groups.get(place, (now, []))
        return known[1]

    def _list(self, label: str, now: Instant) -> None:
        for place in [place for place in self._groups if place[1] == label]:
            del self._groups[place]
        for key in sorted(self.world.trainingjobs):
            value = self.world.trainingjobs[key].labels.get(label)
            if value:
                self._groups.setdefault((key.namespace, label, value), (now, []))[1].append(key)

    # --- idle GPUs ----------------------------------------------------------------------------------------------------

    def _quiet(self, pods: Sequence[Pod]) -> dict[str, Sequence[Span]]:
        return {pod.uid: self.quiet.of(pod.uid) for pod in pods}

    def _watched_pods(self) -> Iterator[str]:
        for record in self.world.trainingjobs.values():
            job = self.world.job_of(record) if record.spec.get("idle") is not None else None
            if job is not None:
                yield from self.world.pods_by_job.get(job.uid, ())

    # --- cost ---------------------------------------------------------------------------------------------------------

    def _spending(self, record: Custom, pods: Sequence[Pod]) -> Spending | None:
        gpus = sum((Decimal(float(pod.requests.gpus)) for pod in _holding(pods)), Decimal(0))
        totals = self.totals()
        row = totals.workloads.get((record.namespace, Workload(TRAINING_JOB, record.name)))
        if row is None:
            return _stored(record.status.get("cost"), gpus) if self.assume_new else None
        base = self.bases.get(record.uid, Amounts() if self.assume_new or record.spec.get("budget") is None else None)
        return None if base is None else _of_row(row, base, gpus, totals.at, self.currency)

    async def prepare(self, accounting: Accounting, totals: Totals) -> None:
        """Find out, once for each run with a budget, what its namesakes had cost before it was created."""
        for uid in self.bases.keys() - self.world.trainingjob_uids:
            del self.bases[uid]
        for key in self._trials.keys() - self.world.trainingjobs.keys():
            del self._trials[key]
        asked: dict[str, list[tuple[Custom, Row]]] = {}
        for record in self.world.trainingjobs.values():
            if record.spec.get("budget") is not None and record.uid not in self.bases:
                row = totals.workloads.get((record.namespace, Workload(TRAINING_JOB, record.name)))
                if row is not None:
                    asked.setdefault(record.namespace, []).append((record, row))
        for namespace, found in asked.items():
            names = [record.name for record, _ in found]
            question = partial(accounting.ledger.first_held, namespace, TRAINING_JOB, names)
            first = await accounting.call(question)
            for record, row in found:
                if first.get(record.name, 0) >= record.created:  # as nearly always: nobody had the name before
                    self.bases[record.uid] = Amounts()
                else:
                    since = await _since_creation(accounting, record, totals.at)
                    self.bases[record.uid] = _difference(row.amounts, since)


def _holding(pods: Iterable[Pod]) -> Iterator[Pod]:
    return (pod for pod in observe.alive(pods) if pod.bound is not None)


def _of_row(row: Row, base: Amounts, gpus: Decimal, at: Instant, currency: str) -> Spending:
    own = _difference(row.amounts, base)
    return Spending(
        at=at,
        cost=Decimal(max(0, own.cost)) / PICO if own.unpriced_time < own.held_time or not own.held_time else None,
        hourly=None if row.hourly is None else Decimal(row.hourly) / PICO,
        gpu_hours=Decimal(max(0, own.gpu_time)) / HOUR,
        gpus=gpus,
        complete=own.unpriced_time <= 0,
        currency=currency,
    )


def _difference(one: Amounts, other: Amounts) -> Amounts:
    return Amounts._make(a - b for a, b in zip(one, other, strict=True))


async def _since_creation(accounting: Accounting, record: Custom, now: Instant) -> Amounts:
    if record.created >= now:
        return Amounts()
    ledger, span = accounting.ledger, Interval(record.created, now)
    report = await accounting.call(lambda: ledger.report(span, now=now, by="workload", namespace=record.namespace))
    workload = Workload(TRAINING_JOB, record.name)
    return next((row.amounts for row in report.rows if row.workload == workload), Amounts())


def _stored(cost: Mapping[str, Any] | None, gpus: Decimal) -> Spending | None:
    """From `status.cost`, for who has no ledger."""
    try:
        if not cost or "asOf" not in cost:
            return None
        return Spending(
            at=parse_rfc3339(cost["asOf"]),
            cost=Decimal(cost["total"]) if "total" in cost else None,
            hourly=Decimal(cost["hourly"]) if "hourly" in cost else None,
            gpu_hours=Decimal(cost.get("gpuHours") or 0),
            gpus=gpus,
            complete=Decimal(cost.get("coverage") or 0) >= 1,
            currency=str(cost.get("currency") or "USD"),
        )
    except (ValueError, TypeError, InvalidOperation):
        return None
