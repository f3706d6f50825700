"""What is remembered of endpoints over looks, restarts and a ledger that is away; and what their holders say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gpucost.core.clock import HOUR, MINUTE, SECOND, format_rfc3339
from gpucost.core.model import Pod
from gpucost.core.serving.behavior import Past, Step
from gpucost.core.serving.cold_start import Advice, Choice
from gpucost.core.serving.quiet_times import QuietTimes
from gpucost.core.serving.signals.model import Asked, Availability, Known, PodSignals, Signals, Work
from gpucost.core.serving.spec import EndpointSpec, Holder, HolderKind, Mode, Runtime, ScaleToZero, TargetRef
from gpucost.core.serving.state import EndpointState, Target
from gpucost.core.serving.work_hours import WorkHour
from gpucost.core.serving.work_json import Memory, memory_from_json, memory_to_json
from gpucost.core.serving.zero import WAKE
from gpucost.core.usage import Sample
from gpucost.kube.errors import ApiError
from gpucost.ledger import LedgerError
from gpucost.runtime.endpoints.holders import Holders
from gpucost.runtime.endpoints.past import EndpointsPast
from gpucost.runtime.metrics import Figures
from gpucost.runtime.world import Custom, custom_record
from gpucost.sources.holders import HOLDS
from gpucost.sources.promql import PrometheusError

T0 = 1_764_000_000_000_000 // HOUR * HOUR
SPEC = EndpointSpec(
    TargetRef("Deployment", "llama"),
    Runtime.VLLM,
    mode=Mode.AUTO,
    zero=ScaleToZero(Holder(HolderKind.GATEWAY, "gateway")),
)
ASKED = Asked("uid", "serving", SPEC)


def known(value: float) -> Known:
    return Known(value, at=T0, least=value, most=value)


def pod(uid: str, created: int, ready: int | None = None) -> Pod:
    return Pod(uid, uid, "serving", T0 + created, bound=T0 + created, ready_since=None if ready is None else T0 + ready)


def signals(at: int, *, running: float | None = 0, requests: float | None = 0, **more: Any) -> Signals:
    figure: dict[str, Any] = {} if running is None else {"running": known(running), "waiting": known(0)}
    pods = {"a": PodSignals("a", **figure)}
    since, work = T0 + at - 15 * SECOND, Work(requests=requests)
    return Signals(T0 + at, Availability.FOUND, "", since=since, work=work, pods=pods, **figure, **more)


class World:
    """Pods, a clock, and a ledger that can be away."""

    def __init__(self) -> None:
        self.pods: list[Pod] = []
        self.at = T0
        self.away = False
        self.hours: dict[Any, WorkHour] = {}
        self.memories: dict[str, Memory] = {}
        self.past = self.start()

    def start(self) -> EndpointsPast:
        """Another process."""
        past = EndpointsPast(lambda: self.at, lambda _asked: self.pods, living=lambda: ["uid"], write=self.write)
        mine = {hour: done for (_, hour), done in self.hours.items()}
        past.load(self.memories, {"uid": mine} if mine else {})
        return past

    async def write(self, hours: Mapping[Any, WorkHour], memories: Mapping[str, Memory]) -> None:
        if self.away:
            raise LedgerError("away")
        self.hours |= hours
        self.memories |= memories

    def look(self, at: int, **more: Any) -> None:
        self.at = T0 + at
        self.past.heard(ASKED, signals(at, **more))


@pytest.fixture
def world() -> World:
    return World()


def test_only_a_pod_that_was_seen_before_it_was_ready_has_a_ready_time(world: World) -> None:
    world.pods = [pod("old", -HOUR, -MINUTE), pod("new", -MINUTE)]
    world.look(0)
    world.pods = [pod("old", -HOUR, -MINUTE), pod("new", -MINUTE, 10 * SECOND), pod("quick", 5 * SECOND, 12 * SECOND)]
    world.look(15 * SECOND)
    found = {start.pod: (start.seen, start.length) for start in world.past.of("uid").starts}
    assert found == {"old": (False, 59 * MINUTE), "new": (True, 70 * SECOND), "quick": (True, 7 * SECOND)}


def test_a_pod_of_days_ago_that_is_not_ready_at_the_first_look_has_not_been_starting_since(world: World) -> None:
    world.pods = [pod("flapping", -72 * HOUR), pod("loading", -20 * MINUTE)]
    world.look(0)
    world.pods = [pod("flapping", -72 * HOUR, 10 * SECOND), pod("loading", -20 * MINUTE, 10 * SECOND)]
    world.look(15 * SECOND)
    found = {start.pod: start.seen for start in world.past.of("uid").starts}
    assert found == {"flapping": False, "loading": True}


async def test_an_hour_goes_on_after_a_restart(world: World) -> None:
    world.pods = [pod("a", -HOUR, -MINUTE)]
    world.look(15 * SECOND, running=1, requests=3)
    await world.past.flush(at_once=True)
    world.past = world.start()
    world.look(60 * SECOND, running=1, requests=2)
    await world.past.flush(at_once=True)
    (done,) = world.hours.values()
    assert (done.work.requests, done.covered, done.busy) == (5, 30 * SECOND, 30 * SECOND)


async def test_what_a_ledger_that_is_away_does_not_take_is_written_later(world: World) -> None:
    world.look(15 * SECOND, running=1, requests=3)
    world.away = True
    await world.past.flush(at_once=True)
    assert world.hours == {}
    world.away = False
    await world.past.flush(at_once=True)
    assert [done.work.requests for done in world.hours.values()] == [3]


async def test_a_restart_within_a_quiet_time_does_not_make_it_shorter(world: World) -> None:
    world.look(0, running=1, requests=1)
    world.look(MINUTE)
    world.look(2 * MINUTE)
    await world.past.flush(at_once=True)
    world.past = world.start()
    world.look(3 * MINUTE)
    world.look(4 * MINUTE)
    world.look(5 * MINUTE, running=2)
    assert world.past.of("uid").quiet.gaps == ()


@pytest.mark.parametrize(
    "seen",
    [
        signals(0, silent=("b",)),
        signals(0, running=None),
        replace(signals(0), availability=Availability.STALE),
    ],
    ids=["silent", "untold", "stale"],
)
def test_nobody_is_idle_on_the_unknown(world: World, seen: Signals) -> None:
    world.pods = [pod("a", -HOUR, -MINUTE)]
    world.past.heard(ASKED, seen)
    assert world.past.of("uid").quiet.since is None


def test_requests_that_no_look_meets_are_no_quiet_time(world: World) -> None:
    """Own queries count no work, and short requests run between two looks: what arrives tells of them."""
    world.pods = [pod("a", -HOUR, -MINUTE)]
    for minute in range(3):
        seen = signals(minute * MINUTE, requests=None, arrived=known(0.5))
        world.past.heard(ASKED, seen)
    assert world.past.of("uid").quiet.since is None
    world.past.heard(ASKED, signals(3 * MINUTE, requests=None, arrived=known(0)))
    assert world.past.of("uid").quiet.since == T0 + 3 * MINUTE


def test_requests_that_own_queries_tell_of_are_counted_by_their_rate(world: World) -> None:
    world.pods = [pod("a", -HOUR, -MINUTE)]
    for minute in range(5):
        rate = 0.5 if minute < 3 else 0.0
        seen = replace(signals(minute * MINUTE, running=rate, arrived=known(rate)), work=None, since=None)
        world.past.heard(ASKED, seen)
    quiet = world.past.of("uid").quiet.quiet
    assert (quiet.watched, quiet.requests) == (4 * MINUTE, 60.0)


def test_a_quiet_time_goes_on_while_it_sleeps_and_ends_when_it_is_woken(world: World) -> None:
    asleep: bool | None = None
    world.past.asleep = lambda _uid: asleep
    gone = Signals(T0, Availability.MISSING, "no pod")

    def look(minute: int) -> None:
        world.past.heard(ASKED, replace(gone, at=T0 + minute * MINUTE))

    world.pods = [pod("a", -HOUR, -MINUTE)]
    world.look(0, running=1, requests=1)
    world.look(MINUTE)
    asleep = True
    world.pods = [replace(pod("a", -HOUR), deleting=T0 + 90 * SECOND)]  # it goes, and says nothing any more
    look(2)
    world.pods = []
    for minute in range(3, 31):
        look(minute)
    asleep = None  # the number is above zero again, and no pod is there yet
    look(31)
    world.pods = [pod("b", 31 * MINUTE)]
    look(32)
    [gap] = world.past.of("uid").quiet.gaps
    assert (gap.start, gap.end) == (T0 + MINUTE, T0 + 30 * MINUTE)


async def test_an_endpoint_that_turns_to_another_workload_begins_anew(world: World) -> None:
    world.pods = [pod("a", -HOUR, -MINUTE)]
    world.look(15 * SECOND, running=1, requests=3)
    await world.past.flush(at_once=True)
    other = replace(ASKED, spec=replace(SPEC, target=TargetRef("Deployment", "mistral")))
    world.pods = [pod("b", 0, 30 * SECOND)]
    world.past.heard(other, signals(60 * SECOND, running=1, requests=2))
    assert [start.pod for start in world.past.of("uid").starts] == ["b"]
    stored = {T0 - HOUR: WorkHour(covered=HOUR), T0: WorkHour(covered=HOUR)}
    found = world.past.with_present("uid", stored)
    assert {hour: done.work.requests for hour, done in found.items()} == {T0: 2}
    await world.past.flush(at_once=True)
    assert memory_from_json(memory_to_json(world.memories["uid"])) == world.memories["uid"]
    world.past = world.start()
    assert world.past.with_present("uid", stored).keys() == {T0}


def test_a_pod_that_goes_does_not_start(world: World) -> None:
    world.pods = [replace(pod("a", -HOUR), deleting=T0)]
    world.look(15 * SECOND)
    [done] = world.past.hours.values()
    assert done.starting == 0


# --- holders ----------------------------------------------------------------------------------------------------------


class Api:
    """An API server with some objects."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.asked: list[str] = []

    async def get(self, path: str, _params: Mapping[str, str] | None = None) -> Any:
        self.asked.append(path)
        if path not in self.objects:
            raise ApiError(404, reason="NotFound", message=f"{path} not found")
        return self.objects[path]


