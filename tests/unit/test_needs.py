"""A pod counts for what it uses where that is more than it requests; facts are few, and never about nothing."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.model import NeedFact, Pod, Resources
from gpucost.core.needs import CPU, MEMORY, NeedKeeper, Use, uses
from gpucost.core.usage import Sample

T0 = 1_793_491_200 * SECOND
TICK = 30 * SECOND
GIB = 2**30
REQUEST = Resources(1000, 2 * GIB, 1)
UID = "0b8f6f5e-3d7a-4c1e-9a53-0d6f5c1b2a34"


class Ticks:
    """Feeds a keeper tick by tick and keeps what it wrote."""

    def __init__(self, most: int = 1000) -> None:
        self.keeper, self.at, self.facts = NeedKeeper(most), T0, []
        self.reserved = {"u1": (T0 - HOUR, REQUEST)}

    def tick(self, **used):
        found = self.keeper.take(used, self.reserved, self.at, self.at + TICK)
        self.at += TICK
        self.facts += found
        return found

    def counts_for(self, instant, uid="u1"):
        rows = {fact.start: fact.needs for fact in self.facts if fact.pod_uid == uid and fact.start <= instant}
        return rows[max(rows)] if rows else self.reserved[uid][1]


def test_use_below_the_request_writes_nothing():
    ticks = Ticks()
    assert [ticks.tick(u1=Use(900, GIB)) for _ in range(5)] == [[]] * 5


def test_use_above_the_request_counts_from_the_beginning_of_its_window_and_gpus_stay():
    ticks = Ticks()
    assert ticks.tick(u1=Use(2500, GIB)) == [NeedFact("u1", T0, Resources(2500, 2 * GIB, 1))]


def test_a_steady_use_is_one_fact():
    ticks = Ticks()
    for _ in range(60):
        ticks.tick(u1=Use(2500, 3 * GIB))
    assert ticks.facts == [NeedFact("u1", T0, Resources(2500, 3 * GIB, 1))]


def test_the_mean_of_five_minutes_stands_under_one_start():
    ticks = Ticks()
    for milli in (2000, 4000, 3000):
        ticks.tick(u1=Use(milli, GIB))
    assert {fact.start for fact in ticks.facts} == {T0}
    assert ticks.counts_for(T0).cpu_milli == 3000


def test_when_use_falls_the_request_counts_again_at_the_latest_with_the_next_span():
    ticks = Ticks()
    for milli in [3000] * 10 + [500] * 2:
        ticks.tick(u1=Use(milli, GIB))
    assert ticks.facts == [
        NeedFact("u1", T0, Resources(3000, 2 * GIB, 1)),
        NeedFact("u1", T0 + 5 * MINUTE, REQUEST),
    ]


def test_what_is_not_known_counts_for_the_request():
    ticks = Ticks()
    for _ in range(10):
        ticks.tick(u1=Use(3000, GIB))
    ticks.tick()
    assert ticks.counts_for(ticks.at) == REQUEST
    assert ticks.tick(u1=Use(None, 3 * GIB))[0].needs == replace(REQUEST, memory=GIB * 5 // 2)


def test_small_changes_are_not_worth_a_fact():
    ticks = Ticks()
    for number in range(40):
        ticks.tick(u1=Use(3000 + 20 * (-1) ** number, GIB))
    assert len(ticks.facts) == 1


def test_a_resize_ends_what_was_written_and_the_next_window_begins_anew():
    ticks = Ticks()
    ticks.tick(u1=Use(3000, GIB))
    ticks.reserved["u1"] = (T0 - HOUR, replace(REQUEST, cpu_milli=2000))
    assert ticks.tick(u1=Use(3000, GIB)) == []
    assert ticks.tick(u1=Use(3000, GIB)) == [NeedFact("u1", T0 + 2 * TICK, Resources(3000, 2 * GIB, 1))]


def test_a_window_does_not_reach_back_behind_the_pods_beginning():
    ticks = Ticks()
    ticks.reserved["u1"] = (T0 + 10 * SECOND, REQUEST)
    assert ticks.tick(u1=Use(3000, GIB))[0].start == T0 + 10 * SECOND


def test_a_pod_that_ended_is_forgotten():
    ticks = Ticks()
    ticks.tick(u1=Use(3000, GIB))
    ticks.reserved.clear()
    assert ticks.tick(u1=Use(3000, GIB)) == []
    assert not ticks.keeper._above
    assert not ticks.keeper._spans


def test_the_largest_changes_are_written_first_and_the_rest_later():
    ticks = Ticks(most=2)
    ticks.reserved = {f"u{number}": (T0, REQUEST) for number in range(4)}
    used = {f"u{number}": Use(2000 + 1000 * number, GIB) for number in range(4)}
    assert [fact.pod_uid for fact in ticks.tick(**used)] == ["u3", "u2"]
    assert ticks.keeper.postponed == 2
    assert [fact.pod_uid for fact in ticks.tick(**used)] == ["u1", "u0"]
    assert ticks.counts_for(T0, "u0").cpu_milli == 2000


@given(st.lists(st.none() | st.floats(0, 8000), min_size=1, max_size=40))
def test_nobody_counts_for_less_than_he_reserves_and_facts_stay_few(values):
    ticks = Ticks()
    for value in values:
        ticks.tick(**({} if value is None else {"u1": Use(value, GIB)}))
    assert all(fact.needs.cpu_milli >= 1000 for fact in ticks.facts)
    assert {fact.needs.memory for fact in ticks.facts} <= {2 * GIB}
    assert len({fact.start for fact in ticks.facts}) <= 2 * (len(values) // 10 + 1)
    if all(value is None or value <= 1000 for value in values):
        assert not ticks.facts


# --- series -----------------------------------------------------------------------------------------------------------


def pod(uid, *, name="bert-0", bound=T0, ended=None):
    return Pod(uid, name, "research", T0, REQUEST, bound=bound, ended=ended)


def series(value, **labels):
    return Sample({"namespace": "research", "pod": "bert-0", **labels}, value)


def test_cores_and_bytes_come_by_name_or_by_uid():
    found, dropped = uses({CPU: [series(1.5)], MEMORY: [series(3e9, uid=UID.replace("-", "_"))]}, [pod(UID)])
    assert found == {UID: Use(1500, 3e9)}
    assert not dropped


def test_an_earlier_pod_of_the_name_is_told_by_its_uid_or_its_time():
    earlier = series(9.0, uid="9" * 8 + UID[8:])
    older = series(9.0, gpucost_since=str(T0 // SECOND - 20))
    assert uses({CPU: [earlier, older]}, [pod(UID)])[0] == {}
    assert uses({CPU: [series(1.0)]}, [pod("gone", ended=T0 + 1), pod(UID)])[0] == {UID: Use(1000, None)}


@pytest.mark.parametrize(
    ("value", "reason"),
    [(math.nan, "not a number"), (math.inf, "not a number"), (-1.0, "negative"), (4294967295.0, "out of range")],
)
def test_absurd_use_is_dropped_and_counted(value, reason):
    found, dropped = uses({CPU: [series(value)]}, [pod(UID)])
    assert found == {}
    assert dropped == {(CPU, reason): 1}
