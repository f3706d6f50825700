"""What a Job remembers of a stop: an annotation that is written in the same patch as `spec.suspend`.

A stop has an identity, its instant. Whoever resumes the run names it (`gpucost.dev/resume` on the TrainingJob), so a
clock that is wrong on the caller's machine does no harm, and a request that was meant for an earlier stop does nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from gpucost.core.clock import Instant, parse_rfc3339
from gpucost.core.model import Job
from gpucost.core.training import notes
from gpucost.core.training.memory import PREFIX, Annotations, moment
from gpucost.core.training.stopping.spec import BUDGET, Stopping

STOP = "stop"
"""Reason of a suspension, beside those in `memory`."""
RESTART = "restart"
STOPPED = PREFIX + "stopped"
JUDGED_SINCE = PREFIX + "judged-since"
WAIVED = PREFIX + "budget-waived"
RESTARTS = PREFIX + "divergence-restarts"
RESTORABLE = PREFIX + "restorable"
RESUME = PREFIX + "resume"
"""On the TrainingJob: the stop that its user takes back."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop."""

    id: str
    """Its instant, as written in the status."""
    rule: str
    reason: str
    evidence: str
    digest: str
    """Of the part of the specification that asked for it."""
    saved: str = ""
    """What it saves and what is left of the run, for people."""
    hourly: str = ""
    currency: str = ""
    checkpoint_at: str = ""
    checkpoint_step: int | None = None
    restart: bool = False
    """The run goes on at once, from its last good checkpoint."""

    def text(self) -> str:
        """For the annotation."""
        return json.dumps({key: value for key, value in asdict(self).items() if value not in {"", None, False}})

    @property
    def at(self) -> Instant:
        """When it was."""
        return parse_rfc3339(self.id)


@dataclass(frozen=True, slots=True)
class Remembered:
    """Everything that a Job's annotations say about stops."""

    stop: Stop | None = None
    since: Instant = 0
    """Only what the run has said from then on may stop it (again)."""
    waived: str = ""
    """Digest of the budget that the user has overridden by resuming the Job."""
    restarts: int = 0
    restorable: bool = False
    """Its pods are told which checkpoint to go on from."""


def recall(job: Job | None) -> Remembered:
    """Read; what somebody has made unreadable counts as never written."""
    written: Mapping[str, str] = job.annotations if job is not None else {}
    return Remembered(
        stop=_stop(written.get(STOPPED)),
        since=notes.instant(written.get(JUDGED_SINCE)) or 0,
        waived=written.get(WAIVED, ""),
        restarts=notes.count(written.get(RESTARTS)),
        restorable=written.get(RESTORABLE) == "true",
    )


def _stop(text: str | None) -> Stop | None:
    try:
        found = Stop(**(notes.json_object(text) or {}))
        return found if found.at else None
    except (ValueError, TypeError, AttributeError):
        return None


def is_taken_back(stop: Stop, what: Stopping, resume: str) -> bool:
    """Whether the user wants the run to go on: by asking for it, or by editing what had asked for the stop."""
    return resume == stop.id or what.digest_of(stop.rule) != stop.digest


def remembered(stop: Stop) -> Annotations:
    """We stop."""
    return {STOPPED: stop.text()}


def over(stop: Stop, now: Instant, *, restarts: int = 0) -> Annotations:
    """The stop is over and the rules begin anew."""
    count = str(restarts + 1) if stop.restart else None
    return {STOPPED: None, JUDGED_SINCE: moment(now), RESTARTS: count}


def overridden(stop: Stop, now: Instant) -> Annotations:
    """Somebody has resumed the Job itself: a budget that had stopped it is left alone until it is edited."""
    waived = {WAIVED: stop.digest} if stop.rule == BUDGET else {}
    return {**over(stop, now), **waived}
