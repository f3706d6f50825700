"""What the API server accepts and refuses: every refusal names the field and says what is right."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

import pytest
import yaml

from gpucost.api.convert import price_list, training_spec
from gpucost.api.kinds import KINDS, PRICE_BOOK, TRAINING_JOB, Kind
from local import LocalCluster
from local.programs import program

pytestmark = pytest.mark.cluster

CONTAINER = {"name": "train", "image": "train:1"}
TEMPLATE = {"spec": {"containers": [CONTAINER]}}
WINDOW = {"start": "0 20 * * 1-5", "duration": "10h"}
H100 = {"gpuModel": "H100", "hourly": "6.88", "effectiveFrom": "2026-11-01T00:00:00Z"}
REMOVE = object()


class Server:
    """kubectl against the cluster, with its exit status and what it said."""

    def __init__(self, kubeconfig: Path) -> None:
        self._command = [str(program("kubectl")), "--kubeconfig", str(kubeconfig)]

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> CompletedProcess[str]:
        done = run([*self._command, *arguments], input=text, capture_output=True, text=True, check=False, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="module")
def server(cluster: LocalCluster) -> Server:
    """The session's cluster, which has the CRDs of this tree."""
    return Server(cluster.kubeconfig)


def create(server: Server, manifest: dict[str, Any]) -> CompletedProcess[str]:
    """Create in a dry run: every check runs, nothing is stored."""
    return server.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", text=json.dumps(manifest), check=False)


def training_job(spec: dict[str, Any], name: str = "bert") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "gpucost.dev/v1alpha1", "kind": "TrainingJob", "metadata": metadata, "spec": spec}


def price_book(spec: dict[str, Any], name: str = "contract") -> dict[str, Any]:
    return {"apiVersion": "gpucost.dev/v1alpha1", "kind": "PriceBook", "metadata": {"name": name}, "spec": spec}


def with_template(**more: Any) -> dict[str, Any]:
    return {"template": TEMPLATE, **more}


def scheduled(**window: Any) -> dict[str, Any]:
    merged = {**WINDOW, **window}
    return with_template(schedule={"windows": [{k: v for k, v in merged.items() if v is not REMOVE}]})


def gpus(amount: Any, part: str = "limits") -> dict[str, Any]:
    container = {**CONTAINER, "resources": {part: {"nvidia.com/gpu": amount, "cpu": 4}}}
    return {"template": {"spec": {"containers": [container]}}}


def prices(*each: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"prices": list(each), **more}


def price(**fields: Any) -> dict[str, Any]:
    return prices({k: v for k, v in {**H100, **fields}.items() if v is not REMOVE})


GOOD_JOBS: dict[str, dict[str, Any]] = {
    "the smallest": with_template(),
    "an adopted job": {"workloadRef": {"name": "old"}},
    "a gang": with_template(workers=16, gpusPerWorker=8),
    "spot": with_template(placement={"policy": "Spot"}),
    "a schedule without a policy": scheduled(),
    "a schedule with its policy": {**scheduled(), "placement": {"policy": "Scheduled"}},
    "a time zone": with_template(schedule={"timeZone": "America/New_York", "windows": [WINDOW], "outside": "Pause"}),
    "month end": scheduled(start="0 20 31 * *"),
    "last day of the month": scheduled(start="0 20 L * *"),
    "last weekday of the month": scheduled(start="0 20 LW * *"),
    "names of days and months": scheduled(start="*/15 8-18 * jan,JUL mon-FRI"),
    "second Tuesday": scheduled(start="0 6 * * 2#2"),
    "lists, ranges and steps": scheduled(start="0,30 0-23/2 1-7,15 */3 0,6"),
    "compound duration": scheduled(duration="1h30m"),
    "eight GPUs": gpus(8),
    "eight GPUs as text": gpus("8"),
    "most GPUs": gpus(64),
    "one number of GPUs, said twice": {**gpus("8"), "gpusPerWorker": 8},
    "no GPU named": with_template(),
    "own pools": with_template(
        placement={
            "policy": "Spot",
            "spot": {"nodeSelector": {"pool": "spot"}, "tolerations": [{"key": "spot", "operator": "Exists"}]},
            "onDemand": {"nodeSelector": {"pool": "firm"}},
        }
    ),
}

