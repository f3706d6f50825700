"""What a training run says of itself: how far it is, what it measures, and what it has saved.

Everything that judges a run (its deadline, early stopping, lost work) looks at these records and asks nobody else, so
that operator and simulator judge alike. They come from outside and may be wrong, late or missing: what is absurd does
not become a record, and what was never said is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpucost.core.clock import Instant, Micros

PUSH, PROMETHEUS, LOG, TERMINATION = "push", "prometheus", "log", "terminationMessage"
SOURCES = (PUSH, PROMETHEUS, LOG, TERMINATION)
"""Where reports come from, the most trustworthy first."""


@dataclass(frozen=True, slots=True)
class Report:
    """One message of a run."""

    at: Instant
    """When it was received; of a line of a log, when it was written."""
    step: int | None = None
    progress: float | None = None
    """Part of the work that is done, 0..1."""
    remaining: Micros | None = None
    """Time that the run itself thinks it still needs."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Latest values by name; not-a-number and infinite values are kept, because they mean something."""
    source: str = PUSH
    """One of `SOURCES`."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State from which the run can go on."""

    at: Instant
    """When it was complete."""
    step: int | None = None
    duration: Micros | None = None
    """How long saving took."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything that a run has said, oldest first; instants never go backwards."""

    reports: tuple[Report, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()

    @property
    def latest(self) -> Report | None:
        """The newest report."""
        return self.reports[-1] if self.reports else None

    @property
    def saved(self) -> Checkpoint | None:
        """The newest checkpoint."""
        return self.checkpoints[-1] if self.checkpoints else None

    def since(self, at: Instant) -> Progress:
        """The part from an instant on, such as the start of the present Job."""
        reports = tuple(one for one in self.reports if one.at >= at)
        return Progress(reports, tuple(one for one in self.checkpoints if one.at >= at))
