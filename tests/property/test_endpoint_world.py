"""An endpoint in a world that changes at random: what holds whatever happens, with restarts and lost watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.model import Key
from gpucost.core.serving.behavior import Past, Step
from gpucost.core.serving.plan import plan
from gpucost.core.serving.spec import (
    HPA_DOWN,
    HPA_UP,
    Behavior,
    Direction,
    EndpointSpec,
    MissingMetrics,
    Mode,
    OnMissing,
    RatePolicy,
    Runtime,
    TargetRef,
)
from gpucost.core.serving.state import EndpointDecision, EndpointState, Measured, Rival, Target, Unresolved, Wish
from gpucost.core.serving.telling import scaled, steps_of

BEGIN = 1_000_000 * MINUTE
RATE = Direction(policies=(RatePolicy(is_percent=False, value=2, period=60 * SECOND),))
BEHAVIORS = (Behavior(), Behavior(HPA_UP, HPA_DOWN), Behavior(RATE, RATE), Behavior(Direction(), Direction()))
UNKNOWN = Measured(known=False)
KNOWN = Measured(True, "MetricsFound", "")
SPEC = EndpointSpec(TargetRef("Deployment", "llama"), Runtime.VLLM, least=2, most=10, mode=Mode.AUTO)


@dataclass
class World:
    """One Deployment, its endpoint, and what the operator remembers."""

    spec: EndpointSpec
    replicas: int = 4
    now: int = BEGIN
    version: int = 1
    wish: Wish | None = None
    measured: Measured = UNKNOWN
    rivals: tuple[Rival, ...] | None = ()
    target: Unresolved | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    past: Past = field(default_factory=Past)
    changes: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def state(self) -> EndpointState:
        found = self.target or Target("dep", str(self.version), self.replicas)
        return EndpointState(
            Key("chat", "llama"),
            "iep",
            1,
            self.spec,
            annotations=self.annotations,
            status=self.status,
            target=found,
            rivals=self.rivals,
            measured=self.measured,
            wish=self.wish,
            past=self.past,
            replica_hourly=Decimal(1),
        )

    @property
    def is_held(self) -> bool:
        """Whether replicas must not be taken away now."""
        paused = {"gpucost.dev/paused", "gpucost.dev/paused-scale-in", "gpucost.dev/dry-run"} & self.annotations.keys()
        unknown = self.wish is None or not self.measured.known or bool(self.measured.frozen)
        return bool(unknown or self.rivals is None or self.rivals or self.target or paused)

    def look(self) -> EndpointDecision:
        decision = plan(self.state, self.now)
        assert decision == plan(self.state, self.now), "the same state has the same decision"
        self.past = decision.past
        action = decision.action
        self.status = {**decision.status, "conditions": self.status.get("conditions", ())}
        if action is not None:
            assert (action.resource_version, action.before) == (str(self.version), self.replicas)
            assert action.replicas != self.replicas
            assert self.spec.least <= action.replicas <= self.spec.most
            assert action.replicas > self.replicas or not self.is_held
            self.changes.append((self.now, self.replicas, action.replicas))
            self.past = self.past.with_step(Step(self.now, self.replicas, action.replicas, action.reason))
            self.status = scaled(self.status, action, self.now)
            self.replicas, self.version = action.replicas, self.version + 1
        return decision

    def restart(self) -> None:
        self.past = Past(steps=tuple(Step(*one) for one in steps_of(self.status)))


def _set(name: str, value: Any) -> Callable[[World], None]:
    return lambda world: setattr(world, name, value)


def _wish(number: int) -> Callable[[World], None]:
    def act(world: World) -> None:
        world.wish, world.measured = Wish(number, "RisingLoad", ""), KNOWN

    return act


def _by_hand(number: int) -> Callable[[World], None]:
    def act(world: World) -> None:
        world.replicas, world.version = number, world.version + 1

    return act


HAPPENINGS = st.one_of(
    st.integers(0, 20).map(_wish),
    st.integers(1, 12).map(_by_hand),
    st.just(lambda world: world.restart()),
    st.sampled_from(
        [
            _set("measured", Measured(False, "MetricsStale", "")),
            _set("measured", replace(KNOWN, frozen="a counter began anew")),
            _set("wish", None),
            _set("rivals", (Rival("HorizontalPodAutoscaler", "theirs"),)),
            _set("rivals", ()),
            _set("rivals", None),
            _set("target", Unresolved("TargetNotFound", "")),
            _set("target", None),
            _set("annotations", {"gpucost.dev/paused": "true"}),
            _set("annotations", {"gpucost.dev/paused-scale-in": "true"}),
            _set("annotations", {"gpucost.dev/dry-run": "true"}),
            _set("annotations", {}),
        ]
    ),
)
STORY = st.lists(st.tuples(HAPPENINGS, st.sampled_from([1, 15, 60, 200])), max_size=40)
MISSING = st.sampled_from([MissingMetrics(), MissingMetrics(OnMissing.AT_LEAST, 30 * SECOND, 6)])


@settings(max_examples=300)
@given(STORY, st.sampled_from(BEHAVIORS), MISSING)
def test_nothing_is_taken_away_on_unknown_and_every_number_is_within_the_limits(
    story: list[tuple[Callable[[World], None], int]], behavior: Behavior, missing: MissingMetrics
) -> None:
    world = World(replace(SPEC, behavior=behavior, missing=missing))
    for happen, seconds in story:
        happen(world)
        world.look()
        world.now += seconds * SECOND
        world.look()


@settings(max_examples=200)
@given(STORY)
def test_no_period_sees_more_change_than_its_policy_allows(
    story: list[tuple[Callable[[World], None], int]],
) -> None:
    world = World(replace(SPEC, behavior=Behavior(RATE, RATE)))
    for happen, seconds in story:
        happen(world)
        if not SPEC.least <= world.replicas <= SPEC.most:
            world.replicas = SPEC.least  # bringing a number within its limits knows no rate
        world.look()
        world.now += seconds * SECOND
    for at, _, _ in world.changes:
        net = sum(after - before for when, before, after in world.changes if at - 60 * SECOND < when <= at)
        assert abs(net) <= 2, world.changes


@settings(max_examples=200)
@given(STORY, st.integers(2, 10))
def test_after_a_restart_replicas_go_no_sooner_than_after_the_stabilization(
    story: list[tuple[Callable[[World], None], int]], wished: int
) -> None:
    world = World(replace(SPEC, behavior=Behavior(HPA_UP, HPA_DOWN)))
    for happen, seconds in story:
        happen(world)
        world.look()
        world.now += seconds * SECOND
    world.restart()
    world.replicas, world.wish, world.measured = 10, Wish(wished, "FallingLoad", ""), KNOWN
    world.rivals, world.target, world.annotations = (), None, {}
    begun = world.now
    while world.now < begun + 299 * SECOND:
        world.look()
        assert world.replicas == 10
        world.now += 15 * SECOND
    while world.replicas != wished and world.now < begun + 900 * SECOND:
        world.look()
        world.now += 15 * SECOND
    assert abs(world.replicas - wished) <= 1, "within the tolerance it is left"
