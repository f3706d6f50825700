"""What a run will cost and has cost, as a member of one namespace sees it on the real API server."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from local import wait_for
from support.operator_world import ON_DEMAND_PRICE, Team, micro
from support.plugin import document, kubectl_cost

if TYPE_CHECKING:
    from support.live import Live

pytestmark = pytest.mark.cluster


def member(team: Team) -> Path:
    """A kubeconfig of somebody who may view this one namespace."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "m", "namespace": team.namespace}}
    rbac = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "m", "namespace": team.namespace},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "m", "namespace": team.namespace}],
    }
    team.cluster.apply([account, binding])
    return team.cluster.service_account_kubeconfig(team.namespace, "m")


def test_a_run_is_estimated_when_it_is_applied_and_reported_when_it_has_run(
    live: Live, team: Team, tmp_path: Path
) -> None:
    """Ten hours on half a node of 55.04: 275.20, by the price that stands on the node."""
    node = team.add_node()
    template = team.template(gpus=4)
    template["spec"]["nodeSelector"]["node.kubernetes.io/instance-type"] = f"test.{team.mark}"
    config = member(team)
    ask, typed = partial(document, team, config=config), partial(kubectl_cost, team, config=config)
    wait_for(
        lambda: f"test.{team.mark}" in live.cluster.kubectl("get", "offers", "-n", team.namespace, check=False),
        90,
        "the market knows the node",
        interval=1,
    )

    body = team.train(template=template, expectedDuration="10h", model={"parameters": "7B", "tokens": "1B"})
    found = wait_for(lambda: team.status().get("estimate"), 20, "the status shows the estimate")
    assert (found["cost"], found["costHigh"], found["hours"], found["gpus"]) == ("275.20", "275.20", "10.0", 4)
    (event,) = wait_for(lambda: team.events("CostEstimated"), 10, "the Event tells it")
    assert event["note"].startswith("about 275.20 USD: 10.0 h on 4 x ")
    assert "annotation" in event["note"]

    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump({key: body[key] for key in ("apiVersion", "kind", "metadata", "spec")}))
    estimated = ask("estimate", "-f", str(file))
    assert estimated["prices"] == "cluster"
    assert estimated["runs"][0]["cost"]["typical"] == "275.200000"
    assert typed("estimate", "-f", str(file), "--fail-above", "275").returncode == 1

    team.until_runs_on(node)
    report = wait_for(
        lambda: micro((r := ask("report", "run", "bert"))["total"]["cost"] or "0.000000") and r,
        20,
        "the report has a cost",
    )
    assert [one["nodes"] for one in report["placements"]] == [[node]]
    assert micro(report["placements"][0]["cost"]) == micro(report["total"]["cost"])
    assert report["estimate"]["cost"] == "275.20"
    assert report["total"]["saved"] == "0.000000"
    assert ask("savings")["items"] == []
    simulated = ask("simulate", "bert", "--deadline", "24h", "--changeover", "1s")
    on_demand = next(one for one in simulated["courses"] if one["policy"] == "onDemand")
    assert not on_demand["missed"]
    assert simulated["nodeType"] == f"test.{team.mark}"
    assert float(ON_DEMAND_PRICE) > float(on_demand["costHigh"]) > 0
    refused = typed("savings", "-A")
    assert refused.returncode == 2
