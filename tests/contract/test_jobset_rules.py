"""What a move of a JobSet relies on: the rules of the real JobSet controller and its webhooks."""

from __future__ import annotations

import http.client
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from gpucost.core.actions import PartChange, PatchJob
from gpucost.core.model import Key
from gpucost.core.training.jobset import API_VERSION, KIND, face
from gpucost.effects.workloads import operations
from gpucost.sources.jobsets import jobset_record
from gpucost.sources.records import job_record
from local import LocalCluster, queues, wait_for
from local import namespace as namespace_manifest
from local.api_client import ApiError
from local.webhooks import JOINED
from support import session_cluster

pytestmark = pytest.mark.cluster

NOWHERE = {"gpucost.dev/no-node": "has-this"}
JSON_PATCH = "application/json-patch+json"


class Gang:
    """A JobSet of one part whose pods no node can take."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.path = f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/{namespace}/jobsets"
        pod = {"nodeSelector": NOWHERE, "containers": [{"name": "train", "image": "example.com/train:1"}]}
        part = {"name": "workers", "replicas": 2, "template": {"spec": {"template": {"spec": pod}}}}
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": "gang"},
            "spec": {"replicatedJobs": [part]},
        }
        cluster.api.create(self.path, body)
        wait_for(lambda: len(self.jobs()) == 2, 20, "its Jobs are there")

    def body(self) -> dict[str, Any]:
        return self.cluster.api.get(f"{self.path}/gang")

    def jobs(self) -> list[dict[str, Any]]:
        return self.cluster.api.list(f"/apis/batch/v1/namespaces/{self.namespace}/jobs")

    def selectors(self) -> list[dict[str, str]]:
        return [job["spec"]["template"]["spec"]["nodeSelector"] for job in self.jobs()]

    def suspend(self) -> None:
        self.cluster.api.merge(f"{self.path}/gang", {"spec": {"suspend": True}})
        wait_for(lambda: self.face().condition("Suspended"), 20, "all of it is suspended")

    def face(self) -> Any:
        return face(jobset_record(self.body()), [job_record(job) for job in self.jobs()])

    def patch(self, selector: dict[str, str], *, version: str = "", part: str = "workers", resume: bool = True) -> None:
        """The operator's own way to write new directives; its controller may write the status meanwhile."""

        def written() -> bool:
            metadata = self.body()["metadata"]
            key = Key(self.namespace, "gang")
            spec = {"spec": {"suspend": False}} if resume else {}
            changes = (PartChange(0, part, selector, ()),)
            current = version or metadata["resourceVersion"]
            change = PatchJob(key, key, metadata["uid"], current, spec, "Resuming", "", KIND, changes)
            try:
                self.send(operations(change))
            except ApiError as error:
                if version or error.status != http.client.CONFLICT:
                    raise
                return False
            return True

        wait_for(written, 10, "the change is written")

    def send(self, written: list[dict[str, Any]]) -> None:
        """A JSON patch."""
        path = f"{self.path}/gang?fieldManager=gpucost"
        self.cluster.api.request("PATCH", path, written, content_type=JSON_PATCH)  # type: ignore[arg-type]


@pytest.fixture
def gang() -> Iterator[Gang]:
    cluster = session_cluster.with_controller(queues.JOBSET)
    name = f"t-{secrets.token_hex(5)}"
    cluster.api.create("/api/v1/namespaces", namespace_manifest(name, {JOINED: "true"}))
    yield Gang(cluster, name)
    cluster.api.delete(f"/api/v1/namespaces/{name}", gracePeriodSeconds=0)


def test_directives_change_by_value_while_suspended_and_keys_are_never_taken_away(gang: Gang) -> None:
    with pytest.raises(ApiError, match="immutable"):
        gang.patch({**NOWHERE, "place": "spot"}, resume=False)

    gang.suspend()
    affinity = "/spec/replicatedJobs/0/template/spec/template/spec/affinity"
    with pytest.raises(ApiError, match="immutable"):
        gang.send([{"op": "add", "path": affinity, "value": {"nodeAffinity": {}}}])
    with pytest.raises(ApiError) as stale:
        gang.patch({**NOWHERE, "place": "spot"}, version="1")
    assert stale.value.status == http.client.CONFLICT
    with pytest.raises(ApiError):
        gang.patch({**NOWHERE, "place": "spot"}, part="somebody-else")

    gang.patch({**NOWHERE, "place": "spot"})
    wait_for(lambda: gang.selectors() == [{**NOWHERE, "place": "spot"}] * 2, 20, "both Jobs have the new key")
    assert not gang.face().suspend
    gang.suspend()
    gang.patch({**NOWHERE, "place": "dear"})
    wait_for(lambda: gang.selectors() == [{**NOWHERE, "place": "dear"}] * 2, 20, "both Jobs have the new value")
    gang.suspend()
    gang.patch({**NOWHERE, "other": "key"})
    both = {**NOWHERE, "place": "dear", "other": "key"}
    wait_for(lambda: gang.selectors() == [both] * 2, 20, "the Jobs keep what the template has no more")
    assert gang.face().stuck == both
