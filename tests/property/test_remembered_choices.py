"""Choices from memory: what they may differ in from fresh ones, and what they may not."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.actions import Decision
from gpucost.core.clock import HOUR, MINUTE, SECOND, Instant, Micros, format_duration, parse_rfc3339
from gpucost.core.training.auto.view import LOOK_EVERY
from gpucost.core.training.deadline import Capacity, Outlook, PutOff, Reason, Span, Zone, choose
from gpucost.core.training.deadline.remembered import URGENT, Remembered
from gpucost.core.training.deadline.rounding import nearest, round_up
from gpucost.core.training.spec import PlacementPolicy, PlacementSpec, TrainingSpec
from gpucost.core.training.state import TrainingContext
from support.auto_world import SPOT, AutoWorld

NOW = parse_rfc3339("2026-11-24T18:45:00Z")
STEP = 2 * MINUTE
TEMPLATE = {"spec": {"containers": [{"name": "train", "image": "bert"}]}}
HISTORY = tuple(
    Span(NOW - (7 - n) * HOUR, NOW - (6 - n) * HOUR - (n % 3) * 10 * MINUTE, available=n % 3 != 1) for n in range(7)
)


@st.composite
def outlooks(draw: st.DrawFn) -> Outlook:
    work, changeover = draw(st.integers(1, 3000)) * MINUTE, draw(st.integers(0, 40 * 60)) * SECOND
    left = max(1, work * draw(st.integers(1, 20)) // 20)
    slack = draw(st.one_of(st.integers(-30, 90), st.integers(90, 6000))) * MINUTE + draw(st.integers(-3, 3))
    running = draw(st.sampled_from(Capacity))
    return Outlook(
        NOW + draw(st.integers(0, 600)) * SECOND,
        left,
        NOW + left + slack,
        work,
        max(1, left + slack),
        changeover,
        Decimal(draw(st.sampled_from(["0.2", "0.35", "0.9"]))),
        Decimal(1),
        (Zone("", draw(st.sampled_from([None, True, False])), draw(st.sampled_from([(), HISTORY]))),),
        running,
        "" if running is Capacity.SPOT else None,
        changeover * draw(st.integers(0, 4)) // 4 if running is not Capacity.NONE else 0,
        Decimal(draw(st.sampled_from([0, 0, left])) * 11 // 10) / HOUR,
        interval=LOOK_EVERY,
    )


def views(outlook: Outlook) -> list[Outlook]:
    """The run a moment later, when something about it has changed."""
    (zone,) = outlook.zones
    return [
        outlook,
        replace(outlook, zones=(replace(zone, available=True),)),
        replace(outlook, zones=(replace(zone, available=False),)),
        replace(outlook, zones=(replace(zone, history=(Span(NOW - 2 * HOUR, NOW - HOUR, available=True),)),)),
        replace(outlook, running=Capacity.NONE, zone=None, changeover_left=0),
        replace(outlook, running=Capacity.ON_DEMAND, zone=None),
        replace(outlook, spot_price=Decimal("0.6")),
        replace(outlook, deadline=outlook.now + outlook.work_left + outlook.changeover + MINUTE),
        replace(outlook, changeover=2 * outlook.changeover + MINUTE),
        replace(outlook, spent=outlook.spent + 2 * Decimal(outlook.total_work) / HOUR),
        replace(outlook, now=outlook.now + 3 * HOUR),
    ]


@settings(max_examples=12, deadline=None)
@given(st.lists(outlooks(), min_size=1, max_size=3))
def test_what_was_decided_before_changes_nothing(asked: list[Outlook]) -> None:
    """So a changed view is answered as if it had been asked first: spot, nodes, prices, deadline, changeover."""
    memory = Remembered()
    for outlook in [view for one in asked for view in views(one)]:
        assert memory.choose(outlook) == Remembered().choose(outlook)


@settings(max_examples=150, deadline=None)
@given(outlooks())
def test_no_memory_decides_what_the_guard_forbids(outlook: Outlook) -> None:
    choice, slack = Remembered().choose(outlook), outlook.slack
    if choice.reason is Reason.DEADLINE_OUT_OF_REACH:
        assert choice == choose(outlook)
        return
    committed = outlook.spent * HOUR + outlook.work_left + outlook.changeover
    most = Decimal(105) / 100 * (outlook.total_work + outlook.changeover)
    if choice.capacity is Capacity.NONE:
        assert slack - outlook.interval >= outlook.changeover
        assert committed <= most + 1
    if choice.capacity is Capacity.SPOT and outlook.running is not Capacity.SPOT:
        assert slack >= 2 * outlook.changeover
        assert committed + outlook.spot_price * outlook.changeover <= most + 1
        assert outlook.zones[0].available is not False


@settings(max_examples=60, deadline=None)
@given(outlooks(), st.integers(-10 * MINUTE, MINUTE - 1))
def test_where_one_choice_is_left_it_is_the_fresh_one(outlook: Outlook, spare: int) -> None:
    running = Capacity.ON_DEMAND if outlook.running is Capacity.ON_DEMAND else Capacity.NONE
    deadline = outlook.now + outlook.work_left + outlook.changeover + spare
    last = replace(outlook, deadline=deadline, running=running, zone=None, changeover=outlook.changeover + MINUTE)
    assert Remembered().choose(last) == choose(last)


@given(st.integers(1, 40 * 365 * 24 * HOUR))
def test_rounding_is_bounded(time: Micros) -> None:
    assert time <= round_up(time) <= max(HOUR, 1.5 * time)
    assert time < 10 * SECOND or 0.9 <= nearest(time) / time <= 1.1
    assert nearest(round(time * 1.3)) >= nearest(time)


@settings(max_examples=60, deadline=None)
@given(outlooks())
def test_a_deadline_that_is_near_is_never_put_off(outlook: Outlook) -> None:
    memory = Remembered(turn=lambda _question: outlook.now + MINUTE)
    if outlook.running is not Capacity.ON_DEMAND and outlook.slack <= outlook.changeover + URGENT:
        assert memory.choose(outlook) == Remembered().choose(outlook)
        return
    with suppress(PutOff):
        assert memory.choose(outlook) == Remembered().choose(outlook)


# --- a run whose operator remembers, and has little time --------------------------------------------------------------


@dataclass
class HurriedWorld(AutoWorld):
    """Each new question waits for its turn."""

    delay: Micros = 0
    asked_at: dict[Hashable, Instant] = field(default_factory=dict)
    put_off: int = 0

    def __post_init__(self) -> None:
        self.remembered = Remembered(turn=self._turn)

    def _turn(self, question: Hashable) -> Instant | None:
        turn = self.asked_at.setdefault(question, self.now) + self.delay
        return turn if self.now < turn else None

    def context(self) -> TrainingContext:
        return replace(super().context(), choose=self.remembered.choose)

    def decide(self) -> Decision:
        try:
            return super().decide()
        except PutOff:
            self.put_off += 1
            return Decision(self.state().key)


FATES = st.sampled_from(["go on", "go on", "lose spot", "spot off", "spot on", "crash", "forget"])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(20, 150),
    st.sampled_from([50, 55, 70, 110, 290]),
    st.sampled_from([0, 2, 4]),
    st.booleans(),
    st.lists(st.tuples(FATES, st.integers(1, 20)), max_size=25),
)
def test_no_deadline_is_missed_with_memory_and_turns(
    work: int, slack: int, delay: int, there: bool, fates: list[tuple[str, int]]
) -> None:
    spec = TrainingSpec(
        template=TEMPLATE,
        placement=PlacementSpec(PlacementPolicy.AUTO, scheduling_timeout=10 * MINUTE),
        complete_by=NOW + (work + slack) * MINUTE,
        expected_duration=work * MINUTE,
    )
    world = HurriedWorld(spec, NOW, work=work * MINUTE, capacity={SPOT: there, "on-demand": True}, delay=delay * MINUTE)
    for fate, steps in fates:
        if world.is_complete:
            break
        if fate in {"spot on", "spot off"}:
            world.capacity[SPOT] = fate == "spot on"
        if fate in {"lose spot", "spot off"}:
            world.lose_spot()
        if fate == "crash":
            world.operate(survive=steps % 2)
        if fate == "forget":
            world.remembered = Remembered(turn=world._turn)
        world.live(steps * MINUTE, STEP)
        assert len(world.placements()) <= 1
    world.live(24 * HOUR, STEP)
    assert world.is_complete, str(world)
    late = world.now - (world.spec.complete_by or 0)
    assert late <= STEP, f"{format_duration(late)} late; {world.moves} {world.stays}"
