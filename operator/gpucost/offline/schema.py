"""The scenario and the result of `gpucost allocate` as models, from which their JSON Schemas are made.

Reading a scenario does not use them, because it must be fast (`offline.wire` does that); a test keeps both in step.
"""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel, Field

from gpucost.api.fields import ApiModel

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-01T00:00:00Z"])]
Money = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?$", examples=["20.10"])]
Quantity = Annotated[str, Field(pattern=r"^[0-9]*\.?[0-9]*([eE][+-]?[0-9]{1,2}|[numkMGTPE]|[KMGTPE]i)?$")]
Amount = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{6}$", description="With six decimals.")]
Difference = Annotated[str, Field(pattern=r"^-?[0-9]+\.[0-9]{6}$")]
Ratio = Annotated[float, Field(ge=0, le=1)]


class Window(ApiModel):
    """A half-open span of time."""

    start: Time = Field(description="First instant.")
    end: Time = Field(description="First instant that no longer belongs to it.")


class Price(ApiModel):
    """A price of a whole node, from an instant until the next price."""

    from_: Time = Field(alias="from", description="No two prices of a node may have the same.")
    hourly: Money = Field(description="Per hour, in the currency of the scenario; 0 is unpriced.")
    capacity_type: str | None = Field(None, description="onDemand, spot or reserved; for the reader of the file.")
    source: str | None = Field(None, description="Where the price comes from; for the reader of the file.")


class Gpu(ApiModel):
    """The GPUs in a machine."""

    model: str | None = Field(
        None, description="Needed for MIG: H100, or a product name such as NVIDIA-H100-80GB-HBM3."
    )
    count: float | None = Field(
        None,
        ge=0,
        description="GPUs in the machine; a fraction for a fractional instance. Without it those advertised.",
    )
    memory_gib: float | None = Field(
        None, alias="memoryGiB", gt=0, description="Memory of one GPU; tells variants of a model apart for MIG."
    )
    replicas_per_gpu: int | None = Field(
        None, ge=1, description="Into how many units time-slicing or MPS shares a GPU."
    )


class Node(ApiModel):
    """A node."""

    uid: str = Field(description="Its identity; no two nodes may have the same.")
    name: str | None = Field(None, description="May repeat over time.")
    start: Time = Field(description="When it began to cost.")
    end: Time | None = Field(None, description="When it stopped; null: still there when the window ends.")
    labels: dict[str, str] | None = Field(None, description="For the reader of the file.")
    capacity: dict[str, Quantity] | None = Field(
        None, description="What Kubernetes advertises, GPU resources included."
    )
    gpu: Gpu | None = Field(None, description="What is in the machine.")
    prices: list[Price] | None = Field(None, description="In any order. Time before the first is unpriced.")


class Step(ApiModel):
    """A value from an instant until the next step."""

    from_: Time = Field(alias="from", description="No two steps may have the same.")
    value: str | float | None = Field(None, description="Null: unknown from then on.")


class Usage(ApiModel):
    """What a pod used: constants, or steps; absent and null are unknown."""

    cpu: str | float | list[Step] | None = Field(None, description="Cores, as a quantity or a number.")
    memory: str | float | list[Step] | None = Field(None, description="Bytes, as a quantity or a number.")
    gpu_active: str | float | list[Step] | None = Field(None, description="0..1 over the GPUs held.")


class Interval(ApiModel):
    """A half-open time in which a pod held its requests."""

    start: Time = Field(description="When it was bound to the node.")
    end: Time | None = Field(None, description="When it let go; null: still there when the window ends.")


