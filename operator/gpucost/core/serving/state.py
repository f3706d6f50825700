"""What one pass over one InferenceEndpoint looks at, gathered by the runtime; the plan asks for nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gpucost.core.actions import Condition, EventNote
from gpucost.core.clock import SECOND, Instant, Micros
from gpucost.core.model import Key
from gpucost.core.serving.behavior import Past
from gpucost.core.serving.spec import EndpointSpec, TargetRef

DecisionStatus = Mapping[str, Any]
ASLEEP = "ScaledToZero"
"""The reason of having no replica at all."""


@dataclass(frozen=True, slots=True)
class Target:
    """The `scale` subresource of the workload as it was just read."""

    uid: str
    resource_version: str
    replicas: int
    """`spec.replicas`."""
    selector: str = ""
    observed: int = 0
    """`status.replicas`: pods that exist."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why the `scale` subresource of the workload cannot be read."""

    reason: str
    """TargetNotFound, KindNotInstalled, NotScalable, Forbidden or Unreachable."""
    message: str


@dataclass(frozen=True, slots=True, order=True)
class Rival:
    """Somebody else who sets the replicas of the same workload."""

    kind: str
    name: str
    made: bool = False
    """Whether it has made the workload, too."""
    certain: bool = True
    """Whether it is known to set the number; else it may leave it to others."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Wish:
    """The number of replicas that a policy asks for, before any limit, and why."""

    replicas: int
    reason: str
    message: str
    confidence: str | None = None
    """How well it is founded: High, Medium or Low."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A number that goes before every recommendation, limit and rate: waking up, going to sleep."""

    replicas: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Whether the load is known: the condition MetricsAvailable."""

    known: bool
    reason: str = "MetricsMissing"
    """MetricsFound, MetricsMissing, MetricsStale, CounterReset or SourceError."""
    message: str = "nothing has been asked yet"
    frozen: str = ""
    """Why replicas must not be taken away though the load is known; empty: nothing speaks against it."""
    lacking: str = ""
    """Why no number follows from a load that is known, such as a capacity that is not."""
    since: Instant | None = None
    """Since when the load is unknown, where whoever measures knows it."""


@dataclass(frozen=True, slots=True)
class EndpointState:
    """One InferenceEndpoint and what belongs to it."""

    key: Key
    uid: str
    generation: int
    spec: EndpointSpec | None
    """None when the object could not be read; `problems` says why."""
    problems: Sequence[tuple[str, str]] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    """The status as stored."""
    target: Target | Unresolved | None = None
    """None while nobody has looked."""
    rivals: Sequence[Rival] | None = ()
    """None while it is not known who else sets the replicas."""
    unseen: str = ""
    """Why that is not known, where there is more to say than that autoscalers cannot be listed."""
    ready: int = 0
    """Pods of the workload that are ready."""
    ready_since: Instant | None = None
    """Since when the first of them is: before that none was there to tell of its load."""
    free: int | None = None
    """Replicas that may go now without cutting off an answer; None: nobody asked for that, or who goes is not ours."""
    measured: Measured = Measured(known=False)
    wish: Wish | None = None
    """None while the load is unknown."""
    demand: Demand | None = None
    past: Past = field(default_factory=Past)
    replica_hourly: Decimal | None = None
    """What one replica costs per hour; None when nobody knows."""
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class ScaleTarget:
    """Set `spec.replicas` through the `scale` subresource, under the precondition that it is unchanged."""

    endpoint: Key
    """The InferenceEndpoint on whose behalf."""
    ref: TargetRef
    uid: str
    resource_version: str
    before: int
    replicas: int
    reason: str
    message: str

    @property
    def is_down(self) -> bool:
        """Whether replicas are taken away."""
        return self.replicas < self.before


@dataclass(frozen=True, slots=True)
class EndpointDecision:
    """What follows for one InferenceEndpoint."""

    target: Key
    past: Past
    """What was recommended, with this time; carried to the next pass."""
    action: ScaleTarget | None = None
    conditions: tuple[Condition, ...] = ()
    status: DecisionStatus = field(default_factory=dict)
    """Status fields as they are written, without `conditions` and `cost`."""
    events: tuple[EventNote, ...] = ()
    """To be told whatever becomes of the action."""
    success: EventNote | None = None
    """To be told once the action is carried out."""
    wake_at: Instant | None = None


LOOK_EVERY: Micros = 15 * SECOND
"""How often an endpoint is looked at, and how long a policy's step is."""
