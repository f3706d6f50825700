"""What the operator asks of the API server: no more than the chart grants, and nothing when nothing changes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local import LocalCluster, OperatorProcess, wait_for
from local.objects import run_for
from support.operator_world import GROUP, Team, closed, fetch, figures, open_now, own_writes, team_in

pytestmark = pytest.mark.cluster

ACCOUNT = "system:serviceaccount:gpucost-system:gpucost"
ROLES = "/apis/rbac.authorization.k8s.io/v1"
PRICES = {
    "apiVersion": "gpucost.dev/v1alpha1",
    "kind": "PriceBook",
    "spec": {"prices": [{"instanceType": "some.type", "hourly": "1.00"}]},
}
Grant = tuple[str, str, str]


def requests(cluster: LocalCluster) -> list[dict[str, Any]]:
    """What the operator's account has asked for, as the API server wrote it down; a watch is written at its start."""
    lines = (json.loads(line) for line in cluster.audit_log.read_text().splitlines() if line.endswith("}"))
    answered = {"ResponseStarted", "ResponseComplete"}
    return [e for e in lines if e["user"]["username"] == ACCOUNT and e["stage"] in answered]


def used(entries: list[dict[str, Any]]) -> set[Grant]:
    """API group, resource and verb of each request about a resource."""
    found = set()
    for entry in entries:
        if reference := entry.get("objectRef"):
            sub = f"/{reference['subresource']}" if "subresource" in reference else ""
            if "resource" in reference:
                found.add((reference.get("apiGroup", ""), reference["resource"] + sub, entry["verb"]))
    return found


def granted(cluster: LocalCluster) -> set[Grant]:
    """The same of what the chart's roles allow."""
    roles = [
        cluster.api.get(f"{ROLES}/clusterroles/gpucost-operator"),
        cluster.api.get(f"{ROLES}/namespaces/gpucost-system/roles/gpucost-operator"),
    ]
    rules = [rule for role in roles for rule in role["rules"]]
    return {(g, r, v) for rule in rules for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}


# Granted though a good day does not need it, each with the day that does.
RESERVE = {
    ("", "pods", "list"): "servers without streaming lists",
    ("", "nodes", "list"): "servers without streaming lists",
    ("", "namespaces", "list"): "servers without streaming lists",
    ("", "persistentvolumes", "list"): "servers without streaming lists",
    ("", "persistentvolumeclaims", "list"): "servers without streaming lists",
    ("", "services", "list"): "servers without streaming lists",
    ("resource.k8s.io", "resourceclaims", "list"): "servers without streaming lists",
    ("resource.k8s.io", "resourceslices", "list"): "servers without streaming lists",
    ("batch", "jobs", "list"): "servers without streaming lists",
    ("karpenter.sh", "nodeclaims", "list"): "a cluster with Karpenter",
    ("karpenter.sh", "nodeclaims", "watch"): "a cluster with Karpenter",
    ("jobset.x-k8s.io", "jobsets", "list"): "a cluster with JobSet",
    ("jobset.x-k8s.io", "jobsets", "watch"): "a cluster with JobSet",
    ("jobset.x-k8s.io", "jobsets", "patch"): "a cluster with JobSet",
    ("kueue.x-k8s.io", "workloads", "list"): "a cluster with Kueue",
    ("kueue.x-k8s.io", "workloads", "watch"): "a cluster with Kueue",
    ("kueue.x-k8s.io", "workloads", "patch"): "a cluster with Kueue",
    ("autoscaling", "horizontalpodautoscalers", "list"): "servers without streaming lists",
    ("keda.sh", "scaledobjects", "list"): "a cluster with KEDA",
    ("keda.sh", "scaledobjects", "watch"): "a cluster with KEDA",
    ("http.keda.sh", "interceptorroutes", "get"): "an InferenceEndpoint with scaleToZero",
    ("http.keda.sh", "httpscaledobjects", "get"): "an InferenceEndpoint with scaleToZero",
    ("serving.knative.dev", "services", "get"): "an InferenceEndpoint with scaleToZero",
    ("discovery.k8s.io", "endpointslices", "list"): "an InferenceEndpoint with scaleToZero",
    ("apps", "deployments", "get"): "an InferenceEndpoint of a Deployment: who owns it?",
    ("apps", "statefulsets", "get"): "an InferenceEndpoint of a StatefulSet: who owns it?",
    ("leaderworkerset.x-k8s.io", "leaderworkersets", "get"): "an InferenceEndpoint of a LeaderWorkerSet: who owns it?",
    ("argoproj.io", "rollouts", "get"): "an InferenceEndpoint of a Rollout: who owns it?",
    ("argoproj.io", "rollouts/scale", "get"): "an InferenceEndpoint of a Rollout",
    ("argoproj.io", "rollouts/scale", "patch"): "an InferenceEndpoint of a Rollout",
    ("apps", "deployments/scale", "get"): "an InferenceEndpoint of a Deployment",
    ("apps", "deployments/scale", "patch"): "an InferenceEndpoint of a Deployment",
    ("apps", "statefulsets/scale", "get"): "an InferenceEndpoint of a StatefulSet",
    ("apps", "statefulsets/scale", "patch"): "an InferenceEndpoint of a StatefulSet",
    ("leaderworkerset.x-k8s.io", "leaderworkersets/scale", "get"): "an InferenceEndpoint of a LeaderWorkerSet",
    ("leaderworkerset.x-k8s.io", "leaderworkersets/scale", "patch"): "an InferenceEndpoint of a LeaderWorkerSet",
    ("gpucost.dev", "inferenceendpoints/status", "patch"): "an InferenceEndpoint",
    ("authentication.k8s.io", "tokenreviews", "create"): "a run reports: whose token is it?",
    ("", "configmaps", "get"): "a dataset whose version stands in a ConfigMap",
    ("", "persistentvolumeclaims", "get"): "a dataset whose version stands at a claim",
    ("gpucost.dev", "trainingjobs", "create"): "schedule.runs",
    ("gpucost.dev", "trainingjobs", "delete"): "more runs than their history limit",
    ("gpucost.dev", "trainingjobs", "get"): "a run of that name is there already: whose is it?",
    ("", "pods/log", "get"): "a job with spec.metrics.log",
    ("", "secrets", "create"): "the first start of all",
    ("batch", "jobs", "get"): "a Job of that name is there already: whose is it?",
    ("", "services", "get"): "a Service of that name is there already: whose is it?",
}


