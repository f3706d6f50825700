"""Committed use: who is covered, who pays the normal price, and what goes unused."""

from __future__ import annotations

from decimal import Decimal

from gpucost.core.commitments import coverage, uses
from gpucost.core.pricing import node_prices
from gpucost.core.tariff import Commitment
from support.ledger_world import at, node

P5 = {"instance_type": "p5.48xlarge", "gpu_model": "H100"}


def commitment(count, hourly="30", since=-1000, until=None, *, name="c", source="PriceBook/b", **scope):
    scope = scope or {"instance_type": "p5.48xlarge"}
    end = None if until is None else at(until)
    return Commitment(name, Decimal(hourly), at(since), end, count, source=source, **scope)


def spans(covered, uid):
    hours = [(one.start, one.end) for one in covered.get(uid, ())]
    return [tuple(None if at_ is None else (at_ - at(0)) / 3.6e9 for at_ in each) for each in hours]


def test_the_oldest_are_covered_and_the_next_takes_over_when_one_ends():
    nodes = [node("a", 0, 4, **P5), node("b", 1, 9, **P5), node("c", 2, None, **P5)]
    covered = coverage([commitment(1)], nodes)
    assert spans(covered, "a") == [(0, 4)]
    assert spans(covered, "b") == [(4, 9)]
    assert spans(covered, "c") == [(9, None)]


def test_what_is_not_covered_pays_the_normal_price():
    nodes = [node("a", 0, 4, **P5), node("b", 1, 9, **P5)]
    covered = coverage([commitment(1)], nodes)
    facts = node_prices(nodes[1], covered=covered["b"])
    assert [(fact.start, fact.hourly) for fact in facts] == [(at(1), Decimal("55.04")), (at(4), 30)]
    assert facts[1].source == "PriceBook/b commitment c"


def test_of_nodes_of_one_age_the_lower_uid_is_covered_in_any_order():
    nodes = [node("b", 0, **P5), node("a", 0, **P5)]
    assert set(coverage([commitment(1)], nodes)) == set(coverage([commitment(1)], nodes[::-1])) == {"a"}


def test_without_a_count_every_node_that_matches_is_covered():
    nodes = [node("a", 0, **P5), node("b", 0, **P5), node("t4", 0, instance_type="g4dn.xlarge")]
    assert set(coverage([commitment(None)], nodes)) == {"a", "b"}


def test_a_commitment_holds_for_its_period_only():
    covered = coverage([commitment(1, since=2, until=5)], [node("a", 0, **P5)])
    assert spans(covered, "a") == [(2, 5)]


def test_spot_nodes_are_never_covered():
    nodes = [node("spot", 0, capacity_type="spot", **P5), node("reserved", 1, capacity_type="reserved", **P5)]
    assert set(coverage([commitment(2)], nodes)) == {"reserved"}


def test_a_node_is_covered_once_and_the_more_specific_commitment_goes_first():
    nodes = [node("a", 0, zone="z1", **P5), node("b", 1, zone="z2", **P5)]
    wide = commitment(1, "40", name="wide", gpu_model="H100")
    narrow = commitment(1, "30", name="narrow", instance_type="p5.48xlarge", zone="z1")
    covered = coverage([wide, narrow], nodes)
    assert [one.source for one in covered["a"]] == ["PriceBook/b commitment narrow"]
    assert [(one.source, one.hourly) for one in covered["b"]] == [("PriceBook/b commitment wide", 320)]


def test_a_narrow_commitment_that_ends_leaves_its_node_to_the_wide_one():
    narrow, wide = (
        commitment(1, name="n", until=3, zone="", instance_type="p5.48xlarge"),
        commitment(1, name="w", gpu_model="H100"),
    )
    covered = coverage([wide, narrow], [node("a", 0, **P5)])
    assert [(one.source[-1], (one.start - at(0)) / 3.6e9) for one in covered["a"]] == [("n", 0), ("w", 3)]


def test_what_is_committed_and_not_used_is_told_in_money():
    two = commitment(3, "30")
    covered = coverage([two], [node("a", 0, 4, **P5), node("b", 1, 9, **P5)])
    found = {hour: uses([two], covered, at(hour))[0] for hour in (2, 5, 9)}
    assert {hour: (one.used, one.unused_hourly) for hour, one in found.items()} == {2: (2, 30), 5: (1, 60), 9: (0, 90)}


def test_a_commitment_that_does_not_run_is_not_told():
    assert uses([commitment(1, since=5)], {}, at(4)) == []
    assert uses([commitment(1, until=5)], {}, at(5)) == []
