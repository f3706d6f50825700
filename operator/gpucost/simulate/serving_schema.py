"""The result of `gpucost simulate serving` as a model, from which its JSON is written and its JSON Schema made."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import Field

from gpucost.api.fields import ApiModel
from gpucost.simulate.serving import Outcome

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class ReplicaPolicyResult(ApiModel):
    """What one setting of a policy did after the training days."""

    policy: str = Field(description="gpucost, hpa, kpa, keda or static.")
    gpu_hours: float = Field(ge=0, description="Of all replicas, from creation to deletion, at one GPU a replica.")
    cost: float = Field(ge=0, description="GPU-hours x price.")
    late_fraction: float = Field(
        ge=0, le=1, description="Of the requests, those not served in the step in which they arrived or the next."
    )
    scale_events: int = Field(ge=0, description="Steps in which the number of replicas changed.")
    params: dict[str, float] = Field(description="The setting, chosen on the training days alone.")
    chosen: bool = Field(description="This is the setting for --target-late; the others belong to --frontier.")
    training_gpu_hours: float = Field(ge=0, description="On the training days.")
    training_late_fraction: float = Field(ge=0, le=1, description="On the training days: what it was chosen by.")


class ServingResult(ApiModel):
    """What every policy did on the same arrivals."""

    policies: list[ReplicaPolicyResult] = Field(
        description="One row for each policy; with --frontier one for each of at least 8 settings, from cheap to safe."
    )


def result(outcomes: Sequence[Outcome]) -> ServingResult:
    """The result to be written."""
    return ServingResult(policies=[_row(one) for one in outcomes])


def as_json(outcomes: Sequence[Outcome]) -> str:
    """The result as JSON text."""
    return json.dumps(result(outcomes).model_dump(by_alias=True), indent=2) + "\n"


def _row(one: Outcome) -> ReplicaPolicyResult:
    return ReplicaPolicyResult(
        policy=one.policy,
        gpu_hours=round(one.hours, 6),
        cost=round(one.cost, 6),
        late_fraction=round(min(one.late, 1.0), 9),
        scale_events=one.changes,
        params=dict(one.params),
        chosen=one.chosen,
        training_gpu_hours=round(one.hours_in_training, 6),
        training_late_fraction=round(min(one.late_in_training, 1.0), 9),
    )


def render_all() -> dict[str, str]:
    """The schema as JSON, by file name."""
    schema = {"$schema": _DIALECT, **ServingResult.model_json_schema(by_alias=True, mode="serialization")}
    return {"simulate-serving-result.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"}
