"""Write the status of our custom resources and the cost annotations of objects people already know.

Both by server-side apply, one field manager per concern, and only when something is to be said: a status that says the
same as the stored one is not written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gpucost.core.actions import Condition
from gpucost.core.clock import Instant, format_rfc3339
from gpucost.kube import paths
from gpucost.kube.client import KubeClient

STATUS_MANAGER = "gpucost-status"
COST_MANAGER = "gpucost-cost"

Json = Mapping[str, Any]
_WORDS = {True: "True", False: "False", None: "Unknown"}


def conditions_json(
    conditions: Iterable[Condition], stored: Iterable[Json], *, generation: int, now: Instant
) -> list[dict[str, Any]]:
    """Conditions as they are stored: the transition time stays while the status stays."""
    before = {c.get("type"): c for c in stored}
    result = []
    for condition in conditions:
        status = _WORDS[condition.status]
        old = before.get(condition.type, {})
        same = old.get("status") == status and old.get("lastTransitionTime")
        result.append(
            {
                "type": condition.type,
                "status": status,
                "reason": condition.reason,
                "message": condition.message,
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if same else format_rfc3339(now - now % 1_000_000),
            }
        )
    return result


async def write_status(client: KubeClient, *, path: str, kind: str, metadata: Json, status: Json) -> dict[str, Any]:
    """Apply a whole status; `metadata` holds name, namespace and the UID it is meant for."""
    body = {"apiVersion": f"{paths.GROUP}/{paths.VERSION}", "kind": kind, "metadata": metadata, "status": status}
    return await client.apply(f"{path}/status", body, manager=STATUS_MANAGER, force=True)


async def write_annotations(
    client: KubeClient, *, path: str, api_version: str, kind: str, metadata: Json, annotations: Mapping[str, str]
) -> dict[str, Any]:
    """Apply our annotations to an object of somebody else; only keys under our own prefix are ever written."""
    body = {"apiVersion": api_version, "kind": kind, "metadata": {**metadata, "annotations": dict(annotations)}}
    return await client.apply(path, body, manager=COST_MANAGER)
