"""Metrics that a run does not send: out of its log, which a kubelet's own code serves, and by the real Prometheus."""

from __future__ import annotations

from typing import Any

import pytest

from local import wait_for
from local.objects import run_for
from support.container_log import ContainerLog
from support.operator_world import Team

pytestmark = pytest.mark.cluster

PATTERN = r"step (?P<step>\d+) loss=(?P<loss>\S+)|eval_loss=(?P<eval_loss>\S+)"


def metrics(status: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in status.get("trainerStatus", {}).get("metrics", ())}


def until_shown(team: Team, name: str, **wanted: str) -> dict[str, Any]:
    def shown() -> dict[str, Any] | None:
        status = team.status(name)
        return status if wanted.items() <= metrics(status).items() else None

    return wait_for(shown, 45, lambda: f"{wanted}: {team.status(name).get('trainerStatus')} {team.events(name=name)}")


def test_a_log_is_followed_through_everything_that_happens_to_logs(team: Team) -> None:
    team.add_node()
    team.train(metrics={"push": "Off", "log": {"pattern": PATTERN}})
    pod = wait_for(team.running, 45, "the job runs")[0]["metadata"]["name"]
    log = ContainerLog(team.cluster, team.namespace, pod)
    log.write("starting \xff\xfe".encode("latin-1"))
    log.write("step 1 loss=0.5")
    status = until_shown(team, "bert", loss="0.5")
    assert (status["trainerStatus"]["source"], status["trainerStatus"]["step"]) == ("log", 1)
    log.write(b"x" * 10_000_000)
    log.write("eval_loss=0.75")
    log.write("step 2 loss=nan")
    until_shown(team, "bert", loss="nan", eval_loss="0.75")
    log.rotate()
    log.write("step 3 loss=0.125")
    status = until_shown(team, "bert", loss="0.125", eval_loss="0.75")
    assert status["trainerStatus"]["step"] == 3
    assert team.condition("MetricsKnown")["status"] == "True"


def test_the_real_prometheus_answers_for_many_and_says_what_is_wrong_with_one(team: Team) -> None:
    team.add_node()
    questions = {
        "loss": "vector(0.25)",
        "step": "scalar(vector(40))",
        "several": "vector(1) or label_replace(vector(2), 'pod', 'b', '', '')",
        "wrong": "no_such_function(up)",
        "nothing": "no_such_series",
        "undefined": "vector(0) / vector(0)",
    }
    queries = [{"name": name, "query": query} for name, query in questions.items()]
    team.train("gpt", metrics={"push": "Off", "prometheus": queries})
    team.train(metrics={"push": "Off", "prometheus": [{"name": "acc", "query": "vector(0.5)"}]})
    until_shown(team, "bert", acc="0.5")
    wait_for(lambda: team.status("gpt").get("trainerStatus", {}).get("step"), 30, "the step is shown")
    status = until_shown(team, "gpt", loss="0.25")
    assert (status["trainerStatus"]["source"], status["trainerStatus"]["step"]) == ("prometheus", 40)
    assert metrics(status) == {"loss": "0.25"}

    told = wait_for(lambda: len(team.events("MetricUnknown", "gpt")) >= 2 and team.events("MetricUnknown", "gpt"), 30)
    notes = sorted(event["note"] for event in told)
    assert notes[0].startswith("spec.metrics.prometheus[several].query: the query has several series")
    assert notes[1].startswith("spec.metrics.prometheus[wrong].query: Prometheus refuses the query: ")
    assert "no_such_function" in notes[1]
    condition = team.until("MetricsKnown", "SeveralSeries", "gpt")
    assert "spec.metrics.prometheus[wrong].query" in condition["message"]


def test_the_last_words_of_a_run_stay_in_its_status(team: Team) -> None:
    team.add_node()
    template = team.template(message='{"eval_loss": 0.21, "step": 1000, "note": "done"}')
    template["metadata"]["annotations"] |= run_for(1)
    team.train(template=template, metrics={"push": "Off", "terminationMessage": True})
    status = until_shown(team, "bert", eval_loss="0.21")["trainerStatus"]
    assert (status["source"], status["step"]) == ("terminationMessage", 1000)
    team.until("Complete", "Complete")
