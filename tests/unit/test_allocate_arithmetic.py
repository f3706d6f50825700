"""Cases whose answers are worked out by hand: who pays how much of a node."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from gpucost.core.allocate import lane, price_timeline
from gpucost.core.booking import book
from gpucost.core.books import Books
from gpucost.core.clock import HOUR, SECOND
from gpucost.core.late import node_change
from gpucost.core.model import EarlierSize, NodeKind, Resources
from gpucost.core.money import apportion, apportion_over
from gpucost.core.report import Amounts
from gpucost.core.shares import DOMINANT, Split, SplitKind
from gpucost.core.timeline import Interval
from support.ledger_world import at, booked, busy, money, need, node, pod, price, span


def costs(facts, window):
    """Cost by pod UID as decimal strings' pico-units; the difference must be 0."""
    found, difference = booked(facts, window)
    assert difference == 0
    return {uid: amounts.cost for uid, amounts in found.items()}


def test_a_price_change_splits_the_node_between_the_pods_of_each_time():
    facts = [
        node(gpus=1),
        price("1", 0),
        price("4", 5),
        pod("a", 0, 5, gpus=1),
        pod("b", 5, 10, gpus=1),
    ]
    assert costs(facts, span(0, 10)) == {"a": money("5"), "b": money("20")}


def test_a_price_change_within_an_hour_counts_to_the_microsecond():
    facts = [node(gpus=1), price("1", 0), price("4", Fraction(1, 3)), pod("a", 0, 1, gpus=1)]
    assert costs(facts, span(0, 1)) == {"a": money("3")}  # 20 min x 1 + 40 min x 4


def test_a_gap_between_two_stays_of_one_pod_name_is_idle():
    facts = [
        node(gpus=1),
        price("4"),
        pod("a-1", 0, 2, gpus=1, name="a"),
        pod("a-2", 8, 10, gpus=1, name="a"),
    ]
    assert costs(facts, span(0, 10)) == {"a-1": money("8"), "a-2": money("8"), "": money("24")}


def test_a_pod_costs_nothing_before_it_is_bound_to_a_node():
    facts = [node(gpus=1), price("4"), pod("a", 1, 2, gpus=1)]
    assert costs(facts, span(0, 1)) == {"": money("4")}


@pytest.mark.parametrize(("seconds", "cost"), [(30, "0.05"), (300, "0.5"), (3600, "6")])
def test_short_pods_are_exact_to_the_second(seconds, cost):
    stay = Fraction(seconds, 3600)
    facts = [node(gpus=1), price("6"), pod("a", Fraction(1, 7), Fraction(1, 7) + stay, gpus=1)]
    assert costs(facts, span(0, 3))["a"] == money(cost)


def test_two_pods_of_four_gpus_share_a_node_of_eight():
    facts = [
        node(gpus=8, cpus=192, memory=2048),
        price("55.04"),
        pod("a", 0, None, gpus=4, cpus=16, memory=128),
        pod("b", 0, None, gpus=4, cpus=16, memory=128),
    ]
    assert costs(facts, span(0, 1)) == {"a": money("27.52"), "b": money("27.52")}


def test_the_largest_share_counts():
    facts = [
        node(gpus=8, cpus=100, memory=1000),
        price("10"),
        pod("gpu", gpus=4, cpus=10, memory=100),
        pod("cpu", cpus=30, memory=100),
        pod("memory", cpus=1, memory=150),
    ]
    assert costs(facts, span(0, 1)) == {"gpu": money("5"), "cpu": money("3"), "memory": money("1.5"), "": money("0.5")}


def test_an_overcommitted_node_is_scaled_down_and_never_idle():
    facts = [
        node(gpus=8, cpus=10),
        price("12"),
        pod("a", gpus=8),
        pod("b", cpus=5),
    ]
    # shares 1 and 1/2 add up to 3/2
    assert costs(facts, span(0, 1)) == {"a": money("8"), "b": money("4")}


def test_a_node_without_a_resource_ignores_requests_for_it():
    facts = [node(gpus=0, cpus=4, memory=16), price("1"), pod("a", gpus=2, cpus=1, memory=1)]
    assert costs(facts, span(0, 1)) == {"a": money("0.25"), "": money("0.75")}


def test_a_pod_without_requests_has_no_share():
    facts = [node(), price("8"), pod("a")]
    assert costs(facts, span(0, 1)) == {"a": 0, "": money("8")}


