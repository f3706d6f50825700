"""The PriceBook: what nodes, GPUs, storage and load balancers cost, from which day on, and what a contract changes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from gpucost.api.conditions import Conditions
from gpucost.api.fields import Amount, ApiModel, Currency, DecimalText, MonthlyAmount, Percent, UtcSecond, rule, rules

ALWAYS = "1970-01-01T00:00:00Z"

_ONE_OF = rule(
    "(self.instanceType == '') != (self.gpuModel == '')",
    "set exactly one of instanceType (price of a whole node) and gpuModel (price of one GPU)",
)
_NOT_BOTH = rule(
    "self.instanceType == '' || self.gpuModel == ''",
    "set instanceType or gpuModel or neither (every node), not both",
)
_PERIOD = rule(
    "!has(self.effectiveUntil) || self.effectiveUntil > self.effectiveFrom",
    "effectiveUntil must be later than effectiveFrom",
)
_ANYTHING = rule(
    "has(self.prices) || has(self.basePrices) || has(self.storage) || has(self.loadBalancers) || has(self.discounts) "
    "|| has(self.commitments)",
    "give at least one of prices, basePrices, storage, loadBalancers, discounts and commitments",
)

Scope = Annotated[str, Field(max_length=128)]
CapacityWord = Literal["onDemand", "spot", "reserved"]

_INSTANCE = "as in the node label `node.kubernetes.io/instance-type`. Example: p5.48xlarge."
_REGION = (
    "Only for nodes with this label `topology.kubernetes.io/region`; empty for every region. Example: us-east-1. A "
    "price for the region goes before one for every region."
)
_ZONE = (
    "Only for nodes with this label `topology.kubernetes.io/zone`; empty for every zone. Example: us-east-1a. A "
    "price for the zone goes before one for the region."
)
_FROM = (
    "Instant from which it holds: RFC 3339 in UTC with whole seconds, such as 2026-11-01T00:00:00Z. Left out, it has "
    "always held."
)
_UNTIL = "Instant from which it holds no more, written like effectiveFrom. Left out, there is no end."


class Dated(ApiModel):
    """Something that holds for a period."""

    effective_from: UtcSecond = Field(ALWAYS, description=_FROM)
    effective_until: UtcSecond | None = Field(None, description=_UNTIL)

    @model_validator(mode="after")
    def _in_order(self) -> Any:
        """The rule on the period once more, for objects that were stored before it."""
        if self.effective_until is not None and self.effective_until <= self.effective_from:
            raise ValueError(_PERIOD["message"])
        return self


class Price(Dated):
    """A price per hour, of a whole node or of one GPU."""

    model_config = ConfigDict(json_schema_extra=rules(_ONE_OF, _PERIOD))

    @model_validator(mode="after")
    def _one_thing(self) -> Price:
        """The rule above once more, for objects that were stored before it."""
        if (self.instance_type == "") == (self.gpu_model == ""):
            raise ValueError(_ONE_OF["message"])
        return self

    instance_type: Scope = Field(
        "", description=f"Price of a whole node of this type, {_INSTANCE} Goes before a price by GPU model."
    )
    gpu_model: Scope = Field(
        "",
        description="Price of one GPU of this model, times the GPUs in the machine. Examples: H100, A100-80GB, L4. An "
        "instance type with a part of a GPU counts as that part.",
    )
    region: Scope = Field("", description=_REGION)
    zone: Scope = Field("", description=_ZONE)
    capacity_type: CapacityWord = Field("onDemand", description="How the node is paid for: onDemand, spot or reserved.")
    hourly: Amount = Field(
        description="Price per hour in `currency`, as a string: '55.04'. '0' means that the price is not known."
    )
    effective_from: UtcSecond = Field(
        ALWAYS,
        description="Instant from which the price holds, until the next one for the same thing: RFC 3339 in UTC with "
        "whole seconds, such as 2026-11-01T00:00:00Z. Left out, it has always held.",
    )
    effective_until: UtcSecond | None = Field(
        None,
        description="Instant from which the price holds no more, written like effectiveFrom; then what would hold "
        "without it holds again. Left out, it holds until the next price for the same thing.",
    )


class BasePrice(Dated):
    """Prices of a core and of a GiB of memory, for nodes without GPUs that have no price of their own."""

    model_config = ConfigDict(json_schema_extra=rules(_PERIOD))

    cpu_hourly: Amount = Field(description="Price of one CPU core per hour in `currency`: '0.031611'.")
    memory_gib_hourly: Amount = Field(
        alias="memoryGiBHourly", description="Price of one GiB of memory per hour in `currency`: '0.004237'."
    )
    region: Scope = Field("", description=_REGION)
    zone: Scope = Field("", description=_ZONE)
    capacity_type: CapacityWord = Field("onDemand", description="How the node is paid for: onDemand, spot or reserved.")


class StoragePrice(Dated):
    """What a GiB of a persistent volume costs for a month of 730 hours."""

    model_config = ConfigDict(json_schema_extra=rules(_PERIOD))

    storage_class: Annotated[str, Field(max_length=253)] = Field(
        "", description="Only for volumes of this StorageClass; empty for every class. Example: gp3."
    )
    region: Scope = Field("", description="Only for volumes in this region; empty for every region.")
    per_gib_month: MonthlyAmount = Field(
        alias="perGiBMonth",
        description="Price of one GiB (2^30 bytes) for a month in `currency`: '0.08'. By the hour it is 1/730 of that. "
        "'0' means that the price is not known.",
    )


class LoadBalancerPrice(Dated):
    """What a Service of type LoadBalancer costs per hour."""

    model_config = ConfigDict(json_schema_extra=rules(_PERIOD))

    load_balancer_class: Annotated[str, Field(max_length=253)] = Field(
        "",
        description="Only for Services with this spec.loadBalancerClass; empty for every Service. Example: "
        "service.k8s.aws/nlb.",
    )
    region: Scope = Field("", description="Only for Services of clusters in this region; empty for every region.")
    hourly: Amount = Field(description="Price per hour in `currency`: '0.0225'. '0' means that the price is not known.")


class Discount(Dated):
    """Percent off the price of the nodes that match."""

    model_config = ConfigDict(json_schema_extra=rules(_NOT_BOTH, _PERIOD))

    @model_validator(mode="after")
    def _one_thing(self) -> Discount:
        if self.instance_type and self.gpu_model:
            raise ValueError(_NOT_BOTH["message"])
        return self

    percent: Percent = Field(description="What is taken off, as a string: '12.5' makes 100 into 87.50.")
    instance_type: Scope = Field("", description=f"Only for nodes of this type, {_INSTANCE}")
    gpu_model: Scope = Field("", description="Only for nodes with GPUs of this model. Example: H100.")
    region: Scope = Field("", description=_REGION.replace("price", "discount"))
    zone: Scope = Field("", description=_ZONE.replace("price", "discount"))
    capacity_type: CapacityWord = Field("onDemand", description="Only for nodes paid for so: onDemand, spot, reserved.")


class Commitment(Dated):
    """Committed use: a rate that is paid for a period, whether it is used or not."""

    model_config = ConfigDict(json_schema_extra=rules(_ONE_OF, _PERIOD))

    @model_validator(mode="after")
    def _one_thing(self) -> Commitment:
        if (self.instance_type == "") == (self.gpu_model == ""):
            raise ValueError(_ONE_OF["message"])
        return self

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        description="Name of the commitment in this book, shown where its rate is paid. Example: p5-2026."
    )
    instance_type: Scope = Field("", description=f"Rate of a whole node of this type, {_INSTANCE}")
    gpu_model: Scope = Field("", description="Rate of one GPU of this model, times the GPUs in the machine.")
    region: Scope = Field("", description="Only for nodes in this region; empty for every region.")
    zone: Scope = Field("", description="Only for nodes in this zone; empty for every zone.")
    count: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None,
        description="Nodes that the rate is paid for: at each instant the oldest of those that match. The others pay "
        "the normal price. Left out, every node that matches.",
    )
    hourly: Amount = Field(
        description="Rate per hour in `currency`, per node or per GPU: '38.50'. What was paid up front belongs in it, "
        "spread over the hours of the period."
    )


def _listed(maximum: int, *keys: str) -> Any:
    extra: Any = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [*keys]}
    return Field(min_length=1, max_length=maximum, json_schema_extra=extra)


_PRICES = """\
The prices, at most 2048; each combination of instanceType or gpuModel, region, zone, capacityType and effectiveFrom \
at most once. Example:

