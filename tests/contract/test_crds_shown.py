"""What users see of the custom resources: status, columns, explanations; and what cannot be changed."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from crd_cases import Server, assert_refused, create, price_book, training_job, with_template

from gpucost.api.kinds import KINDS, PRICE_BOOK, TRAINING_JOB
from local import LocalCluster

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def server(cluster: LocalCluster) -> Server:
    """The session's cluster, which has the CRDs of this tree."""
    return Server(cluster.kubeconfig)


@pytest.fixture
def stored(server: Server) -> Iterator[dict[str, Any]]:
    """A TrainingJob that is really there."""
    body = training_job(with_template(), name=f"run-{uuid.uuid4().hex[:8]}")
    server.kubectl("create", "-f", "-", text=json.dumps(body))
    yield copy.deepcopy(body)
    server.kubectl("delete", "tj", body["metadata"]["name"], "-n", "default", "--wait=false")


def patch(server: Server, body: dict[str, Any], change: dict[str, Any], *more: str) -> CompletedProcess[str]:
    name = body["metadata"]["name"]
    return server.kubectl(
        "patch", "tj", name, "-n", "default", "--type=merge", "-p", json.dumps(change), *more, check=False
    )


def test_the_choice_between_template_and_reference_is_final(server: Server, stored: dict[str, Any]) -> None:
    result = patch(server, stored, {"spec": {"template": None, "workloadRef": {"name": "old"}}})
    assert_refused(result, "spec", "the choice between template and workloadRef cannot be changed")


def test_an_adopted_job_cannot_be_exchanged(server: Server) -> None:
    body = training_job({"workloadRef": {"name": "first"}}, name=f"adopt-{uuid.uuid4().hex[:8]}")
    server.kubectl("create", "-f", "-", text=json.dumps(body))
    try:
        result = patch(server, body, {"spec": {"workloadRef": {"name": "second"}}})
        assert_refused(result, "spec.workloadRef", "cannot be changed")
        assert patch(server, body, {"spec": {"suspend": True}}).returncode == 0
    finally:
        server.kubectl("delete", "tj", body["metadata"]["name"], "-n", "default", "--wait=false")


STATUS = {
    "observedGeneration": 1,
    "conditions": [
        {
            "type": kind,
            "status": "True",
            "reason": "Running" if kind == "Ready" else "Any",
            "message": "",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-11-02T08:00:00Z",
        }
        for kind in ("Ready", "Suspended", "Complete", "Failed", "Migrating", "Invalid")
    ],
    "workers": 4,
    "jobsStatus": [{"name": "bert", "ready": 4, "active": 4, "succeeded": 0, "failed": 0, "suspended": 0}],
    "placement": {
        "current": "OnDemand",
        "since": "2026-11-02T08:00:00Z",
        "window": {"start": "2026-11-02T20:00:00Z", "end": "2026-11-03T06:00:00Z"},
        "next": {"at": "2026-11-03T06:00:00Z", "placement": "Spot"},
    },
    "waiting": {"reason": "Unschedulable", "message": "0/3 nodes are available", "since": "2026-11-02T08:00:00Z"},
    "interruptions": {"count": 2, "last": "2026-11-02T09:00:00Z"},
    "cost": {
        "currency": "USD",
        "total": "1030.12",
        "hourly": "220.16",
        "spot": "30.12",
        "onDemand": "1000.00",
        "wasted": "402.00",
        "saved": "91.00",
        "gpuHours": "412.00",
        "asOf": "2026-11-02T10:00:00Z",
        "coverage": "1",
    },
}


def test_the_whole_status_is_stored(server: Server, stored: dict[str, Any]) -> None:
    result = patch(server, stored, {"status": STATUS}, "--subresource=status", "-o", "json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["status"] == STATUS


def test_a_condition_cannot_be_there_twice(server: Server, stored: dict[str, Any]) -> None:
    twice = {"status": {"conditions": [STATUS["conditions"][0]] * 2}}
    assert_refused(patch(server, stored, twice, "--subresource=status"), "status.conditions[1]", "Duplicate value")


def test_kubectl_get_fits_a_terminal(server: Server, stored: dict[str, Any]) -> None:
    assert patch(server, stored, {"status": STATUS}, "--subresource=status").returncode == 0
    name = stored["metadata"]["name"]
    shown = server.kubectl("get", "tj", name, "-n", "default").stdout
    header, row = shown.splitlines()
    assert header.split() == ["NAME", "STATUS", "PLACEMENT", "GPU-H", "COST", "$/HOUR", "AGE"]
    assert row.split()[1:6] == ["Running", "OnDemand", "412.00", "1030.12", "220.16"]
    # beside a namespace column of `default` and its gap; the name is 12 characters long
    assert max(len(line.rstrip()) for line in shown.splitlines()) + len("NAMESPACE   ") <= 80
    wide = server.kubectl("get", "tj", name, "-n", "default", "-o", "wide").stdout
    for column in ("WINDOW ENDS", "NEXT AT", "WASTED", "SAVED", "WAITING"):
        assert column in wide
    assert "0/3 nodes are available" in wide


def test_both_kinds_are_in_the_category(server: Server) -> None:
    listed = server.kubectl("api-resources", "--categories=gpucost", "--no-headers", "-o", "name").stdout.split()
    assert sorted(listed) == sorted(kind.crd_name for kind in KINDS)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            "tj.spec.schedule",
            ["Example: spot capacity on weekday nights", 'start: "0 20 * * 1-5"', "outside: OnDemand"],
        ),
        ("tj.spec.schedule.windows", ["cron expression of five fields", "Saturday", "`1h30m`", "enum: Spot, OnDemand"]),
        ("tj.spec.template", ["containers:", "nvidia.com/gpu: 8"]),
        ("pb.spec.prices", ["price of one GPU", 'hourly: "2.60"', "RFC 3339 in UTC"]),
    ],
)
def test_kubectl_explain_is_enough_to_write_one(server: Server, path: str, words: list[str]) -> None:
    shown = server.kubectl("explain", path).stdout
    flat = " ".join(shown.split())
    for word in words:
        assert word.casefold() in flat.casefold(), shown


def test_what_is_explained_can_be_applied(server: Server) -> None:
    """The example inside the description of `schedule` and `prices`, taken out of it as a reader would."""
    schedule = example_in(TRAINING_JOB.spec.model_fields["schedule"].description)
    windows = example_in(
        TRAINING_JOB.spec.model_fields["schedule"].annotation.__args__[0].model_fields["windows"].description
    )
    template = example_in(TRAINING_JOB.spec.model_fields["template"].description)
    for spec in ({**template, **schedule}, {**template, "schedule": windows}):
        result = create(server, training_job(spec))
        assert result.returncode == 0, result.stderr
    result = create(server, price_book(example_in(PRICE_BOOK.spec.model_fields["prices"].description)))
    assert result.returncode == 0, result.stderr


def example_in(description: str | None) -> dict[str, Any]:
    blocks = [block for block in (description or "").split("\n\n") if ":\n" in block]
    return yaml.safe_load(blocks[0])
