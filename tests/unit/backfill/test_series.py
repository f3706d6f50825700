"""Answers of an engine become records: duplicates count once, what cannot be is dropped and named."""

from __future__ import annotations

import math

import pytest

from gpucost.core.backfill.names import node_labels, pod_labels, resource_matcher, resource_name, sanitized
from gpucost.core.backfill.series import Answers, Reading, read, replaced_names, unstarted
from gpucost.core.backfill.spans import holes_of
from gpucost.core.clock import HOUR, MINUTE, SECOND
from gpucost.core.model import Category, Resources
from gpucost.core.timeline import Interval
from gpucost.core.usage import Sample

T0 = 1_790_000_000 * SECOND // HOUR * HOUR
S0 = T0 // SECOND
SPAN = Interval(T0, T0 + 4 * HOUR)
INFO = {"uid": "p1", "namespace": "research", "pod": "bert-0", "node": "n1"}


def reading(**answers: list[Sample]) -> Reading:
    return Reading(SPAN, 30 * SECOND, {name.replace("_", " "): rows for name, rows in answers.items()})


def pod_last(value: float = S0 + 600, **labels: str) -> Sample:
    return Sample({**INFO, "created_by_kind": "Job", "created_by_name": "bert", **labels}, value)


def amount(resource: str, value: float, **labels: str) -> Sample:
    return Sample({"uid": "p1", "resource": resource, **labels}, value)


def time(what: str, value: float) -> Sample:
    return Sample({"uid": "p1", "what": what}, value)


def test_a_pod_is_put_together_from_its_series() -> None:
    [pod] = read(
        reading(
            pod_last=[pod_last()],
            pod_times=[time("scheduled", S0 + 60), time("completed", S0 + 500), time("Succeeded", 1)],
            pod_requests=[amount("cpu", 0.1), amount("memory", 2.0**30), amount("nvidia_com_gpu", 2)],
            pod_labels=[Sample({"uid": "p1", "label_gpucost_dev_category": "data", "label_other": "x"}, 1)],
        )
    ).pods

    assert (pod.uid, pod.namespace, pod.name, pod.node, pod.owner) == (
        "p1",
        "research",
        "bert-0",
        "n1",
        ("Job", "bert"),
    )
    assert (pod.last, pod.bound, pod.ended, pod.phase) == (
        T0 + 10 * MINUTE,
        T0 + MINUTE,
        T0 + 500 * SECOND,
        "Succeeded",
    )
    assert (pod.requests, pod.devices) == (Resources(100, 2**30), {"nvidia.com/gpu": 2})
    assert pod.labels == {"gpucost.dev/category": "data"}


def test_two_shards_that_tell_of_one_pod_make_one_pod() -> None:
    found = read(reading(pod_last=[pod_last(S0 + 600), pod_last(S0 + 615)], pod_requests=[amount("cpu", 1)] * 2))

    assert [pod.last for pod in found.pods] == [T0 + 615 * SECOND]
    assert [pod.requests for pod in found.pods] == [Resources(1000)]


def test_one_pod_on_two_nodes_is_on_the_one_where_it_was_seen_last() -> None:
    found = read(reading(pod_last=[pod_last(S0 + 600), pod_last(S0 + 700, node="n2")]))

    assert [pod.node for pod in found.pods] == ["n2"]
    assert found.dropped == {"one pod on two nodes": 1}


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 0.0, 4294967295.0 * 1000])
def test_a_time_that_cannot_be_is_dropped_and_counted(value: float) -> None:
    found = read(reading(pod_last=[pod_last()], pod_times=[time("scheduled", value)]))

    assert [pod.scheduled for pod in found.pods] == [None]
    assert found.dropped == {"time that cannot be": 1}


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 4294967295.0])
def test_a_request_that_cannot_be_makes_the_pods_requests_unknown(value: float) -> None:
    found = read(reading(pod_last=[pod_last()], pod_requests=[amount("cpu", 1), amount("nvidia_com_gpu", value)]))

    assert [pod.requests for pod in found.pods] == [None]
    assert found.dropped == {"amount that cannot be": 1}


def test_a_pod_without_requests_is_told_from_requests_that_nobody_recorded() -> None:
    other = Sample({"uid": "p2", "resource": "cpu"}, 1)

    assert read(reading(pod_last=[pod_last()], pod_requests=[other])).pods[0].requests == Resources()
    assert read(reading(pod_last=[pod_last()])).pods[0].requests is None


def test_a_sample_from_before_the_span_is_left_to_an_older_one() -> None:
    """Without a stale marker an engine repeats the last sample for five minutes."""
    assert read(reading(pod_last=[pod_last(S0)])).pods == []
    assert read(Reading(SPAN, 30 * SECOND, node_rows(S0 - 60))).nodes == []


def test_an_init_container_counts_where_it_needs_more_and_a_sidecar_is_added() -> None:
    [pod] = read(
        reading(
            pod_last=[pod_last()],
            pod_requests=[amount("cpu", 2), amount("memory", 100)],
            pod_init_requests=[
                amount("cpu", 1, container="proxy"),
                amount("cpu", 4, container="load"),
                amount("memory", 50, container="load"),
            ],
            pod_sidecars=[Sample({"uid": "p1", "container": "proxy"}, 1)],
        )
    ).pods

    assert pod.requests == Resources(5000, 100)


