"""A TrainingJob that makes runs, and its surroundings: API server, ledger, a cache that lags, an operator that dies."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gpucost.core.actions import CreateTrainingJob, Decision, DeleteTrainingJob
from gpucost.core.clock import DAY, HOUR, Instant, parse_rfc3339
from gpucost.core.model import Key, Unknown
from gpucost.core.training.plan import TrainingContext, TrainingState, plan
from gpucost.core.training.runs.calendar import Calendar
from gpucost.core.training.runs.plan import open_question
from gpucost.core.training.runs.run import Result, Run, Saving
from gpucost.core.training.runs.spec import Dataset, Quality, Runs
from gpucost.core.training.runs.worth import Answers
from gpucost.core.training.spec import Schedule, TrainingSpec

Json = dict[str, Any]
TEMPLATE = {"spec": {"containers": [{"name": "train", "image": "bert"}]}}
_WORDS = {True: "True", False: "False", None: "Unknown"}
PARENT = "parent-uid"


def nightly(
    cron: str = "0 2 * * *",
    *,
    zone: str = "UTC",
    dataset: Dataset | None = Dataset("clicks"),  # noqa: B008 - frozen
    suspend: bool = False,
    **runs: Any,
) -> TrainingSpec:
    """A schedule that trains at night when its dataset has changed."""
    schedule = Schedule(zone, runs=Runs(cron, **runs))
    return TrainingSpec(template=TEMPLATE, schedule=schedule, dataset=dataset, suspend=suspend)


@dataclass
class RunsWorld:
    """One schedule and its surroundings at an instant."""

    spec: TrainingSpec
    now: Instant
    key: Key = field(default_factory=lambda: Key("research", "bert"))
    created: Instant = 0
    children: dict[str, Run] = field(default_factory=dict)
    """TrainingJobs that exist, by name."""
    seen: dict[str, Run] = field(default_factory=dict)
    """The same as the operator's cache has it."""
    ledger: dict[str, Run] = field(default_factory=dict)
    savings: dict[tuple[Instant, str], Saving] = field(default_factory=dict)
    status: Json = field(default_factory=dict)
    version: str | Unknown = "1"
    quality: float | Unknown = 0.99
    cost: int | None = 5_000_000_000_000
    events: set[tuple[str, str]] = field(default_factory=set)
    made: list[tuple[str, Instant, Instant]] = field(default_factory=list)
    """Name, due time and instant of each run that was made."""
    most_active: int = 0
    _serial: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.created = self.created or self.now

    # --- the operator -----------------------------------------------------------------------------------------------

    def state(self, *, fresh: bool = False, answers: Answers | None = None) -> TrainingState:
        known = {run.uid: run for run in (*self.ledger.values(), *self.seen.values())}
        living = {run.uid for run in self.seen.values()}
        if fresh:
            known |= {run.uid: run for run in self.children.values()}
            living = {run.uid for run in self.children.values()}
        booked = list(self.savings.values())
        skips = [one for one in booked if one.is_skip]
        calendar = Calendar(
            created=self.created,
            body={"schedule": {"runs": {"cron": "…"}}, "dataset": {"name": "clicks"}, "template": TEMPLATE},
            runs=tuple(known.values()),
            living=frozenset(living),
            savings=booked,
            skipped=sum(one.times for one in skips),
            missed=sum(one.times for one in booked if not one.is_skip),
            saved=sum(one.saved or 0 for one in skips),
            unpriced=sum(one.saved is None for one in skips),
            answers=answers,
            status=self.status.get("runs") or {},
        )
        return TrainingState(self.key, PARENT, 1, {}, self.spec, status=self.status, calendar=calendar)

    def decide(self) -> Decision:
        context = TrainingContext(now=self.now)
        state = self.state()
        assert state.calendar is not None
        if open_question(self.spec, state.calendar, self.now) is not None:
            answers = Answers(self.version if self.spec.dataset else None, self.quality)
            state = self.state(fresh=True, answers=answers)
        return plan(state, context)

    def operate(self, *, survive: int | None = None) -> Decision:
        """One pass; with `survive` the operator dies after so many writes: actions, the ledger, the status."""
        decision = self.decide()
        writes = [*decision.actions, decision.records, decision]
        for write in writes[: len(writes) if survive is None else survive]:
            self._write(write)
            if isinstance(write, tuple):  # what was made is booked along with what was not
                self.ledger |= {run.uid: run for run in self.children.values() if run.uid not in self.ledger}
        if survive is not None:
            self.watch()
        return decision

    def _write(self, write: Any) -> None:
        match write:
            case CreateTrainingJob(manifest=manifest):
                self._create(manifest)
            case DeleteTrainingJob(run=run, uid=uid):
                if run.name in self.children and self.children[run.name].uid == uid:
                    assert self.children[run.name].is_over, "a run that goes on is never deleted"
                    self.children.pop(run.name)
            case Decision() as decision:
                self.events |= {(note.reason, note.dedupe) for note in decision.events}
                conditions = [
                    {"type": c.type, "status": _WORDS[c.status], "reason": c.reason, "message": c.message}
                    for c in decision.conditions
                ]
                self.status = {**decision.status, "conditions": conditions}
            case _:
                self.savings |= {(one.due, one.kind): one for one in write}

    def _create(self, manifest: Mapping[str, Any]) -> None:
        name = manifest["metadata"]["name"]
        if name in self.children:
            return
        due = parse_rfc3339(manifest["metadata"]["annotations"]["gpucost.dev/due"])
        version = manifest["spec"].get("dataset", {}).get("version", "")
        uid = f"run-{next(self._serial)}"
        run = Run(uid, "research", name, self.now, version=version, parent=PARENT, due=due)
        self.children[name] = run
        self.made.append((name, due, self.now))
        self.most_active = max(self.most_active, sum(not one.is_over for one in self.children.values()))

    # --- the world ----------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """The cache catches up, and what it shows is recorded."""
        self.seen = dict(self.children)
        self.ledger |= {run.uid: run for run in self.seen.values()}

    def end(self, result: Result = Result.COMPLETE) -> None:
        """The run that goes on ends."""
        for name, run in self.children.items():
            if not run.is_over:
                cost = self.cost if result is not Result.FAILED else None
                self.children[name] = replace(run, result=result, reason=str(result), ended=self.now, cost=cost)

    def pass_by(self, span: int, step: int = HOUR, *, ending: bool = True) -> None:
        """Time passes with a working operator; runs take less than a step."""
        for _ in range(span // step):
            self.now += step
            self.watch()
            self.operate()
            self.watch()
            if ending:
                self.end()
                self.watch()

    def days(self, count: int) -> None:
        self.pass_by(count * DAY)

    @property
    def runs(self) -> Json:
        found: Json = self.status["runs"]
        return found

    def ready(self) -> str:
        return next(str(one["reason"]) for one in self.status["conditions"] if one["type"] == "Ready")


def accuracy(below: str = "0.9") -> Quality:
    from decimal import Decimal  # noqa: PLC0415

    return Quality("min(accuracy)", below=Decimal(below))
