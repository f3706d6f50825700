"""What the API server accepts and refuses: every refusal names the field and says what is right."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from crd_cases import (
    BAD_BOOKS,
    BAD_JOBS,
    CONTAINER,
    GOOD_BOOKS,
    GOOD_JOBS,
    H100,
    REMOVE,
    Server,
    assert_refused,
    create,
    price,
    price_book,
    scheduled,
    training_job,
)

from gpucost.api.convert import price_list, training_spec
from gpucost.api.kinds import KINDS, Kind
from local import LocalCluster

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def server(cluster: LocalCluster) -> Server:
    """The session's cluster, which has the CRDs of this tree."""
    return Server(cluster.kubeconfig)


@pytest.mark.parametrize("spec", GOOD_JOBS.values(), ids=GOOD_JOBS.keys())
def test_a_good_training_job_is_accepted(server: Server, spec: dict[str, Any]) -> None:
    assert create(server, training_job(spec)).returncode == 0, create(server, training_job(spec)).stderr


@pytest.mark.parametrize(("spec", "field", "words"), BAD_JOBS.values(), ids=BAD_JOBS.keys())
def test_a_bad_training_job_is_refused_by_field_and_remedy(
    server: Server, spec: dict[str, Any], field: str, words: str
) -> None:
    assert_refused(create(server, training_job(spec)), field, words)


@pytest.mark.parametrize("spec", GOOD_BOOKS.values(), ids=GOOD_BOOKS.keys())
def test_a_good_price_book_is_accepted(server: Server, spec: dict[str, Any]) -> None:
    assert create(server, price_book(spec)).returncode == 0, create(server, price_book(spec)).stderr


@pytest.mark.parametrize(("spec", "field", "words"), BAD_BOOKS.values(), ids=BAD_BOOKS.keys())
def test_a_bad_price_book_is_refused_by_field_and_remedy(
    server: Server, spec: dict[str, Any], field: str, words: str
) -> None:
    assert_refused(create(server, price_book(spec)), field, words)


ONLY_THE_SERVER_CHECKS = {
    "one rule twice",  # the core does, with the whole specification before it
    "two containers of one name",
    "zero GPUs",
    "a million GPUs",
    "65 GPUs",
    "half a GPU",
    "negative GPUs",
    "two numbers of GPUs",
    "the code of a signal",
    "an unknown zone",
    "the zone of the server",
    "an offset for a zone",
    "workers of an adopted job",
    "an unknown toleration",
}
"""What no later step relies on, or the core or the Job's own dry run checks again."""


@pytest.mark.parametrize("spec", GOOD_JOBS.values(), ids=GOOD_JOBS.keys())
def test_what_the_server_accepts_the_operator_can_read(server: Server, spec: dict[str, Any]) -> None:
    stored = json.loads(create(server, training_job(spec)).stdout)
    assert training_spec(stored).problems == training_spec(training_job(spec)).problems == ()
    assert training_spec(stored).value == training_spec(training_job(spec)).value, "defaults differ"


@pytest.mark.parametrize("name", sorted(BAD_JOBS.keys() - ONLY_THE_SERVER_CHECKS))
def test_what_the_server_refuses_the_operator_refuses_too(name: str) -> None:
    spec, field, _ = BAD_JOBS[name]
    found = training_spec(training_job(spec)).problems
    assert any(field.startswith(problem.field) for problem in found), found


@pytest.mark.parametrize("spec", GOOD_BOOKS.values(), ids=GOOD_BOOKS.keys())
def test_what_the_server_accepts_can_be_used_as_prices(server: Server, spec: dict[str, Any]) -> None:
    stored = json.loads(create(server, price_book(spec)).stdout)
    assert price_list(stored).problems == price_list(price_book(spec)).problems == ()
    assert price_list(stored).value == price_list(price_book(spec)).value, "defaults differ"


@pytest.mark.parametrize(("spec", "field"), [(s, f) for s, f, _ in BAD_BOOKS.values()], ids=BAD_BOOKS.keys())
def test_prices_the_server_refuses_are_problems_for_the_operator(spec: dict[str, Any], field: str) -> None:
    assert any(field.startswith(problem.field) for problem in price_list(price_book(spec)).problems)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_the_documented_example_is_accepted(server: Server, kind: Kind) -> None:
    example = yaml.safe_load(kind.example)
    example["metadata"].pop("namespace", None)
    result = create(server, example)
    assert result.returncode == 0, result.stderr


def test_defaults_are_filled_in(server: Server) -> None:
    spec = json.loads(create(server, training_job(scheduled())).stdout)["spec"]
    assert spec["workers"] == 1
    assert spec["backoffLimit"] == 6
    assert spec["suspend"] is False
    assert spec["placement"] == {"schedulingTimeout": "10m"}
    assert spec["schedule"]["timeZone"] == "UTC"
    assert spec["schedule"]["outside"] == "OnDemand"
    assert spec["schedule"]["windows"][0]["placement"] == "Spot"


def test_prices_get_their_defaults(server: Server) -> None:
    stored = json.loads(create(server, price_book(price(effectiveFrom=REMOVE))).stdout)["spec"]
    assert stored["currency"] == "USD"
    assert stored["prices"] == [
        {
            "gpuModel": "H100",
            "instanceType": "",
            "region": "",
            "zone": "",
            "capacityType": "onDemand",
            "hourly": "6.88",
            "effectiveFrom": "1970-01-01T00:00:00Z",
        }
    ]


def test_the_pod_template_is_preserved_to_the_last_field(server: Server) -> None:
    template = {
        "metadata": {"labels": {"team": "nlp"}, "annotations": {"note": "kept"}},
        "spec": {
            "containers": [{**CONTAINER, "env": [{"name": "A", "value": "1"}], "resources": {"limits": {"cpu": "4"}}}],
            "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}],
            "aFieldOfTomorrow": {"deep": [1, "two"]},
        },
    }
    assert json.loads(create(server, training_job({"template": template})).stdout)["spec"]["template"] == template


def test_the_largest_allowed_objects_pass_every_rule(server: Server) -> None:
    cron = ",".join(str(minute) for minute in range(24)) + " * * * *"
    containers = [{"name": f"c{i}", "resources": {"limits": {"nvidia.com/gpu": 64}}} for i in range(32)]
    spec = {
        "template": {"spec": {"containers": containers, "initContainers": containers}},
        "schedule": {"windows": [{"start": cron, "duration": "99999h59m59.999s"}] * 32},
    }
    result = create(server, training_job(spec))
    assert result.returncode == 0, result.stderr
    many = [{"gpuModel": f"model-{i:04}" + "x" * 100, "hourly": "123456789.123456789"} for i in range(2048)]
    year = {"effectiveFrom": "2026-01-01T00:00:00Z", "effectiveUntil": "2027-01-01T00:00:00Z"}
    result = create(server, price_book({"prices": [{**one, **year} for one in many]}))
    assert result.returncode == 0, result.stderr
    result = create(server, price_book({"prices": [*many, H100]}))
    assert_refused(result, "spec.prices", "at most 2048")
