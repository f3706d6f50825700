"""Runs by a calendar and the guard against running twice, on the real API server."""

from __future__ import annotations

import urllib.request
from typing import Any

import pytest

from local import wait_for
from local.objects import run_for
from support.live import Live
from support.operator_world import COSTS, Team, costs, fetch, figures, last_hour

pytestmark = pytest.mark.cluster

IMAGE = "example.com/train:1@sha256:" + "5e" * 32
EVERY_MINUTE = {"runs": {"cron": "* * * * *", "startingDeadline": "5m", "successfulRunsHistoryLimit": 1}}


def template(team: Team, seconds: float = 1, exit_code: int = 0) -> dict[str, Any]:
    made = team.template()
    made["metadata"]["annotations"] |= run_for(seconds, exit_code)
    made["spec"]["containers"][0]["image"] = IMAGE
    return made


def children(team: Team, name: str) -> list[dict[str, Any]]:
    return team.cluster.api.list(team.path("trainingjobs") + f"?labelSelector=gpucost.dev/scheduled-by%3D{name}")


def test_a_due_run_trains_on_a_changed_dataset_and_is_skipped_and_booked_on_an_unchanged_one(
    team: Team, live: Live
) -> None:
    team.add_node()
    api = team.cluster.api
    versions = {"metadata": {"name": "datasets", "namespace": team.namespace}, "data": {"clicks": "7", "views": "3"}}
    api.create(team.path("configmaps"), versions)
    for name in ("clicks", "views"):
        source = {"versionFrom": {"configMap": {"name": "datasets", "key": name}}}
        team.train(name, template=template(team), schedule=EVERY_MINUTE, dataset={"name": name, **source})
    quality = {"query": "vector(0.5)", "below": "0.9"}
    team.train("poor", template=template(team), schedule={"runs": {**EVERY_MINUTE["runs"], "quality": quality}})
    # What is left of a schedule whose ledger was lost.
    api.merge(team.path("trainingjobs", "views") + "/status", {"status": {"runs": {"trainedVersion": "3"}}})

    (run,) = wait_for(lambda: children(team, "clicks"), 75, "the run that is due is made")
    assert run["spec"]["dataset"] == {"name": "clicks", "version": "7"}
    assert "schedule" not in run["spec"]
    (asked,) = wait_for(lambda: children(team, "poor"), 20, lambda: str(team.status("poor")))
    assert asked["metadata"]["annotations"]["gpucost.dev/run-reason"] == "QualityLow"
    team.change("poor", suspend=True)
    team.until("Complete", "Complete", run["metadata"]["name"])
    skipped = wait_for(lambda: (s := team.status("views").get("runs", {})).get("skipped") and s, 30, "the skip is told")
    assert skipped["lastSkip"]["reason"] == "NothingNew"
    assert (children(team, "views"), len(team.events("RunSkipped", "views"))) == ([], skipped["skipped"])

    def told() -> dict[str, Any] | None:
        status = team.status("clicks")
        ended = status["runs"].get("last", {}).get("result") == "Complete"
        return status if ended and "total" in status.get("cost", {}) else None

    status = wait_for(told, 30, lambda: str(team.status("clicks")))
    assert status["runs"]["last"]["name"] == run["metadata"]["name"]
    assert status["runs"]["trainedVersion"] == "7"
    wait_for(lambda: _cost(team, "clicks") == _cost(team, run["metadata"]["name"]), 30, "the schedule costs its runs")
    _, window = last_hour()
    found = costs(live.api_url, team.namespace, "label:gpucost.dev/scheduled-by", window)
    assert {"clicks", "poor"} <= {row["key"] for row in found["items"]}


def _cost(team: Team, name: str) -> str:
    return str(team.status(name)["cost"]["total"])


def _saved(live: Live) -> float:
    with urllib.request.urlopen(f"{live.metrics_url}/metrics", timeout=10) as answer:
        return figures(answer.read().decode(), "gpucost_saved")["duplicates"]


def test_the_same_run_is_told_of_or_its_result_used_again_even_when_it_is_deleted(team: Team, live: Live) -> None:
    team.add_node()
    run = {"template": template(team), "dataset": {"name": "clicks", "version": "7"}, "seed": 1}
    team.train("first", **run)
    team.until("Complete", "Complete", "first")
    wait_for(lambda: team.status("first").get("cost", {}).get("total"), 30, "what it cost is known")

    team.train("again", deduplication="Reuse", **run)
    team.until("Complete", "Reused", "again")
    assert team.find("jobs", "again") is None
    assert team.status("again")["reused"]["name"] == "first"
    wait_for(lambda: _saved(live) > 0, 20, "what that saved is booked")
    saved = fetch(f"{live.api_url}{COSTS}/namespaces/{team.namespace}/savings?window=1h")["items"]
    assert [(one["policy"], one["saved"] > "0") for one in saved] == [("run reused", True)]
    team.cluster.api.delete(team.path("trainingjobs", "first"))
    wait_for(lambda: team.find("trainingjobs", "first") is None, 20, "it is gone")

    team.train("later", deduplication="Reuse", **run)
    reused = team.until("Complete", "Reused", "later")
    assert "first" in reused["message"]
    team.train("warned", **run)
    team.until("Duplicate", "SameRunComplete", "warned")
    wait_for(lambda: team.events("DuplicateRun", "warned"), 10, "the Event")
    wait_for(lambda: team.find("jobs", "warned"), 10, "it starts all the same")
    team.train("other", deduplication="Reuse", **{**run, "seed": 2})
    wait_for(lambda: team.find("jobs", "other"), 10, "another run starts")


def test_a_run_that_failed_twice_is_stopped_before_it_starts(team: Team) -> None:
    team.add_node()
    run = {"template": template(team, exit_code=2), "dataset": {"name": "clicks", "version": "7"}, "backoffLimit": 0}
    for name in ("one", "two"):
        team.train(name, **run)
        wait_for(lambda name=name: team.condition("Failed", name).get("status") == "True", 30, f"{name} fails")
    team.train("three", deduplication="Reuse", **run)
    failed = team.until("Failed", "FailedTwice", "three")
    assert "one" in failed["message"]
    assert "set spec.deduplication to Warn" in failed["message"]
    assert team.find("jobs", "three") is None
    team.change("three", deduplication="Warn")
    wait_for(lambda: team.find("jobs", "three"), 20, "it is tried once more")
