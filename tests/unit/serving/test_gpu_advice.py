"""Which cheaper GPU is advised: known answers by hand, and everything that must not be concluded."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucost.core.clock import DAY, HOUR
from gpucost.core.model import CapacityType
from gpucost.core.serving.advice import MOST_BUSY, Case, Confidence, advise
from gpucost.core.serving.footprint import BINS, Footprint, Seen, add, restored, stored
from gpucost.core.serving.spec import Runtime
from gpucost.core.serving.speeds import slowdown, speed_of
from gpucost.core.training.estimating.market import Quote, without_cluster
from gpucost.core.training.estimating.ranges import Range

ON_DEMAND = CapacityType.ON_DEMAND
H100 = "NVIDIA-H100-80GB-HBM3"
T0 = 20_000 * DAY


def watched(memory_gib: float | None, busy: float | None, days: int = 7, model: str = H100) -> Footprint:
    """A footprint that was the same all the time."""
    found = Footprint()
    for hour in range(days * 24):
        seen = Seen(None if memory_gib is None else memory_gib * 1024, busy)
        found = add(found, model, seen, T0 + hour * HOUR, T0 + (hour + 1) * HOUR)
    return found


def quote(model: str, hourly: str, nodes: int = 1) -> Quote:
    return Quote(model, ON_DEMAND, Range.of(Fraction(hourly)), "PriceBook/team", nodes=nodes)


QUOTES = (quote("H100", "6.88"), quote("A100 80GB", "4.10"), quote("L4", "0.80"), quote("T4", "0.35"))

LISTED = without_cluster()


def case(footprint: Footprint, **changes: object) -> Case:
    found = Case(Runtime.TRITON, 2, 1, H100, ON_DEMAND, Fraction("6.88"), QUOTES, footprint)
    return replace(found, **changes)  # type: ignore[arg-type]


# --- known answers ----------------------------------------------------------------------------------------------------


def test_a_small_quiet_model_belongs_on_a_small_gpu() -> None:
    """6 GiB and 4 % busy (counted as 5): an L4 has an eighth of the arithmetic (989/121 = 8.17) and less than a tenth
    of the memory's speed (3350/300 = 11.17), so at most 56 % busy. 2 x (6.88 - 0.80) x 730 = 8,876.80 a month.
    """
    found = advise(case(watched(6, 0.04)))
    assert found.best is not None
    assert (found.best.name, found.best.for_one, found.best.slower) == ("L4", 1, Fraction(3350, 300))
    assert found.best.busy == Fraction(3350, 300) * Fraction(5, 100)
    assert found.monthly == found.monthly_certain == Fraction("8876.80")
    assert any("no such" not in note and "11.2 times" in note for note in found.best.notes)


def test_a_slice_where_the_speed_of_a_smaller_gpu_would_not_do() -> None:
    """30 GiB with 5 % + 20 %/7 on top are 32.4: 3g.40gb, half of a GPU, is 7/3 as slow at worst: 15 % become 35.

    Two halves are one GPU: 6.88 an hour are saved for certain.
    """
    found = advise(case(watched(30, 0.15), quotes=QUOTES[:1]))
    assert found.best is not None
    assert (found.best.name, found.best.resource) == ("3g.40gb", "nvidia.com/mig-3g.40gb")
    assert found.best.busy == Fraction(7, 3) * Fraction(15, 100)
    assert found.monthly == found.monthly_certain == Fraction("6.88") * 730


def test_one_slice_saves_nothing_for_certain() -> None:
    found = advise(case(watched(30, 0.15), quotes=QUOTES[:1], replicas=1))
    assert found.best is not None
    assert found.monthly == Fraction("3.44") * 730
    assert found.monthly_certain == 0
    assert found.confidence is Confidence.MEDIUM
    assert any("other pods" in note for note in found.best.notes)


def test_several_small_ones_for_one_where_that_is_cheaper() -> None:
    """20 % busy are 2.23 L4 (11.17 x 0.2), which is 2.8 at four fifths: three for one, 2.40 for 6.88."""
    found = advise(case(watched(6, 0.2), quotes=(QUOTES[0], QUOTES[2])))
    by_name = {one.name: one for one in (found.best, *found.others) if one is not None}
    assert (by_name["L4"].for_one, by_name["L4"].hourly) == (3, 2 * 3 * Fraction("0.80"))


def test_a_week_without_doubts_is_high_confidence() -> None:
    faster = quote("H200", "5.00")
    found = advise(case(watched(30, 0.97), quotes=(QUOTES[0], faster)))
    assert found.best is not None
    assert (found.best.name, found.best.slower) == ("H200", Fraction(1))
    assert found.confidence is Confidence.HIGH
    assert advise(case(watched(30, 0.75, days=4), quotes=(QUOTES[0], faster))).confidence is Confidence.MEDIUM
    assert advise(case(watched(30, 0.75, days=1), quotes=(QUOTES[0], faster))).confidence is Confidence.LOW


# --- what must not be concluded ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"footprint": watched(None, 0.1)}, "memory"),
        ({"footprint": watched(6, None)}, "busy"),
        ({"footprint": add(Footprint(), H100, Seen(6000, 0.1), T0, T0 + 23 * HOUR)}, "less than a day"),
        ({"footprint": Footprint()}, "memory"),
        ({"model": "Somebody's GPU"}, "speed"),
        ({"model": ""}, "speed"),
        ({"hourly": Fraction(0)}, "nobody knows"),
        ({"replicas": 0}, "nobody knows"),
        ({"quotes": ()}, "nothing cheaper"),
    ],
)
def test_nothing_is_advised_on_what_is_not_known(changes: dict[str, object], reason: str) -> None:
    footprint = changes.pop("footprint", watched(70, 0.5))
    assert isinstance(footprint, Footprint)
    found = advise(case(footprint, **changes))
    assert found.best is None
    assert reason in found.reason
    assert found.monthly == 0


def test_memory_that_a_runtime_reserves_ahead_is_what_it_needs_unless_somebody_says_less() -> None:
    """vLLM takes 72 of 80 GB for any model: another GPU of 80 GB will do, a smaller one only by the user's word."""
    full = case(watched(70, 0.05), runtime=Runtime.VLLM)
    found = advise(full)
    assert found.best is not None
    assert found.best.name == "A100 80GB"
    declared = advise(replace(full, declared_gib=Fraction(10)))
    assert declared.best is not None
    assert declared.best.name == "L4"