def test_every_request_is_granted_and_every_grant_is_used(team: Team, operator: OperatorProcess) -> None:
    dear, cheap = team.add_node("on-demand"), team.add_node("spot")
    team.cluster.api.create(f"{GROUP}/pricebooks", {**PRICES, "metadata": {"name": f"prices-{team.mark}"}})
    begun = datetime.now(UTC)
    operator.start()
    team.train(workers=2, schedule={"windows": [closed()]}, template=team.template(shutdown="1s"))
    team.until_runs_on(dear, workers=2)
    team.change(schedule={"windows": [open_now()]})
    team.until_runs_on(cheap, workers=2)
    wait_for(lambda: team.events("MovedToSpot"), 20, "the move is told")
    wait_for(lambda: "gpucost.dev/cost-total" in _annotations(team), 20, "the namespace shows its cost")
    operator.stop()
    team.cluster.api.delete(f"{GROUP}/pricebooks/prices-{team.mark}")

    entries = requests(team.cluster)

    # Not those of earlier tests: an API server that has just been restarted refuses until it has read the roles.
    mine = [e for e in entries if datetime.fromisoformat(e["requestReceivedTimestamp"]) >= begun]
    refused = [e for e in mine if e["annotations"].get("authorization.k8s.io/decision") != "allow"]
    assert [(e["verb"], e["requestURI"]) for e in refused] == []
    assert used(entries), "the audit log knows the operator"
    assert granted(team.cluster) - used(entries) - RESERVE.keys() == set()


def _annotations(team: Team) -> dict[str, str]:
    metadata = team.cluster.api.get(f"/api/v1/namespaces/{team.namespace}")["metadata"]
    return dict(metadata.get("annotations", {}))


def test_nothing_is_written_while_nothing_changes(
    own_cluster: Callable[..., LocalCluster], operator_factory: Callable[..., OperatorProcess]
) -> None:
    cluster = own_cluster("quiet")
    settings = {"GPUCOST_TICK_SECONDS": "0.5", "GPUCOST_REPORT_SECONDS": "3600"}
    operator = operator_factory(cluster, settings).start()
    with team_in(cluster) as team:
        node = team.add_node()
        team.train()
        team.until_runs_on(node)
        wait_for(lambda: "cost" in team.status(), 20, "the cost is in the status")
        settled = _when_quiet(operator)
        begun = _ticks(operator)
        wait_for(lambda: _ticks(operator) >= begun + 6, 30, "six passes")
        after = own_writes(operator)
    assert {verb for verb in after if after[verb] != settled.get(verb)} <= {"PUT"}, "only the Lease is renewed"


