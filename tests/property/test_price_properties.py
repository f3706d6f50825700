"""Whatever books, contracts and exporters say, and in whatever order: a node has one price at each instant."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gpucost.api.convert import same_price
from gpucost.core.assets import asset_prices
from gpucost.core.clock import HOUR
from gpucost.core.commitments import coverage
from gpucost.core.exported import observed
from gpucost.core.model import CapacityType, NodeKind, PriceEntry
from gpucost.core.offers import Exported
from gpucost.core.pricing import node_prices
from gpucost.core.quarantine import is_jump, screen
from gpucost.core.tariff import AssetPrice, BasePrice, Commitment, Discount, Tariff
from gpucost.core.timeline import Timeline
from support.ledger_world import GIB, T0, node

hours = st.integers(-3, 12)
periods = st.tuples(hours, st.none() | st.integers(1, 8)).map(
    lambda p: {
        "effective_from": T0 + p[0] * HOUR,
        "effective_until": None if p[1] is None else T0 + (p[0] + p[1]) * HOUR,
    }
)
amounts = st.decimals(0, 1000, places=3)
kinds = st.sampled_from(list(CapacityType))
scopes = st.fixed_dictionaries(
    {}, optional={"region": st.sampled_from(["", "r1", "r2"]), "zone": st.sampled_from(["", "z1"])}
)
things = st.sampled_from([{"instance_type": "x.large"}, {"gpu_model": "H100"}, {"gpu_model": "H100 80GB"}])
books = st.sampled_from(["PriceBook/a", "PriceBook/b"])

entries = st.builds(
    lambda hourly, kind, thing, scope, period, book: PriceEntry(
        hourly, capacity_type=kind, source=book, **thing, **scope, **period
    ),
    amounts, kinds, things, scopes, periods, books,
)  # fmt: skip
discounts = st.builds(
    lambda percent, kind, scope, period, book: Discount(percent, capacity_type=kind, source=book, **scope, **period),
    st.decimals("0.1", 99, places=1), kinds, scopes, periods, books,
)  # fmt: skip


@st.composite
def commitments(draw):
    count, hourly = draw(st.none() | st.integers(1, 3)), draw(amounts)
    scope = {**draw(things), **draw(periods)}
    return Commitment(draw(st.sampled_from("cde")), hourly, count=count, source="PriceBook/a", **scope)


@st.composite
def exports(draw):
    steps = draw(st.dictionaries(hours, st.decimals("0.001", 100, places=3), max_size=4))
    return Exported("Karpenter", draw(kinds), Timeline.of((T0 + hour * HOUR, price) for hour, price in steps.items()))


@st.composite
def nodes(draw, uid="n1"):
    start = draw(st.integers(0, 8))
    end = draw(st.none() | st.integers(start, 12))
    traits = {"instance_type": draw(st.sampled_from(["x.large", "y.large"])), "gpu_model": "H100-80GB-HBM3"}
    traits["capacity_type"] = draw(kinds).value
    return node(uid, start, end, gpus=draw(st.sampled_from([0, 1, 8])), cpus=4, region="r1", zone="z1", **traits)


terms = st.builds(
    lambda base, off: Tariff(base=(BasePrice(base, base, source="PriceBook/a"),), discounts=tuple(off)),
    amounts, st.lists(discounts, max_size=3),
)  # fmt: skip


@given(nodes(), st.lists(entries, max_size=6), terms, st.lists(exports(), max_size=3))
def test_there_is_one_price_at_each_instant_of_a_nodes_life(fact, given_entries, tariff, exported):
    facts = node_prices(fact, given_entries, terms=tariff, exported=exported)
    starts = [one.start for one in facts]
    assert starts == sorted(set(starts))
    assert starts[0] == fact.start
    assert fact.end is None or fact.end == fact.start or starts[-1] < fact.end
    assert all(one.hourly is None or (one.hourly > 0 and one.source) for one in facts)


@given(nodes(), st.permutations(range(5)), st.lists(entries, min_size=5, max_size=5), terms)
def test_the_order_of_what_is_said_does_not_matter(fact, order, given_entries, tariff):
    unlike = list({(e.source, e.instance_type, e.gpu_model, e.region, e.zone, e.capacity_type, e.effective_from): e
                   for e in given_entries}.values())  # fmt: skip
    shuffled = [unlike[i] for i in order if i < len(unlike)]
    assert node_prices(fact, unlike, terms=tariff) == node_prices(fact, shuffled, terms=tariff)


@given(nodes(), st.lists(entries, max_size=6), terms)
def test_twice_the_prices_make_twice_the_price(fact, given_entries, tariff):
    doubled = [replace(one, hourly=2 * one.hourly) for one in given_entries]
    base = tuple(
        replace(one, cpu_hourly=2 * one.cpu_hourly, memory_gib_hourly=2 * one.memory_gib_hourly) for one in tariff.base
    )
    once = node_prices(fact, given_entries, terms=tariff, built_in=())
    twice = node_prices(fact, doubled, terms=replace(tariff, base=base), built_in=())
    assert [(one.start, one.hourly and 2 * one.hourly) for one in once] == [(one.start, one.hourly) for one in twice]


fleets = st.tuples(*(nodes(uid=f"n{index}") for index in range(5)))


@given(fleets, st.lists(commitments(), max_size=3, unique_by=lambda one: one.name))
def test_a_commitment_covers_no_more_nodes_than_it_is_for_and_no_node_twice(facts, committed):
    covered = coverage(committed, facts)
    assert covered == coverage(committed[::-1], facts[::-1])
    for instant in range(T0, T0 + 13 * HOUR, HOUR // 2):
        held = {uid: [one.source for one in offers if one.holds(instant)] for uid, offers in covered.items()}
        alive = {one.uid for one in facts if one.start <= instant and (one.end is None or instant < one.end)}
        assert all(len(sources) <= 1 for sources in held.values())
        assert {uid for uid, sources in held.items() if sources} <= alive
        for one in committed:
            used = sum(source.endswith(f" {one.name}") for sources in held.values() for source in sources)
            assert one.count is None or used <= one.count


@given(nodes(uid="a"), nodes(uid="b"), nodes(uid="c"), st.integers(1, 3))
def test_of_one_commitment_the_oldest_are_covered_at_each_instant(first, second, third, count):
    facts = [
        replace(one, instance_type="x.large", capacity_type=CapacityType.ON_DEMAND) for one in (first, second, third)
    ]
    covered = coverage([Commitment("c", Decimal(1), instance_type="x.large", count=count)], facts)
    for instant in range(T0, T0 + 13 * HOUR, HOUR // 2):
        alive = [one for one in facts if one.start <= instant and (one.end is None or instant < one.end)]
        oldest = {one.uid for one in sorted(alive, key=lambda one: (one.start, one.uid))[:count]}
        assert {uid for uid, offers in covered.items() if any(one.holds(instant) for one in offers)} == oldest


def unlike(version):
    return Tariff(prices=tuple({same_price(one): one for one in version}.values()))


@given(st.lists(st.lists(entries, max_size=4), min_size=1, max_size=5))
def test_a_book_that_nobody_touches_stays_as_it_was_decided(versions):
    memory = {}
    for version in versions:
        found = screen(unlike(version), memory)
        again = screen(unlike(version), found.memory)
        assert (again.tariff, again.jumps, again.memory) == (found.tariff, found.jumps, found.memory)
        memory = found.memory


@given(st.lists(entries, max_size=6))
def test_no_price_of_a_new_book_jumps_against_the_one_before_it(version):
    for steps in screen(unlike(version), {}).memory.values():
        prices = [step.amounts[0] for _, step in sorted(steps.items())]
        assert not any(is_jump(before, after) for before, after in pairwise(prices))


@given(st.lists(st.tuples(hours, st.decimals("0.001", 1000, places=3)), max_size=8), st.data())
def test_observed_prices_are_the_same_in_any_order_and_never_jump(samples, data):
    samples = list({T0 + hour * HOUR: price for hour, price in samples}.items())
    steps, _ = observed((), samples, thing="t", source="Karpenter")
    assert steps == observed((), data.draw(st.permutations(samples)), thing="t", source="Karpenter")[0]
    assert all(not is_jump(one, two) and one != two for (_, one), (_, two) in pairwise(steps))


@given(st.integers(0, 2**50), st.decimals("0.001", 10, places=3), periods)
def test_a_month_of_a_volume_costs_its_size_times_the_price(size, amount, period):
    entry = AssetPrice(NodeKind.VOLUME, amount, "gp3", **{**period, "effective_until": None})
    facts = asset_prices(
        NodeKind.VOLUME, start=entry.effective_from, storage_class="gp3", size_bytes=size, entries=[entry]
    )
    month = Fraction(facts[-1].hourly or 0) * 730
    assert abs(month - Fraction(size, GIB) * Fraction(amount)) < Fraction(1, 10**14)
