"""Activity of a pod comes from what its exporters say; doubt is unknown, never idle."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucost.core.model import Unknown
from gpucost.core.signals import DRAM_ACTIVE, METRICS, POWER
from gpucost.core.usage import DUPLICATE, ENGINE_ACTIVE, GPU_UTIL, NOT_THAT_NODE, NOT_THIS_POD, Held, Sample, activity

POD = ("research", "bert-0")


def sample(gpu, value, **labels):
    return Sample({"UUID": gpu, "namespace": "research", "pod": "bert-0", **labels}, value)


def of(samples, gpus=1, **held):
    result = activity(samples, {POD: Held("u1", gpus, **held)})
    return result.by_pod["u1"], dict(result.dropped)


def test_the_mean_over_all_gpus_of_a_pod_is_its_activity():
    value, _ = of({ENGINE_ACTIVE: [sample("a", 1.0), sample("b", 0.5)]}, gpus=2)
    assert value == pytest.approx(0.75)


def test_eight_busy_gpus_are_fully_active():
    value, _ = of({ENGINE_ACTIVE: [sample(str(i), 1.0) for i in range(8)]}, gpus=8)
    assert value == 1.0


def test_the_engine_time_is_preferred_and_utilisation_fills_in():
    value, _ = of({ENGINE_ACTIVE: [sample("a", 0.2)], GPU_UTIL: [sample("a", 90.0), sample("b", 40.0)]}, gpus=2)
    assert value == pytest.approx(0.3)


def test_three_of_eight_gpus_reporting_zero_are_unknown_not_idle():
    value, _ = of({ENGINE_ACTIVE: [sample(str(i), 0.0) for i in range(3)]}, gpus=8)
    assert value == Unknown("3 of 8 GPUs report")


def test_one_gpu_that_nobody_can_judge_makes_the_pod_unknown():
    busy = [sample(str(i), 0.9) for i in range(7)]
    value, _ = of({ENGINE_ACTIVE: [*busy, sample("7", 0.0)]}, gpus=8)
    assert isinstance(value, Unknown)


def test_no_series_is_unknown():
    assert of({})[0] == Unknown("no series")


@pytest.mark.parametrize(
    ("absurd", "reason"),
    [
        (math.nan, "not a number"),
        (math.inf, "not a number"),
        (-0.1, "negative"),
        (1.5, "out of range"),
        (4294967295.0, "out of range"),
        (42949672.95, "out of range"),
    ],
)
def test_absurd_values_are_dropped_and_counted_by_metric_and_reason(absurd, reason):
    value, dropped = of({ENGINE_ACTIVE: [sample("a", absurd)], POWER: [sample("a", absurd * 1e5)]})
    assert isinstance(value, Unknown)
    assert dropped == {(ENGINE_ACTIVE, reason): 1, (POWER, reason): 1}


def test_an_absurd_value_of_one_signal_leaves_the_others():
    value, dropped = of({ENGINE_ACTIVE: [sample("a", math.nan)], GPU_UTIL: [sample("a", 70.0)]})
    assert (value, dropped) == (pytest.approx(0.7), {(ENGINE_ACTIVE, "not a number"): 1})


def test_an_exact_one_survives_the_rounding_of_an_average():
    assert of({GPU_UTIL: [sample("a", 100.000001)]})[0] == 1.0


# --- whose series it is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [1, -1])
def test_a_gpu_seen_by_two_exporters_counts_once_whoever_answers_first(turn):
    two = [sample("a", 0.4, job="agent"), sample("a", 0.6, job="dcgm")]
    assert of({ENGINE_ACTIVE: two[::turn]}) == (pytest.approx(0.4), {(ENGINE_ACTIVE, DUPLICATE): 1})


def test_the_second_exporter_is_heard_where_the_first_is_absurd():
    two = [sample("a", math.nan, job="agent"), sample("a", 0.6, job="dcgm")]
    assert of({ENGINE_ACTIVE: two}) == (pytest.approx(0.6), {(ENGINE_ACTIVE, "not a number"): 1})


def test_renamed_labels_of_a_scrape_without_honor_labels_are_understood_and_told():
    exporter = {"namespace": "monitoring", "pod": "dcgm-exporter-x"}
    renamed = Sample({"uuid": "a", **exporter, "exported_namespace": "research", "exported_pod": "bert-0"}, 0.5)
    found = activity({ENGINE_ACTIVE: [renamed]}, {POD: Held("u1", 1)})
    assert found.by_pod == {"u1": pytest.approx(0.5)}
    assert found.renamed


def test_without_a_uuid_host_and_index_tell_gpus_apart_in_either_spelling():
    labels = {"namespace": "research", "pod": "bert-0"}
    two = [Sample({**labels, "Hostname": "n1", "gpu": "0"}, 0.2), Sample({**labels, "hostname": "n1", "gpu": "1"}, 0.4)]
    assert of({ENGINE_ACTIVE: two}, gpus=2)[0] == pytest.approx(0.3)


def test_a_pod_does_not_inherit_from_an_earlier_one_of_its_name():
    assert of({ENGINE_ACTIVE: [sample("a", 0.9, pod_uid="u0")]}) == (
        Unknown("no series"),
        {(ENGINE_ACTIVE, NOT_THIS_POD): 1},
    )
    both = [sample("a", 0.9, pod_uid="u0"), sample("a", 0.3, pod_uid="u1")]
    assert of({ENGINE_ACTIVE: both})[0] == pytest.approx(0.3)


def test_an_exporter_that_was_found_by_its_labels_speaks_for_its_own_node_only():
    away = [sample("a", 0.9, scraped_node="n2")]
    assert of({ENGINE_ACTIVE: away}, node="n1") == (Unknown("no series"), {(ENGINE_ACTIVE, NOT_THAT_NODE): 1})
    assert of({ENGINE_ACTIVE: [sample("a", 0.9, scraped_node="n1")]}, node="n1")[0] == 0.9


# --- parts of GPUs ----------------------------------------------------------------------------------------------------


def test_mig_slices_of_one_gpu_are_told_apart():
    def slices(first, second):
        return [sample("a", first, GPU_I_ID="1"), sample("a", second, GPU_I_ID="2")]

    signals = {ENGINE_ACTIVE: slices(1.0, 0.0), DRAM_ACTIVE: slices(0.5, 0.0)}
    assert of(signals, gpus=1, units=2)[0] == pytest.approx(0.5)


def test_slices_weigh_as_much_as_they_can_compute():
    two = [
        sample("a", 1.0, GPU_I_ID="1", GPU_I_PROFILE="3g.40gb"),
        sample("a", 0.2, GPU_I_ID="2", GPU_I_PROFILE="1g.10gb"),
    ]
    assert of({ENGINE_ACTIVE: two}, gpus=Fraction(5, 8), units=2)[0] == pytest.approx((3 * 1.0 + 0.2) / 4)


def test_one_of_two_slices_that_report_is_unknown():
    one = [sample("a", 1.0, GPU_I_ID="1", GPU_I_PROFILE="3g.40gb")]
    assert of({ENGINE_ACTIVE: one}, gpus=1, units=2, shared=True)[0] == Unknown("1 of 2 GPUs report")


def test_pods_that_share_a_gpu_each_have_its_activity():
    held = {("research", f"p{i}"): Held(f"u{i}", Fraction(1, 4), units=1, shared=True) for i in range(3)}
    series = [Sample({"UUID": "a", "namespace": "research", "pod": f"p{i}", "vgpu": str(i)}, 0.6) for i in range(2)]
    found = activity({ENGINE_ACTIVE: series}, held)
    assert found.by_pod == {"u0": 0.6, "u1": 0.6, "u2": Unknown("no series")}
    assert not found.dropped


def test_two_replicas_may_be_of_one_gpu_or_of_two():
    one = [sample("a", 0.6, vgpu="0"), sample("a", 0.6, vgpu="1")]
    assert of({ENGINE_ACTIVE: one}, gpus=Fraction(1, 2), units=2, shared=True) == (0.6, {})
    two = [sample("a", 0.6), sample("b", 0.2)]
    assert of({ENGINE_ACTIVE: two}, gpus=Fraction(1, 2), units=2, shared=True)[0] == pytest.approx(0.4)


# --- whatever exporters say -------------------------------------------------------------------------------------------

_values = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 0.5, 99.0, 4294967295.0])
_series = st.builds(
    lambda gpu, value, **labels: sample(gpu, value, **{k: v for k, v in labels.items() if v}),
    st.sampled_from("abc"),
    _values,
    job=st.sampled_from(["", "dcgm", "agent"]),
    pod_uid=st.sampled_from(["", "u0", "u1"]),
    GPU_I_ID=st.sampled_from(["", "1"]),
    modelName=st.sampled_from(["", "NVIDIA H100 80GB HBM3"]),
)


@given(st.dictionaries(st.sampled_from(METRICS), st.lists(_series, max_size=4)), st.integers(1, 3), st.randoms())
def test_a_share_of_time_comes_out_or_nothing_in_whatever_order_exporters_answer(samples, gpus, random):
    value, dropped = of(samples, gpus)
    assert isinstance(value, Unknown) or 0.0 <= value <= 1.0
    assert sum(dropped.values()) <= sum(map(len, samples.values()))
    by_exporter = {m: sorted(s, key=lambda one: one.labels.get("job", ""), reverse=True) for m, s in samples.items()}
    assert of(by_exporter, gpus)[0] == value


@given(st.dictionaries(st.sampled_from(METRICS), st.floats(0, 0.0099), max_size=1))
def test_no_single_signal_makes_a_gpu_idle(signals):
    value, _ = of({metric: [sample("a", share)] for metric, share in signals.items()})
    assert isinstance(value, Unknown)
