"""What one pass over one TrainingJob looks at, gathered by the runtime; the plan asks for nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gpucost.core.capacity import Provider
from gpucost.core.clock import Instant
from gpucost.core.model import Job, Key, Node, Pod, Resources
from gpucost.core.notices import Notice
from gpucost.core.training.auto.sightings import Market
from gpucost.core.training.auto.stays import Stay
from gpucost.core.training.deadline import Choice, Outlook, choose
from gpucost.core.training.doubts import Doubt
from gpucost.core.training.estimating.market import Quote
from gpucost.core.training.pins import Pin
from gpucost.core.training.progress import Progress
from gpucost.core.training.queueing import Entry
from gpucost.core.training.reporting import Reporting
from gpucost.core.training.runs.calendar import Calendar
from gpucost.core.training.runs.twins import Twins
from gpucost.core.training.spec import TrainingSpec
from gpucost.core.training.stopping.budget import Spending
from gpucost.core.training.stopping.idle import Span
from gpucost.core.training.stopping.trials import Trial

NOTHING = Resources()


@dataclass(frozen=True)
class Interruption:
    """A pod that lost its spot node."""

    pod_uid: str
    at: Instant
    node: str
    reason: str = ""


@dataclass(frozen=True)
class TrainingState:
    """One TrainingJob and what belongs to it, as last watched."""

    key: Key
    uid: str
    generation: int
    labels: Mapping[str, str]
    spec: TrainingSpec | None
    """None when the object could not be read; `problems` says why."""
    problems: Sequence[tuple[str, str]] = ()
    """Field path and message of what is wrong with the object as it was read."""
    job: Job | None = None
    """The Job of its name, or the one that it refers to, whoever owns it."""
    entry: Entry | None = None
    """The Job's place in a queue of Kueue; None without one, and where the cluster does not show it."""
    pods: Sequence[Pod] = ()
    """Pods of the Job that still exist."""
    service_exists: bool = False
    status: Mapping[str, Any] = field(default_factory=dict)
    """The status as stored."""
    interruptions: Sequence[Interruption] = ()
    progress: Progress = field(default_factory=Progress)
    """What the run has said of itself."""
    calendar: Calendar | None = None
    """The runs of its schedule, for one that makes runs."""
    twins: Twins = field(default_factory=Twins)
    """The same run, made before."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Those of the TrainingJob under `gpucost.dev/`."""
    groups: Mapping[str, Sequence[Trial] | None] = field(default_factory=dict)
    """The other runs with the same value of a label, by that label; None: this one has no such label."""
    spending: Spending | None = None
    """What the run has cost; None when nobody knows yet."""
    quiet: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    """When the GPUs of its pods did nothing, by UID of the pod, as far as it was measured."""
    doubts: Sequence[Doubt] | None = None
    """Metrics that the specification asks for and nobody knows; None while nobody was asked."""
    stays: tuple[Stay, ...] = ()
    """Its stays on nodes, oldest first."""
    requests: Resources = NOTHING
    """What one worker requests."""
    pin: Pin | None = None
    """The zone that it cannot leave."""
    rates: tuple[Decimal, Decimal] | None = None
    """What the whole run costs per hour on spot and on on-demand capacity; None when nobody knows."""
    spent: Decimal = Decimal(0)
    """What it has cost so far."""


@dataclass(frozen=True)
class TrainingContext:
    """The rest of the world."""

    now: Instant
    provider: Provider | None = None
    nodes: Mapping[str, Node] = field(default_factory=dict)
    """Living nodes by name."""
    measured_since: Instant = 0
    """Since when this operator has measured what GPUs do."""
    rejection: Sequence[str] = ()
    """What the API server said to an action for this generation of the object, one line per field."""
    reporting: Reporting | None = None
    """Where runs report; None when nobody takes it in."""
    notices: Mapping[str, Notice] = field(default_factory=dict)
    """Nodes that are about to go, by name."""
    market: Market | None = None
    """What was seen of spot capacity."""
    choose: Callable[[Outlook], Choice] = choose
    """What decides under a deadline; one that remembers may raise `PutOff`."""
    absent_kinds: frozenset[str] = frozenset()
    """Kinds of workloads that the cluster does not have, such as `JobSet`."""
    living: frozenset[str] | None = None
    """UIDs of the TrainingJobs that exist; None when unknown."""
    quotes: tuple[Quote, ...] | None = None
    """What GPUs cost here now; None while nobody knows."""
    gpu_models: frozenset[str] = frozenset()
    """Those of the living nodes."""
    currency: str = "USD"
