"""The cost API behind a real API server: its RBAC decides, plain kubectl prints the table, the plugin finds it.

The server is ours, in this process; everything between it and kubectl is real. The costs are those of the worked
example, in namespaces that the example names, so these tests have a control plane of their own.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpucost.web.auth import FrontProxy
from gpucost.web.provider import NotReady
from gpucost.web.server import CostServer
from gpucost.web.tls import service_hosts
from local import LocalCluster, wait_for
from unit.web.cost_example import ExampleProvider

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("aggregated-api")]

SYSTEM = "gpucost-system"
BASE = "/apis/cost.gpucost.dev/v1alpha1"
CRDS = Path(__file__).resolve().parents[2] / "crds"
WINDOW = ("--window", "2026-11-01,2026-11-02")


@pytest.fixture(scope="module")
def costs() -> ExampleProvider:
    return ExampleProvider()


@pytest.fixture(scope="module")
def aggregated(costs: ExampleProvider) -> Iterator[LocalCluster]:
    """A cluster in which the cost API is registered and available."""
    with LocalCluster("cost-api") as cluster, serving(cluster, costs) as server:
        cluster.install_crds(CRDS)
        cluster.apply([namespace(name) for name in (SYSTEM, "research", "serving", "quiet")])
        cluster.apply(registration(server))
        wait_for(lambda: "True" in availability(cluster), 30, "the cost API is available")
        wait_for(lambda: "research" in cluster.kubectl("get", "allocations", "-A", check=False), 30, "allocations")
        cluster.apply(team_member("research"))
        yield cluster


class serving:  # noqa: N801
    """A `CostServer` in a thread, trusting the cluster's own front proxy."""

    def __init__(self, cluster: LocalCluster, costs: ExampleProvider) -> None:
        self.config = cluster.api.get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication")
        self.costs = costs
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> CostServer:
        self.thread.start()
        self.server = CostServer(
            self.costs,
            api=("127.0.0.1", 0),
            front_proxy=FrontProxy.from_config_map(self.config["data"]),
            hosts=service_hosts("gpucost", SYSTEM, "localhost"),
            loopback=("127.0.0.1", 0),
        )
        asyncio.run_coroutine_threadsafe(self.server.start(), self.loop).result(10)
        return self.server

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


def namespace(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def registration(server: CostServer) -> list[dict[str, object]]:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "gpucost", "namespace": SYSTEM},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": server.api_port}]},
    }
    api_service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1alpha1.cost.gpucost.dev"},
        "spec": {
            "group": "cost.gpucost.dev",
            "version": "v1alpha1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 15,
            "caBundle": base64.b64encode(server.ca_bundle).decode(),
            "service": {"name": "gpucost", "namespace": SYSTEM, "port": server.api_port},
        },
    }
    return [service, api_service]


def team_member(team: str) -> list[dict[str, object]]:
    """A ServiceAccount that may read costs in its own namespace and nowhere else."""
    rbac = "rbac.authorization.k8s.io"
    rule = {"apiGroups": ["cost.gpucost.dev"], "resources": ["allocations"], "verbs": ["get", "list"]}
    meta = {"name": "reader", "namespace": team}
    subject = {"kind": "ServiceAccount", "name": "member", "namespace": team}
    role = {"apiGroup": rbac, "kind": "Role", "name": "reader"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "member", "namespace": team}},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": [rule]},
        {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": meta, "roleRef": role, "subjects": [subject]},
    ]


def availability(cluster: LocalCluster) -> str:
    found = cluster.api.get("/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.cost.gpucost.dev")
    return str([c for c in found.get("status", {}).get("conditions", ()) if c["type"] == "Available"])


