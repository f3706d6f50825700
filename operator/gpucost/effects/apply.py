"""Carry out one action of a decision.

Every action is conditional: creates carry a deterministic name and an owner, patches the UID and resourceVersion that
the decision saw. A conflict is no failure, it says that the world moved and that the key has to be decided again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gpucost.core.actions import Action, CreateJob, CreateService, PatchJob
from gpucost.core.model import Key
from gpucost.core.training import queueing
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable

MANAGER = "gpucost"
_PATHS: Mapping[str, Callable[[str, str], str]] = {"Job": paths.job, "JobSet": paths.jobset}


class Result(StrEnum):
    """How an action ended; the values are those of the metric `gpucost_actions_total`."""

    APPLIED = "applied"
    EXISTS = "exists"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    FORBIDDEN = "forbidden"
    ENDING = "ending"
    """The namespace is being deleted, and everything in it with it."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one action; `problems` are the fields named by a rejection, else the error in one line."""

    action: Action
    result: Result
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the world is now as the action wanted it."""
        return self.result in {Result.APPLIED, Result.EXISTS}


async def apply(client: KubeClient, action: Action) -> Outcome:
    """Send one action to the API server."""
    try:
        await _send(client, action)
    except ApiError as error:
        return await _refused(client, action, error)
    except Unreachable as error:
        return Outcome(action, Result.FAILED, (str(error),))
    return Outcome(action, Result.APPLIED)


async def _send(client: KubeClient, action: Action) -> None:
    match action:
        case CreateJob(target=target, manifest=manifest):
            await client.create(paths.job(target.namespace), manifest, manager=MANAGER)
        case CreateService(target=target, manifest=manifest):
            await client.create(paths.service(target.namespace), manifest, manager=MANAGER)
        case PatchJob(job=job, kind=kind) as change if change.parts:
            await client.json_patch(_PATHS[kind](job.namespace, job.name), operations(change), manager=MANAGER)
        case PatchJob(job=job, uid=uid, resource_version=version, patch=patch) as change:
            metadata: dict[str, Any] = {**_mapping(patch.get("metadata")), "uid": uid, "resourceVersion": version}
            body = {**patch, "metadata": metadata}
            await client.merge(_path(change, job), body, manager=MANAGER)


def _path(change: PatchJob, job: Key) -> str:
    if change.kind == queueing.KIND:
        return paths.workload(change.api_version, job.namespace, job.name)
    return _PATHS[change.kind](job.namespace, job.name)


def operations(change: PatchJob) -> list[dict[str, Any]]:
    """A change of several templates at once as a JSON patch; the old values that it removes must exist.

    The UID and the resourceVersion are written, not tested: the API server compares them with what is stored and
    answers with a conflict, where a test that fails would look like a malformed request.
    """
    written: list[tuple[str, Any]] = [
        ("/metadata/uid", change.uid),
        ("/metadata/resourceVersion", change.resource_version),
        *((f"/metadata/annotations/{_escaped(k)}", v) for k, v in _annotations(change.patch).items()),
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


def _annotations(patch: Mapping[str, object]) -> dict[str, Any]:
    return _mapping(_mapping(patch.get("metadata")).get("annotations"))


def _escaped(key: str) -> str:
    """A key as part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


async def _refused(client: KubeClient, action: Action, error: ApiError) -> Outcome:
    problems = error.causes or (error.message or str(error),)
    if error.status == 409 and error.reason == "AlreadyExists":
        return await _existing(client, action)
    if error.status in {404, 409}:
        return Outcome(action, Result.CONFLICT, problems)
    if error.status == 403:
        ending = any("being terminated" in problem for problem in (error.message, *problems))
        return Outcome(action, Result.ENDING if ending else Result.FORBIDDEN, problems)
    if error.status in {400, 422}:
        return Outcome(action, Result.REJECTED, problems)
    return Outcome(action, Result.FAILED, problems)


async def _existing(client: KubeClient, action: Action) -> Outcome:
    """An object of that name is there: ours from an earlier try, or somebody else's."""
    if isinstance(action, PatchJob):
        return Outcome(action, Result.CONFLICT)
    folder = paths.job if isinstance(action, CreateJob) else paths.service
    metadata = _mapping(action.manifest.get("metadata"))
    try:
        found = await client.get(folder(action.target.namespace, metadata["name"]))
    except (ApiError, Unreachable) as error:
        return Outcome(action, Result.FAILED, (str(error),))
    wanted = {reference["uid"] for reference in metadata.get("ownerReferences") or ()}
    owners = {reference["uid"] for reference in found["metadata"].get("ownerReferences") or ()}
    if wanted & owners:
        return Outcome(action, Result.EXISTS)
    if isinstance(action, CreateJob):
        return Outcome(action, Result.CONFLICT, (f"a Job {metadata['name']} of another owner exists",))
    return Outcome(action, Result.REJECTED, (f"metadata.name: a Service {metadata['name']} of another owner exists",))
