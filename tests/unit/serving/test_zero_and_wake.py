"""When the last replica goes, and when it comes back: never on the unknown, and rather back too early than too late."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.model import Key
from gpucost.core.serving.cold_start import Advice, Choice
from gpucost.core.serving.pausing import Pause
from gpucost.core.serving.spec import (
    EndpointSpec,
    Holder,
    HolderKind,
    Mode,
    Runtime,
    ScaleToZero,
    TargetRef,
)
from gpucost.core.serving.zero import FRESH, Holding, Situation, zero_or_wake
from gpucost.sources.holders import HOLDS, PENDING, SKIP, has_ready, missing, paths, problem_of, route_told, routes_of

NOW = 100 * HOUR
HOLDER = Holder(HolderKind.KEDA_HTTP, "llama")
LLAMA = TargetRef("Deployment", "llama")
SPEC = EndpointSpec(LLAMA, Runtime.VLLM, mode=Mode.AUTO, zero=ScaleToZero(HOLDER))
HOLDING = Holding(NOW - SECOND, held=0.0, known_at=NOW - SECOND)
ZERO = Advice(Choice.ZERO, "quiet", idle_after=10 * MINUTE)
QUIET = Situation(2, HOLDING, ZERO, idle_since=NOW - 20 * MINUTE, serving_since=NOW - HOUR)
ASLEEP = Situation(0, HOLDING, ZERO, scaled=NOW - HOUR)


def number(case: Situation, spec: EndpointSpec = SPEC, **pause: bool) -> int | None:
    found = zero_or_wake(spec, case, Pause(**pause), NOW)
    return None if found is None else found.replicas


def test_the_last_replica_goes_after_a_time_without_requests() -> None:
    assert number(QUIET) == 0
    assert number(replace(QUIET, idle_since=NOW - 9 * MINUTE)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"idle_since": None},
        {"serving_since": None},
        {"serving_since": NOW - 9 * MINUTE},
        {"woken": NOW - 9 * MINUTE},
        {"frozen": "a pod is silent"},
        {"window_keeps": True},
        {"advice": Advice(Choice.KEEP, "too late for too many")},
        {"holding": None},
        {"holding": replace(HOLDING, at=NOW - 2 * FRESH)},
        {"holding": replace(HOLDING, problem="there is no holder")},
        {"holding": replace(HOLDING, held=None)},
        {"holding": replace(HOLDING, held=1.0)},
    ],
)
def test_it_stays_on_any_doubt(change: dict[str, object]) -> None:
    assert number(replace(QUIET, **change)) is None  # type: ignore[arg-type]


def test_it_stays_while_paused_and_where_it_was_not_asked_for() -> None:
    assert number(QUIET, down=True) is None
    assert number(QUIET, replace(SPEC, zero=None)) is None
    assert number(QUIET, replace(SPEC, mode=Mode.OFF)) is None


def test_without_replicas_it_sleeps_while_nobody_asks() -> None:
    assert number(ASLEEP) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"holding": replace(HOLDING, held=1.0)},
        {"holding": replace(HOLDING, at=NOW - 2 * FRESH)},
        {"holding": replace(HOLDING, problem="there is no holder")},
        {"holding": replace(HOLDING, held=None, known_at=NOW - 2 * MINUTE)},
        {"holding": replace(HOLDING, held=None, known_at=None)},
        {"woken": NOW - SECOND},
        {"window_keeps": True},
    ],
)
def test_a_request_or_a_doubt_wakes_it_up(change: dict[str, object]) -> None:
    assert number(replace(ASLEEP, **change)) == 1  # type: ignore[arg-type]


def test_it_sleeps_on_through_one_look_that_failed_and_after_a_start() -> None:
    assert number(replace(ASLEEP, holding=replace(HOLDING, held=None, known_at=NOW - 30 * SECOND))) == 0
    assert number(replace(ASLEEP, holding=None)) == 0


def test_who_woke_it_up_before_it_went_to_sleep_does_not_wake_it_again() -> None:
    assert number(replace(ASLEEP, woken=NOW - 2 * HOUR)) == 0


# --- holders ----------------------------------------------------------------------------------------------------------

ENDPOINT = Key("serving", "chat")


def http_scaled_object(name: str = "llama", skip: str = "true", **status: object) -> dict[str, object]:
    metadata = {"name": "llama", "namespace": "serving", "annotations": {SKIP: skip}}
    return {"metadata": metadata, "spec": {"scaleTargetRef": {"name": name}, "hosts": ["a.b"]}, "status": status}


def test_an_http_scaled_object_holds_requests_for_its_own_workload_if_it_does_not_scale_it() -> None:
    about = "HTTPScaledObject"
    assert problem_of(http_scaled_object(), about, LLAMA, ENDPOINT) == ""
    assert "is about Deployment/mistral" in problem_of(http_scaled_object("mistral"), about, LLAMA, ENDPOINT)
    assert SKIP in problem_of(http_scaled_object(skip="false"), about, LLAMA, ENDPOINT)
    conditions = [{"type": "Ready", "status": "False", "message": "no route"}]
    assert "no route" in problem_of(http_scaled_object(conditions=conditions), about, LLAMA, ENDPOINT)


@pytest.mark.parametrize(
    "labels",
    [
        {"host": "serving/llama"},
        {"host": "a.b"},
        {"route_namespace": "serving", "route_name": "llama"},
    ],
)
def test_every_version_of_the_interceptor_tells_of_a_route_in_its_own_way(labels: dict[str, str]) -> None:
    assert route_told(labels) in routes_of(http_scaled_object())
    assert route_told({"host": "serving/mistral"}) not in routes_of(http_scaled_object())
    assert "interceptor_pending_request_count|interceptor_pending_requests|interceptor_request_concurrency" in PENDING


def test_a_gateway_says_itself_for_whom_it_holds_requests() -> None:
    service = {"metadata": {"name": "gateway", "annotations": {HOLDS: "other/chat, serving/chat"}}}
    assert problem_of(service, "Service", LLAMA, ENDPOINT) == ""
    problem = problem_of({"metadata": {"name": "gateway"}}, "Service", LLAMA, ENDPOINT)
    assert f"annotate it with {HOLDS}: serving/chat" in problem


def test_knative_is_left_to_itself() -> None:
    assert "mode Recommend" in problem_of({"metadata": {"name": "llama"}}, "Service of Knative", LLAMA, ENDPOINT)


def test_a_holder_is_looked_for_where_it_may_be() -> None:
    assert paths(replace(HOLDER, namespace="keda"), "serving")[0] == (
        "/apis/http.keda.sh/v1beta1/namespaces/keda/interceptorroutes/llama",
        "InterceptorRoute",
    )
    assert paths(Holder(HolderKind.GATEWAY, "gw"), "serving") == [("/api/v1/namespaces/serving/services/gw", "Service")]
    assert missing(HOLDER, "serving") == "there is no InterceptorRoute or HTTPScaledObject llama in namespace serving"


def test_a_gateway_without_a_ready_pod_holds_nothing() -> None:
    assert not has_ready([{"endpoints": [{"conditions": {"ready": False}}]}, {}])
    assert has_ready([{"endpoints": [{"conditions": {"ready": False}}, {"conditions": {}}]}])
