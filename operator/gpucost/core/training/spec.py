"""A TrainingJob's specification in the terms of the core, converted from the API object by `gpucost.api`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gpucost.core.clock import MINUTE, Instant, Micros
from gpucost.core.model import CapacityType
from gpucost.core.training.estimating.work import ModelSpec
from gpucost.core.training.metric_sources import MetricSources
from gpucost.core.training.runs.spec import BaseModel, Dataset, Deduplication, Runs
from gpucost.core.training.stopping.spec import Stopping


class PlacementPolicy(StrEnum):
    """Who chooses the capacity type."""

    ON_DEMAND = "OnDemand"
    SPOT = "Spot"
    SCHEDULED = "Scheduled"
    AUTO = "Auto"

    @property
    def always(self) -> CapacityType | None:
        """The one capacity type that it ever places a job on; None when there are several."""
        return {self.SPOT: CapacityType.SPOT, self.ON_DEMAND: CapacityType.ON_DEMAND}.get(self)


class Outside(StrEnum):
    """What happens outside every window."""

    ON_DEMAND = "OnDemand"
    PAUSE = "Pause"


@dataclass(frozen=True, slots=True)
class Window:
    """A recurring span: it opens when the cron expression fires and stays open for `duration`."""

    start: str
    duration: Micros
    placement: CapacityType = CapacityType.SPOT


@dataclass(frozen=True, slots=True)
class Schedule:
    """Windows, or whole runs, in a time zone (IANA name)."""

    time_zone: str = "UTC"
    windows: tuple[Window, ...] = ()
    outside: Outside = Outside.ON_DEMAND
    runs: Runs | None = None
    """Makes the TrainingJob the parent of its runs, each a TrainingJob of its own."""


@dataclass(frozen=True, slots=True)
class PoolSelector:
    """How nodes of one capacity type are selected, given by the user instead of detected."""

    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class PlacementSpec:
    """Where to run."""

    policy: PlacementPolicy = PlacementPolicy.ON_DEMAND
    scheduling_timeout: Micros = 10 * MINUTE
    spot: PoolSelector | None = None
    on_demand: PoolSelector | None = None

    @property
    def selectors(self) -> tuple[Mapping[str, str], ...]:
        """Those of the pools that the user has given."""
        return tuple(pool.node_selector for pool in (self.spot, self.on_demand) if pool is not None)


@dataclass(frozen=True, slots=True)
class WorkloadRef:
    """An existing Job or JobSet to take over instead of creating a Job."""

    name: str
    kind: str = "Job"
    api_version: str = "batch/v1"


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """The whole specification; exactly one of `template` and `workload_ref` is set."""

    template: Mapping[str, object] | None = None
    workload_ref: WorkloadRef | None = None
    workers: int = 1
    gpus_per_worker: int | None = None
    backoff_limit: int = 6
    configuration_error_exit_code: int | None = None
    suspend: bool = False
    placement: PlacementSpec = PlacementSpec()
    schedule: Schedule | None = None
    metrics: MetricSources = field(default_factory=MetricSources)
    dataset: Dataset | None = None
    base_model: BaseModel | None = None
    seed: int | None = None
    deduplication: Deduplication = Deduplication.WARN
    ignored_env: tuple[str, ...] = ()
    """Names of variables, with `*`, that say nothing about a run's result."""
    stopping: Stopping = field(default_factory=Stopping)
    model: ModelSpec | None = None
    """What is trained, for the estimate; None when nobody says."""
    complete_by: Instant | None = None
    """When the run must be complete."""
    expected_duration: Micros | None = None
    """Training time of the whole run on its nodes, without interruptions."""
    checkpoint_interval: Micros | None = None
    """How often the program saves by itself, as its owner says."""

    @property
    def runs(self) -> Runs | None:
        """When runs are made; None for a TrainingJob that is a run itself."""
        return self.schedule.runs if self.schedule is not None else None
