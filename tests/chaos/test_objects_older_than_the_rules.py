"""Objects that were stored before the rules which would refuse them: named one by one, the others unaffected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local import LocalCluster, OperatorProcess, wait_for
from support.operator_world import GROUP, Team, costs, last_hour

pytestmark = pytest.mark.cluster

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAMES = ("trainingjobs.gpucost.dev", "pricebooks.gpucost.dev")
WINDOW = {"start": "0 20 * * *", "duration": "1h"}
LOOSE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@pytest.fixture
def loose(
    own_cluster: Callable[..., LocalCluster], operator_factory: Callable[..., OperatorProcess]
) -> OperatorProcess:
    """An operator, not yet started, where the definitions accept any specification, as an older version's might."""
    cluster = own_cluster("loose")
    operator = operator_factory(cluster, {"GPUCOST_TICK_SECONDS": "1"})
    for name in NAMES:
        definition = cluster.api.get(f"{DEFINITIONS}/{name}")
        for version in definition["spec"]["versions"]:
            version["schema"]["openAPIV3Schema"].pop("x-kubernetes-validations", None)
            version["schema"]["openAPIV3Schema"]["properties"]["spec"] = LOOSE
        cluster.api.put(f"{DEFINITIONS}/{name}", definition)
    return operator


def accepted(team: Team, name: str, spec: dict[str, Any]) -> bool:
    """The API server takes a moment to follow a changed definition."""
    try:
        team.train(name, **spec)
    except RuntimeError as refusal:
        raise LookupError(str(refusal)) from None
    return True


def test_what_is_wrong_is_named_and_the_others_are_unaffected(loose: OperatorProcess) -> None:
    team, operator = Team(loose.cluster, "default"), loose
    node = team.add_node(hourly=None)
    many = team.template(gpus=1_000_000)
    wrong = {
        "cron": ({"schedule": {"windows": [{"start": "61 25 * * *", "duration": "1h"}]}}, "windows[0].start"),
        "zone": ({"schedule": {"timeZone": "Europe/Berlim", "windows": [WINDOW]}}, "did you mean Europe/Berlin"),
        "zero": ({"workers": 0}, "spec.workers"),
        "million": ({"template": many}, "GPUs in all"),
        "empty": ({"template": {"spec": {"containers": []}}}, "containers"),
        "text": ({"template": "train.py"}, "spec.template"),
        "both": ({"workloadRef": {"name": "x"}, "template": team.template()}, "exactly one"),
        "odd": ({"placement": {"policy": "Cheap"}, "\u2603": "\u2603" * 1000}, "spec.placement.policy"),
    }
    for name, (spec, _) in wrong.items():
        wait_for(lambda name=name, spec=spec: accepted(team, name, spec), 20, f"{name} is stored")
    kind = {"instanceType": f"test.{team.mark}"}
    prices = [
        {**kind, "hourly": "8.00"},
        {**kind, "hourly": "-1.00", "capacityType": "spot"},
        {"gpuModel": "H100", "hourly": "1.00"},
        {"gpuModel": "H100", "hourly": "2.00"},
    ]
    book = {"kind": "PriceBook", "metadata": {"name": "old"}, "spec": {"currency": "USD", "prices": prices}}
    wait_for(lambda: stored(team, {"apiVersion": "gpucost.dev/v1alpha1", **book}), 20, "the book is stored")
    team.train("sound", template=team.template(gpus=8))
    operator.start()

    team.until_runs_on(node, "sound")
    for name, (_, words) in wrong.items():
        message = team.until("Invalid", "Invalid", name)["message"]
        assert words in message, name
        assert team.find("jobs", name) is None
    status = wait_for(lambda: team.cluster.api.get(f"{GROUP}/pricebooks/old").get("status"), 20, "the book is read")
    told = {c["type"]: c for c in status["conditions"]}
    assert told["Invalid"]["status"] == "True"
    for place in ("spec.prices[1].hourly", "spec.prices[2]", "spec.prices[3]"):
        assert place in told["Invalid"]["message"]
    assert status["entries"] == 1
    found = costs(operator.api_url, team.namespace, "namespace", last_hour()[1])
    assert found["items"][0]["hourly"] == "8.000000"
    assert found["quality"]["priceSources"] == ["PriceBook/old"]


def stored(team: Team, body: dict[str, Any]) -> bool:
    try:
        team.cluster.api.create(f"{GROUP}/pricebooks", body)
    except RuntimeError as refusal:
        raise LookupError(str(refusal)) from None
    return True
