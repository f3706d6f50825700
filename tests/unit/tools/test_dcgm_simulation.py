"""The simulated DCGM exporter serves what a real one would, and its faults on demand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from local.dcgm_exporter import Exporter, Sample, exposition
from local.objects import GpuNode, gpu_node, pod

UTIL, ENGINE = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"


def node() -> dict[str, Any]:
    manifest = gpu_node(GpuNode(name="gpu-0"))
    manifest["metadata"]["uid"] = "node-uid"
    return manifest


def running(name: str, gpus: int = 2, **annotations: str) -> dict[str, Any]:
    given = {f"gpucost.dev/simulated-{key}": value for key, value in annotations.items()}
    manifest = pod(name, "team", gpus=gpus, annotations=given, nodeName="gpu-0")
    manifest["metadata"]["uid"] = f"uid-{name}"
    manifest["status"] = {"phase": "Running", "startTime": "2026-11-01T00:00:00Z"}
    return manifest


def series(samples: list[Sample], metric: str = UTIL, pod: str | None = None) -> list[Sample]:
    return [s for s in samples if s.metric == metric and (pod is None or dict(s.labels).get("pod") == pod)]


def scrape(*pods: dict[str, Any], exporter: Exporter | None = None) -> list[Sample]:
    return list((exporter or Exporter()).samples([node()], list(pods)))


def test_every_gpu_of_a_node_is_reported_once_and_idle_ones_without_a_pod() -> None:
    found = series(scrape(running("a", 2), running("b", 3)))

    assert sorted(dict(s.labels)["gpu"] for s in found) == [str(n) for n in range(8)]
    assert [dict(s.labels).get("pod") for s in found].count(None) == 3
    assert len({dict(s.labels)["UUID"] for s in found}) == 8


def test_utilisation_comes_from_the_annotation_of_the_pod() -> None:
    found = scrape(running("a", utilization="0.61"))

    assert [s.value for s in series(found, pod="a")] == [61.0, 61.0]
    assert [s.value for s in series(found, ENGINE, "a")] == [0.61, 0.61]


def test_a_pod_keeps_its_gpus_while_others_come_and_go() -> None:
    exporter = Exporter()
    scrape(running("a"), running("b"), exporter=exporter)
    before = {dict(s.labels)["gpu"] for s in series(scrape(running("b"), exporter=exporter), pod="b")}

    after = scrape(running("b"), running("c", 6), exporter=exporter)

    assert {dict(s.labels)["gpu"] for s in series(after, pod="b")} == before
    assert len(series(after, pod="c")) == 6


@pytest.mark.parametrize(("fault", "value"), [("negative", -1.0), ("overflow", 4294967295.0)])
def test_absurd_values_are_served_on_demand(fault: str, value: float) -> None:
    assert {s.value for s in series(scrape(running("a", fault=fault)), pod="a")} == {value}


def test_nan_is_served_on_demand_and_spelt_as_prometheus_reads_it() -> None:
    found = series(scrape(running("a", fault="nan")), pod="a")

    assert all(math.isnan(s.value) for s in found)
    assert str(found[0]).endswith(" NaN")


@pytest.mark.parametrize(("fault", "count"), [("missing", 0), ("missing:5", 3)])
def test_some_or_all_gpus_of_a_pod_can_be_missing(fault: str, count: int) -> None:
    assert len(series(scrape(running("a", 8, fault=fault)), pod="a")) == count


def test_renamed_labels_are_served_on_demand() -> None:
    [sample, _] = [s for s in series(scrape(running("a", fault="renamed"))) if "exported_pod" in dict(s.labels)]

    labels = dict(sample.labels)
    assert (labels["exported_namespace"], labels["exported_pod"], labels["hostname"]) == ("team", "a", "gpu-0")
    assert labels.keys().isdisjoint({"pod", "namespace", "container", "Hostname"})


def test_stale_values_keep_their_value_and_their_time() -> None:
    exporter = Exporter()
    first = series(scrape(running("a", fault="stale", utilization="0.9"), exporter=exporter), pod="a")

    second = series(scrape(running("a", fault="stale", utilization="0.1"), exporter=exporter), pod="a")

    assert first == second
    assert first[0].stamp is not None


def test_the_exposition_says_that_it_is_a_simulation() -> None:
    text = exposition(scrape(running("a", utilization="0.5")))

    assert text.startswith("# A simulation")
    assert f"# TYPE {UTIL} gauge" in text
    assert 'namespace="team",pod="a",container="main"} 50\n' in text
