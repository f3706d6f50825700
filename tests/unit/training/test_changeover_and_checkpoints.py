"""What a changeover takes, how often to save, and how stays are put together from pods."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND
from gpucost.core.model import CapacityType
from gpucost.core.training.auto.changeover import SCHEDULING, measured
from gpucost.core.training.auto.checkpointing import advised, daly
from gpucost.core.training.auto.stays import Cause, PodSeen, Stay, cause_of, with_pod, with_report
from gpucost.core.training.auto.stays_json import from_json, to_json
from gpucost.core.training.progress import Checkpoint, Progress

SPOT, ON_DEMAND = CapacityType.SPOT, CapacityType.ON_DEMAND


def stay(start: int, scheduling: int = 60, starting: int = 30, restoring: int = 90, lasts: int = 3600) -> Stay:
    bound = start * SECOND + scheduling * SECOND
    running = bound + starting * SECOND
    reported = running + restoring * SECOND
    return Stay(start * SECOND, SPOT, "a", bound, running, reported, ended=reported + lasts * SECOND, cause=Cause.SPOT)


def test_without_a_stay_the_usual_is_taken() -> None:
    found = measured((), Progress(), interval=HOUR)
    assert found.samples == 0
    assert (found.scheduling, found.lost) == (SCHEDULING, HOUR // 2)


def test_its_parts_are_means_with_the_usual_as_one_more_sample() -> None:
    told = Progress((), (Checkpoint(3000 * SECOND), Checkpoint(13_000 * SECOND)))
    found = measured((stay(0), stay(10_000)), told, interval=HOUR)
    assert found.scheduling == (60 + 60 + 90) * SECOND // 3
    assert found.starting == (30 + 30 + 60) * SECOND // 3
    assert found.restoring == (90 + 90 + 60) * SECOND // 3
    ends = [0 + 60 + 30 + 90 + 3600, 10_000 + 60 + 30 + 90 + 3600]
    assert found.lost == (ends[0] - 3000 + ends[1] - 13_000 + 1800) * SECOND // 3
    assert found.total == found.scheduling + found.starting + found.restoring + found.lost
    assert found.safe >= found.total


def test_one_node_that_came_after_hours_is_waiting_and_not_changing_over() -> None:
    stays = tuple(stay(i * 10_000) for i in range(4))
    late = (*stays, stay(50_000, scheduling=9000))
    assert measured(late, Progress(), interval=HOUR).scheduling <= 2 * MINUTE


@pytest.mark.parametrize(("between", "minutes"), [(24 * HOUR, 117), (6 * HOUR, 57), (15 * MINUTE, 9.1)])
def test_dalys_interval_is_that_of_the_literature(between: int, minutes: float) -> None:
    assert daly(5 * MINUTE, between) / MINUTE == pytest.approx(minutes, rel=0.01)


def test_saving_that_takes_longer_than_nodes_last_is_done_all_the_time() -> None:
    assert daly(HOUR, HOUR // 2) == HOUR // 2


def test_the_interval_follows_what_is_measured() -> None:
    quiet = advised(Progress(), (), SPOT, 0)
    assert (quiet.between_losses, quiet.losses, quiet.measured) == (12 * HOUR, 0, False)
    told = Progress((), tuple(Checkpoint(i * MINUTE, duration=5 * MINUTE) for i in range(3)))
    busy = advised(told, tuple(stay(i * 4000) for i in range(5)), SPOT, DAY)
    assert busy.losses == 5
    assert busy.exposure == 5 * (30 + 90 + 3600) * SECOND
    assert busy.between_losses == (12 * HOUR + busy.exposure) // 6
    assert busy.saving == 5 * MINUTE
    assert busy.interval == daly(busy.saving, busy.between_losses)
    assert advised(told, (), ON_DEMAND, DAY).interval > busy.interval


# --- stays ------------------------------------------------------------------------------------------------------------

GANG = [
    PodSeen(0, 60, SPOT, "a", 70),
    PodSeen(1, 50, SPOT, "a", 90),
    PodSeen(0, 60, SPOT, "a", 70, ended=500, cause=Cause.SPOT),
    PodSeen(1, 50, SPOT, "a", 90, ended=520, cause=Cause.CRASH),
    PodSeen(530, 600, ON_DEMAND, "b", 610),
]


def test_a_gangs_stay_is_from_the_first_pod_to_the_first_loss() -> None:
    stays: tuple[Stay, ...] = ()
    for pod in GANG:
        stays = with_pod(stays, pod, "gpus=8")
    first, second = stays
    assert (first.start, first.bound, first.running, first.ended, first.cause) == (0, 60, 90, 500, Cause.SPOT)
    assert (second.start, second.capacity, second.zone, second.ended) == (530, ON_DEMAND, "b", None)
    assert from_json(to_json(stays)) == stays


def test_seeing_pods_again_or_in_another_order_changes_nothing() -> None:
    once: tuple[Stay, ...] = ()
    for pod in GANG:
        once = with_pod(once, pod)
    again = once
    for pod in GANG:
        again = with_pod(again, pod)
    assert again == once
    for order in permutations(GANG[:4]):
        found: tuple[Stay, ...] = ()
        for pod in order:
            found = with_pod(found, pod)
        assert (found[0].ended, found[0].cause, len(found)) == (500, Cause.SPOT, 1)


def folded(*pods: PodSeen, stays: tuple[Stay, ...] = ()) -> tuple[Stay, ...]:
    for pod in pods:
        stays = with_pod(stays, pod)
    return stays


def test_workers_of_one_stay_are_one_stay_whoever_gets_its_node_first() -> None:
    lost = PodSeen(0, 60, SPOT, "a", 70, ended=500, cause=Cause.SPOT)
    workers = PodSeen(510, 600, SPOT, "a", 610), PodSeen(505, 620, SPOT, "a", 630)
    assert folded(lost, *workers) == folded(lost, *reversed(workers))
    _, here = folded(lost, *workers)
    assert (here.start, here.bound, here.running, here.ended) == (505, 620, 630, None)


def test_a_stay_that_is_learned_of_late_stands_where_it_was() -> None:
    """Such as the pods that went while nobody watched, after those that are there now."""
    first = PodSeen(0, 60, SPOT, "a", 70, ended=500, cause=Cause.SPOT)
    second = PodSeen(505, 560, SPOT, "b", 570, ended=700, cause=Cause.CONSOLIDATION)
    third = PodSeen(705, 760, ON_DEMAND, "b", 770)
    for order in permutations((first, second, third)):
        assert folded(*order) == folded(first, second, third)


def test_workers_that_found_nodes_belong_to_no_refusal() -> None:
    """Two of three workers got nodes before the try was given up; their stay ends with them."""
    bound = PodSeen(100, 160, SPOT, "a", 170)
    refused = Stay(100, SPOT, ended=700, cause=Cause.UNAVAILABLE, booked=True)
    stays = (*folded(bound), refused)
    found = folded(replace(bound, ended=730, cause=Cause.MOVE), stays=stays)
    assert (found[0].ended, found[0].cause, found[1]) == (730, Cause.MOVE, refused)
    here = folded(PodSeen(740, 800, ON_DEMAND, "b"), stays=found)[-1]
    assert (here.start, here.capacity) == (740, ON_DEMAND)


def test_the_first_report_is_noted_once() -> None:
    stays = with_pod((), PodSeen(0, 10, SPOT, "a", 20))
    assert with_report(stays, 15) == stays
    noted = with_report(stays, 30)
    assert noted[0].reported == 30
    assert with_report(noted, 40) == noted


@pytest.mark.parametrize(
    ("reason", "given", "cause"),
    [
        ("Succeeded", {}, None),
        ("Failed", {}, Cause.CRASH),
        ("Failed", {"suspended": Cause.MOVE}, Cause.MOVE),
        ("Deleted", {"suspended": Cause.PAUSE}, Cause.PAUSE),
        ("DeletionByTaintManager", {}, Cause.SPOT),
        ("EvictionByEvictionAPI", {"consolidated": True}, Cause.CONSOLIDATION),
        ("NodeGone", {"capacity": ON_DEMAND}, Cause.NODE),
        ("PreemptionByScheduler", {"suspended": Cause.MOVE}, Cause.PREEMPTION),
    ],
)
def test_why_a_stay_ended(reason: str, given: dict[str, object], cause: Cause | None) -> None:
    assert cause_of(reason, **{"capacity": SPOT, **given}) is cause  # type: ignore[arg-type]
