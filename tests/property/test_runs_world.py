"""Random histories of a schedule: crashes between writes, a cache that lags, clocks that jump, answers that fail."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND, Instant, parse_rfc3339
from gpucost.core.model import Unknown
from gpucost.core.training.runs.calendar import upcoming
from gpucost.core.training.runs.run import Result
from gpucost.core.training.runs.spec import Dataset
from gpucost.core.training.spec import TrainingSpec
from support.runs_world import RunsWorld, accuracy, nightly

MOMENTS = st.sampled_from(
    ["2026-03-28T18:30:00Z", "2026-10-24T22:30:00Z", "2026-11-01T04:30:00Z", "2028-02-29T17:00:00Z"]
).map(parse_rfc3339)


@st.composite
def specs(draw: st.DrawFn) -> TrainingSpec:
    return nightly(
        draw(st.sampled_from(["30 2 * * *", "0 */6 * * *", "*/20 * * * *", "0 1 * * 6,0", "0 0 31 * *"])),
        zone=draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])),
        dataset=draw(st.sampled_from([None, Dataset("clicks")])),
        starting_deadline=draw(st.sampled_from([MINUTE, HOUR, 30 * HOUR])),
        quality=draw(st.sampled_from([None, accuracy()])),
        at_least_every=draw(st.sampled_from([None, 2 * DAY])),
        keep_complete=draw(st.integers(1, 3)),
        keep_failed=draw(st.integers(0, 2)),
    )


STEPS = st.one_of(
    st.just(("operate", 0)),
    st.just(("operate", 0)),
    st.tuples(st.just("crash"), st.integers(0, 4)),
    st.just(("watch", 0)),
    st.tuples(st.just("wait"), st.sampled_from([1, 40, 1300, 3600, 7300, 30_000, 90_000, 900_000])),
    st.tuples(st.just("clock"), st.sampled_from([-7300, -61, -1, 61])),
    st.tuples(st.just("end"), st.integers(0, 2)),
    st.tuples(st.just("version"), st.integers(0, 2)),
    st.tuples(st.just("quality"), st.integers(0, 2)),
    st.just(("delete", 0)),
)


def perform(world: RunsWorld, step: tuple[str, int]) -> None:
    name, number = step
    match name:
        case "operate":
            world.operate()
        case "crash":
            world.operate(survive=number)
        case "watch":
            world.watch()
        case "wait" | "clock":
            world.now += number * SECOND
        case "end":
            world.end((Result.COMPLETE, Result.FAILED, Result.STOPPED)[number])
        case "version":
            world.version = (Unknown("no answer"), "1", "2")[number]
        case "quality":
            world.quality = (Unknown("no answer"), 0.5, 0.99)[number]
        case "delete":
            recorded = [name for name, run in world.children.items() if run.uid in world.ledger]
            for one in recorded:
                del world.children[one]


@settings(max_examples=300, deadline=None)
@given(specs(), MOMENTS, st.lists(STEPS, max_size=40))
def test_no_history_makes_two_runs_at_once_or_two_of_one_due_time(
    spec: TrainingSpec, now: Instant, history: list[tuple[str, int]]
) -> None:
    world, forward = RunsWorld(spec, now), now
    for step in history:
        before = dict(world.savings)
        perform(world, step)
        forward = max(forward, world.now)
        assert all(world.savings[key] == one for key, one in before.items()), "what is booked is not booked anew"
    assert world.most_active <= 1
    assert max(Counter(due for _, due, _ in world.made).values(), default=0) <= 1
    assert_each_due_time_once(world)
    assert_converges(world, forward)


def assert_each_due_time_once(world: RunsWorld) -> None:
    schedule, runs = world.spec.schedule, world.spec.runs
    assert schedule is not None
    assert runs is not None
    decided = [due for _, due, _ in world.made] + [due for due, _ in world.savings]
    assert len(decided) == len(set(decided)), "a due time leads to a run or to a record, and to one of them only"
    for name, due, at in world.made:
        assert world.created < due <= at <= due + runs.starting_deadline
        assert upcoming(schedule, runs, due - 1) == due, f"{name} was never due"


def assert_converges(world: RunsWorld, forward: Instant) -> None:
    """Once the clock is right and every question has an answer, the next due time is decided on, and nothing more."""
    world.now, world.version, world.quality = forward, "3", 0.99
    world.watch()
    for _ in range(4):
        world.operate()
        world.watch()
        world.end()
        world.watch()
    world.operate()
    world.watch()
    quiet = world.decide()
    assert (quiet.actions, quiet.records, quiet.events) == ((), (), ())
    assert world.decide() == quiet


def test_a_run_that_is_deleted_at_once_is_not_made_again() -> None:
    world = RunsWorld(nightly(), parse_rfc3339("2026-03-28T18:30:00Z"))
    for step in (("wait", 30_000), ("operate", 0), ("delete", 0), ("operate", 0)):
        perform(world, step)
    assert len(world.made) == 1
