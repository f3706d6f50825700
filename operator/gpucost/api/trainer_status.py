"""What a TrainingJob shows of what its run has said, in the shape of Kubeflow Trainer's `trainerStatus`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gpucost.api.fields import ApiModel, DecimalText, Moment

_Source = Literal["push", "prometheus", "log", "terminationMessage"]
_Count = Annotated[int, Field(ge=0)]


class TrainerMetric(ApiModel):
    """A metric as it was reported last."""

    name: Annotated[str, Field(max_length=128)] = Field(description="Name of the metric.")
    value: Annotated[str, Field(max_length=64)] = Field(description="Value as text; nan and inf among them.")
    source: _Source | None = Field(
        None, description="Where the value comes from; left out where that is `source` of the whole."
    )


class LastCheckpoint(ApiModel):
    """The newest checkpoint of which the run has told."""

    time: Moment | None = Field(None, description="When it was complete.")
    step: _Count | None = Field(None, description="Step after which it was written.")
    duration_seconds: DecimalText | None = Field(None, description="How long writing it took.")


class TrainerStatus(ApiModel):
    """What the run has said last, and what was seen of it."""

    source: _Source | None = Field(
        None,
        description="Where the newest report comes from: push (the run's own message), prometheus (a query), log, or "
        "terminationMessage.",
    )
    progress_percentage: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None, description="Part of the work that is done, from 0 to 100."
    )
    estimated_remaining_seconds: _Count | None = Field(None, description="Time that the run thinks it still needs.")
    step: _Count | None = Field(None, description="Last step that was reported.")
    metrics: Annotated[
        tuple[TrainerMetric, ...], Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = Field(default=(), description="Newest value of each metric, the first 32 by name.")
    last_updated_time: Moment | None = Field(None, description="When the report came in.")
    last_checkpoint: LastCheckpoint | None = Field(None, description="The newest checkpoint.")
