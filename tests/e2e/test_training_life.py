"""A TrainingJob from its creation to its end, on a real control plane."""

from __future__ import annotations

import pytest

from local import wait_for
from local.objects import job, pod_spec, run_for
from support.operator_world import GC_SECONDS, Team

pytestmark = pytest.mark.cluster

BACKGROUND = {"propagationPolicy": "Background"}


def variables(pod: dict) -> dict[str, str]:
    return {e["name"]: e.get("value", "") for e in pod["spec"]["containers"][0].get("env", ())}


def test_a_trainingjob_gets_a_job_that_it_owns_and_runs(team: Team) -> None:
    node = team.add_node()
    made = team.train()

    team.until_runs_on(node)

    owned = team.job()
    [owner] = owned["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["kind"], owner["controller"]) == (made["metadata"]["uid"], "TrainingJob", True)
    [worker] = team.running()
    assert worker["metadata"]["labels"]["gpucost.dev/trainingjob"] == "bert"
    assert team.find("services", "bert") is None
    status = team.status()
    assert status["observedGeneration"] == 1
    [shown] = status["jobsStatus"]
    counts = {key: shown[key] for key in ("ready", "active", "succeeded", "failed", "suspended")}
    assert (shown["name"], counts) == ("bert", {"ready": 1, "active": 1, "succeeded": 0, "failed": 0, "suspended": 0})
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Ready": "True",
        "Suspended": "False",
        "Complete": "False",
        "Failed": "False",
        "Migrating": "False",
        "Invalid": "False",
    }
    table = team.cluster.kubectl("get", "tj", "bert", "-n", team.namespace)
    assert "OnDemand" in table
    assert "Running" in table


