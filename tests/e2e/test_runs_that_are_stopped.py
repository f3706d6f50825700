"""A run that has reached its target is stopped with a last checkpoint and resumed by one command; idle GPUs are given
back; both on the real API server, with tokens, exporters and Prometheus as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gpucost.cli.commands import cost
from gpucost.sdk import Run
from local import wait_for
from support.operator_world import Team
from support.reporting_pod import projected

pytestmark = pytest.mark.cluster

TARGET = {"type": "Target", "metric": "accuracy", "goal": "Maximize", "target": "0.9", "mode": "Enforce"}


def training(team: Team, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The SDK as in the one pod that runs, with a checkpoint whenever it is asked for one."""
    [pod] = wait_for(team.running, 45, "bert runs")
    for name, value in projected(team, pod, folder).items():
        monkeypatch.setenv(name, value)
    return Run(total_steps=1000, save=lambda _step: None, catch_sigterm=False, every=0.3)


def train_until(
    run: Run, done: Any, accuracy: list[float], what: str, *, first: int = 1, told: Any = str, metric: str = "accuracy"
) -> None:
    """Steps go on, the last value for ever, until something has happened."""
    steps = iter(range(first, 1000))

    def step() -> bool:
        number = next(steps)
        run.step(number, **{metric: accuracy[min(number - first, len(accuracy) - 1)]})
        return bool(done())

    wait_for(step, 45, lambda: f"{what}; the run: {run.sent} sent, {run.last_failure}; {told()}")


