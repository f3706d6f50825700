"""What is due by a schedule at an instant, from what was made and decided before.

Nothing here is a counter that could be counted twice: a due time is an instant, a run is named after its minute, and
whatever was decided on is a record with its due time. The latest of all that is the border up to which everything is
decided; of the times after it at most the last one leads to a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import MINUTE, Instant, parse_rfc3339
from gpucost.core.model import Key
from gpucost.core.money import Pico
from gpucost.core.training.runs.run import TRAINED, Result, Run, Saving
from gpucost.core.training.runs.spec import Runs
from gpucost.core.training.runs.worth import Answers, Trained
from gpucost.core.training.spec import Schedule
from gpucost.core.training.windows import last_firing, next_firing

_MOST_MISSED = 100
_SAMPLE = 5
"""Runs whose mean cost stands for what the next one would cost."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Calendar:
    """Everything about a schedule's past, and what the world says now."""

    created: Instant
    """When the schedule began: nothing before is due."""
    body: Json
    """The TrainingJob's `spec` as it is stored, from which runs are made."""
    runs: Sequence[Run] = ()
    """Its runs, those that are deleted too, as far as they are known."""
    living: frozenset[str] = frozenset()
    """UIDs of those that exist."""
    savings: Sequence[Saving] = ()
    """Due times at which no run was made, as far as they are known."""
    skipped: int = 0
    missed: int = 0
    saved: Pico = 0
    unpriced: int = 0
    """Skipped runs of which nobody knows what they would have cost."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why the living ones were worthwhile, by UID."""
    answers: Answers | None = None
    """None: the world was not asked yet."""
    status: Json = field(default_factory=dict)
    """`status.runs` as stored."""

    @property
    def active(self) -> Run | None:
        """A run that has not come to its end; the oldest one."""
        open_ones = [run for run in self.runs if run.uid in self.living and not run.is_over]
        return min(open_ones, key=lambda run: (run.due or 0, run.name), default=None)

    @property
    def last(self) -> Run | None:
        """The run that was made last."""
        return max(self.runs, key=lambda run: (run.due or 0, run.name), default=None)

    def because(self, run: Run) -> str:
        """Why a run was worthwhile, as far as it still says so."""
        return self.reasons.get(run.uid, "")

    @property
    def decided(self) -> Instant:
        """Everything that was due until then is decided on."""
        stored = _instant(self.status.get("decided")) or 0
        dues = [run.due for run in self.runs if run.due is not None] + [one.due for one in self.savings]
        return max((self.created, stored, *dues))

    @property
    def trained(self) -> Trained:
        """The last run that trained."""
        done = [run for run in self.runs if run.result in TRAINED]
        run = max(done, key=lambda run: run.due or 0, default=None)
        if run is None:
            return Trained(str(self.status.get("trainedVersion") or ""))
        return Trained(run.version, run.name, run.due)

    @property
    def usual_cost(self) -> Pico | None:
        """Mean cost of the last runs that were complete and have a known cost; None when there is none."""
        done = [run for run in self.runs if run.result is Result.COMPLETE and run.reason != "Reused"]
        known = [run.cost for run in sorted(done, key=lambda run: run.due or 0) if run.cost is not None][-_SAMPLE:]
        return sum(known) // len(known) if known else None


def _instant(text: object) -> Instant | None:
    try:
        return parse_rfc3339(text) if isinstance(text, str) else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Due:
    """A due time that is to be decided on, and how many before it were missed."""

    at: Instant
    missed: int = 0
    missed_last: Instant = 0
    """The latest of those that were missed."""


def due(schedule: Schedule, runs: Runs, decided: Instant, now: Instant) -> Due | None:
    """The last due time that is not decided on; None when there is none."""
    last = last_firing(runs.cron, schedule.time_zone, now)
    if last is None or last <= decided:
        return None
    count, before, moment = 0, 0, decided
    while count < _MOST_MISSED:
        following = next_firing(runs.cron, schedule.time_zone, moment)
        if following is None or following >= last:
            break
        count, before, moment = count + 1, following, following
    return Due(last, count, _before(schedule, runs, last) if count == _MOST_MISSED else before)


def _before(schedule: Schedule, runs: Runs, at: Instant) -> Instant:
    return last_firing(runs.cron, schedule.time_zone, at - 1) or 0


def upcoming(schedule: Schedule, runs: Runs, now: Instant) -> Instant | None:
    """When the next run is due."""
    return next_firing(runs.cron, schedule.time_zone, now)


def run_key(parent: Key, at: Instant) -> Key:
    """Name of the run of a due time: another try finds the first one's result."""
    return Key(parent.namespace, f"{parent.name}-{at // MINUTE}")
