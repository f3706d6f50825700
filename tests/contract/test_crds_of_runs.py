"""What the API server accepts and refuses of datasets, runs by a calendar, and the guard against running twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from crd_cases import REMOVE, WINDOW, Server, assert_refused, create, training_job, with_template

from gpucost.api.convert import training_spec
from local import LocalCluster

pytestmark = pytest.mark.cluster

NIGHTLY = {"cron": "0 2 * * *"}
QUALITY = {"query": "min(accuracy)", "below": "0.92"}


def runs(**fields: Any) -> dict[str, Any]:
    return with_template(schedule={"runs": {k: v for k, v in {**NIGHTLY, **fields}.items() if v is not REMOVE}})


def data(**fields: Any) -> dict[str, Any]:
    return with_template(dataset={"name": "clicks", **fields})


GOOD: dict[str, dict[str, Any]] = {
    "every night": runs(),
    "every night in a zone, in windows": with_template(
        schedule={"timeZone": "Europe/Berlin", "runs": NIGHTLY, "windows": [WINDOW], "outside": "Pause"}
    ),
    "runs on spot capacity": {**runs(), "placement": {"policy": "Spot"}},
    "quality under a limit": runs(quality=QUALITY, atLeastEvery="720h", startingDeadline="6h"),
    "loss over a limit": runs(quality={"query": "max(loss)", "above": "-0.5"}),
    "a version": data(version="2026-11-20"),
    "a version by annotation": data(),
    "a version in a ConfigMap": data(versionFrom={"configMap": {"name": "datasets", "key": "clicks"}}),
    "a version at a claim": data(versionFrom={"claim": {"name": "clicks-data"}}),
    "everything named": with_template(
        baseModel={"name": "meta-llama/Llama-3.1-8B", "revision": "0e9e39f"},
        seed=-1,
        deduplication="Reuse",
        deduplicationIgnoredEnv=["TRACE_ID", "RUN_*"],
    ),
}
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "runs without a calendar": (runs(cron=REMOVE), "spec.schedule.runs.cron", "Required"),
    "minute 61": (runs(cron="61 * * * *"), "spec.schedule.runs.cron", "minute (0-59)"),
    "no deadline": (runs(startingDeadline="0s"), "spec.schedule.runs.startingDeadline", "above zero"),
    "no history": (runs(successfulRunsHistoryLimit=0), "successfulRunsHistoryLimit", "greater than or equal to 1"),
    "a quality without a limit": (
        runs(quality={"query": "up"}),
        "spec.schedule.runs.quality",
        "exactly one of below and above",
    ),
    "two limits": (runs(quality={**QUALITY, "above": "1"}), "spec.schedule.runs.quality", "exactly one"),
    "a limit that is no number": (
        runs(quality={"query": "up", "below": "low"}),
        "spec.schedule.runs.quality.below",
        "must be a number as a string",
    ),
    "runs of a Job that exists": (
        {"workloadRef": {"name": "old"}, "schedule": {"runs": NIGHTLY}},
        "spec.schedule",
        "runs are made from spec.template",
    ),
    "an empty schedule": (with_template(schedule={"timeZone": "UTC"}), "spec.schedule", "needs windows"),
    "a policy that needs windows": (
        {**runs(), "placement": {"policy": "Scheduled"}},
        "spec.schedule",
        "needs spec.schedule.windows",
    ),
    "two versions": (
        data(version="1", versionFrom={"claim": {"name": "clicks-data"}}),
        "spec.dataset",
        "set one of them",
    ),
    "a source without a source": (data(versionFrom={}), "spec.dataset.versionFrom", "exactly one of configMap"),
    "many runs and one deadline": (
        {**runs(), "completeBy": "2026-12-24T18:00:00Z"},
        "spec.completeBy",
        "leave one of them out",
    ),
    "an unknown guard": (with_template(deduplication="Maybe"), "spec.deduplication", "Unsupported value"),
    "every variable ignored": (
        with_template(deduplicationIgnoredEnv=["*"]),
        "spec.deduplicationIgnoredEnv[0]",
        "name of an environment variable",
    ),
    "an existing Job reused": (
        {"workloadRef": {"name": "old"}, "deduplication": "Reuse"},
        "spec.deduplication",
        "use Warn or Off",
    ),
}


@pytest.fixture(scope="module")
def server(cluster: LocalCluster) -> Server:
    """The session's cluster, which has the CRDs of this tree."""
    return Server(cluster.kubeconfig)


@pytest.mark.parametrize("spec", GOOD.values(), ids=GOOD.keys())
def test_it_is_accepted_and_understood(server: Server, spec: dict[str, Any]) -> None:
    answer = create(server, training_job(spec))
    assert answer.returncode == 0, answer.stderr
    assert training_spec(json.loads(answer.stdout)).problems == ()


@pytest.mark.parametrize(("spec", "field", "words"), BAD.values(), ids=BAD.keys())
def test_it_is_refused_by_field_and_remedy_and_so_does_the_operator(
    server: Server, spec: dict[str, Any], field: str, words: str
) -> None:
    assert_refused(create(server, training_job(spec)), field, words)
    assert training_spec(training_job(spec)).problems != ()


def test_runs_are_neither_added_nor_taken_away_later(server: Server) -> None:
    stored = training_job(runs(), name="settled")
    server.kubectl("create", "-f", "-", text=json.dumps(stored))
    try:
        patch = json.dumps({"spec": {"schedule": None}})
        refused = server.kubectl("patch", "tj", "settled", "--type=merge", "-p", patch, check=False)
        assert "create another one" in refused.stderr
        later = json.dumps({"spec": {"schedule": {"runs": {"cron": "0 3 * * *"}}}})
        server.kubectl("patch", "tj", "settled", "--type=merge", "-p", later)
    finally:
        server.kubectl("delete", "tj", "settled")