def test_a_run_at_its_target_is_stopped_with_a_checkpoint_and_resumed_by_one_command(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.add_node()
    team.train(earlyStopping=[{**TARGET, "grace": "1s", "warning": "1s"}])
    run = training(team, tmp_path, monkeypatch)
    with run:
        train_until(run, lambda: team.job()["spec"]["suspend"], [0.5, 0.7, 0.95], "the Job is suspended")
    stopped = team.until("EarlyStopped", "TargetReached")
    assert stopped["status"] == "True"
    assert "as good as the target 0.9" in stopped["message"]
    assert "saves 27.52 USD an hour" in stopped["message"]  # 4 of 8 GPUs
    assert f"kubectl cost resume bert -n {team.namespace}" in stopped["message"]
    stop = wait_for(lambda: team.status().get("earlyStopping", {}).get("stop"), 20, "the status tells of the stop")
    assert stop["checkpointStep"] > 0
    assert stop["checkpointTime"] >= team.status()["trainerStatus"]["lastCheckpoint"]["time"]
    assert team.notes()["suspend-reason"] == "stop"
    wait_for(lambda: not team.pods(), 30, "its pods have ended")
    assert team.condition("Ready")["reason"] == "EarlyStopped"
    assert len(team.events("EarlyStopped")) == 1
    assert team.events("ActionRecommended")

    command = ["resume", "bert", "-n", team.namespace, "--kubeconfig", str(team.cluster.kubeconfig)]
    resumed = CliRunner().invoke(cost, command, prog_name="kubectl cost")
    assert resumed.exit_code == 0, resumed.output
    assert "resumed: Target/accuracy had stopped it" in resumed.output
    again = training(team, tmp_path, monkeypatch)
    with again:
        train_until(again, lambda: again.sent >= 3, [0.96], "it reports again", first=stop["checkpointStep"] + 1)
    team.until("EarlyStopped", "Watching")
    assert team.running()
    assert not team.job()["spec"]["suspend"], "a target that was reached does not strike again"
    assert "stop" not in team.status()["earlyStopping"]


def test_idle_gpus_are_given_back_and_busy_or_unknown_ones_are_not(team: Team) -> None:
    team.add_node("on-demand", gpus=16)
    policy = {"after": "6s", "warning": "1s", "mode": "Enforce", "checkpoint": "Optional"}
    for name, given in {"idle": {}, "lost": {"fault": "engine-zero"}, "gone": {"fault": "missing"}}.items():
        share = "0.90" if name == "lost" else "0.00"
        template = team.template(gpus=4, utilization=share, **given)
        team.train(name, template=template, idle=policy, checkpoint={"timeout": "1s"})
    stopped = team.until("EarlyStopped", "GPUsIdle", "idle", timeout=90)
    assert "4 GPUs did nothing for 6s: engine, utilisation and power low" in stopped["message"]
    assert team.events("GPUIdleDetected", "idle")
    wait_for(lambda: not team.pods("idle"), 30, "its pods have ended")
    assert team.job("idle")["spec"]["suspend"]
    for name in ("lost", "gone"):
        assert not team.job(name)["spec"]["suspend"], name
        assert team.condition("Ready", name)["reason"] == "Running"


def test_a_run_that_diverges_starts_again_from_its_last_good_checkpoint(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server lets annotations of the template change while the Job is suspended; the next pod gets them."""
    team.add_node()
    rule = {"type": "Divergence", "metric": "loss", "mode": "Enforce", "grace": "1s", "warning": "1s"}
    team.train(earlyStopping=[rule])
    run = training(team, tmp_path, monkeypatch)
    [before] = team.running()
    with run:
        train_until(run, lambda: run.sent >= 2, [0.9, 0.8, 0.7], "it reports", metric="loss")
        run.saved(40, 0.5)
        train_until(
            run,
            lambda: "lastCheckpoint" in team.status().get("trainerStatus", {}),
            [0.6],
            "saved",
            first=41,
            metric="loss",
        )
        spoilt = [float("nan"), float("inf")] * 300
        train_until(
            run, lambda: team.events("EarlyStopped"), spoilt, "it diverges", first=500, told=team.status, metric="loss"
        )
    [again] = wait_for(
        lambda: [pod for pod in team.running() if pod["metadata"]["uid"] != before["metadata"]["uid"]], 45, "a new pod"
    )
    assert again["metadata"]["annotations"]["progress.gpucost.dev/restore-step"] == "40"
    variables = {one["name"]: one for one in again["spec"]["containers"][0]["env"]}
    path = variables["GPUCOST_RESTORE_STEP"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.annotations['progress.gpucost.dev/restore-step']"
    team.until("EarlyStopped", "Watching")
    assert team.notes()["divergence-restarts"] == "1"


def test_a_budget_is_kept_and_a_higher_one_lets_the_run_go_on(team: Team) -> None:
    """27.52 USD an hour; looking ahead 1 s + 2 s + 60 s + 1 s, 49 cents are kept back."""
    team.add_node()
    budget = {"cost": "0.55", "mode": "Enforce", "restart": "1s"}
    team.train(template=team.template(grace=2), budget=budget, checkpoint={"timeout": "1s"})
    exceeded = team.until("BudgetExceeded", "LimitReached", timeout=60)
    assert exceeded["status"] == "True"
    assert "limit 0.55 USD" in exceeded["message"]
    assert team.condition("Ready")["reason"] == "BudgetExceeded"
    wait_for(lambda: not team.pods(), 30, "its pods have ended")
    assert len(team.events("BudgetExceeded")) == 1
    spent = wait_for(
        lambda: team.status()["cost"].get("hourly") == "0.00" and team.status()["cost"], 30, "cost at rest"
    )
    assert 0 < float(spent["total"]) < 0.55

    command = ["resume", "bert", "-n", team.namespace, "--kubeconfig", str(team.cluster.kubeconfig)]
    refused = CliRunner().invoke(cost, command, prog_name="kubectl cost")
    assert refused.exit_code == 2
    assert "a higher limit lets it go on: --budget AMOUNT, more than 0.55" in refused.output
    raised = CliRunner().invoke(cost, [*command, "--budget", "50"], prog_name="kubectl cost")
    assert raised.exit_code == 0, raised.output
    wait_for(team.running, 30, "it runs again")
    team.until("BudgetExceeded", "WithinBudget")