SERVICE = "/api/v1/namespaces/serving/services/gateway"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/serving/endpointslices"


def holders(api: Api, at: int, **annotations: str) -> tuple[Holders, EndpointState, Custom]:
    metadata: dict[str, Any] = {"name": "chat", "namespace": "serving", "uid": "uid", "annotations": annotations}
    metadata["creationTimestamp"] = format_rfc3339(T0)
    record = custom_record({"kind": "InferenceEndpoint", "metadata": metadata, "spec": {}})
    state = EndpointState(record.key, "uid", 1, SPEC, annotations=annotations, target=Target("t", "1", 1))
    found = Holders(
        api,  # type: ignore[arg-type]
        lambda: T0 + at,
        {record.key: record},
        lambda _key: SPEC,
        keys={record.uid: record.key},
        advice_of=lambda _namespace, _uid, _spec: Advice(Choice.ZERO, "quiet", 10 * MINUTE),
        quiet_of=lambda _uid: QuietTimes(since=T0),
        signals_of=lambda _uid: signals(at),
        pods_of=lambda _namespace, _target: [pod("a", -HOUR, -MINUTE)],
        figures=Figures(),
    )
    return found, state, record


async def test_a_gateway_that_holds_requests_lets_the_last_replica_go_and_wakes_it_by_an_annotation() -> None:
    api = Api()
    api.objects[SERVICE] = {"metadata": {"name": "gateway", "annotations": {HOLDS: "serving/chat"}}}
    api.objects[SLICES] = {"items": [{"endpoints": [{"conditions": {"ready": True}}]}]}
    found, state, record = holders(api, HOUR)
    assert found.demand_of(state, record) is None  # nobody has looked
    assert await demanded(found, state, record) == 0
    zero = replace(state, target=Target("t", "2", 0), status={"lastScaleTime": format_rfc3339(T0 + HOUR)})
    asked = found.demand_of(zero, record)
    assert asked is not None
    assert asked.replicas == 0
    assert found.asleep("uid")
    woken, _, caller = holders(api, HOUR, **{WAKE: format_rfc3339(T0 + HOUR)})
    await woken.once()
    asked = woken.demand_of(zero, caller)
    assert asked is not None
    assert asked.replicas == 1
    assert woken.asleep("uid") is False


