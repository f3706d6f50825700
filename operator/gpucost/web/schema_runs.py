"""Documents about what runs have cost: the report of one run, what it would have cost otherwise, and what was saved.

Money is decimal strings. What is not known is null, never zero.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpucost.api.fields import ApiModel, Moment
from gpucost.web.schema import API_VERSION, Gap, Hours, ListMetadata, Metadata, Money, Quality, Ratio, Window


class RunCost(ApiModel):
    """What a run has cost. `spot + onDemand = cost`, `cost + saved = allOnDemand`."""

    cost: Money | None = Field(description="What is known to be owed; null when no part of the time had a price.")
    spot: Money = Field(description="The part of the cost that was spot capacity.")
    on_demand: Money = Field(description="The part of the cost that was not.")
    saved: Money = Field(description="What the same time would have cost more on demand, at the prices of then.")
    all_on_demand: Money | None = Field(description="What the same time would have cost on demand.")
    gpu_hours: Hours = Field(description="GPUs held times hours.")
    gpu_utilization: Ratio | None = Field(description="Share of the measured GPU time that computed.")
    coverage: Ratio | None = Field(description="Share of the time held that had a price.")


class Waste(ApiModel):
    """Money that bought nothing, by cause."""

    cause: str = Field(description="idle, spot, consolidation, preemption, crash, move, or other.")
    about: str = Field(description="What is counted.")
    cost: Money | None = Field(description="null when it has no price.")
    count: int | None = Field(description="How often; null where that means nothing.")
    gpu_hours: Hours | None = Field(description="GPUs times hours; null when unknown.")


class RunProgress(ApiModel):
    """How far the run came, as it has said itself."""

    first_step: int | None = Field(description="First step that was reported.")
    last_step: int | None = Field(description="Last step that was reported.")
    progress: Ratio | None = Field(description="Part of the work that is done.")
    cost_per_step: Money | None = Field(description="Between the first and the last report; null when unknown.")
    cost_before_first: Money | None = Field(description="What was paid before the first report: starting, loading.")
    last_report: Moment | None = Field(description="When the run said something last.")


class MetricCost(ApiModel):
    """What a metric's improvement has cost."""

    name: str = Field(description="Name as reported.")
    better: Literal["lower", "higher"] | None = Field(description="What is an improvement; null when nobody can tell.")
    first: float = Field(description="First finite value.")
    best: float = Field(description="Best one; the last one when nobody can tell.")
    last: float = Field(description="Last one.")
    improvement: float | None = Field(description="From first to best, above or at zero.")
    cost_per_improvement: Money | None = Field(description="Per unit of the metric, until the best was reached.")
    cost_since_best: Money | None = Field(description="What was paid after the best, for nothing better.")


class Checkpoints(ApiModel):
    """What the run has saved."""

    count: int = Field(ge=0, description="Checkpoints that are known.")
    last: Moment | None = Field(description="When the last one was complete.")
    mean_interval_seconds: float | None = Field(description="Mean time between two.")
    mean_duration_seconds: float | None = Field(description="Mean time that saving took; null when nobody said.")


class Placed(ApiModel):
    """A time in which the run held nodes of one capacity type without a pause."""

    start: Moment = Field(description="First instant.")
    end: Moment = Field(description="First instant that no longer belongs to it.")
    capacity_type: str = Field(description="onDemand, spot or reserved.")
    nodes: tuple[str, ...] = Field(description="Nodes that it held.")
    gpus: int | float = Field(ge=0, description="Most GPUs held at once.")
    cost: Money | None = Field(description="null when unpriced.")


class Foreseen(ApiModel):
    """What was expected before the run."""

    cost: str | None = Field(description="Typical cost.")
    cost_low: str | None = Field(description="At best.")
    cost_high: str | None = Field(description="At worst.")
    hours: str | None = Field(description="Typical running time.")