def run(cluster: LocalCluster, *command: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program as a user of the cluster, with the virtual environment's plugins on PATH."""
    env = cluster.env()
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    env["KUBECONFIG"] = str(kubeconfig or cluster.kubeconfig)
    env["COLUMNS"] = "80"
    env.pop("GPUCOST_API_URL", None)
    program = shutil.which(command[0], path=env["PATH"])
    assert program, f"{command[0]} is not on PATH"
    return subprocess.run(
        [program, *command[1:]],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def member(aggregated: LocalCluster) -> Path:
    return aggregated.service_account_kubeconfig("research", "member")


# --- plain kubectl ----------------------------------------------------------------------------------------------------


def test_kubectl_get_allocations_prints_the_table(aggregated: LocalCluster) -> None:
    lines = aggregated.kubectl("get", "allocations", "-n", "research").splitlines()
    assert lines[0].split() == ["NAME", "GPU-HOURS", "UTIL", "COST", "WASTED", "HOURLY"]
    assert lines[1].split() == ["trainingjob.bert", "8.0", "61%", "20.10", "7.84", "0.00"]


def test_kubectl_get_allocations_everywhere_names_the_namespaces(aggregated: LocalCluster) -> None:
    rows = [line.split() for line in aggregated.kubectl("get", "alloc", "-A").splitlines()]
    assert rows[0][0] == "NAMESPACE"
    assert ["serving", "deployment.chat", "10.0", "34%", "9.78", "6.45", "0.98"] in rows
    assert any(row[0] == "(idle)" for row in rows)


def test_kubectl_get_one_allocation_shows_its_arithmetic(aggregated: LocalCluster) -> None:
    text = aggregated.kubectl("get", "allocation", "trainingjob.bert", "-n", "research")
    assert [line.split()[-1] for line in text.splitlines()] == ["COST", "10.050000", "10.050000", "20.100000"]
    document = json.loads(aggregated.kubectl("get", "allocation", "trainingjob.bert", "-n", "research", "-o", "json"))
    assert (document["kind"], document["total"]["cost"]) == ("Explanation", "20.100000")


def test_kubectl_reads_fields_of_the_list(aggregated: LocalCluster) -> None:
    path = "jsonpath={.items[*].cost}"
    assert aggregated.kubectl("get", "allocations", "-n", "research", "-o", path) == "20.100000 15.075000"


def test_kubectl_explains_and_discovers_the_resource(aggregated: LocalCluster) -> None:
    assert "allocations" in aggregated.kubectl("api-resources", "--api-group", "cost.gpucost.dev")
    explained = wait_for(
        lambda: aggregated.kubectl("explain", "allocations.gpuUtilization", check=False), 60, "OpenAPI is aggregated"
    )
    assert "null when none was measured" in " ".join(explained.split())


def test_a_bad_window_is_told_through_the_api_server(aggregated: LocalCluster) -> None:
    done = run(aggregated, "kubectl", "get", "--raw", f"{BASE}/allocations?window=soon")
    assert done.returncode == 1
    assert "parameter window" in done.stderr


# --- who may see what -------------------------------------------------------------------------------------------------


def test_a_team_sees_its_own_namespace(aggregated: LocalCluster, member: Path) -> None:
    done = run(aggregated, "kubectl", "get", "allocations", "-n", "research", kubeconfig=member)
    assert "trainingjob.bert" in done.stdout


@pytest.mark.parametrize("scope", [("-n", "serving"), ("-A",)])
def test_a_team_does_not_see_others(aggregated: LocalCluster, member: Path, scope: tuple[str, ...]) -> None:
    done = run(aggregated, "kubectl", "get", "allocations", *scope, kubeconfig=member)
    assert "Forbidden" in done.stderr
    assert "chat" not in done.stdout


def test_nobody_gets_in_without_the_api_server(aggregated: LocalCluster) -> None:
    """The TLS door itself, with a believable header and no certificate."""
    service = aggregated.api.get("/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.cost.gpucost.dev")
    url = f"https://localhost:{service['spec']['service']['port']}{BASE}/allocations"
    done = run(aggregated, sys.executable, "-c", _KNOCK, url)
    assert done.stdout.strip() == "401"


_KNOCK = """
import ssl, sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"X-Remote-User": "admin", "X-Remote-Group": "system:masters"})
try:
    print(urllib.request.urlopen(request, context=ssl._create_unverified_context()).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


# --- the plugin -------------------------------------------------------------------------------------------------------


def test_kubectl_cost_is_found_as_a_plugin_and_adds_up(aggregated: LocalCluster) -> None:
    done = run(aggregated, "kubectl", "cost", *WINDOW)
    assert done.returncode == 0, done.stderr
    assert "research" in done.stdout
    assert done.stdout.splitlines()[-2].startswith("Prices: PriceBook/team")


def test_kubectl_cost_shows_a_team_its_own_namespace_and_says_so(aggregated: LocalCluster, member: Path) -> None:
    done = run(aggregated, "kubectl", "cost", "namespace", kubeconfig=member)
    assert done.returncode == 0, done.stderr
    assert "Showing namespace research only" in done.stderr
    assert "research" in done.stdout
    assert "serving" not in done.stdout


def test_kubectl_cost_of_a_foreign_namespace_is_refused(aggregated: LocalCluster, member: Path) -> None:
    done = run(aggregated, "kubectl", "cost", "workload", "-n", "serving", kubeconfig=member)
    assert done.returncode == 2
    assert "forbidden" in done.stderr
    assert done.stdout == ""


def test_kubectl_cost_explain_ends_in_the_reported_cost(aggregated: LocalCluster, member: Path) -> None:
    done = run(aggregated, "kubectl", "cost", "explain", "tj/bert", "-o", "json", kubeconfig=member)
    document = json.loads(done.stdout)
    assert document["cost"] == "20.100000"
    assert [line["cost"] for line in document["lines"]] == ["10.050000", "10.050000"]


def test_nodes_are_explained_to_whoever_may_see_the_whole_cluster(aggregated: LocalCluster, member: Path) -> None:
    allowed = run(aggregated, "kubectl", "cost", "explain", "node/gpu-7")
    assert (allowed.returncode, "no node gpu-7 is known" in allowed.stderr) == (2, True), allowed.stderr
    for command in (("explain", "node/gpu-7"), ("idle",), ("node",)):
        refused = run(aggregated, "kubectl", "cost", *command, kubeconfig=member)
        assert (refused.returncode, "forbidden" in refused.stderr) == (2, True), refused.stderr


def test_a_starting_operator_is_replaced_by_the_status_of_jobs(
    aggregated: LocalCluster, costs: ExampleProvider
) -> None:
    template = {"spec": {"containers": [{"name": "train", "image": "example.com/train:1"}]}}
    job = {
        "apiVersion": "gpucost.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "bert", "namespace": "research"},
        "spec": {"template": template},
    }
    status = {"cost": {"currency": "USD", "total": "20.100000", "gpuHours": "8.0", "asOf": "2026-11-01T10:00:00Z"}}
    aggregated.apply(job)
    aggregated.kubectl(
        "patch",
        "tj/bert",
        "-n",
        "research",
        "--subresource=status",
        "--type=merge",
        "-p",
        json.dumps({"status": status}),
    )
    costs.error = NotReady("the first pass is not over")
    try:
        done = run(aggregated, "kubectl", "cost")
    finally:
        costs.error = None
    assert done.returncode == 0, done.stderr
    assert "$20.10" in done.stdout
    assert "the first pass is not over" in " ".join(done.stdout.split())


def test_an_unreachable_cluster_is_one_clear_line(aggregated: LocalCluster, tmp_path: Path) -> None:
    text = aggregated.kubeconfig.read_text()
    port = next(line for line in text.splitlines() if "server:" in line).rpartition(":")[2]
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(text.replace(f":{port}", ":1"))
    done = run(aggregated, "kubectl", "cost", kubeconfig=nowhere)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "connection refused" in done.stderr
