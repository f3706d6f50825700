"""Utilisation as Prometheus has it: what is measured splits the cost, what is not known is never taken for idle."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local import OperatorProcess, wait_for
from support.operator_world import Team, costs, figures, last_hour, micro, team_in

if TYPE_CHECKING:
    from local import LocalCluster
    from support.live import Live

pytestmark = pytest.mark.cluster

HALF = {"utilization": "0.50"}


def row(live: Live, team: Team, name: str) -> dict[str, Any]:
    """What the cost API says of one workload."""
    found = costs(live.api_url, team.namespace, "workload", last_hour()[1])["items"]
    wanted = f"TrainingJob/{name}"
    return next((item for item in found if item["workload"] == wanted), {"gpuHoursMeasured": "0.000000"})


def measured(live: Live, team: Team, name: str) -> dict[str, Any]:
    """The row, once something of it was measured."""
    found = row(live, team, name)
    assert micro(found["gpuHoursMeasured"]) > 0, found
    return found


def test_a_known_utilisation_splits_the_cost_into_active_and_held(live: Live, team: Team) -> None:
    team.add_node(gpus=8)
    team.train("half", template=team.template(gpus=4, **HALF))
    team.train("renamed", template=team.template(gpus=2, utilization="0.25", fault="renamed"))
    team.train("lost", template=team.template(gpus=2, utilization="0.90", fault="engine-zero"))

    for name, share in (("half", 0.5), ("renamed", 0.25), ("lost", 0.9)):
        found = wait_for(lambda name=name: measured(live, team, name), 45, f"{name} is measured")
        assert found["gpuUtilization"] == pytest.approx(share, abs=0.006)
        active, held = micro(found["active"]), micro(found["held"])
        assert active / (active + held) == pytest.approx(share, abs=0.006)
        parts = active + held + micro(found["unknownActivity"]) + micro(found["nonGpu"])
        assert parts == micro(found["cost"])
        assert micro(found["gpuHoursActive"]) <= micro(found["gpuHoursMeasured"]) <= micro(found["gpuHours"])


def test_nothing_is_concluded_from_measurements_that_are_missing_or_absurd(live: Live, team: Team) -> None:
    team.add_node("on-demand", gpus=64)
    faults = {"nan": "nan", "part": "missing:5", "gone": "missing", "minus": "negative", "huge": "overflow"}
    for name, fault in faults.items():
        team.train(name, template=team.template(gpus=8, utilization="0.00", fault=fault))
    team.train("known", template=team.template(gpus=8, **HALF))
    for name in (*faults, "known"):
        team.until("Ready", "Running", name)

    wait_for(lambda: measured(live, team, "known"), 45, "a sound one beside them is measured")

    for name in faults:
        found = row(live, team, name)
        assert micro(found["gpuHoursMeasured"]) == 0, name
        assert found["gpuUtilization"] is None
        assert found["unknownActivity"] == found["cost"]
        assert micro(found["cost"]) > 0
        assert micro(found["held"]) == 0
        assert team.condition("Ready", name)["reason"] == "Running"
        assert not team.job(name)["spec"]["suspend"]


def test_without_prometheus_costs_go_on_and_activity_is_unknown(
    cluster: LocalCluster, operator_factory: Callable[..., OperatorProcess]
) -> None:
    nobody = f"http://127.0.0.1:{cluster.port()}"
    with team_in(cluster) as team:
        settings = {"GPUCOST_PROMETHEUS_URL": nobody, "GPUCOST_TICK_SECONDS": "0.5", "GPUCOST_IDENTITY": "operator"}
        operator = operator_factory(cluster, settings, name=f"blind-{team.mark}")
        node = team.add_node()
        operator.start()
        team.train(template=team.template(gpus=4, **HALF))
        team.until_runs_on(node)

        wait_for(
            lambda: figures(operator.metrics(), "gpucost_errors_total").get("prometheus", 0) >= 2, 30, "asked twice"
        )
        begun = datetime.now(UTC)
        wait_for(lambda: datetime.now(UTC) > begun + timedelta(seconds=1), 5, "a second passes")

        found = costs(operator.api_url, team.namespace, "workload", last_hour()[1])
        [item] = found["items"]
        assert micro(item["cost"]) > 0
        assert item["unknownActivity"] == item["cost"]
        assert item["gpuUtilization"] is None
        assert found["quality"]["gpusMeasured"] == 0
        assert found["difference"] == "0.000000"
        team.until_runs_on(node)


def exporter_pod(team: Team, node: str, port: int) -> None:
    """A pod that looks like dcgm-exporter's and listens on loopback, which is where the simulated exporter is."""
    name = f"dcgm-exporter-{node}"
    container = {
        "name": "exporter",
        "image": "example.com/dcgm:1",
        "ports": [{"name": "metrics", "containerPort": port}],
    }
    body = {
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/name": "dcgm-exporter", "app": "nvidia-dcgm-exporter"},
        },
        "spec": {"nodeName": node, "containers": [container]},
    }
    team.cluster.api.create(team.path("pods"), {"apiVersion": "v1", "kind": "Pod", **body})

    def runs() -> bool:
        return bool((team.find("pods", name) or {}).get("status", {}).get("phase") == "Running")

    wait_for(runs, 30, f"{name} runs")
    address = {"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}}
    team.cluster.api.merge(team.path("pods", name) + "/status", address)


def test_without_prometheus_exporters_are_found_and_asked_and_one_that_is_down_leaves_its_node_unknown(
    cluster: LocalCluster, operator_factory: Callable[..., OperatorProcess]
) -> None:
    simulated = json.loads((cluster.folder.path / "targets" / "dcgm-exporter.json").read_text())[0]["targets"][0]
    with team_in(cluster) as team:
        measured_node, silent_node = team.add_node(name="measured"), team.add_node(name="silent")
        for name, node in (("half", measured_node), ("dark", silent_node)):
            template = team.template(gpus=4, **HALF)
            template["spec"]["nodeSelector"]["kubernetes.io/hostname"] = node
            team.train(name, template=template)
        exporter_pod(team, measured_node, int(simulated.rpartition(":")[2]))
        exporter_pod(team, silent_node, cluster.port())
        settings = {
            "GPUCOST_PROMETHEUS_URL": "",
            "GPUCOST_SCRAPE_NAMESPACES": team.namespace,
            "GPUCOST_TICK_SECONDS": "0.5",
            "GPUCOST_IDENTITY": "operator",
        }
        operator = operator_factory(cluster, settings, name=f"asks-{team.mark}").start()
        for name, node in (("half", measured_node), ("dark", silent_node)):
            team.until_runs_on(node, name)

        def shown(name: str) -> dict[str, Any]:
            items = costs(operator.api_url, team.namespace, "workload", last_hour()[1])["items"]
            return next(item for item in items if item["workload"] == f"TrainingJob/{name}")

        def known() -> dict[str, Any]:
            found = shown("half")
            return found if micro(found["gpuHoursMeasured"]) > 0 else {}

        found = wait_for(known, 30, "the exporter was asked")
        assert found["gpuUtilization"] == pytest.approx(0.5, abs=0.006)
        assert micro(found["active"]) > 0
        dark = shown("dark")
        assert dark["gpuUtilization"] is None
        assert dark["unknownActivity"] == dark["cost"]
        assert figures(operator.metrics(), "gpucost_exporters") == {"up": 1, "down": 1, "left out": 0}
        assert operator.log().count("its GPUs are unknown") == 1