def test_a_gpu_without_the_number_format_of_the_model_is_no_option() -> None:
    names = {one.name for one in advise(case(watched(6, 0.0))).others}
    assert "T4" not in names, "no BF16"


def test_a_replica_over_several_gpus_stays_on_linked_whole_ones() -> None:
    found = advise(case(watched(6, 0.05), devices=4, replicas=1))
    names = {one.name for one in (found.best, *found.others) if one is not None}
    assert names == {"A100 80GB"}


def test_a_promise_of_times_makes_slower_gpus_unsure() -> None:
    found = advise(case(watched(6, 0.04), has_slo=True))
    assert found.confidence is Confidence.LOW


def test_a_gpu_that_only_a_list_knows_is_told_of() -> None:
    found = advise(case(watched(6, 0.04), quotes=(QUOTES[0], quote("L4", "0.80", nodes=0))))
    assert found.best is not None
    assert found.best.notes[0].startswith("no node")
    assert found.confidence is not Confidence.HIGH


# --- for any endpoint -------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    memory=st.floats(0.5, 79, allow_nan=False),
    busy=st.floats(0, 1, allow_nan=False),
    replicas=st.integers(1, 40),
    devices=st.sampled_from([1, 2, 8]),
    runtime=st.sampled_from(list(Runtime)),
    model=st.sampled_from([H100, "NVIDIA-A100-SXM4-80GB", "NVIDIA-L4", "Tesla-T4", "NVIDIA-L40S"]),
)
def test_advice_is_cheaper_fits_and_is_fast_enough(
    memory: float, busy: float, replicas: int, devices: int, runtime: Runtime, model: str
) -> None:
    footprint = watched(memory, busy, days=2, model=model)
    wanted = case(footprint, model=model, replicas=replicas, devices=devices, runtime=runtime, quotes=without_cluster())
    found = advise(wanted)
    for one in (found.best, *found.others):
        if one is None:
            continue
        assert one.hourly < found.hourly
        assert one.busy <= MOST_BUSY or one.slower == 1
        assert one.certain >= one.hourly
        size = speed_of(one.name)
        if size is not None:
            assert size.memory_gb > memory
            own = speed_of(model)
            assert own is not None
            assert one.slower == slowdown(own, size)


# --- the footprint ----------------------------------------------------------------------------------------------------


def test_the_busiest_hundredth_of_the_time_counts_and_not_a_single_moment() -> None:
    found = Footprint()
    for hour in range(200):
        busy = 0.97 if hour in {50} else 0.31
        found = add(found, H100, Seen(1000 + hour, busy), T0 + hour * HOUR, T0 + (hour + 1) * HOUR)
    assert found.busy(0.99) == 0.35, "rounded up to a step"
    assert found.busy(1.0) == 1.0


def test_days_go_by_and_another_gpu_begins_anew() -> None:
    found = watched(50, 0.5, days=1)
    found = add(found, H100, Seen(1024.0, 0.1), T0 + 7 * DAY, T0 + 7 * DAY + HOUR)
    assert found.memory_mib == 50 * 1024
    found = add(found, H100, Seen(1024.0, 0.1), T0 + 9 * DAY, T0 + 9 * DAY + HOUR)
    assert found.memory_mib == 1024.0
    found = add(found, "NVIDIA-L4", Seen(2048.0, 0.1), T0 + 9 * DAY + HOUR, T0 + 9 * DAY + 2 * HOUR)
    assert (found.memory_mib, found.measured, found.model) == (2048.0, HOUR, "NVIDIA-L4")


def test_what_is_stored_comes_back_and_anything_else_is_refused() -> None:
    found = watched(50, 0.5, days=3)
    assert restored(stored(found)) == found
    for broken in (
        {},
        {"model": "x", "days": [{}]},
        {"model": "x", "days": [{"start": 0, "mib": 0, "time": 0, "busy": [1]}]},
    ):
        with pytest.raises(ValueError, match="no footprint"):
            restored(broken)
    assert len(found.days[0].busy) == BINS
