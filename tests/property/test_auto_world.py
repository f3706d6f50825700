"""Random histories of a run under a deadline: spot comes and goes, nodes are lost, the operator dies between writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.capacity import KARPENTER
from gpucost.core.clock import HOUR, MINUTE, SECOND, Micros, format_duration, parse_rfc3339
from gpucost.core.training import jobset
from gpucost.core.training.auto.view import LOOK_EVERY
from gpucost.core.training.spec import PlacementPolicy, PlacementSpec, TrainingSpec, WorkloadRef
from support.auto_world import SPOT, AutoWorld
from support.jobset_world import JobSetWorld

TEMPLATE = {"spec": {"containers": [{"name": "train", "image": "bert"}]}}
NOW = parse_rfc3339("2026-11-24T18:45:00Z")
STEP = LOOK_EVERY
SURE = 50 * MINUTE
"""Slack at the beginning with which the deadline is ours to keep: two changeovers and the looks between."""

FATES = st.sampled_from(["go on", "go on", "go on", "lose spot", "spot off", "spot on", "crash", "late"])
HISTORY = st.lists(st.tuples(FATES, st.integers(1, 20)), max_size=25)


@st.composite
def worlds(draw: st.DrawFn, *, least: Micros = SURE) -> AutoWorld:
    work = draw(st.integers(20, 150)) * MINUTE
    slack = least + draw(st.sampled_from([0, 5, 20, 60, 240])) * MINUTE
    speaks = draw(st.booleans())
    spec = TrainingSpec(
        template=TEMPLATE,
        workers=draw(st.sampled_from([1, 1, 3])),
        placement=PlacementSpec(PlacementPolicy.AUTO, scheduling_timeout=10 * MINUTE),
        complete_by=NOW + work + slack,
        expected_duration=work,
        checkpoint_interval=None if speaks else 10 * MINUTE,
    )
    fate: dict[str, Any] = {
        "work": work,
        "start_up": draw(st.sampled_from([0, 30, 90])) * SECOND,
        "boot": draw(st.sampled_from([0, 60])) * SECOND,
        "speaks": speaks,
        "capacity": {SPOT: draw(st.booleans()), "on-demand": True},
    }
    if draw(st.sampled_from([False, False, True])):
        reference = WorkloadRef("bert", jobset.KIND, jobset.API_VERSION)
        several = AutoJobSetWorld(replace(spec, template=None, workload_ref=reference, workers=1), NOW, **fate)
        several.adopt_existing(selector={KARPENTER: "on-demand"}, workers=spec.workers)
        return several
    return AutoWorld(spec, NOW, **fate)


@dataclass
class AutoJobSetWorld(JobSetWorld, AutoWorld):
    """A JobSet that runs under a deadline."""


def perform(world: AutoWorld, fate: str, steps: int) -> None:
    if world.is_complete:
        return
    if fate == "lose spot":
        world.lose_spot()
    elif fate == "spot off":
        world.capacity[SPOT] = False
        world.lose_spot()
    elif fate == "spot on":
        world.capacity[SPOT] = True
    elif fate == "crash":
        world.operate(survive=steps % 2)
    elif fate == "late":
        decision = world.decide()
        world.kubernetes()
        for action in decision.actions:
            world.write(action)
    world.live(steps * MINUTE, STEP)


def silent(work: Micros, slack: Micros, start_up: Micros) -> AutoWorld:
    """A run that tells nothing, and is known to save every 10 minutes."""
    placement = PlacementSpec(PlacementPolicy.AUTO, scheduling_timeout=10 * MINUTE)
    spec = TrainingSpec(
        template=TEMPLATE,
        workers=1,
        placement=placement,
        complete_by=NOW + work + slack,
        expected_duration=work,
        checkpoint_interval=10 * MINUTE,
    )
    capacity = {SPOT: True, "on-demand": True}
    return AutoWorld(spec, NOW, work=work, start_up=start_up, boot=0, speaks=False, capacity=capacity)


@settings(max_examples=60, deadline=None)
@given(worlds(), HISTORY)
def test_no_deadline_is_missed_by_our_fault(world: AutoWorld, history: list[tuple[str, int]]) -> None:
    keep_the_deadline(world, history)


def test_a_checkpoint_that_was_due_by_the_containers_time_was_not_made() -> None:
    history = [("go on", 1), ("go on", 5), ("go on", 15), ("spot off", 1)]
    keep_the_deadline(silent(20 * MINUTE, 55 * MINUTE, 90 * SECOND), history)


def test_a_run_leaves_spot_that_it_could_lose_at_a_worse_moment() -> None:
    """It waited for spot as long as it could and lost it once: the next loss may come just before a checkpoint."""
    world = silent(20 * MINUTE, 110 * MINUTE, 90 * SECOND)
    world.capacity[SPOT] = False
    history = [("go on", 90), ("spot on", 11), ("lose spot", 11), ("lose spot", 11), ("lose spot", 1)]
    keep_the_deadline(world, history)


def keep_the_deadline(world: AutoWorld, history: list[tuple[str, int]]) -> None:
    for fate, steps in history:
        perform(world, fate, steps)
        assert len(world.placements()) <= 1, f"two placements at once: {world}"
    world.live(24 * HOUR, STEP)
    assert world.is_complete, str(world)
    late = world.now - (world.spec.complete_by or 0)
    assert late <= STEP, f"{format_duration(late)} late; {world.moves} {world.stays}"


@settings(max_examples=60, deadline=None)
@given(worlds(least=-20 * MINUTE), HISTORY)
def test_every_pass_decides_the_same_and_moves_once(world: AutoWorld, history: list[tuple[str, int]]) -> None:
    for fate, steps in history:
        perform(world, fate, min(steps, 4))
        decision = world.decide()
        assert decision == world.decide()
        assert len(decision.actions) <= 2  # the Service and the Job
        for action in decision.actions:
            world.write(action)
        assert not set(map(repr, decision.actions)) & set(map(repr, world.decide().actions))
    moves = [at for at, _ in world.moves]
    assert len(moves) == len(set(moves)), "two moves in one pass"


@settings(max_examples=40, deadline=None)
@given(worlds(), HISTORY)
def test_a_run_of_which_nobody_knows_the_work_stays_on_demand(world: AutoWorld, history: list[tuple[str, int]]) -> None:
    world.spec = replace(world.spec, expected_duration=None)
    world.speaks = False
    for fate, steps in history:
        perform(world, fate, min(steps, 5))
        assert SPOT not in world.placements()
    world.live(10 * MINUTE, STEP)
    if not world.is_complete:
        assert world.condition("DeadlineAtRisk")["reason"] == "WorkUnknown"
