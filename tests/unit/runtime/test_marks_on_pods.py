"""Marks on pods before a scale-down: what stands on the pods afterwards, and when nothing may be taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from gpucost.core.clock import DAY, MINUTE
from gpucost.core.model import Key, Owner, Pod
from gpucost.core.serving.least_used import DELETION_COST, MARK
from gpucost.core.serving.signals.model import Availability, Known, PodSignals, Signals
from gpucost.core.serving.spec import TargetRef
from gpucost.core.serving.state import ScaleTarget
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError
from gpucost.runtime.endpoints.least_used import LeastUsed, Postponed
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.world import Custom, World, custom_record
from gpucost.sources.reflector import Change

T0 = 20_000 * DAY


@dataclass
class Pods:
    """The pods of an API server: annotations by name."""

    notes: dict[str, dict[str, str]]
    forbidden: bool = False
    selectors: list[str] = field(default_factory=list)

    async def get(self, _path: str, params: Mapping[str, str]) -> dict[str, Any]:
        self.selectors.append(params["labelSelector"])
        metas = [{"uid": f"uid-{name}", "name": name, "annotations": dict(notes)} for name, notes in self.notes.items()]
        return {"items": [{"metadata": meta} for meta in metas]}

    async def merge(self, path: str, body: Mapping[str, Any], *, manager: str) -> None:
        if self.forbidden:
            raise ApiError(403, reason="Forbidden", message=f"{manager} cannot patch pods")
        name = path.rpartition("/")[2]
        assert body["metadata"]["uid"] == f"uid-{name}"
        for key, value in body["metadata"]["annotations"].items():
            if value is None:
                self.notes[name].pop(key, None)
            else:
                self.notes[name][key] = value


def record(**spec: Any) -> Custom:
    given = {"scaleTargetRef": {"name": "llama"}, "runtime": "vllm", "podDeletionCost": True, **spec}
    metadata = {"name": "llama", "namespace": "chat", "uid": "iep", "generation": 1}
    status = {"selector": "app=llama"}
    return custom_record({"kind": "InferenceEndpoint", "metadata": metadata, "spec": given, "status": status})


def signals(running: Mapping[str, float]) -> Signals:
    pods = {f"uid-{name}": PodSignals(name, running=Known(n, T0, n, n)) for name, n in running.items()}
    return Signals(T0, Availability.FOUND, "found", pods=pods)


def scene(
    pods: Pods, running: Mapping[str, float], owners: Mapping[str, str] | None = None, **spec: Any
) -> tuple[LeastUsed, Custom]:
    """Pods of one ReplicaSet, unless `owners` says otherwise, and what their server says."""
    world = World()
    endpoints = Endpoints(world)
    one = record(**spec)
    endpoints.changed(one)
    for name in pods.notes:
        owner = Owner("ReplicaSet", "llama-abc", (owners or {}).get(name, "rs"), "apps/v1")
        pod = Pod(f"uid-{name}", name, "chat", T0, owner=owner, labels={"pod-template-hash": "abc"}, ready_since=T0)
        world.pods[pod.uid] = pod
        endpoints.pod_changed(Change(None, pod))
    used = LeastUsed(cast("KubeClient", pods), endpoints, lambda _uid: signals(running))
    return used, one


def down(before: int, replicas: int) -> ScaleTarget:
    return ScaleTarget(Key("chat", "llama"), TargetRef("Deployment", "llama"), "d", "1", before, replicas, "", "")


def marked(pods: Pods) -> list[str]:
    return sorted(name for name, notes in pods.notes.items() if DELETION_COST in notes)


def test_those_that_answer_nobody_are_marked() -> None:
    pods = Pods({"a": {}, "b": {}, "c": {}})
    used, one = scene(pods, {"a": 2, "b": 0, "c": 0})
    asyncio.run(used.prepare(one, down(3, 2)))
    assert marked(pods) == ["b"]
    assert pods.notes["b"] == {DELETION_COST: "-1000", MARK: "true"}
    assert pods.selectors == ["app=llama"]


def test_a_mark_of_before_is_taken_back_and_a_users_mark_stays() -> None:
    pods = Pods({"a": {DELETION_COST: "-1000", MARK: "true"}, "b": {DELETION_COST: "7"}, "c": {}})
    used, one = scene(pods, {"a": 1, "b": 0, "c": 0})
    asyncio.run(used.prepare(one, down(3, 2)))
    assert marked(pods) == ["b", "c"]
    assert pods.notes["b"] == {DELETION_COST: "7"}


@pytest.mark.parametrize(("running", "why"), [({"a": 1, "b": 2}, "0 of 1"), ({"a": 1, "b": 0}, "")])
def test_nobody_goes_while_all_answer_somebody(running: dict[str, float], why: str) -> None:
    pods = Pods({"a": {}, "b": {}})
    used, one = scene(pods, running)
    if why:
        with pytest.raises(Postponed, match=why):
            asyncio.run(used.prepare(one, down(2, 1)))
        assert marked(pods) == []
    else:
        asyncio.run(used.prepare(one, down(2, 1)))
        assert marked(pods) == ["b"]


def test_without_the_right_nothing_is_taken_away_and_the_remedy_is_named() -> None:
    pods = Pods({"a": {}, "b": {}}, forbidden=True)
    used, one = scene(pods, {"a": 0, "b": 0})
    with pytest.raises(Postponed, match=r"endpoints\.podDeletionCost"):
        asyncio.run(used.prepare(one, down(2, 1)))
    unknown = replace(one, status={})
    with pytest.raises(Postponed, match="selector"):
        asyncio.run(used.prepare(unknown, down(2, 1)))


@pytest.mark.parametrize(
    ("change", "spec", "owners"),
    [
        (down(2, 3), {}, {}),
        (down(2, 0), {}, {}),
        (down(2, 1), {"podDeletionCost": False}, {}),
        (down(2, 1), {}, {"a": "old-rs"}),
    ],
)
def test_pods_are_left_alone_otherwise(change: ScaleTarget, spec: dict[str, Any], owners: dict[str, str]) -> None:
    """Upwards, to zero, without being asked, and during a rollout, in which each ReplicaSet chooses among its own."""
    pods = Pods({"a": {}, "b": {}}, forbidden=True)
    used, one = scene(pods, {"a": 1, "b": 1}, owners, **spec)
    asyncio.run(used.prepare(one, change))
    assert pods.selectors == []


def test_pods_that_somebody_has_spoken_for_do_not_keep_all_others_for_ever() -> None:
    pods = Pods({"a": {DELETION_COST: "7"}, "b": {DELETION_COST: "7"}, "c": {}, "d": {}})
    used, one = scene(pods, dict.fromkeys("abcd", 0))
    now = T0
    used.now = lambda: now
    read = used.endpoints.spec_of(one.key)
    assert read is not None
    found = used.endpoints.pods_of("chat", read.target)
    assert used.free(one, read, found) == 4, "nobody has read the annotations yet"
    with pytest.raises(Postponed, match="2 of 3"):
        asyncio.run(used.prepare(one, down(4, 1)))
    assert used.free(one, read, found) == 2
    asyncio.run(used.prepare(one, down(4, 2)))
    assert [pods.notes[name].get(MARK) for name in "abcd"] == [None, None, "true", "true"]
    now += 6 * MINUTE
    assert used.free(one, read, found) == 4


def test_how_many_are_free() -> None:
    pods = Pods({"a": {}, "b": {}, "c": {}})
    for spec, free in (({}, 2), ({"podDeletionCost": False}, None)):
        used, one = scene(pods, {"a": 1, "b": 0, "c": 0}, **spec)
        read = used.endpoints.specs[one.key].value
        assert read is not None
        found = used.endpoints.pods_of("chat", read.target)
        assert used.free(one, read, found) == free
