"""Rules that contradict each other, or that can never be judged: each with its field and what helps."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator

from gpucost.core.training.metric_sources import MetricSources
from gpucost.core.training.stopping.spec import (
    Divergence,
    Halving,
    LearningCurve,
    Median,
    Plateau,
    Rule,
    RunBudget,
    Stopping,
    Target,
)

_MOST_PATIENCE = 48
"""More evaluations than these are not kept whole."""

_NO_SOURCE = (
    "push is Off and nothing else is set, so no rule of spec.earlyStopping can ever judge; set metrics.push to Auto, "
    "or add metrics.prometheus, metrics.log or metrics.terminationMessage"
)


def contradictions(what: Stopping, metrics: MetricSources, *, path: str = "spec") -> Iterator[tuple[str, str]]:
    """Field and message of everything that is wrong."""
    seen: dict[str, int] = {}
    for index, rule in enumerate(what.rules):
        place = f"{path}.earlyStopping[{index}]"
        if rule.name in seen:
            yield place, f"a second {rule.type} rule for {rule.metric}, as [{seen[rule.name]}]; keep one of them"
        seen.setdefault(rule.name, index)
        yield from _goals(what.rules, index, place)
        yield from _parameters(rule, place)
        yield from _named(rule, metrics, place)
    if what.rules and not _has_source(metrics):
        yield f"{path}.metrics", _NO_SOURCE
    if what.budget is not None:
        yield from _budget(what.budget, f"{path}.budget")


def _goals(rules: tuple[Rule, ...], index: int, place: str) -> Iterator[tuple[str, str]]:
    rule = rules[index]
    other = next((i for i, one in enumerate(rules[:index]) if (one.metric, one.goal) == (rule.metric, rule.goal)), None)
    against = next((i for i, one in enumerate(rules[:index]) if one.metric == rule.metric), None)
    if other is None and against is not None:
        message = f"{rule.metric} is to {rule.goal} here and to {rules[against].goal} in [{against}]; choose one"
        yield f"{place}.goal", message


def _parameters(rule: Rule, place: str) -> Iterator[tuple[str, str]]:
    kind = rule.kind
    if isinstance(kind, Plateau | Target | Divergence) and not 1 <= kind.patience <= _MOST_PATIENCE:
        yield f"{place}.patience", f"must be from 1 to {_MOST_PATIENCE} evaluations"
    if isinstance(kind, Plateau | LearningCurve) and not (math.isfinite(kind.min_delta) and kind.min_delta >= 0):
        yield f"{place}.minDelta", "must be a number from 0 on"
    if isinstance(kind, Target | LearningCurve) and not math.isfinite(kind.target):
        yield f"{place}.target", "must be a finite number, such as '0.92'"
    if isinstance(kind, LearningCurve) and kind.min_gain_per_cost is not None and not kind.min_gain_per_cost > 0:
        yield f"{place}.minGainPerCost", "must be above 0, or every gain is worth it and the rule never holds"
    if isinstance(kind, Halving) and kind.reduction < 2:
        yield f"{place}.reduction", "must be at least 2: one of so many runs goes on"
    if isinstance(kind, Halving) and kind.max_steps is not None and kind.max_steps <= kind.min_steps:
        yield f"{place}.maxSteps", f"must be more than minSteps ({kind.min_steps}), or there is no rung"
    if isinstance(kind, Median) and kind.min_trials < 1:
        yield f"{place}.minTrials", "must be at least 1"


def _named(rule: Rule, metrics: MetricSources, place: str) -> Iterator[tuple[str, str]]:
    """Where the specification names every metric itself, one that it does not name is a mistake."""
    if metrics.push or metrics.termination_message or not _has_source(metrics):
        return
    names = [one.name for one in metrics.prometheus]
    names += re.findall(r"\(\?P<([A-Za-z_][A-Za-z0-9_]*)>", metrics.log.pattern) if metrics.log is not None else []
    if rule.metric not in names:
        near = difflib.get_close_matches(rule.metric, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(names)}"
        yield f"{place}.metric", f"{rule.metric} is not among the metrics that spec.metrics names; {hint}"


def _has_source(metrics: MetricSources) -> bool:
    return metrics.push or bool(metrics.prometheus) or metrics.log is not None or metrics.termination_message


def _budget(budget: RunBudget, place: str) -> Iterator[tuple[str, str]]:
    if budget.cost is None and budget.gpu_hours is None:
        yield place, "set cost (money), gpuHours, or both"
    for name, limit in (("cost", budget.cost), ("gpuHours", budget.gpu_hours)):
        if limit is not None and limit <= 0:
            yield f"{place}.{name}", "must be above 0; to keep a run from starting use spec.suspend"
