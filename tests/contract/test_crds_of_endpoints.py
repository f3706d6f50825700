"""What the API server accepts and refuses of InferenceEndpoints, and that the operator reads them the same way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from crd_cases import REMOVE, Server, assert_refused, create

from gpucost.api.inference_convert import endpoint_spec
from gpucost.core.serving.validate import problems
from local import LocalCluster

pytestmark = pytest.mark.cluster

OFFICE = {"start": "0 8 * * 1-5", "duration": "10h", "timeZone": "Europe/Berlin", "minReplicas": 4}
BEHAVIOR = {
    "scaleUp": {
        "tolerance": "0",
        "selectPolicy": "Min",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 0,
        "tolerance": "50m",
        "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}],
    },
}
HOLDER = {"type": "KedaHttp", "name": "llama"}


def endpoint(**fields: Any) -> dict[str, Any]:
    spec = {"scaleTargetRef": {"name": "llama"}, "runtime": "vllm", **fields}
    return {
        "apiVersion": "gpucost.dev/v1alpha1",
        "kind": "InferenceEndpoint",
        "metadata": {"name": "llama", "namespace": "default"},
        "spec": {name: value for name, value in spec.items() if value is not REMOVE},
    }


GOOD: dict[str, dict[str, Any]] = {
    "the smallest": endpoint(),
    "another kind": endpoint(
        scaleTargetRef={"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "name": "llama"}
    ),
    "an objective": endpoint(slo={"ttftP95": "800ms", "itlP95": "0.05s", "objective": "99.95"}),
    "a behavior": endpoint(behavior=BEHAVIOR),
    "an empty behavior": endpoint(behavior={"scaleDown": {}}),
    "a schedule": endpoint(schedules=[OFFICE, {**OFFICE, "maxReplicas": 12}]),
    "zero with a holder": endpoint(scaleToZero={"enabled": True, "idleAfter": "30m", "holder": HOLDER}),
    "raised without metrics": endpoint(onMissingMetrics={"behavior": "AtLeast", "after": "2m", "replicas": 3}),
    "custom": endpoint(runtime="custom", metrics={"queries": {"requestsPerSecond": "sum(rate(requests_total[1m]))"}}),
    "a price to compare with": endpoint(
        comparedTo={"name": "gpt-4o-mini", "inputPerMillionTokens": "0.15", "outputPerMillionTokens": "0.60"}
    ),
    "a known capacity": endpoint(capacity={"requestsPerSecond": "12.5"}),
}
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "more at least than at most": (
        endpoint(minReplicas=5, maxReplicas=4),
        "spec.minReplicas",
        "minReplicas must not be above maxReplicas",
    ),
    "none at least": (endpoint(minReplicas=0), "spec.minReplicas", "greater than or equal to 1"),
    "an objective of 0": (endpoint(slo={"objective": "0"}), "spec.slo.objective", "above 0 and below 100"),
    "an objective of 101 %": (endpoint(slo={"objective": "101"}), "spec.slo.objective", "above 0 and below 100"),
    "no time to the first token": (endpoint(slo={"ttftP95": "0s"}), "spec.slo.ttftP95", "above zero in ms or s"),
    "an unknown runtime": (endpoint(runtime="llama.cpp"), "spec.runtime", "Unsupported value"),
    "no runtime": (endpoint(runtime=REMOVE), "spec.runtime", "Required"),
    "no target": (endpoint(scaleTargetRef=REMOVE), "spec.scaleTargetRef", "Required"),
    "custom without queries": (endpoint(runtime="custom"), "spec.metrics", "metrics.queries.requestsPerSecond"),
    "zero without a holder": (endpoint(scaleToZero={"enabled": True}), "spec.scaleToZero.holder", "loses requests"),
    "raised to no number": (
        endpoint(onMissingMetrics={"behavior": "AtLeast"}),
        "spec.onMissingMetrics.behavior",
        "needs replicas",
    ),
    "raised beyond the limits": (
        endpoint(onMissingMetrics={"behavior": "AtLeast", "replicas": 11}),
        "spec.onMissingMetrics",
        "within minReplicas and maxReplicas",
    ),
    "a schedule that says nothing": (
        endpoint(schedules=[{"start": "0 8 * * *", "duration": "1h"}]),
        "spec.schedules[0]",
        "give minReplicas, maxReplicas or both",
    ),
    "a schedule across the limits": (
        endpoint(schedules=[{**OFFICE, "minReplicas": 11}]),
        "spec.schedules",
        "must not be above its maxReplicas",
    ),
    "hour 25": (endpoint(schedules=[{**OFFICE, "start": "0 25 * * *"}]), "spec.schedules[0].start", "hour (0-23)"),
    "a zone that is none": (
        endpoint(schedules=[{**OFFICE, "timeZone": "Mars/Olympus"}]),
        "spec.schedules[0].timeZone",
        "IANA time zone",
    ),
    "a tolerance of 1": (
        endpoint(behavior={"scaleUp": {"tolerance": "1"}}),
        "spec.behavior.scaleUp.tolerance",
        "from 0 to below 1",
    ),
    "a policy of an hour": (
        endpoint(behavior={"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 3600}]}}),
        "spec.behavior.scaleUp.policies[0].periodSeconds",
        "less than or equal to 1800",
    ),
    "a capacity of nothing": (
        endpoint(capacity={"requestsPerSecond": "0"}),
        "spec.capacity.requestsPerSecond",
        "above zero",
    ),
}


@pytest.fixture(scope="module")
def server(cluster: LocalCluster) -> Server:
    """The session's cluster, which has the CRDs of this tree."""
    return Server(cluster.kubeconfig)


@pytest.mark.parametrize("manifest", GOOD.values(), ids=GOOD.keys())
def test_what_the_server_accepts_the_operator_reads_with_the_same_defaults(
    server: Server, manifest: dict[str, Any]
) -> None:
    result = create(server, manifest)
    assert result.returncode == 0, result.stderr
    stored, given = endpoint_spec(json.loads(result.stdout)), endpoint_spec(manifest)
    assert stored.problems == given.problems == ()
    assert stored.value == given.value, "defaults differ"
    assert given.value is not None
    assert problems(given.value) == []


@pytest.mark.parametrize(("manifest", "field", "words"), BAD.values(), ids=BAD.keys())
def test_what_the_server_refuses_names_the_field_and_the_operator_refuses_it_too(
    server: Server, manifest: dict[str, Any], field: str, words: str
) -> None:
    assert_refused(create(server, manifest), field, words)
    read = endpoint_spec(manifest)
    found = [one.field for one in read.problems]
    found += [one.field for one in problems(read.value)] if read.value is not None else []
    assert any(field.startswith(one) or one.startswith(field) for one in found), found
