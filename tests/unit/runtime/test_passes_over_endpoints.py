"""A pass over an endpoint, and what others change while it waits for the API server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from test_endpoint_advice import BEGIN, Scene, endpoint
from test_targets_and_rivals import KINDS

from gpucost.core.model import Key
from gpucost.core.serving.behavior import Past
from gpucost.core.serving.state import Measured, Wish
from gpucost.kube.errors import ApiError
from gpucost.runtime.endpoints.controller import EndpointController
from gpucost.runtime.endpoints.reporting import StatusWriter
from gpucost.runtime.endpoints.targets import Targets
from gpucost.runtime.metrics import Figures
from gpucost.runtime.queue import DirtyKeys
from gpucost.runtime.world import custom_record

LLAMA = Key("chat", "llama")
SCALE = "/apis/apps/v1/namespaces/chat/deployments/llama/scale"


class Cluster:
    """One Deployment with 3 replicas; somebody may do something just before its scale is told."""

    def __init__(self) -> None:
        self.replicas = 3
        self.status: Mapping[str, Any] = {}
        self.meanwhile: Callable[[], None] = lambda: None

    async def get(self, path: str, _params: Mapping[str, str] | None = None) -> Any:
        if path == "/apis/apps/v1":
            return KINDS
        if path != SCALE:
            raise ApiError(404)
        self.meanwhile()
        return {"metadata": {"uid": "dep", "resourceVersion": "7"}, "spec": {"replicas": self.replicas}}

    async def merge(self, path: str, body: Mapping[str, Any], *, manager: str) -> Any:
        assert (path, manager) == (SCALE, "gpucost-scale")
        self.replicas = body["spec"]["replicas"]
        return {}

    async def apply(self, _path: str, body: Mapping[str, Any], *, manager: str, force: bool = False) -> Any:
        del manager, force
        self.status = body["status"]
        return {}

    async def create(self, _path: str, _body: Mapping[str, Any], *, manager: str) -> Any:
        del manager
        return {}


def controller(scene: Scene, cluster: Cluster, **spec: Any) -> EndpointController:
    client: Any = cluster
    queue, figures = DirtyKeys(lambda: BEGIN), Figures()
    scene.endpoints.on_dirty = queue.mark
    scene.endpoints.changed(custom_record(endpoint(mode="Auto", **spec)))
    return EndpointController(
        endpoints=scene.endpoints,
        client=client,
        queue=queue,
        figures=figures,
        now=lambda: BEGIN,
        targets=Targets(client, lambda: BEGIN),
        writer=StatusWriter(client, figures, lambda: BEGIN, queue.mark),
        load_of=lambda _uid: (Measured(True, "MetricsFound", ""), Wish(5, "RisingLoad", "")),
    )


async def test_a_pass_sets_what_is_asked_for() -> None:
    cluster = Cluster()
    await controller(Scene(), cluster).process(LLAMA)
    assert cluster.replicas == 5


async def test_who_turns_it_off_or_pauses_it_while_the_workload_is_looked_at_is_heard() -> None:
    paused = endpoint(mode="Auto")
    paused["metadata"] |= {"annotations": {"gpucost.dev/paused": "true"}}
    for now_asked in (endpoint(mode="Off"), endpoint(mode="Recommend"), paused):
        scene, cluster = Scene(), Cluster()
        found = controller(scene, cluster)
        cluster.meanwhile = lambda body=now_asked, scene=scene: scene.endpoints.changed(custom_record(body))  # type: ignore[misc]
        await found.process(LLAMA)
        assert cluster.replicas == 3
        assert await found.queue.take() == LLAMA, "it is looked at again"


async def test_who_writes_other_annotations_all_the_time_keeps_nothing_from_being_set() -> None:
    woken = endpoint(mode="Auto")
    woken["metadata"] |= {"annotations": {"gpucost.dev/wake": "2026-11-30T00:00:00Z"}}
    scene, cluster = Scene(), Cluster()
    found = controller(scene, cluster)
    cluster.meanwhile = lambda: scene.endpoints.changed(custom_record(woken))
    await found.process(LLAMA)
    assert cluster.replicas == 5


async def test_what_was_recommended_for_another_workload_is_forgotten() -> None:
    scene, cluster = Scene(), Cluster()
    found = controller(scene, cluster)
    await found.process(LLAMA)
    assert found.pasts["iep"].steps
    scene.endpoints.changed(custom_record(endpoint(mode="Auto", scaleTargetRef={"name": "mistral"})))
    await found.process(LLAMA)
    assert found.pasts["iep"] == Past()


async def test_who_goes_along_with_a_pass_and_fails_voids_nothing() -> None:
    cluster = Cluster()
    found = controller(Scene(), cluster)

    def fail(*_args: Any) -> Any:
        raise ArithmeticError("no sum")

    found.watchers.append(fail)
    found.after_scaling.append(fail)
    found.news.append(fail)
    found.demand_of = fail
    await found.process(LLAMA)
    assert cluster.replicas == 5
    assert cluster.status["scalingHistory"][0]["after"] == 5
    assert found.figures.errors["serving"] == 4


async def test_what_sleeps_is_woken_up_when_nobody_can_tell_whether_it_may() -> None:
    cluster, zero = Cluster(), {"enabled": True, "holder": {"type": "Gateway", "name": "gateway"}}
    found = controller(Scene(), cluster, scaleToZero=zero)
    cluster.replicas = 0

    def fail(*_args: Any) -> Any:
        raise ArithmeticError("no sum")

    found.demand_of = fail
    await found.process(LLAMA)
    assert cluster.replicas == 1


async def test_an_endpoint_that_is_deleted_meanwhile_sets_nothing() -> None:
    scene, cluster = Scene(), Cluster()
    found = controller(scene, cluster)
    cluster.meanwhile = lambda: scene.endpoints.gone(LLAMA)
    await found.process(LLAMA)
    assert cluster.replicas == 3
    assert found.figures.errors["serving"] == 0
