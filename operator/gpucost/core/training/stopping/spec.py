"""What a TrainingJob says about being stopped, in the terms of the core."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from gpucost.core.clock import MINUTE, SECOND, Micros

DEFAULT_GROUP = "gpucost.dev/experiment"
"""Label whose value names the runs that are compared with each other."""


class Goal(StrEnum):
    """Which way a metric gets better."""

    MINIMIZE = "Minimize"
    MAXIMIZE = "Maximize"


class Mode(StrEnum):
    """What follows when a rule holds."""

    RECOMMEND = "Recommend"
    ENFORCE = "Enforce"


@dataclass(frozen=True, slots=True)
class Plateau:
    """Not better by more than `min_delta` for `patience` evaluations."""

    patience: int = 5
    min_delta: float = 0.0


@dataclass(frozen=True, slots=True)
class Median:
    """Worse than the median of the other runs of the group at the same step."""

    group: str = DEFAULT_GROUP
    min_trials: int = 3
    min_steps: int = 1


@dataclass(frozen=True, slots=True)
class Halving:
    """Successive halving: at each rung only the best of every `reduction` runs go on."""

    group: str = DEFAULT_GROUP
    min_steps: int = 1
    max_steps: int | None = None
    reduction: int = 4


@dataclass(frozen=True, slots=True)
class Target:
    """As good as the target in `patience` evaluations."""

    target: float = 0.0
    patience: int = 1


@dataclass(frozen=True, slots=True)
class Divergence:
    """Not finite in 2 evaluations, or far worse than the best in `patience` of them."""

    patience: int = 3
    restarts: int = 1


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Will most likely not reach the target by its last step."""

    target: float = 0.0
    min_delta: float = 0.0
    max_steps: int | None = None
    min_gain_per_cost: float | None = None
    """Improvement of the metric per unit of money that is still worth it; None: whatever it costs."""


Kind = Plateau | Median | Halving | Target | Divergence | LearningCurve

NAMES: dict[type[Kind], str] = {
    Plateau: "Plateau",
    Median: "Median",
    Halving: "SuccessiveHalving",
    Target: "Target",
    Divergence: "Divergence",
    LearningCurve: "LearningCurve",
}
GROUPED = (Median, Halving)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule about one metric."""

    metric: str
    kind: Kind
    goal: Goal = Goal.MINIMIZE
    mode: Mode = Mode.RECOMMEND
    grace: Micros = 10 * MINUTE
    """Training time before the rule judges, and after which a metric that nobody reports is told."""
    warning: Micros = 5 * MINUTE
    needs_checkpoint: bool = True

    @property
    def type(self) -> str:
        """Name of the rule, as in the API."""
        return NAMES[type(self.kind)]

    @property
    def name(self) -> str:
        """Tells it apart from the other rules of the run."""
        return f"{self.type}/{self.metric}"

    @property
    def sign(self) -> int:
        """Factor that makes smaller values better."""
        return 1 if self.goal is Goal.MINIMIZE else -1

    def text(self, value: float) -> str:
        """A value as the run told it, from one that was multiplied by `sign`."""
        return f"{self.sign * value + 0.0:.6g}"


@dataclass(frozen=True, slots=True)
class Idle:
    """Suspend a run whose GPUs do nothing."""

    after: Micros = 30 * MINUTE
    mode: Mode = Mode.RECOMMEND
    warning: Micros = 5 * MINUTE
    needs_checkpoint: bool = True


@dataclass(frozen=True, slots=True)
class RunBudget:
    """What the run may cost at most, in money, GPU-hours or both."""

    cost: Decimal | None = None
    gpu_hours: Decimal | None = None
    mode: Mode = Mode.RECOMMEND
    warn_at_percent: int = 80
    restart: Micros = 5 * MINUTE
    """Time of which the cost is kept back, so that the run can be started once more within the limit."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """Everything about being stopped."""

    rules: tuple[Rule, ...] = ()
    idle: Idle | None = None
    budget: RunBudget | None = None
    checkpoint_timeout: Micros = 5 * MINUTE
    """How long a run that was asked for a last checkpoint is waited for."""
    stop_grace: Micros = 30 * SECOND
    """How long its pods may take to end."""

    def __bool__(self) -> bool:
        return bool(self.rules) or self.idle is not None or self.budget is not None

    def digest_of(self, name: str) -> str:
        """Changes when the user edits what is behind a name such as `Plateau/loss`, `Idle` or `Budget`.

        The mode is part of it: whoever turns Enforce into Recommend wants the run to go on. Only what is not left at
        its default counts, so that a later version with more fields does not take every stop for edited.
        """
        found = next((what for known, what in self._named() if known == name), None)
        return hashlib.sha256(repr(_set(found)).encode()).hexdigest()[:12]

    def _named(self) -> Iterator[tuple[str, object]]:
        yield from ((rule.name, rule) for rule in self.rules)
        yield "Idle", self.idle
        yield "Budget", self.budget


IDLE, BUDGET = "Idle", "Budget"


def _set(what: Any) -> object:
    """Name of a class, and its fields that are not at their defaults, in the order of their names."""
    if not is_dataclass(what):
        return str(what)
    given = sorted(
        (one.name, getattr(what, one.name)) for one in fields(what) if getattr(what, one.name) != one.default
    )
    return (type(what).__name__, [(name, _set(value)) for name, value in given])
