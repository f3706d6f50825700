"""Prices that jump a hundredfold are held back, the old ones go on, and somebody can confirm the new ones."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from gpucost.core.model import CapacityType, NodeKind, PriceEntry
from gpucost.core.pricelist import BUILT_IN
from gpucost.core.quarantine import confirmed_amounts, is_jump, known_things, screen
from gpucost.core.tariff import AssetPrice, BasePrice, Commitment, Tariff
from support.ledger_world import at


def entry(hourly, since=-1000, instance="x.large"):
    return PriceEntry(Decimal(hourly), at(since), CapacityType.ON_DEMAND, instance_type=instance, source="PriceBook/b")


def book(*prices):
    return Tariff(prices=prices)


def hourly(screened):
    return [one.hourly for one in sorted(screened.tariff.prices, key=lambda one: one.effective_from)]


@pytest.mark.parametrize(
    ("before", "found", "jump"),
    [
        ("1", "99.99", False),
        ("1", "100", True),
        ("100", "1", True),
        ("100", "1.01", False),
        ("0", "5", False),
        ("5", "0", False),
    ],
)
def test_a_jump_is_a_hundredfold_either_way_and_zero_is_none(before, found, jump):
    assert is_jump(Decimal(before), Decimal(found)) is jump


def test_a_first_price_is_believed():
    first = screen(book(entry("5504")), {})
    assert (hourly(first), first.jumps) == ([5504], ())


def test_an_edit_of_a_hundredfold_is_held_back_and_the_old_price_goes_on():
    first = screen(book(entry("55.04")), {})
    second = screen(book(entry("5504")), first.memory)
    assert hourly(second) == [Decimal("55.04")]
    assert str(second.jumps[0]) == "x.large onDemand: 5504 is held back, 55.04 is in force"
    assert second.memory == first.memory  # the next pass, or the next start, finds the same
    assert screen(book(entry("5504")), second.memory) == second


def test_it_is_accepted_by_its_value_and_stays_accepted():
    first = screen(book(entry("55.04")), {})
    accepted = screen(book(entry("5504")), first.memory, confirmed=confirmed_amounts("5504.0"))
    assert (hourly(accepted), accepted.jumps) == ([5504], ())
    later = screen(book(entry("5504")), accepted.memory)
    assert (hourly(later), later.jumps) == ([5504], ())


def test_another_value_is_not_accepted_with_it():
    first = screen(book(entry("55.04")), {})
    assert screen(book(entry("5600")), first.memory, confirmed=confirmed_amounts("5504,1,x")).jumps


def test_taking_the_edit_back_ends_the_quarantine():
    first = screen(book(entry("55.04")), {})
    held = screen(book(entry("5504")), first.memory)
    assert screen(book(entry("54")), held.memory).jumps == ()


def test_a_step_within_a_book_is_held_back_too():
    found = screen(book(entry("55.04", 0), entry("0.05", 5)), {})
    assert hourly(found) == [Decimal("55.04")]
    assert len(found.jumps) == 1


def test_an_edit_of_price_and_date_at_once_does_not_leave_the_thing_without_a_price():
    first = screen(book(entry("55.04", 0)), {})
    moved = screen(book(entry("0.5", 3)), first.memory)
    assert [(one.hourly, one.effective_from) for one in moved.tariff.prices] == [(Decimal("55.04"), at(0))]


def test_a_price_that_grows_in_steps_is_believed():
    steps = [entry(str(price), hour) for hour, price in enumerate((1, 50, 600, 7000))]
    assert screen(book(*steps), {}).jumps == ()


def test_other_things_in_the_book_are_not_touched():
    first = screen(book(entry("55.04"), entry("3", instance="y.large")), {})
    second = screen(book(entry("5504"), entry("4", instance="y.large")), first.memory)
    assert {one.instance_type: one.hourly for one in second.tariff.prices} == {
        "x.large": Decimal("55.04"),
        "y.large": 4,
    }


@pytest.mark.parametrize(("first", "held"), [("0.05", True), ("5504", True), ("40", False)])
def test_a_first_price_is_compared_with_the_list_price_where_there_is_one(first, held):
    price = replace(entry(first, instance="p5.48xlarge"), region="us-east-1")
    found = screen(book(price), {}, known=known_things(BUILT_IN))
    assert bool(found.jumps) is held
    assert bool(found.tariff.prices) is not held  # the built-in list goes on instead
    if held:
        assert "55.04 is the list price" in str(found.jumps[0])
        assert screen(book(price), {}, known=known_things(BUILT_IN), confirmed=confirmed_amounts(first)).jumps == ()


def test_storage_commitments_and_base_prices_are_watched_like_nodes():
    def tariff(factor):
        return Tariff(
            base=(BasePrice(Decimal("0.03"), Decimal("0.004") * factor),),
            commitments=(Commitment("c", Decimal(30) * factor, instance_type="p5.48xlarge"),),
            assets=(AssetPrice(NodeKind.VOLUME, Decimal("0.08") * factor, "gp3"),),
        )

    first = screen(tariff(1), {})
    second = screen(tariff(1000), first.memory)
    assert {jump.thing for jump in second.jumps} == {"CPU and memory onDemand", "commitment c", "storage gp3"}
    assert second.tariff == tariff(1)


def test_memory_holds_what_is_in_force_and_no_more():
    first = screen(book(entry("55.04"), entry("3", instance="y.large")), {})
    assert set(screen(book(entry("4", instance="y.large")), first.memory).memory) == {"y.large onDemand"}
