"""Which source counts, what is shown of it, and how a metric that nobody knows is told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.actions import Decision
from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.model import Job, Pod
from gpucost.core.training.curve import with_report
from gpucost.core.training.doubts import INVALID_QUERY, NO_DATA, Doubt
from gpucost.core.training.metric_sources import MetricQuery, MetricSources
from gpucost.core.training.observe import rank_zero
from gpucost.core.training.observed import ending_of, less_than_better, news, push_of
from gpucost.core.training.plan import plan
from gpucost.core.training.progress import LOG, PROMETHEUS, PUSH, Progress, Report
from gpucost.core.training.push import Push
from support.training_cases import BEFORE, TYPES, running, spec

ASKED = MetricSources(prometheus=(MetricQuery("loss", "q"),))
QUERY = "spec.metrics.prometheus[loss].query"


def history(*reports: Report) -> Progress:
    progress = Progress()
    for one in reports:
        progress = with_report(progress, one)
    return progress


def decision(progress: Progress = Progress(), doubts: Any = None, **more: Any) -> Decision:  # noqa: B008
    world = running(spec(metrics=ASKED))
    state = replace(world.state(), progress=progress, doubts=doubts, **more)
    return plan(state, world.context())


def metrics_known(found: Decision) -> tuple[bool | None, str]:
    condition = next(one for one in found.conditions if one.type == "MetricsKnown")
    return condition.status, condition.reason


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_the_newest_value_of_each_metric_is_shown_with_its_source() -> None:
    told = history(
        Report(BEFORE, step=1, progress=0.25, metrics={"loss": 2.0}),
        Report(BEFORE + SECOND, metrics={"acc": 0.5}, source=PROMETHEUS),
        Report(BEFORE + 2 * SECOND, step=2, metrics={"loss": math.nan}, source=LOG),
    )
    shown = decision(told).status["trainerStatus"]
    assert (shown["source"], shown["step"], shown["progressPercentage"]) == ("log", 2, 25)
    assert shown["metrics"] == [
        {"name": "acc", "value": "0.5", "source": "prometheus"},
        {"name": "loss", "value": "nan"},
    ]


def test_progress_is_shown_as_it_was_told() -> None:
    for percent in range(101):
        shown = decision(history(Report(BEFORE, progress=percent / 100))).status["trainerStatus"]
        assert shown["progressPercentage"] == percent
    assert decision(history(Report(BEFORE, progress=0.99999))).status["trainerStatus"]["progressPercentage"] == 99


def test_where_no_source_is_named_nothing_is_said_about_sources() -> None:
    world = running(spec())
    assert [one.type for one in world.decide().conditions] == TYPES


# --- doubts -----------------------------------------------------------------------------------------------------------


def test_before_anything_was_asked_nothing_is_known() -> None:
    assert metrics_known(decision()) == (None, "NotAsked")
    assert metrics_known(decision(doubts=())) == (True, "Known")


def test_no_data_is_told_when_it_lasts_and_is_no_event() -> None:
    fresh = Doubt(QUERY, NO_DATA, "no data", BEFORE - SECOND)
    assert metrics_known(decision(doubts=(fresh,))) == (True, "Known")
    lasting = replace(fresh, since=BEFORE - 2 * MINUTE)
    found = decision(doubts=(lasting,))
    assert metrics_known(found) == (False, NO_DATA)
    assert [one for one in found.events if one.reason == "MetricUnknown"] == []


def test_what_the_user_has_to_correct_is_told_at_once_and_once_for_each_generation() -> None:
    bad = Doubt(QUERY, INVALID_QUERY, "no PromQL: '(' is never closed", BEFORE)
    lasting = Doubt("spec.metrics.log", NO_DATA, "no line", BEFORE - MINUTE * 9)
    found, again = (decision(doubts=(lasting, bad)) for _ in range(2))
    assert metrics_known(found) == (False, INVALID_QUERY)
    message = next(one.message for one in found.conditions if one.type == "MetricsKnown")
    assert message == f"{QUERY}: no PromQL: '(' is never closed; spec.metrics.log: no line"
    (event,) = [one for one in found.events if one.reason == "MetricUnknown"]
    assert event.warning
    assert QUERY in event.message
    assert [one.dedupe for one in again.events if one.reason == "MetricUnknown"] == [event.dedupe]
    edited = decision(doubts=(bad,), generation=2)
    assert [one.dedupe for one in edited.events if one.reason == "MetricUnknown"] != [event.dedupe]


# --- values -----------------------------------------------------------------------------------------------------------


def test_step_and_progress_are_no_metrics() -> None:
    push = push_of({"step": "12", "progress": "45%", "loss": "1e-3"})
    assert (push.step, push.progress, push.metrics) == (12, 0.45, {"loss": 0.001})


@pytest.mark.parametrize(
    "values", [{"step": "1.5"}, {"step": "-1"}, {"step": "nan"}, {"progress": "45"}, {"progress": "inf"}, {"x": "a"}]
)
def test_what_makes_no_sense_is_left_out_and_named(values: dict[str, str]) -> None:
    push = push_of(values)
    assert not push.is_report
    assert push.ignored[0].startswith(next(iter(values)))


def test_a_better_source_counts_while_it_speaks() -> None:
    told = history(
        Report(BEFORE, step=5, metrics={"loss": 1.0}), Report(BEFORE + 1, metrics={"acc": 0.1}, source=PROMETHEUS)
    )
    push = Push(step=4, progress=0.1, metrics={"loss": 1.1, "acc": 0.2, "lr": 0.01})
    in_log = less_than_better(push, LOG, told, BEFORE + MINUTE)
    assert (in_log.step, in_log.progress, in_log.metrics) == (None, 0.1, {"lr": 0.01})
    assert less_than_better(push, PROMETHEUS, told, BEFORE + MINUTE).metrics == {"acc": 0.2, "lr": 0.01}
    assert less_than_better(push, PUSH, told, BEFORE + MINUTE) == push
    assert less_than_better(push, LOG, told, BEFORE + 6 * MINUTE) == push


def test_the_same_value_again_is_no_news_but_the_same_from_another_is() -> None:
    told = history(Report(BEFORE, step=5, metrics={"loss": 1.0, "acc": 0.5}, source=PROMETHEUS))
    push = Push(step=5, metrics={"loss": 1.0, "acc": 0.75})
    assert news(push, PROMETHEUS, told) == Push(metrics={"acc": 0.75})
    assert news(push, LOG, told) == push


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_last_words_can_break_anything(message: bytes) -> None:
    push, why = ending_of("{" + message.decode(errors="replace"))
    assert push is None or why == ""


# --- whose log --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "names", "chosen"),
    [
        (1, ["bert-aaaaa", "bert-bbbbb"], "bert-bbbbb"),
        (2, ["bert-1-aaaaa", "bert-0-bbbbb", "bert-0-ccccc"], "bert-0-ccccc"),
        (2, ["bert-aaaaa", "bert-bbbbb"], "bert-aaaaa"),
        (4, ["bert-worker-1-0-aaaaa", "bert-worker-0-1-bbbbb", "bert-worker-0-0-ccccc"], "bert-worker-0-0-ccccc"),
        (4, ["bert-worker-0-0-ccccc", "bert-leader-0-0-ddddd", "bert-leader-0-0-eeeee"], "bert-leader-0-0-eeeee"),
        (1, [], None),
    ],
)
def test_rank_zero_speaks_for_all_and_of_its_lives_the_newest(
    workers: int, names: list[str], chosen: str | None
) -> None:
    pods = [Pod(f"uid-{name}", name, "research", BEFORE + number) for number, name in enumerate(names)]
    found = rank_zero(Job("uid", "bert", "research", BEFORE, "1", parallelism=workers), pods)
    assert (found[-1].name if found else None) == chosen