BAD_JOBS: dict[str, tuple[dict[str, Any], str, str]] = {
    "neither template nor reference": ({"workers": 1}, "spec", "set exactly one of template"),
    "template and reference": (with_template(workloadRef={"name": "old"}), "spec", "set exactly one of template"),
    "no containers": ({"template": {"spec": {}}}, "spec.template.spec.containers", "Required"),
    "an empty list of containers": ({"template": {"spec": {"containers": []}}}, "spec.template.spec.containers", "1"),
    "a container without a name": (
        {"template": {"spec": {"containers": [{"image": "a"}]}}},
        "spec.template.spec.containers[0].name",
        "Required",
    ),
    "two containers of one name": (
        {"template": {"spec": {"containers": [CONTAINER, CONTAINER]}}},
        "spec.template.spec.containers[1]",
        "Duplicate",
    ),
    "zero GPUs": (gpus(0), "spec.template.spec.containers[0].resources.limits", "whole number from 1 to 64"),
    "a million GPUs": (gpus(10**6), "spec.template.spec.containers[0].resources.limits", "whole number from 1 to 64"),
    "65 GPUs": (gpus("65"), "spec.template.spec.containers[0].resources.limits", "whole number from 1 to 64"),
    "half a GPU": (gpus("500m"), "spec.template.spec.containers[0].resources.limits", "whole number from 1 to 64"),
    "negative GPUs": (gpus(-1, "requests"), "spec.template.spec.containers[0].resources.requests", "from 1 to 64"),
    "no workers": (with_template(workers=0), "spec.workers", "greater than or equal to 1"),
    "too many workers": (with_template(workers=1025), "spec.workers", "less than or equal to 1024"),
    "no GPUs per worker": (with_template(gpusPerWorker=0), "spec.gpusPerWorker", "greater than or equal to 1"),
    "too many GPUs per worker": (with_template(gpusPerWorker=10**6), "spec.gpusPerWorker", "less than or equal to 64"),
    "two numbers of GPUs": (
        {**gpus(4), "gpusPerWorker": 8},
        "spec.gpusPerWorker",
        "must equal the sum of the limits nvidia.com/gpu",
    ),
    "the code of a signal": (
        with_template(configurationErrorExitCode=143),
        "spec.configurationErrorExitCode",
        "must not be 137 or 143",
    ),
    "an unknown policy": (with_template(placement={"policy": "spot"}), "spec.placement.policy", '"Spot"'),
    "scheduled without a schedule": (
        with_template(placement={"policy": "Scheduled"}),
        "spec.schedule",
        "policy Scheduled needs spec.schedule",
    ),
    "a schedule with another policy": (
        {**scheduled(), "placement": {"policy": "Spot"}},
        "spec.schedule",
        "set that, or leave the policy out",
    ),
    "a timeout in words": (
        with_template(placement={"schedulingTimeout": "10 minutes"}),
        "spec.placement.schedulingTimeout",
        "such as 90s, 10m or 1h30m",
    ),
    "a timeout of zero": (
        with_template(placement={"schedulingTimeout": "0s"}),
        "spec.placement.schedulingTimeout",
        "above zero",
    ),
    "a window of days": (scheduled(duration="2d"), "spec.schedule.windows[0].duration", "above zero in h, m and s"),
    "a negative window": (scheduled(duration="-1h"), "spec.schedule.windows[0].duration", "above zero"),
    "a window without a duration": (scheduled(duration=REMOVE), "spec.schedule.windows[0].duration", "Required"),
    "a window without a start": (scheduled(start=REMOVE), "spec.schedule.windows[0].start", "Required"),
    "no windows": (with_template(schedule={"windows": []}), "spec.schedule.windows", "at least 1 items"),
    "too many windows": (with_template(schedule={"windows": [WINDOW] * 33}), "spec.schedule.windows", "at most 32"),
    "minute 61": (scheduled(start="61 * * * *"), "spec.schedule.windows[0].start", "minute (0-59)"),
    "hour 24": (scheduled(start="0 24 * * *"), "spec.schedule.windows[0].start", "hour (0-23)"),
    "day 32": (scheduled(start="0 0 32 * *"), "spec.schedule.windows[0].start", "day of month (1-31"),
    "month 13": (scheduled(start="0 0 1 13 *"), "spec.schedule.windows[0].start", "month (1-12"),
    "weekday 8": (scheduled(start="0 0 * * 8"), "spec.schedule.windows[0].start", "day of week (0-7"),
    "a step of zero": (scheduled(start="*/0 * * * *"), "spec.schedule.windows[0].start", "five fields"),
    "four cron fields": (scheduled(start="0 20 * *"), "spec.schedule.windows[0].start", "five fields"),
    "six cron fields": (scheduled(start="0 0 20 * * 1-5"), "spec.schedule.windows[0].start", "five fields"),
    "a cron macro": (scheduled(start="@midnight"), "spec.schedule.windows[0].start", "five fields"),
    "an unknown zone": (
        with_template(schedule={"timeZone": "Mars/Olympus", "windows": [WINDOW]}),
        "spec.schedule.timeZone",
        "must be an IANA time zone such as UTC, Europe/Berlin",
    ),
    "the zone of the server": (
        with_template(schedule={"timeZone": "Local", "windows": [WINDOW]}),
        "spec.schedule.timeZone",
        "must be an IANA time zone",
    ),
    "an offset for a zone": (
        with_template(schedule={"timeZone": "+02:00", "windows": [WINDOW]}),
        "spec.schedule.timeZone",
        "must be an IANA time zone",
    ),
    "outside in spot": (
        with_template(schedule={"windows": [WINDOW], "outside": "Spot"}),
        "spec.schedule.outside",
        'supported values: "OnDemand", "Pause"',
    ),
    "a reference to a Deployment": (
        {"workloadRef": {"kind": "Deployment", "name": "x"}},
        "spec.workloadRef.kind",
        'supported values: "Job"',
    ),
    "a reference without a name": ({"workloadRef": {}}, "spec.workloadRef.name", "Required"),
    "workers of an adopted job": (
        {"workloadRef": {"name": "old"}, "workers": 2},
        "spec.workloadRef",
        "the Job itself says them",
    ),
    "an unknown toleration": (
        with_template(placement={"spot": {"tolerations": [{"operator": "Like"}]}}),
        "spec.placement.spot.tolerations[0].operator",
        'supported values: "Exists", "Equal"',
    ),
}

