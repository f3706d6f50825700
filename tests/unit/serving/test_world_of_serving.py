"""The world that `gpucost simulate serving` plays, against runs that are worked out by hand step by step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from gpucost.core.serving.replicas.seen import Chosen, Counts, Floats, Seen
from gpucost.simulate.fleet import AGE, Fleet

UNIT = 15 * 10
"""What a replica of 10 requests/s serves in a step."""


@dataclass
class Told:
    """Asks for totals that are written down beforehand, and keeps what it was shown."""

    totals: list[int]
    shown: list[Seen] = field(default_factory=list)
    foresees: bool = True

    def decide(self, seen: Seen) -> Counts:
        self.shown.append(seen)
        return np.array([self.totals[min(seen.step, len(self.totals) - 1)]])

    def take(self, columns: Chosen) -> None:
        del columns


@dataclass
class Course:
    served: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    billed: list[int] = field(default_factory=list)

    def __call__(self, step: int, arrived: float, served: Floats, late: Floats, ready: Counts, billed: Counts) -> None:
        del step, arrived
        self.served.append(round(float(served[0]), 6))
        self.late.append(round(float(late[0]), 6))
        self.ready.append(int(ready[0]))
        self.billed.append(int(billed[0]))


def play(work: list[float], totals: list[int], ready_steps: int = 2) -> tuple[Fleet, Told, Course, float]:
    """Arrivals in replicas' worth; the first step decides how many there are at the beginning."""
    fleet = Fleet(np.array(work) * UNIT, 10.0, ready_steps, 1, 100)
    fleet.total[:], fleet.least[:] = totals[0], totals[0]
    policy, course = Told(totals), Course()
    span = fleet.play(policy, len(work), course)
    return fleet, policy, course, float(span.late[0])


def test_a_replica_serves_when_its_ready_time_is_over_and_is_billed_from_its_creation() -> None:
    _, _, course, _ = play([1] * 6, [1, 3, 3, 3, 3, 3], ready_steps=2)
    assert course.billed == [1, 3, 3, 3, 3, 3]
    assert course.ready == [1, 1, 1, 3, 3, 3]


def test_a_replica_without_ready_time_serves_at_once() -> None:
    _, _, course, _ = play([1, 1, 1], [1, 4, 2], ready_steps=0)
    assert course.ready == course.billed == [1, 4, 2]


def test_removed_are_those_that_are_not_ready_and_then_the_youngest() -> None:
    _, _, course, _ = play([1] * 8, [2, 4, 3, 3, 1, 3, 3, 3], ready_steps=2)
    # 2 more at step 1; one of them goes at step 2 before it served; the other is ready at 3; at 4 one is left.
    assert course.ready == [2, 2, 2, 3, 1, 1, 1, 3]
    assert course.billed == [2, 4, 3, 3, 1, 3, 3, 3]


def test_what_waits_is_served_first_and_late_is_what_waits_for_more_than_the_next_step() -> None:
    _, _, course, late = play([1.0, 3.0, 1.0, 0.0, 0.0], [1])
    # Step 1: 3 came, 1 is served. Step 2: so is 1 of the 2 left, the other is late. Step 3: it is served; the 1 of
    # step 2 is not: late. Step 4: it is served.
    assert course.served == [UNIT] * 5
    assert course.late == [0, 0, UNIT, UNIT, 0]
    assert late == pytest.approx(2 / 5)


def test_a_queue_of_less_than_a_step_is_late_for_nobody() -> None:
    _, _, course, late = play([1.0, 1.9, 0.2, 1.0, 0.9], [1])
    assert late == 0
    assert course.served == pytest.approx([UNIT, UNIT, UNIT, UNIT, UNIT])


def test_requests_of_the_last_step_have_the_next_one_too() -> None:
    assert play([1.0, 1.0, 2.0], [1])[3] == 0
    assert play([1.0, 1.0, 3.0], [1])[3] == pytest.approx(1 / 5)


def test_metrics_are_those_of_the_last_step_that_ended_30_seconds_ago() -> None:
    _, policy, _, _ = play([1.0, 2.0, 3.0, 0.0, 0.0, 0.0], [1])
    assert AGE == 3
    assert [seen.arrived for seen in policy.shown] == [1, 1, 1, 1, 2, 3]
    assert [float(seen.queue[0]) for seen in policy.shown[3:]] == [0, 1, 3]
    assert [float(seen.served[0]) for seen in policy.shown[3:]] == [1, 1, 1]


def test_what_is_coming_counts_every_step_until_a_new_replica_would_be_ready() -> None:
    _, policy, _, _ = play([1] * 6, [1, 3, 3, 4, 4, 4], ready_steps=3)
    # At step 2 two of three wait since step 1 and serve from step 4 on: 1 + 1 + 3 replica-steps in steps 2, 3 and 4.
    assert [float(seen.coming[0]) for seen in policy.shown] == [3, 3, 5, 7, 10, 11]
    assert [int(seen.ready[0]) for seen in policy.shown] == [1, 1, 1, 1, 3, 3]


def test_hours_are_those_of_all_replicas() -> None:
    fleet = Fleet(np.full(240, 100.0), 10.0, 2, 1, 100)
    span = fleet.play(Told([5]), 240)
    assert span.hours[0] == pytest.approx(5.0)
    assert span.changes[0] == 1  # from the replica that it began with
