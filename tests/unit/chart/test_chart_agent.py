"""What the chart renders for the node agent, by the real helm."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

import pytest
import yaml

from gpucost.cli.agent import agent as agent_command
from gpucost.runtime.settings import DEFAULT_EXPORTERS
from local.programs import program

CHART = Path(__file__).parents[3] / "charts" / "gpucost"
NAME = "DaemonSet/cost-gpucost-agent"


def template(*settings: str) -> CompletedProcess[str]:
    flags = [word for setting in settings for word in ("--set", setting)]
    command = [str(program("helm")), "template", "cost", str(CHART), "--namespace", "gpucost-system", *flags]
    return run(command, capture_output=True, text=True, check=False, timeout=60)


def rendered(*settings: str) -> dict[str, dict[str, Any]]:
    """Every object by `Kind/name`, with the agent."""
    done = template("agent.enabled=true", *settings)
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in objects}


def pod(*settings: str) -> dict[str, Any]:
    spec: dict[str, Any] = rendered(*settings)[NAME]["spec"]["template"]["spec"]
    return spec


def container(*settings: str) -> dict[str, Any]:
    found: dict[str, Any] = pod(*settings)["containers"][0]
    return found


def test_there_is_no_agent_unless_one_is_asked_for() -> None:
    done = template()
    assert done.returncode == 0, done.stderr
    assert "DaemonSet" not in done.stdout


def test_every_variable_and_flag_is_one_that_the_agent_reads() -> None:
    made = container("agent.podUid=true", "agent.periodSeconds=5", "agent.port=9500", "agent.logFormat=json")
    environment = {each["name"]: each.get("value") for each in made["env"] if each["name"].startswith("GPUCOST_")}
    known = {parameter.envvar for parameter in agent_command.params}
    assert set(environment) <= known
    flags = made["args"][1:]
    given = {name: value or "node-1" for name, value in environment.items()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        read = agent_command.make_context("agent", flags).params
    assert (read["wait"], read["period"], read["listen"]) == (True, 5.0, ("0.0.0.0", 9500))
    assert (read["pod_logs"], read["log_format"], read["node_name"]) == ("/var/log/pods", "json", "node-1")
    assert made["ports"][0]["containerPort"] == 9500


def test_it_may_read_one_folder_of_the_node_and_do_nothing_else() -> None:
    spec = pod()
    made = spec["containers"][0]
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert made["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    path = "/var/lib/kubelet/pod-resources"
    assert spec["volumes"] == [{"name": "pod-resources", "hostPath": {"path": path, "type": "Directory"}}]
    assert made["volumeMounts"] == [{"name": "pod-resources", "mountPath": path, "readOnly": True}]
    assert set(made["resources"]) == {"requests", "limits"}


def test_it_runs_where_gpus_are() -> None:
    spec = pod("agent.runtimeClassName=nvidia")
    assert spec["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert spec["runtimeClassName"] == "nvidia"
    assert "runtimeClassName" not in pod()


def test_where_the_driver_lies_in_a_folder_it_can_be_mounted() -> None:
    spec = pod(
        "agent.extraVolumes[0].name=driver",
        "agent.extraVolumes[0].hostPath.path=/home/kubernetes/bin/nvidia",
        "agent.extraVolumeMounts[0].name=driver",
        "agent.extraVolumeMounts[0].mountPath=/usr/local/nvidia",
        "agent.extraEnv[0].name=LD_LIBRARY_PATH",
        "agent.extraEnv[0].value=/usr/local/nvidia/lib64",
    )
    assert spec["volumes"][-1]["hostPath"] == {"path": "/home/kubernetes/bin/nvidia"}
    assert spec["containers"][0]["volumeMounts"][-1]["mountPath"] == "/usr/local/nvidia"
    assert spec["containers"][0]["env"][-1]["name"] == "LD_LIBRARY_PATH"


def test_prometheus_finds_it_by_annotations_or_by_a_pod_monitor() -> None:
    annotations = rendered()[NAME]["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9400",
        "prometheus.io/path": "/metrics",
    }
    objects = rendered(
        "agent.scrapeAnnotations=false", "agent.podMonitor.enabled=true", "agent.podMonitor.interval=15s"
    )
    made = objects[NAME]["spec"]["template"]["metadata"]
    assert "annotations" not in made
    monitor = objects["PodMonitor/cost-gpucost-agent"]["spec"]
    assert monitor["podMetricsEndpoints"] == [{"port": "metrics", "honorLabels": True, "interval": "15s"}]
    assert monitor["selector"]["matchLabels"].items() <= made["labels"].items()


@pytest.mark.parametrize("settings", [(), ("nameOverride=other",)])
def test_the_operator_finds_the_agents_where_there_is_no_prometheus(settings: tuple[str, ...]) -> None:
    found = [each for name, each in rendered(*settings).items() if name.startswith("DaemonSet/")]
    labels = found[0]["spec"]["template"]["metadata"]["labels"]
    selectors = [dict([each.split("=")]) for each in DEFAULT_EXPORTERS.split(";")]
    assert any(selector.items() <= labels.items() for selector in selectors)


def test_the_operators_service_does_not_find_the_agents() -> None:
    objects = rendered()
    labels = objects[NAME]["spec"]["template"]["metadata"]["labels"]
    assert not objects["Service/cost-gpucost"]["spec"]["selector"].items() <= labels.items()
    assert objects[NAME]["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("agent.periodSeconds=0", "/agent/periodSeconds"),
        ("agent.port=0", "/agent/port"),
        ("agent.podResourcesPath=kubelet", "/agent/podResourcesPath"),
        ("agent.period=10", "'period' not allowed"),
        ("agent.podMonitor.interval=often", "/agent/podMonitor/interval"),
    ],
)
def test_a_wrong_value_is_refused_by_name(setting: str, words: str) -> None:
    done = template(setting)
    assert done.returncode != 0
    assert words in done.stderr
