"""Cases whose answers are worked out by hand, through the command as its users call it."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from support.offline_world import allocate, costs, node, pod, scenario, time

H100 = {"model": "H100", "count": 1, "memoryGiB": 80}


def mig(**slices: int) -> dict[str, str]:
    return {f"nvidia.com/mig-{name.removeprefix('_').replace('_', '.')}": str(count) for name, count in slices.items()}


# --- prices and time -------------------------------------------------------------------------------------------------


def test_a_price_change_splits_the_node_between_the_pods_of_each_time():
    nodes = [node(gpus=1, prices={0: "1", 5: "4"})]
    assert costs(scenario(nodes, [pod("a", (0, 5), gpus=1), pod("b", (5, 10), gpus=1)])) == {
        "a": "5.000000",
        "b": "20.000000",
    }


def test_prices_may_be_unsorted_and_those_after_the_nodes_end_do_not_count():
    nodes = [node(gpus=1, prices={5: "4", 99: "1000", 0: "1"})]
    assert costs(scenario(nodes, [pod("a", gpus=1)])) == {"a": "25.000000"}


def test_a_gap_between_two_pods_of_one_name_is_idle():
    pods = [pod("u1", (0, 2), gpus=1, name="a"), pod("u2", (8, 10), gpus=1, name="a")]
    assert costs(scenario([node(gpus=1)], pods)) == {"a": "16.000000", "idle": "24.000000"}


def test_a_gap_between_two_intervals_of_one_pod_is_idle():
    assert costs(scenario([node(gpus=1)], [pod("a", (8, 10), (0, 2), gpus=1)])) == {
        "a": "16.000000",
        "idle": "24.000000",
    }


@pytest.mark.parametrize(("seconds", "cost"), [(30, "0.050000"), (300, "0.500000"), (3600, "6.000000")])
def test_short_pods_are_exact_to_the_second(seconds, cost):
    start = Fraction(1, 7)
    pods = [pod("a", (start, start + Fraction(seconds, 3600)), gpus=1)]
    assert costs(scenario([node(gpus=1, price="6")], pods))["a"] == cost


def test_a_node_replaced_under_its_name_is_two_nodes():
    nodes = [node("n1", 0, 5, gpus=1, price="1"), node("n2", 5, 10, gpus=1, price="10")]
    nodes[1]["name"] = nodes[0]["name"]
    pods = [pod("a", (0, 10), gpus=1), pod("b", (0, 10), gpus=1, on="n2")]
    found = allocate(scenario(nodes, pods), "--by", "node")
    assert {row["key"]: row["cost"] for row in found["rows"]} == {"n1": "5.000000", "n2": "50.000000"}


def test_pod_time_is_clipped_to_the_nodes_life_and_the_window():
    document = scenario([node(gpus=1, start=2, end=8)], [pod("a", (-5, None), gpus=1)], window=(0, 5))
    found = allocate(document)
    assert (found["rows"][0]["cost"], found["rows"][0]["gpuHours"]) == ("12.000000", "3.000000")
    assert found["total"] == {"cost": "12.000000", "gpuHours": "3.000000"}


def test_the_window_of_the_command_line_replaces_that_of_the_scenario():
    document = scenario([node(gpus=1)], [pod("a", (0, 4), gpus=1)], window=(0, 2))
    found = allocate(document, "--window", f"{time(3)},{time(6)}")
    assert (found["rows"][0]["cost"], found["idle"]["cost"]) == ("4.000000", "8.000000")
    assert found["window"] == {"start": time(3), "end": time(6)}


def test_without_a_window_the_span_of_the_nodes_counts():
    nodes = [node("n1", 1, 3, gpus=1), node("n2", 2, 7, gpus=1)]
    assert allocate(scenario(nodes, []))["window"] == {"start": time(1), "end": time(7)}


def test_what_starts_and_ends_at_once_costs_nothing():
    found = allocate(scenario([node(gpus=1)], [pod("a", (3, 3), gpus=1)]), "--by", "pod")
    row = found["rows"][0]
    assert (row["key"], row["cost"], row["gpuHours"], row["coverage"]) == ("ns/a", "0.000000", "0.000000", 1.0)
    assert found["idle"]["cost"] == "40.000000"


def test_a_pod_outside_of_the_window_has_no_row():
    document = scenario([node(gpus=1)], [pod("a", (0, 1), gpus=1), pod("b", (5, 6), gpus=1)], window=(2, 10))
    assert [row["key"] for row in allocate(document, "--by", "pod")["rows"]] == ["ns/b"]


# --- shares ----------------------------------------------------------------------------------------------------------


def test_the_largest_of_the_shares_counts():
    nodes = [node(gpus=8, price="10", cpu="100", memory="1000Gi")]
    pods = [
        pod("gpu", (0, 1), gpus=4, cpu="10", memory="100Gi"),
        pod("cpu", (0, 1), cpu="20", memory="100Gi"),
        pod("memory", (0, 1), cpu="1", memory="250Gi"),
    ]
    document = scenario(nodes, pods, window=(0, 1))
    assert costs(document) == {"gpu": "5.000000", "cpu": "2.000000", "memory": "2.500000", "idle": "0.500000"}


def test_use_above_the_request_counts_and_use_below_does_not():
    nodes = [node(cpu="10", memory="10Gi", price="10")]
    pods = [
        pod("more", (0, 1), cpu="1", usage={"cpu": "3"}),
        pod("less", (0, 1), cpu="2", usage={"cpu": "500m", "memory": "1Gi"}),
    ]
    assert costs(scenario(nodes, pods, window=(0, 1))) == {"more": "3.000000", "less": "2.000000", "idle": "5.000000"}


def test_use_that_changes_counts_from_when_it_changes_and_before_it_the_request_does():
    usage = {"cpu": [{"from": time(2), "value": "5"}, {"from": time(1), "value": 2}, {"from": time(3), "value": None}]}
    document = scenario([node(cpu="10", price="10")], [pod("a", cpu="1", usage=usage)], window=(0, 4))
    assert costs(document) == {"a": "9.000000", "idle": "31.000000"}  # 1 + 2 + 5 + 1


def test_an_overcommitted_node_is_scaled_to_what_it_is():
    nodes = [node(memory="1Gi", price="3")]
    pods = [pod("p1", memory="0", usage={"memory": "1Gi"}), pod("p2", memory="1Gi", usage={"memory": "0"})]
    assert costs(scenario(nodes, pods, window=(0, 2))) == {"p1": "3.000000", "p2": "3.000000"}


def test_three_equal_overcommitted_pods_round_by_largest_remainder_to_the_sum():
    nodes = [node(memory="1Gi", price="1")]
    pods = [pod(name, memory="1Gi") for name in ("a", "b", "c")]
    assert sorted(costs(scenario(nodes, pods, window=(0, 1))).values()) == ["0.333333", "0.333333", "0.333334"]


def test_use_beyond_the_node_is_a_share_of_one():
    document = scenario([node(cpu="2", price="4")], [pod("a", usage={"cpu": "64"})], window=(0, 1))
    assert costs(document) == {"a": "4.000000"}


def test_a_pod_without_requests_and_use_has_no_share():
    assert costs(scenario([node(gpus=1)], [pod("a")])) == {"a": "0.000000", "idle": "40.000000"}


def test_residual_case_of_the_opencost_specification():
    nodes = [node(gpus=1, price="35", cpu="1", memory="1Gi")]
    pods = [pod("gpu", (0, 1), gpus=1), pod("cpu", (0, 1), cpu="1"), pod("memory", (0, 1), memory="1Gi")]
    document = scenario(nodes, pods, window=(0, 1))
    flags = ("--split", "weighted", "--weights", "gpu=30,cpu=30,memoryGiB=10")
    assert costs(document, *flags) == {"gpu": "15.000000", "cpu": "15.000000", "memory": "5.000000"}


def test_weights_of_nine_to_nine_tenths_to_one_tenth():
    nodes = [node(gpus=8, price="10", cpu="64", memory="488Gi")]
    pods = [pod("gpu", (0, 1), gpus=1), pod("cpu", (0, 1), cpu="1"), pod("memory", (0, 1), memory="1Gi")]
    found = costs(scenario(nodes, pods, window=(0, 1)), "--weights", "gpu=9,cpu=0.9,memoryGiB=0.1")
    assert {name: cost[:6] for name, cost in found.items() if name != "idle"} == {
        "gpu": "0.5044",
        "cpu": "0.0504",
        "memory": "0.0056",
    }
    assert Decimal(found["gpu"]) == round(Decimal(90) / Decimal("178.4"), 6)


def test_preset_weights_are_those_of_the_tools_they_are_named_after():
    nodes = [node(gpus=1, price="1", cpu="1", memory="1Gi")]
    document = scenario(nodes, [pod("a", (0, 1), gpus=1)], window=(0, 1))
    whole = Decimal("0.95") + Decimal("0.031611") + Decimal("0.004237")
    assert Decimal(costs(document, "--weights", "opencost")["a"]) == round(Decimal("0.95") / whole, 6)
    assert Decimal(costs(document, "--split", "weighted", "--weights", "aws")["a"]) == Decimal("0.900000")


def test_gpu_only_leaves_out_cpu_and_memory():
    nodes = [node(gpus=4, price="8", cpu="10"), node("n2", price="8", cpu="10")]
    pods = [pod("a", gpus=1, cpu="10"), pod("b", cpu="5"), pod("c", cpu="5", on="n2")]
    found = costs(scenario(nodes, pods, window=(0, 1)), "--split", "gpuOnly")
    assert found == {"a": "2.000000", "b": "0.000000", "c": "4.000000", "idle": "10.000000"}


# --- parts of GPUs ---------------------------------------------------------------------------------------------------


def test_time_slicing_divides_the_gpu_and_an_unused_replica_is_idle():
    gpu = {"model": "L4", "count": 1, "replicasPerGpu": 4}
    pods = [pod(name, (0, 1), gpus=1) for name in "abc"]
    found = allocate(scenario([node(gpus=4, gpu=gpu)], pods, window=(0, 1)), "--by", "pod")
    assert [(row["cost"], row["gpuHours"]) for row in found["rows"]] == [("1.000000", "0.250000")] * 3
    assert found["idle"] == {"cost": "1.000000", "gpuHours": "0.250000"}
    assert found["total"] == {"cost": "4.000000", "gpuHours": "1.000000"}


def test_renamed_replicas_count_the_same():
    gpu = {"model": "L4", "count": 1, "replicasPerGpu": 4}
    shared = {"nvidia.com/gpu.shared": "4"}
    pods = [pod(name, (0, 1), **{"nvidia.com/gpu.shared": "1"}) for name in "abc"]
    found = costs(scenario([node(gpu=gpu, **shared)], pods, window=(0, 1)))
    assert found == {"a": "1.000000", "b": "1.000000", "c": "1.000000", "idle": "1.000000"}


def test_a_lost_replica_is_stranded_and_its_money_is_in_the_others():
    gpu = {"model": "L4", "count": 1, "replicasPerGpu": 4}
    document = scenario([node(gpus=3, gpu=gpu, price="12")], [pod("a", (0, 1), gpus=1)], window=(0, 1))
    found = allocate(document)
    assert found["rows"][0]["cost"] == "4.000000"
    assert found["stranded"] == {"cost": "0.000000", "gpuHours": "0.250000"}
    assert found["idle"] == {"cost": "8.000000", "gpuHours": "0.500000"}


def test_a_lost_replica_is_stranded_money_when_only_gpus_count():
    gpu = {"model": "L4", "count": 1, "replicasPerGpu": 4}
    document = scenario([node(gpus=3, gpu=gpu, price="12")], [pod("a", (0, 1), gpus=1)], window=(0, 1))
    found = allocate(document, "--split", "gpuOnly")
    assert found["rows"][0]["cost"] == "3.000000"
    assert found["stranded"] == {"cost": "3.000000", "gpuHours": "0.250000"}
    assert found["idle"] == {"cost": "6.000000", "gpuHours": "0.500000"}


def test_two_halves_of_an_h100_take_all_the_money_and_strand_a_seventh_of_its_compute():
    slices = mig(_3g_40gb=2)
    pods = [pod(name, (0, 1), **mig(_3g_40gb=1)) for name in "ab"]
    found = allocate(scenario([node(gpu=H100, price="7", **slices)], pods, window=(0, 1)), "--by", "pod")
    assert [(row["cost"], row["gpuHours"]) for row in found["rows"]] == [("3.500000", "0.500000")] * 2
    assert found["stranded"] == {"cost": "0.000000", "gpuHours": "0.142857"}
    assert found["idle"] == {"cost": "0.000000", "gpuHours": "0.000000"}
    assert found["total"] == {"cost": "7.000000", "gpuHours": "1.000000"}


def test_slices_that_add_up_to_more_than_the_gpu_are_scaled_down_and_said_to_be():
    pods = [pod("a", (0, 1), **mig(_3g_40gb=1)), pod("b", (0, 1), **mig(_4g_40gb=1))]
    document = scenario([node(gpu=H100, price="15", **mig(_3g_40gb=1, _4g_40gb=1))], pods, window=(0, 1))
    assert costs(document) == {"a": "7.000000", "b": "8.000000"}  # 1/2 to 4/7
    assert "15/14" in allocate(document)["notes"][0]


def test_one_half_of_an_h100_leaves_the_rest_idle_while_a_profile_still_fits():
    document = scenario([node(gpu=H100, price="7", **mig(_3g_40gb=1))], [pod("a", **mig(_3g_40gb=1))], window=(0, 1))
    found = allocate(document)
    assert found["rows"][0]["cost"] == "3.500000"
    assert found["idle"] == {"cost": "3.500000", "gpuHours": "0.500000"}
    assert found["stranded"]["gpuHours"] == "0.000000"


def test_the_single_strategy_is_known_by_the_products_name():
    gpu = {"model": "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", "count": 2}
    found = allocate(scenario([node(gpus=14, gpu=gpu, price="14")], [pod("a", gpus=3)], window=(0, 1)))
    assert (found["rows"][0]["cost"], found["rows"][0]["gpuHours"]) == ("3.000000", "0.428571")


def test_a_fractional_instance_is_its_part_of_a_gpu():
    gpu = {"model": "L4", "count": 0.25}
    document = scenario([node(gpus=1, gpu=gpu, price="0.5")], [pod("a", (0, 2), gpus=1)], window=(0, 4))
    found = allocate(document)
    assert (found["rows"][0]["cost"], found["rows"][0]["gpuHours"]) == ("1.000000", "0.500000")
    assert found["total"]["gpuHours"] == "1.000000"  # so a GPU-hour costs 4 times the node's price


def test_gpus_of_others_are_priced_the_same_way_once_they_are_named():
    amd = {"amd.com/gpu": "4"}
    document = scenario([node(price="8", **amd)], [pod("a", **{"amd.com/gpu": "1"})], window=(0, 1))
    assert costs(document, "--gpu-resource", "amd.com/*") == {"a": "2.000000", "idle": "6.000000"}
    assert allocate(document)["total"]["gpuHours"] == "0.000000"  # nobody said that these are GPUs


def test_whole_gpus_that_nobody_holds_are_idle():
    found = allocate(scenario([node(gpus=8, price="8")], [pod("a", gpus=3)], window=(0, 1)))
    assert found["idle"] == {"cost": "5.000000", "gpuHours": "5.000000"}
    assert found["stranded"] == {"cost": "0.000000", "gpuHours": "0.000000"}


# --- activity --------------------------------------------------------------------------------------------------------


def test_all_gpus_of_a_busy_pod_are_used_whole():
    document = scenario([node(gpus=8, price="8")], [pod("a", gpus=8, usage={"gpuActive": 1})], window=(0, 1))
    row = allocate(document)["rows"][0]
    assert (row["gpuUtilization"], row["active"], row["held"]) == (1.0, "8.000000", "0.000000")


def test_cost_is_split_into_active_held_unknown_and_no_gpu():
    nodes = [node(gpus=4, price="10", cpu="10")]
    pods = [
        pod("measured", gpus=1, usage={"gpuActive": 0.6}),
        pod("unmeasured", gpus=2),
        pod("without", cpu="1"),
    ]
    row = allocate(scenario(nodes, pods, window=(0, 2)))["rows"][0]
    assert row["cost"] == "17.000000"
    assert (row["active"], row["held"]) == ("3.000000", "2.000000")
    assert (row["unknownActivity"], row["nonGpu"]) == ("10.000000", "2.000000")
    assert row["gpuUtilization"] == 0.6


def test_utilisation_is_weighted_by_gpu_hours_over_known_time():
    usage = {"gpuActive": [{"from": time(0), "value": 0.2}, {"from": time(1), "value": None}]}
    pods = [pod("small", gpus=1, usage=usage), pod("big", gpus=3, usage={"gpuActive": 1.0})]
    row = allocate(scenario([node(gpus=4)], pods, window=(0, 4)))["rows"][0]
    assert row["gpuUtilization"] == round((1 * 0.2 + 12) / 13, 6)


def test_utilisation_is_null_when_nobody_measured():
    assert allocate(scenario([node(gpus=1)], [pod("a", gpus=1)]))["rows"][0]["gpuUtilization"] is None


# --- unpriced --------------------------------------------------------------------------------------------------------


def test_a_node_without_prices_is_unpriced_and_nothing_is_guessed():
    nodes = [node(gpus=1), node("n2", gpus=1, price=None)]
    pods = [pod("a", gpus=1), pod("b", gpus=1, on="n2")]
    found = allocate(scenario(nodes, pods), "--by", "pod")
    assert [(row["key"], row["cost"], row["coverage"]) for row in found["rows"]] == [
        ("ns/a", "40.000000", 1.0),
        ("ns/b", None, 0.0),
    ]
    assert found["rows"][1]["gpuHours"] == "10.000000"
    assert found["total"] == {"cost": "40.000000", "gpuHours": "20.000000"}
    assert found["unpriced"] == [
        {
            "node": "n2",
            "name": "name-of-n2",
            "hours": "10.000000",
            "intervals": [{"start": time(0), "end": time(10)}],
        }
    ]


@pytest.mark.parametrize("prices", [{4: "4"}, {0: "0", 4: "4"}, {0: "0.00", 2: "0", 4: "4"}])
def test_time_before_the_first_price_and_at_a_price_of_zero_is_unpriced(prices):
    found = allocate(scenario([node(gpus=1, prices=prices)], [pod("a", (2, 6), gpus=1)]), "--by", "pod")
    row = found["rows"][0]
    assert (row["cost"], row["coverage"], row["gpuHours"]) == ("8.000000", 0.5, "4.000000")
    assert found["unpriced"][0]["intervals"] == [{"start": time(0), "end": time(4)}]
    assert found["idle"] == {"cost": "16.000000", "gpuHours": "6.000000"}


def test_unpriced_rows_come_last_whatever_their_name():
    nodes = [node(gpus=2, price="2"), node("n2", gpus=1, price=None)]
    pods = [pod("z", (0, 1), gpus=1), pod("y", (0, 2), gpus=1), pod("a", gpus=1, on="n2")]
    keys = [row["key"] for row in allocate(scenario(nodes, pods), "--by", "pod")["rows"]]
    assert keys == ["ns/y", "ns/z", "ns/a"]


# --- groupings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("namespace", ["research", "serving"]),
        ("pod", ["research/bert-0", "serving/chat-0"]),
        ("node", ["n1"]),
        ("workload", ["research/TrainingJob/bert", "serving/Pod/chat-0"]),
        ("category", ["training", "other"]),
        ("label:team", ["nlp", "(none)"]),
        ("label:example.com/team", ["(none)"]),
    ],
)
def test_rows_have_the_keys_of_their_grouping(by, keys):
    pods = [
        pod("u1", gpus=2, name="bert-0", namespace="research", workload="TrainingJob/bert", labels={"team": "nlp"}),
        pod("u2", gpus=1, name="chat-0", namespace="serving"),
    ]
    found = allocate(scenario([node(gpus=4)], pods), "--by", by)
    assert [row["key"] for row in found["rows"]] == keys


def test_hours_of_cpu_and_memory_are_what_counted():
    usage = {"cpu": "4", "memory": "1Gi"}
    document = scenario([node(cpu="8", memory="8Gi")], [pod("a", (0, 2), cpu="1", memory="3Gi", usage=usage)])
    row = allocate(document)["rows"][0]
    assert (row["cpuCoreHours"], row["memoryGiBHours"]) == ("8.000000", "6.000000")


def test_an_empty_scenario_with_a_window_costs_nothing():
    found = allocate(scenario([], [], window=(0, 1)))
    assert (found["rows"], found["total"]) == ([], {"cost": "0.000000", "gpuHours": "0.000000"})
