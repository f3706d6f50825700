"""A JobSet under the real JobSet controller: moved as a whole, by its own rules, and paid for exactly."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local import queues, wait_for
from local.webhooks import JOINED
from support import session_cluster
from support.independent_count import IndependentCount, overlaps
from support.operator_world import Team, assert_paid_exactly, closed, costs, last_hour

if TYPE_CHECKING:
    from support.live import Live

pytestmark = pytest.mark.cluster

CAPACITY = "karpenter.sh/capacity-type"
REF = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "name": "gang"}


@pytest.fixture
def jobset_team(live: Live, team: Team) -> Team:
    """A team whose namespace the JobSet controller's webhooks serve."""
    session_cluster.with_controller(queues.JOBSET)
    live.cluster.api.merge(f"/api/v1/namespaces/{team.namespace}", {"metadata": {"labels": {JOINED: "true"}}})
    return team


def after(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def path(team: Team, name: str = "") -> str:
    return f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/{team.namespace}/jobsets" + (f"/{name}" if name else "")


def jobset(team: Team, *, workers: int = 2) -> dict[str, Any]:
    """Workers with GPUs and a driver without, all of which end quickly when they are told to."""
    annotated = team.template(gpus=2, grace=10, shutdown="1s")  # with the driver on one node they still fit it
    driver = json.loads(json.dumps(annotated))
    del driver["spec"]["containers"][0]["resources"]["limits"]
    annotated["spec"]["nodeSelector"][CAPACITY] = "on-demand"
    return {
        "apiVersion": REF["apiVersion"],
        "kind": REF["kind"],
        "metadata": {"name": REF["name"], "namespace": team.namespace},
        "spec": {
            "replicatedJobs": [
                {"name": "driver", "replicas": 1, "template": {"spec": {"template": driver}}},
                {"name": "workers", "replicas": workers, "template": {"spec": {"template": annotated}}},
            ]
        },
    }


def pods(team: Team, part: str) -> list[dict[str, Any]]:
    """Pods of a part that are not being deleted."""
    selector = f"jobset.sigs.k8s.io/jobset-name%3D{REF['name']},jobset.sigs.k8s.io/replicatedjob-name%3D{part}"
    found = team.cluster.api.list(team.path("pods") + f"?labelSelector={selector}")
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def until_workers_run_on(team: Team, node: str) -> None:
    """Both workers and the driver run, the workers on one node, and the TrainingJob says so."""

    def there() -> bool:
        running = [p for p in pods(team, "workers") if p["status"].get("phase") == "Running"]
        nodes = [pod["spec"]["nodeName"] for pod in running]
        drivers = [p["status"].get("phase") for p in pods(team, "driver")]
        said = team.condition("Ready").get("reason")
        return nodes == [node] * 2 and drivers == ["Running"] and said == "Running"

    wait_for(there, 60, lambda: f"workers on {node}: {json.dumps(team.status())[:1500]}")


def selectors(team: Team) -> dict[str, Any]:
    """Node selectors of its Jobs, by name."""
    jobs = team.cluster.api.list(team.path("jobs"))
    return {job["metadata"]["name"]: job["spec"]["template"]["spec"]["nodeSelector"] for job in jobs}


def test_a_jobset_moves_to_spot_under_a_deadline_and_back_by_a_window_by_its_own_rules(
    live: Live, jobset_team: Team
) -> None:
    team = jobset_team
    dear, cheap = team.add_node("on-demand"), team.add_node("spot")
    with IndependentCount(live.cluster, team.namespace) as count:
        team.cluster.api.create(path(team), jobset(team))
        team.train(workloadRef=REF, schedule={"windows": [closed()]})
        until_workers_run_on(team, dear)

        soon = {"completeBy": after(hours=9), "expectedDuration": "2h"}
        team.change(schedule=None, placement={"policy": "Auto"}, **soon)
        until_workers_run_on(team, cheap)
        decided = wait_for(lambda: team.status().get("deadline"), 20, "the deadline is watched")
        assert (decided["decision"], decided["workLeftFrom"]) == ("KeepingSpot", "Time"), decided
        assert team.condition("DeadlineAtRisk")["status"] == "False"
        mine = {"mark": team.mark}
        workers = {**mine, CAPACITY: "spot"}
        expected = {"gang-driver-0": mine, "gang-workers-0": workers, "gang-workers-1": workers}
        assert selectors(team) == expected, "the driver keeps its own"
        stored = team.cluster.api.get(path(team, "gang"))
        assert [one["name"] for one in stored["spec"]["replicatedJobs"]] == ["driver", "workers"]
        assert stored["metadata"]["annotations"]["gpucost.dev/placement"] == "spot"
        assert team.status()["placement"]["current"] == "Spot"

        scheduled = {"placement": {"policy": "Scheduled"}, "schedule": {"windows": [closed()]}}
        team.change(completeBy=None, expectedDuration=None, **scheduled)
        until_workers_run_on(team, dear)
        assert {one.get(CAPACITY) for one in selectors(team).values()} == {None, "on-demand"}
        wait_for(lambda: team.events("MovedToOnDemand"), 20, "both moves are told")

        team.cluster.api.merge(path(team, "gang"), {"spec": {"suspend": True}})
        team.until("Ready", "SuspendedByOther")
        wait_for(lambda: len(count.gone) >= 9, 20, "the second count saw nine pods end")

    stays = [stay for stay in count.stays() if "workers" in stay.name]
    assert overlaps(stays) == []
    wait_for(lambda: team.status()["cost"]["hourly"] == "0.00", 30, "the operator has seen the end of all")
    assert_paid_exactly(live.api_url, team, count)
    _, window = last_hour()
    found = costs(live.api_url, team.namespace, "workload", window)
    assert [item["key"] for item in found["items"]] == [f"{team.namespace}/TrainingJob/bert"]

    def shown() -> bool:
        return "gpucost.dev/cost-total" in team.cluster.api.get(path(team, "gang"))["metadata"]["annotations"]

    wait_for(shown, 30, "the JobSet shows its cost")
    jobs = team.cluster.api.list(team.path("jobs"))
    assert not [job for job in jobs if "gpucost.dev/cost-total" in job["metadata"].get("annotations", {})]
