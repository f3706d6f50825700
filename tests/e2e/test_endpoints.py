"""Endpoints under a running operator, over Deployments that the real controllers scale."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local import wait_for
from support.operator_world import Json, Team
from support.served import Served, load

if TYPE_CHECKING:
    from support.live import Live

pytestmark = pytest.mark.cluster


@pytest.fixture
def served(team: Team) -> Served:
    team.add_node(gpus=8)
    return Served(team)


def test_an_endpoint_is_held_at_a_number_and_shows_what_it_costs(served: Served) -> None:
    served.deploy(1)
    served.serve(minReplicas=2)
    served.until_replicas(2)

    served.annotate(paused_replicas="4")
    served.until_replicas(4)
    assert served.until("Ready", "Paused")["message"] == "held at 4 by the annotation gpucost.dev/paused-replicas"
    served.annotate(paused_replicas="1")
    served.until_replicas(1)

    told = wait_for(lambda: (found := served.events("ReplicasRightSized")) and len(found) == 3 and found, 20, "told")
    assert sum("Deployment/llama 4 -> 1 replicas: Paused" in note for note in told) == 1
    wait_for(lambda: _history(served) == [(4, 1), (2, 4), (1, 2)], 20, lambda: f"all three: {served.status()}")
    managers = {
        one["manager"]
        for one in served.workload()["metadata"]["managedFields"]
        if "scale" in one.get("subresource", "")
    }
    assert managers == {"gpucost-scale"}
    cost = wait_for(
        lambda: served.status().get("cost", {}).get("hourly") == "6.88" and served.status()["cost"], 60, "it costs"
    )
    assert cost["currency"] == "USD"


def _later_second(body: Json) -> datetime:
    """The first instant whose objects are younger than this one by their creationTimestamp, UTC."""
    return datetime.fromisoformat(body["metadata"]["creationTimestamp"]) + timedelta(seconds=1)


def _history(served: Served) -> list[tuple[int, int]]:
    return [(one["before"], one["after"]) for one in served.status().get("scalingHistory", ())]


def test_a_deployment_that_an_autoscaler_has_is_left_alone_until_it_goes(served: Served) -> None:
    served.deploy(2)
    served.autoscale()
    first = served.serve(minReplicas=3)
    refused = served.until("Ready", "Conflict")
    assert "HorizontalPodAutoscaler their-hpa sets the replicas of Deployment/llama" in refused["message"]
    assert served.condition("ScalingActive")["status"] == "False"
    wait_for(lambda: served.events("Conflict"), 20, "it is told")
    # The API server keeps whole seconds, and of two of the same second the UID decides.
    wait_for(lambda: datetime.now(UTC) >= _later_second(first), 5, "a later second")
    second = Served(served.team, "second")
    second.serve(scaleTargetRef={"name": "llama"}, minReplicas=5)
    second.until("Ready", "Conflict")
    assert served.replicas() == 2

    served.team.cluster.api.delete(f"{served.autoscalers()}/their-hpa")

    served.until_replicas(3)
    rival = second.until("Ready", "Conflict")
    wait_for(
        lambda: "InferenceEndpoint llama" in second.condition("Ready")["message"], 20, f"the older one wins: {rival}"
    )


def test_what_cannot_be_scaled_is_named_and_comes_right_when_it_is_there(served: Served) -> None:
    served.serve(scaleTargetRef={"kind": "StatefulSet", "name": "llama"}, minReplicas=2)
    missing = served.until("TargetResolved", "TargetNotFound")
    assert "there is no StatefulSet llama in namespace" in missing["message"]
    served.deploy(1, "StatefulSet")
    served.until_replicas(2, "StatefulSet")

    odd = Served(served.team, "odd")
    odd.serve(scaleTargetRef={"apiVersion": "v1", "kind": "ConfigMap", "name": "llama"})
    assert "has no scale subresource" in odd.until("TargetResolved", "NotScalable")["message"]
    odd.change(scaleTargetRef={"apiVersion": "example.com/v1", "kind": "Rocket", "name": "llama"})
    assert (
        "the cluster has no kind Rocket in example.com/v1" in odd.until("TargetResolved", "KindNotInstalled")["message"]
    )
    odd.change(schedules=[{"start": "0 0 30 2 *", "duration": "1h", "minReplicas": 2}])
    assert "spec.schedules[0].start: '0 0 30 2 *' never fires" in odd.until("Ready", "Invalid")["message"]


def test_replicas_follow_the_load_that_prometheus_shows_and_stay_when_it_shows_nothing(served: Served) -> None:
    at_once = {"scaleDown": {"stabilizationWindowSeconds": 0, "tolerance": "0"}}
    served.deploy(2)
    served.serve(capacity={"requestsPerSecond": "10"}, metrics=load(35), maxReplicas=6, behavior=at_once)
    wait_for(lambda: served.replicas() >= 4, 60, lambda: f"more replicas: {served.status()}")
    served.until("MetricsAvailable", "MetricsFound")
    wait_for(lambda: any("requests/s arrive" in note for note in served.events("ReplicasRightSized")), 20, "it is told")

    served.change(metrics={"queries": {"requestsPerSecond": "absent(vector(1))"}})
    unknown = served.until("MetricsAvailable", "MetricsMissing", 40)
    assert unknown["status"] == "False"
    held = served.replicas()
    wait_for(lambda: served.status().get("missingSince"), 20, "it says since when")
    assert served.until("Ready", "MetricsMissing")["message"].endswith("the replicas stay as they are")
    assert served.replicas() == held
    wait_for(lambda: served.events("UtilizationUnknown"), 20, "it is told")

    served.change(metrics=load(1))
    served.until_replicas(1, timeout=90)
    wait_for(lambda: served.status()["scalingHistory"][0]["reason"] == "FallingLoad", 20, "the status says why")


def test_recommend_says_what_it_would_do_and_changes_nothing(live: Live, served: Served) -> None:
    served.deploy(1)
    served.serve(mode="Recommend", capacity={"requestsPerSecond": "10"}, metrics=load(35))
    [note] = wait_for(lambda: served.events("ActionRecommended"), 60, lambda: f"recommended: {served.status()}")
    assert note.startswith("Deployment/llama 1 -> ")
    shown = wait_for(lambda: (found := served.status()).get("recommendation") and found, 20, "the status says it too")
    assert shown["recommendation"]["replicas"] == shown["desiredReplicas"] > 3
    assert shown["currentReplicas"] == served.replicas() == 1
    assert shown["capacity"] == {"requestsPerSecond": "10.00", "source": "Spec"}

    lines = dry_run(live)
    place = next(n for n, line in enumerate(lines) if line.startswith(f"{served.team.namespace}/llama: "))
    assert re.search(r"nothing to do: Recommending \([45678] replicas\)", lines[place]), lines[place]
    assert lines[place + 1 : place + 3] == [
        "    load: 35.00 requests/s arrive, 35.00 requests/s are served, 0 wait",
        "    capacity: 10.00 requests/s for each replica (Given)",
    ]


def dry_run(live: Live) -> list[str]:
    """What a dry run beside the operator prints, with the operator's ledger and Prometheus."""
    kubeconfig = live.cluster.service_account_kubeconfig("gpucost-system", "gpucost")
    env = {**live.cluster.env(), **live.settings, "KUBECONFIG": str(kubeconfig)}
    command = [Path(sys.executable).with_name("gpucost"), "operator", "--dry-run"]
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    assert "InferenceEndpoints" in done.stdout, done.stderr
    return done.stdout.splitlines()
