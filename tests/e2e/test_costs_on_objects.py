"""Costs where people look: status, annotations, metrics, and `kubectl cost` under the caller's own rights."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from local import wait_for
from support.operator_world import Team, figures, micro

if TYPE_CHECKING:
    from support.live import Live

pytestmark = pytest.mark.cluster

COST_FIELDS = {"currency", "total", "hourly", "spot", "onDemand", "wasted", "saved", "gpuHours", "asOf", "coverage"}
NOTES = {"cost-total", "cost-hourly", "cost-wasted", "currency", "gpu-hours", "confidence", "as-of"}
FAMILIES = {
    "gpucost_cost_total",
    "gpucost_gpu_seconds_total",
    "gpucost_gpu_price_per_hour",
    "gpucost_conservation_difference",
    "gpucost_data_age_seconds",
    "gpucost_actions_total",
    "gpucost_saved",
    "gpucost_api_writes_total",
}


def notes_of(live: Live, path: str) -> dict[str, str]:
    found = live.cluster.api.get(path)["metadata"].get("annotations", {})
    return {k.removeprefix("gpucost.dev/"): v for k, v in found.items() if k.startswith("gpucost.dev/")}


def text_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_status_annotations_and_metrics_show_what_a_run_costs(live: Live, team: Team) -> None:
    node = team.add_node("spot")
    team.train(template=team.template(gpus=4), placement={"policy": "Spot"})
    team.until_runs_on(node)

    cost = wait_for(
        lambda: (c := team.status().get("cost", {})).get("hourly") == "10.05" and c, 30, "half a node's price"
    )

    assert cost.keys() == COST_FIELDS
    assert (cost["currency"], cost["coverage"], cost["onDemand"]) == ("USD", "1.0000", "0.000000")
    assert cost["spot"] == cost["total"]
    namespace = f"/api/v1/namespaces/{team.namespace}"
    shown = wait_for(lambda: (n := notes_of(live, namespace)).keys() >= NOTES and n, 30, "the namespace shows its cost")
    assert "cost-month-to-date" in shown
    assert micro(shown["cost-hourly"].ljust(9, "0")[:9]) == 10_050_000
    shown = wait_for(lambda: (n := team.notes()).keys() >= NOTES and n, 30, "the Job shows its cost")
    assert shown["currency"] == "USD"
    template = team.job()["spec"]["template"]["metadata"].get("annotations", {})
    assert not [key for key in template if key.startswith("gpucost.dev/cost")]
    assert not notes_of(live, f"/api/v1/nodes/{node}").keys() - {"hourly-price"}

    text = wait_for(lambda: f'namespace="{team.namespace}"' in (t := text_of(f"{live.metrics_url}/metrics")) and t, 20)
    assert _families(text) >= FAMILIES
    series = [key for key in figures(text, "gpucost_cost_total") if f'namespace="{team.namespace}"' in key]
    assert series
    assert all('workload_kind="TrainingJob"' in key and 'capacity_type="spot"' in key for key in series)
    prices = {k: v for k, v in figures(text, "gpucost_gpu_price_per_hour").items() if f'node="{node}"' in k}
    assert list(prices.values()) == [20.10 / 8]
    assert list(figures(text, "gpucost_conservation_difference").values()) == [0.0]


def _families(text: str) -> set[str]:
    """Names of the metrics, and of the families that have no series yet."""
    declared = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    return declared | {line.split("{")[0].split()[0] for line in text.splitlines() if not line.startswith("#")}


# --- kubectl cost -----------------------------------------------------------------------------------------------------


def member(team: Team, live: Live) -> Path:
    """A kubeconfig of somebody who may view this one namespace."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "member", "namespace": team.namespace},
    }
    rbac = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "member", "namespace": team.namespace},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "member", "namespace": team.namespace}],
    }
    live.cluster.apply([account, binding])
    path = live.cluster.service_account_kubeconfig(team.namespace, "member")
    assert yaml.safe_load(path.read_text())["users"]
    return path


def kubectl_cost(live: Live, config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The plugin as kubectl runs it."""
    env = live.cluster.env()
    env |= {"KUBECONFIG": str(config), "PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "NO_COLOR": "1"}
    command = ["kubectl", "cost", *arguments]
    return subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


def document(live: Live, config: Path, *arguments: str) -> dict[str, Any]:
    done = kubectl_cost(live, config, *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_member_of_one_team_sees_its_costs_through_the_api_server_and_no_others(live: Live, team: Team) -> None:
    node = team.add_node()
    team.train()
    team.until_runs_on(node)
    config = member(team, live)

    def ready() -> bool:
        done = kubectl_cost(live, config, "workload", "-n", team.namespace, "-o", "json")
        return done.returncode == 0 and json.loads(done.stdout)["source"] == "cost API" and "TrainingJob" in done.stdout

    wait_for(ready, 40, "the aggregated API answers the member", interval=0.5)
    found = document(live, config, "workload", "-n", team.namespace)
    assert [row["workload"] for row in found["rows"]] == ["TrainingJob/bert"]
    explained = document(live, config, "explain", "tj/bert", "-n", team.namespace)
    assert sum(micro(line["cost"]) for line in explained["lines"]) == micro(explained["cost"])
    assert {line["node"] for line in explained["lines"]} == {node}
    assert {line["shareOf"] for line in explained["lines"]} == {"4 of 8 GPUs"}
    by_namespace = document(live, config, "namespace", team.namespace)
    assert [row["key"] for row in by_namespace["rows"]] == [team.namespace]
    refused = kubectl_cost(live, config, "workload", "-n", "kube-system")
    assert refused.returncode == 2 or "kube-system" not in refused.stdout
    table = kubectl_cost(live, live.cluster.kubeconfig)
    assert table.returncode == 0, table.stderr
    assert team.namespace in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 80
    assert "trainingjob.bert" in live.cluster.kubectl("get", "allocations", "-n", team.namespace)
