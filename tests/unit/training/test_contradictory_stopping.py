"""Specifications of early stopping that make no sense: each named by its field, with what helps."""

from __future__ import annotations

from typing import Any

import pytest

from gpucost.api.convert import training_spec
from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.model import Key
from gpucost.core.training.plan import TrainingContext, TrainingState, plan
from gpucost.core.training.stopping.spec import Divergence, Goal, Halving, Plateau, Target

TEMPLATE = {"spec": {"containers": [{"name": "train", "image": "a"}]}}


def invalid(**spec: Any) -> str:
    """The message of condition Invalid; empty for a good specification."""
    read = training_spec({"metadata": {"name": "bert"}, "spec": {"template": TEMPLATE, **spec}})
    state = TrainingState(Key("research", "bert"), "u", 1, {}, read.value, problems=read.problems)
    decision = plan(state, TrainingContext(now=0))
    return next(one.message for one in decision.conditions if one.type == "Invalid")


def rule(kind: str = "Plateau", metric: str = "loss", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "metric": metric, **fields}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"earlyStopping": [rule(), rule("Divergence", goal="Maximize")]},
            "spec.earlyStopping[1].goal: loss is to Maximize here and to Minimize in [0]; choose one",
        ),
        (
            {"earlyStopping": [rule(patience=3), rule(patience=9)]},
            "spec.earlyStopping[1]: a second Plateau rule for loss, as [0]; keep one of them",
        ),
        (
            {"earlyStopping": [rule("SuccessiveHalving", minSteps=100, maxSteps=100)]},
            "spec.earlyStopping[0].maxSteps: must be more than minSteps (100), or there is no rung",
        ),
        (
            {"earlyStopping": [rule(minDelta="-0.1")]},
            "spec.earlyStopping[0].minDelta: must be a number from 0 on",
        ),
        (
            {"earlyStopping": [rule("LearningCurve", target="0.1", minGainPerCost="-1")]},
            "spec.earlyStopping[0].minGainPerCost: must be above 0, or every gain is worth it and the rule never holds",
        ),
        (
            {"earlyStopping": [rule()], "metrics": {"push": "Off"}},
            (
                "spec.metrics: push is Off and nothing else is set, so no rule of spec.earlyStopping can ever judge; "
                "set metrics.push to Auto, or add metrics.prometheus, metrics.log or metrics.terminationMessage"
            ),
        ),
        (
            {
                "earlyStopping": [rule(metric="eval_los")],
                "metrics": {"push": "Off", "log": {"pattern": r"eval_loss=(?P<eval_loss>\S+)"}},
            },
            (
                "spec.earlyStopping[0].metric: eval_los is not among the metrics that spec.metrics names; did you mean "
                "eval_loss?"
            ),
        ),
        (
            {"budget": {"cost": "0"}},
            "spec.budget.cost: must be above 0; to keep a run from starting use spec.suspend",
        ),
    ],
)
def test_a_contradiction_is_named_with_its_remedy(spec: dict[str, Any], message: str) -> None:
    assert message in invalid(**spec)


def test_what_the_models_refuse_names_the_field_too() -> None:
    assert "spec.earlyStopping[0]" in invalid(earlyStopping=[rule("Target")])
    assert "reduction goes with type SuccessiveHalving only" in invalid(earlyStopping=[rule(reduction=4)])
    assert "spec.budget" in invalid(budget={})


@pytest.mark.parametrize(
    "spec",
    [
        {
            "earlyStopping": [
                rule(),
                rule("Divergence"),
                rule("Target", metric="accuracy", goal="Maximize", target="0.9"),
            ]
        },
        {
            "earlyStopping": [rule(metric="eval_loss")],
            "metrics": {"push": "Off", "log": {"pattern": r"eval_loss=(?P<eval_loss>\S+)"}},
        },
        {"earlyStopping": [rule()], "metrics": {"push": "Off", "terminationMessage": True}},
    ],
)
def test_sound_rules_are_no_contradiction(spec: dict[str, Any]) -> None:
    assert invalid(**spec) == ""


def test_rules_arrive_in_the_core_as_they_were_meant() -> None:
    template = {"spec": {**TEMPLATE["spec"], "terminationGracePeriodSeconds": 120}}
    spec = {
        "template": template,
        "earlyStopping": [
            rule(),
            rule("Target", metric="a", target="1e-2"),
            rule("Divergence", metric="b", restarts=0),
            rule("SuccessiveHalving", metric="c", minSteps=50),
        ],
        "idle": {"after": "1h"},
        "budget": {"cost": "12.5"},
        "checkpoint": {"timeout": "2m"},
    }
    read = training_spec({"metadata": {"name": "bert"}, "spec": spec})
    assert read.value is not None
    what = read.value.stopping
    assert [one.kind for one in what.rules] == [Plateau(5), Target(0.01), Divergence(3, 0), Halving(min_steps=50)]
    assert what.idle is not None
    assert what.idle.after == 60 * MINUTE
    assert what.budget is not None
    assert (str(what.budget.cost), what.checkpoint_timeout, what.stop_grace) == ("12.5", 2 * MINUTE, 120 * SECOND)
    assert what.rules[0].needs_checkpoint
    saves = training_spec({"metadata": {"name": "bert"}, "spec": {**spec, "checkpoint": {"interval": "30m"}}})
    assert saves.value is not None
    assert not saves.value.stopping.rules[0].needs_checkpoint


@pytest.mark.parametrize(
    ("metric", "goal"),
    [
        ("loss", Goal.MINIMIZE),
        ("eval_loss", Goal.MINIMIZE),
        ("accuracy", Goal.MAXIMIZE),
        ("eval/F1", Goal.MAXIMIZE),
        ("test-auc", Goal.MAXIMIZE),
        ("f1_loss", Goal.MINIMIZE),
        ("whatever", Goal.MINIMIZE),
    ],
)
def test_a_goal_that_is_left_out_is_what_the_name_of_the_metric_tells(metric: str, goal: Goal) -> None:
    """An accuracy of 0.1 has not reached a target of 0.92."""

    def read(**fields: str) -> Goal:
        rules = [rule("Target", metric=metric, target="0.92", **fields)]
        found = training_spec({"spec": {"template": TEMPLATE, "earlyStopping": rules}}).value
        assert found is not None
        return found.stopping.rules[0].goal

    assert read() is goal
    assert [read(goal=one) for one in Goal] == list(Goal)


def test_a_goal_that_is_left_out_and_another_one_contradict_each_other() -> None:
    rules = [rule(metric="accuracy"), rule("Target", metric="accuracy", target="0.9", goal="Minimize")]
    assert "accuracy is to Minimize here and to Maximize in [0]; choose one" in invalid(earlyStopping=rules)
