"""What the operator says about a TrainingJob."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gpucost.api.conditions import Conditions
from gpucost.api.fields import ApiModel, DecimalText, Moment
from gpucost.api.stopping import EarlyStoppingStatus
from gpucost.api.trainer_status import TrainerStatus
from gpucost.api.training_runs import FingerprintStatus, ReusedRun, RunsStatus

Count = Annotated[int, Field(ge=0)]
Span = Annotated[str, Field(max_length=20)]
"""A duration as people write it: 45s, 12m, 3h12m."""
Word = Annotated[str, Field(max_length=64)]


class JobStatus(ApiModel):
    """State of one Job that does the work."""

    name: Annotated[str, Field(max_length=253)] = Field(description="Name of the Job.")
    ready: Count = Field(0, description="Pods that are ready.")
    active: Count = Field(0, description="Pods that are pending or running.")
    succeeded: Count = Field(0, description="Pods that completed.")
    failed: Count = Field(0, description="Pods that failed.")
    suspended: Count = Field(0, description="1 while the Job is suspended, else 0.")


class OpenWindow(ApiModel):
    """A window of the schedule that is open."""

    start: Moment = Field(description="When it opened.")
    end: Moment = Field(description="When it closes.")


class NextChange(ApiModel):
    """The next change of placement."""

    at: Moment = Field(description="When.")
    placement: Annotated[str, Field(max_length=64)] = Field(
        description="Capacity from then on: Spot, OnDemand, or Paused."
    )


class ZonePin(ApiModel):
    """A zone that the job cannot leave."""

    zone: Annotated[str, Field(max_length=63)] = Field(description="The zone.")
    by: Annotated[str, Field(max_length=600)] = Field(
        description="What ties it: a volume of that zone, or a node selector or affinity."
    )
    hourly: DecimalText | None = Field(
        None, description="What spot capacity costs more per hour there than where it is cheapest; absent when unknown."
    )


class PlacementStatus(ApiModel):
    """Where the job runs."""

    current: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="Capacity the job is placed on: Spot or OnDemand; Paused outside its windows."
    )
    since: Moment | None = Field(None, description="Since when.")
    window: OpenWindow | None = Field(None, description="The window that is open now; absent outside every window.")
    next: NextChange | None = Field(None, description="The next change that the schedule brings.")
    zone_pin: ZonePin | None = Field(None, description="A zone that the job cannot leave, which makes spot scarcer.")


class WaitingStatus(ApiModel):
    """Why pods of the job do not run."""

    reason: Annotated[str, Field(max_length=1024)] = Field("", description="One word, such as Unschedulable.")
    message: Annotated[str, Field(max_length=32768)] = Field("", description="The words of whoever holds the pods up.")
    since: Moment | None = Field(None, description="Since when.")


class Interruptions(ApiModel):
    """Spot nodes that were taken away under the job."""

    count: Count = Field(0, description="How many times.")
    last: Moment | None = Field(None, description="When it last happened.")


class DeadlineStatus(ApiModel):
    """How the run stands to its deadline."""

    complete_by: Moment = Field(description="The deadline.")
    expected_finish: Moment | None = Field(
        None, description="When the run will be complete as things stand, with the interruptions that are usual."
    )
    work_left: Span | None = Field(None, description="Training time that is left, such as 3h12m; absent when unknown.")
    work_left_from: Word | None = Field(
        None,
        description="Where that is known from: Reports, Checkpoints, Time, ExpectedDuration (nothing has run yet), or "
        "Unknown.",
    )
    at_risk: Span | None = Field(
        None, description="Training time that would be lost if the nodes went now; absent when unknown."
    )
    decision: Word | None = Field(
        None,
        description="Why policy Auto has the run where it is: SpotAvailable, KeepingSpot, WaitingForSpot, SpotScarce, "
        "SpotNotWorthMoving, DeadlineNear, CostCap, DeadlineOutOfReach, Finished.",
    )
    message: Annotated[str, Field(max_length=1024)] | None = Field(None, description="The same with its numbers.")
    on_demand_by: Moment | None = Field(
        None, description="At this instant at the latest Auto asks for on-demand capacity, if nothing is gained before."
    )
    as_of: Moment | None = Field(None, description="When all of this was computed.")


class ChangeoverStatus(ApiModel):
    """What it takes this run to change nodes, measured on its own stays on nodes."""

    total: Span = Field(description="From asking for nodes to new progress, lost work included, such as 6m30s.")
    scheduling: Span = Field(description="Until every pod has a node.")
    starting: Span = Field(description="Until all containers run: the image, mostly.")
    restoring: Span = Field(description="Until the first report.")
    lost_work: Span = Field(description="Training since the last checkpoint that is done again.")
    samples: Count = Field(0, description="Stays on nodes that it was measured on.")


class CheckpointingStatus(ApiModel):
    """How often the run should save, and why."""

    interval: Span = Field(description="The interval that the run is given (GPUCOST_CHECKPOINT_INTERVAL_SECONDS).")
    advised: Span = Field(description="Daly's optimum for the next two figures.")
    saving: Span = Field(description="What one checkpoint costs.")
    saving_measured: bool = Field(False, description="false: nothing was measured yet, a usual value is taken.")
    time_between_losses: Span = Field(description="Mean time between two losses of nodes, as far as is known.")
    losses: Count = Field(0, description="Losses of nodes that this rests on.")


class ZoneSeen(ApiModel):
    """What was seen of spot capacity in one zone."""

    zone: Annotated[str, Field(max_length=63)] = Field(description="The zone.")
    seen: Word = Field(description="Available or Unavailable.")
    at: Moment = Field(description="When.")


class SpotStatus(ApiModel):
    """What is known of spot capacity for this run."""

    last_refused: Moment | None = Field(None, description="When spot capacity was last asked for in vain.")
    refusals: Count | None = Field(None, description="Tries in a row that found no nodes.")
    try_again_at: Moment | None = Field(None, description="Before this, another try is not worth its trouble.")
    zones: Annotated[tuple[ZoneSeen, ...], Field(max_length=64)] | None = Field(
        None, description="What was seen last in each zone."
    )


class WasteStatus(ApiModel):
    """Waste by cause; amounts add up to `wasted`."""

    idle: DecimalText | None = Field(None, description="GPUs that were held and did not compute.")
    spot: DecimalText | None = Field(None, description="Work lost because spot nodes were taken back.")
    consolidation: DecimalText | None = Field(None, description="Work lost because an autoscaler emptied a node.")
    preemption: DecimalText | None = Field(None, description="Work lost to more important pods.")
    crash: DecimalText | None = Field(None, description="Work lost because the program failed.")
    move: DecimalText | None = Field(None, description="Work lost to moves by this operator.")
    pause: DecimalText | None = Field(None, description="Work lost because the run was suspended or its pods deleted.")
    node: DecimalText | None = Field(None, description="Work lost with nodes that were not spot capacity.")


class CostStatus(ApiModel):
    """What the job has cost."""

    currency: Annotated[str, Field(max_length=3)] = Field("USD", description="ISO 4217 code of all amounts.")
    total: DecimalText | None = Field(
        None, description="Cost since the beginning; absent while nothing the job holds has a price."
    )
    hourly: DecimalText | None = Field(None, description="Cost per hour right now; absent when unknown.")
    spot: DecimalText | None = Field(None, description="The part of the total that was spot capacity.")
    on_demand: DecimalText | None = Field(None, description="The part of the total that was on-demand capacity.")
    wasted: DecimalText | None = Field(
        None,
        description="The part of the total in which the GPUs held did not compute, or whose work was lost with its "
        "nodes.",
    )
    waste: WasteStatus | None = Field(None, description="The same by cause, once work was lost.")
    saved: DecimalText | None = Field(
        None, description="What the same time would have cost more on on-demand capacity; absent when unknown."
    )
    gpu_hours: DecimalText | None = Field(None, description="GPUs held times hours.")
    as_of: Moment | None = Field(None, description="Instant up to which the cost is counted.")
    coverage: DecimalText | None = Field(
        None, description="Share of the time held that had a price, from 0 to 1. Below 1 the total is incomplete."
    )


class CheaperWay(ApiModel):
    """A way that costs less."""

    change: Annotated[str, Field(max_length=256)] = Field(description="What would be done otherwise.")
    how: Annotated[str, Field(max_length=512)] = Field(description="What to set.")
    cost: DecimalText = Field(description="What it would typically cost.")
    saves: DecimalText = Field(description="How much less that is.")


class EstimateStatus(ApiModel):
    """What the run was expected to take and to cost before it ran."""

    basis: Annotated[str, Field(max_length=64)] = Field(
        description="Fingerprint of what the estimate is about: another one when the specification asks for other work."
    )
    generation: Count | None = Field(None, description="metadata.generation that it was last found to hold for.")
    currency: Annotated[str, Field(max_length=3)] = Field("USD", description="ISO 4217 code of all amounts.")
    cost: DecimalText | None = Field(None, description="Typical cost of the whole run; absent when unknown.")
    cost_low: DecimalText | None = Field(None, description="Cost when everything goes well.")
    cost_high: DecimalText | None = Field(None, description="Cost when nothing goes well.")
    hours: DecimalText | None = Field(None, description="Typical running time in hours; absent when unknown.")
    hours_low: DecimalText | None = Field(None, description="Running time when everything goes well.")
    hours_high: DecimalText | None = Field(None, description="Running time when nothing goes well.")
    gpus: Count = Field(0, description="GPUs of all workers.")
    gpu_model: Annotated[str, Field(max_length=63)] | None = Field(
        None, description="GPU model that was reckoned with."
    )
    price_source: Annotated[str, Field(max_length=512)] | None = Field(None, description="Where the prices come from.")
    assumes: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=16)] = Field(
        default=(), description="What was assumed.", json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    message: Annotated[str, Field(max_length=4096)] | None = Field(
        None, description="What is not known, and what will not work, such as a deadline that cannot be met."
    )
    cheaper: CheaperWay | None = Field(None, description="The way that costs least, where one is known.")
    as_of: Moment = Field(description="When it was made, at the prices of then.")


class TrainingJobStatus(ApiModel):
    """What the operator knows about the job."""

    observed_generation: Count | None = Field(None, description="metadata.generation that the status belongs to.")
    conditions: Conditions = Field(
        default=(),
        description="State of the job: Ready, Suspended, Complete, Failed, Migrating, Invalid, MetricsKnown where "
        "`metrics` names sources, Duplicate where `dataset` is given, DeadlineAtRisk where `completeBy` is given, "
        "EarlyStopped and BudgetExceeded where the job is to be stopped.",
    )
    workers: Count | None = Field(None, description="Number of pods that train together.")
    jobs_status: Annotated[
        tuple[JobStatus, ...],
        Field(
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default=(), description="The Jobs that do the work.")
    placement: PlacementStatus | None = Field(None, description="Where the job runs, and what comes next.")
    waiting: WaitingStatus | None = Field(None, description="Why the job waits; absent while it does not.")
    interruptions: Interruptions | None = Field(None, description="Losses of spot nodes that the job has survived.")
    trainer_status: TrainerStatus | None = Field(
        None, description="What the run itself has said last: progress, metrics, checkpoint; absent until it reports."
    )
    runs: RunsStatus | None = Field(None, description="The runs of `schedule.runs`; absent without it.")
    fingerprint: FingerprintStatus | None = Field(None, description="What tells this run from others.")
    reused: ReusedRun | None = Field(None, description="The earlier run whose result stands for this one.")
    early_stopping: EarlyStoppingStatus | None = Field(
        None, description="What the rules of early stopping, the idle policy and the budget have come to."
    )
    deadline: DeadlineStatus | None = Field(None, description="How the run stands to `spec.completeBy`.")
    changeover: ChangeoverStatus | None = Field(None, description="What changing nodes costs this run.")
    checkpointing: CheckpointingStatus | None = Field(None, description="How often the run should save.")
    spot: SpotStatus | None = Field(None, description="What is known of spot capacity (policy Auto).")
    cost: CostStatus | None = Field(None, description="What the job has cost so far.")
    estimate: EstimateStatus | None = Field(
        None, description="What the run was expected to take and to cost; absent when the spec does not say enough."
    )


ConditionType = Literal[
    "Ready",
    "Suspended",
    "Complete",
    "Failed",
    "Migrating",
    "Invalid",
    "DeadlineAtRisk",
    "MetricsKnown",
    "Duplicate",
    "EarlyStopped",
    "BudgetExceeded",
]
