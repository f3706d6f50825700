"""What is known of spot capacity, and when a try of it is worth its trouble."""

from __future__ import annotations

from gpucost.core.clock import HOUR, MINUTE
from gpucost.core.model import CapacityType, Node, Pod, Resources
from gpucost.core.training.auto.sightings import Market, Spot, pause_after, rooms_of, wants_of
from gpucost.core.training.auto.stays import Cause, Stay

SPOT = CapacityType.SPOT
NEEDS = Resources(gpus=8)
SELECTOR = {"karpenter.sh/capacity-type": "spot", "node.kubernetes.io/instance-type": "p5"}
WANTS = wants_of(SELECTOR, NEEDS)
NOW = 100 * HOUR


def node(name: str = "n", created: int = NOW - HOUR, **labels: str) -> Node:
    given = {"node.kubernetes.io/instance-type": "p5", "topology.kubernetes.io/zone": "a", **labels}
    return Node(name, name, created, Resources(gpus=8), given)


def ask(stays: list[Stay] | None = None, rooms: tuple = (), refused: tuple[int, int] | None = None, **given) -> Spot:  # type: ignore[no-untyped-def, type-arg]
    market = Market(rooms, {WANTS: stays or []})
    selector = {**SELECTOR, **given}
    return market.spot(WANTS, selector, NEEDS, workers=1, refused=refused, now=NOW)


def held(start: int, end: int | None, cause: Cause | None = Cause.SPOT, zone: str = "a") -> Stay:
    return Stay(start, SPOT, zone, start, start, ended=end, cause=cause if end else None, wants=WANTS)


def refused_at(start: int, end: int) -> Stay:
    return Stay(start, SPOT, ended=end, cause=Cause.UNAVAILABLE, wants=WANTS)


def test_capacity_type_and_zone_are_no_part_of_what_is_wanted() -> None:
    assert wants_of({**SELECTOR, "topology.kubernetes.io/zone": "a"}, NEEDS) == WANTS
    assert wants_of({"pool": "cheap"}, NEEDS, ["pool"]) == "gpus=8"
    assert wants_of({}, NEEDS) != WANTS


def test_nobody_knows_at_first() -> None:
    assert ask() == Spot(None)


def test_room_on_a_node_that_is_there_is_capacity() -> None:
    rooms = rooms_of([node()], [], {"n": SPOT})
    assert ask(rooms=rooms).available is True
    full = rooms_of([node()], [Pod("p", "p", "x", 0, NEEDS, node_name="n", phase="Running")], {"n": SPOT})
    assert ask(rooms=full).available is None  # it was to be had an hour ago
    other = rooms_of([node(**{"node.kubernetes.io/instance-type": "g6"})], [], {"n": SPOT})
    assert ask(rooms=other).available is None
    assert rooms_of([node()], [], {"n": CapacityType.ON_DEMAND}) == ()


def test_a_node_that_was_just_bought_for_somebody_says_that_there_are_more() -> None:
    taken = Pod("p", "p", "x", 0, NEEDS, node_name="n", phase="Running")
    rooms = rooms_of([node(created=NOW - 5 * MINUTE)], [taken], {"n": SPOT})
    assert ask(rooms=rooms, refused=(NOW - 20 * MINUTE, 1)).available is True


def test_a_try_that_failed_is_followed_by_a_pause_that_doubles() -> None:
    first = ask(refused=(NOW - MINUTE, 1))
    assert (first.available, first.try_at) == (False, NOW - MINUTE + pause_after(1))
    assert ask(refused=(NOW - pause_after(1), 1)).available is None
    third = ask(refused=(NOW - pause_after(1), 3))
    assert (third.available, third.refusals) == (False, 3)
    assert pause_after(3) == 4 * pause_after(1)
    assert pause_after(50) == pause_after(20)


def test_what_others_have_tried_counts_too() -> None:
    tries = [refused_at(NOW - 90 * MINUTE, NOW - 80 * MINUTE), refused_at(NOW - 20 * MINUTE, NOW - 10 * MINUTE)]
    found = ask(tries)
    assert (found.available, found.refusals) == (False, 2)
    assert [one.available for one in found.spans] == [False, False]
    better = ask([*tries, held(NOW - 5 * MINUTE, None)])
    assert (better.available, better.refusals) == (True, 0)


def test_a_zone_that_a_run_is_tied_to_is_the_only_one_that_counts() -> None:
    elsewhere = [held(NOW - 10 * MINUTE, None, zone="b")]
    assert ask(elsewhere).available is True
    tied = ask(elsewhere, **{"topology.kubernetes.io/zone": "a"})
    assert tied.available is None
    assert ask(elsewhere).zones == (("b", NOW - 10 * MINUTE, True),)


def test_many_histories_become_one_without_overlaps() -> None:
    """There is capacity while anybody has it, whatever somebody else is refused meanwhile."""
    hours = [NOW - number * HOUR for number in range(9)]
    stays = [held(hours[8], hours[5]), held(hours[7], hours[4]), refused_at(hours[6], hours[3]), held(hours[2], None)]
    spans = ask(stays).spans
    assert [(one.start, one.end, one.available) for one in spans] == [
        (hours[8], hours[4], True),
        (hours[4], hours[3], False),
        (hours[2], NOW, True),
    ]
