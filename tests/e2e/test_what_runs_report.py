"""A run reports as its pod would: with what its Job gave it, by tokens that the API server issued, to the real door."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gpucost.sdk import CA_CERT, URL, Run
from local import wait_for
from support.operator_world import Team
from support.reporting_pod import projected, token_of

pytestmark = pytest.mark.cluster


def send(environment: dict[str, str], token: str, url: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"trainerStatus": {"progressPercentage": 99}}).encode()
    request = urllib.request.Request(url or environment[URL], body, headers, method="POST")
    try:
        context = ssl.create_default_context(cafile=environment[CA_CERT])
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def whole(said: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a run said once all of it has arrived: its checkpoint may come with the next message."""
    return said if said and "lastCheckpoint" in said else None


def test_a_run_reports_for_itself_and_for_nobody_else(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.add_node()
    for name in ("bert", "gpt"):
        team.train(name)
    bert, gpt = (wait_for(lambda name=name: team.running(name), 45, f"{name} runs")[0] for name in ("bert", "gpt"))
    environment = projected(team, bert, tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with Run(total_steps=100, catch_sigterm=False, every=0.2) as run:
        run.report(25, metrics={"loss": 0.5, "grad_norm": float("inf")})
        run.saved(24, 1.5)
        wait_for(lambda: run.sent or run.failures > 3, 10, lambda: run.last_failure)
    assert run.sent, run.last_failure
    said = wait_for(lambda: whole(team.status().get("trainerStatus")), 20, "the status shows what the run said")

    assert (said["progressPercentage"], said["step"]) == (25, 25)
    assert said["metrics"] == [{"name": "grad_norm", "value": "inf"}, {"name": "loss", "value": "0.5"}]
    assert said["lastCheckpoint"]["step"] == 24
    assert send(environment, token_of(team, gpt, "progress.gpucost.dev")) == 403
    assert (
        send(environment, token_of(team, bert, "progress.gpucost.dev"), environment[URL].replace("bert", "gpt")) == 403
    )
    assert send(environment, token_of(team, bert, "https://kubernetes.default.svc")) == 401
    assert send(environment, "made.up.token") == 401
    assert "trainerStatus" not in team.status("gpt")