GOOD_BOOKS: dict[str, dict[str, Any]] = {
    "one price": price(),
    "a price that always held": price(effectiveFrom=REMOVE),
    "an instance": price(gpuModel=REMOVE, instanceType="p5.48xlarge", region="us-east-1", capacityType="reserved"),
    "another currency": {**price(), "currency": "EUR"},
    "a price of zero": price(hourly="0"),
    "two dates": prices(H100, {**H100, "effectiveFrom": "2026-12-01T00:00:00Z"}),
    "two capacity types": prices(H100, {**H100, "capacityType": "spot"}),
    "nine decimals": price(hourly="123456789.123456789"),
}

BAD_BOOKS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no prices": (prices(), "spec.prices", "at least 1 items"),
    "a negative price": (price(hourly="-1"), "spec.prices[0].hourly", "must not be negative"),
    "a number without quotes": (price(hourly=6.88), "spec.prices[0].hourly", "must be of type string"),
    "a price in words": (price(hourly="cheap"), "spec.prices[0].hourly", "must be a decimal number"),
    "an exponent": (price(hourly="1e3"), "spec.prices[0].hourly", "must be a decimal number"),
    "not a number": (price(hourly="NaN"), "spec.prices[0].hourly", "must be a decimal number"),
    "no price": (price(hourly=REMOVE), "spec.prices[0].hourly", "Required"),
    "of nothing": (price(gpuModel=REMOVE), "spec.prices[0]", "set exactly one of instanceType"),
    "of two things": (price(instanceType="p5.48xlarge"), "spec.prices[0]", "set exactly one of instanceType"),
    "twice from one date": (prices(H100, H100), "spec.prices[1]", "Duplicate value"),
    "twice, with defaults spelled out": (
        prices(H100, {**H100, "capacityType": "onDemand", "region": ""}),
        "spec.prices[1]",
        "Duplicate value",
    ),
    "a date without a time": (
        price(effectiveFrom="2026-11-01"),
        "spec.prices[0].effectiveFrom",
        "RFC 3339 time in UTC",
    ),
    "another zone": (
        price(effectiveFrom="2026-11-01T00:00:00+01:00"),
        "spec.prices[0].effectiveFrom",
        "must be an RFC 3339 time in UTC",
    ),
    "the thirteenth month": (
        price(effectiveFrom="2026-13-01T00:00:00Z"),
        "spec.prices[0].effectiveFrom",
        "must be an RFC 3339 time in UTC",
    ),
    "an unknown capacity type": (
        price(capacityType="Spot"),
        "spec.prices[0].capacityType",
        'supported values: "onDemand", "spot", "reserved"',
    ),
    "a currency in words": ({**price(), "currency": "dollar"}, "spec.currency", "such as USD or EUR"),
    "a currency in small letters": ({**price(), "currency": "usd"}, "spec.currency", "three capital letters"),
}


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


def assert_refused(result: CompletedProcess[str], field: str, words: str) -> None:
    assert result.returncode != 0, "accepted"
    causes = [line for line in result.stderr.replace(", spec", "\nspec").splitlines() if f"{field}:" in line]
    assert causes, result.stderr
    assert any(words in line for line in causes), result.stderr


ONLY_THE_SERVER_CHECKS = {
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
    result = create(server, price_book({"prices": many}))
    assert result.returncode == 0, result.stderr
    result = create(server, price_book({"prices": [*many, H100]}))
    assert_refused(result, "spec.prices", "at most 2048")


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
