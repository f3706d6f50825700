"""The TrainingJob: a training run that knows where it may run, when, and what it costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from gpucost.api import training_runs as made
from gpucost.api.fields import ApiModel, Cron, Duration, GivenMoment, TimeZone, rule, rules
from gpucost.api.metrics_sources import METRICS_DESCRIPTION, MetricSources
from gpucost.api.pod_template import PodTemplate, Toleration
from gpucost.api.stopping import BUDGET, EARLY_STOPPING, IDLE, EarlyStopping, IdlePolicy, RunBudget
from gpucost.api.training_model import MODEL_DESCRIPTION, TrainedModel

Capacity = Literal["Spot", "OnDemand"]


_TEMPLATE = """\
Pod template of the workers, exactly as in a Job. Example:

template:
  spec:
    containers:
    - name: train
      image: registry.example.com/bert:1
      command: ["torchrun", "train.py"]
      resources: {limits: {nvidia.com/gpu: 8}}

A process that is interrupted must end with a code other than 0 (143 on SIGTERM), or Kubernetes takes the run for \
complete."""
_WINDOWS = """\
Times in which the job runs on the given capacity, at most 32. Where two are open at once, the first one listed \
counts. Example: spot capacity from 20:00 to 06:00 on weekday nights, and over the weekend.

windows:
- {start: "0 20 * * 1-5", duration: 10h}
- {start: "0 6 * * SAT", duration: 48h, placement: Spot}"""
_SCHEDULE = """\
Times at which the job runs on which capacity. Example: spot capacity on weekday nights, on-demand otherwise.

schedule:
  timeZone: Europe/Berlin
  windows:
  - start: "0 20 * * 1-5"
    duration: 10h
    placement: Spot
  outside: OnDemand

With `outside: Pause` the job runs in its windows only and is suspended otherwise."""


class Window(ApiModel):
    """A recurring time in which the job runs on the given capacity."""

    start: Cron = Field(
        description="When the window opens: a cron expression of five fields (minute, hour, day of month, month, day "
        "of week) in `schedule.timeZone`. Examples: `0 20 * * 1-5` opens at 20:00 from Monday to Friday, `0 0 * * SAT` "
        "on Saturday at midnight, `30 6 1 * *` at 06:30 on the first of each month."
    )
    duration: Duration = Field(
        description="How long the window stays open, such as `10h` or `1h30m`; elapsed time, also when clocks change. "
        "It must not be longer than the time until the window opens again. Days are written in hours: `48h`."
    )
    placement: Capacity = Field(
        "Spot", description="Capacity the job runs on while the window is open: Spot or OnDemand."
    )


_EMPTY_SCHEDULE = (
    "needs windows, such as [{start: '0 20 * * 1-5', duration: 10h}], or runs, such as {cron: '0 2 * * *'}"
)


class Schedule(ApiModel):
    """When the job runs on which capacity, and when runs are made."""

    model_config = ConfigDict(json_schema_extra=rules(rule("has(self.windows) || has(self.runs)", _EMPTY_SCHEDULE)))

    time_zone: TimeZone = Field(
        "UTC",
        description="IANA time zone in which `windows[].start` and `runs.cron` are read: UTC, Europe/Berlin, "
        "America/New_York.",
    )
    windows: Annotated[tuple[Window, ...], Field(min_length=1, max_length=32)] | None = Field(
        None, description=_WINDOWS
    )
    outside: Literal["OnDemand", "Pause"] = Field(
        "OnDemand",
        description="What happens while no window is open: the job runs OnDemand, or it is suspended (Pause).",
    )
    runs: made.Runs | None = Field(
        None,
        description=made.RUNS,
    )

    @model_validator(mode="after")
    def _says_something(self) -> Schedule:
        if self.windows is None and self.runs is None:
            raise ValueError(_EMPTY_SCHEDULE)
        return self


class PoolSelector(ApiModel):
    """How nodes of one capacity type are selected."""

    node_selector: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]],
        Field(max_length=16),
    ] = Field(
        default_factory=dict,
        description="Labels that a node must have, such as `karpenter.sh/capacity-type: spot`.",
        json_schema_extra={"x-kubernetes-map-type": "atomic"},
    )
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        default=(),
        description="Taints of these nodes that the pods tolerate.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


class Placement(ApiModel):
    """Which capacity the job runs on."""

    policy: Literal["OnDemand", "Spot", "Scheduled", "Auto"] | None = Field(
        None,
        description="OnDemand: always on on-demand capacity. Spot: always on spot capacity. Scheduled: as `schedule` "
        "says. Auto: on spot as long as `completeBy` is safe, and on on-demand capacity as far as it is not. Left out "
        "it is Scheduled when there is a `schedule`, else OnDemand.",
    )
    scheduling_timeout: Duration = Field(
        "10m",
        description="When a move has not put the pods on nodes within this time, it is undone, and not tried again "
        "before the next window. Long enough for a node to be bought and to start.",
    )
    spot: PoolSelector | None = Field(
        None,
        description="How spot nodes are selected. Left out, the labels of Karpenter, EKS, GKE and AKS are known. "
        "Example: `{nodeSelector: {pool: spot-h100}}`.",
    )
    on_demand: PoolSelector | None = Field(
        None, description="How on-demand nodes are selected; left out, the labels of the known providers are used."
    )


_KIND_AND_VERSION = (
    "kind Job goes with apiVersion batch/v1, and kind JobSet with apiVersion jobset.x-k8s.io/v1alpha2: write both"
)


class CheckpointSpec(ApiModel):
    """What is known of the program's checkpoints."""

    interval: Duration | None = Field(
        None,
        description="How often the program saves a checkpoint by itself, such as `30m`. For programs that do not "
        "report their checkpoints: without it their work counts as lost with their node. Also given to the program as "
        "GPUCOST_CHECKPOINT_INTERVAL_SECONDS; left out, that is computed from how long saving takes and how often "
        "nodes are lost.",
    )
    timeout: Duration = Field(
        "5m",
        description="How long a run that is to be stopped is waited for when it was asked for a last checkpoint. After "
        "that, its newest checkpoint has to do.",
    )


