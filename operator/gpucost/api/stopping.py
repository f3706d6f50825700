"""When a run is stopped: `spec.earlyStopping`, `spec.idle` and `spec.budget` of a TrainingJob."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from gpucost.api.fields import ApiModel, DecimalText, Duration, Limit, Moment, Number, rule, rules
from gpucost.api.metrics_sources import MetricName
from gpucost.core.clock import parse_duration
from gpucost.core.training.directions import direction
from gpucost.core.training.stopping import spec as core

Type = Literal["Plateau", "Median", "SuccessiveHalving", "Target", "Divergence", "LearningCurve"]
Mode = Literal["Recommend", "Enforce"]

_FIELDS: dict[str, tuple[str, ...]] = {
    "patience": ("Plateau", "Target", "Divergence"),
    "minDelta": ("Plateau", "LearningCurve"),
    "target": ("Target", "LearningCurve"),
    "group": ("Median", "SuccessiveHalving"),
    "minTrials": ("Median",),
    "minSteps": ("Median", "SuccessiveHalving"),
    "maxSteps": ("SuccessiveHalving", "LearningCurve"),
    "reduction": ("SuccessiveHalving",),
    "restarts": ("Divergence",),
    "minGainPerCost": ("LearningCurve",),
}
"""Types of rules that each parameter belongs to."""
_PATIENCE = {"Plateau": 5, "Target": 1, "Divergence": 3}
_NEEDS_TARGET = "types Target and LearningCurve need target, such as '0.92'"

EARLY_STOPPING = """\
Rules that stop a run which no longer pays, at most 8, one of a type for each metric. Each warns first, then asks for \
a last checkpoint, then suspends the Job (`mode: Enforce`) or only says so (`Recommend`). Nothing is ever deleted, and \
`kubectl cost resume NAME` lets the run go on. Example:

earlyStopping:
- {type: Plateau, metric: eval_loss, patience: 5, minDelta: "0.001", mode: Enforce}
- {type: SuccessiveHalving, metric: accuracy, goal: Maximize, minSteps: 500, reduction: 4}
- {type: Divergence, metric: loss, mode: Enforce}"""
IDLE = """\
What becomes of a run whose GPUs do nothing. Engine, utilisation and power of every GPU have to be low for the whole \
time, measured for 90 % of it, without any report of progress; what was not measured never counts as idle. Example:

idle: {after: 30m, mode: Enforce}"""
BUDGET = """\
What this run may cost at most, in money, GPU-hours or both. It is stopped so early that a last checkpoint, the end of \
its pods and one more start still fit into the limit. Example:

