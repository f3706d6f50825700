"""Carry out one action of a decision.

Every action is conditional: creates carry a deterministic name and an owner, patches the UID and resourceVersion that
the decision saw. A conflict is no failure, it says that the world moved and that the key has to be decided again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gpucost.core.actions import (
    Action,
    CreateJob,
    CreateService,
    CreateTrainingJob,
    DeleteTrainingJob,
    PatchJob,
)
from gpucost.effects import workloads
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable

MANAGER = "gpucost"


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
    made: Mapping[str, Any] | None = None
    """The object that was created, or found in its place."""

    @property
    def ok(self) -> bool:
        """Whether the world is now as the action wanted it."""
        return self.result in {Result.APPLIED, Result.EXISTS}


async def apply(client: KubeClient, action: Action) -> Outcome:
    """Send one action to the API server."""
    try:
        made = await _send(client, action)
    except ApiError as error:
        return await _refused(client, action, error)
    except Unreachable as error:
        return Outcome(action, Result.FAILED, (str(error),))
    return Outcome(action, Result.APPLIED, made=made)


async def _send(client: KubeClient, action: Action) -> Mapping[str, Any] | None:
    """What the API server says of the object that it made."""
    match action:
        case CreateJob(target=target, manifest=manifest):
            return await client.create(paths.job(target.namespace), manifest, manager=MANAGER)
        case CreateService(target=target, manifest=manifest):
            return await client.create(paths.service(target.namespace), manifest, manager=MANAGER)
        case CreateTrainingJob(target=target, manifest=manifest):
            return await client.create(paths.trainingjob(target.namespace), manifest, manager=MANAGER)
        case DeleteTrainingJob(run=run, uid=uid):
            await client.delete(paths.trainingjob(run.namespace, run.name), uid=uid)
        case PatchJob() as change:
            await workloads.patch(client, change, manager=MANAGER)
    return None


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


async def _refused(client: KubeClient, action: Action, error: ApiError) -> Outcome:
    problems = error.causes or (error.message or str(error),)
    if error.status == 409 and error.reason == "AlreadyExists":
        return await _existing(client, action)
    if error.status == 404 and isinstance(action, DeleteTrainingJob):
        return Outcome(action, Result.EXISTS)
    return Outcome(action, result_of(error), problems)


def result_of(error: ApiError) -> Result:
    """How an action ended that the API server has refused."""
    if error.status in {404, 409}:
        return Result.CONFLICT
    if error.status == 403:
        ending = any("being terminated" in problem for problem in (error.message, *error.causes))
        return Result.ENDING if ending else Result.FORBIDDEN
    return Result.REJECTED if error.status in {400, 422} else Result.FAILED


async def _existing(client: KubeClient, action: Action) -> Outcome:
    """An object of that name is there: ours from an earlier try, or somebody else's."""
    if isinstance(action, (PatchJob, DeleteTrainingJob)):
        return Outcome(action, Result.CONFLICT)
    folder, kind = _PLACES[type(action)]
    metadata = _mapping(action.manifest.get("metadata"))
    try:
        found = await client.get(folder(action.target.namespace, metadata["name"]))
    except (ApiError, Unreachable) as error:
        return Outcome(action, Result.FAILED, (str(error),))
    wanted = {reference["uid"] for reference in metadata.get("ownerReferences") or ()}
    owners = {reference["uid"] for reference in found["metadata"].get("ownerReferences") or ()}
    if wanted & owners:
        return Outcome(action, Result.EXISTS, made=found)
    if isinstance(action, CreateJob):
        return Outcome(action, Result.CONFLICT, (f"a Job {metadata['name']} of another owner exists",))
    return Outcome(action, Result.REJECTED, (f"metadata.name: a {kind} {metadata['name']} of another owner exists",))


_PLACES: Mapping[type[Action], tuple[Callable[[str, str], str], str]] = {
    CreateJob: (paths.job, "Job"),
    CreateService: (paths.service, "Service"),
    CreateTrainingJob: (paths.trainingjob, "TrainingJob"),
}
