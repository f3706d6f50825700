"""A run reports as its pod would: with what its Job gave it, by tokens that the API server issued, to the real door."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gpucost.sdk import CA_CERT, TOKEN, URL, Run
from local import wait_for
from support.operator_world import Team

pytestmark = pytest.mark.cluster


def token_of(team: Team, pod: dict[str, Any], audience: str) -> str:
    """A token as the kubelet asks for it: for the pod's account, bound to the pod."""
    metadata = pod["metadata"]
    reference = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
    spec = {"audiences": [audience], "expirationSeconds": 3600, "boundObjectRef": reference}
    account = f"/api/v1/namespaces/{team.namespace}/serviceaccounts/default/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return str(team.cluster.api.create(account, body)["status"]["token"])


def projected(team: Team, pod: dict[str, Any], folder: Path) -> dict[str, str]:
    """The pod's environment with its projected volume as files, as the kubelet makes them."""
    sources = next(v for v in pod["spec"]["volumes"] if v["name"] == "gpucost-progress")["projected"]["sources"]
    token, authority = sources[0]["serviceAccountToken"], sources[1]["downwardAPI"]["items"][0]
    annotation = authority["fieldRef"]["fieldPath"].removeprefix("metadata.annotations['").removesuffix("']")
    (folder / token["path"]).write_text(token_of(team, pod, token["audience"]))
    (folder / authority["path"]).write_text(pod["metadata"]["annotations"][annotation])
    values = {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}
    return {URL: values[URL], CA_CERT: str(folder / "ca.crt"), TOKEN: str(folder / "token")}


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
