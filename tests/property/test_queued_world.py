"""Random histories of a run in a queue: whatever happens, its Job is the queue's, and only the queue is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import HOUR, SECOND
from gpucost.core.model import CapacityType
from gpucost.core.training.case import Case
from gpucost.core.training.spec import Outside, PlacementPolicy, PlacementSpec, Schedule, TrainingSpec, Window
from support.queue_world import QueuedWorld
from support.training_cases import BEFORE, TEMPLATE
from support.training_world import ON_DEMAND, SPOT

NIGHTS = Schedule("UTC", (Window("0 20 * * *", 10 * HOUR),), Outside.PAUSE)
SPECS = st.builds(
    lambda policy, suspend: TrainingSpec(
        template=TEMPLATE,
        suspend=suspend,
        placement=PlacementSpec(policy),
        schedule=NIGHTS if policy is PlacementPolicy.SCHEDULED else None,
    ),
    st.sampled_from([PlacementPolicy.ON_DEMAND, PlacementPolicy.SPOT, PlacementPolicy.SCHEDULED]),
    st.booleans(),
)
STEPS = st.one_of(
    st.sampled_from(["operate", "kubernetes", "kueue", "user suspends", "user resumes", "settle", "lose spot"]),
    st.tuples(st.just("crash"), st.integers(0, 1)),
    st.tuples(st.just("late"), st.integers(0, 2)),
    st.tuples(st.just("wait"), st.sampled_from([5, 45, 1800, 20_000, 40_000])),
    st.tuples(st.just("quota"), st.integers(0, 1)),
    st.tuples(st.just("flavor"), st.integers(0, 1)),
    st.tuples(st.just("suspend"), st.integers(0, 1)),
)


def perform(world: QueuedWorld, step: Any) -> None:
    name, number = (step, 0) if isinstance(step, str) else step
    match name:
        case "crash":
            world.operate(survive=number)
        case "late":
            decision = world.decide()
            (world.kubernetes, world.user_suspends, world.user_resumes)[number]()
            for action in decision.actions:
                world.write(action)
        case "wait":
            world.now += number * SECOND
        case "quota":
            world.quota = bool(number)
        case "flavor":
            world.flavor = SPOT if number else ON_DEMAND
        case "suspend":
            world.user_edits(replace(world.spec, suspend=bool(number)))
        case "settle":
            world.settle(6)
        case _:
            getattr(world, name.replace(" ", "_"))()


@settings(max_examples=300, deadline=None)
@given(SPECS, st.lists(STEPS, max_size=40))
def test_no_history_makes_the_plan_touch_a_queued_job_and_every_one_converges(
    spec: TrainingSpec, history: list[Any]
) -> None:
    world = QueuedWorld(spec, BEFORE)
    for step in history:
        perform(world, step)  # a write to the Job, or a foreign decision undone, raises here
    world.quota = True
    if world.out_by_user:
        world.user_resumes()
    world.settle()
    case = Case(world.state(), world.context(), world.spec)
    if not case.is_overridden:
        wanted = case.target.placement is not None
        assert (world.entry is not None and world.entry["active"]) or not wanted, str(world)
        assert (world.running_on() is not None) == wanted, str(world)
    assert world.decide().actions == (), f"never at rest: {world.decide().actions}"
    assert world.running_on() in {None, CapacityType.SPOT, CapacityType.ON_DEMAND}
