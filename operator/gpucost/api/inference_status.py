"""What the operator says about an InferenceEndpoint."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gpucost.api.conditions import Conditions
from gpucost.api.fields import ApiModel, DecimalText, Moment

Count = Annotated[int, Field(ge=0)]
Word = Annotated[str, Field(max_length=64)]
Text = Annotated[str, Field(max_length=1024)]


class RecommendationStatus(ApiModel):
    """How many replicas would do, and why."""

    replicas: Count = Field(description="The number.")
    reason: Word = Field(description="One word that says why, such as RisingLoad.")
    message: Text = Field("", description="The same with its figures.")
    saving_per_hour: DecimalText | None = Field(
        None, description="What it saves per hour against the present replicas; negative when it costs more."
    )
    confidence: Word | None = Field(
        None, description="How well it is founded: High, Medium or Low; absent while nothing was measured."
    )
    as_of: Moment | None = Field(None, description="When it was computed.")


class EndpointCostStatus(ApiModel):
    """What the endpoint costs."""

    currency: Annotated[str, Field(max_length=3)] = Field("USD", description="ISO 4217 code of all amounts.")
    total: DecimalText | None = Field(
        None, description="Cost since the beginning; absent while nothing it holds has a price."
    )
    hourly: DecimalText | None = Field(None, description="Cost per hour right now; absent when unknown.")
    spot: DecimalText | None = Field(None, description="The part of the total that was spot capacity.")
    on_demand: DecimalText | None = Field(None, description="The part of the total that was on-demand capacity.")
    wasted: DecimalText | None = Field(None, description="The part of the total in which the GPUs did not compute.")
    saved: DecimalText | None = Field(
        None, description="What the same time would have cost more on on-demand capacity; absent when unknown."
    )
    gpu_hours: DecimalText | None = Field(None, description="GPUs held times hours.")
    as_of: Moment | None = Field(None, description="Instant up to which the cost is counted.")
    coverage: DecimalText | None = Field(
        None, description="Share of the time held that had a price, from 0 to 1. Below 1 the total is incomplete."
    )
    per_million_input_tokens: DecimalText | None = Field(
        None, description="Cost of a million input tokens lately; absent when unknown."
    )
    per_million_output_tokens: DecimalText | None = Field(
        None, description="Cost of a million output tokens lately; absent when unknown."
    )
    per_request: DecimalText | None = Field(None, description="Cost of a request lately; absent when unknown.")
    idle: DecimalText | None = Field(None, description="Cost per hour lately of time in which nobody asked.")


class SloStatus(ApiModel):
    """How the endpoint stands to its objective."""

    attainment: DecimalText | None = Field(
        None, description="Per cent of the last hour's requests that were in time; absent when unknown."
    )
    objective: DecimalText | None = Field(None, description="Per cent of them that must be.")


class CapacityStatus(ApiModel):
    """What one replica serves within the SLO."""

    requests_per_second: DecimalText | None = Field(None, description="Requests in a second.")
    tokens_per_second: DecimalText | None = Field(
        None, description="Output tokens in a second, with prompt tokens at a tenth each."
    )
    source: Word | None = Field(
        None, description="Spec (given), Learned (it met its limit), or Explored (the most seen, and a step beyond)."
    )


class ColdStartStatus(ApiModel):
    """What starting a replica costs, and what to do with the last one while nobody asks."""

    choice: Word | None = Field(None, description="Keep, Sleep or Zero.")
    message: Text = Field("", description="Why, with its figures.")
    cost: DecimalText | None = Field(None, description="Cost of one start, until the replica serves.")
    break_even_seconds: Count | None = Field(
        None, description="After so long without a request, no replica is cheaper than to keep one."
    )
    saving_monthly: DecimalText | None = Field(
        None, description="What going to zero saves in 730 hours, starts paid; negative when it costs more."
    )
    kept: Text = Field(
        "", description="Why the holder of spec.scaleToZero holds no requests, so that the last replica stays."
    )


class ScalingStep(ApiModel):
    """One change of the number of replicas."""

    at: Moment = Field(description="When.")
    before: Count = Field(description="Replicas before.")
    after: Count = Field(description="Replicas after.")
    reason: Word = Field(description="One word that says why.")


class OpenSchedule(ApiModel):
    """The schedule that holds now."""

    index: Count = Field(description="Its place in spec.schedules.")
    until: Moment = Field(description="When its window closes.")


class AdviceStatus(ApiModel):
    """A cheaper GPU, or a MIG slice, that would do; never applied by the operator."""

    gpu: Annotated[str, Field(max_length=253)] = Field(description="The GPU or the MIG profile, such as L4 or 3g.40gb.")
    saves_per_month: DecimalText = Field(description="What it would save in 730 hours.")
    confidence: Word = Field(description="High, Medium or Low.")
    message: Text = Field("", description="What it rests on, and what to mind.")


class InferenceEndpointStatus(ApiModel):
    """What the operator knows about the endpoint."""

    observed_generation: Count | None = Field(None, description="metadata.generation that the status belongs to.")
    conditions: Conditions = Field(
        default=(),
        description="State of the endpoint: Ready, TargetResolved, MetricsAvailable, ScalingActive, ScalingLimited.",
    )
    target: Annotated[str, Field(max_length=320)] | None = Field(
        None, description="The workload, such as Deployment/llama."
    )
    selector: Annotated[str, Field(max_length=4096)] | None = Field(
        None, description="Label selector of its pods, as the workload itself gives it."
    )
    current_replicas: Count | None = Field(None, description="Replicas that the workload is set to.")
    ready_replicas: Count | None = Field(None, description="Replicas that are ready to serve.")
    desired_replicas: Count | None = Field(
        None, description="Replicas that it should have, within its limits; absent while nobody knows."
    )
    last_scale_time: Moment | None = Field(None, description="When the operator last changed the number.")
    recommendation: RecommendationStatus | None = Field(
        None, description="How many replicas would do; absent while nobody knows."
    )
    schedule: OpenSchedule | None = Field(None, description="The schedule whose limits hold; absent outside of all.")
    cost: EndpointCostStatus | None = Field(None, description="What the endpoint costs.")
    slo: SloStatus | None = Field(None, description="How it stands to its objective.")
    capacity: CapacityStatus | None = Field(None, description="What one replica serves within the SLO.")
    ready_time_p95_seconds: Count | None = Field(
        None,
        alias="readyTimeP95Seconds",
        description="Within this time 95 % of the pods were ready, from their creation on.",
    )
    cold_start: ColdStartStatus | None = Field(
        None, description="What starting a replica costs, and whether the last one is worth keeping."
    )
    advice: AdviceStatus | None = Field(
        None, description="A cheaper GPU or slice that would do, by what was measured; absent where there is none."
    )
    missing_since: Moment | None = Field(None, description="Since when the load is unknown; absent while it is known.")
    scaling_history: Annotated[tuple[ScalingStep, ...], Field(max_length=5)] = Field(
        default=(),
        description="The last changes, the newest first.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
