"""How a change of a workload is written: a Job, a JobSet with several templates, or a place in a queue of Kueue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpucost.core.actions import PatchJob
from gpucost.core.training import jobset, queueing
from gpucost.kube import paths
from gpucost.kube.client import KubeClient

_PATHS: Mapping[str, Callable[[str, str], str]] = {"Job": paths.job, jobset.KIND: paths.jobset}


async def patch(client: KubeClient, change: PatchJob, *, manager: str) -> None:
    """Write a change under the condition that the object is still the one that was decided about."""
    path = _path(change)
    if change.parts:
        await client.json_patch(path, operations(change), manager=manager)
        return
    condition = {"uid": change.uid, "resourceVersion": change.resource_version}
    metadata = {**_mapping(change.patch.get("metadata")), **condition}
    await client.merge(path, {**change.patch, "metadata": metadata}, manager=manager)


def _path(change: PatchJob) -> str:
    if change.kind == queueing.KIND:
        return paths.workload(change.api_version, change.job.namespace, change.job.name)
    return _PATHS[change.kind](change.job.namespace, change.job.name)


def operations(change: PatchJob) -> list[dict[str, Any]]:
    """A change of several templates at once as a JSON patch; the old values that it removes must exist.

    The UID and the resourceVersion are written, not tested: the API server compares them with what is stored and
    answers with a conflict, where a test that fails would look like a malformed request.
    """
    notes = _mapping(_mapping(change.patch.get("metadata")).get("annotations"))
    written: list[tuple[str, Any]] = [
        ("/metadata/uid", change.uid),
        ("/metadata/resourceVersion", change.resource_version),
        *((f"/metadata/annotations/{_escaped(key)}", value) for key, value in notes.items()),
        *((f"/spec/{key}", value) for key, value in _mapping(change.patch.get("spec")).items()),
    ]
    result = [{"op": "add", "path": path, "value": value} for path, value in written if value is not None]
    result += [{"op": "remove", "path": path} for path, value in written if value is None]
    for part in change.parts:
        where = f"/spec/replicatedJobs/{part.index}"
        pod = f"{where}/template/spec/template/spec"
        result += [
            {"op": "test", "path": f"{where}/name", "value": part.name},
            {"op": "add", "path": f"{pod}/nodeSelector", "value": dict(part.node_selector)},
            {"op": "add", "path": f"{pod}/tolerations", "value": [dict(one) for one in part.tolerations]},
        ]
    return result


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _escaped(key: str) -> str:
    """A key as part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