def test_a_node_that_advertises_nothing_is_all_idle():
    facts = [node(gpus=0), price("8"), pod("a", cpus=1)]
    assert costs(facts, span(0, 1)) == {"a": 0, "": money("8")}


def test_a_pod_is_clipped_to_the_life_of_its_node():
    facts = [node(start=1, end=2, gpus=1), price("4", 1), pod("a", 0, 9, gpus=1)]
    assert costs(facts, span(0, 10)) == {"a": money("4")}


def test_a_pod_that_starts_when_it_ends_costs_nothing():
    facts = [node(gpus=1), price("4"), pod("a", 1, 1, gpus=1)]
    assert costs(facts, span(0, 2)) == {"": money("8")}


def test_a_pod_without_an_end_is_still_there_when_the_window_ends():
    facts = [node(gpus=1), price("4"), pod("a", 0, None, gpus=1)]
    assert costs(facts, span(0, 100)) == {"a": money("400")}


def test_time_before_the_first_price_is_unpriced_and_not_free():
    found, difference = booked([node(gpus=1), price("4", 1), pod("a", 0, 2, gpus=1)], span(0, 2))
    assert difference == 0
    assert found["a"].cost == money("4")
    assert found["a"].held_time == 2 * HOUR
    assert found["a"].unpriced_time == HOUR
    assert found["a"].coverage == Fraction(1, 2)


@pytest.mark.parametrize("hourly", [None, "0", "0.00"])
def test_a_price_that_is_missing_or_zero_is_unknown(hourly):
    found, _ = booked([node(gpus=2), price(hourly), pod("a", gpus=1)], span(0, 1))
    assert found["a"].known_cost is None
    assert found["a"].gpu_time == HOUR
    assert found[""].known_cost is None


def test_gpu_time_is_what_is_held_and_what_is_left():
    found, _ = booked([node(gpus=8), price("8"), pod("a", 0, 1, gpus=3)], span(0, 2))
    assert found["a"].gpu_time == 3 * HOUR
    assert found[""].gpu_time == 13 * HOUR


def test_gpus_that_are_all_busy_are_fully_used():
    found, _ = booked([node(gpus=8), price("8"), pod("a", gpus=8), busy("a", 1.0)], span(0, 1))
    assert found["a"].gpu_utilization == 1
    assert found["a"].active == money("8")
    assert found["a"].held == 0


def test_activity_splits_cost_into_active_held_and_unknown():
    facts = [
        node(gpus=2),
        price("8"),
        pod("a", 0, 4, gpus=2),
        busy("a", 0.25, 1),
        busy("a", None, 2),
        busy("a", 1.0, 3),
    ]
    amounts = booked(facts, span(0, 4))[0]["a"]
    assert amounts.unknown_activity == money("16")  # hours 0-1 and 2-3
    assert amounts.active == money("10")  # a quarter of hour 1-2 and all of hour 3-4
    assert amounts.held == money("6")
    assert amounts.gpu_utilization == Fraction(5, 8)


@pytest.mark.parametrize("nonsense", [float("nan"), -0.1, 1.7, float("inf")])
def test_absurd_activity_is_unknown(nonsense):
    amounts = booked([node(), price("8"), pod("a", gpus=8), busy("a", nonsense)], span(0, 1))[0]["a"]
    assert amounts.known_gpu_time == 0
    assert amounts.unknown_activity == money("8")


def test_pods_without_gpus_have_no_activity():
    amounts = booked([node(cpus=10), price("8"), pod("a", cpus=5), busy("a", 0.5)], span(0, 1))[0]["a"]
    assert (amounts.non_gpu, amounts.active, amounts.unknown_activity) == (money("4"), 0, 0)


def test_cost_is_told_apart_by_capacity_type():
    facts = [
        node(gpus=1, capacity_type="spot"),
        price("1", 0, capacity_type="spot"),
        price("4", 1, capacity_type="onDemand"),
        pod("a", gpus=1),
    ]
    amounts = booked(facts, span(0, 2))[0]["a"]
    assert (amounts.spot, amounts.on_demand, amounts.cost) == (money("1"), money("4"), money("5"))


def test_cpu_and_memory_time_are_counted():
    amounts = booked([node(cpus=64, memory=256), price("1"), pod("a", 0, 2, cpus=1.5, memory=4)], span(0, 2))[0]["a"]
    assert amounts.cpu_time == 1500 * 2 * HOUR
    assert amounts.memory_time == 4096 * 2 * HOUR


