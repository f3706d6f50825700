"""`spec.behavior` of an InferenceEndpoint: the fields of `behavior` in autoscaling/v2, with their bounds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gpucost.api.fields import ApiModel, rule, rules
from gpucost.core.quantity import parse_quantity

_TOLERANCE = r"^(0|[0-9]*\.?[0-9]{1,6}|[0-9]{1,3}m)$"
_TOLERANCE_MESSAGE = "must be a quantity from 0 to below 1, such as '0.05' or 50m"


def _tolerance(text: str) -> str:
    try:
        value = parse_quantity(text)
    except ValueError:
        raise ValueError(_TOLERANCE_MESSAGE) from None
    if not 0 <= value < 1:
        raise ValueError(_TOLERANCE_MESSAGE)
    return text


Tolerance = Annotated[
    str,
    Field(
        min_length=1,
        max_length=16,
        json_schema_extra=rules(
            rule(
                f"self.matches(r'{_TOLERANCE}') && isQuantity(self) && quantity(self).isLessThan(quantity('1'))",
                _TOLERANCE_MESSAGE,
            )
        ),
    ),
    AfterValidator(_tolerance),
]


class ScalingPolicy(ApiModel):
    """A limit of the rate of change."""

    type: Literal["Pods", "Percent"] = Field(description="Pods: a number of them. Percent: a part of the present ones.")
    value: Annotated[int, Field(ge=1, le=100_000)] = Field(description="How many pods, or how many per cent; above 0.")
    period_seconds: Annotated[int, Field(ge=1, le=1800)] = Field(
        description="Within which time, from 1 to 1800 seconds."
    )


class ScalingRules(ApiModel):
    """Limits in one direction."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = Field(
        None,
        description="Up, the smallest recommendation of this time counts; down, the largest. Left out: 0 up, 300 down.",
    )
    select_policy: Literal["Max", "Min", "Disabled"] = Field(
        "Max", description="Which of the policies holds: the one that allows most (Max), least (Min), or no change."
    )
    policies: Annotated[tuple[ScalingPolicy, ...], Field(max_length=16)] = Field(
        default=(),
        description="Limits of the rate. None: the defaults of autoscaling/v2: up 4 pods or 100 % in 15 s, down 100 % "
        "in 15 s.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    tolerance: Tolerance | None = Field(
        None,
        description="A change by no more than this part of the present number is not made, such as '0.05'. Left out: "
        "0.1, as in autoscaling/v2.",
    )


class ScalingBehavior(ApiModel):
    """Limits of how fast the number of replicas changes."""

    scale_up: ScalingRules | None = Field(None, description="More replicas.")
    scale_down: ScalingRules | None = Field(None, description="Fewer replicas.")
