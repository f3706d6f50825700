"""Activity of a pod comes from what its exporters say; doubt is unknown, never idle."""

import math

import pytest

from gpucost.core.model import Unknown
from gpucost.core.usage import ENGINE_ACTIVE, GPU_UTIL, Held, Sample, activity

POD = ("research", "bert-0")


def sample(gpu, value, **labels):
    return Sample({"UUID": gpu, "namespace": "research", "pod": "bert-0", **labels}, value)


def of(samples, gpus=1):
    result = activity(samples, {POD: Held("u1", gpus)})
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


def test_a_gpu_seen_by_two_exporters_counts_once():
    value, _ = of({ENGINE_ACTIVE: [sample("a", 0.4, job="x"), sample("a", 0.4, job="y")]})
    assert value == pytest.approx(0.4)


def test_three_of_eight_gpus_reporting_zero_are_unknown_not_idle():
    value, _ = of({ENGINE_ACTIVE: [sample(str(i), 0.0) for i in range(3)]}, gpus=8)
    assert value == Unknown("3 of 8 GPUs report")


def test_no_series_is_unknown():
    assert of({})[0] == Unknown("no series")


@pytest.mark.parametrize(
    ("absurd", "reason"),
    [
        (math.nan, "not a number"),
        (math.inf, "not a number"),
        (-0.1, "out of range"),
        (1.5, "out of range"),
        (4294967295.0, "out of range"),
    ],
)
def test_absurd_values_are_dropped_and_counted(absurd, reason):
    value, dropped = of({ENGINE_ACTIVE: [sample("a", absurd)]})
    assert isinstance(value, Unknown)
    assert dropped == {reason: 1}


def test_renamed_labels_of_a_scrape_without_honor_labels_are_understood():
    renamed = Sample(
        {
            "uuid": "a",
            "namespace": "monitoring",
            "pod": "dcgm-exporter-x",
            "exported_namespace": "research",
            "exported_pod": "bert-0",
        },
        0.5,
    )
    assert of({ENGINE_ACTIVE: [renamed]})[0] == pytest.approx(0.5)


def test_mig_slices_of_one_gpu_are_told_apart():
    slices = [sample("a", 1.0, GPU_I_ID="1"), sample("a", 0.0, GPU_I_ID="2")]
    assert of({ENGINE_ACTIVE: slices}, gpus=2)[0] == pytest.approx(0.5)


def test_an_exact_one_survives_the_rounding_of_an_average():
    assert of({GPU_UTIL: [sample("a", 100.000001)]})[0] == 1.0
