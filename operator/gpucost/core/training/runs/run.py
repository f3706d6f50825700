"""One training run as it is remembered: what it was, how it ended, what it cost.

Recorded when its Job is made, completed when it ends, and kept in the ledger: it outlives the TrainingJob, because the
question whether a run is known already comes up after the earlier one was cleaned away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gpucost.core.clock import Instant
from gpucost.core.money import Pico

REUSED = "Reused"
FAILED_TWICE = "FailedTwice"


class Result(StrEnum):
    """How a run has ended, or that it has not."""

    RUNNING = "Running"
    COMPLETE = "Complete"
    STOPPED = "EarlyStopped"
    """Ended before its time because going on was not worthwhile: what it has reached counts."""
    FAILED = "Failed"
    GONE = "Gone"
    """Deleted before it came to an end."""


TRAINED = frozenset({Result.COMPLETE, Result.STOPPED})


@dataclass(frozen=True, slots=True)
class Run:
    """One run; `uid` is its TrainingJob's."""

    uid: str
    namespace: str
    name: str
    created: Instant
    """When its Job was made; for the run of a schedule that has no Job yet, when its TrainingJob was."""
    digest: str = ""
    """Empty for a run that cannot be told from others."""
    exact: bool = False
    version: str = ""
    parent: str = ""
    """UID of the TrainingJob whose schedule made it."""
    due: Instant | None = None
    """When its schedule made it due."""
    result: Result = Result.RUNNING
    reason: str = ""
    message: str = ""
    ended: Instant | None = None
    cost: Pico | None = None
    said: str = ""
    """Its last metrics, as text."""
    checkpoint: str = ""
    outputs: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether it has come to an end."""
        return self.result is not Result.RUNNING


@dataclass(frozen=True, slots=True)
class Saving:
    """A due time at which no run was made, or a run that was not started."""

    uid: str
    """Of the TrainingJob whose schedule it is, or that was not started."""
    namespace: str
    due: Instant
    """The due time; for a run that was not started, when that was found."""
    kind: str
    """`NothingNew`, `Missed`, `WorthUnknown` or `Reused`."""
    message: str = ""
    times: int = 1
    """How many due times it stands for."""
    saved: Pico | None = None
    """What making it would have cost; None is unknown."""

    @property
    def is_skip(self) -> bool:
        """Whether it was found not to be worthwhile, so that not making it saved something."""
        return self.kind == NOTHING_NEW


NOTHING_NEW = "NothingNew"
MISSED = "Missed"
WORTH_UNKNOWN = "WorthUnknown"


def outcome(status: Mapping[str, Any]) -> tuple[Result, str, str]:
    """How the run of a TrainingJob stands by its stored status: result, reason and message.

    A run that was stopped, went over its budget or cannot be read does not run any more; one that is resumed after that
    runs again. A rule that only recommends a stop stops nothing.
    """
    conditions = {one.get("type"): one for one in status.get("conditions") or () if one.get("status") == "True"}
    for kind, result in _ENDS:
        if (found := conditions.get(kind)) is None or (kind in _SUSPENDING and "Suspended" not in conditions):
            continue
        reason = str(found.get("reason") or kind)
        return _WITHOUT_RESULT.get(reason, result), reason, str(found.get("message") or "")
    return Result.RUNNING, "", ""


_ENDS = (
    ("Failed", Result.FAILED),
    ("Complete", Result.COMPLETE),
    ("EarlyStopped", Result.STOPPED),
    ("BudgetExceeded", Result.FAILED),
    ("Invalid", Result.FAILED),
)
_SUSPENDING = frozenset({"EarlyStopped", "BudgetExceeded"})
_WITHOUT_RESULT = dict.fromkeys(("Diverged", "NonFinite", "GPUsIdle"), Result.FAILED)
"""Reasons for a stop that say that nothing came of the run."""