class WorkloadRef(ApiModel):
    """An existing workload."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("(self.kind == 'Job') == (self.apiVersion == 'batch/v1')", _KIND_AND_VERSION, field_path=".apiVersion")
        )
    )

    api_version: Literal["batch/v1", "jobset.x-k8s.io/v1alpha2"] = Field(
        "batch/v1",
        description="API version of the workload: batch/v1 for a Job, jobset.x-k8s.io/v1alpha2 for a JobSet.",
    )
    kind: Literal["Job", "JobSet"] = Field("Job", description="Kind of the workload: Job or JobSet.")
    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        description="Name of the Job or JobSet, in the namespace of the TrainingJob, such as `bert`."
    )

    @model_validator(mode="after")
    def _known(self) -> WorkloadRef:
        if (self.kind == "Job") != (self.api_version == "batch/v1"):
            raise ValueError(_KIND_AND_VERSION)
        return self


_EXACTLY_ONE = "set exactly one of template (the Job is made from it) and workloadRef (an existing one is taken over)"
_NEEDS_SCHEDULE = (
    "policy Scheduled needs spec.schedule.windows, such as {windows: [{start: '0 20 * * 1-5', duration: 10h}]}"
)
_NEEDS_POLICY = (
    "schedule.windows are followed only with placement.policy Scheduled: set that, or leave the policy out, or remove "
    "the windows"
)
_RUNS_NEED_TEMPLATE = "runs are made from spec.template; a Job that exists (workloadRef) runs once only"
_ONE_DEADLINE = "completeBy is one instant and schedule.runs makes many runs: leave one of them out"
_REUSE_NEEDS_TEMPLATE = "Reuse goes with spec.template; the Job of workloadRef exists already: use Warn or Off"
_WINDOWED = "(has(self.schedule) && has(self.schedule.windows))"
_MAKES_RUNS = "(has({0}.schedule) && has({0}.schedule.runs))"
_NEEDS_DEADLINE = "policy Auto needs spec.completeBy, such as 2026-12-01T06:00:00Z"
_COMPLETE_BY = (
    "When the run must be complete, such as `2026-12-01T06:00:00Z`. With `placement.policy: Auto` it decides how long "
    "the run may wait for spot capacity; with any policy the condition `DeadlineAtRisk` tells when it cannot be met "
    "any more. Give `expectedDuration` too, or report progress: without either nobody knows how much work is left, and "
    "Auto stays on on-demand capacity."
)
_TEMPLATE_GPUS = (
    "self.template.spec.containers.filter(c, has(c.resources) && has(c.resources.limits)"
    " && 'nvidia.com/gpu' in c.resources.limits).map(c, int(c.resources.limits['nvidia.com/gpu']))"
)
_SPEC_RULES = rules(
    rule("has(self.template) != has(self.workloadRef)", _EXACTLY_ONE),
    rule(
        "has(self.template) == has(oldSelf.template)",
        "the choice between template and workloadRef cannot be changed; delete the TrainingJob and create another one",
    ),
    rule(
        f"{_WINDOWED} || !has(self.placement) || !has(self.placement.policy) || self.placement.policy != 'Scheduled'",
        _NEEDS_SCHEDULE,
        field_path=".schedule",
        reason="FieldValueRequired",
    ),
    rule(
        f"!{_WINDOWED} || !has(self.placement) || !has(self.placement.policy) || self.placement.policy == 'Scheduled'",
        _NEEDS_POLICY,
        field_path=".schedule",
        reason="FieldValueForbidden",
    ),
    rule(
        "has(self.completeBy) || !has(self.placement) || !has(self.placement.policy)"
        " || self.placement.policy != 'Auto'",
        _NEEDS_DEADLINE,
        field_path=".completeBy",
        reason="FieldValueRequired",
    ),
    rule(
        f"!has(self.gpusPerWorker) || !has(self.template) || {_TEMPLATE_GPUS}.sum() in [0, self.gpusPerWorker]",
        "must equal the sum of the limits nvidia.com/gpu in the template; say it in one place only",
        field_path=".gpusPerWorker",
    ),
    rule(
        "!has(self.workloadRef) || self.workers == 1 && self.backoffLimit == 6 && !has(self.gpusPerWorker)"
        " && !has(self.configurationErrorExitCode)",
        "workers, gpusPerWorker, backoffLimit and configurationErrorExitCode go with template; with workloadRef the "
        "workload itself says them: leave them out",
        field_path=".workloadRef",
        reason="FieldValueForbidden",
    ),
    rule(
        f"has(self.template) || !{_MAKES_RUNS.format('self')}",
        _RUNS_NEED_TEMPLATE,
        field_path=".schedule",
        reason="FieldValueForbidden",
    ),
    rule(
        f"{_MAKES_RUNS.format('self')} == {_MAKES_RUNS.format('oldSelf')}",
        "schedule.runs cannot be added to a TrainingJob, nor taken from it; create another one",
    ),
    rule(
        f"!has(self.completeBy) || !{_MAKES_RUNS.format('self')}",
        _ONE_DEADLINE,
        field_path=".completeBy",
        reason="FieldValueForbidden",
    ),
    rule(
        "has(self.template) || self.deduplication != 'Reuse'",
        _REUSE_NEEDS_TEMPLATE,
        field_path=".deduplication",
        reason="FieldValueForbidden",
    ),
)


class TrainingJobSpec(ApiModel):
    """What shall run, where and when."""

    model_config = ConfigDict(json_schema_extra=_SPEC_RULES)

    @model_validator(mode="after")
    def _consistent(self) -> TrainingJobSpec:
        """The rules above once more, for objects that were stored before them."""
        if (self.template is None) == (self.workload_ref is None):
            raise ValueError(_EXACTLY_ONE)
        windowed = self.schedule is not None and self.schedule.windows is not None
        if self.placement.policy == "Scheduled" and not windowed:
            raise ValueError(_NEEDS_SCHEDULE)
        if windowed and self.placement.policy not in {None, "Scheduled"}:
            raise ValueError(_NEEDS_POLICY)
        makes_runs = self.schedule is not None and self.schedule.runs is not None
        if makes_runs and self.template is None:
            raise ValueError(_RUNS_NEED_TEMPLATE)
        if makes_runs and self.complete_by is not None:
            raise ValueError(_ONE_DEADLINE)
        if self.template is None and self.deduplication == "Reuse":
            raise ValueError(_REUSE_NEEDS_TEMPLATE)
        if self.placement.policy == "Auto" and self.complete_by is None:
            raise ValueError(_NEEDS_DEADLINE)
        return self

    suspend: bool = Field(
        False, description="true stops the job: its pods end, it costs nothing, and it goes on when set back to false."
    )
    template: PodTemplate | None = Field(
        None,
        description=_TEMPLATE,
    )
    workload_ref: WorkloadRef | None = Field(
        None,
        description="Instead of `template`: an existing Job or JobSet whose placement and suspension are taken over. "
        "Cannot be changed. Examples: `{name: bert}` for a Job; "
        "`{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, name: bert}` for a JobSet.",
        json_schema_extra=rules(
            rule("self == oldSelf", "workloadRef cannot be changed; create another TrainingJob for another workload")
        ),
    )
    workers: Annotated[int, Field(ge=1, le=1024)] = Field(
        1,
        description="Number of pods that train together. With more than one they find each other through a headless "
        "Service and the environment that torchrun reads.",
    )
    gpus_per_worker: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None,
        description="GPUs of each worker: the limit `nvidia.com/gpu` of the first container when no container has one.",
    )
    backoff_limit: Annotated[int, Field(ge=0, le=1000)] = Field(
        6,
        description="How many failed pods are replaced before the job fails. Interruptions by the cluster do not "
        "count.",
    )
    configuration_error_exit_code: Annotated[int, Field(ge=1, le=255)] | None = Field(
        None,
        description="Exit code by which the program says that trying again is useless, such as 2 for a missing file; "
        "the job then fails at once.",
        json_schema_extra=rules(
            rule(
                "self != 143 && self != 137",
                "must not be 137 or 143: these mean that the process was stopped by a signal",
            )
        ),
    )
    placement: Placement = Field(
        default_factory=Placement,
        json_schema_extra={"default": {}},
        description="Which capacity the job runs on: on-demand, spot, or both by a schedule or under a deadline.",
    )
    complete_by: GivenMoment | None = Field(None, description=_COMPLETE_BY)
    expected_duration: Duration | None = Field(
        None,
        description="How long the training takes on its nodes without interruptions, such as `20h`; time to start "
        "does not count. What the run reports of its progress corrects it.",
    )
    checkpoint: CheckpointSpec = Field(
        default_factory=CheckpointSpec,
        json_schema_extra={"default": {}},
        description="What is known of the program's checkpoints.",
    )
    schedule: Schedule | None = Field(
        None,
        description=_SCHEDULE,
    )
    model: TrainedModel | None = Field(None, description=MODEL_DESCRIPTION)
    metrics: MetricSources = Field(
        default_factory=MetricSources, json_schema_extra={"default": {}}, description=METRICS_DESCRIPTION
    )
    dataset: made.Dataset | None = Field(
        None,
        description=made.DATASET,
    )
    base_model: made.BaseModelRef | None = Field(None, description=made.BASE_MODEL)
    seed: Annotated[int, Field(ge=-(2**53), le=2**53)] | None = Field(None, description=made.SEED)
    deduplication: made.DeduplicationMode = Field("Warn", description=made.DEDUPLICATION)
    deduplication_ignored_env: made.IgnoredEnv = Field(default=(), description=made.IGNORED)
    early_stopping: EarlyStopping = Field(default=(), description=EARLY_STOPPING)
    idle: IdlePolicy | None = Field(None, description=IDLE)
    budget: RunBudget | None = Field(None, description=BUDGET)
