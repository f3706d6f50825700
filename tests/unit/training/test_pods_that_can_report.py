"""What a Job's pods get so that they can report, and what is left alone."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

from gpucost.core.clock import SECOND
from gpucost.core.model import Key
from gpucost.core.training.manifest import Identity, job_manifest
from gpucost.core.training.metric_sources import MetricSources
from gpucost.core.training.reporting import AUTHORITY, CHECKPOINTS, FOLDER, INTERVAL, TOKEN, URL, VOLUME, Reporting
from gpucost.core.training.spec import TrainingSpec

TEMPLATE: dict[str, Any] = {
    "metadata": {"annotations": {"note": "mine"}},
    "spec": {
        "containers": [{"name": "train", "image": "bert:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        "volumes": [{"name": "data", "emptyDir": {}}],
    },
}
REPORTING = Reporting("https://gpucost.gpucost-system.svc:443", "-----BEGIN CERTIFICATE-----\n", 600 * SECOND)


def pod(template: dict[str, Any] = TEMPLATE, reporting: Reporting | None = REPORTING, **spec: Any) -> dict[str, Any]:
    owner = Identity(Key("research", "bert"), "uid-1")
    before = copy.deepcopy(template)
    manifest, _ = job_manifest(
        owner, TrainingSpec(template=template, **spec), pool=None, annotations={}, suspend=False, reporting=reporting
    )
    assert before == template
    found: dict[str, Any] = manifest["spec"]["template"]
    return found


def changed(**container: Any) -> dict[str, Any]:
    return {**TEMPLATE, "spec": {**TEMPLATE["spec"], "containers": [{"name": "train", **container}]}}


def variables(found: dict[str, Any]) -> dict[str, str]:
    """The environment of the first container, with what it refers to."""
    notes = found["metadata"].get("annotations") or {}
    paths = {f"metadata.annotations['{key}']": value for key, value in notes.items()}
    environment = found["spec"]["containers"][0].get("env", ())
    return {one["name"]: one["value"] if "value" in one else paths[_path(one)] for one in environment}


def _path(variable: dict[str, Any]) -> str:
    return str(variable["valueFrom"]["fieldRef"]["fieldPath"])


def test_a_pod_gets_an_address_a_token_and_whom_to_trust() -> None:
    found = pod()
    assert variables(found) == {
        URL: "https://gpucost.gpucost-system.svc:443/training/namespaces/research/trainingjobs/bert/progress",
        "KUBEFLOW_TRAINER_SERVER_CA_CERT": f"{FOLDER}/ca.crt",
        TOKEN: f"{FOLDER}/token",
        INTERVAL: "600",
    }
    data, volume = found["spec"]["volumes"]
    assert data == {"name": "data", "emptyDir": {}}
    token, authority = volume["projected"]["sources"]
    assert token["serviceAccountToken"] == {
        "audience": "progress.gpucost.dev", "expirationSeconds": 3600, "path": "token",
    }  # fmt: skip
    assert authority["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"] == f"metadata.annotations['{AUTHORITY}']"
    assert found["metadata"]["annotations"] == {
        "note": "mine",
        AUTHORITY: REPORTING.authority,
        CHECKPOINTS: "600",
    }
    assert found["spec"]["containers"][0]["volumeMounts"][1] == {
        "name": VOLUME, "mountPath": FOLDER, "readOnly": True,
    }  # fmt: skip


def test_nothing_that_pod_security_restricted_forbids_is_added() -> None:
    """Volumes may be projected; no security context, host or capability is touched."""
    found = pod()
    assert {kind for volume in found["spec"]["volumes"] for kind in volume} == {"name", "emptyDir", "projected"}
    assert found["spec"].keys() - TEMPLATE["spec"].keys() == {"restartPolicy"}
    assert found["spec"]["containers"][0].keys() == {"name", "image", "volumeMounts", "env"}


def test_every_worker_of_a_gang_can_report() -> None:
    names = {one["name"] for one in pod(workers=4)["spec"]["containers"][0]["env"]}
    assert {URL, TOKEN, "RANK", "MASTER_ADDR"} <= names


def test_without_an_address_or_when_it_is_declined_the_job_is_as_it_was() -> None:
    plain = pod(reporting=None)
    assert plain["spec"]["volumes"] == TEMPLATE["spec"]["volumes"]
    assert "env" not in plain["spec"]["containers"][0]
    assert pod(metrics=MetricSources(push=False)) == plain


def test_without_a_recommendation_there_is_no_interval() -> None:
    assert INTERVAL not in variables(pod(reporting=replace(REPORTING, interval=None)))


def test_a_container_with_an_address_of_its_own_never_gets_our_token() -> None:
    for name in (URL, TOKEN, "KUBEFLOW_TRAINER_SERVER_CA_CERT"):
        found = pod(changed(env=[{"name": name, "value": "https://elsewhere"}]))
        assert variables(found) == {name: "https://elsewhere", INTERVAL: "600"}
        assert VOLUME not in json.dumps(found)


def test_an_interval_that_the_user_sets_stands() -> None:
    assert variables(pod(changed(env=[{"name": INTERVAL, "value": "60"}])))[INTERVAL] == "60"


def test_a_name_or_a_folder_that_is_taken_is_left_to_its_owner() -> None:
    taken = {**TEMPLATE, "spec": {**TEMPLATE["spec"], "volumes": [{"name": VOLUME, "emptyDir": {}}]}}
    assert pod(taken)["spec"]["volumes"] == [{"name": VOLUME, "emptyDir": {}}]
    assert URL not in variables(pod(taken))
    mounted = pod(changed(volumeMounts=[{"name": "data", "mountPath": FOLDER + "/"}]))
    assert URL not in variables(mounted)
