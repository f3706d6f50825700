"""What a Job's pods are given so that they can report: an address, a token of their own, and whom to trust.

The names in the environment are Kubeflow Trainer's: whatever reports there reports here. The token is a projected one
with an audience that nothing else accepts. The certificate authority travels as an annotation of the pod template,
because the downward API can turn that into a file: a ConfigMap in every namespace would need a right to write there.
All of it is allowed under Pod Security "restricted". What the template sets itself is left alone, and a container that
has an address of its own gets nothing of ours, our token least of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpucost.core.clock import SECOND, Micros
from gpucost.core.model import Key
from gpucost.core.training.torchrun import with_environment

PREFIX = "/training/"
AUDIENCE = "progress.gpucost.dev"
"""Audience of the tokens; the API server's own tokens are not accepted for reports, nor these by the API server."""
URL, CA_CERT, TOKEN = (f"KUBEFLOW_TRAINER_SERVER_{name}" for name in ("URL", "CA_CERT", "TOKEN"))
INTERVAL = "GPUCOST_CHECKPOINT_INTERVAL_SECONDS"
AUTHORITY = "progress.gpucost.dev/ca"
"""Annotation of the pod template with the authority's certificate, PEM."""
VOLUME = "gpucost-progress"
FOLDER = "/var/run/secrets/gpucost.dev/progress"
CHECKPOINTS = "progress.gpucost.dev/checkpoint-interval"
"""Annotation of the pod template with the seconds between two checkpoints: unlike its environment, it may change while
the Job is suspended, so a start in another place gets what was measured by then."""
_TOKEN_SECONDS = 3600

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reporting:
    """Where runs report."""

    url: str
    """Base URL, without a slash at its end."""
    authority: str
    """PEM."""
    interval: Micros | None = None
    """Recommended time between two checkpoints."""


def path_of(key: Key) -> str:
    """Where the run of a TrainingJob reports."""
    return f"{PREFIX}namespaces/{key.namespace}/trainingjobs/{key.name}/progress"


def with_reporting(template: Json, key: Key, reporting: Reporting) -> dict[str, Any]:
    """A pod template whose containers can report, as far as it leaves room for that."""
    spec, metadata = template["spec"], dict(template.get("metadata") or {})
    if reporting.interval is not None:
        metadata["annotations"] = {CHECKPOINTS: seconds_of(reporting.interval), **(metadata.get("annotations") or {})}
        template = {**template, "metadata": metadata}
    containers = [with_environment(container, _interval(reporting)) for container in spec["containers"]]
    if _is_taken(spec):
        return {**template, "spec": {**spec, "containers": containers}}
    reached = [_with_access(container, key, reporting) for container in containers]
    if reached == containers:
        return {**template, "spec": {**spec, "containers": containers}}
    notes = {**(metadata.get("annotations") or {}), AUTHORITY: reporting.authority}
    volumes = [*(spec.get("volumes") or ()), _volume()]
    return {
        **template,
        "metadata": {**metadata, "annotations": notes},
        "spec": {**spec, "containers": reached, "volumes": volumes},
    }


def _interval(reporting: Reporting) -> list[dict[str, Any]]:
    if reporting.interval is None:
        return []
    return [{"name": INTERVAL, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{CHECKPOINTS}']"}}}]


def seconds_of(interval: Micros) -> str:
    """An interval as the program reads it."""
    return str(max(1, round(interval / SECOND)))


def _is_taken(spec: Json) -> bool:
    return any(volume.get("name") == VOLUME for volume in spec.get("volumes") or ())


def _with_access(container: Json, key: Key, reporting: Reporting) -> dict[str, Any]:
    names = {variable.get("name") for variable in container.get("env") or ()}
    mounts: Sequence[Json] = container.get("volumeMounts") or ()
    if names & {URL, CA_CERT, TOKEN} or any(_covers(str(mount.get("mountPath", ""))) for mount in mounts):
        return dict(container)
    values = {URL: reporting.url + path_of(key), CA_CERT: f"{FOLDER}/ca.crt", TOKEN: f"{FOLDER}/token"}
    variables = [{"name": name, "value": value} for name, value in values.items()]
    mount = {"name": VOLUME, "mountPath": FOLDER, "readOnly": True}
    return {**with_environment(container, variables), "volumeMounts": [*mounts, mount]}


def _covers(path: str) -> bool:
    """Whether a mount is at our folder or inside it."""
    return path.rstrip("/") == FOLDER or path.startswith(FOLDER + "/")


def _volume() -> dict[str, Any]:
    token = {"audience": AUDIENCE, "expirationSeconds": _TOKEN_SECONDS, "path": "token"}
    authority = {"path": "ca.crt", "fieldRef": {"fieldPath": f"metadata.annotations['{AUTHORITY}']"}}
    sources = [{"serviceAccountToken": token}, {"downwardAPI": {"items": [authority]}}]
    return {"name": VOLUME, "projected": {"sources": sources}}