def test_several_workers_find_each_other_by_host_name(team: Team) -> None:
    node = team.add_node()
    team.train(workers=2, template=team.template(gpus=4))

    team.until_runs_on(node, workers=2)

    spec = team.job()["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 2)
    service = team.find("services", "bert")
    assert service is not None
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert {p["spec"]["hostname"] for p in team.running()} == {"bert-0", "bert-1"}
    assert {p["spec"]["subdomain"] for p in team.running()} == {"bert"}
    for worker in team.running():
        assert worker["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "bert"
        assert service["spec"]["selector"].items() <= worker["metadata"]["labels"].items()
        found = variables(worker)
        assert any("bert-0" in value for value in found.values())
        assert "2" in found.values()


def test_deleting_a_trainingjob_deletes_what_it_made(team: Team) -> None:
    node = team.add_node()
    team.train(workers=2)
    team.until_runs_on(node, workers=2)

    team.cluster.api.delete(team.path("trainingjobs", "bert"), **BACKGROUND)

    wait_for(lambda: team.find("jobs", "bert") is None, GC_SECONDS, "the Job is gone")
    wait_for(lambda: team.find("services", "bert") is None, GC_SECONDS, "the Service is gone")
    wait_for(lambda: not team.pods(), GC_SECONDS, "the pods are gone")


def test_a_run_that_ends_is_complete_and_stays_so_without_its_job(team: Team) -> None:
    team.add_node()
    template = team.template()
    template["metadata"]["annotations"] |= run_for(1)
    team.train(template=template)

    team.until("Complete", "Complete")
    assert team.condition("Ready")["status"] == "True"
    team.cluster.api.delete(team.path("jobs", "bert"), **BACKGROUND)
    wait_for(lambda: team.find("jobs", "bert") is None, 20, "the Job is cleaned away")
    first = team.cluster.api.get(team.path("trainingjobs", "bert"))["metadata"]["generation"]
    team.change(suspend=True)
    wait_for(lambda: team.status().get("observedGeneration", 0) > first, 20, "the change was looked at")
    assert team.condition("Complete")["status"] == "True"
    assert team.find("jobs", "bert") is None


def test_a_program_that_fails_for_good_is_failed_in_the_words_of_the_job(team: Team) -> None:
    team.add_node()
    template = team.template()
    template["metadata"]["annotations"] |= run_for(1, exit_code=2)
    team.train(template=template, configurationErrorExitCode=2)

    failed = team.until("Failed", "PodFailurePolicy")

    assert "exit code 2" in failed["message"]
    assert team.condition("Ready")["status"] == "False"


def test_a_run_that_fits_nowhere_says_so_in_the_schedulers_words(team: Team) -> None:
    team.add_node()
    team.train(template=team.template(gpus=8))
    team.until("Ready", "Running")
    team.train("second", template=team.template(gpus=8))

    waiting = wait_for(lambda: team.status("second").get("waiting"), 20, "second waits")

    assert waiting["reason"] == "Unschedulable"
    assert "Insufficient nvidia.com/gpu" in waiting["message"]
    [pending] = team.pods("second")
    since = next(c for c in pending["status"]["conditions"] if c["type"] == "PodScheduled")["lastTransitionTime"]
    assert waiting["since"] == since
    assert "Insufficient nvidia.com/gpu" in team.condition("Ready", "second")["message"]
    team.cluster.api.delete(team.path("trainingjobs", "bert"), **BACKGROUND)
    wait_for(lambda: "waiting" not in team.status("second"), GC_SECONDS, "second no longer waits")


# --- taking over what is there ----------------------------------------------------------------------------------------


def plain_job(team: Team, name: str = "bert", **spec: object) -> dict:
    body = job(name, team.namespace, gpus=4, nodeSelector={"mark": team.mark})
    body["spec"] |= spec
    return team.cluster.api.create(team.path("jobs"), body)


def test_an_existing_job_is_taken_over_and_outlives_its_trainingjob(team: Team) -> None:
    node = team.add_node()
    plain = plain_job(team)
    made = team.train(workloadRef={"name": "bert"})

    team.until_runs_on(node)

    assert team.notes()["adopted-by"] == made["metadata"]["uid"]
    assert not team.job()["metadata"].get("ownerReferences")
    team.cluster.api.delete(team.path("trainingjobs", "bert"))
    wait_for(lambda: team.find("trainingjobs", "bert") is None, 10, "the TrainingJob is gone")
    assert team.job()["metadata"]["uid"] == plain["metadata"]["uid"]
    assert len(team.running()) == 1


def test_a_job_that_does_not_exist_is_named_and_taken_over_when_it_comes(team: Team) -> None:
    node = team.add_node()
    team.train(workloadRef={"name": "later"})

    missing = team.until("Ready", "JobNotFound")

    assert "later" in missing["message"]
    body = job("later", team.namespace, gpus=1, nodeSelector={"mark": team.mark})
    team.cluster.api.create(team.path("jobs"), body)
    team.until("Ready", "Running")
    assert [p["spec"]["nodeName"] for p in team.running("later")] == [node]


def test_a_name_that_is_taken_is_reported_and_the_job_there_left_alone(team: Team) -> None:
    team.add_node()
    plain = plain_job(team)
    team.train()

    team.until("Ready", "NameTaken")

    assert team.job()["metadata"]["uid"] == plain["metadata"]["uid"]
    assert team.job()["spec"] == plain["spec"]
    assert not team.notes().keys() & {"adopted-by", "placement", "suspended-by"}


def test_of_two_trainingjobs_for_one_job_one_gets_it_and_the_other_says_conflict(team: Team) -> None:
    team.add_node()
    plain_job(team, "shared")
    team.train("first", workloadRef={"name": "shared"})
    team.until("Ready", "Running", "first")
    owner = team.notes("shared")["adopted-by"]

    team.train("second", workloadRef={"name": "shared"})

    conflict = team.until("Ready", "Conflict", "second")
    assert owner in conflict["message"]
    assert team.notes("shared")["adopted-by"] == owner
    assert not team.status("second").get("jobsStatus")
    team.cluster.api.delete(team.path("trainingjobs", "first"))
    team.until("Ready", "Running", "second")


def test_a_job_that_somebody_else_suspended_is_never_resumed(team: Team) -> None:
    node = team.add_node()
    team.train()
    team.until_runs_on(node)

    team.cluster.kubectl("patch", "job", "bert", "-n", team.namespace, "-p", '{"spec":{"suspend":true}}')

    team.until("Ready", "SuspendedByOther")
    wait_for(lambda: not team.pods(), 20, "the pods have ended")
    team.change(placement={"policy": "Spot"})
    wait_for(lambda: team.status()["observedGeneration"] == 2, 20, "the new specification was looked at")
    assert team.job()["spec"]["suspend"] is True
    team.cluster.kubectl("patch", "job", "bert", "-n", team.namespace, "-p", '{"spec":{"suspend":false}}')
    wait_for(lambda: team.condition("Ready").get("reason") != "SuspendedByOther", 20, "it goes on when they say so")


def test_the_users_own_suspension_stops_and_resumes_a_run(team: Team) -> None:
    node = team.add_node()
    team.train()
    team.until_runs_on(node)

    team.change(suspend=True)

    team.until("Suspended", "Suspended")
    wait_for(lambda: not team.pods(), 20, "the pods have ended")
    assert team.condition("Ready")["status"] == "True"
    assert team.status()["jobsStatus"][0]["suspended"] == 1
    team.change(suspend=False)
    team.until_runs_on(node)


def test_a_pod_without_a_trainingjob_needs_nothing_from_the_operator(team: Team) -> None:
    node = team.add_node()
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "solo", "namespace": team.namespace}}
    spec = pod_spec(gpus=1, nodeSelector={"mark": team.mark})
    team.cluster.add_pods([{**body, "spec": spec}])

    found = wait_for(
        lambda: (p := team.cluster.api.get(team.path("pods", "solo")))["status"].get("phase") == "Running" and p, 20
    )

    assert found["spec"]["nodeName"] == node