def test_thirds_of_a_node_add_up_to_the_last_pico_unit():
    facts = [node(gpus=3), price("1"), *(pod(uid, gpus=1) for uid in "abc")]
    assert costs(facts, span(0, 1)) == {"a": 333_333_333_334, "b": 333_333_333_333, "c": 333_333_333_333}


def test_the_rates_of_a_moment_add_up_to_the_price_of_the_node():
    books = Books()
    books.put([node(gpus=3), price("1"), pod("a", 0, 1, gpus=1), pod("b", 0, 2, gpus=1)])
    assert books.hourly("n1", at(0.5)) == {"a": 333_333_333_334, "b": 333_333_333_333, "": 333_333_333_333}
    assert books.hourly("n1", at(1)) == {"b": 333_333_333_333, "": 666_666_666_667}


def test_the_rate_of_an_unpriced_node_is_unknown():
    books = Books()
    books.put([node(gpus=1), pod("a", gpus=1)])
    assert books.hourly("n1", at(0)) == {"a": None, "": None}


def test_two_prices_from_one_instant_are_refused():
    with pytest.raises(ValueError, match="same instant"):
        price_timeline([price("1"), price("2")])


def test_a_share_is_at_most_the_whole_node():
    scale = DOMINANT.scale(node(gpus=8), 1)
    assert scale.units(0, 0, 16) == scale.unit == 8


def test_use_above_the_request_counts_from_when_it_was_seen():
    facts = [
        node(gpus=0, cpus=10),
        price("10"),
        pod("a", 0, 4, cpus=1),
        need("a", 1, cpus=5),  # uses five CPUs in the second and third hour
        need("a", 3, cpus=1),
    ]
    assert costs(facts, span(0, 4)) == {"a": money("12"), "": money("28")}
    assert booked(facts, span(0, 4))[0]["a"].cpu_time == 12_000 * HOUR


def test_needs_that_change_within_an_hour_make_one_charge():
    facts = [node(gpus=1), price("6"), pod("a", 0, 1, gpus=1), need("a", Fraction(1, 3), gpus=Fraction(1, 2))]
    assert costs(facts, span(0, 1)) == {"a": money("4"), "": money("2")}


def test_a_need_that_comes_late_is_booked_again():
    books = Books()
    books.put([node(gpus=1), price("4"), pod("a", 0, 2, gpus=1)])
    first = [b.charges for b in books.bookings(span(0, 2))]
    books.put([need("a", 1, gpus=Fraction(1, 4))])
    second = [b.charges for b in books.bookings(span(0, 2))]
    assert first[0] == second[0]
    assert {c.pod_uid: c.amounts.cost for c in second[1]} == {"a": money("1"), "": money("3")}


def test_an_overcommitted_node_scales_use_as_it_scales_requests():
    facts = [  # P1 requests nothing and uses all of the memory, P2 requests all of it and uses nothing
        node(gpus=0, memory=1),
        price("1"),
        pod("p1"),
        need("p1", 0, memory=1),
        pod("p2", memory=1),
    ]
    assert costs(facts, span(0, 1)) == {"p1": money("0.5"), "p2": money("0.5")}


def test_slices_of_a_gpu_are_shares_of_it():
    half = Fraction(1, 2)
    facts = [node(gpus=1), price("7"), pod("a", gpus=half), pod("b", gpus=half)]
    assert costs(facts, span(0, 1)) == {"a": money("3.5"), "b": money("3.5")}


def test_slices_that_add_up_to_more_than_the_gpu_are_scaled_down():
    size = Fraction(4, 7) + Fraction(1, 2)  # 4g.40gb and 3g.40gb on one H100
    machine = replace(node(gpus=0), capacity=Resources(gpus=size), physical_gpus=1)
    facts = [machine, price("15"), pod("a", gpus=Fraction(4, 7)), pod("b", gpus=Fraction(1, 2))]
    assert costs(facts, span(0, 1)) == {"a": money("8"), "b": money("7")}


def test_what_nobody_can_be_given_is_stranded_and_not_idle():
    machine = replace(node(gpus=1), physical_gpus=1, stranded_gpus=Fraction(1, 7))
    found, difference = booked([machine, price("7"), pod("a", gpus=Fraction(1, 2))], span(0, 7))
    assert difference == 0
    assert (found["a"].cost, found[""].cost, found["stranded"].cost) == (money("24.5"), money("24.5"), 0)
    # a seventh of seven hours; GPU time is stored in whole microseconds, so an hour may be off by half of one
    assert abs(found["stranded"].gpu_time - HOUR) <= 3
    assert abs(found[""].gpu_time - Fraction(7 * HOUR) * (1 - Fraction(1, 7) - Fraction(1, 2))) <= 3


