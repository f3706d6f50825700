"""What is decided about one endpoint: each situation with its number, its words and what is not done."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gpucost.core.clock import HOUR, MINUTE, SECOND, format_rfc3339, parse_rfc3339
from gpucost.core.model import Key
from gpucost.core.serving.behavior import Past, Step
from gpucost.core.serving.pausing import pause_of
from gpucost.core.serving.plan import plan
from gpucost.core.serving.spec import (
    Behavior,
    Direction,
    EndpointSpec,
    MissingMetrics,
    Mode,
    OnMissing,
    ReplicaWindow,
    Runtime,
    TargetRef,
)
from gpucost.core.serving.state import (
    Demand,
    EndpointDecision,
    EndpointState,
    Measured,
    Rival,
    Target,
    Unresolved,
    Wish,
)
from gpucost.core.serving.telling import scaled, steps_of

NOW = parse_rfc3339("2026-11-30T10:00:00Z")  # a Monday
SPEC = EndpointSpec(
    target=TargetRef("Deployment", "llama"),
    runtime=Runtime.VLLM,
    least=2,
    most=12,
    mode=Mode.AUTO,
    behavior=Behavior(Direction(), Direction()),
)
STATE = EndpointState(
    key=Key("chat", "llama"),
    uid="iep-1",
    generation=3,
    spec=SPEC,
    target=Target("dep-1", "77", 4, "app=llama", 4),
    ready=4,
    measured=Measured(True, "MetricsFound", "4 of 4 pods"),
    wish=Wish(6, "RisingLoad", "40 requests/s arrive", "High"),
    past=Past(begun=NOW - HOUR),
    replica_hourly=Decimal("2.50"),
)


def decide(now: int = NOW, spec: dict[str, Any] | None = None, **changes: Any) -> EndpointDecision:
    state = replace(STATE, **changes)
    if spec:
        state = replace(state, spec=replace(SPEC, **spec))
    return plan(state, now)


def condition(decision: EndpointDecision, kind: str) -> tuple[bool | None, str]:
    return next((one.status, one.reason) for one in decision.conditions if one.type == kind)


def message(decision: EndpointDecision, kind: str = "Ready") -> str:
    return next(one.message for one in decision.conditions if one.type == kind)


def test_more_load_means_more_replicas_with_the_evidence_and_the_money() -> None:
    decision = decide()
    action = decision.action
    assert action is not None
    assert (action.before, action.replicas, action.uid, action.resource_version) == (4, 6, "dep-1", "77")
    assert decision.success is not None
    assert decision.success.reason == "ReplicasRightSized"
    assert decision.success.message == (
        "Deployment/llama 4 -> 6 replicas: RisingLoad: 40 requests/s arrive; costs 5.00 USD an hour more"
    )
    assert decision.status["desiredReplicas"] == 6
    assert decision.status["recommendation"] == {
        "replicas": 6,
        "reason": "RisingLoad",
        "message": "40 requests/s arrive",
        "savingPerHour": "-5.00",
        "confidence": "High",
        "asOf": "2026-11-30T10:00:00Z",
    }
    assert condition(decision, "ScalingActive") == (True, "Scaling")
    assert condition(decision, "TargetResolved") == (True, "Found")


def test_what_is_saved_is_told() -> None:
    decision = decide(wish=Wish(3, "FallingLoad", "10 requests/s arrive"))
    assert decision.action is not None
    assert decision.success is not None
    assert decision.success.message.endswith("; saves 2.50 USD an hour")


def test_recommend_changes_nothing_and_says_what_it_would_do_once() -> None:
    decision = decide(spec={"mode": Mode.RECOMMEND})
    assert decision.action is None
    assert [one.reason for one in decision.events] == ["ActionRecommended"]
    assert "4 -> 6 replicas" in decision.events[0].message
    assert condition(decision, "Ready") == (True, "Recommending")
    again = decide(spec={"mode": Mode.RECOMMEND}, status=decision.status)
    assert again.events == ()


def test_off_looks_at_nothing() -> None:
    decision = decide(spec={"mode": Mode.OFF}, wish=None, measured=Measured(known=False))
    assert decision.action is None
    assert condition(decision, "Ready") == (True, "Off")
    assert "missingSince" not in decision.status


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.RECOMMEND])
def test_a_rival_is_named_and_never_fought(mode: Mode) -> None:
    decision = decide(spec={"mode": mode}, rivals=(Rival("HorizontalPodAutoscaler", "llama-hpa"),))
    assert decision.action is None
    assert "HorizontalPodAutoscaler llama-hpa sets the replicas of Deployment/llama" in message(decision)
    if mode is Mode.AUTO:
        assert condition(decision, "Ready") == (False, "Conflict")
        assert [one.reason for one in decision.events if one.warning] == ["Conflict"]


def test_a_target_that_is_not_there_is_said_and_the_rest_goes_on() -> None:
    decision = decide(target=Unresolved("TargetNotFound", "there is no Deployment llama in namespace chat"))
    assert decision.action is None
    assert condition(decision, "TargetResolved") == (False, "TargetNotFound")
    assert condition(decision, "Ready") == (False, "TargetNotFound")


@pytest.mark.parametrize("current", [3, 4, 11])
def test_nothing_is_lowered_while_the_load_is_unknown(current: int) -> None:
    decision = decide(
        target=Target("dep-1", "77", current),
        measured=Measured(False, "MetricsStale", "the last scrape is 10 minutes old"),
        wish=None,
    )
    assert decision.action is None
    assert condition(decision, "MetricsAvailable") == (False, "MetricsStale")
    assert condition(decision, "Ready") == (False, "MetricsMissing")
    assert decision.status["missingSince"] == format_rfc3339(NOW)


def test_above_the_maximum_and_without_metrics_it_stays_too() -> None:
    decision = decide(target=Target("dep-1", "77", 20), measured=Measured(known=False), wish=None)
    assert decision.action is None


def test_a_figure_that_is_not_to_be_believed_freezes_the_way_down_only() -> None:
    frozen = Measured(True, "MetricsFound", "3 of 4 pods", frozen="the counter of llama-1 began anew")
    assert decide(measured=frozen).action is not None
    held = decide(measured=frozen, wish=Wish(2, "FallingLoad", ""))
    assert held.action is None
    assert "the counter of llama-1 began anew" in message(held)


def test_at_least_raises_after_a_while_without_metrics_and_not_before() -> None:
    missing = MissingMetrics(OnMissing.AT_LEAST, 5 * MINUTE, 8)
    unknown = {"measured": Measured(known=False), "wish": None, "spec": {"missing": missing}}
    first = decide(**unknown)
    assert first.action is None
    stored = {"status": {"missingSince": first.status["missingSince"]}}
    assert decide(NOW + 5 * MINUTE - SECOND, **unknown, **stored).action is None
    raised = decide(NOW + 5 * MINUTE, **unknown, **stored).action
    assert raised is not None
    assert raised.replicas == 8
    assert decide(NOW + HOUR, **unknown, **stored, target=Target("dep-1", "1", 9)).action is None


def test_sleep_and_the_start_after_it_are_no_time_without_metrics() -> None:
    missing = MissingMetrics(OnMissing.AT_LEAST, 5 * MINUTE, 8)
    known = {"conditions": [{"type": "MetricsAvailable", "status": "True"}]}
    gone = Measured(False, "MetricsMissing", "no pod", since=NOW - 8 * HOUR)
    asleep = decide(
        target=Target("dep-1", "77", 0), demand=Demand(0, "ScaledToZero", ""), measured=gone, wish=None, status=known
    )
    assert asleep.events == ()
    assert "missingSince" not in asleep.status
    past = Past(NOW - HOUR, (), (Step(NOW - 20 * MINUTE, 0, 2, "Woken"),))
    woken = {"measured": gone, "wish": None, "past": past, "spec": {"missing": missing, "least": 1}}
    one = Target("dep-1", "78", 2)
    assert decide(target=one, ready=0, **woken).action is None
    assert decide(target=one, ready=1, ready_since=NOW - MINUTE, **woken).action is None
    overdue = decide(target=one, ready=1, ready_since=NOW - 5 * MINUTE, **woken)
    assert overdue.action is not None
    assert overdue.action.replicas == 8


def test_at_least_raises_to_no_more_than_a_schedule_allows() -> None:
    missing = MissingMetrics(OnMissing.AT_LEAST, 0, 8)
    night = ReplicaWindow("0 10 * * *", HOUR, "UTC", most=5)
    decision = decide(measured=Measured(known=False), wish=None, spec={"missing": missing, "windows": (night,)})
    assert decision.action is not None
    assert decision.action.replicas == 5


def test_fewer_than_the_minimum_are_raised_even_on_unknown() -> None:
    decision = decide(target=Target("dep-1", "77", 1), measured=Measured(known=False), wish=None)
    assert decision.action is not None
    assert decision.action.replicas == 2


def test_metrics_that_go_missing_are_told_once() -> None:
    known = {"conditions": [{"type": "MetricsAvailable", "status": "True"}]}
    unknown = Measured(False, "MetricsMissing", "no series")
    assert [one.reason for one in decide(measured=unknown, wish=None, status=known).events] == ["UtilizationUnknown"]
    assert decide(measured=unknown, wish=None).events == ()


def test_a_start_is_no_news_but_metrics_that_are_missing_after_it_are() -> None:
    known = {"conditions": [{"type": "MetricsAvailable", "status": "True"}]}
    learning = Measured(False, "FirstLook", "a rate needs two looks")
    assert decide(measured=learning, wish=None, status=known).events == ()
    begun = {"conditions": [{"type": "MetricsAvailable", "status": "False", "reason": "FirstLook"}]}
    gone = decide(measured=Measured(False, "MetricsMissing", "no series"), wish=None, status=begun)
    assert [one.reason for one in gone.events] == ["UtilizationUnknown"]


@pytest.mark.parametrize(
    ("annotations", "wished", "number"),
    [
        ({"gpucost.dev/paused": "true"}, 6, None),
        ({"gpucost.dev/paused": "false"}, 6, 6),
        ({"gpucost.dev/paused-replicas": "5"}, 6, 5),
        ({"gpucost.dev/paused-replicas": "0"}, 6, 0),
        ({"gpucost.dev/paused-replicas": "4"}, 6, None),
        ({"gpucost.dev/paused": "true", "gpucost.dev/paused-replicas": "5"}, 6, 5),
        ({"gpucost.dev/paused-scale-in": "true"}, 3, None),
        ({"gpucost.dev/paused-scale-in": "true"}, 6, 6),
        ({"gpucost.dev/paused-scale-out": "true"}, 6, None),
        ({"gpucost.dev/paused-scale-out": "true"}, 3, 3),
        ({"gpucost.dev/dry-run": "true"}, 6, None),
    ],
)
def test_annotations_pause_it(annotations: dict[str, str], wished: int, number: int | None) -> None:
    decision = decide(annotations=annotations, wish=Wish(wished, "RisingLoad", ""))
    assert (decision.action.replicas if decision.action else None) == number


@pytest.mark.parametrize("text", ["many", "-1", "٣", "9" * 5000])
def test_a_pause_that_is_no_number_is_refused_by_name(text: str) -> None:
    decision = decide(annotations={"gpucost.dev/paused-replicas": text})
    assert decision.action is None
    assert condition(decision, "Ready") == (False, "Invalid")
    assert f"metadata.annotations[gpucost.dev/paused-replicas]: '{text[:32]}'" in message(decision)
    assert pause_of({"gpucost.dev/paused-replicas": text}).at is None


def test_a_paused_endpoint_in_recommend_is_not_touched() -> None:
    decision = decide(spec={"mode": Mode.RECOMMEND}, annotations={"gpucost.dev/paused-replicas": "5"})
    assert decision.action is None


def test_a_schedule_raises_and_lowers_at_its_edges() -> None:
    office = ReplicaWindow("0 11 * * 1-5", HOUR, "Europe/Berlin", least=8)  # 10:00 UTC
    before = decide(NOW - SECOND, spec={"windows": (office,)})
    assert before.status["desiredReplicas"] == 6
    assert before.wake_at == NOW
    during = decide(spec={"windows": (office,)})
    assert during.action is not None
    assert during.action.replicas == 8
    assert during.status["schedule"] == {"index": 0, "until": "2026-11-30T11:00:00Z"}
    assert condition(during, "ScalingLimited") == (True, "TooFewReplicas")
    assert decide(NOW + HOUR, spec={"windows": (office,)}).status["desiredReplicas"] == 6


def test_a_demand_goes_before_limits_and_rates() -> None:
    asleep = Target("dep-1", "77", 0)
    woken = decide(target=asleep, wish=None, demand=Demand(2, "Waking", "a request waits"))
    assert woken.action is not None
    assert (woken.action.before, woken.action.replicas, woken.action.reason) == (0, 2, "Waking")


def test_what_would_be_put_to_sleep_is_recommended_as_such() -> None:
    demand = Demand(0, "ScaledToZero", "no request for 1h")
    decision = decide(spec={"mode": Mode.RECOMMEND}, demand=demand, wish=Wish(1, "FallingLoad", "little arrives"))
    assert decision.action is None
    assert condition(decision, "Ready") == (True, "Recommending")
    shown = decision.status["recommendation"]
    assert (shown["replicas"], shown["reason"], shown["message"]) == (0, "ScaledToZero", "no request for 1h")
    assert "4 -> 0 replicas: ScaledToZero: no request for 1h; saves 10.00" in decision.events[0].message


def test_who_does_not_want_more_is_not_woken_up_either() -> None:
    asleep, demand = Target("dep-1", "77", 0), Demand(1, "Woken", "3 requests are held")
    held = decide(target=asleep, wish=None, demand=demand, annotations={"gpucost.dev/paused-scale-out": "true"})
    assert held.action is None
    assert condition(held, "Ready") == (True, "Paused")
    assert "3 requests are held" in message(held)


def test_what_was_put_to_sleep_does_not_stay_there_when_scale_to_zero_is_taken_away() -> None:
    ours = Past(NOW - HOUR, (), (Step(NOW - HOUR, 1, 0, "ScaledToZero"),))
    found = decide(target=Target("dep-1", "77", 0), wish=None, measured=Measured(known=False), past=ours)
    assert found.action is not None
    assert (found.action.replicas, found.action.reason) == (2, "Woken")
    by_hand = Past(NOW - HOUR, (), (Step(NOW - HOUR, 1, 0, "ScaledToZero"), Step(NOW - MINUTE, 0, 2, "Woken")))
    assert decide(target=Target("dep-1", "77", 0), past=by_hand).action is None


def test_a_target_at_zero_is_left_alone() -> None:
    decision = decide(target=Target("dep-1", "77", 0))
    assert decision.action is None
    assert condition(decision, "ScalingActive") == (False, "ScaledToZero")


def test_what_is_wrong_names_the_field_and_stops_only_itself() -> None:
    crossing = ReplicaWindow("0 8 * * *", HOUR, least=20)
    twice = ReplicaWindow("0 * * * *", 2 * HOUR, "Mars/Olympus", least=3)
    decision = decide(spec={"windows": (crossing, twice)})
    assert decision.action is None
    text = message(decision)
    assert "spec.schedules[0].minReplicas: with the endpoint's own limits it means at least 20 and at most 12" in text
    assert "spec.schedules[1].timeZone: 'Mars/Olympus' is not a known time zone" in text
    assert "spec.schedules[1].duration: longer than the 1h until the window opens again" in text


def test_an_object_that_cannot_be_read_is_invalid() -> None:
    decision = plan(replace(STATE, spec=None, problems=[("spec.runtime", "required")]), NOW)
    assert condition(decision, "Ready") == (False, "Invalid")
    assert message(decision) == "spec.runtime: required"


def test_an_unknown_price_is_said_and_is_not_zero() -> None:
    decision = decide(replica_hourly=None)
    assert decision.success is not None
    assert decision.success.message.endswith("; what it costs is not known")
    assert "savingPerHour" not in decision.status["recommendation"]


def test_a_change_that_the_stored_status_does_not_show_yet_is_not_forgotten() -> None:
    """Two changes within the time that a watch takes: the second status must tell of the first change too."""
    first, second = NOW - 20 * SECOND, NOW - 10 * SECOND
    stored = {"at": format_rfc3339(first), "before": 1, "after": 2, "reason": "RisingLoad"}
    past = Past(NOW - HOUR, (), (Step(first + 1, 1, 2, "RisingLoad"), Step(second, 2, 4, "Paused")))
    decision = decide(status={"scalingHistory": [stored]}, past=past)
    assert decision.action is not None
    status = scaled(decision.status, decision.action, NOW)
    assert [(one["before"], one["after"]) for one in status["scalingHistory"]] == [(4, 6), (2, 4), (1, 2)]
    assert status["lastScaleTime"] == format_rfc3339(NOW)
    assert [step[1:] for step in steps_of(status)] == [(1, 2, "RisingLoad"), (2, 4, "Paused"), (4, 6, "RisingLoad")]


def test_of_two_changes_within_a_second_the_later_one_comes_first() -> None:
    at = NOW - 10 * SECOND
    past = Past(NOW - HOUR, (), (Step(at + 1, 1, 2, "RisingLoad"), Step(at + 2, 2, 4, "Paused")))
    history = decide(past=past).status["scalingHistory"]
    assert [(one["before"], one["after"]) for one in history] == [(2, 4), (1, 2)]
    again = decide(status={"scalingHistory": history}, past=past).status["scalingHistory"]
    assert again == history


def test_a_load_without_a_capacity_says_what_is_lacking() -> None:
    decision = decide(measured=Measured(True, "MetricsFound", "", lacking="what one replica can serve"), wish=None)
    assert decision.action is None
    assert condition(decision, "Ready") == (False, "CapacityUnknown")
    assert message(decision) == "the replicas stay as they are: what one replica can serve"
    few = decide(target=Target("dep-1", "77", 1), measured=Measured(True, "MetricsFound", ""), wish=None)
    assert few.action is not None
    assert (few.action.replicas, few.action.reason) == (2, "CapacityUnknown")
