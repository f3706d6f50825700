"""What is done in a quicker way than the plain one comes to the same: sums without charges, prices without tables."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter

from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.activity import to_ppm
from gpucost.core.booking import FIELDS, IDLE, NOBODY, STRANDED
from gpucost.core.books import Books
from gpucost.core.clock import HOUR
from gpucost.core.in_force import NONE, in_force
from gpucost.core.model import CapacityType, PriceFact, UsageFact
from gpucost.core.summing import Sink
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger, prices_in_force
from support.ledger_world import T0, at, busy, node, pod, price
from support.random_worlds import books_of, times, worlds


def zero() -> list[int]:
    return [0] * len(FIELDS)


def by_charges(books: Books, span: Interval) -> tuple[dict[str, list[int]], int]:
    """The plain way: every charge to the namespace of its pod, or to nobody."""
    found: dict[str, list[int]] = {IDLE: zero(), STRANDED: zero()}
    cost = 0
    for booking in books.bookings(span):
        cost += booking.cost
        for charge in booking.charges:
            who = charge.pod_uid if charge.pod_uid in NOBODY else books.pods[charge.pod_uid].namespace
            total = found.setdefault(who, zero())
            found[who] = [a + b for a, b in zip(total, charge.values, strict=True)]
    return found, cost


def by_sums(books: Books, span: Interval) -> tuple[dict[str, list[int]], int]:
    found = defaultdict[str, list[int]](zero, {IDLE: zero(), STRANDED: zero()})
    cost = books.add_up(span, lambda _: Sink(found, attrgetter("namespace"), found))
    return dict(found), cost


@given(worlds(), times, times)
def test_sums_are_those_of_the_charges(facts, one, other):
    span = Interval(min(one, other), max(one, other))
    assert by_sums(books_of(facts), span) == by_charges(books_of(facts), span)


@st.composite
def steady_nodes(draw):
    """A node with pods that stay, as most are; prices and sizes at which nothing comes out even."""
    kind = draw(st.sampled_from(CapacityType))
    hourly = draw(st.decimals(min_value=0, max_value=100, places=4))
    dearer = draw(st.none() | st.decimals(min_value=0, max_value=200, places=4))
    facts = [replace(node(gpus=draw(st.integers(1, 16))), capacity_type=kind)]
    facts.append(PriceFact(facts[0].uid, T0, hourly or None, kind, "list", dearer))
    for number in range(draw(st.integers(0, 9))):
        facts.append(pod(f"p{number}", gpus=draw(st.integers(0, 3)), cpus=draw(st.integers(0, 7))))
        facts[-1] = replace(facts[-1], namespace=draw(st.sampled_from("abc")))
        for quarter in draw(st.lists(st.integers(0, 3), max_size=3, unique=True)):
            share = draw(st.none() | st.floats(0, 1))
            facts.append(UsageFact(f"p{number}", T0 + quarter * HOUR // 4, share))
    return facts


@given(steady_nodes(), st.lists(st.integers(0, HOUR), min_size=2, max_size=5))
def test_sums_are_those_of_the_charges_where_nobody_comes_or_goes(facts, cuts):
    """Several windows of the same books: what was added up before is used again, as in an operator."""
    books = books_of(facts)
    for one, other in pairwise(cuts):
        span = Interval(T0 + min(one, other), T0 + max(one, other))
        assert by_sums(books, span) == by_charges(books_of(facts), span)


def test_a_rest_that_is_half_goes_to_the_even_side_as_in_a_booking():
    """Two pods share a node that costs 3 pico-units in the hour: 1.5 each, and in half of the hour 0.75 each."""
    facts = [node(gpus=2), price("0.000000000003"), pod("a", gpus=1), pod("b", gpus=1), busy("a", 0.5)]
    for span in (Interval(at(0), at(0.5)), Interval(at(0.25), at(0.75)), Interval(at(0), at(1))):
        assert by_sums(books_of(facts), span) == by_charges(books_of(facts), span)
    assert to_ppm(0.5) == 500_000


@settings(max_examples=40)
@given(worlds(), times, times)
def test_prices_in_force_are_the_same_by_the_books_and_by_the_tables(facts, one, other):
    span = Interval(min(one, other), max(one, other))
    with Ledger("sqlite://") as ledger:
        ledger.record(facts)
        read = ledger._read(lambda db: prices_in_force.read(db, span))
    assert read == in_force(books_of(facts), span)


def test_a_node_that_was_gone_as_it_came_needs_no_price():
    facts = [node(start=1, end=1), price("4", 0), node("n2", 1, 1)]
    with Ledger("sqlite://") as ledger:
        ledger.record(facts)
        assert ledger._read(lambda db: prices_in_force.read(db, Interval(at(0), at(2)))) == NONE
    assert in_force(books_of(facts), Interval(at(0), at(2))) == NONE
