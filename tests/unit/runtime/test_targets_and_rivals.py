"""Who else sets replicas, what can be scaled, and what becomes of a write that is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from test_endpoint_advice import BEGIN, Scene, endpoint

from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.model import Key
from gpucost.core.serving.plan import plan
from gpucost.core.serving.spec import TargetRef
from gpucost.core.serving.state import EndpointState, Rival, ScaleTarget, Target, Unresolved
from gpucost.effects.apply import Result
from gpucost.effects.scaling import scale
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.endpoints.targets import Targets
from gpucost.runtime.world import custom_record
from gpucost.sources.autoscalers import Scaler, hpa_record, scaled_object_record
from gpucost.sources.reflector import Change

LLAMA = TargetRef("Deployment", "llama")
SCALE = {"metadata": {"uid": "dep", "resourceVersion": "7"}, "spec": {"replicas": 3}, "status": {"selector": "app=l"}}
KINDS = {"resources": [{"name": "deployments", "kind": "Deployment"}, {"name": "deployments/scale", "kind": "Scale"}]}


class Server:
    """Answers by path; an error is raised."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers, self.asked = dict(answers), list[str]()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        del params
        self.asked.append(path)
        found = self.answers.get(path, ApiError(404))
        if isinstance(found, Exception):
            raise found
        return found

    async def merge(self, path: str, body: Mapping[str, Any], *, manager: str) -> Any:
        assert manager == "gpucost-scale"
        assert body["metadata"] == {"uid": "dep", "resourceVersion": "7"}
        return await self.get(path)


def scaler(kind: str, name: str = "theirs", owner: str = "", target: str = "llama") -> Scaler:
    metadata: dict[str, Any] = {"uid": f"{kind}/{name}", "name": name, "namespace": "chat"}
    if owner:
        reference = {"kind": "ScaledObject", "name": owner, "uid": owner, "apiVersion": "keda.sh/v1alpha1"}
        metadata["ownerReferences"] = [{**reference, "controller": True}]
    ref = (
        {"name": target} if kind == "ScaledObject" else {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    )
    read = scaled_object_record if kind == "ScaledObject" else hpa_record
    return read({"metadata": metadata, "spec": {"scaleTargetRef": ref}})


def rivals(scene: Scene, key: Key = Key("chat", "llama")) -> tuple[Rival, ...]:  # noqa: B008
    spec = scene.endpoints.specs[key].value
    assert spec is not None
    return scene.endpoints.rivals(scene.endpoints.records[key], spec)


def test_an_autoscaler_that_keda_has_made_is_told_by_its_scaled_object_once() -> None:
    scene = Scene()
    scene.endpoints.scaler_changed(Change(None, scaler("ScaledObject", "chat-scaler")))
    hpa = scaler("HorizontalPodAutoscaler", "keda-hpa-chat-scaler", owner="chat-scaler")
    scene.endpoints.scaler_changed(Change(None, hpa))
    assert rivals(scene) == (Rival("ScaledObject", "chat-scaler"),)


def test_an_autoscaler_that_comes_goes_or_turns_elsewhere_is_noticed_at_once() -> None:
    scene = Scene()
    mine, other = scaler("HorizontalPodAutoscaler"), scaler("HorizontalPodAutoscaler", target="mistral")
    scene.marked.clear()
    scene.endpoints.scaler_changed(Change(None, mine))
    assert rivals(scene) == (Rival("HorizontalPodAutoscaler", "theirs"),)
    scene.endpoints.scaler_changed(Change(mine, other))
    assert rivals(scene) == ()
    scene.endpoints.scaler_changed(Change(other, mine))
    scene.endpoints.scaler_changed(Change(mine, None))
    assert rivals(scene) == ()
    assert scene.marked == [Key("chat", "llama")] * 4


def test_of_two_endpoints_the_older_one_scales_and_the_other_follows_when_it_goes() -> None:
    scene = Scene()
    bodies = [endpoint(mode="Auto"), endpoint(mode="Auto")]
    bodies[1]["metadata"] |= {"name": "younger", "uid": "iep-2", "creationTimestamp": "2026-12-01T00:00:00Z"}
    for body in bodies:
        scene.endpoints.changed(custom_record(body))
    younger = Key("chat", "younger")
    assert rivals(scene) == ()
    assert rivals(scene, younger) == (Rival("InferenceEndpoint", "llama"),)
    scene.marked.clear()
    scene.endpoints.gone(Key("chat", "llama"))
    assert rivals(scene, younger) == ()
    assert younger in scene.marked


def test_a_pod_that_loses_its_owner_is_no_replica_any_more() -> None:
    scene = Scene()
    scene.pods(2)
    pod = scene.world.pods["pod-0"]
    orphan = replace(pod, owner=None)
    scene.world.pods[pod.uid] = orphan
    scene.endpoints.pod_changed(Change(pod, orphan))
    assert [one.name for one in scene.endpoints.pods_of("chat", LLAMA)] == ["llama-1"]


def test_nothing_is_set_before_it_is_known_who_else_sets_it() -> None:
    scene = Scene()
    scene.endpoints.changed(custom_record(endpoint(mode="Auto", minReplicas=5)))
    spec = scene.endpoints.specs[Key("chat", "llama")].value
    state = EndpointState(Key("chat", "llama"), "iep", 1, spec, target=Target("dep", "7", 3), rivals=None)
    decision = plan(state, BEGIN)
    assert decision.action is None
    assert decision.conditions[0].reason == "RivalsUnknown"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ApiError(404), "TargetNotFound"),
        (ApiError(403, message="deployments.apps/scale is forbidden"), "Forbidden"),
        (ApiError(500), "Unreachable"),
        (Unreachable("no answer"), "Unreachable"),
    ],
)
def test_a_scale_that_cannot_be_read_is_told_by_its_reason(answer: Exception, reason: str) -> None:
    path = "/apis/apps/v1/namespaces/chat/deployments/llama/scale"
    targets = Targets(Server({"/apis/apps/v1": KINDS, path: answer}), lambda: BEGIN)  # type: ignore[arg-type]
    found = asyncio.run(targets.look(LLAMA, "chat"))
    assert isinstance(found, Unresolved)
    assert found.reason == reason


