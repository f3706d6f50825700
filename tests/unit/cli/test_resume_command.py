"""`kubectl cost resume`: what it patches and what it says; the patch itself meets a real API server in tests/e2e."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpucost.cli.failures import Failure
from gpucost.cli.resume import change_of
from unit.cli.conftest import ApiServer, Run

STOP = {
    "id": "2026-11-29T12:00:00Z",
    "rule": "Plateau/loss",
    "reason": "Plateau",
    "evidence": "loss has not improved in 5 evaluations",
    "checkpointTime": "2026-11-29T11:59:00Z",
    "checkpointStep": 600,
}
TAKEN_BACK = {"gpucost.dev/resume": "2026-11-29T12:00:00Z"}
PATH = "/apis/gpucost.dev/v1alpha1/namespaces/research/trainingjobs/bert"


def body(stop: dict[str, Any] | None = None, *conditions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    status: dict[str, Any] = {"conditions": list(conditions)}
    if stop is not None:
        status["earlyStopping"] = {"stop": stop}
    return {"metadata": {"uid": "u1"}, "spec": spec, "status": status}


def test_a_stop_is_taken_back_by_its_name() -> None:
    patch, words = change_of(body(STOP), {})
    assert patch == {"metadata": {"uid": "u1", "annotations": TAKEN_BACK}}
    assert words == (
        "resumed: Plateau/loss had stopped it at 2026-11-29T12:00:00Z; it goes on from its checkpoint of step 600 at "
        "2026-11-29T11:59:00Z; the rule judges what it does from now on"
    )


def test_a_budget_has_to_be_raised() -> None:
    stop = {**STOP, "rule": "Budget", "evidence": "spent 95.00 USD"}
    with pytest.raises(Failure, match="more than 100"):
        change_of(body(stop, budget={"cost": "100"}), {})
    with pytest.raises(Failure, match="the limit is 100 already"):
        change_of(body(stop, budget={"cost": "100"}), {"cost": "90"})
    with pytest.raises(Failure, match=r"has no limit spec\.budget\.gpuHours"):
        change_of(body(stop, budget={"cost": "100"}), {"gpuHours": "90"})
    patch, words = change_of(body(stop, budget={"cost": "100"}), {"cost": "200"})
    assert patch["spec"] == {"budget": {"cost": "200"}}
    assert patch["metadata"]["annotations"] == TAKEN_BACK
    assert words.endswith("spec.budget.cost is 200")


def test_a_run_that_its_user_suspended_is_resumed_too() -> None:
    patch, words = change_of(body(suspend=True), {})
    assert (patch["spec"], words) == ({"suspend": False}, "spec.suspend is false")


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"type": "Complete", "status": "True", "reason": "Complete", "message": "done"}, "it has ended"),
        ({"type": "Suspended", "status": "True", "reason": "OutsideWindow", "message": "paused"}, "OutsideWindow"),
        ({"type": "Suspended", "status": "True", "reason": "SuspendedByOther", "message": "kubectl patch"}, "kubectl"),
    ],
)
def test_what_it_cannot_resume_it_says(condition: dict[str, Any], words: str) -> None:
    with pytest.raises(Failure, match=words):
        change_of(body(None, condition), {})


def test_a_run_that_runs_is_left_alone() -> None:
    assert change_of(body(), {}) == ({}, "is not stopped: nothing to do")
    assert change_of(body({**STOP, "restarts": True}), {})[0] == {}


def test_it_asks_the_cluster_and_says_what_is_wrong(kubectl_cost: Run, api_server: ApiServer, tmp_path: Path) -> None:
    config = api_server.kubeconfig(tmp_path, namespace="research")
    missing = kubectl_cost("resume", "bert", "--kubeconfig", config)
    assert missing.exit_code == 2
    assert "the cluster knows no TrainingJob bert in namespace research" in missing.output
    api_server.answers[PATH] = (200, json.dumps(body()))
    fine = kubectl_cost("resume", "bert", "--kubeconfig", config)
    assert (fine.exit_code, fine.output) == (0, "trainingjob.gpucost.dev/bert is not stopped: nothing to do\n")
    wrong = kubectl_cost("resume", "bert", "--kubeconfig", config, "--budget", "-3")
    assert wrong.exit_code == 2
    assert "--budget '-3': must be an amount above 0, such as 800" in wrong.output
    assert kubectl_cost("resume", "bert", "-A").exit_code == 2
