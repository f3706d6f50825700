"""The result of `gpucost simulate training` as a model, from which its JSON is written and its JSON Schema made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction

from pydantic import Field

from gpucost.api.fields import ApiModel
from gpucost.simulate.training import OMNISCIENT, Outcome

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class PolicyResult(ApiModel):
    """What a policy cost, over all runs. Costs are in the unit of the prices."""

    policy: str = Field(description="auto, uniformProgress, greedy, onDemand, spotOnly or omniscient.")
    runs: int = Field(ge=1, description="Runs, each from another start; the same starts for every policy.")
    mean_cost: float = Field(ge=0, description="Of a run, with six decimals.")
    on_demand_cost: float = Field(ge=0, description="On on-demand capacity alone: (work + changeover) x price.")
    saving_percent: float = Field(description="How much less than on-demand the mean is, in percent of on-demand.")
    deadlines_missed: int = Field(ge=0, description="Runs with work left at the deadline; they are billed until then.")
    mean_switches: float = Field(ge=0, description="Changeovers that a run paid, the first start included.")
    spot_hours: float = Field(ge=0, description="Of a run, on spot nodes, changeovers included; the mean.")
    on_demand_hours: float = Field(ge=0, description="Of a run, on on-demand nodes, changeovers included; the mean.")
    max_cost_over_on_demand_percent: float = Field(
        ge=0, description="Cost of the dearest run in percent of on-demand: 100 is as dear as on-demand."
    )
    gap_closed: float | None = Field(
        description="(greedy - policy) / (greedy - omniscient) of the summed costs; null where that difference is "
        "under 1 % of the on-demand cost, or the optimum was not asked for."
    )


class TrainingResult(ApiModel):
    """What every policy cost on the same starts."""

    policies: list[PolicyResult] = Field(description="In the order in which they are asked for; omniscient last.")
    omniscient: PolicyResult | None = Field(
        None, description="The optimum with the future known; the same as its row. Missing with --no-omniscient."
    )


def result(outcomes: Sequence[Outcome]) -> TrainingResult:
    """The result to be written."""
    rows = [_row(one) for one in outcomes]
    best = next((row for row in rows if row.policy == OMNISCIENT), None)
    return TrainingResult(policies=rows, omniscient=best)


def as_json(outcomes: Sequence[Outcome]) -> str:
    """The result as JSON text."""
    found = result(outcomes).model_dump(by_alias=True)
    return json.dumps(found if found["omniscient"] else {"policies": found["policies"]}, indent=2) + "\n"


def _row(one: Outcome) -> PolicyResult:
    whole = one.on_demand_cost
    return PolicyResult(
        policy=one.policy,
        runs=one.runs,
        mean_cost=_round(one.mean_cost),
        on_demand_cost=_round(whole),
        saving_percent=_round((1 - one.mean_cost / whole) * 100),
        deadlines_missed=one.missed,
        mean_switches=_round(one.mean_switches),
        spot_hours=_round(one.spot_hours),
        on_demand_hours=_round(one.on_demand_hours),
        max_cost_over_on_demand_percent=_round(one.largest_cost / whole * 100),
        gap_closed=None if one.gap_closed is None else _round(one.gap_closed),
    )


def _round(value: Fraction) -> float:
    return float(round(value, 6))


def render_all() -> dict[str, str]:
    """The schema as JSON, by file name."""
    schema = {"$schema": _DIALECT, **TrainingResult.model_json_schema(by_alias=True, mode="serialization")}
    return {"simulate-training-result.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"}
