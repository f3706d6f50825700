"""Documents about what runs will cost: prices of GPUs as the cost API serves them, estimates as the CLI prints them.

Money is decimal strings. What is not known is null, never zero.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpucost.api.fields import ApiModel, Moment
from gpucost.web.schema import API_VERSION, ListMetadata, Metadata, Money


class Offer(ApiModel):
    """What an hour of one GPU costs here."""

    api_version: Literal["cost.gpucost.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["Offer"] = "Offer"
    metadata: Metadata
    gpu_model: str = Field(description="GPU model, such as H100-80GB-HBM3; empty when no label tells.")
    capacity_type: str = Field(description="onDemand or spot.")
    instance_type: str = Field(description="Instance type; empty for any machine with such GPUs.")
    gpus: int = Field(ge=0, description="GPUs of such a machine; 0 where any number is priced alike.")
    nodes: int = Field(ge=0, description="Kinds of living nodes that it is taken from; 0 when it is from lists alone.")
    low: str = Field(description="Lowest price per GPU and hour now, over zones and nodes.")
    typical: str = Field(description="The one to reckon with.")
    high: str = Field(description="Highest.")
    source: str = Field(description="Where it comes from, such as `PriceBook/team`.")


class OfferList(ApiModel):
    """What GPUs cost here now, by model, instance type and capacity type."""

    api_version: Literal["cost.gpucost.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["OfferList"] = "OfferList"
    metadata: ListMetadata = ListMetadata()
    currency: str = Field(description="ISO 4217 code of all amounts.")
    as_of: Moment = Field(description="When the prices held.")
    gpu_models: tuple[str, ...] = Field((), description="GPU models of the nodes that live.")
    items: tuple[Offer, ...] = Field(description="Prices; what has none is not listed.")


class Bounds(ApiModel):
    """The least, what to expect, and the most."""

    low: str = Field(description="When everything goes well.")
    typical: str = Field(description="What to expect.")
    high: str = Field(description="When nothing goes well.")


class EstimatedWay(ApiModel):
    """Hours and money of one way to do the work."""

    gpus: int = Field(ge=0, description="GPUs of all workers.")
    gpu_model: str | None = Field(description="GPU model; null when unknown.")
    placement: str = Field(description="OnDemand, Spot, Scheduled or Auto.")
    hours: Bounds | None = Field(description="Running time; null when unknown.")
    gpu_hours: Bounds | None = Field(description="GPUs times running time.")
    cost: Bounds | None = Field(description="Cost of all GPUs; null when unknown or unpriced.")
    hourly: Bounds | None = Field(description="Cost per hour while it runs; null when unpriced.")
    spot_share: float | None = Field(description="Typical share of the time on spot capacity; null when not decided.")
    done_by: Moment | None = Field(description="When it is typically done, were it started now.")
    on_time: bool | None = Field(description="Whether that is before completeBy; null without one, or when unknown.")


class AlternativeWay(EstimatedWay):
    """A way that costs less, or the same."""

    way: str = Field(description="spot, spotWindow, otherGpus, fewerGpus, lora, qlora, smallerModel or transfer.")
    change: str = Field(description="What is done otherwise.")
    how: str = Field(description="What to set.")
    caveat: str = Field(description="What to mind.")
    saves: str | None = Field(description="Typically, against the run as it is; null when that is not known.")
    cheaper: bool = Field(description="Whether it costs less in every case, and is on time.")


class EstimatedRun(EstimatedWay):
    """One TrainingJob of a file."""

    name: str = Field(description="Name of the TrainingJob.")
    namespace: str | None = Field(description="Namespace, where the file or a flag tells it.")
    file: str = Field(description="File and number of the document.")
    memory_needed_gb: str | None = Field(alias="memoryNeededGB", description="State of the model, over all GPUs.")
    memory_there_gb: str | None = Field(alias="memoryThereGB", description="Room for it on these GPUs.")
    assumes: tuple[str, ...] = Field(description="What was assumed.")
    unknown: tuple[str, ...] = Field(description="What is not known, and how to make it known.")
    warnings: tuple[str, ...] = Field(description="What will not work.")
    price_sources: tuple[str, ...] = Field(description="Where the prices come from.")
    alternatives: tuple[AlternativeWay, ...] = Field(description="Cheaper ones that train the same model first.")


class EstimateDocument(ApiModel):
    """What `kubectl cost estimate` prints with `-o json` and `-o yaml`."""

    currency: str = Field(description="ISO 4217 code of all amounts.")
    prices: str = Field(description="`cluster`, or why the built-in list was used.")
    runs: tuple[EstimatedRun, ...] = Field(description="In the order of the files.")
    total: Bounds | None = Field(description="All runs together; null when one of them is not known.")
    limit: Money | None = Field(description="The limit of --fail-above; null without one.")
    over: bool | None = Field(description="Whether the typical total is above the limit; null without one.")
