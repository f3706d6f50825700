"""Random histories of a TrainingJob in a simulated cluster: crashes, lost nodes, meddling people, window edges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import HOUR, MINUTE, SECOND, parse_rfc3339
from gpucost.core.model import CapacityType
from gpucost.core.training import jobset
from gpucost.core.training.case import Case
from gpucost.core.training.spec import (
    Outside,
    PlacementPolicy,
    PlacementSpec,
    Schedule,
    TrainingSpec,
    Window,
    WorkloadRef,
)
from support.jobset_world import JobSetWorld
from support.training_world import ON_DEMAND, SPOT, World

TEMPLATE = {"spec": {"containers": [{"name": "train", "image": "bert"}]}}

# Around both changes of the clocks in Berlin and New York, and around a month's end.
MOMENTS = st.sampled_from(
    [
        "2026-03-28T18:30:00Z",
        "2026-10-24T22:30:00Z",
        "2026-11-01T04:30:00Z",
        "2026-03-08T05:30:00Z",
        "2028-02-29T17:00:00Z",
        "2026-11-24T18:45:00Z",
        "2026-11-24T19:00:00Z",
    ]
).map(parse_rfc3339)


@st.composite
def specs(draw: st.DrawFn) -> TrainingSpec:
    policy = draw(st.sampled_from([PlacementPolicy.ON_DEMAND, PlacementPolicy.SPOT, PlacementPolicy.SCHEDULED]))
    schedule = None
    if policy is PlacementPolicy.SCHEDULED:
        window = st.builds(
            Window,
            start=st.sampled_from(["0 20 * * *", "30 2 * * *", "0 */6 * * *", "0 20 31 * *", "0 1 * * 6,0"]),
            duration=st.sampled_from([30 * MINUTE, HOUR, 5 * HOUR]),
            placement=st.sampled_from([CapacityType.SPOT, CapacityType.SPOT, CapacityType.ON_DEMAND]),
        )
        schedule = Schedule(
            draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"])),
            tuple(draw(st.lists(window, min_size=1, max_size=3))),
            draw(st.sampled_from(list(Outside))),
        )
    adopted = draw(st.sampled_from([None, WorkloadRef("bert"), WorkloadRef("bert", jobset.KIND, jobset.API_VERSION)]))
    return TrainingSpec(
        template=None if adopted else TEMPLATE,
        workload_ref=adopted,
        workers=1 if adopted else draw(st.integers(1, 3)),
        suspend=draw(st.sampled_from([False, False, False, True])),
        placement=PlacementSpec(policy, scheduling_timeout=10 * MINUTE),
        schedule=schedule,
    )


STEPS = st.one_of(
    st.just(("operate", 0)),
    st.just(("operate", 0)),
    st.tuples(st.just("crash"), st.integers(0, 2)),
    st.just(("kubernetes", 0)),
    st.just(("kubelet", 0)),
    st.just(("controller", 0)),
    st.just(("schedule", 0)),
    st.tuples(st.just("late"), st.integers(0, 2)),
    st.tuples(st.just("wait"), st.sampled_from([1, 20, 45, 300, 660, 1800, 7200, 40_000])),
    st.tuples(st.just("quiet"), st.integers(3, 15)),
    st.just(("lose spot", 0)),
    st.tuples(st.just("spot"), st.integers(0, 1)),
    st.tuples(st.just("on-demand"), st.integers(0, 1)),
    st.just(("user suspends", 0)),
    st.just(("user resumes", 0)),
    st.tuples(st.just("user edits"), st.integers(0, 1)),
)


def perform(world: World, step: tuple[str, int]) -> None:
    name, number = step
    simple = {
        "operate": world.operate,
        "kubernetes": world.kubernetes,
        "kubelet": world.kubelet,
        "controller": world.controller,
        "schedule": world.schedule,
        "lose spot": world.lose_spot,
        "user suspends": world.user_suspends,
        "user resumes": world.user_resumes,
    }
    if name in simple:
        simple[name]()
    elif name == "crash":
        world.operate(survive=number)
    elif name == "late":
        write_late(world, (world.kubernetes, world.user_suspends, world.user_resumes)[number])
    elif name == "wait":
        world.now += number * SECOND
    elif name == "quiet":
        world.settle(number)
    elif name in {SPOT, ON_DEMAND}:
        world.capacity[name] = bool(number)
    else:
        world.user_edits(replace(world.spec, suspend=bool(number)))


def write_late(world: World, meanwhile: Callable[[], None]) -> None:
    """The world moves on between a decision and its writes."""
    decision = world.decide()
    meanwhile()
    for action in decision.actions:
        world.write(action)


def start(spec: TrainingSpec, now: int) -> World:
    if spec.workload_ref is not None and spec.workload_ref.kind == jobset.KIND:
        several = JobSetWorld(spec, now)
        several.adopt_existing(selector={}, workers=2, driver=now % HOUR == 0)
        return several
    world = World(spec, now)
    if spec.workload_ref is not None:
        world.adopt_existing(selector={})
    return world


@settings(max_examples=300, deadline=None)
@given(specs(), MOMENTS, st.lists(STEPS, max_size=40))
def test_no_history_makes_the_plan_misbehave_and_every_one_converges(
    spec: TrainingSpec, now: int, history: list[tuple[str, int]]
) -> None:
    world = start(spec, now)
    for step in history:
        perform(world, step)  # a write that Kubernetes refuses, or a foreign suspension undone, raises here
        assert len(world.placements()) <= 1, f"two placements at once: {world}"
        assert world.decide() == world.decide()
    assert max(Counter(world.reverts).values(), default=0) <= 1, f"reverted twice: {world.reverts}"
    assert_converges(world)


def assert_converges(world: World) -> None:
    """Once there is capacity and nobody meddles, the wish is met, or its fallback, and nothing more is written."""
    world.capacity = {SPOT: True, ON_DEMAND: True}
    if world.held_by_user:
        world.user_resumes()
    world.settle()
    case = Case(world.state(), world.context(), world.spec)
    assert world.job is not None
    if not case.is_overridden:
        assert world.running_on() == case.target.placement, str(world)
        assert world.job["suspend"] == (case.target.placement is None)
    assert world.decide().actions == (), f"never at rest: {world.decide().actions}"


@settings(max_examples=150, deadline=None)
@given(specs(), MOMENTS, st.lists(STEPS, max_size=30))
def test_a_decision_that_is_applied_is_not_made_again(
    spec: TrainingSpec, now: int, history: list[tuple[str, int]]
) -> None:
    world = start(spec, now)
    for step in history:
        perform(world, step)
        decision = world.decide()
        for action in decision.actions:
            world.write(action)
        assert not set(map(repr, decision.actions)) & set(map(repr, world.decide().actions))


@settings(max_examples=150, deadline=None)
@given(specs(), MOMENTS, st.lists(STEPS, max_size=30), st.integers(1, 12))
def test_looking_only_when_told_to_or_when_something_changed_loses_nothing(
    spec: TrainingSpec, now: int, history: list[tuple[str, int]], hours: int
) -> None:
    """`wake_at` is early enough: between it and the last change of the world no decision would be another one."""
    world = start(spec, now)
    for step in history:
        perform(world, step)
    world.capacity = {SPOT: True, ON_DEMAND: True}
    world.settle()
    decision = world.decide()
    until = world.now + hours * HOUR
    last = min(decision.wake_at - 1 if decision.wake_at is not None else until, until)
    world.now = max(last, world.now)
    assert world.decide().actions == decision.actions
    assert world.decide().conditions == decision.conditions