prices:
- {instanceType: p5.48xlarge, hourly: "55.04"}
- {gpuModel: H100, capacityType: spot, hourly: "2.60", effectiveFrom: "2026-11-01T00:00:00Z"}"""

_BASE = """\
Prices of cores and memory for nodes without GPUs that no other price of the books fits. Example:

basePrices:
- {cpuHourly: "0.031611", memoryGiBHourly: "0.004237"}"""

_STORAGE = """\
Prices of persistent volumes per GiB and month. Example:

storage:
- {storageClass: gp3, perGiBMonth: "0.08"}"""

_BALANCERS = """\
Prices of Services of type LoadBalancer per hour, without traffic. Example:

loadBalancers:
- {hourly: "0.0225"}"""

_DISCOUNTS = """\
Negotiated discounts: percent off whatever price of the books, of Karpenter, of OpenCost or of the built-in list holds \
for a node; not off an annotation or a commitment. Of several that fit a node the most specific one counts. Example:

discounts:
- {percent: "12", gpuModel: H100, effectiveFrom: "2026-01-01T00:00:00Z", effectiveUntil: "2027-01-01T00:00:00Z"}"""

_COMMITMENTS = """\
Committed use: rates for nodes that are not spot, which go before every price but the node's annotation. Example:

commitments:
- {name: p5-2026, instanceType: p5.48xlarge, count: 4, hourly: "38.50", effectiveUntil: "2027-01-01T00:00:00Z"}"""


class PriceBookSpec(ApiModel):
    """Prices of one currency."""

    model_config = ConfigDict(json_schema_extra=rules(_ANYTHING))

    currency: Currency = Field("USD", description="ISO 4217 code of every price in the book, such as USD or EUR.")
    prices: Annotated[
        tuple[Price, ...],
        _listed(2048, "instanceType", "gpuModel", "region", "zone", "capacityType", "effectiveFrom"),
    ] = Field((), description=_PRICES)
    base_prices: Annotated[tuple[BasePrice, ...], _listed(256, "region", "zone", "capacityType", "effectiveFrom")] = (
        Field((), description=_BASE)
    )
    storage: Annotated[tuple[StoragePrice, ...], _listed(256, "storageClass", "region", "effectiveFrom")] = Field(
        (), description=_STORAGE
    )
    load_balancers: Annotated[
        tuple[LoadBalancerPrice, ...], _listed(256, "loadBalancerClass", "region", "effectiveFrom")
    ] = Field((), description=_BALANCERS)
    discounts: Annotated[
        tuple[Discount, ...],
        _listed(256, "instanceType", "gpuModel", "region", "zone", "capacityType", "effectiveFrom"),
    ] = Field((), description=_DISCOUNTS)
    commitments: Annotated[tuple[Commitment, ...], _listed(256, "name")] = Field((), description=_COMMITMENTS)

    @model_validator(mode="after")
    def _anything(self) -> PriceBookSpec:
        """The rule above once more, for objects that were stored before it."""
        if not any(
            (self.prices, self.base_prices, self.storage, self.load_balancers, self.discounts, self.commitments)
        ):
            raise ValueError(_ANYTHING["message"])
        return self


class CommitmentStatus(ApiModel):
    """How far a commitment is used."""

    name: Annotated[str, Field(max_length=63)] = Field(description="Name of the commitment.")
    used: Annotated[int, Field(ge=0)] = Field(description="Nodes that pay its rate.")
    count: Annotated[int, Field(ge=0)] | None = Field(None, description="Nodes that it is paid for.")
    unused_hourly: DecimalText | None = Field(
        None,
        description="What is paid per hour and not used; no node is charged for it. Left out where it is not known: a "
        "rate per GPU, or one without a count.",
    )


class PriceBookStatus(ApiModel):
    """What the operator makes of the prices."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        None, description="metadata.generation that the status belongs to."
    )
    conditions: Conditions = Field(
        default=(),
        description="Ready: the prices are in use. Invalid: some are not, and why. Conflict: another book has one too. "
        "Quarantined: a price has jumped a hundredfold and is held back; the message says how to accept it. "
        "CommitmentsUsed: whether everything that is committed is used. "
        "CostsRecorded: whether the ledger can be written.",
    )
    entries: Annotated[int, Field(ge=0)] | None = Field(None, description="Number of prices in use.")
    quarantined: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Number of prices that are held back because they jumped a hundredfold."
    )
    commitments: Annotated[
        tuple[CommitmentStatus, ...],
        Field(
            max_length=256,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field((), description="The commitments that run now, and how far they are used.")
