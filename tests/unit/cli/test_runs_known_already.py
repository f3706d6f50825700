"""What `kubectl cost estimate` says of runs that the cluster knows already, and how schedules are summed up."""

from __future__ import annotations

from typing import Any

import pytest

from gpucost.api.convert import training_spec
from gpucost.cli.known_runs import said_of
from gpucost.cli.statuses import from_statuses
from gpucost.core.training.fingerprint import fingerprint

TEMPLATE = {"spec": {"containers": [{"name": "train", "image": "bert@sha256:" + "ab" * 32}]}}


def spec(**fields: Any) -> Any:
    dataset = {"name": "clicks", "version": "7"}
    found = training_spec({"spec": {"template": TEMPLATE, "dataset": dataset, **fields}})
    assert found.problems == ()
    return found.value


def item(name: str, kind: str = "", reason: str = "", *, exact: bool = True, cost: str = "") -> dict[str, Any]:
    made = fingerprint(spec())
    assert made is not None
    conditions = [{"type": kind, "status": "True", "reason": reason or kind}] if kind else []
    status: dict[str, Any] = {"fingerprint": {"digest": made.digest, "exact": exact}, "conditions": conditions}
    if cost:
        status["cost"] = {"total": cost, "currency": "USD", "asOf": "2026-11-25T02:00:00Z"}
    return {"metadata": {"name": name, "namespace": "research", "uid": f"uid-{name}"}, "spec": {}, "status": status}


def said(*items: dict[str, Any], **fields: Any) -> tuple[str, ...]:
    what = spec(**fields)
    made = fingerprint(what)
    assert made is not None
    return said_of(items, what, made.digest, "bert")


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (
            [item("one", "Complete", cost="7.500000")],
            "made before: one (cost 7.500000 USD); deduplication: Reuse uses",
        ),
        ([item("one", "Failed"), item("two", "Failed")], "has failed twice, last as two; change what is run"),
        ([item("one")], "goes on right now: one; both would be paid for"),
        ([item("two", "Failed"), item("one", "Complete")], "made before: one"),
    ],
)
def test_the_same_run_is_told_of(items: list[dict[str, Any]], words: str) -> None:
    (line,) = said(*items)
    assert words in line


@pytest.mark.parametrize(
    "items",
    [
        [],
        [item("bert", "Complete")],
        [item("one", "Complete", exact=False)],
        [item("one", "Complete", "Reused")],
        [item("one", "Failed")],
    ],
)
def test_nothing_is_said_of_itself_of_what_cannot_be_compared_and_of_one_failure(items: list[dict[str, Any]]) -> None:
    assert said(*items) == ()


def test_another_seed_is_another_run_and_reuse_says_what_would_happen() -> None:
    assert said(item("one", "Complete"), seed=2) == ()
    (line,) = said(item("one", "Complete"), deduplication="Reuse")
    assert line.endswith("this one would not start (deduplication: Reuse)")


def test_the_runs_of_a_schedule_are_in_its_sum_and_not_beside_it() -> None:
    parent = item("nightly", cost="30.000000")
    run = item("nightly-29926200", "Complete", cost="10.000000")
    run["metadata"]["ownerReferences"] = [
        {"kind": "TrainingJob", "name": "nightly", "uid": "uid-nightly", "controller": True}
    ]
    alone = item("bert", cost="5.000000")
    found = from_statuses([parent, run, alone], "workload")
    assert [row.workload for row in found.items] == ["TrainingJob/nightly", "TrainingJob/bert"]
    assert found.total.cost == "35.000000"
    assert from_statuses([run], "workload").total.cost == "10.000000", "its schedule is gone"
