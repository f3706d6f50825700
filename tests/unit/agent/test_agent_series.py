"""What the agent exports of the devices of a node; it runs as a process, pynvml and gRPC are the real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gpucost.core.model import Unknown
from gpucost.core.usage import METRICS, Held, Sample, activity
from gpucost.sources.exporters import parse
from support.agent_process import AgentProcess
from support.kubelet import Claim, Pod
from support.nvml import gpu, mig, t4, uuid

Start = Callable[..., AgentProcess]
Eventually = Callable[..., Any]

UTIL = "DCGM_FI_DEV_GPU_UTIL"
ENGINE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
PROFILES = {"profile0": "19:MIG 1g.10gb", "profile2": "9:MIG 3g.40gb", "profile7": "20:MIG 1g.10gb+me"}


def activity_of(agent: AgentProcess, **gpus: int) -> dict[str, float | Unknown]:
    """What the operator makes of a scrape of its own, by pod."""
    samples: dict[str, list[Sample]] = {metric: [] for metric in METRICS}
    for metric, labels, value, _ in parse(agent.get("/metrics")[1]):
        samples[metric].append(Sample(labels, value))
    names = {name.replace("_", "-"): count for name, count in gpus.items()}
    found = activity(samples, {("research", name): Held(name, count) for name, count in names.items()})
    return dict(found.by_pod)


def holders(agent: AgentProcess, metric: str = UTIL, **labels: str) -> list[str]:
    return sorted(each.labels.get("pod", "") for each in agent.of(metric, **labels))


def test_a_whole_gpu_has_the_names_labels_and_units_of_dcgm_exporter(node: Any, start: Start) -> None:
    node.gpus.show(gpu(minor=3))
    node.kubelet.show(Pod("bert-0", [uuid("GPU", 0)]))
    found = {each.metric: each for each in start().scrape() if each.metric.startswith("DCGM_FI_")}
    assert {name: round(each.value, 2) for name, each in found.items()} == {
        "DCGM_FI_DEV_GPU_UTIL": 40,
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE": 0.4,
        "DCGM_FI_PROF_SM_ACTIVE": 0.35,
        "DCGM_FI_PROF_SM_OCCUPANCY": 0.2,
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": 0.25,
        "DCGM_FI_PROF_DRAM_ACTIVE": 0.15,
        "DCGM_FI_DEV_FB_USED": 20000,
        "DCGM_FI_DEV_FB_FREE": 81559 - 20000 - 500,
        "DCGM_FI_DEV_FB_RESERVED": 500,
        "DCGM_FI_DEV_POWER_USAGE": 350.5,
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": 123_456_789,
        "DCGM_FI_DEV_XID_ERRORS": 0,
    }
    assert found[UTIL].labels == {
        "gpu": "0",
        "UUID": uuid("GPU", 0),
        "pci_bus_id": "00000000:07:00.0",
        "device": "nvidia3",
        "modelName": "NVIDIA H100 80GB HBM3",
        "Hostname": "node-1",
        "DCGM_FI_DRIVER_VERSION": "570.86.15",
        "namespace": "research",
        "pod": "bert-0",
        "container": "train",
    }


def test_utilisation_is_the_mean_of_the_period_and_not_of_a_moment(node: Any, start: Start) -> None:
    node.gpus.show(t4(util="0,100"))
    agent = start("--period", "1")
    assert agent.value(UTIL) == pytest.approx(50, abs=11)  # one of at most ten samples more or less


def test_a_gpu_before_hopper_has_utilisation_and_no_engine_time(node: Any, start: Start) -> None:
    node.gpus.show(t4())
    node.kubelet.show(Pod("old", [uuid("GPU", 0)]))
    agent = start()
    assert agent.value(UTIL) == 40
    assert not [each for each in agent.scrape() if each.metric.startswith("DCGM_FI_PROF_")]
    assert activity_of(agent, old=1) == {"old": pytest.approx(0.4)}


def test_all_gpus_of_one_pod_are_its_own_and_make_its_activity(node: Any, start: Start) -> None:
    node.gpus.show(*(gpu(index, **{"gpm.1": 100 if index < 3 else 60}) for index in range(4)))
    node.kubelet.show(Pod("wide", [uuid("GPU", index) for index in range(4)]))
    agent = start()
    assert holders(agent) == ["wide"] * 4
    assert activity_of(agent, wide=4) == {"wide": pytest.approx(0.9)}


def test_gpus_that_do_nothing_are_idle_and_not_unknown(node: Any, start: Start) -> None:
    nothing = {"util": 0, "power": 30_000, **{f"gpm.{number}": 0 for number in (1, 2, 3, 5, 10)}}
    older = {key: value for key, value in nothing.items() if not key.startswith("gpm")}
    node.gpus.show(gpu(**nothing), t4(1, **{**older, "power": 10_000}))
    node.kubelet.show(Pod("new", [uuid("GPU", 0)]), Pod("old", [uuid("GPU", 1)]))
    assert activity_of(start(), new=1, old=1) == {"new": 0.0, "old": 0.0}


def test_mig_on_hopper_has_the_activity_of_each_instance(node: Any, start: Start) -> None:
    small = mig(0, 0, 7, **{"gpm.1": 90, "gpm.2": 80})
    large = mig(0, 1, 2, profile=9, slices=3, memory=40448, start=4, **{"gpm.1": 10})
    node.gpus.show(gpu(mig=1, **PROFILES), small, large)
    node.kubelet.show(
        Pod("small", [uuid("MIG", 0)], resource="nvidia.com/mig-1g.10gb"),
        Pod("large", [uuid("MIG", 1)], resource="nvidia.com/mig-3g.40gb"),
    )
    agent = start()
    found = {each.labels["pod"]: each for each in agent.of(ENGINE)}
    assert {pod: round(each.value, 3) for pod, each in found.items()} == {"small": 0.9, "large": 0.1}
    assert (found["small"].labels["GPU_I_PROFILE"], found["small"].labels["GPU_I_ID"]) == ("1g.10gb", "7")
    assert (found["large"].labels["GPU_I_PROFILE"], found["large"].labels["GPU_I_ID"]) == ("3g.40gb", "2")
    assert {each.labels["UUID"] for each in found.values()} == {uuid("GPU", 0)}
    assert agent.value("DCGM_FI_DEV_FB_USED", pod="small") == 1024
    assert activity_of(agent, small=1, large=1) == {"small": pytest.approx(0.9), "large": pytest.approx(0.1)}
    # The GPU itself has what its instances have not: electricity, and nothing that would count twice.
    assert agent.value("DCGM_FI_DEV_POWER_USAGE") == 350.5
    assert agent.of(UTIL) == []


def test_mig_on_ampere_has_memory_and_no_activity(node: Any, start: Start) -> None:
    ampere = {"name": "NVIDIA A100-SXM4-40GB", "total": 40536, "mig": 1}
    node.gpus.show(t4(**ampere), mig(0, 0, 3, memory=9856, slices=2))
    node.kubelet.show(Pod("part", [uuid("MIG", 0)], resource="nvidia.com/mig-2g.10gb"))
    agent = start()
    assert agent.of("DCGM_FI_DEV_FB_USED", pod="part", GPU_I_PROFILE="2g.10gb", GPU_I_ID="3")
    assert agent.of(UTIL) == agent.of(ENGINE) == []
    assert activity_of(agent, part=1) == {"part": Unknown("no signal that tells of time")}


def test_compute_instances_share_the_counters_of_their_gpu_instance(node: Any, start: Start) -> None:
    parts = [mig(0, slot, 2, ci=slot, profile=9, slices=3, **{"gpm.1": 50}) for slot in range(2)]
    node.gpus.show(gpu(mig=1, **PROFILES), *parts)
    node.kubelet.show(Pod("first", [uuid("MIG", 0)]), Pod("second", [uuid("MIG", 1)]))
    assert holders(start(), ENGINE, GPU_I_ID="2", GPU_I_PROFILE="3g.40gb") == ["first", "second"]


def test_pods_that_share_a_gpu_have_a_series_each_with_the_gpus_value(node: Any, start: Start) -> None:
    node.gpus.show(gpu())
    name = uuid("GPU", 0)
    node.kubelet.show(Pod("one", [f"{name}::0", f"{name}::3"]), Pod("two", [f"{name}::1"]))
    agent = start()
    assert holders(agent) == ["one", "two"]
    assert {each.value for each in agent.of(UTIL)} == {40}
    assert activity_of(agent, one=1, two=1) == {"one": pytest.approx(0.4), "two": pytest.approx(0.4)}


def test_a_device_of_a_claim_has_the_claims_labels(node: Any, start: Start) -> None:
    node.gpus.show(gpu(), gpu(1, mig=1, **PROFILES), mig(1, 0, 5, start=4, **{"gpm.1": 60}))
    claims = [Claim("whole", "gpu-0"), Claim("part", "gpu-1-mig-1g10gb-19-4")]
    node.kubelet.show(*(Pod(claim.name, claims=[claim]) for claim in claims))
    agent = start()
    (whole,) = agent.of(UTIL)
    assert whole.labels["pod"] == "whole"
    assert {name: value for name, value in whole.labels.items() if name.startswith("dra_")} == {
        "dra_claim_name": "whole",
        "dra_claim_namespace": "research",
        "dra_driver_name": "gpu.nvidia.com",
        "dra_pool_name": "node-1",
        "dra_device_name": "gpu-0",
    }
    assert holders(agent, ENGINE, dra_device_name="gpu-1-mig-1g10gb-19-4", GPU_I_ID="5") == ["part"]


def test_the_uid_of_a_pod_comes_from_its_log_folder(node: Any, start: Start) -> None:
    logs = node.folder / "pods"
    for name in ("research_bert-0_7d3e", "research_twice_1", "research_twice_2", "kube-system_proxy_9"):
        (logs / name).mkdir(parents=True)
    node.gpus.show(gpu(), gpu(1))
    node.kubelet.show(Pod("bert-0", [uuid("GPU", 0)]), Pod("twice", [uuid("GPU", 1)]))
    agent = start("--pod-logs", str(logs))
    assert agent.of(UTIL, pod="bert-0")[0].labels["pod_uid"] == "7d3e"
    assert "pod_uid" not in agent.of(UTIL, pod="twice")[0].labels


def test_the_layout_of_mig_may_change_under_a_running_agent(node: Any, start: Start, eventually: Eventually) -> None:
    node.gpus.show(gpu(mig=1, **PROFILES), mig(0, 0, 7, **{"gpm.1": 50}))
    agent = start()
    node.gpus.show(gpu(mig=0))
    eventually(lambda: agent.value(UTIL) == 40, 10, "utilisation of the whole GPU")
    assert not [each for each in agent.scrape() if "GPU_I_ID" in each.labels]
    node.gpus.show(gpu(mig=1, **PROFILES), mig(0, 0, 7, profile=20, **{"gpm.1": 70}))
    eventually(lambda: agent.of(ENGINE, GPU_I_ID="7", GPU_I_PROFILE="1g.10gb+me"), 10, "the new instance")
    assert agent.of(UTIL) == []
    # Under the number of an instance that is gone, it is not compared with that one's counters.
    assert agent.of("gpucost_agent_values_dropped_total") == []
