"""The documents of the cost API, as models: the server writes them, the CLI reads them, the reference is made of them.

Money and quantities are decimal strings. What is not known is null, never zero.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gpucost.api.fields import ApiModel, Moment

GROUP = "cost.gpucost.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

Money = Annotated[str, Field(pattern=r"^-?[0-9]+\.[0-9]{6}$", description="An amount with six decimals.")]
Hours = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{6}$", description="A quantity with six decimals.")]
Ratio = Annotated[float, Field(ge=0, le=1, description="From 0 to 1.")]


class Metadata(ApiModel):
    """Name of an object, as on every Kubernetes object."""

    name: str = Field(description="`kind.name` for a workload, else the key without its namespace.")
    namespace: str | None = Field(None, description="Namespace; absent where a row is not of one namespace.")


class ListMetadata(ApiModel):
    """Metadata of a list; a list of costs has no version, because it is computed for every request."""

    resource_version: str = Field("", description="Always empty.")


class Window(ApiModel):
    """A half-open span of time, UTC."""

    start: Moment = Field(description="First instant.")
    end: Moment = Field(description="First instant that no longer belongs to it.")


class Costs(ApiModel):
    """Cost and what it paid for. `active + held + unknownActivity + nonGpu = cost`."""

    cost: Money | None = Field(description="What is known to be owed; null when no part of the time had a price.")
    hourly: Money | None = Field(description="Cost per hour right now; null when something held has no price.")
    gpu_hours: Hours = Field(description="GPUs held times hours, priced or not.")
    gpu_hours_measured: Hours = Field(description="The part of gpuHours whose activity was measured.")
    gpu_hours_active: Hours = Field(description="The part of gpuHoursMeasured in which the GPUs computed.")
    cpu_core_hours: Hours = Field(description="CPU cores held times hours.")
    memory_gib_hours: Hours = Field(alias="memoryGiBHours", description="GiB of memory held times hours.")
    active: Money = Field(description="Cost of GPUs held while they computed.")
    held: Money = Field(description="Cost of GPUs held while they were measured as not computing.")
    unknown_activity: Money = Field(description="Cost of GPUs held while nobody measured them.")
    non_gpu: Money = Field(description="Cost of pods that hold no GPU.")
    spot: Money = Field(description="The part of the cost that was spot capacity.")
    on_demand: Money = Field(description="The part of the cost that was not spot capacity.")
    gpu_utilization: Ratio | None = Field(description="gpuHoursActive / gpuHoursMeasured; null when none was measured.")
    coverage: Ratio | None = Field(description="Share of the time held that had a price; null when nothing was held.")


class Row(Costs):
    """Cost of one namespace, workload, pod, node, category or value of a label."""

    key: str = Field(description="What the cost belongs to: `namespace`, `namespace/Kind/name`, `namespace/pod`, …")
    namespace: str | None = Field(description="Namespace, where the grouping tells it.")
    workload: str | None = Field(description="`Kind/name`, where the grouping tells it.")
    category: str | None = Field(description="Cost driver, where the grouping tells it.")
    pods: int = Field(ge=0, description="Pods that hold resources right now.")
    node: str | None = Field(None, description="Name of the node, where the grouping tells it; its key is the UID.")


class Allocation(Row):
    """A row as a Kubernetes object."""

    api_version: Literal["cost.gpucost.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["Allocation"] = "Allocation"
    metadata: Metadata


class Remainder(ApiModel):
    """Cost that belongs to nobody."""

    cost: Money | None = Field(description="null when no part of the time had a price.")
    hourly: Money | None = Field(description="Per hour right now; null when something has no price.")
    gpu_hours: Hours = Field(description="GPUs times hours.")


class Sitter(ApiModel):
    """A pod that held GPUs of a node while they were measured as not computing."""

    pod: str = Field(description="`namespace/name`.")
    workload: str | None = Field(description="`Kind/name`.")
    held: Money = Field(description="Cost of its GPUs while they were measured as not computing.")
    gpu_hours: Hours = Field(description="GPUs that it held times hours, computing or not.")
    gpu_utilization: Ratio | None = Field(description="Share of the measured time in which they computed.")
    hourly: Money | None = Field(description="What it costs per hour right now; 0 when it is gone.")


class NodeSplit(ApiModel):
    """What became of a node's money. `active + held + unknownActivity + nonGpu + idle + stranded = cost`, exactly."""

    key: str = Field(description="UID: names may repeat.")
    name: str = Field(description="Name.")
    kind: str = Field(description="Node, Volume or LoadBalancer: whatever is paid for by the hour.")
    instance_type: str = Field(description="Instance type; empty when unknown.")
    gpu_model: str = Field(description="Model of its GPUs; empty without, or when unknown.")
    gpus: str = Field(description="GPUs that can be held, as a decimal.")
    capacity_type: str = Field(description="onDemand, spot or reserved.")
    cost: Money | None = Field(description="What the node cost; null when no part of the time had a price.")
    hourly: Money | None = Field(description="Of the whole node right now; null without a price, 0 when it is gone.")
    idle_hourly: Money | None = Field(description="The part of hourly that nobody holds right now.")
    gpu_hours: Hours = Field(description="GPUs that pods held times hours.")
    idle_gpu_hours: Hours = Field(description="GPUs that nobody held times hours.")
    active: Money = Field(description="Cost of GPUs held while they computed.")
    held: Money = Field(description="Cost of GPUs held while they were measured as not computing.")
    unknown_activity: Money = Field(description="Cost of GPUs held while nobody measured them.")
    non_gpu: Money = Field(description="Cost of pods that hold no GPU.")
    idle: Money = Field(description="Cost of what nobody held.")
    stranded: Money = Field(description="Cost of what could not be given to anybody.")
    sitters: tuple[Sitter, ...] = Field((), description="Pods that held GPUs without computing, worst first.")


