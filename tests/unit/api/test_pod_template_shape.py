"""A template that is no pod's becomes one problem with its place, before anything reads it."""

from __future__ import annotations

from typing import Any

import pytest

from gpucost.api.convert import training_spec

CONTAINER: dict[str, Any] = {"name": "train", "image": "example.com/train:1"}


def problems(**pod: Any) -> dict[str, str]:
    spec = {"containers": [CONTAINER], **pod}
    found = training_spec({"metadata": {"name": "bert"}, "spec": {"template": {"spec": spec}}})
    assert (found.value is None) == bool(found.problems)
    return {one.field: one.message for one in found.problems}


POD = "spec.template.spec"


@pytest.mark.parametrize(
    ("pod", "place", "words"),
    [
        ({"tolerations": {"key": "gpu"}}, "tolerations", "must be a list, as in any pod, not an object"),
        ({"nodeSelector": "gpu"}, "nodeSelector", "must be an object, as in any pod, not 'gpu'"),
        ({"nodeSelector": {"gpu": True}}, "nodeSelector[gpu]", "must be text, not true; put it in quotes"),
        ({"affinity": []}, "affinity", "must be an object, as in any pod, not a list"),
        ({"volumes": {"data": {}}}, "volumes", "must be a list, as in any pod, not an object"),
        ({"volumes": [None]}, "volumes[0]", "is empty"),
        ({"volumes": [{}]}, "volumes[0].name", "is missing"),
        ({"volumes": [{"name": "d", "persistentVolumeClaim": "data"}]}, "volumes[0].persistentVolumeClaim", "object"),
        ({"containers": [{**CONTAINER, "env": {"A": "b"}}]}, "containers[0].env", "must be a list"),
        ({"containers": [{**CONTAINER, "env": [{"name": "A", "value": 1}]}]}, "containers[0].env[0].value", "quotes"),
        ({"containers": [{**CONTAINER, "args": "--epochs 3"}]}, "containers[0].args", "must be a list"),
        ({"terminationGracePeriodSeconds": "30"}, "terminationGracePeriodSeconds", "must be a whole number"),
    ],
)
def test_the_place_and_the_remedy_are_named(pod: dict[str, Any], place: str, words: str) -> None:
    found = problems(**pod)
    assert list(found) == [f"{POD}.{place}"]
    assert words in found[f"{POD}.{place}"]


def test_what_a_node_affinity_demands_is_read_and_so_it_is_checked() -> None:
    terms = [{"matchExpressions": [{"operator": "In", "values": "a"}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    where = (
        f"{POD}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
        ".nodeSelectorTerms[0].matchExpressions[0]"
    )
    found = problems(affinity={"nodeAffinity": required})
    assert found == {
        f"{where}.values": "must be a list, as in any pod, not 'a'",
        f"{where}.key": "is missing",
    }


def test_null_and_what_nobody_here_knows_are_left_to_the_api_server() -> None:
    assert problems(tolerations=None, affinity=None, volumes=None, hostAliases="whatever", nodeSelector={}) == {}