async def test_who_asked_before_it_went_does_not_wake_it_though_the_status_is_behind() -> None:
    api = Api()
    api.objects[SERVICE] = {"metadata": {"name": "gateway", "annotations": {HOLDS: "serving/chat"}}}
    api.objects[SLICES] = {"items": [{"endpoints": [{"conditions": {"ready": True}}]}]}
    found, state, record = holders(api, HOUR, **{WAKE: format_rfc3339(T0 + MINUTE)})
    await found.once()
    past = Past(steps=(Step(T0 + HOUR - SECOND, 1, 0, "ScaledToZero"),))
    status = {"lastScaleTime": format_rfc3339(T0 + MINUTE)}
    asked = found.demand_of(replace(state, target=Target("t", "2", 0), status=status, past=past), record)
    assert asked is not None
    assert asked.replicas == 0


class Interceptors:
    """A PromQL engine that knows what they hold."""

    def __init__(self, *series: Sample) -> None:
        self.series = list(series)
        self.is_away = False

    async def query(self, _promql: str) -> list[Sample]:
        if self.is_away:
            raise PrometheusError("away")
        return self.series


async def demanded(found: Holders, state: EndpointState, record: Custom) -> int:
    """The number that goes before every recommendation, after another look at the holders."""
    await found.once()
    asked = found.demand_of(state, record)
    assert asked is not None
    return asked.replicas


