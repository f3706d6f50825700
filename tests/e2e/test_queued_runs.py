"""Runs in a queue of the real Kueue: it starts, stops and places them; we say only whether they should be in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local import queues, wait_for
from local.webhooks import JOINED
from support import session_cluster
from support.independent_count import IndependentCount
from support.operator_world import Team, assert_paid_exactly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.live import Live

pytestmark = pytest.mark.cluster

WORKLOADS = "/apis/kueue.x-k8s.io/v1beta2"


@pytest.fixture
def queue_team(live: Live, team: Team) -> Iterator[Team]:
    """A team with a queue of its own: four GPUs of spot capacity first, then four on demand."""
    session_cluster.with_controller(queues.KUEUE)
    live.cluster.api.merge(f"/api/v1/namespaces/{team.namespace}", {"metadata": {"labels": {JOINED: "true"}}})
    flavors = {
        "cheap": {"karpenter.sh/capacity-type": "spot", "mark": team.mark},
        "dear": {"karpenter.sh/capacity-type": "on-demand", "mark": team.mark},
    }
    objects = queues.queue(team.mark, team.namespace, flavors, gpus=4)
    live.cluster.apply(objects)
    yield team
    for one in objects:
        if "namespace" not in one["metadata"]:
            live.cluster.api.delete(f"{WORKLOADS}/{one['kind'].lower()}s/{one['metadata']['name']}")


def queued(team: Team, **spec: Any) -> dict[str, Any]:
    """A template that names the team's queue."""
    template = team.template(gpus=4, grace=10, shutdown="1s")
    template["metadata"]["labels"] = {queues.QUEUE_LABEL: team.mark}
    return {"template": template, **spec}


def after(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def workload(team: Team, name: str) -> dict[str, Any]:
    """The Workload that Kueue keeps for a Job."""
    return workload_of(team, team.job(name)["metadata"]["uid"])


def workload_of(team: Team, uid: str) -> dict[str, Any]:
    """The Workload that an object owns."""
    found = team.cluster.api.list(f"{WORKLOADS}/namespaces/{team.namespace}/workloads")
    return next(
        (one for one in found if any(owner["uid"] == uid for owner in one["metadata"].get("ownerReferences", ()))), {}
    )


def setters(team: Team, name: str) -> set[str]:
    """Who owns `spec.suspend` of a Job."""
    fields = team.job(name)["metadata"]["managedFields"]
    return {one["manager"] for one in fields if "f:suspend" in one["fieldsV1"].get("f:spec", {})}


def ready(team: Team, name: str) -> tuple[str, str]:
    found = team.condition("Ready", name)
    return found.get("reason", ""), found.get("message", "")


def _is_free(team: Team, name: str) -> bool:
    return bool(team.status(name)["cost"]["hourly"] == "0.00")


def test_a_queue_places_runs_and_pausing_one_makes_room_for_the_next(live: Live, queue_team: Team) -> None:
    team = queue_team
    dear, cheap = team.add_node("on-demand"), team.add_node("spot")
    with IndependentCount(live.cluster, team.namespace) as count:
        team.train("first", **queued(team))
        team.until_runs_on(cheap, "first")
        assert team.status("first")["placement"]["current"] == "Spot"
        assert "chose where it runs" in ready(team, "first")[1]
        auto = {"placement": {"policy": "Auto"}, "completeBy": after(hours=8), "expectedDuration": "2h"}
        team.train("second", **queued(team, **auto))
        team.until_runs_on(dear, "second")
        wait_for(lambda: "chose where it runs" in ready(team, "second")[1], 20, "Auto would be on spot, and says so")
        team.train("third", **queued(team))
        wait_for(lambda: "insufficient" in ready(team, "third")[1], 20, lambda: f"third waits: {ready(team, 'third')}")
        assert ready(team, "third")[0] == "Queued"
        assert "gpucost" not in setters(team, "first")
        assert team.condition("DeadlineAtRisk", "second")["status"] == "False"
        assert "gpucost" not in setters(team, "second")
        assert team.job("second")["metadata"]["generation"] == 2, "made, and started by Kueue: nobody else changed it"

        team.change("first", suspend=True)
        wait_for(lambda: workload(team, "first")["spec"]["active"] is False, 20, "it is taken out of its queue")
        team.until("Ready", "Suspended", "first")
        team.until_runs_on(cheap, "third")

        team.change("first", suspend=False)
        wait_for(
            lambda: ready(team, "first")[0] == "Queued" and "insufficient" in ready(team, "first")[1],
            20,
            lambda: f"first waits again: {json.dumps(team.status('first'))[:1500]}",
        )
        assert workload(team, "first")["spec"]["active"] is True
        assert setters(team, "first") == {"kueue"} or "gpucost" not in setters(team, "first")
        for name in ("second", "third"):
            team.change(name, suspend=True)
        team.until_runs_on(cheap, "first")
        team.change("first", suspend=True)
        wait_for(lambda: not team.cluster.api.list(team.path("pods")), 30, "everything has ended")
        wait_for(lambda: len(count.gone) == 4, 10, "the second count saw four pods end")
    wait_for(lambda: all(_is_free(team, name) for name in ("first", "second", "third")), 30, "the end of all is seen")
    assert_paid_exactly(live.api_url, team, count)


def test_a_queued_jobset_is_paused_in_its_queue_and_never_by_itself(queue_team: Team) -> None:
    team = queue_team
    node = team.add_node("spot")
    jobsets = f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/{team.namespace}/jobsets"
    part = {"name": "workers", "replicas": 2, "template": {"spec": {"template": team.template(gpus=2, shutdown="1s")}}}
    made = team.cluster.api.create(
        jobsets,
        {
            "apiVersion": "jobset.x-k8s.io/v1alpha2",
            "kind": "JobSet",
            "metadata": {"name": "gang", "labels": {queues.QUEUE_LABEL: team.mark}},
            "spec": {"replicatedJobs": [part]},
        },
    )
    team.train(workloadRef={"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "name": "gang"})

    def running() -> list[str]:
        pods = team.cluster.api.list(team.path("pods"))
        return [pod["spec"]["nodeName"] for pod in pods if pod["status"].get("phase") == "Running"]

    wait_for(lambda: running() == [node] * 2, 45, lambda: f"both run: {json.dumps(team.status())[:1500]}")
    wait_for(lambda: ready(team, "bert")[0] == "Running", 20, lambda: f"it says so: {ready(team, 'bert')}")
    assert team.status()["placement"]["current"] == "Spot"

    team.change(suspend=True)
    wait_for(lambda: not running() and ready(team, "bert") == ("Suspended", "spec.suspend is true"), 30, "it is paused")
    assert workload_of(team, made["metadata"]["uid"])["spec"]["active"] is False
    team.change(suspend=False)
    wait_for(lambda: running() == [node] * 2, 45, "both run again")
    fields = team.cluster.api.get(f"{jobsets}/gang")["metadata"]["managedFields"]
    ours = [one for one in fields if one["manager"] == "gpucost"]
    assert ours, "it was taken over"
    assert not any("f:spec" in one["fieldsV1"] for one in ours)