class Pod(ApiModel):
    """A pod on a node."""

    uid: str = Field(description="Its identity; no two pods may have the same.")
    name: str = Field(description="May repeat over time.")
    namespace: str = Field(description="Its namespace.")
    node: str = Field(description="UID of the node.")
    intervals: list[Interval] = Field(description="Must not overlap.")
    workload: str | None = Field(
        None, pattern="^[^/]+/.+$", description="Kind/name of the owner; else Pod and its name."
    )
    labels: dict[str, str] | None = Field(None, description="For --by label:KEY and --by category.")
    requests: dict[str, Quantity] | None = Field(None, description="Only what the node has.")
    usage: Usage | None = Field(None, description="What it used.")


class Scenario(ApiModel):
    """Nodes with their prices and pods with their times. Fields that are not described here are ignored."""

    currency: str = Field("USD", description="Of all prices.")
    window: Window | None = Field(None, description="What to look at; without it the span of the nodes.")
    nodes: list[Node] = Field(description="Nodes.")
    pods: list[Pod] = Field(description="Pods.")


class Row(ApiModel):
    """Whoever is charged. `active + held + unknownActivity + nonGpu = cost`."""

    key: str = Field(description="ns, ns/pod, node UID, ns/Kind/name, category, or the label's value or (none).")
    cost: Amount | None = Field(description="Of the priced time; null when none was.")
    gpu_hours: Amount = Field(description="GPUs' worth held x hours, priced or not.")
    cpu_core_hours: Amount = Field(description="The larger of cores requested and used x hours.")
    memory_gib_hours: Amount = Field(alias="memoryGiBHours", description="The same of memory.")
    active: Amount = Field(description="Cost of pods with GPUs while the GPUs computed.")
    held: Amount = Field(description="Cost of pods with GPUs while they were measured as not computing.")
    unknown_activity: Amount = Field(description="Cost of pods with GPUs while nobody measured them.")
    non_gpu: Amount = Field(description="Cost of pods without GPUs.")
    gpu_utilization: Ratio | None = Field(
        description="Weighted by GPU-hours over measured time; null when there is none."
    )
    coverage: Ratio = Field(description="Share of the held time that had a price.")


class Rest(ApiModel):
    """What no row has."""

    cost: Amount = Field(description="Its cost.")
    gpu_hours: Amount = Field(description="Its GPU-hours.")


class Weights(ApiModel):
    """What `weighted` weighed with."""

    gpu: str = Field(description="A GPU.")
    cpu: str = Field(description="A core.")
    memory_gib: str = Field(alias="memoryGiB", description="A GiB of memory.")


class Unpriced(ApiModel):
    """Time of a node without a price."""

    node: str = Field(description="UID of the node.")
    name: str = Field(description="Its name.")
    hours: Amount = Field(description="How long.")
    intervals: list[Window] = Field(description="When.")


class Result(ApiModel):
    """What a scenario cost: `sum(rows.cost) + idle.cost + stranded.cost == total.cost`, exactly."""

    currency: str = Field(description="That of the scenario.")
    window: Window = Field(description="What was looked at.")
    split: str = Field(description="dominantShare, gpuOnly or weighted.")
    weights: Weights | None = Field(None, description="With `weighted`.")
    by: str = Field(description="What rows are.")
    rows: list[Row] = Field(description="The most expensive first, those without a cost last.")
    idle: Rest = Field(description="What nobody held.")
    stranded: Rest = Field(description="What nobody could be given; its money may be in the rows.")
    total: Rest = Field(description="What the nodes cost and had; unpriced time adds nothing to the cost.")
    difference: Difference = Field(description="Nodes' cost integrated by itself less all parts, before rounding: 0.")
    unpriced: list[Unpriced] = Field(description="What is not in the total.")
    notes: list[str] = Field(description="What a reader of the numbers should know.")


def render_all() -> dict[str, str]:
    """Both schemas as JSON, by file name."""
    return {"allocate-scenario.schema.json": _render(Scenario), "allocate-result.schema.json": _render(Result)}


def _render(model: type[BaseModel]) -> str:
    schema = {"$schema": _DIALECT, **model.model_json_schema(by_alias=True, mode="validation")}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
