"""What goes wrong on a node takes away what it concerns, is counted and named, and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from gpucost.cli.agent import agent as agent_command
from support.agent_process import COMMAND, AgentProcess, parse
from support.kubelet import Pod
from support.nvml import gpu, mig, uuid

Start = Callable[..., AgentProcess]
Eventually = Callable[..., Any]

UTIL = "DCGM_FI_DEV_GPU_UTIL"
ENGINE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
POWER = "DCGM_FI_DEV_POWER_USAGE"
ERRORS = "gpucost_agent_nvml_errors_total"
LOST = 15
NOT_SUPPORTED = 3


def run(node: Any, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**node.environment(), **environment}
    return subprocess.run([*COMMAND, *flags], env=env, capture_output=True, text=True, timeout=30, check=False)


def test_a_lost_gpu_is_left_out_and_its_neighbours_go_on(node: Any, start: Start, eventually: Eventually) -> None:
    node.gpus.show(gpu(), gpu(1))
    agent = start()
    node.gpus.show(gpu(), gpu(1, **{"error.*": LOST}))
    eventually(lambda: not agent.of(UTIL, gpu="1"), 10, "the lost GPU to go")
    assert agent.value(UTIL, gpu="0") == 40
    assert agent.value("gpucost_agent_gpus") == 1
    assert (agent.value(ERRORS, gpu="1", error="GPU_IS_LOST") or 0) >= 1
    assert agent.log().count("GPU_IS_LOST") == 1
    node.gpus.show(gpu(), gpu(1))
    eventually(lambda: agent.value(UTIL, gpu="1") == 40, 10, "the GPU to come back")


def test_a_call_that_fails_costs_only_its_own_series(node: Any, start: Start) -> None:
    node.gpus.show(gpu(**{"error.nvmlDeviceGetPowerUsage": NOT_SUPPORTED, "energy": None}))
    agent = start()
    assert agent.of(POWER) == agent.of("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION") == []
    assert agent.value(UTIL) == 40
    # Asked once: what a GPU cannot do it cannot do ten seconds later.
    assert agent.value(ERRORS, call="nvmlDeviceGetPowerUsage", error="NOT_SUPPORTED") == 1


def test_without_samples_the_momentary_utilisation_is_better_than_none(node: Any, start: Start) -> None:
    node.gpus.show(gpu(**{"error.nvmlDeviceGetSamples": NOT_SUPPORTED}))
    assert start().value(UTIL) == 40


def test_profiles_have_their_names_without_the_right_to_look_at_instances(node: Any, start: Start) -> None:
    denied = {"error.nvmlDeviceGetGpuInstanceById": 4}
    node.gpus.show(gpu(mig=1, **denied), mig(0, 0, 7, **{"gpm.1": 50}))
    agent = start()
    assert agent.of(ENGINE, GPU_I_PROFILE="1g.10gb")
    assert agent.value(ERRORS, error="NO_PERMISSION") == 1


def test_absurd_values_are_dropped_counted_and_named(node: Any, start: Start) -> None:
    absurd = {"util": 4294967295, "power": 4294967295, "gpm.1": "nan", "gpm.2": 250, "gpm.5": -3, "gpm.10": 100.4}
    node.gpus.show(gpu(**absurd))
    agent = start()
    found = {each.metric for each in agent.scrape()}
    assert not found & {UTIL, POWER, ENGINE, "DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"}
    assert agent.value("DCGM_FI_PROF_DRAM_ACTIVE") == 1.0  # counters read at two instants
    dropped = {
        (each.labels["metric"], each.labels["reason"]) for each in agent.of("gpucost_agent_values_dropped_total")
    }
    assert dropped == {
        (UTIL, "out of range"),
        (POWER, "out of range"),
        (ENGINE, "not a number"),
        ("DCGM_FI_PROF_SM_ACTIVE", "out of range"),
        ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "negative"),
    }


def test_an_xid_is_shown_until_the_next_one(node: Any, start: Start, eventually: Eventually) -> None:
    node.gpus.show(gpu(), gpu(1))
    agent = start()
    node.gpus.show(gpu(), gpu(1, xid=79))
    eventually(lambda: agent.value("DCGM_FI_DEV_XID_ERRORS", gpu="1") == 79, 10, "the XID")
    assert agent.value("DCGM_FI_DEV_XID_ERRORS", gpu="0") == 0


def test_a_kubelet_that_restarts_takes_the_pods_away_for_so_long(
    node: Any, start: Start, eventually: Eventually
) -> None:
    node.gpus.show(gpu())
    node.kubelet.show(Pod("bert-0", [uuid("GPU", 0)]))
    agent = start()
    assert agent.value(UTIL, pod="bert-0") == 40
    assert agent.value("gpucost_agent_kubelet_up") == 1
    node.kubelet.stop()
    eventually(lambda: agent.value("gpucost_agent_kubelet_up") == 0, 10, "the kubelet to be missed")
    (series,) = agent.of(UTIL)
    assert (series.value, "pod" in series.labels) == (40, False)
    errors = agent.value("gpucost_agent_kubelet_errors_total", error="NO_SOCKET") or 0
    eventually(lambda: (agent.value("gpucost_agent_kubelet_errors_total", error="NO_SOCKET") or 0) > errors, 10)
    node.kubelet.start()
    eventually(lambda: agent.value(UTIL, pod="bert-0") == 40, 10, "the pod to come back")
    assert agent.log().count("does not tell who holds GPUs") == 1


def test_a_kubelet_that_refuses_is_named(node: Any, start: Start) -> None:
    node.gpus.show(gpu())
    node.kubelet.error = grpc.StatusCode.RESOURCE_EXHAUSTED
    agent = start()
    assert agent.value(UTIL) == 40
    assert (agent.value("gpucost_agent_kubelet_errors_total", error="RESOURCE_EXHAUSTED") or 0) >= 1


def test_devices_that_nvml_does_not_know_are_counted_and_not_guessed(node: Any, start: Start) -> None:
    node.gpus.show(gpu())
    node.kubelet.show(Pod("ghost", [uuid("GPU", 99)]), Pod("other", ["0000:3b:00.0"], resource="example.com/nic"))
    agent = start()
    assert "pod" not in agent.of(UTIL)[0].labels
    unmatched = agent.of("gpucost_agent_devices_unmatched")
    assert [(each.labels["resource"], each.value) for each in unmatched] == [("nvidia.com/gpu", 1)]


def test_without_a_driver_it_ends_with_2_and_one_line(node: Any) -> None:
    done = run(node, LD_LIBRARY_PATH="")
    assert done.returncode == 2
    assert done.stderr.startswith("gpucost agent: no NVIDIA driver: libnvidia-ml.so.1 is not to be found")
    assert done.stderr.count("\n") == 1


def test_a_driver_that_is_not_loaded_is_waited_for(node: Any, start: Start, eventually: Eventually) -> None:
    node.gpus.show(init=9)
    assert run(node, "--once").stderr.startswith("gpucost agent: no NVIDIA driver: the kernel module nvidia")
    agent = start("--wait", ready=False)
    eventually(lambda: agent.get("/readyz")[0] == 503, 20, "an answer")
    assert agent.get("/healthz")[0] == 200
    assert agent.value("gpucost_agent_nvml_up") == 0
    node.gpus.show(gpu())
    eventually(lambda: agent.value(UTIL) == 40, 20, "the driver to be found")
    assert agent.value("gpucost_agent_nvml_up") == 1
    assert agent.log().count("waiting for it") == 1
    assert agent.stop() == 0


def test_a_driver_that_goes_takes_every_series_with_it(node: Any, start: Start, eventually: Eventually) -> None:
    node.gpus.show(gpu())
    agent = start("--wait")
    node.gpus.show(gpu(), count=9)
    eventually(lambda: agent.value("gpucost_agent_nvml_up") == 0, 10, "the driver to be missed")
    assert agent.of(UTIL) == []
    assert agent.get("/readyz")[0] == 503
    node.gpus.show(gpu())
    eventually(lambda: agent.value(UTIL) == 40, 20, "the driver to come back")


def test_after_an_update_of_the_driver_a_new_process_is_asked_for(
    node: Any, start: Start, eventually: Eventually
) -> None:
    node.gpus.show(gpu())
    agent = start("--wait")
    node.gpus.show(gpu(), count=18)
    eventually(lambda: agent.process.poll() == 2, 10, "the end")
    assert "start the agent anew" in agent.log()


def test_a_call_that_hangs_ends_the_series_and_not_the_answers(node: Any, start: Start, eventually: Eventually) -> None:
    node.gpus.show(gpu())
    agent = start()
    node.gpus.show(gpu(**{"hang.nvmlDeviceGetPowerUsage": 60}))
    eventually(lambda: agent.get("/readyz") == (503, "the last reading is too old\n"), 10, "the reading to grow old")
    assert agent.of(UTIL) == []
    assert agent.get("/healthz")[0] == 200  # for a minute: it may still come back
    assert agent.stop() == 0


def test_once_prints_one_complete_reading(node: Any) -> None:
    node.gpus.show(gpu())
    node.kubelet.show(Pod("bert-0", [uuid("GPU", 0)]))
    done = run(node, "--once", GPUCOST_AGENT_KUBELET_SOCKET=str(node.kubelet.socket))
    assert done.returncode == 0, done.stderr
    found = {each.metric: each for each in parse(done.stdout)}
    assert found[ENGINE].value == pytest.approx(0.4)
    assert found[UTIL].labels["pod"] == "bert-0"


def test_an_address_that_is_taken_is_one_clear_line(node: Any, start: Start) -> None:
    node.gpus.show(gpu())
    done = run(node, "--listen", f"127.0.0.1:{start().port}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot listen on 127.0.0.1" in done.stderr


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--listen", "9400", "must be HOST:PORT"),
        ("--period", "0", "between 0.2 and 300 seconds"),
        ("--period", "nan", "between 0.2 and 300 seconds"),
        ("--log-level", "LOUD", "is not one of"),
    ],
)
def test_a_wrong_flag_is_refused_by_name(flag: str, value: str, words: str) -> None:
    done = CliRunner().invoke(agent_command, [flag, value])
    assert done.exit_code == 2
    assert flag in done.stderr
    assert words in done.stderr
