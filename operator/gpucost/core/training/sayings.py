"""Whether a message of a run counts: not said before, not older than what was said, not about another life."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpucost.core.clock import SECOND, Instant, Micros, format_rfc3339
from gpucost.core.training.progress import PUSH, Checkpoint, Report
from gpucost.core.training.push import Push

_SKEW = 120 * SECOND
"""How far the clocks of two machines may be apart."""


@dataclass
class Bucket:
    """A token bucket: `burst` messages at once, then one per `period`."""

    burst: int
    period: Micros
    tokens: float = -1.0
    at: Instant = 0

    def take(self, now: Instant) -> Micros:
        """0 when a message may pass, else how long until one may."""
        if self.tokens < 0:
            self.tokens, self.at = float(self.burst), now
        self.tokens = min(float(self.burst), self.tokens + max(0, now - self.at) / self.period)
        self.at = max(self.at, now)
        if self.tokens >= 1:
            self.tokens -= 1
            return 0
        return max(1, round((1 - self.tokens) * self.period))


def _bucket() -> Bucket:
    return Bucket(burst=5, period=2 * SECOND)


@dataclass
class Speaker:
    """One pod that reports: how often it may, and up to when it has told."""

    pace: Bucket = field(default_factory=_bucket)
    told_until: Instant | None = None
    last: Instant | None = None
    """What the last message said of its own time, which may be ahead of ours."""

    def repeats(self, push: Push) -> str:
        """Why a message says nothing new, by the pod's own clock; empty when it does."""
        if push.told_at is None or self.told_until is None:
            return ""
        if self.is_repetition(push):
            return f"lastUpdatedTime {format_rfc3339(push.told_at)} was told before: the message is a repetition"
        if push.told_at > self.told_until:
            return ""
        return (
            f"lastUpdatedTime {format_rfc3339(push.told_at)} is before {format_rfc3339(self.told_until)}, which this "
            "pod has told already: the message came out of order"
        )

    def is_repetition(self, push: Push) -> bool:
        """Whether it is the very message that was heard last."""
        return push.told_at is not None and push.told_at in {self.told_until, self.last}

    def heard(self, push: Push, now: Instant) -> None:
        """Remember; a clock that is ahead of ours must not silence what comes after it is set right."""
        if push.told_at is not None:
            self.told_until, self.last = min(push.told_at, now), push.told_at


def report_of(push: Push, now: Instant, source: str = PUSH) -> Report | None:
    """The record of a message; None when it speaks of a checkpoint only."""
    if not push.is_report:
        return None
    return Report(now, push.step, push.progress, push.remaining, push.metrics, source)


def checkpoint_of(push: Push, now: Instant, born: Instant) -> tuple[Checkpoint | None, str]:
    """The record of a checkpoint, or why it does not count; `born` is when the TrainingJob was created."""
    saved = push.saved
    if saved is None:
        return None, ""
    at = now if saved.at is None else min(saved.at, now)
    if at + _SKEW < born:
        return None, (
            f"checkpoint.time: {format_rfc3339(at)} is before the TrainingJob was created ({format_rfc3339(born)}); "
            "tell only checkpoints that this run has written"
        )
    return Checkpoint(at, saved.step if saved.step is not None else push.step, saved.duration), ""