def test_kinds_are_asked_for_once_and_absent_ones_again_soon() -> None:
    now = BEGIN
    path = "/apis/apps/v1/namespaces/chat/deployments/llama/scale"
    server = Server({path: SCALE})
    targets = Targets(server, lambda: now)  # type: ignore[arg-type]
    absent = asyncio.run(targets.look(LLAMA, "chat"))
    assert isinstance(absent, Unresolved)
    assert absent.reason == "KindNotInstalled"
    server.answers["/apis/apps/v1"] = KINDS
    now += MINUTE
    for _ in range(3):
        assert asyncio.run(targets.look(LLAMA, "chat")) == Target("dep", "7", 3, "app=l")
    assert server.asked.count("/apis/apps/v1") == 2


def test_a_workload_that_is_missing_takes_its_kind_from_nobody() -> None:
    now = BEGIN
    found = "/apis/apps/v1/namespaces/chat/deployments/llama/scale"
    server = Server({"/apis/apps/v1": KINDS, found: SCALE})
    targets = Targets(server, lambda: now)  # type: ignore[arg-type]
    assert isinstance(asyncio.run(targets.look(LLAMA, "chat")), Target)
    for _ in range(4):
        now += 10 * SECOND
        assert isinstance(asyncio.run(targets.look(TargetRef("Deployment", "missing"), "chat")), Unresolved)
        assert targets.path(LLAMA, "chat") == found.removesuffix("/scale")
    assert server.asked.count("/apis/apps/v1") == 2, "it is asked for again, but not each time"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({}, Result.APPLIED),
        (ApiError(409, message="the object has been modified"), Result.CONFLICT),
        (ApiError(404), Result.CONFLICT),
        (ApiError(403, message="forbidden"), Result.FORBIDDEN),
        (ApiError(403, message="namespace chat is being terminated"), Result.ENDING),
        (ApiError(403, causes=("metadata.namespace: namespace chat is being terminated",)), Result.ENDING),
        (ApiError(422, message="replicas"), Result.REJECTED),
        (ApiError(503), Result.FAILED),
        (Unreachable("no answer"), Result.FAILED),
    ],
)
def test_a_write_that_is_refused_is_told_apart_by_what_to_do_next(answer: Any, result: Result) -> None:
    action = ScaleTarget(Key("chat", "llama"), LLAMA, "dep", "7", 3, 5, "RisingLoad", "")
    server = Server({"/x/scale": answer})
    assert asyncio.run(scale(server, "/x", action))[0] is result  # type: ignore[arg-type]
