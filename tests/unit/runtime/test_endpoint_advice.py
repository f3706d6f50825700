"""From looks at the metrics to the number of replicas: the policy steps at its own pace, and unknown is no number."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.model import Key, Owner, Pod
from gpucost.core.serving.signals.model import Asked, Availability, Evidence, Known, ReplicaCapacity, Signals
from gpucost.core.serving.state import Measured, Wish
from gpucost.runtime.endpoints.advisor import Advisor
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.world import World, custom_record
from gpucost.sources.reflector import Change

BEGIN = 1_000_000 * MINUTE


def endpoint(**spec: Any) -> dict[str, Any]:
    return {
        "kind": "InferenceEndpoint",
        "metadata": {"name": "llama", "namespace": "chat", "uid": "iep", "creationTimestamp": "2026-11-30T00:00:00Z"},
        "spec": {"scaleTargetRef": {"name": "llama"}, "runtime": "vllm", **spec},
    }


@dataclass
class Scene:
    """One endpoint with pods that are ready."""

    now: int = BEGIN
    world: World = field(default_factory=World)
    marked: list[Key] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.endpoints = Endpoints(self.world, on_dirty=self.marked.append)
        self.endpoints.changed(custom_record(endpoint(capacity={"requestsPerSecond": "10"})))
        self.advisor = Advisor(self.endpoints, lambda: self.now, self.marked.append)

    def pods(self, count: int) -> None:
        for number in range(count):
            pod = Pod(
                f"pod-{number}",
                f"llama-{number}",
                "chat",
                created=BEGIN - 10 * MINUTE,
                owner=Owner("ReplicaSet", "llama-abc", "rs"),
                labels={"pod-template-hash": "abc"},
                ready_since=BEGIN - 9 * MINUTE,
            )
            self.world.pods[pod.uid] = pod
            self.endpoints.pod_changed(Change(None, pod))

    @property
    def asked(self) -> Asked:
        [asked] = self.advisor.asked()
        return asked

    def hear(
        self,
        rate: float,
        capacity: ReplicaCapacity = ReplicaCapacity(),  # noqa: B008
        *,
        behind: int = 0,
    ) -> tuple[Measured, Wish | None]:
        at = self.now - behind
        value, waiting = Known(rate, at, rate, rate), Known(0.0, at, 0.0, 0.0)
        found = Signals(
            self.now, Availability.FOUND, "", arrived=value, served=value, waiting=waiting, capacity=capacity
        )
        self.advisor.heard(self.asked, found)
        return self.advisor.of("iep")


def test_pods_of_the_workload_are_asked_about_and_those_of_others_are_not() -> None:
    scene = Scene()
    scene.pods(3)
    stranger = Pod("other", "other-0", "chat", BEGIN, owner=Owner("StatefulSet", "other", "sts"))
    scene.world.pods[stranger.uid] = stranger
    scene.endpoints.pod_changed(Change(None, stranger))
    assert [pod.name for pod in scene.asked.pods] == ["llama-0", "llama-1", "llama-2"]


def test_more_load_asks_for_more_and_marks_the_endpoint() -> None:
    scene = Scene()
    scene.pods(3)
    scene.marked.clear()
    measured, calm = scene.hear(12.0)
    assert measured.known
    assert calm is not None
    assert scene.marked == [Key("chat", "llama")]
    for _ in range(8):
        scene.now += 15 * SECOND
        _, wish = scene.hear(95.0)
    assert wish is not None
    assert wish.replicas >= 10, "95 requests a second at 10 for each replica"
    assert wish.reason in {"RisingLoad", "DrainingQueue"}


def test_looks_that_come_faster_than_the_steps_are_not_all_taken_in() -> None:
    scene = Scene()
    scene.pods(3)
    _, first = scene.hear(12.0)
    scene.now += 2 * SECOND
    assert scene.hear(95.0)[1] is first
    scene.now += 13 * SECOND
    assert scene.hear(95.0)[1] is not first


def test_the_specification_goes_before_what_was_learned_and_without_either_nothing_is_recommended() -> None:
    scene = Scene()
    scene.pods(3)
    scene.endpoints.changed(custom_record(endpoint()))
    measured, wish = scene.hear(12.0)
    assert wish is None
    assert "capacity.requestsPerSecond" in measured.lacking
    learned = ReplicaCapacity(Evidence.SATURATED, requests_per_second=4.0, confidence=0.8)
    scene.now += 15 * SECOND
    measured, wish = scene.hear(12.0, learned)
    assert wish is not None
    assert (wish.replicas >= 3, wish.confidence) == (True, "High")


def test_before_a_capacity_is_known_full_replicas_get_one_more_unless_it_comes_already() -> None:
    scene = Scene()
    scene.pods(2)
    scene.endpoints.changed(custom_record(endpoint()))
    value = Known(12.0, scene.now, 12.0, 12.0)

    def hear(*full: str) -> Wish | None:
        found = Signals(scene.now, Availability.FOUND, "", arrived=value, saturated=full)
        scene.advisor.heard(scene.asked, found)
        return scene.advisor.of("iep")[1]

    assert hear("llama-0") is None
    more = hear("llama-0", "llama-1")
    assert more is not None
    assert (more.replicas, more.reason) == (3, "AllReplicasFull")
    scene.pods(2)
    starting = Pod("new", "llama-9", "chat", scene.now, owner=Owner("ReplicaSet", "llama-abc", "rs"))
    starting = replace(starting, labels={"pod-template-hash": "abc"})
    scene.world.pods[starting.uid] = starting
    scene.endpoints.pod_changed(Change(None, starting))
    assert hear("llama-0", "llama-1") is None


def test_of_own_queries_arrivals_are_enough_but_one_that_was_asked_for_and_is_missing_is_not_zero() -> None:
    scene = Scene()
    scene.pods(1)
    value = Known(35.0, scene.now, 35.0, 35.0)
    found = Signals(scene.now, Availability.FOUND, "", arrived=value)
    own = {"requestsPerSecond": "a"}
    given = {"runtime": "custom", "capacity": {"requestsPerSecond": "10"}}
    scene.endpoints.changed(custom_record(endpoint(**given, metrics={"queries": {**own, "waiting": "w"}})))
    scene.advisor.heard(scene.asked, found)
    assert scene.advisor.of("iep")[1] is None
    scene.endpoints.changed(custom_record(endpoint(**given, metrics={"queries": own})))
    scene.advisor.heard(scene.asked, found)
    wish = scene.advisor.of("iep")[1]
    assert wish is not None
    assert wish.replicas >= 3


def test_a_figure_that_goes_missing_ends_what_was_asked_for_before() -> None:
    scene = Scene()
    scene.pods(3)
    assert scene.hear(12.0)[1] is not None
    scene.now += 15 * SECOND
    arrived = Known(12.0, scene.now, 12.0, 12.0)
    found = Signals(scene.now, Availability.FOUND, "", arrived=arrived, waiting=Known(0.0, scene.now, 0.0, 0.0))
    scene.advisor.heard(scene.asked, found)
    measured, wish = scene.advisor.of("iep")
    assert wish is None
    assert measured.lacking == "how many requests are served is not known"


def test_what_is_not_known_is_passed_on_with_its_reason() -> None:
    scene = Scene()
    nothing = Signals(BEGIN, Availability.STALE, "10 minutes old", frozen="stale", unknown_since=BEGIN - MINUTE)
    scene.advisor.heard(scene.asked, nothing)
    measured, wish = scene.advisor.of("iep")
    assert wish is None
    assert (measured.known, measured.reason, measured.since) == (False, "MetricsStale", BEGIN - MINUTE)


def test_what_was_learned_survives_and_what_is_gone_is_forgotten() -> None:
    scene = Scene()
    scene.pods(3)
    for _ in range(5):
        scene.hear(12.0)
        scene.now += 15 * SECOND
    kept = scene.advisor.learned()
    other = Scene(now=scene.now)
    other.pods(3)
    other.advisor.load(kept)
    assert other.advisor.learned() == kept
    scene.endpoints.gone(Key("chat", "llama"))
    scene.advisor.asked()
    assert scene.advisor.learned() == {}
    assert scene.advisor.of("iep")[1] is None


def test_what_cannot_be_read_or_gone_on_from_is_learned_anew() -> None:
    scene = Scene()
    scene.pods(3)
    scene.hear(12.0)
    document = scene.advisor.learned()["iep"]
    for broken in ({**document, "times": []}, {**document, "learned": {}}, {**document, "learned": {"level": []}}):
        other = Scene()
        other.advisor.load({"iep": broken, "other": document})
        assert set(other.advisor.states) == {"other"}
    scene.advisor.states["iep"] = object()
    scene.now += 15 * SECOND
    with pytest.raises(AttributeError):
        scene.hear(12.0)
    scene.now += 15 * SECOND
    assert scene.hear(12.0)[1] is not None


def test_scrapes_that_come_early_or_late_do_not_make_the_policy_begin_anew() -> None:
    scene = Scene()
    scene.pods(3)
    for look in range(40):
        scene.now += 15 * SECOND
        scene.hear(12.0, behind=(2 if look % 3 else 11) * SECOND)
    assert scene.advisor.states["iep"].step >= 39
    times = scene.advisor.states["iep"].times
    for _ in range(25):
        scene.now += 15 * SECOND
        scene.hear(12.0, behind=31 * SECOND)
    assert scene.advisor.states["iep"].times.age > times.age, "metrics that are always older are reckoned with"


def test_a_ready_time_that_is_measured_a_little_differently_is_the_same_ready_time() -> None:
    scene = Scene()
    scene.pods(3)
    measured = iter([180, 170, 178, 150, 180, 181, 179, 200, 175, 190])
    scene.advisor.ready_time_of = lambda _uid: next(measured) * SECOND
    for _ in range(10):
        scene.now += 15 * SECOND
        scene.hear(12.0)
    assert scene.advisor.states["iep"].step == 5, "it began anew once: when 180 s were passed"
