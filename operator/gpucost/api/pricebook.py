"""The PriceBook: what nodes and GPUs cost, from which day on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from gpucost.api.conditions import Conditions
from gpucost.api.fields import Amount, ApiModel, Currency, UtcSecond, rule, rules

_KEYS = ("instanceType", "gpuModel", "region", "capacityType", "effectiveFrom")
_ONE_OF = rule(
    "(self.instanceType == '') != (self.gpuModel == '')",
    "set exactly one of instanceType (price of a whole node) and gpuModel (price of one GPU)",
)


class Price(ApiModel):
    """A price per hour, of a whole node or of one GPU."""

    model_config = ConfigDict(json_schema_extra=rules(_ONE_OF))

    @model_validator(mode="after")
    def _one_thing(self) -> Price:
        """The rule above once more, for objects that were stored before it."""
        if (self.instance_type == "") == (self.gpu_model == ""):
            raise ValueError(_ONE_OF["message"])
        return self

    instance_type: Annotated[str, Field(max_length=128)] = Field(
        "",
        description="Price of a whole node of this type, as in the node label `node.kubernetes.io/instance-type`. "
        "Example: p5.48xlarge. Goes before a price by GPU model.",
    )
    gpu_model: Annotated[str, Field(max_length=128)] = Field(
        "", description="Price of one GPU of this model, times the GPUs of the node. Examples: H100, A100-80GB, L4."
    )
    region: Annotated[str, Field(max_length=128)] = Field(
        "",
        description="Only for nodes with this label `topology.kubernetes.io/region`; empty for every region. Example: "
        "us-east-1. A price for the region goes before one for every region.",
    )
    capacity_type: Literal["onDemand", "spot", "reserved"] = Field(
        "onDemand", description="How the node is paid for: onDemand, spot or reserved."
    )
    hourly: Amount = Field(
        description="Price per hour in `currency`, as a string: '55.04'. '0' means that the price is not known."
    )
    effective_from: UtcSecond = Field(
        "1970-01-01T00:00:00Z",
        description="Instant from which the price holds, until the next one for the same thing: RFC 3339 in UTC with "
        "whole seconds, such as 2026-11-01T00:00:00Z. Left out, it has always held.",
    )


_PRICES = """\
The prices, at most 2048; each combination of instanceType or gpuModel, region, capacityType and effectiveFrom at most \
once. Example:

prices:
- {instanceType: p5.48xlarge, hourly: "55.04"}
- {gpuModel: H100, capacityType: spot, hourly: "2.60", effectiveFrom: "2026-11-01T00:00:00Z"}"""


class PriceBookSpec(ApiModel):
    """Prices of one currency."""

    currency: Currency = Field("USD", description="ISO 4217 code of every price in the book, such as USD or EUR.")
    prices: Annotated[tuple[Price, ...], Field(min_length=1, max_length=2048)] = Field(
        description=_PRICES,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [*_KEYS]},
    )


class PriceBookStatus(ApiModel):
    """What the operator makes of the prices."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        None, description="metadata.generation that the status belongs to."
    )
    conditions: Conditions = Field(
        default=(),
        description="Ready: the prices are in use. Invalid: some are not, and why. Conflict: another book has one too.",
    )
    entries: Annotated[int, Field(ge=0)] | None = Field(None, description="Number of prices in use.")
