"""Versions of datasets, and the data of ConfigMaps, read from the API server when somebody needs them.

Nothing is watched for this: a ConfigMap is asked for when a run is due or about to be made, which is seldom, and the
right to read ConfigMaps one by one is less than the right to list them all.
"""

from __future__ import annotations

import hashlib
import json

from gpucost.core.model import Unknown
from gpucost.core.training.runs.spec import VersionSource
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable

_LONGEST = 253


async def version_of(client: KubeClient, namespace: str, source: VersionSource) -> str | Unknown:
    """What stands where a dataset's version is kept."""
    folder = paths.config_map if source.kind == "ConfigMap" else paths.claim
    try:
        found = await client.get(folder(namespace, source.name))
    except ApiError as error:
        return Unknown(_refusal(error, source.kind, source.name, namespace))
    except Unreachable as error:
        return Unknown(str(error))
    values = found.get("data") if source.kind == "ConfigMap" else (found.get("metadata") or {}).get("annotations")
    text = str((values or {}).get(source.key) or "").strip()
    if not text:
        return Unknown(f"there is no {source}")
    if len(text) > _LONGEST:
        return Unknown(f"{source} has {len(text)} characters, a version has {_LONGEST} at most")
    return text


def _refusal(error: ApiError, kind: str, name: str, namespace: str) -> str:
    if error.status == 404:
        return f"there is no {kind} {name} in namespace {namespace}"
    if error.status == 403:
        return f"{kind} {name} may not be read (runs.configMaps of the chart)"
    return str(error)


async def data_digest(client: KubeClient, namespace: str, name: str) -> str | None:
    """A digest of everything that a ConfigMap holds; None when it cannot be read."""
    try:
        found = await client.get(paths.config_map(namespace, name))
    except (ApiError, Unreachable):
        return None
    held = {key: found.get(key) or {} for key in ("data", "binaryData")}
    return hashlib.sha256(json.dumps(held, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
