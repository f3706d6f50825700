"""Whose pods are those of kinds that are not watched, what is a replica of them, and what one costs."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import pytest
from test_endpoint_advice import BEGIN, endpoint
from test_targets_and_rivals import Server

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.model import Key, Owner, Pod, Workload
from gpucost.core.money import PICO
from gpucost.core.owners import SET_NAME, WORKER_INDEX
from gpucost.core.report import Amounts, Row
from gpucost.core.serving.makers import OWNER_LEAVES
from gpucost.core.serving.plan import plan
from gpucost.core.serving.signals.model import Asked, Availability, Known, PodSignals, Signals, Work
from gpucost.core.serving.spec import TargetRef
from gpucost.core.serving.state import EndpointState, Rival, Target
from gpucost.core.serving.work_hours import look
from gpucost.core.timeline import Interval
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.endpoints import dryrun
from gpucost.runtime.endpoints.advisor import Advisor
from gpucost.runtime.endpoints.makers import Makers
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.endpoints.targets import Targets
from gpucost.runtime.endpoints.unit_costs import replica_hourly
from gpucost.runtime.world import World, custom_record
from gpucost.sources.reflector import Change

SETS = TargetRef("LeaderWorkerSet", "big", "leaderworkerset.x-k8s.io/v1")
SERVERS = TargetRef("Server", "odd", "servers.example.com/v1")


def ref(target: TargetRef) -> dict[str, str]:
    return {"apiVersion": target.api_version, "kind": target.kind, "name": target.name}


@dataclass
class Scene:
    """One endpoint over some workload."""

    target: TargetRef
    world: World = field(default_factory=World)
    marked: list[Key] = field(default_factory=list)
    claimed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.on_claimed = self.claimed.extend
        self.endpoints = Endpoints(self.world, on_dirty=self.marked.append)
        body = endpoint(scaleTargetRef=ref(self.target), mode="Auto", capacity={"requestsPerSecond": "10"})
        self.endpoints.changed(custom_record(body))
        self.marked.clear()

    def pod(self, name: str, owner: Owner, *, ready: bool = True, **labels: str) -> Pod:
        pod = Pod(
            f"uid-{name}", name, "chat", BEGIN - HOUR, owner=owner, labels=labels,
            ready_since=BEGIN - MINUTE if ready else None,
        )  # fmt: skip
        self.world.pods[pod.uid] = pod
        self.endpoints.pod_changed(Change(None, pod))
        return pod

    def group(self, number: int, size: int = 4) -> None:
        """A leader and its workers."""
        for place in range(size):
            of = Owner("StatefulSet", f"big-{number}" if place else "big", f"sts-{number if place else ''}")
            labels = {SET_NAME: "big", WORKER_INDEX: str(place)}
            self.pod(f"big-{number}" + (f"-{place}" if place else ""), of, **labels)

    @property
    def names(self) -> list[str]:
        return [pod.name for pod in self.endpoints.pods_of("chat", self.target)]


# --- groups -----------------------------------------------------------------------------------------------------------


def test_pods_of_groups_are_the_set_s_and_their_leaders_are_its_replicas() -> None:
    scene = Scene(SETS)
    scene.group(0)
    scene.group(1)
    assert len(scene.names) == 8
    assert [pod.name for pod in scene.endpoints.replicas_of("chat", SETS)] == ["big-0", "big-1"]
    assert scene.endpoints.group_size("chat", SETS) == 4
    assert scene.marked == [Key("chat", "llama")] * 8, "each pod of a kind that is not built in has it looked at"
    [asked] = Advisor(scene.endpoints, lambda: BEGIN, lambda _key: None).asked()
    assert [pod.name for pod in asked.pods] == ["big-0", "big-1"], "only leaders are expected to speak"


def test_the_size_of_groups_is_known_while_there_are_none_and_forgotten_with_single_pods() -> None:
    scene = Scene(SETS)
    assert scene.endpoints.group_size("chat", SETS) == 1
    scene.group(0, 3)
    assert scene.endpoints.group_size("chat", SETS) == 3
    for pod in list(scene.world.pods.values()):
        del scene.world.pods[pod.uid]
        scene.endpoints.pod_changed(Change(pod, None))
    assert scene.endpoints.group_size("chat", SETS) == 3
    scene.group(0, 1)
    assert scene.endpoints.group_size("chat", SETS) == 1


def test_a_replica_costs_what_all_its_pods_cost() -> None:
    row = Row("k", Amounts(cost=40 * PICO, held_time=10 * HOUR), hourly=24 * PICO, pods=8)
    assert replica_hourly(row, Fraction(4)) == 12 * PICO
    assert replica_hourly(replace(row, pods=0), Fraction(4)) == 16 * PICO
    assert replica_hourly(row) == 3 * PICO


def test_what_a_leader_does_its_whole_group_does() -> None:
    """Two groups of four pods, one of which works: half of eight pod-hours are idle, and a third group has begun."""
    known = Known(1.0, BEGIN, 1.0, 1.0)
    pods = {"a": PodSignals("a", running=known), "b": PodSignals("b", running=replace(known, value=0.0))}
    start = BEGIN // HOUR * HOUR
    seen = Signals(start + MINUTE, Availability.FOUND, "", pods=pods, since=start, work=Work(requests=1.0))
    [done] = look(seen, {"new": Interval(start, start + 30 * SECOND)}, Fraction(4)).values()
    assert (done.busy, done.idle, done.starting) == (4 * MINUTE, 4 * MINUTE, 2 * MINUTE)


# --- by the selector --------------------------------------------------------------------------------------------------


def test_pods_that_no_owner_leads_to_are_those_that_the_selector_finds_and_are_booked_there() -> None:
    scene = Scene(SERVERS)
    inner = Owner("StatefulSet", "odd-inner", "sts")
    selected = [scene.pod(f"odd-{n}", inner) for n in range(2)]
    assert scene.names == []
    assert not scene.endpoints.is_owned("chat", SERVERS)
    scene.endpoints.adopt("chat", SERVERS, selected)
    assert scene.names == ["odd-0", "odd-1"]
    assert scene.claimed == ["uid-odd-0", "uid-odd-1"]
    assert scene.world.workload_of(selected[0]) == Workload("Server", "odd")
    scene.endpoints.adopt("chat", SERVERS, selected)
    assert len(scene.claimed) == 2, "once"
    assert not scene.endpoints.is_owned("chat", SERVERS), "so that new ones are looked for"
    changed = replace(selected[0], ready_since=None)
    scene.marked.clear()
    scene.world.pods[changed.uid] = changed
    scene.endpoints.pod_changed(Change(selected[0], changed))
    assert scene.marked == [Key("chat", "llama")]
    for pod in selected:
        scene.endpoints.pod_changed(Change(pod, None))
    assert (scene.names, scene.world.adopted) == ([], {})


def test_a_selector_takes_no_pods_of_runs_nor_of_another_endpoint_s_workload() -> None:
    scene = Scene(SERVERS)
    other = endpoint(scaleTargetRef={"kind": "Deployment", "name": "llama"})
    other["metadata"] |= {"name": "second", "uid": "iep-2"}
    scene.endpoints.changed(custom_record(other))
    theirs = scene.pod("llama-0", Owner("ReplicaSet", "llama-abc", "rs"), **{"pod-template-hash": "abc"})
    run = Pod("uid-run", "run", "chat", BEGIN, owner=Owner("Job", "bert", "job"))
    bare = Pod("uid-bare", "bare", "chat", BEGIN)
    scene.endpoints.adopt("chat", SERVERS, [theirs, run, bare])
    assert (scene.names, scene.claimed) == ([], [])


def test_pods_that_the_workload_owns_itself_need_no_selector() -> None:
    scene = Scene(SERVERS)
    scene.pod("odd-0", Owner("Server", "odd", "srv", "servers.example.com/v1"))
    assert scene.endpoints.is_owned("chat", SERVERS)
    assert scene.names == ["odd-0"]


# --- who has made it --------------------------------------------------------------------------------------------------

PATH = "/apis/apps/v1/namespaces/chat/deployments/llama"
LLAMA = TargetRef("Deployment", "llama")


def owned(kind: str = "", version: str = "") -> dict[str, Any]:
    reference = {"kind": kind, "name": "theirs", "uid": "o", "apiVersion": version, "controller": True}
    return {"metadata": {"name": "llama", "ownerReferences": [reference] if kind else []}}


@dataclass
class Made:
    """One endpoint over a Deployment that the API server shows with some owner."""

    answer: Any
    now: int = BEGIN

    def __post_init__(self) -> None:
        self.scene = Scene(LLAMA)
        self.server = Server({PATH: self.answer})
        self.makers = Makers(self.server, self.scene.endpoints, lambda: self.now)  # type: ignore[arg-type]

    def look(self, uid: str = "dep", **annotations: str) -> tuple[str, tuple[Rival, ...]]:
        unseen = asyncio.run(self.makers.look(PATH, "chat", LLAMA, Target(uid, "7", 3)))
        record = self.scene.endpoints.records[Key("chat", "llama")]
        spec = self.scene.endpoints.spec_of(record.key)
        assert spec is not None
        return unseen, self.scene.endpoints.rivals(replace(record, annotations=annotations), spec)


@pytest.mark.parametrize(
    ("kind", "version", "certain"),
    [
        ("Revision", "serving.knative.dev/v1", True),
        ("LeaderWorkerSet", "leaderworkerset.x-k8s.io/v1", True),
        ("InferenceService", "serving.kserve.io/v1beta1", False),
    ],
)
def test_the_owner_of_a_workload_sets_its_replicas_unless_it_is_said_that_it_does_not(
    kind: str, version: str, certain: bool
) -> None:
    made = Made(owned(kind, version))
    rival = Rival(kind, "theirs", made=True, certain=certain)
    assert made.look() == ("", (rival,))
    leaves = {OWNER_LEAVES: "true"}
    assert made.look(**leaves) == ("", (rival,) if certain else ())
    assert made.server.asked == [PATH], "an owner is there from the beginning"
    made.server.answers[PATH] = owned()
    assert made.look("another") == ("", ()), "another workload of the name is read at once"
    made.server.answers[PATH] = owned(kind, version)
    made.now += 5 * MINUTE
    assert made.look("another") == ("", (rival,))


@pytest.mark.parametrize("answer", [ApiError(403, message="no"), ApiError(500), Unreachable("no answer")])
def test_nothing_is_set_while_nobody_can_tell_who_owns_it(answer: Exception) -> None:
    made = Made(answer)
    unseen, _ = made.look()
    assert "Deployment/llama" in unseen
    spec = made.scene.endpoints.spec_of(Key("chat", "llama"))
    state = EndpointState(
        Key("chat", "llama"), "iep", 1, spec, target=Target("dep", "7", 30), rivals=None, unseen=unseen
    )
    ready = plan(state, BEGIN).conditions[0]
    assert (ready.reason, ready.message.startswith(unseen)) == ("RivalsUnknown", True)


def test_makers_of_workloads_that_nobody_asks_about_are_forgotten() -> None:
    made = Made(owned("Revision", "serving.knative.dev/v1"))
    made.look()
    made.scene.endpoints.gone(Key("chat", "llama"))
    other = Target("other", "7", 3)
    made.server.answers["/other"] = owned()
    asyncio.run(made.makers.look("/other", "chat", SERVERS, other))
    assert made.scene.endpoints.makers == {}


# --- a dry run --------------------------------------------------------------------------------------------------------


@dataclass
class Feed:
    """A feed whose first looks tell no rate."""

    first: int
    now_: int = BEGIN
    every: int = 1
    looks: int = 0

    def now(self) -> int:
        return self.now_

    async def once(self) -> None:
        self.looks += 1
        self.now_ += 15 * SECOND

    def asked(self) -> list[Asked]:
        [asked] = Advisor(Scene(LLAMA).endpoints, lambda: BEGIN, lambda _key: None).asked()
        return [asked]

    def of(self, _uid: str) -> Signals:
        there = Availability.LEARNING if self.looks <= self.first else Availability.FOUND
        value = Known(35.0, BEGIN, 35.0, 35.0)
        return Signals(self.now_, there, "first look", arrived=value, waiting=replace(value, value=3.0))


@pytest.mark.parametrize(("first", "looks"), [(0, 1), (1, 2), (99, 6)])
async def test_a_dry_run_looks_until_rates_are_known_and_not_for_ever(first: int, looks: int) -> None:
    feed = Feed(first)
    await dryrun.look(feed)  # type: ignore[arg-type]
    assert feed.looks == looks


@dataclass
class Controller:
    """Gathers one state."""

    endpoints: Endpoints
    state: EndpointState

    def now(self) -> int:
        return BEGIN

    async def gather(self, _record: Any) -> EndpointState:
        return self.state


async def test_a_dry_run_tells_the_load_beside_what_it_would_do() -> None:
    scene = Scene(LLAMA)
    spec = scene.endpoints.spec_of(Key("chat", "llama"))
    state = EndpointState(Key("chat", "llama"), "iep", 1, spec, target=Target("dep", "7", 3))
    out = io.StringIO()
    for first in (0, 99):
        feed = Feed(first, looks=1)
        await dryrun.print_endpoints(Controller(scene.endpoints, state), out, feed.of)  # type: ignore[arg-type]
    text = out.getvalue()
    assert "chat/llama: nothing to do: MetricsMissing (3 replicas)" in text
    assert "    load: 35.00 requests/s arrive, 3 wait\n    capacity: not known\n" in text
    assert "    load unknown (FirstLook): first look\n" in text


def test_the_targets_look_at_any_kind() -> None:
    kinds = {"resources": [{"name": "servers", "kind": "Server"}, {"name": "servers/scale", "kind": "Scale"}]}
    where = "/apis/servers.example.com/v1"
    scale = {"metadata": {"uid": "s", "resourceVersion": "1"}, "spec": {"replicas": 2}, "status": {"selector": "a=b"}}
    server = Server({where: kinds, f"{where}/namespaces/chat/servers/odd/scale": scale})
    targets = Targets(server, lambda: BEGIN)  # type: ignore[arg-type]
    assert asyncio.run(targets.look(SERVERS, "chat")) == Target("s", "1", 2, "a=b")
    assert targets.path(SERVERS, "chat") == f"{where}/namespaces/chat/servers/odd"