def _ticks(operator: OperatorProcess) -> float:
    return sum(figures(operator.metrics(), "gpucost_ticks_total").values())


def _when_quiet(operator: OperatorProcess) -> dict[str, float]:
    """The writes so far, once three passes have added nothing but the Lease's."""
    last: list[tuple[float, dict[str, float]]] = []

    def quiet() -> dict[str, float] | None:
        text = operator.metrics()
        now = (sum(figures(text, "gpucost_ticks_total").values()), figures(text, "gpucost_api_writes_total"))
        others = {verb: count for verb, count in now[1].items() if verb != "PUT"}
        if last and {v: c for v, c in last[0][1].items() if v != "PUT"} == others:
            return now[1] if now[0] >= last[0][0] + 3 else None
        last[:] = [now]
        return None

    return wait_for(quiet, 30, "the operator has said everything")


def test_a_dry_run_tells_what_would_be_done_and_changes_nothing(team: Team, operator: OperatorProcess) -> None:
    team.train("sound")
    broken = team.template()
    broken["spec"]["containers"][0]["volumeMounts"] = [{"name": "nowhere", "mountPath": "/data"}]
    team.train("refused", template=broken)
    team.train("later", workloadRef={"name": "missing"})
    before = _versions(team)

    done = dry_run(operator)

    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if team.namespace in line]
    assert any("/sound: would CreateJob" in line for line in lines), done.stdout
    assert any("/refused: would, but is rejected CreateJob" in line for line in lines), done.stdout
    assert any("/later: nothing to do: JobNotFound" in line for line in lines), done.stdout
    assert "volumeMounts[0].name" in done.stdout
    assert _versions(team) == before
    assert not operator.ledger.exists()


def dry_run(operator: OperatorProcess) -> subprocess.CompletedProcess[str]:
    env = {**operator.cluster.env(), "KUBECONFIG": str(operator.release.kubeconfig), **operator.env}
    command = [Path(sys.executable).with_name("gpucost"), "operator", "--dry-run"]
    return subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


def _versions(team: Team) -> dict[str, str]:
    """ResourceVersions of everything that an operator could touch."""
    kinds = ("trainingjobs", "jobs", "services", "pods", "events")
    found = {f"{k}/{o['metadata']['name']}": o for k in kinds for o in team.cluster.api.list(team.path(k))}
    found["namespace"] = team.cluster.api.get(f"/api/v1/namespaces/{team.namespace}")
    lease = team.cluster.api.find("/apis/coordination.k8s.io/v1/namespaces/gpucost-system/leases/gpucost-operator")
    found["lease"] = lease or {"metadata": {"resourceVersion": ""}}
    return {name: one["metadata"]["resourceVersion"] for name, one in found.items()}


def test_without_the_operator_the_plugin_answers_from_the_status_and_says_so(
    team: Team, operator: OperatorProcess
) -> None:
    node = team.add_node()
    operator.start()
    template = team.template()
    template["metadata"]["annotations"] |= run_for(2)
    team.train(template=template)
    team.until("Complete", "Complete")
    assert node
    total = wait_for(lambda: (c := team.status().get("cost", {})).get("hourly") == "0.00" and c["total"], 20)
    live = fetch(
        f"{operator.api_url}/apis/cost.gpucost.dev/v1alpha1/namespaces/{team.namespace}/allocations?window=today"
    )
    assert live["total"]["cost"] == total

    operator.stop()

    document = json.loads(plugin(team, "-o", "json"))
    assert document["source"] == "TrainingJob status"
    assert [row["cost"] for row in document["rows"]] == [total]
    words = plugin(team)
    assert "TrainingJob/bert" in words
    assert "From the status of TrainingJobs" in words


def plugin(team: Team, *arguments: str) -> str:
    command = [Path(sys.executable).with_name("kubectl-cost"), "workload", "-n", team.namespace, *arguments]
    done = subprocess.run(
        command,
        env=team.cluster.env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