budget: {cost: "500", mode: Enforce}"""


_LABEL = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
_LABEL_MESSAGE = "must be the key of a label, such as gpucost.dev/experiment"


def _label(text: str) -> str:
    if not re.fullmatch(_LABEL, text):
        raise ValueError(_LABEL_MESSAGE)
    return text


LabelKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        json_schema_extra=rules(rule(f"self.matches('{_LABEL}')", _LABEL_MESSAGE)),
    ),
    AfterValidator(_label),
]


def _belongs(name: str) -> str:
    return f"{name} goes with type {' and '.join(_FIELDS[name])} only"


def _allowed(name: str) -> str:
    types = ", ".join(f"'{one}'" for one in _FIELDS[name])
    return f"!has(self.{name}) || self.type in [{types}]"


_RULES = rules(
    *(rule(_allowed(name), _belongs(name), field_path=f".{name}", reason="FieldValueForbidden") for name in _FIELDS),
    rule(
        "!(self.type in ['Target', 'LearningCurve']) || has(self.target)",
        _NEEDS_TARGET,
        field_path=".target",
        reason="FieldValueRequired",
    ),
)


class EarlyStoppingRule(ApiModel):
    """One rule about one metric."""

    model_config = ConfigDict(json_schema_extra=_RULES)

    type: Type = Field(
        description="Plateau: no improvement any more. Median: worse than the median of the other runs of its group at "
        "the same step. SuccessiveHalving: not among the best of its group at a rung (ASHA). Target: as good as it has "
        "to be. Divergence: not finite, or far worse than it was. LearningCurve: a power law through the curve says "
        "that the target stays out of reach."
    )
    metric: MetricName = Field(description="Name of the metric as the run reports it, such as eval_loss.")
    goal: Literal["Minimize", "Maximize"] | None = Field(
        None,
        description="Which way the metric gets better: Minimize (a loss) or Maximize (an accuracy). Left out, its name "
        "tells: accuracy, acc, f1, auc, bleu, rouge, score, reward, precision, recall, map and r2, such as in eval_f1, "
        "are maximized, and everything else is minimized.",
    )
    mode: Mode = Field(
        "Recommend", description="Recommend: only say so. Enforce: warn, ask for a last checkpoint, suspend the Job."
    )
    grace: Duration = Field(
        "10m",
        description="Training time before the rule judges. A metric that no report has named after it is told in the "
        "condition EarlyStopped.",
    )
    warning: Duration = Field(
        "5m", description="Time from the warning until the Job is suspended, if the rule still holds then."
    )
    checkpoint: Literal["Required", "Optional"] = Field(
        "Required",
        description="Required: a run that has never told of a checkpoint is not suspended, because its work would be "
        "lost. Optional: it is. Divergence needs none, because nothing is worth keeping; nor does a program that saves "
        "by itself, as `spec.checkpoint.interval` says.",
    )
    patience: Annotated[int, Field(ge=1, le=48)] | None = Field(
        None,
        description="Evaluations in a row that it takes: without improvement (Plateau, default 5), at the target "
        "(Target, 1), far off (Divergence, 3). A value that is only repeated in the next message is no new evaluation.",
    )
    min_delta: Number | None = Field(
        None, description="How much better counts as better (Plateau, LearningCurve); default '0'."
    )
    target: Number | None = Field(None, description="The value to reach (Target, LearningCurve), such as '0.92'.")
    group: LabelKey | None = Field(
        None,
        description="Label of the TrainingJob whose value names its group in the namespace (Median, "
        "SuccessiveHalving); default `gpucost.dev/experiment`.",
    )
    min_trials: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Other runs that have to have come to the same step (Median); default 3."
    )
    min_steps: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        None, description="The first rung (SuccessiveHalving), or the first step that is judged (Median); default 1."
    )
    max_steps: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        None,
        description="The last step of a run: no rung from there on (SuccessiveHalving); what is forecast "
        "(LearningCurve), by default from the progress that the run reports.",
    )
    reduction: Annotated[int, Field(ge=2, le=16)] | None = Field(
        None,
        description="One of so many runs goes on at each rung, and the next rung is so many times further; default 4.",
    )
    restarts: Annotated[int, Field(ge=0, le=3)] | None = Field(
        None,
        description="How often a run that diverged is started again from its last good checkpoint before it is stopped "
        "(Divergence); default 1. Its pods are told by GPUCOST_RESTORE_STEP.",
    )
    min_gain_per_cost: Number | None = Field(
        None,
        description="Improvement of the metric per unit of money that is still worth it (LearningCurve): a run that "
        "gains more goes on though it will miss the target. Left out, it does not.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> EarlyStoppingRule:
        for name, types in _FIELDS.items():
            if self.type not in types and getattr(self, _PYTHON[name]) is not None:
                raise ValueError(_belongs(name))
        if self.type in _FIELDS["target"] and self.target is None:
            raise ValueError(_NEEDS_TARGET)
        return self


_PYTHON = {name: re.sub("([A-Z])", lambda found: "_" + found[0].lower(), name) for name in _FIELDS}

EarlyStopping = Annotated[
    tuple[EarlyStoppingRule, ...],
    Field(
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type", "metric"]},
    ),
]


class IdlePolicy(ApiModel):
    """What becomes of a run whose GPUs do nothing."""

    after: Duration = Field("30m", description="How long all GPUs have to do nothing, without any report of progress.")
    mode: Mode = Field(
        "Recommend", description="Recommend: only say so. Enforce: warn, ask for a last checkpoint, suspend the Job."
    )
    warning: Duration = Field("5m", description="Time from the warning until the Job is suspended.")
    checkpoint: Literal["Required", "Optional"] = Field(
        "Required", description="Required: a run that has never told of a checkpoint is not suspended. Optional: it is."
    )


_ONE_LIMIT = "set cost (money), gpuHours, or both"


class RunBudget(ApiModel):
    """What this run may cost at most."""

    model_config = ConfigDict(json_schema_extra=rules(rule("has(self.cost) || has(self.gpuHours)", _ONE_LIMIT)))

    cost: Limit | None = Field(
        None, description="Limit of money, in the currency of the prices, as a string such as '500'."
    )
    gpu_hours: Limit | None = Field(None, description="Limit of GPU-hours, as a string such as '800'.")
    mode: Mode = Field(
        "Recommend", description="Recommend: only say so. Enforce: ask for a last checkpoint, then suspend the Job."
    )
    warn_at_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        80, description="Part of the limit at which the Event BudgetThresholdReached is posted."
    )
    restart: Duration = Field(
        "5m",
        description="Time that one more start takes: its cost is kept back, so that the run can be started once more, "
        "to write its model for example.",
    )

    @model_validator(mode="after")
    def _limited(self) -> RunBudget:
        if self.cost is None and self.gpu_hours is None:
            raise ValueError(_ONE_LIMIT)
        return self


# --- status -----------------------------------------------------------------------------------------------------------

_Text = Annotated[str, Field(max_length=4096)]
_Word = Annotated[str, Field(max_length=128)]


class RuleStatus(ApiModel):
    """How far one rule has come."""

    name: _Word = Field(description="Type and metric of the rule, such as Plateau/eval_loss; Idle; Budget.")
    mode: Mode = Field(description="Mode of the rule.")
    state: _Word = Field(
        description="Watching: it does not hold. Unknown: it cannot be judged. Recommended, Warned: it holds. "
        "Checkpoint: a last checkpoint is waited for. Skipped: it holds and nothing is done. Stopped: it has stopped "
        "the run."
    )
    reason: _Word | None = Field(None, description="One word that says why.")
    message: _Text | None = Field(None, description="The figures that this rests on.")
    since: Moment | None = Field(None, description="Since when the rule has held.")
    checkpoint_asked_at: Moment | None = Field(None, description="When the run was asked for a last checkpoint.")


class StopStatus(ApiModel):
    """The stop that keeps the Job suspended."""

    id: Annotated[str, Field(max_length=40)] = Field(
        description="Its instant. The annotation `gpucost.dev/resume` with this value takes it back; "
        "`kubectl cost resume` writes it."
    )
    rule: _Word = Field(description="The rule, as in `rules[].name`.")
    reason: _Word = Field(description="One word that says why.")
    evidence: _Text = Field(description="The figures that it rests on.")
    saved: _Text | None = Field(None, description="What it saves, and what is left of the run.")
    saved_hourly: DecimalText | None = Field(None, description="What the run cost per hour when it was stopped.")
    currency: Annotated[str, Field(max_length=3)] | None = Field(None, description="ISO 4217 code of the amount.")
    checkpoint_time: Moment | None = Field(None, description="When the checkpoint was written that it goes on from.")
    checkpoint_step: Annotated[int, Field(ge=0)] | None = Field(None, description="Step of that checkpoint.")
    restarts: bool | None = Field(None, description="true: the run starts again at once, from that checkpoint.")


class EarlyStoppingStatus(ApiModel):
    """What the rules of early stopping, the idle policy and the budget have come to."""

    rules: Annotated[
        tuple[RuleStatus, ...],
        Field(
            max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
        ),
    ] = Field(default=(), description="Every rule, and how far it has come.")
    stop: StopStatus | None = Field(None, description="The stop that is in force; absent while there is none.")


# --- in the terms of the core -----------------------------------------------------------------------------------------


def stopping(
    each: tuple[EarlyStoppingRule, ...], idle: IdlePolicy | None, budget: RunBudget | None, *, saves_itself: bool
) -> core.Stopping:
    """All of it; `saves_itself`: the program writes checkpoints of which it need not tell."""
    rules = tuple(_rule(one, told=not saves_itself) for one in each)
    return core.Stopping(rules=rules, idle=_idle(idle, told=not saves_itself), budget=_budget(budget))


def _rule(model: EarlyStoppingRule, *, told: bool) -> core.Rule:
    return core.Rule(
        metric=model.metric,
        kind=_kind(model),
        goal=_goal(model),
        mode=core.Mode(model.mode),
        grace=parse_duration(model.grace),
        warning=parse_duration(model.warning),
        needs_checkpoint=told and model.checkpoint == "Required",
    )


def _goal(model: EarlyStoppingRule) -> core.Goal:
    if model.goal is not None:
        return core.Goal(model.goal)
    return core.Goal.MAXIMIZE if direction(model.metric) == "higher" else core.Goal.MINIMIZE


def _kind(model: EarlyStoppingRule) -> core.Kind:
    patience = model.patience or _PATIENCE.get(model.type, 1)
    group, steps = model.group or core.DEFAULT_GROUP, model.min_steps or 1
    match model.type:
        case "Plateau":
            return core.Plateau(patience, _float(model.min_delta))
        case "Median":
            return core.Median(group, model.min_trials or 3, steps)
        case "SuccessiveHalving":
            return core.Halving(group, steps, model.max_steps, model.reduction or 4)
        case "Target":
            return core.Target(_float(model.target), patience)
        case "Divergence":
            return core.Divergence(patience, 1 if model.restarts is None else model.restarts)
        case "LearningCurve":
            gain = None if model.min_gain_per_cost is None else _float(model.min_gain_per_cost)
            return core.LearningCurve(_float(model.target), _float(model.min_delta), model.max_steps, gain)


def _float(text: str | None) -> float:
    value = float(text or 0)
    return value if math.isfinite(value) else 0.0


def _idle(model: IdlePolicy | None, *, told: bool) -> core.Idle | None:
    if model is None:
        return None
    return core.Idle(
        after=parse_duration(model.after),
        mode=core.Mode(model.mode),
        warning=parse_duration(model.warning),
        needs_checkpoint=told and model.checkpoint == "Required",
    )


def _budget(model: RunBudget | None) -> core.RunBudget | None:
    if model is None:
        return None
    return core.RunBudget(
        cost=None if model.cost is None else Decimal(model.cost),
        gpu_hours=None if model.gpu_hours is None else Decimal(model.gpu_hours),
        mode=core.Mode(model.mode),
        warn_at_percent=model.warn_at_percent,
        restart=parse_duration(model.restart),
    )
