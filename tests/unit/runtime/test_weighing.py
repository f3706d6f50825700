"""Turns of choices that have to be weighed: an allowance, the oldest first, and nobody for ever."""

from __future__ import annotations

import heapq
from dataclasses import replace
from decimal import Decimal

import pytest

from bench.deadlines import Clock, Run, controller_of
from gpucost.core.clock import HOUR, MINUTE, SECOND, parse_rfc3339
from gpucost.core.training.deadline import Choice, Outlook, PutOff, Zone
from gpucost.runtime.weighing import AT_ONCE, LONGEST, SHARE, Weighing

NOW = parse_rfc3339("2026-11-24T18:45:00Z")
COST = 0.3
"""Seconds of processor time that a question takes here."""
OPEN = Outlook(
    now=NOW,
    work_left=10 * HOUR,
    deadline=NOW + 20 * HOUR,
    total_work=10 * HOUR,
    total_time=20 * HOUR,
    changeover=5 * MINUTE,
    spot_price=Decimal("0.35"),
    on_demand_price=Decimal(1),
    zones=(Zone("", available=False),),
    interval=MINUTE,
)


class Machine:
    """A clock, and a meter on which every question takes as long."""

    def __init__(self, **options: bool) -> None:
        self.seconds, self.used = 0.0, 0.0
        self.weighing = Weighing(self.now, clock=lambda: self.seconds, meter=self.meter, **options)

    def now(self) -> int:
        return NOW + round(self.seconds * SECOND)

    def meter(self) -> float:
        self.used += COST
        return self.used

    def weigh(self, question: object) -> bool:
        """Ask for a turn, and take it when it has come."""
        if self.weighing.turn(question) is not None:
            return False
        self.weighing.spent(COST)
        return True


def runs(count: int) -> list[Outlook]:
    """Runs that have nothing in common."""
    return [replace(OPEN, changeover=(2 + 3 * n) * MINUTE) for n in range(count)]


def test_what_fits_into_the_allowance_is_weighed_at_once() -> None:
    machine = Machine()
    found = [machine.weigh(n) for n in range(10)]
    assert found.count(True) == pytest.approx(AT_ONCE / COST, abs=1)
    assert not any(found[found.index(False) :])


def test_the_rest_is_weighed_in_the_order_in_which_it_was_asked_and_within_its_share() -> None:
    machine = Machine()
    waiting = [n for n in range(30) if not machine.weigh(n)]
    done: list[int] = []
    while waiting and machine.seconds < LONGEST - 1:
        machine.seconds += 1
        for one in [*waiting, 100 + len(done)]:  # newcomers stand at the end
            if machine.weigh(one):
                done.append(one)
                waiting = [n for n in waiting if n != one]
    assert done[:20] == sorted(done[:20])
    assert len(done) * COST <= SHARE * machine.seconds + COST


def test_nobody_waits_for_ever() -> None:
    machine = Machine()
    assert False in [machine.weigh(n) for n in range(10)]
    for _ in range(round(LONGEST) + 60):
        machine.seconds += 1
        machine.weighing.spent(2.0)  # what is urgent uses up everything
        if machine.weigh(9):
            break
    assert machine.seconds <= LONGEST + 1


def test_a_question_that_nobody_asks_any_more_holds_nobody_up() -> None:
    machine = Machine()
    assert False in [machine.weigh(n) for n in range(10)]
    machine.seconds += 300
    assert machine.weigh("new")
    assert machine.weighing.waiting == 0


def test_a_run_is_told_when_its_turn_comes_and_then_decided() -> None:
    machine = Machine()
    later = []
    for number, outlook in enumerate(runs(8)):
        try:
            machine.weighing.choose(outlook)
        except PutOff as put_off:
            later.append((put_off.until, number, outlook))
    assert later
    turns = [until for until, _, _ in later]
    assert turns == sorted(turns)
    while later:
        until, number, outlook = heapq.heappop(later)
        machine.seconds = max(machine.seconds, (until - NOW) / SECOND)
        assert machine.seconds <= LONGEST
        try:
            assert machine.weighing.choose(outlook).message
        except PutOff as put_off:
            heapq.heappush(later, (max(put_off.until, until + 1), number, outlook))


def test_a_run_whose_deadline_is_near_does_not_wait() -> None:
    machine = Machine()
    for outlook in runs(8):
        try:
            machine.weighing.choose(outlook)
        except PutOff:
            break
    else:
        pytest.fail("nobody was put off")
    near = replace(OPEN, deadline=NOW + OPEN.work_left + OPEN.changeover + 14 * MINUTE, total_time=11 * HOUR)
    assert machine.weighing.choose(near).message


def test_without_a_limit_everything_is_decided_at_once() -> None:
    machine = Machine(limited=False)
    assert all(machine.weighing.choose(outlook).message for outlook in runs(12))


async def test_a_run_that_is_put_off_is_left_as_it_is_and_looked_at_in_its_turn() -> None:
    clock = Clock(NOW)
    run = Run(0, NOW - HOUR, NOW + 30 * HOUR, 10 * HOUR, None, ())
    controller = controller_of(clock, [run])
    (record,) = controller.world.trainingjobs.values()

    def put_off(_outlook: Outlook) -> Choice:
        raise PutOff(NOW + 7 * SECOND)

    controller.choose = put_off
    controller.survey()
    await controller.process(record.key)  # a request would fail: there is no API server
    assert len(controller.queue) == 0
    clock.at = NOW + 7 * SECOND
    assert await controller.queue.take() == record.key