def test_labels_that_prometheus_renamed_are_found() -> None:
    renamed = Sample({"uid": "p1", "namespace": "monitoring", "pod": "ksm-0", "node": "n9", "exported_namespace":
                      "research", "exported_pod": "bert-0", "exported_node": "n1"}, S0 + 600)  # fmt: skip

    [pod] = read(reading(pod_last=[renamed])).pods

    assert (pod.namespace, pod.name, pod.node) == ("research", "bert-0", "n1")


def test_images_tell_the_cost_driver() -> None:
    image = Sample({"uid": "p1", "container": "db", "image": "docker.io/qdrant/qdrant:v1.12"}, 1)

    assert read(reading(pod_last=[pod_last()], pod_images=[image])).pods[0].program is Category.DATA


# --- nodes ------------------------------------------------------------------------------------------------------------


def node_rows(value: float = S0 + 3600) -> Answers:
    who = {"node": "n1"}
    return {
        "node last": [Sample({**who, "provider_id": "aws:///i-1"}, value)],
        "node first": [Sample(who, S0 + 10)],
        "node created": [Sample({**who, "edge": "max"}, S0 - 100), Sample({**who, "edge": "min"}, S0 - 100)],
        "node labels": [Sample({**who, "label_karpenter_sh_capacity_type": "spot"}, value)],
        "node capacity": [
            Sample({**who, "resource": "cpu"}, 8),
            Sample({**who, "resource": "nvidia_com_gpu"}, 4),
        ],
    }


def test_a_node_is_put_together_from_its_series() -> None:
    [node] = read(Reading(SPAN, 30 * SECOND, node_rows())).nodes

    assert (node.name, node.created, node.first, node.last) == ("n1", T0 - 100 * SECOND, T0 + 10 * SECOND, T0 + HOUR)
    assert (node.capacity, node.devices) == (Resources(8000), {"nvidia.com/gpu": 4})
    assert node.labels == {"karpenter.sh/capacity-type": "spot"}
    assert node.machine == "aws:///i-1"


def test_a_node_whose_size_cannot_be_is_of_unknown_size() -> None:
    rows = {**node_rows(), "node capacity": [Sample({"node": "n1", "resource": "cpu"}, math.nan)]}

    assert read(Reading(SPAN, 30 * SECOND, rows)).nodes[0].capacity is None


def test_a_node_without_labels_is_a_node_all_the_same() -> None:
    rows = {name: rows for name, rows in node_rows().items() if name not in {"node labels", "node created"}}

    [node] = read(Reading(SPAN, 30 * SECOND, rows)).nodes
    assert (node.created, node.labels) == (None, {})


def test_raw_samples_tell_the_lives_of_a_name_apart() -> None:
    first, second = S0 - 100, S0 + 1800
    raw = [(T0 + n * MINUTE, first if n < 30 else second) for n in range(1, 60) if n != 30]
    rows = {**node_rows(), "node created": [Sample({"node": "n1"}, first), Sample({"node": "n1"}, second)]}
    assert replaced_names(rows) == ["n1"]

    lives = read(Reading(SPAN, 30 * SECOND, rows, replaced=[("n1", raw)])).nodes

    assert [(node.created, node.first, node.last) for node in lives] == [
        (first * SECOND, T0 + MINUTE, T0 + 29 * MINUTE),
        (second * SECOND, T0 + 31 * MINUTE, T0 + HOUR),
    ]


def test_first_samples_are_asked_for_only_where_a_start_is_missing() -> None:
    assert unstarted({"pod last": [pod_last()]})
    assert unstarted({"pod last": [pod_last()], "pod times": [time("created", S0)]})
    assert not unstarted({"pod last": [pod_last()], "pod times": [time("scheduled", S0)]})


# --- names and holes --------------------------------------------------------------------------------------------------


def test_names_lose_what_prometheus_does_not_allow_and_are_found_again() -> None:
    assert sanitized("eks.amazonaws.com/capacityType") == "eks_amazonaws_com_capacity_type"
    assert node_labels({"label_eks_amazonaws_com_capacity_type": "SPOT"}) == {"eks.amazonaws.com/capacityType": "SPOT"}
    assert pod_labels({"label_gpucost_dev_cost_center": "7"}) == {"gpucost.dev/cost-center": "7"}
    assert resource_name("nvidia_com_gpu") == "nvidia.com/gpu"
    assert resource_name("nvidia_com_gpu_shared") == "nvidia.com/gpu.shared"
    assert resource_name("nvidia_com_mig_1g_10gb_me") == "nvidia.com/mig-1g.10gb.me"
    assert resource_name("amd_com_gpu", ("amd.com/gpu",)) == "amd.com/gpu"
    assert resource_matcher() == "cpu|memory|nvidia_com_gpu|nvidia_com_gpu_shared|nvidia_com_mig_.+"


def test_a_single_scrape_that_failed_is_a_hole() -> None:
    span, every = Interval(T0, T0 + 10 * MINUTE), 30 * SECOND
    scraped = [at for at in range(T0 - MINUTE, span.end + 1, every) if at != T0 + 5 * MINUTE]
    present = {at for at in range(T0, span.end + 1, 15 * SECOND) if any(at - 36 * SECOND < s <= at for s in scraped)}

    [hole] = holes_of(present, span, every)

    assert hole.start <= T0 + 5 * MINUTE < hole.end
    assert hole.length <= 105 * SECOND
    assert holes_of(set(), span, every) == [span]
    assert holes_of(set(range(T0, span.end + 1, 15 * SECOND)), span, every) == []