class RunReport(ApiModel):
    """What a training run has cost, for what, and where the money went."""

    api_version: Literal["cost.gpucost.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["RunReport"] = "RunReport"
    metadata: Metadata
    currency: str = Field(description="ISO 4217 code of all amounts.")
    window: Window = Field(description="From the first pod to the last, or to now.")
    state: str = Field(description="Reason of the condition Ready, such as Running; Gone without a TrainingJob.")
    total: RunCost
    waste: tuple[Waste, ...] = Field(description="Most expensive first.")
    progress: RunProgress | None = Field(description="null when the run has reported nothing.")
    metrics: tuple[MetricCost, ...] = Field(description="By name.")
    checkpoints: Checkpoints
    placements: tuple[Placed, ...] = Field(description="In order of time.")
    interruptions: int = Field(ge=0, description="Spot nodes that were lost under it.")
    estimate: Foreseen | None = Field(description="From the status of the TrainingJob; null without one.")
    gaps: tuple[Gap, ...] = Field(description="Spans that nobody could observe.")
    quality: Quality


class Comparison(ApiModel):
    """The same time against another course."""

    against: str = Field(description="What it is compared with.")
    saved: Money = Field(description="What that would have cost more; negative when it would have cost less.")


class Saving(ApiModel):
    """What was saved in a namespace by one means."""

    api_version: Literal["cost.gpucost.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["Saving"] = "Saving"
    metadata: Metadata
    namespace: str = Field(description="Namespace.")
    policy: str = Field(
        description="What saved it: a placement policy, `other spot capacity`, `nothing new to train`, `run reused`, "
        "`early stop by RULE`, `right-sized replicas`."
    )
    workloads: int = Field(ge=0, description="Workloads that it was saved with, or runs that were not made.")
    unknown: int = Field(0, ge=0, description="Those of them of which nobody knows what they saved.")
    cost: Money = Field(description="What was paid for the time that is compared.")
    otherwise: Money = Field(description="What it would have cost.")
    saved: Money = Field(description="otherwise - cost; negative when it was dearer.")
    against: str = Field(description="What it is compared with.")
    also: tuple[Comparison, ...] = Field((), description="The same against other courses; no part of any sum.")


class Recommended(ApiModel):
    """One thing that would save something."""

    namespace: str = Field(description="Namespace.")
    subject: str = Field(description="What it is about, such as InferenceEndpoint/llama.")
    action: Literal["replicas", "gpu", "coldStart", "idle", "spot", "duplicate"] = Field(
        description="What would be changed."
    )
    change: str = Field(description="The change in a few words.")
    saves: Money | None = Field(description="What it would save; null when nobody knows.")
    per: Literal["month", "run"] = Field(description="month: 730 hours, again and again. run: once.")
    confidence: Literal["High", "Medium", "Low"] = Field(description="How well it is founded.")
    why: str = Field(description="What it rests on.")
    command: str = Field(description="A command that does it. Nothing is ever done without somebody running it.")
    notes: tuple[str, ...] = Field(description="What to mind.")


class SavingList(ApiModel):
    """What was saved in a window, and against what that is measured."""

    api_version: Literal["cost.gpucost.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["SavingList"] = "SavingList"
    metadata: ListMetadata = ListMetadata()
    currency: str = Field(description="ISO 4217 code of all amounts.")
    window: Window
    items: tuple[Saving, ...] = Field(description="Most saved first.")
    total: Money = Field(description="All of them together.")
    recommendations: tuple[Recommended, ...] = Field((), description="What could be saved, most first.")
    recommended_monthly: Money = Field(
        "0.000000", description="What all that recurs would save in a month; of one subject only the best counts."
    )
    quality: Quality


class Course(ApiModel):
    """What a run would have cost under one policy: with spot capacity there, and not there, while nobody knows."""

    policy: str = Field(description="auto, onDemand, spotOnly, uniformProgress or greedy.")
    cost_low: Money | None = Field(description="The lower one; null when unpriced, or when it would never have ended.")
    cost_high: Money | None = Field(description="The higher one; null too when it might never have ended.")
    done_by: Moment | None = Field(description="At the latest; null when it might never have ended.")
    missed: bool = Field(description="Whether it would have missed the deadline.")
    spot_hours: Hours = Field(description="Hours on spot capacity, at the higher cost.")
    on_demand_hours: Hours = Field(description="Hours on demand, at the higher cost.")
    switches: int = Field(ge=0, description="Changes of capacity, at the higher cost.")


class RunSimulation(ApiModel):
    """What a run would have cost with a deadline under each policy, at the recorded prices and availability."""

    api_version: Literal["cost.gpucost.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["RunSimulation"] = "RunSimulation"
    metadata: Metadata
    currency: str = Field(description="ISO 4217 code of all amounts.")
    window: Window = Field(description="From the start of the run to the deadline.")
    work_hours: Hours = Field(description="Hours of work, without what was lost and paid for twice.")
    changeover_minutes: float = Field(description="What one change of nodes costs.")
    node_type: str = Field(description="Whose prices and availability were used.")
    known: Ratio = Field(description="Share of the window in which somebody knows whether spot capacity was there.")
    actual: Money | None = Field(description="What the run has cost in truth.")
    courses: tuple[Course, ...] = Field(description="By policy, the cheapest first.")
    notes: tuple[str, ...] = Field(description="What was assumed.")
