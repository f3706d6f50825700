"""Runs under a deadline on the real control plane: spot as long as it is safe, a checkpoint before a node goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpucost.sdk import Run
from local import wait_for
from local.karpenter import L4, Karpenter
from support.independent_count import moment
from support.operator_world import Team, team_in
from support.reporting_pod import projected

if TYPE_CHECKING:
    from support.live import Live

pytestmark = pytest.mark.cluster

SELECTOR = "karpenter.sh/capacity-type"


def after(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def auto(**more: Any) -> dict[str, Any]:
    return {"policy": "Auto", **more}


def place(team: Team, kind: str, name: str = "bert", *, other: str = "") -> str:
    """The node of a capacity type on which the one worker runs."""

    def node() -> str | None:
        for pod in team.running(name):
            found = team.cluster.api.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")
            there = found["metadata"]["labels"].get(SELECTOR) == kind and found["metadata"]["name"] != other
            if there and team.condition("Ready", name).get("reason") == "Running":
                return str(found["metadata"]["name"])
        return None

    return wait_for(node, 90, lambda: f"{name} runs on {kind}: {team.status(name)}")


def test_a_run_with_time_starts_on_spot_and_saves_before_its_node_is_taken(
    live: Live, karpenter: Karpenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with team_in(live.cluster) as team:
        template = team.template(gpus=1, shutdown="8s", grace=30)
        template["spec"]["nodeSelector"] = {"node.kubernetes.io/instance-type": L4.name}
        team.train(template=template, placement=auto(), completeBy=after(hours=8), expectedDuration="2h")
        team.train("urgent", template=template, placement=auto(), completeBy=after(hours=2.1), expectedDuration="2h")
        first = place(team, "spot")
        assert place(team, "on-demand", "urgent")
        assert (
            team.job("urgent")["spec"]["template"]["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
        )
        assert team.job()["spec"]["template"]["metadata"]["annotations"].get("karpenter.sh/do-not-disrupt") is None
        for name, value in projected(team, team.running()[0], tmp_path).items():
            monkeypatch.setenv(name, value)

        with Run(total_steps=100, catch_sigterm=False, every=0.3) as run:
            run.report(10)
            run.saved(10, 2.0)
            wait_for(lambda: team.status().get("trainerStatus", {}).get("lastCheckpoint"), 50, "the run reports")
            assert run.wish() == 0
            saved = moment(team.status()["trainerStatus"]["lastCheckpoint"]["time"])
            wait_for(
                lambda: datetime.now(UTC) > saved + timedelta(seconds=2), 10, "the checkpoint is not the newest news"
            )
            karpenter.interrupt(first)
            wait_for(
                lambda: run.report(11) or run.wish() == 1, 15, lambda: f"a checkpoint is asked for {run.last_failure}"
            )
            run.saved(11, 2.0)
            wait_for(lambda: team.events("NodeGoing"), 20, "the notice is told")

        second = place(team, "spot", other=first)
        assert second != first
        status = wait_for(lambda: (s := team.status()).get("interruptions", {}).get("count") == 1 and s, 30, "counted")
        assert status["deadline"]["workLeftFrom"] in {"Reports", "Checkpoints"}
        assert status["changeover"]["samples"] >= 1
        assert status["checkpointing"]["savingMeasured"] is True
        assert team.condition("DeadlineAtRisk")["status"] == "False"
        assert team.job()["status"].get("failed", 0) == 0


def test_a_deadline_that_presses_takes_a_run_that_finds_no_spot_to_on_demand(team: Team) -> None:
    dear = team.add_node("on-demand")
    placement = auto(schedulingTimeout="2s")
    team.train(placement=placement, completeBy=after(hours=4), expectedDuration="3h")
    wait_for(lambda: team.notes().get("placement") == "spot", 20, "spot is asked for")
    wait_for(lambda: team.condition("Ready").get("reason") == "Waiting", 20, "there is none")

    team.change(completeBy=after(hours=3, minutes=10))

    team.until_runs_on(dear)
    wait_for(lambda: team.events("MovedToOnDemand"), 20, "the move is told")
    assert team.condition("DeadlineAtRisk")["reason"] in {"InTime", "DeadlineOutOfReach"}
    assert team.notes()["move-reason"] in {"DeadlineNear", "DeadlineOutOfReach"}
    pod = team.job()["spec"]["template"]["metadata"]["annotations"]
    assert pod["karpenter.sh/do-not-disrupt"] == "true"


def test_a_gang_that_cannot_start_whole_gives_its_nodes_back(team: Team) -> None:
    team.add_node("spot", gpus=8)
    template = team.template(gpus=8)
    placement = {"policy": "Spot", "schedulingTimeout": "3s"}
    team.train(workers=2, template=template, placement=placement)

    team.until("Ready", "GangReleased")

    wait_for(lambda: not team.pods(), 40, "nothing burns")
    assert team.job()["spec"]["suspend"] is True
    assert team.notes()["gang-releases"] == "1"
    assert "tried again" in team.condition("Ready")["message"]


def test_a_deadline_in_the_past_is_a_mistake_that_is_named(team: Team) -> None:
    team.add_node()
    team.train(placement=auto(), completeBy=after(hours=-1), expectedDuration="1h")
    condition = team.until("Invalid", "Invalid")
    assert "spec.completeBy" in condition["message"]
    assert "has passed" in condition["message"]
    assert team.find("jobs", "bert") is None
