"""The Job and Service made from a TrainingJob."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from gpucost.core.model import Key
from gpucost.core.training.manifest import Identity, gpus_per_worker, job_manifest, service_manifest, template_hash
from gpucost.core.training.placement import Pool
from gpucost.core.training.spec import TrainingSpec

OWNER = Identity(
    Key("research", "bert"),
    "uid-1",
    {"gpucost.dev/team": "nlp", "app": "x", "kueue.x-k8s.io/queue-name": "gpus"},
)
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "bert"}, "annotations": {"note": "mine"}},
    "spec": {
        "containers": [
            {
                "name": "train",
                "image": "bert:1",
                "env": [{"name": "PET_NNODES", "value": "1:4"}, {"name": "A", "value": "$(MASTER_ADDR)"}],
            },
            {"name": "log", "image": "log:1"},
        ],
        "nodeSelector": {"gpu": "h100"},
        "schedulerName": "gang",
        "priorityClassName": "low",
    },
}
SPEC = TrainingSpec(template=TEMPLATE, workers=4, gpus_per_worker=8, backoff_limit=3, configuration_error_exit_code=2)


def render(spec: TrainingSpec = SPEC, *, suspend: bool = False) -> dict[str, Any]:
    pool = Pool({"karpenter.sh/capacity-type": "spot"})
    return job_manifest(OWNER, spec, pool=pool, annotations={"gpucost.dev/placement": "spot"}, suspend=suspend)[0]


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def test_everything_of_the_template_is_preserved_and_the_template_itself_untouched() -> None:
    before = copy.deepcopy(TEMPLATE)
    pod = render()["spec"]["template"]
    assert before == TEMPLATE
    assert (pod["spec"]["schedulerName"], pod["spec"]["priorityClassName"]) == ("gang", "low")
    assert pod["spec"]["nodeSelector"] == {"gpu": "h100", "karpenter.sh/capacity-type": "spot"}
    assert pod["metadata"]["annotations"] == {"note": "mine"}  # never one of ours on a pod template
    assert pod["metadata"]["labels"] == {
        "app": "bert",
        "gpucost.dev/team": "nlp",
        "gpucost.dev/trainingjob": "bert",
    }


def test_deleting_the_trainingjob_deletes_the_job() -> None:
    metadata = render()["metadata"]
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "gpucost.dev/v1alpha1",
            "kind": "TrainingJob",
            "name": "bert",
            "uid": "uid-1",
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]
    assert metadata["labels"] == {
        "gpucost.dev/team": "nlp",
        "gpucost.dev/trainingjob": "bert",
        "kueue.x-k8s.io/queue-name": "gpus",
    }


def test_interruptions_do_not_count_as_failures_and_configuration_errors_fail_at_once() -> None:
    spec = render()["spec"]
    assert (spec["podReplacementPolicy"], spec["backoffLimit"]) == ("Failed", 3)
    assert [
        (rule["action"], rule.get("onExitCodes", {}).get("values")) for rule in spec["podFailurePolicy"]["rules"]
    ] == [
        ("FailJob", [2]),
        ("Ignore", None),
        ("Ignore", [143]),
    ]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_a_failure_policy_is_left_out_where_kubernetes_would_refuse_it() -> None:
    template = {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "OnFailure"}}
    spec = render(replace(SPEC, template=template))["spec"]
    assert "podFailurePolicy" not in spec
    assert spec["template"]["spec"]["restartPolicy"] == "OnFailure"


def test_several_workers_find_each_other() -> None:
    spec = render()["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
    assert spec["template"]["spec"]["subdomain"] == "bert"
    for container in spec["template"]["spec"]["containers"]:
        values = variables(container)
        assert (values["MASTER_ADDR"], values["PET_MASTER_ADDR"]) == ("bert-0.bert", "bert-0.bert")
        assert (values["MASTER_PORT"], values["WORLD_SIZE"], values["PET_NPROC_PER_NODE"]) == ("29500", "4", "8")
        index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
        assert values["PET_NODE_RANK"] == values["NODE_RANK"] == {"fieldRef": {"fieldPath": index}}


def test_what_the_user_sets_in_the_environment_is_never_overridden_and_may_refer_to_ours() -> None:
    first, second = render()["spec"]["template"]["spec"]["containers"]
    assert variables(first)["PET_NNODES"] == "1:4"
    assert variables(second)["PET_NNODES"] == "4"
    names = [one["name"] for one in first["env"]]
    assert len(names) == len(set(names))
    assert names.index("MASTER_ADDR") < names.index("A")


def test_gpus_go_to_the_first_container_unless_the_template_has_some() -> None:
    first, second = render()["spec"]["template"]["spec"]["containers"]
    assert first["resources"] == {"limits": {"nvidia.com/gpu": "8"}}
    assert "resources" not in second
    own = {"spec": {"containers": [{"name": "train", "resources": {"limits": {"nvidia.com/gpu": 2}}}]}}
    spec = replace(SPEC, template=own)
    assert gpus_per_worker(spec) == 2
    assert render(spec)["spec"]["template"]["spec"]["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": 2}}


def test_one_worker_is_a_plain_job() -> None:
    spec = render(replace(SPEC, workers=1), suspend=True)["spec"]
    assert "completionMode" not in spec
    assert "subdomain" not in spec["template"]["spec"]
    assert "env" not in spec["template"]["spec"]["containers"][1]
    assert spec["suspend"] is True


def test_the_service_is_headless_and_shows_workers_before_they_are_ready() -> None:
    service = service_manifest(OWNER)
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": "bert"}
    assert service["metadata"]["ownerReferences"][0]["uid"] == "uid-1"


def test_the_hash_tells_what_cannot_change_in_a_job_from_what_can() -> None:
    assert template_hash(SPEC) == template_hash(replace(SPEC, suspend=True))
    assert template_hash(SPEC) != template_hash(replace(SPEC, workers=5))
    assert template_hash(SPEC) != template_hash(replace(SPEC, template={"spec": {"containers": []}}))
