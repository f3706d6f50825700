"""Documents about inference endpoints: what a token and a request cost, and what was paid for nothing.

Money is decimal strings with six decimals; the price of a single request has nine. What is not known is null, never
zero.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gpucost.api.fields import ApiModel
from gpucost.web.schema import API_VERSION, Hours, ListMetadata, Metadata, Money, Quality, Ratio, Window

Small = Annotated[str, Field(pattern=r"^-?[0-9]+\.[0-9]{9}$", examples=["0.002619048"])]
"""Money with nine decimals, for what is sold one by one."""
PARTS = ("input", "output", "serving", "idle", "starting", "unknown")
"""Of a cost, in the order of `core.serving.unit_cost.Split`; the first three are what was paid for serving."""


class CostPart(ApiModel):
    """A part of the cost."""

    part: str = Field(
        description="`input` (reading prompts), `output` (writing answers), `serving` (where the runtime does not tell "
        "these two apart), `idle` (no request), `starting` (not ready yet) or `unknown`."
    )
    cost: Money = Field(description="The parts add up to the cost of the pods.")
    share: Ratio | None = Field(description="Part of the cost; null when nothing was paid.")


class Units(ApiModel):
    """What was done for the known part of the cost; null is not counted."""

    requests: float | None = Field(description="Requests that were served.")
    input_tokens: float | None = Field(description="Tokens of prompts, with those found in the prefix cache.")
    output_tokens: float | None = Field(description="Tokens of answers.")
    cache_hits: Ratio | None = Field(description="Share of prompt tokens that the prefix cache held.")
    complete: bool = Field(
        description="false: some pod's work is missing, so that prices per unit are upper limits at that time."
    )


class UnitPrices(ApiModel):
    """Prices per unit; null is not known."""

    per_million_input_tokens: Money | None = Field(description="Of a million tokens of prompts.")
    per_million_output_tokens: Money | None = Field(description="Of a million tokens of answers.")
    per_million_tokens: Money | None = Field(description="Of a million tokens of either kind.")
    per_request: Small | None = Field(description="Of a request.")


class ComparedCost(ApiModel):
    """The same work at the price that spec.comparedTo names."""

    name: str = Field(description="Whose price.")
    own: Money = Field(description="What the work cost here: everything but the unknown part.")
    theirs: Money = Field(description="What it would have cost there.")
    saved: Money = Field(description="theirs - own; negative when it was dearer here.")
    even_requests_per_hour: float | None = Field(
        description="From so many requests an hour on, of the same mix, the replicas of the window are cheaper."
    )
    cheaper_when_full: bool | None = Field(
        description="Whether replicas that serve all they can are cheaper; false: never at this GPU price. null: the "
        "capacity of a replica is not known."
    )


class TenantCost(ApiModel):
    """What one tenant's requests cost while they were served."""

    tenant: str = Field(description="Value of the label; `(none)` where the series name nobody.")
    cost: Money = Field(description="All tenants together are the parts input, output and serving.")
    requests: float | None = Field(description="Requests.")
    input_tokens: float | None = Field(description="Tokens of prompts.")
    output_tokens: float | None = Field(description="Tokens of answers.")


class ColdStart(ApiModel):
    """How replicas start, and whether the last one is worth keeping while nobody asks."""

    starts: int = Field(ge=0, description="Starts that this rests on.")
    ready_seconds_p50: float | None = Field(description="Half of the replicas were ready within this time.")
    ready_seconds_p95: float | None = Field(description="95 % of them were.")
    upper_limit: bool = Field(description="Whether nobody saw them start: it may have been quicker.")
    cost: Money | None = Field(description="What one start costs until the replica serves.")
    break_even_seconds: float | None = Field(
        description="After so long without a request, being without a replica is cheaper than keeping it."
    )
    choice: Literal["Keep", "Sleep", "Zero"] = Field(description="What to do with the last replica while nobody asks.")
    message: str = Field(description="Why.")
    idle_after_seconds: float | None = Field(description="The best time of waiting; null: there is none.")
    saving_monthly: Money | None = Field(description="What it saves in 730 hours, starts paid.")
    wakes_monthly: float | None = Field(description="How often the replica would start in that time.")
    late: float | None = Field(description="Part of the requests that would wait for a start.")


class HourPart(ApiModel):
    """What one hour cost, and how it was handed out: by pod time, what was paid for serving by time of work."""

    start: str | None = Field(description="Beginning of the hour; null: earlier time, of which only the sum is left.")
    cost: Money = Field(description="What the pods cost in it: the sum of its parts.")
    pod_hours: Hours = Field(description="Pods times hours that were paid for.")
    busy_hours: Hours = Field(description="Of these, with requests.")
    idle_hours: Hours = Field(description="Of these, without a request.")
    starting_hours: Hours = Field(description="Of these, not ready yet.")
    prefill_seconds: float | None = Field(description="Time of work on prompts; null: the runtime does not tell.")
    decode_seconds: float | None = Field(description="Time of work on answers; null: the runtime does not tell.")
    input: Money = Field(description="Part of the cost for reading prompts.")
    output: Money = Field(description="Part of the cost for writing answers.")
    serving: Money = Field(description="Part for serving, where the runtime does not tell these two apart.")
    idle: Money = Field(description="Part for pods without a request.")
    starting: Money = Field(description="Part for pods that were not ready yet.")
    unknown: Money = Field(description="Part of which nobody knows what it was spent on.")


class UnitCost(ApiModel):
    """What the units of one endpoint cost."""

    api_version: Literal["cost.gpucost.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["UnitCost"] = "UnitCost"
    metadata: Metadata
    workload: str = Field(description="Kind/name of the workload whose pods serve.")
    window: Window = Field(description="Whole hours, and the present one so far.")
    currency: str = Field(description="ISO 4217 code of all amounts.")
    cost: Money | None = Field(description="What the pods cost, as the ledger reports it; null without any price.")
    hourly: Money | None = Field(description="What they cost per hour right now.")
    parts: tuple[CostPart, ...] = Field(description="They add up to the cost exactly.")
    units: Units
    average: UnitPrices = Field(description="With what idle and starting pods cost.")
    serving: UnitPrices = Field(description="Of the time in which pods worked on requests.")
    marginal: UnitPrices = Field(
        description="On a replica that serves all it can within the objective: what more of it costs once the present "
        "replicas are full; until then more costs nothing."
    )
    comparison: ComparedCost | None = Field(
        description="null without spec.comparedTo, or while tokens are not counted."
    )
    tenants: tuple[TenantCost, ...] = Field(description="Dearest first; empty where the runtime names no tenants.")
    cold_start: ColdStart
    hours: tuple[HourPart, ...] = Field(
        default=(), description="Of a single endpoint: the hours, whose parts add up to `parts` exactly; else empty."
    )
    quality: Quality


class UnitCostList(ApiModel):
    """Unit costs of endpoints."""

    api_version: Literal["cost.gpucost.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["UnitCostList"] = "UnitCostList"
    metadata: ListMetadata = ListMetadata()
    currency: str = Field(description="ISO 4217 code of all amounts.")
    window: Window
    items: tuple[UnitCost, ...] = Field(description="Dearest first.")
    total: Money = Field(description="Cost of all their workloads, of each once.")
