"""Stored objects become records of the core; what is wrong is named, and nothing raises."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpucost.api.convert import Problem, conflicts, price_list, training_spec
from gpucost.api.kinds import PRICE_BOOK, TRAINING_JOB
from gpucost.core.clock import HOUR, MINUTE, parse_rfc3339
from gpucost.core.model import CapacityType, PriceEntry
from gpucost.core.training.spec import Outside, PlacementPolicy, PoolSelector, Schedule, Window, WorkloadRef


def job() -> dict[str, Any]:
    return copy.deepcopy(yaml.safe_load(TRAINING_JOB.example))


def book() -> dict[str, Any]:
    return copy.deepcopy(yaml.safe_load(PRICE_BOOK.example))


def problems(spec: Any) -> list[str]:
    return [str(problem) for problem in training_spec({"metadata": {"name": "x"}, "spec": spec}).problems]


def test_a_training_job_becomes_a_specification() -> None:
    spec = training_spec(job()).value
    assert spec is not None
    assert spec.schedule == Schedule("Europe/Berlin", (Window("0 20 * * 1-5", 10 * HOUR, CapacityType.SPOT),))
    assert spec.placement.policy is PlacementPolicy.SCHEDULED
    assert spec.placement.scheduling_timeout == 10 * MINUTE
    assert (spec.workers, spec.gpus_per_worker, spec.backoff_limit, spec.suspend) == (1, 8, 6, False)


def test_the_template_is_taken_over_untouched() -> None:
    body = job()
    body["spec"]["template"]["spec"]["aFieldOfTomorrow"] = {"deep": [1]}
    spec = training_spec(body).value
    assert spec is not None
    assert spec.template == body["spec"]["template"]


def test_without_a_schedule_the_policy_is_on_demand() -> None:
    spec = training_spec({"spec": {"workloadRef": {"name": "old"}}}).value
    assert spec is not None
    assert spec.placement.policy is PlacementPolicy.ON_DEMAND
    assert spec.workload_ref == WorkloadRef("old")
    assert spec.template is None


def test_pools_and_outside_are_converted() -> None:
    body = job()
    body["spec"]["schedule"]["outside"] = "Pause"
    body["spec"]["placement"] = {
        "spot": {"nodeSelector": {"pool": "s"}, "tolerations": [{"key": "spot", "operator": "Exists"}]}
    }
    spec = training_spec(body).value
    assert spec is not None
    assert spec.placement.spot == PoolSelector({"pool": "s"}, ({"key": "spot", "operator": "Exists"},))
    assert spec.schedule is not None
    assert spec.schedule.outside is Outside.PAUSE


def test_a_deadline_is_an_instant_whatever_its_offset() -> None:
    body = job()
    del body["spec"]["schedule"]
    body["spec"] |= {"completeBy": "2026-12-01T06:00:00+02:00", "expectedDuration": "20h"}
    body["spec"] |= {"placement": {"policy": "Auto"}, "checkpoint": {"interval": "30m"}}
    spec = training_spec(body).value
    assert spec is not None
    assert spec.complete_by == parse_rfc3339("2026-12-01T04:00:00Z")
    assert (spec.expected_duration, spec.checkpoint_interval) == (20 * HOUR, 30 * MINUTE)
    del body["spec"]["completeBy"]
    assert "policy Auto needs spec.completeBy" in str(training_spec(body).problems)


def test_fields_of_a_newer_version_are_ignored() -> None:
    body = job()
    body["spec"]["holidayPay"] = "double"
    body["spec"]["schedule"]["holidays"] = ["2026-12-25"]
    assert training_spec(body) == training_spec(job())


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (None, ["spec: must be an object"]),
        ("text", ["spec: must be an object, not 'text'"]),
        ({}, ["spec: set exactly one of template"]),
        ({"template": {"spec": {"containers": []}}}, ["spec.template.spec.containers: must have at least 1 items"]),
        ({"template": {"spec": {"containers": [{}]}}}, ["spec.template.spec.containers[0].name: required"]),
        ({"workloadRef": {"name": "a"}, "workers": 0}, ["spec.workers: must be at least 1, not 0"]),
        (
            {"workloadRef": {"kind": "Pod", "name": "a"}},
            ["spec.workloadRef.kind: must be 'Job' or 'JobSet', not 'Pod'"],
        ),
        (
            {"workloadRef": {"kind": "JobSet", "name": "a"}},
            ["spec.workloadRef: kind Job goes with apiVersion batch/v1, and kind JobSet with apiVersion jobset"],
        ),
        (
            {"workloadRef": {"name": "a"}, "schedule": {"windows": [{"start": "61 * * * *", "duration": "1h"}]}},
            ["spec.schedule.windows[0].start: must be a cron expression of five fields"],
        ),
        (
            {"workloadRef": {"name": "a"}, "placement": {"policy": "Scheduled", "schedulingTimeout": "1m"}},
            ["spec: policy Scheduled needs spec.schedule"],
        ),
        (
            {"workers": 10**6, "gpusPerWorker": 0, "placement": {"schedulingTimeout": "soon"}},
            [
                "spec.workers: must be at most 1024, not 1000000",
                "spec.gpusPerWorker: must be at least 1, not 0",
                "spec.placement.schedulingTimeout: must be a duration above zero",
            ],
        ),
    ],
)
def test_every_problem_names_the_field_and_what_is_right(spec: Any, said: list[str]) -> None:
    found = problems(spec)
    assert len(found) == len(said)
    for problem, words in zip(found, said, strict=True):
        assert problem.startswith(words)


def test_a_price_book_becomes_price_entries() -> None:
    converted = price_list(book())
    assert converted.problems == ()
    assert converted.value is not None
    assert converted.value.currency == "USD"
    source = "PriceBook/contract-2026"
    november = parse_rfc3339("2026-11-01T00:00:00Z")
    assert converted.value.entries == (
        PriceEntry(Decimal("55.04"), 0, CapacityType.ON_DEMAND, instance_type="p5.48xlarge", source=source),
        PriceEntry(Decimal("20.10"), november, CapacityType.SPOT, instance_type="p5.48xlarge", source=source),
        PriceEntry(Decimal("0.85"), 0, CapacityType.ON_DEMAND, gpu_model="L4", region="us-east-1", source=source),
    )


def test_one_bad_price_leaves_the_others_in_use() -> None:
    body = book()
    body["spec"]["prices"][1]["hourly"] = "-1"
    body["spec"]["prices"].append("rubbish")
    converted = price_list(body)
    assert converted.value is not None
    assert [entry.hourly for entry in converted.value.entries] == [Decimal("55.04"), Decimal("0.85")]
    assert [problem.field for problem in converted.problems] == ["spec.prices[1].hourly", "spec.prices[3]"]


def test_of_two_prices_for_one_thing_neither_is_used() -> None:
    body = book()
    body["spec"]["prices"].append({**body["spec"]["prices"][0], "hourly": "1"})
    converted = price_list(body)
    assert converted.value is not None
    assert [entry.hourly for entry in converted.value.entries] == [Decimal("20.10"), Decimal("0.85")]
    assert [problem.field for problem in converted.problems] == ["spec.prices[0]", "spec.prices[3]"]
    assert "spec.prices[3]" in converted.problems[0].message


@pytest.mark.parametrize("spec", [None, {}, {"prices": {}}, {"prices": None, "currency": "USD"}, []])
def test_a_book_without_a_list_of_prices_is_a_problem(spec: Any) -> None:
    converted = price_list({"metadata": {"name": "x"}, "spec": spec})
    assert converted.value is None
    assert converted.problems


def test_a_bad_currency_makes_the_whole_book_useless() -> None:
    body = book()
    body["spec"]["currency"] = "dollar"
    converted = price_list(body)
    assert converted.value is None
    assert [problem.field for problem in converted.problems] == ["spec.currency"]


def test_a_price_in_two_books_is_a_conflict_of_both() -> None:
    entry = PriceEntry(Decimal(1), 0, CapacityType.SPOT, gpu_model="H100", region="eu")
    other = PriceEntry(Decimal(2), 0, CapacityType.SPOT, gpu_model="L4")
    found = conflicts({"a": [entry, other], "b": [entry], "c": [other], "d": []})
    spot = "price of H100 in eu from 1970-01-01T00:00:00Z"
    assert found["b"] == (Problem("spec.prices", f"the spot {spot} is in PriceBook/a too: keep it in one book"),)
    assert len(found["a"]) == 2
    assert set(found) == {"a", "b", "c"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_nothing_that_can_be_stored_raises(value: Any) -> None:
    for body in ({"spec": value}, {"metadata": {"name": "x"}, "spec": {"prices": [value], "template": value}}):
        for converted in (training_spec(body), price_list(body)):
            assert converted.value is not None or converted.problems


@given(
    st.dictionaries(
        st.sampled_from(["suspend", "template", "workloadRef", "workers", "gpusPerWorker", "placement", "schedule"]),
        JSON,
    )
)
def test_rubbish_in_known_fields_is_a_problem_and_no_exception(spec: dict[str, Any]) -> None:
    converted = training_spec({"spec": spec})
    assert (converted.value is None) == bool(converted.problems)
    assert all(problem.field.startswith("spec") and problem.message for problem in converted.problems)
