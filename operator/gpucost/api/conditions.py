"""The standard condition of the Kubernetes API conventions, with the bounds that `metav1.Condition` has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gpucost.api.fields import ApiModel, Moment


class Condition(ApiModel):
    """One aspect of the state of the object."""

    type: Annotated[str, Field(min_length=1, max_length=316)] = Field(description="Name of the aspect, such as Ready.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the aspect holds.")
    reason: Annotated[str, Field(max_length=1024)] = Field(
        "", description="One word that says why, for programs, such as WaitingForNode."
    )
    message: Annotated[str, Field(max_length=32768)] = Field("", description="What happened, for people.")
    last_transition_time: Moment = Field(description="When the status of the condition last changed.")
    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        None, description="metadata.generation that the condition was computed for."
    )


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
"""Conditions, at most one of each type."""