class Quality(ApiModel):
    """Where the numbers come from and how good they are."""

    as_of: Moment = Field(description="Instant up to which costs are known.")
    price_sources: tuple[str, ...] = Field((), description="Such as `PriceBook/team` or `built-in list 2026-11-01`.")
    gpus_held: int | float = Field(0, ge=0, description="GPUs held right now.")
    gpus_measured: int | float = Field(0, ge=0, description="Those of them whose activity is measured.")
    data_age_seconds: float | None = Field(None, description="Age of the newest measurement; null without one.")
    unpriced_nodes: tuple[str, ...] = Field((), description="Nodes without a price.")
    gaps: int = Field(0, ge=0, description="Spans in the window that nobody could observe.")


class AllocationList(ApiModel):
    """Costs of a window. `sum(items.cost) + idle.cost + stranded.cost = total.cost`, exactly."""

    api_version: Literal["cost.gpucost.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["AllocationList"] = "AllocationList"
    metadata: ListMetadata = ListMetadata()
    currency: str = Field(description="ISO 4217 code of all amounts.")
    window: Window
    by: str = Field(description="Grouping: namespace, workload, pod, node, category or label:KEY.")
    items: tuple[Allocation, ...] = Field(description="Rows, most expensive first; unpriced ones last.")
    idle: Remainder = Field(description="Capacity that was allocated to nobody; zero in a view of one namespace.")
    stranded: Remainder = Field(description="Capacity that could not be allocated to anybody.")
    total: Costs = Field(description="All rows, idle and stranded.")
    difference: Money = Field(description="Cost of the nodes, integrated on its own, less the parts; 0 or a defect.")
    quality: Quality
    nodes: tuple[NodeSplit, ...] = Field((), description="With by=node: what became of each node's money.")
    labels: tuple[str, ...] = Field((), description="With by=label:KEY: keys of the labels that are known.")


class Line(ApiModel):
    """One stretch of time: `hours x share x hourly = cost`."""

    pod: str = Field(description="Name of the pod.")
    node: str = Field(description="Name of the node.")
    start: Moment = Field(description="First instant.")
    end: Moment = Field(description="First instant that no longer belongs to it.")
    hours: Hours = Field(description="Length in hours.")
    share: str = Field(description="The pod's share of the node, as an exact fraction such as `1/2`.")
    share_of: str = Field(description="What made the share, such as `4 of 8 GPUs`.")
    gpus: int | float = Field(ge=0, description="GPUs held; a part of one for a slice or a shared replica.")
    hourly: str | None = Field(description="Price of the whole node per hour; null when nobody knows it.")
    capacity_type: str = Field(description="onDemand, spot or reserved.")
    price_source: str = Field(description="Where the price comes from.")
    cost: Money | None = Field(description="null when unpriced.")
    gpu_active: Ratio | None = Field(description="Share of the time in which the GPUs computed; null when unknown.")


class Gap(ApiModel):
    """A span that nobody could observe."""

    start: Moment = Field(description="First instant.")
    end: Moment = Field(description="First instant that no longer belongs to it.")
    reason: str = Field(description="Why.")


class Explanation(ApiModel):
    """The arithmetic behind the cost of a workload, a pod, a namespace or a node. `sum(lines.cost) = total.cost`.

    Of a node there are lines `(idle)` and `(stranded)` too, which are neither active, held, unknown nor without GPUs.
    """

    api_version: Literal["cost.gpucost.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["Explanation"] = "Explanation"
    metadata: Metadata
    currency: str = Field(description="ISO 4217 code of all amounts.")
    window: Window
    workload: str = Field(description="`Kind/name`.")
    lines: tuple[Line, ...] = Field(description="Stretches, by pod and time.")
    total: Costs = Field(description="What all lines add up to.")
    gaps: tuple[Gap, ...] = Field(description="Spans that nobody could observe.")
    quality: Quality


# --- what the CLI prints with -o json ---------------------------------------------------------------------------------


class CostDocument(ApiModel):
    """What `kubectl cost` and its commands namespace, workload, pod, node, category and label print with `-o json`.

    `-o yaml` prints the same.
    With `--rate day` every part also has `costPerDay`, and so on.
    """

    currency: str = Field(description="ISO 4217 code of all amounts.")
    window: Window | None = Field(description="null when costs come from the status of TrainingJobs, since they began.")
    by: str = Field(description="namespace, workload, pod, node, category or label:KEY.")
    namespace: str | None = Field(description="The one namespace that is shown; null for all.")
    source: str = Field(description="`cost API`, or `TrainingJob status` when that did not answer.")
    rows: tuple[Row, ...] = Field(description="Most expensive first, or as --sort-by says.")
    idle: Remainder = Field(description="Capacity that was allocated to nobody.")
    stranded: Remainder = Field(description="Capacity that could not be allocated to anybody.")
    total: Costs = Field(description="All rows, idle and stranded.")
    difference: Money = Field(description="Cost of the nodes, integrated on its own, less the parts; 0 or a defect.")
    quality: Quality


class ExplanationDocument(ApiModel):
    """What `kubectl cost explain` prints with `-o json` and `-o yaml`. `sum(lines.cost) = cost`, exactly."""

    currency: str = Field(description="ISO 4217 code of all amounts.")
    namespace: str | None = Field(description="Namespace; null for a node.")
    workload: str = Field(description="`Kind/name`: of a workload, a Pod, a Namespace or a Node.")
    window: Window
    cost: Money | None = Field(description="What all lines add up to; null when none has a price.")
    lines: tuple[Line, ...] = Field(description="Stretches, by pod and time.")
    total: Costs = Field(description="The same, with what it is made of.")
    gaps: tuple[Gap, ...] = Field(description="Spans that nobody could observe.")
    quality: Quality


class IdleTotal(ApiModel):
    """All nodes together."""

    cost: Money | None = Field(description="What the nodes cost; null when none has a price.")
    hourly: Money | None = Field(description="Right now.")
    idle_hourly: Money | None = Field(description="The part of hourly that nobody holds.")
    gpus: str = Field(description="GPUs that can be held.")
    gpu_hours: Hours = Field(description="GPUs that pods held times hours.")
    idle_gpu_hours: Hours = Field(description="GPUs that nobody held times hours.")
    active: Money = Field(description="Cost of GPUs held while they computed.")
    held: Money = Field(description="Cost of GPUs held while they were measured as not computing.")
    unknown_activity: Money = Field(description="Cost of GPUs held while nobody measured them.")
    non_gpu: Money = Field(description="Cost of pods that hold no GPU.")
    idle: Money = Field(description="Cost of what nobody held.")
    stranded: Money = Field(description="Cost of what could not be given to anybody.")
    wasted: Money = Field(description="held + idle + stranded.")


class IdleNode(NodeSplit):
    """What became of a node's money, and how much of it was for nothing."""

    wasted: Money = Field(description="held + idle + stranded.")


class IdleDocument(ApiModel):
    """What `kubectl cost idle` prints with `-o json` and `-o yaml`. With `--rate day` also `wastedPerDay`."""

    currency: str = Field(description="ISO 4217 code of all amounts.")
    window: Window
    nodes: tuple[IdleNode, ...] = Field(description="Most wasted first, or as --sort-by says.")
    total: IdleTotal
    difference: Money = Field(description="Cost of the nodes, integrated on its own, less the parts; 0 or a defect.")
    quality: Quality


class Comparison(ApiModel):
    """What something cost in two windows."""

    old: Money | None = Field(description="In the older window, 0 when it was not there; null when not known.")
    new: Money | None = Field(description="In the newer window, 0 when it is not there; null when not known.")
    change: Money | None = Field(description="new - old; null when one of them is not known.")
    change_percent: float | None = Field(description="change / old, in percent; null when there is no such number.")


class ComparedRow(Comparison):
    """What one namespace, workload, pod, node, category or value of a label cost in two windows."""

    key: str = Field(description="What the cost belongs to, as in other lists.")
    namespace: str | None = Field(description="Namespace, where the grouping tells it.")
    workload: str | None = Field(description="`Kind/name`, where the grouping tells it.")
    category: str | None = Field(description="Cost driver, where the grouping tells it.")
    node: str | None = Field(description="Name of the node, where the grouping tells it.")
    state: Literal["new", "gone", "changed", "same", "unknown"] = Field(description="What has happened to it.")


class DiffDocument(ApiModel):
    """What `kubectl cost diff` prints with `-o json` and `-o yaml`. With `--rate` all amounts are rates."""

    currency: str = Field(description="ISO 4217 code of all amounts.")
    by: str = Field(description="namespace, workload, pod, node, category or label:KEY.")
    namespace: str | None = Field(description="The one namespace that is shown; null for all.")
    rate: str | None = Field(description="hour, day or month; null when amounts are sums.")
    window: Window = Field(description="The newer window.")
    against: Window = Field(description="The older window.")
    rows: tuple[ComparedRow, ...] = Field(description="Largest change first, or by name.")
    idle: Comparison | None = Field(description="Capacity that was allocated to nobody; null when it is not shown.")
    stranded: Comparison | None = Field(description="Capacity that could not be allocated; null when it is not shown.")
    total: Comparison = Field(description="Everything that is shown; what is not known is left out.")
    quality: Quality