def held_by_keda(*series: Sample) -> tuple[Holders, EndpointState, Custom, Interceptors]:
    api = Api()
    route = {"metadata": {"name": "route", "namespace": "serving"}, "spec": {"rules": [{"hosts": ["a.b"]}]}}
    api.objects["/apis/http.keda.sh/v1beta1/namespaces/serving/interceptorroutes/route"] = route
    spec = replace(SPEC, zero=ScaleToZero(Holder(HolderKind.KEDA_HTTP, "route")))
    found, state, record = holders(api, HOUR)
    found.spec_of = lambda _key: spec
    engine = Interceptors(*series)
    found.engine = engine  # type: ignore[assignment]
    found.signals_of = lambda _uid: None
    return found, replace(state, spec=spec, target=Target("t", "1", 0)), record, engine


@pytest.mark.parametrize(
    ("labels", "number"),
    [
        ({"route_namespace": "serving", "route_name": "route"}, 1),
        ({"host": "serving/route"}, 1),
        ({"host": "a.b"}, 1),
        ({}, 1),
        ({"host": "other/route"}, 0),
        ({"route_namespace": "other", "route_name": "route"}, 0),
    ],
)
async def test_a_request_at_an_interceptor_wakes_the_endpoint_that_it_is_for(
    labels: dict[str, str], number: int
) -> None:
    found, state, record, _ = held_by_keda(Sample(labels, 2.0))
    assert await demanded(found, state, record) == number


async def test_a_start_in_a_moment_of_doubt_wakes_nobody_yet_and_a_doubt_that_lasts_does() -> None:
    found, state, record, engine = held_by_keda()
    engine.is_away = True
    state = replace(state, status={"lastScaleTime": format_rfc3339(T0)})
    assert await demanded(found, state, record) == 0
    found.now = lambda: T0 + HOUR + 61 * SECOND
    assert await demanded(found, state, record) == 1


async def test_who_cannot_look_at_the_holder_at_all_wakes_it_too() -> None:
    found, state, record, _ = held_by_keda()

    async def broken(_path: str, _params: Mapping[str, str] | None = None) -> Any:
        raise ApiError(500, reason="InternalError", message="oh")

    found.client.get = broken  # type: ignore[method-assign, assignment]
    assert await demanded(found, state, record) == 0
    found.now = lambda: T0 + HOUR + 61 * SECOND
    assert await demanded(found, state, record) == 1


async def test_one_holder_of_many_endpoints_is_looked_at_once_in_a_pass() -> None:
    api = Api()
    names = [f"chat-{number}" for number in range(5)]
    held = ", ".join(f"serving/{name}" for name in names)
    api.objects[SERVICE] = {"metadata": {"name": "gateway", "annotations": {HOLDS: held}}}
    api.objects[SLICES] = {"items": [{"endpoints": [{"conditions": {"ready": True}}]}]}
    found, _, record = holders(api, HOUR)
    records = [replace(record, name=name, uid=name) for name in names]
    found.records = {one.key: one for one in records}
    await found.once()
    assert api.asked == [SERVICE, SLICES]
    assert [found.known[name].problem for name in names] == [""] * 5
    del api.objects[SERVICE]
    await found.once()
    assert all(found.known[name].problem for name in names)


async def test_a_holder_of_a_strange_form_is_its_endpoints_trouble_alone() -> None:
    api = Api()
    api.objects[SERVICE] = {"metadata": {"name": "gateway", "annotations": {HOLDS: "serving/chat"}}}
    api.objects[SLICES] = {"items": [{"endpoints": [{"conditions": {"ready": True}}]}]}
    found, _, record = holders(api, HOUR)
    strange = replace(record, namespace="other", uid="strange")
    found.records = {strange.key: strange, record.key: record}
    api.objects[SERVICE.replace("serving", "other")] = {"metadata": {"name": "gateway", "annotations": ["odd"]}}
    await found.once()
    assert set(found.known) == {"uid"}


@pytest.mark.parametrize("missing", [SERVICE, SLICES])
async def test_without_a_holder_that_is_ready_nothing_goes(missing: str) -> None:
    api = Api()
    api.objects[SERVICE] = {"metadata": {"name": "gateway", "annotations": {HOLDS: "serving/chat"}}}
    api.objects[SLICES] = {"items": [{"endpoints": [{"conditions": {"ready": True}}]}]}
    del api.objects[missing]
    found, state, record = holders(api, HOUR)
    await found.once()
    assert found.demand_of(state, record) is None
