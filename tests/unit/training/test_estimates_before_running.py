"""What a run takes and costs before it runs: answers worked out by hand, and what is said when nobody knows."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from gpucost.core.clock import HOUR, parse_rfc3339
from gpucost.core.model import CapacityType, NodeFact, PriceEntry, Resources
from gpucost.core.pricelist import SOURCE
from gpucost.core.training.estimating.alternatives import Alternative, Way, alternatives, cheapest
from gpucost.core.training.estimating.appraisal import appraise
from gpucost.core.training.estimating.chips import Precision, chip_of
from gpucost.core.training.estimating.counts import format_count, parse_count
from gpucost.core.training.estimating.estimate import Placing, Setup, estimate
from gpucost.core.training.estimating.market import Market, Offering, choose, without_cluster
from gpucost.core.training.estimating.placing import nightly, on_schedule
from gpucost.core.training.estimating.ranges import Range
from gpucost.core.training.estimating.work import Method, Work, least_gpus, running_hours
from gpucost.core.training.spec import Outside, Schedule

QUOTES = without_cluster()
NOON = parse_rfc3339("2026-11-24T12:00:00Z")
SEVEN = Work(7 * 10**9, 140 * 10**9)
PRETRAINING = Setup(8, "H100", work=SEVEN, start=NOON)


def ways(setup: Setup) -> dict[Way, Alternative]:
    found = alternatives(estimate(setup, QUOTES), QUOTES)
    return {one.way: one for one in reversed(found)}


# --- time -------------------------------------------------------------------------------------------------------------


def test_7b_parameters_on_140b_tokens_with_8_h100() -> None:
    """6 x 7e9 x 140e9 = 5.88e21 operations; 8 x 989e12 = 7.912e15 a second at the peak.

    At 50 % of it 5.88e21 / 3.956e15 / 3600 = 412.9 h, at 40 % 516.1 h, at 30 % 688.1 h; each hour costs 55.04.
    """
    found = estimate(PRETRAINING, QUOTES)
    assert SEVEN.operations == 588 * 10**19
    assert [round(float(part), 1) for part in found.hours or ()] == [412.9, 516.1, 688.1]
    assert [round(float(part), 2) for part in found.cost or ()] == [22724.64, 28405.80, 37874.40]
    assert [quote.source for quote in found.prices] == [SOURCE]
    assert not found.unknown


def test_lora_computes_two_thirds_and_holds_an_eighth() -> None:
    lora, h100 = replace(SEVEN, method=Method.LORA), chip_of("H100")
    assert h100 is not None
    assert lora.operations * 3 == SEVEN.operations * 2
    assert (SEVEN.state_bytes, lora.state_bytes) == (112 * 10**9, 14 * 10**9)
    assert replace(SEVEN, method=Method.QLORA).state_bytes == 42 * 10**8
    assert [least_gpus(work, h100) for work in (SEVEN, lora)] == [2, 1]  # 112 GB into 64 GB each


def test_a_given_duration_goes_before_the_formula() -> None:
    found = estimate(replace(PRETRAINING, duration=10 * HOUR), QUOTES)
    assert found.hours == Range.of(10)
    assert found.cost == Range.of(Decimal("550.4"))
    assert any("expectedDuration" in one for one in found.assumes)
    assert not any("MFU" in one for one in found.assumes)


def test_spot_has_a_price_range_and_lasts_longer() -> None:
    """10 h on 8 H100: 2.20 uninterrupted, 2.70 with 5 % more time, 3.20 with 10 %."""
    found = estimate(replace(PRETRAINING, duration=10 * HOUR, placing=Placing.SPOT), QUOTES)
    assert found.cost == Range.of(Decimal("176"), Decimal("226.8"), Decimal("281.6"))
    assert found.spot_share == 1


def test_a_schedule_is_followed_hour_by_hour() -> None:
    """From noon: 8 h on demand, 10 h on spot, 2 h on demand, uninterrupted."""
    both = nightly("UTC", Outside.ON_DEMAND)
    stay = on_schedule(both, Fraction(20), NOON, Fraction(1))
    assert stay is not None
    assert (stay.on_demand, stay.spot, stay.end) == (10, 10, NOON + 20 * HOUR)
    setup = replace(PRETRAINING, duration=20 * HOUR, placing=Placing.SCHEDULED, schedule=both)
    cost = estimate(setup, QUOTES).cost
    assert cost is not None
    assert cost.low == 10 * Decimal("55.04") + 10 * 8 * Decimal("2.20")


def test_a_pause_outside_the_windows_costs_time_and_no_money() -> None:
    setup = replace(PRETRAINING, duration=20 * HOUR, placing=Placing.SCHEDULED, schedule=nightly("UTC", Outside.PAUSE))
    found = estimate(setup, QUOTES)
    assert found.hours is not None
    assert found.ends is not None
    assert found.hours.low == 20
    assert found.ends[0] == parse_rfc3339("2026-11-26T06:00:00Z")  # two nights of ten hours


def test_auto_without_time_to_spare_is_on_demand_from_the_beginning() -> None:
    setup = replace(PRETRAINING, work=None, duration=200 * HOUR, complete_by=NOON + 9 * HOUR)
    late, on_demand = (estimate(replace(setup, placing=one), QUOTES) for one in (Placing.AUTO, Placing.ON_DEMAND))
    assert (late.cost, late.hours) == (on_demand.cost, on_demand.hours)
    assert late.cost is not None
    assert late.cost.typical == 200 * 8 * Fraction("6.88")
    tight = replace(PRETRAINING, placing=Placing.AUTO, complete_by=NOON + 600 * HOUR)  # of 413, 516 and 688 hours
    found, dear = estimate(tight, QUOTES).cost, estimate(PRETRAINING, QUOTES).cost
    assert found is not None
    assert dear is not None
    assert found.low < dear.low
    assert found.typical < dear.typical
    assert found.high == dear.high


def test_auto_lies_between_all_spot_and_all_on_demand() -> None:
    of = {one: estimate(replace(PRETRAINING, placing=one), QUOTES).cost for one in Placing if one != "Scheduled"}
    auto, spot, on_demand = of[Placing.AUTO], of[Placing.SPOT], of[Placing.ON_DEMAND]
    assert auto is not None
    assert spot is not None
    assert on_demand is not None
    assert spot.low <= auto.low <= auto.typical <= auto.high
    assert on_demand.high <= auto.high


# --- unknown ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        (replace(PRETRAINING, gpu_model=""), "the GPU: "),
        (replace(PRETRAINING, gpu_model="MI300X"), "how fast MI300X is"),
        (replace(PRETRAINING, work=None), "set expectedDuration"),
        (replace(PRETRAINING, gpus=0), "asks for no GPU"),
        (replace(PRETRAINING, gpu_model="T4", work=replace(SEVEN, precision=Precision.BF16)), "in BF16"),
    ],
)
def test_what_is_not_known_is_said_and_has_no_cost(setup: Setup, words: str) -> None:
    found = estimate(setup, QUOTES)
    assert found.cost is None
    assert found.hours is None
    assert any(words in one for one in found.unknown)


def test_a_gpu_without_a_price_is_unpriced_and_keeps_its_hours() -> None:
    found = estimate(replace(PRETRAINING, gpu_model="H200"), QUOTES)
    assert found.cost is None
    assert found.hours is not None
    assert any("on-demand price of H200" in one for one in found.unknown)


def test_a_name_of_several_sizes_is_not_guessed() -> None:
    assert choose(QUOTES, "A100", CapacityType.ON_DEMAND) is None
    found = choose(QUOTES, "NVIDIA-A100-SXM4-80GB", CapacityType.ON_DEMAND)
    assert found is not None
    assert found.hourly.typical == Fraction("27.45") / 8


def test_windows_that_never_open_again_have_no_end() -> None:
    never = Schedule("UTC", (), Outside.PAUSE)
    assert on_schedule(never, Fraction(1), NOON, Fraction(1)) is None
    found = estimate(replace(PRETRAINING, duration=HOUR, placing=Placing.SCHEDULED, schedule=never), QUOTES)
    assert found.cost is None
    assert any("never add up" in one for one in found.unknown)


def test_a_run_of_years_goes_on_as_it_began() -> None:
    night = nightly("UTC", Outside.PAUSE)
    stay = on_schedule(night, Fraction(36500), NOON, Fraction(1))
    assert stay is not None
    assert stay.spot == 36500
    assert abs(stay.end - NOON - 3650 * 24 * HOUR) < 60 * 24 * HOUR


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("H100-80GB-HBM3", "H100"),
        ("H100-PCIE", "H100 PCIE"),
        ("NVIDIA-H100-NVL", "H100 NVL"),
        ("A100-SXM4-40GB", "A100"),
        ("A100-SXM4-80GB", "A100 80GB"),
        ("V100-SXM2-32GB", "V100 32GB"),
        ("L40S", "L40S"),
        ("L4", "L4"),
        ("RTX-6000-ADA", None),
        ("", None),
    ],
)
def test_chips_by_what_nodes_call_them(label: str, name: str | None) -> None:
    chip = chip_of(label)
    assert (chip.name if chip else None) == name


def test_half_precision_is_chosen_by_what_the_gpu_has() -> None:
    chosen = {name: chip.precision(None) for name in ("H100", "T4", "V100") if (chip := chip_of(name))}
    assert chosen == {"H100": Precision.BF16, "T4": Precision.FP16, "V100": Precision.FP16}
    t4 = chip_of("T4")
    assert t4 is not None
    assert running_hours(replace(SEVEN, precision=Precision.TF32), t4, 1) is None


# --- alternatives -----------------------------------------------------------------------------------------------------


def test_alternatives_of_pretraining() -> None:
    found = ways(PRETRAINING)
    spot = found[Way.SPOT].estimate.cost
    assert spot is not None
    assert round(float(spot.typical), 2) == 11705.01  # 516.0937 h x 1.05 x 8 x 2.70
    assert found[Way.LORA].estimate.setup.work == replace(SEVEN, method=Method.LORA)
    assert found[Way.SMALLER_MODEL].estimate.setup.work == replace(SEVEN, parameters=3 * 10**9)
    assert found[Way.TRANSFER].estimate.setup.work == replace(SEVEN, tokens=14 * 10**9)
    assert "10%" in found[Way.TRANSFER].caveat
    assert found[Way.FEWER_GPUS].saves == 0
    assert not found[Way.FEWER_GPUS].is_cheaper


def test_a_run_that_has_a_base_model_is_not_told_to_take_one() -> None:
    found = ways(replace(PRETRAINING, is_based=True))
    assert Way.TRANSFER not in found
    assert found[Way.LORA].caveat == "compare the quality"


def test_the_recommended_way_trains_the_same_model() -> None:
    best = cheapest(alternatives(estimate(PRETRAINING, QUOTES), QUOTES))
    assert best is not None
    assert best.way is Way.SPOT


def test_a_short_run_waits_for_tonights_window() -> None:
    found = ways(replace(PRETRAINING, duration=6 * HOUR))
    tonight = found[Way.WINDOW]
    assert tonight.change == "tonight's spot window"
    assert tonight.estimate.ends is not None
    assert tonight.estimate.ends[0] == parse_rfc3339("2026-11-25T02:00:00Z")


def test_a_window_that_would_be_late_is_not_tonights() -> None:
    due = replace(PRETRAINING, duration=6 * HOUR, complete_by=NOON + 9 * HOUR)
    assert ways(due)[Way.WINDOW].change == "on spot at night, on demand by day"


def test_what_would_be_late_is_never_recommended() -> None:
    """Half the GPUs take twice as long, and spot capacity 5 % longer than the deadline allows."""
    due = replace(PRETRAINING, duration=100 * HOUR, complete_by=NOON + 103 * HOUR)
    found = ways(due)
    assert found[Way.SPOT].estimate.on_time is False
    assert not found[Way.SPOT].is_cheaper


def test_dear_gpus_are_exchanged_for_others_that_are_as_fast_and_large_enough() -> None:
    found = ways(Setup(4, "V100", work=Work(10**9, 10**9), start=NOON))
    other = found[Way.OTHER_GPUS]
    assert other.is_cheaper
    assert other.estimate.memory is not None
    assert other.estimate.memory.fits
    assert other.estimate.hours is not None
    base = estimate(Setup(4, "V100", work=Work(10**9, 10**9), start=NOON), QUOTES)
    assert base.hours is not None
    assert other.estimate.hours.typical <= base.hours.typical


def test_what_does_not_fit_into_memory_is_not_offered_and_said() -> None:
    """13B parameters take 208 GB; four H100 have room for 256 GB, two for 128 GB."""
    big = Work(13 * 10**9, 10**9)
    assert Way.FEWER_GPUS not in ways(Setup(4, "H100", work=big))
    assert appraise(Setup(2, "H100", work=big), QUOTES).warnings == (
        (
            "it does not fit: the state of the model takes 208 GB and 2 x H100 have room for 128 GB; "
            "use 4 or more, or LoRA"
        ),
    )


def test_a_given_duration_says_nothing_about_other_gpus() -> None:
    assert set(ways(replace(PRETRAINING, duration=30 * HOUR))) == {Way.SPOT, Way.WINDOW}


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("2026-11-24T11:00:00Z", "completeBy 2026-11-24T11:00:00Z is in the past"),
        ("2026-12-01T00:00:00Z", "it will be late"),
        ("2026-12-20T00:00:00Z", "it may be late"),  # 516 h end on 16 December, 688 h on the 23rd
        ("2027-01-01T00:00:00Z", ""),
    ],
)
def test_deadlines(by: str, words: str) -> None:
    found = appraise(replace(PRETRAINING, complete_by=parse_rfc3339(by)), QUOTES).warnings
    assert [one for one in found if one.startswith(words)] if words else not found


@pytest.mark.parametrize(
    ("most", "words"),
    [
        ({"most_cost": Decimal(20000)}, ["it will go over its budget: typically 28,405.80, and the limit is 20000"]),
        ({"most_cost": Decimal(30000)}, ["it may go over its budget: at most 37,874.40, and the limit is 30000"]),
        ({"most_cost": Decimal(40000)}, []),
        (
            {"most_gpu_hours": Decimal(1000)},
            ["it will go over its budget: typically 4,128.75 GPU-hours, and the limit is 1000 GPU-hours"],
        ),
        ({"most_cost": Decimal(1), "gpu_model": "H200"}, []),
    ],
)
def test_budgets(most: dict[str, Any], words: list[str]) -> None:
    assert list(appraise(replace(PRETRAINING, **most), QUOTES).warnings) == words


# --- prices -----------------------------------------------------------------------------------------------------------


def node(zone: str, kind: CapacityType = CapacityType.ON_DEMAND) -> NodeFact:
    return NodeFact(
        zone, zone, 0, None, Resources(gpus=8), "p5.48xlarge", "H100-80GB-HBM3", "r", zone, kind, physical_gpus=8
    )


def entry(zone: str, hourly: str) -> PriceEntry:
    return PriceEntry(
        Decimal(hourly), 0, CapacityType.ON_DEMAND, instance_type="p5.48xlarge", source="PriceBook/b", zone=zone
    )


def test_zones_that_cost_differently_make_a_range() -> None:
    market = Market(
        now=NOON,
        entries=(entry("a", "40"), entry("b", "48"), entry("c", "80")),
        offerings=tuple(Offering(node(zone)) for zone in "abc"),
    )
    found = choose(market.quotes(), "H100", CapacityType.ON_DEMAND)
    assert found is not None
    assert found.hourly == Range.of(5, 6, 10)
    assert found.source == "PriceBook/b"


def test_what_is_written_on_a_node_holds_for_its_own_capacity_type() -> None:
    market = Market(now=NOON, offerings=(Offering(node("a"), annotation="16"),))
    quotes = market.quotes()
    on_demand, spot = (choose(quotes, "H100", kind) for kind in (CapacityType.ON_DEMAND, CapacityType.SPOT))
    assert on_demand is not None
    assert spot is not None
    assert (on_demand.hourly.typical, on_demand.source) == (2, "annotation")
    assert (spot.hourly.typical, spot.source) == (Fraction("2.7"), SOURCE)


def test_a_price_of_zero_in_a_book_is_unpriced() -> None:
    market = Market(now=NOON, entries=(replace(entry("", "0"), zone=""),), offerings=(Offering(node("a")),))
    assert choose(market.quotes(), "", CapacityType.ON_DEMAND, instance_type="p5.48xlarge") is None


# --- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"), [("7B", 7 * 10**9), ("1.5T", 15 * 10**11), ("350M", 35 * 10**7), ("12", 12), ("0.5K", 500)]
)
def test_counts(text: str, count: int) -> None:
    assert parse_count(text) == count
    assert parse_count(format_count(count)) == count


@pytest.mark.parametrize("text", ["", "B", "0", "0B", "-7B", "7b", "7 B", "1.0000001K", "1e9", "0.0001K", "NaN"])
def test_no_counts(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 350M, 7B or 1\.5T"):
        parse_count(text)