@pytest.mark.parametrize(
    ("held", "cost", "idle"),
    [(2, "2", "2"), (4, "4", "0"), (6, "4", "0")],  # of six GPUs' worth asked for there are four
)
def test_stranded_money_is_beside_what_pods_hold_even_when_they_ask_for_more(held, cost, idle):
    books = Books(split=Split(SplitKind.GPU_ONLY))  # under which the lost half of the GPUs is charged to nobody
    half = replace(node(gpus=4), physical_gpus=8, stranded_gpus=4)
    books.put([half, price("8"), pod("a", gpus=held)])
    (booking,) = books.bookings(span(0, 1))
    found = {charge.pod_uid: charge.amounts.cost for charge in booking.charges}
    assert booking.difference == 0
    assert found["stranded"] == money("4")
    assert (found["a"], found.get("", 0)) == (money(cost), money(idle))
    assert sum(rate for rate in books.hourly("n1", at(0)).values()) == money("8")


def test_a_volume_is_held_whole_by_its_claim_and_idles_without_one():
    volume = replace(node(gpus=0), kind=NodeKind.VOLUME, capacity=Resources(storage=100 * 2**30))
    facts = [volume, price("0.01"), pod("claim", 1, 3)]
    assert costs(facts, span(0, 4)) == {"claim": money("0.02"), "": money("0.02")}


def test_the_difference_shows_when_a_part_is_lost():
    prices = price_timeline([price("8")])
    whole = lane(node(gpus=2), prices, [pod("a", gpus=1)], span(0, 1))
    assert book(whole, prices, {}, span(0, 1)).difference == 0
    assert book(replace(whole, stays=()), prices, {}, span(0, 1)).difference == money("4")


def test_apportioning_over_a_denominator_is_apportioning():
    parts = [Fraction(1, 7), Fraction(5, 7), Fraction(1, 7), Fraction(3, 7)]
    assert apportion_over([1, 5, 1, 3], 7) == apportion(parts, 1) == [0, 1, 0, 0]


def test_amounts_add_up_field_by_field():
    one = booked([node(), price("8"), pod("a", gpus=8)], span(0, 1))[0]["a"]
    assert one + Amounts() == one
    assert (one + one).held_time == 2 * HOUR


def test_half_a_second_is_half_a_second():
    found, _ = booked([node(gpus=1), price("3600"), pod("a", 0, Fraction(1, 7200), gpus=1)], span(0, 1))
    assert found["a"].cost == money("0.5")
    assert found["a"].held_time == SECOND // 2


# --- sizes that change ------------------------------------------------------------------------------------------------


def repartitioned(at_hour=2):
    """An H100 that is whole for two hours, and then `3g.40gb` + `4g.40gb`: 15/14 of what it has."""
    fact = replace(node(gpus=1), capacity=Resources(gpus=Fraction(15, 14)), physical_gpus=1)
    return replace(fact, earlier=(EarlierSize(at(at_hour), Resources(gpus=1)),))


def test_cutting_up_a_gpu_anew_does_not_change_what_was_before():
    facts = [
        repartitioned(),
        price("15"),
        pod("whole", 0, 2, gpus=1),
        pod("small", 2, 4, gpus=Fraction(1, 2)),
        pod("large", 2, 4, gpus=Fraction(4, 7)),
    ]
    assert costs(facts, span(0, 4)) == {"whole": money("30"), "small": money("14"), "large": money("16")}


@pytest.mark.parametrize("moment", [2, 2.5])
def test_a_pod_that_stays_while_its_node_changes_is_charged_by_what_the_node_was(moment):
    facts = [
        replace(node(gpus=4), earlier=(EarlierSize(at(moment), Resources(gpus=8)),)),
        price("8"),
        pod("a", 1, 4, gpus=2),
    ]
    before, after = moment - 1, 4 - moment
    found = costs(facts, span(1, 4))
    assert found["a"] == money(str(2 * before + 4 * after))
    assert found["a"] + found[""] == money("24")


def test_only_the_time_in_which_the_sizes_differ_is_booked_again():
    old = replace(node(gpus=1), end=at(9))
    new = replace(repartitioned(), end=at(9))
    assert node_change(old, new) == [Interval(at(2), at(9))]
    assert node_change(new, new) == []
    assert node_change(new, replace(new, end=at(8))) == [Interval(at(8), at(9))]
