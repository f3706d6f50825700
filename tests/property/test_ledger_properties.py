"""Whatever happens in a cluster, and in whatever order one hears of it: cost is conserved, and one answer is given."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gpucost.core.activity import to_ppm
from gpucost.core.allocate import FOREVER, node_cost, price_timeline
from gpucost.core.booking import hours
from gpucost.core.books import Books, Fact
from gpucost.core.clock import HOUR
from gpucost.core.model import (
    CapacityType,
    NeedFact,
    NodeFact,
    PodFact,
    PriceFact,
    Resources,
    Workload,
)
from gpucost.core.money import PICO, apportion, apportion_over
from gpucost.core.report import Amounts
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger
from support.ledger_world import T0
from support.random_worlds import (
    LENGTH,
    NODES,
    WHOLE,
    amounts,
    books_of,
    times,
    worlds,
)


def by_pod(books: Books, window: Interval) -> dict[tuple[str, str], Amounts]:
    """Amounts by node and pod."""
    found: dict[tuple[str, str], Amounts] = {}
    for booking in books.bookings(window):
        for charge in booking.charges:
            key = (charge.node_uid, charge.pod_uid)
            found[key] = found.get(key, Amounts()) + charge.amounts
    return found


# --- the reference: slow, obvious, and sharing no code with what it checks --------------------------------------------


def reference(facts, window: Interval) -> dict[str, Fraction]:
    """Exact cost in pico-units by pod, and of idling by node (`idle:UID`), one elementary interval after another."""
    cost: dict[str, Fraction] = {}
    for node in (fact for fact in facts if isinstance(fact, NodeFact)):
        prices = [fact for fact in facts if isinstance(fact, PriceFact) and fact.node_uid == node.uid]
        pods = [fact for fact in facts if isinstance(fact, PodFact) and fact.node_uid == node.uid]
        first = max(node.start, window.start)
        last = min(FOREVER if node.end is None else node.end, window.end)
        changes = [fact for fact in facts if isinstance(fact, NeedFact)]
        edges = [p.start for p in prices + pods + changes] + [p.end for p in pods if p.end is not None]
        edges += [size.until for size in node.earlier]
        cuts = sorted({first, last, *(edge for edge in edges if first < edge < last)})
        for start, end in pairwise(cuts) if first < last else ():
            in_force = max((p for p in prices if p.start <= start), key=lambda p: p.start, default=None)
            if in_force is None or not in_force.hourly:
                continue
            worth = Fraction(in_force.hourly) * PICO * (end - start) / HOUR
            here = [p for p in pods if p.start <= start and (p.end is None or p.end > start)]
            shares = {p.uid: share(need_at(p, changes, start), size_at(node, start)) for p in here}
            scale = max(Fraction(1), sum(shares.values(), Fraction(0)))
            for uid, part in shares.items():
                cost[uid] = cost.get(uid, Fraction(0)) + worth * part / scale
            idle = worth * (1 - sum(shares.values(), Fraction(0)) / scale)
            cost[f"idle:{node.uid}"] = cost.get(f"idle:{node.uid}", Fraction(0)) + idle
    return cost


def size_at(node: NodeFact, instant: int) -> Resources:
    return next((size.capacity for size in node.earlier if instant < size.until), node.capacity)


def need_at(pod: PodFact, changes: list[NeedFact], instant: int) -> Resources:
    past = [c for c in changes if c.pod_uid == pod.uid and c.start <= instant]
    return max(past, key=lambda c: c.start).needs if past else pod.requests


def share(needs: Resources, size: Resources) -> Fraction:
    pairs = [(needs.gpus, size.gpus), (needs.cpu_milli, size.cpu_milli), (needs.memory, size.memory)]
    return max((min(Fraction(1), Fraction(need) / whole) for need, whole in pairs if whole), default=Fraction(0))


# --- arithmetic -------------------------------------------------------------------------------------------------------


@given(worlds())
def test_every_part_is_what_the_reference_says_to_a_pico_unit_an_hour(facts):
    expected = reference(facts, WHOLE)
    units = LENGTH // HOUR
    for (node_uid, pod_uid), found in by_pod(books_of(facts), WHOLE).items():
        exact = expected.get(pod_uid or f"idle:{node_uid}", Fraction(0))
        assert abs(found.cost - exact) <= 4 * units  # up to 3 states of a charge, each less than 1 off


@given(worlds(), times, times)
def test_the_parts_add_up_to_what_the_nodes_cost_in_every_window(facts, one, other):
    window = Interval(min(one, other), max(one, other))
    assert all(booking.difference == 0 for booking in books_of(facts).bookings(window))


@given(worlds(), times, times, times)
def test_the_cost_of_a_node_is_additive(facts, one, other, third):
    first, middle, last = sorted([one, other, third])
    books = books_of(facts)
    for uid in NODES:
        halves = [Interval(first, middle), Interval(middle, last)]
        timeline = price_timeline(books.prices.get(uid, {}).values())
        parts = sum(node_cost(books.nodes[uid], timeline, half) for half in halves)
        assert parts == node_cost(books.nodes[uid], timeline, Interval(first, last))


@given(worlds(), times)
def test_two_windows_that_meet_add_up_to_the_whole(facts, cut):
    middle = min(max(cut, WHOLE.start), WHOLE.end)
    books = books_of(facts)
    halves = [by_pod(books, Interval(WHOLE.start, middle)), by_pod(books, Interval(middle, WHOLE.end))]
    whole = by_pod(books, WHOLE)
    assert whole.keys() == halves[0].keys() | halves[1].keys()
    for key, found in whole.items():
        both = halves[0].get(key, Amounts()) + halves[1].get(key, Amounts())
        rounded = 0 if middle % HOUR == 0 else 8  # the hour with the cut is booked as two units
        assert abs(both.cost - found.cost) <= rounded
        assert (both.held_time, both.unpriced_time) == (found.held_time, found.unpriced_time)
        assert abs(both.gpu_time - found.gpu_time) <= min(rounded, 2)  # parts of a GPU, in whole microseconds


@given(worlds())
def test_no_amount_is_negative_and_states_add_up(facts):
    for (_, pod_uid), found in by_pod(books_of(facts), WHOLE).items():
        assert all(getattr(found, name) >= 0 for name in Amounts.__slots__)
        if pod_uid:
            assert found.active + found.held + found.unknown_activity + found.non_gpu == found.cost
        assert found.unpriced_time <= found.held_time
        assert found.known_gpu_time <= found.gpu_time
        assert found.active_gpu_time <= found.known_gpu_time


@given(worlds())
def test_rates_of_a_moment_are_those_of_the_price(facts):
    books = books_of(facts)
    for node in books.alive(Interval(T0, T0 + 1)):
        parts = books.hourly(node.uid, T0)
        price = books.timeline(node.uid).at(T0)
        if price is not None and price.hourly:
            assert sum(part or 0 for part in parts.values()) == price.hourly * PICO
        else:
            assert set(parts.values()) <= {None}


@given(st.lists(st.integers(0, 10**9), max_size=12), st.integers(1, 10**6))
def test_apportioning_over_a_denominator_agrees_with_apportioning(numerators, denominator):
    parts = [Fraction(numerator, denominator) for numerator in numerators]
    assert apportion_over(numerators, denominator) == apportion(parts, round(sum(parts, Fraction(0))))


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_activity_is_a_share_or_unknown(value):
    ppm = to_ppm(value)
    assert ppm is None or 0 <= ppm <= 1_000_000


@given(times, times)
def test_hours_cut_a_window_without_a_gap(one, other):
    window = Interval(min(one, other), max(one, other))
    cut = list(hours(window))
    assert sum(part.length for part in cut) == window.length
    assert all(a.end == b.start and b.start % HOUR == 0 for a, b in pairwise(cut))


# Every example opens databases, so there are few of them and failing ones are shown as they were found.
LEDGERS = settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
ON_A_SERVER = settings(LEDGERS, max_examples=8)


# --- the ledger -------------------------------------------------------------------------------------------------------


def told(ledger: Ledger, window: Interval, now: int):
    """Everything that a ledger answers, apart from the order of equal rows."""
    reports = [ledger.report(window, now=now, by=by) for by in ("namespace", "workload", "pod", "node", "category")]
    assert all(report.difference == 0 for report in reports)
    assert ledger.conservation(now) == 0
    keys = [(space, Workload("Job", name)) for space in ("red", "blue") for name in "uvw"]
    explained = [ledger.explain(*key, window, now=now) for key in keys]
    for (space, workload), shown in zip(keys, explained, strict=True):
        assert sum(line.cost or 0 for line in shown.lines) == shown.total.cost
        rows = {row.key: row.amounts for row in reports[1].rows}
        assert shown.total == rows.get(f"{space}/Job/{workload.name}", Amounts())
    return (
        reports,
        explained,
        ledger.workload_totals(now, keys),
        ledger.namespace_totals(now),
        ledger.node_totals(now),
    )


def unended(fact: Fact) -> Fact:
    """The same fact as it was heard before its end."""
    return replace(fact, end=None) if isinstance(fact, PodFact | NodeFact) else fact


def in_memory() -> Ledger:
    return Ledger("sqlite://")


@LEDGERS
@given(worlds(), st.randoms(use_true_random=False), times, times)
def test_any_order_of_hearing_and_settling_gives_one_answer(facts, chance, one, other):
    hears_in_any_order(in_memory, facts, chance, one, other)


@ON_A_SERVER
@given(worlds(), st.randoms(use_true_random=False), times, times)
def test_any_order_gives_one_answer_in_postgresql(clusters_in_postgres, facts, chance, one, other):
    hears_in_any_order(clusters_in_postgres, facts, chance, one, other)


def hears_in_any_order(ledgers, facts, chance: random.Random, one, other):
    window, now = Interval(min(one, other), max(one, other)), WHOLE.end
    with ledgers() as plain, ledgers() as eventful:
        plain.record(facts)
        heard = [*map(unended, chance.sample(facts, len(facts) // 2)), *facts, *chance.sample(facts, len(facts) // 2)]
        late = chance.randint(0, len(heard))
        order = heard[:late]
        chance.shuffle(order)
        order += heard[late:]
        while order:
            batch = chance.randint(1, len(order))
            eventful.record(order[:batch])
            order = order[batch:]
            if chance.random() < 0.5:
                eventful.settle(WHOLE.start + chance.randint(0, LENGTH))
            if chance.random() < 0.3:
                told(eventful, window, now)
        assert told(eventful, window, now) == told(plain, window, now)
        eventful.settle(now + HOUR)
        assert told(eventful, window, now + HOUR) == told(plain, window, now + HOUR)


@LEDGERS
@given(worlds(), st.data())
def test_replaced_prices_give_the_same_before_and_after_settling(facts, data):
    replaces_prices(in_memory, facts, data)


@ON_A_SERVER
@given(worlds(), st.data())
def test_replaced_prices_give_the_same_in_postgresql(clusters_in_postgres, facts, data):
    replaces_prices(clusters_in_postgres, facts, data)


def replaces_prices(ledgers, facts, data):
    starts = data.draw(st.lists(times, max_size=3, unique=True))
    new = [PriceFact("n1", start, data.draw(amounts), CapacityType.SPOT, "new") for start in starts]
    since = data.draw(st.none() | times)
    with ledgers() as early, ledgers() as late:
        for ledger in (early, late):
            ledger.record(facts)
        early.replace_prices("n1", new, since=since)
        late.settle(WHOLE.end)
        told(late, WHOLE, WHOLE.end)
        late.replace_prices("n1", new, since=since)
        assert told(late, WHOLE, WHOLE.end) == told(early, WHOLE, WHOLE.end)
